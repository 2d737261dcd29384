#!/usr/bin/env bash
# Builds MODEL.so from MODEL.stan: a shared library with BridgeStan's C interface, for `target: Compiled(library: "MODEL.so", …)`.
#
#   scripts/build_stan.sh MODEL.stan [FOLDER]
#
# The Stan compiler, the Stan Math headers, Boost, Eigen and TBB come out of one Python wheel (httpstan, ISC licence), which is
# fetched once with pip into FOLDER (default: ~/.cache/flowdistill-stan). Needs g++, pip, unzip or python3; x86-64 Linux.
set -euo pipefail

VERSION=4.17.0
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

if [ $# -lt 1 ] || [ ! -f "$1" ]; then
    sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
source=$(realpath "$1")
cache=${2:-${XDG_CACHE_HOME:-$HOME/.cache}/flowdistill-stan}
mkdir -p "$cache"
cache=$(realpath "$cache")
stan=$cache/httpstan-$VERSION/httpstan

if [ ! -e "$stan/stanc" ]; then
    # One fetches and unpacks, others wait; the lock goes with the process that holds it.
    exec 9>"$cache/lock"
    if command -v flock >/dev/null; then flock 9; fi
    if [ ! -e "$stan/stanc" ]; then
        echo "fetching httpstan $VERSION into $cache" >&2
        # Unpacked beside its place and moved there whole, so that an interrupted run leaves nothing half done.
        partial=$(mktemp -d "$cache/partial.XXXXXX")
        trap 'rm -rf "$partial"' EXIT
        python3 -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.12 \
            --dest "$cache/wheel" "httpstan==$VERSION"
        python3 -m zipfile -e "$cache"/wheel/httpstan-"$VERSION"-*.whl "$partial"
        chmod +x "$partial/httpstan/stanc"
        # Where there is no flock somebody else may have been first: theirs is as good. -T: never into a folder that is there.
        [ -e "$stan/stanc" ] || rm -rf "$cache/httpstan-$VERSION"
        mv -T "$partial" "$cache/httpstan-$VERSION" 2>/dev/null || [ -e "$stan/stanc" ]
        rm -rf "$partial"
        trap - EXIT
    fi
    exec 9>&-
fi

name=$(basename "$source" .stan)
# C++ wants an identifier.
class=$(tr -c '[:alnum:]\n' '_' <<<"$name")_model
target=${source%.stan}.so
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT

"$stan/stanc" --name="$class" --o="$build/model.hpp" "$source"
g++ -std=c++17 -O2 -fPIC -shared -w -fvisibility=hidden \
    -DSTAN_THREADS -D_REENTRANT -D_GLIBCXX_USE_CXX11_ABI=0 -DBOOST_DISABLE_ASSERTS -DMODEL_HEADER='"model.hpp"' \
    -I"$build" -I"$stan/include" "$here/stan_interface.cpp" -o "$build/model.so" \
    -L"$stan/lib" -Wl,-rpath,"$stan/lib" -l:libtbb.so.2 \
    -lsundials_cvodes -lsundials_idas -lsundials_kinsol -lsundials_nvecserial -Wl,-z,now
# Beside its place first: a rename is one step for whoever loads it meanwhile, and builds of one model at once do not mix.
partial=$(mktemp "$target.XXXXXX")
trap 'rm -rf "$build" "$partial"' EXIT
cp "$build/model.so" "$partial"
chmod 755 "$partial"
mv "$partial" "$target"
echo "$target"
