#!/usr/bin/env bash
# Builds what is given to others: a binary that runs on any Linux with glibc 2.17 or newer (CentOS 7, 2014), in an archive with the pages of the
# manual, completions, experiments and licences, and its checksum.
#
#     scripts/release.sh [FOLDER]
#
# needs cargo, python3 and, the first time, the network: cargo-zigbuild and ziglang come from the Python registry into a virtual environment under
# FOLDER (default target/release-archive). FLOWDISTILL_FEATURES names features (default nuts,parquet), FLOWDISTILL_TARGETS the targets.
set -euo pipefail
cd "$(dirname "$0")/.."
glibc=2.17
out=${1:-target/release-archive}
features=${FLOWDISTILL_FEATURES-nuts,parquet}
targets=${FLOWDISTILL_TARGETS:-x86_64-unknown-linux-gnu}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
mkdir -p "$out"
out=$(cd "$out" && pwd)

if ! [ -x "$out/tools/bin/cargo-zigbuild" ]; then
    python3 -m venv "$out/tools"
    "$out/tools/bin/pip" install --quiet 'cargo-zigbuild==0.24.*' 'ziglang==0.17.*'
fi
export PATH="$out/tools/bin:$PATH"
export CARGO_ZIGBUILD_PYTHON_PATH="$out/tools/bin/python"

# Runs an experiment from the archive: in a root that has nothing but the archive and the libraries that the binary names, where the system lets us.
trial() {
    local root="$out/trial" experiment="$name/experiments/ladder_banana.ron"
    rm -rf "${root:?}"
    mkdir -p "$root/tmp"
    cp -r "$out/$name" "$root/"
    ldd "$run" | grep -o '/[^ ]*' | while read -r library; do
        mkdir -p "$root$(dirname "$library")"
        cp -L "$library" "$root$library"
    done
    if unshare --map-root-user --net --root="$root" "/$name/flowdistill" --version > /dev/null 2>&1; then
        unshare --map-root-user --net --root="$root" "/$name/flowdistill" run "/$experiment" --quiet --out /tmp > /dev/null
        echo "$target: runs an experiment in a root of its own"
    else
        "$run" run "$out/$experiment" --quiet --out "$root/tmp" > /dev/null
        echo "$target: runs an experiment; SKIPPED: no root of its own could be had"
    fi
    rm -rf "${root:?}"
}

for target in $targets; do
    cargo zigbuild --locked --release --features "$features" --target "$target.$glibc" --bin flowdistill
    binary=${CARGO_TARGET_DIR:-target}/$target/release/flowdistill

    # What it asks of the C library, none of it newer than promised.
    newest=$(objdump -T "$binary" | grep -o 'GLIBC_[0-9.]*' | sed 's/GLIBC_//' | sort -Vu | tail -n 1)
    if [ "$(printf '%s\n' "$newest" "$glibc" | sort -V | tail -n 1)" != "$glibc" ]; then
        echo "$binary needs glibc $newest; at most $glibc is right" >&2
        exit 1
    fi
    echo "$target: needs glibc $newest"

    name=flowdistill-$version-$target
    rm -rf "${out:?}/$name"
    mkdir -p "$out/$name/completions" "$out/$name/man"
    cp "$binary" README.md CHANGELOG.md CITATION.cff LICENSE-APACHE LICENSE-MIT "$out/$name/"
    cp -r docs experiments python "$out/$name/"
    mkdir "$out/$name/examples"
    cp -r examples/slurm "$out/$name/examples/"
    if [ "$target" = "$(uname -m)-unknown-linux-gnu" ]; then
        run="$out/$name/flowdistill"
        "$run" man --quiet --out "$out/$name/man"
        for shell in bash zsh fish; do "$run" completions "$shell" > "$out/$name/completions/flowdistill.$shell"; done
        trial
    fi
    tar -C "$out" --sort=name --owner=0 --group=0 --numeric-owner -czf "$out/$name.tar.gz" "$name"
    (cd "$out" && sha256sum "$name.tar.gz" > "$name.tar.gz.sha256")
    du -h "$out/$name.tar.gz"
done
