//! The ranks of the rooms: a room uses only rooms of lower rank, and no file hides what it is for.

use std::path::{Path, PathBuf};

/// Each room with its rank; see `CONTRIBUTING.md`.
const RANKS: &[(&str, u32)] = &[
    ("error", 0),
    ("seed", 0),
    ("shown", 0),
    ("checksum", 0),
    ("durable", 1),
    ("intake", 1),
    ("memory", 1),
    ("cholesky", 1),
    ("picture", 1),
    ("gamma", 1),
    ("ops", 2),
    ("data", 2),
    ("params", 3),
    ("target", 3),
    ("expression", 4),
    ("sampler", 4),
    ("foreign", 4),
    ("conditioner", 4),
    ("transformer", 4),
    ("bijection", 5),
    ("flow", 6),
    ("train", 7),
    ("evaluate", 7),
    ("report", 8),
    ("experiment", 9),
    ("progress", 10),
    ("cli", 11),
    ("main", 12),
];

fn rank(room: &str) -> u32 {
    RANKS.iter().find(|(name, _)| *name == room).unwrap_or_else(|| panic!("room `{room}` has no rank")).1
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries
        .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// The text of every file of `src` with the room that it belongs to.
fn files() -> Vec<(PathBuf, String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = sources(&src).into_iter().map(|path| {
        let inside = path.strip_prefix(&src).expect("inside").to_path_buf();
        let first = inside.iter().next().expect("a name").to_string_lossy();
        let room = first.trim_end_matches(".rs").to_string();
        let text = std::fs::read_to_string(&path).expect("text");
        (inside, room, text)
    });
    files.filter(|(_, room, _)| room != "lib").collect()
}

#[test]
fn arrows_point_downward_only() {
    for (path, room, text) in files() {
        // Test modules may use anything.
        let code = text.split("#[cfg(test)]").next().expect("code");
        for used in code.match_indices("crate::").map(|(at, prefix)| &code[at + prefix.len()..]) {
            let used: String = used.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            if used.is_empty() || used == room {
                continue;
            }
            assert!(rank(&used) < rank(&room), "{}: `{room}` uses `{used}`", path.display());
        }
    }
}

#[test]
fn every_file_says_its_job_first_and_is_short() {
    for (path, _, text) in files() {
        assert!(text.starts_with("//! "), "{} does not begin with its job", path.display());
        let lines = text.lines().count();
        assert!(lines <= 450, "{} has {lines} lines: two jobs?", path.display());
    }
}

#[test]
fn unsafe_code_stays_in_the_kernels_and_the_loader_with_its_reason() {
    for (path, room, text) in files() {
        let code = |line: &str| line.contains("unsafe {") || line.contains("unsafe impl") || line.contains("unsafe fn");
        for (number, line) in text.lines().enumerate().filter(|(_, line)| code(line)) {
            let allowed = room == "ops" || path == Path::new("foreign/library.rs");
            assert!(allowed, "{}:{}: {line}", path.display(), number + 1);
            assert!(text.contains("// SAFETY:"), "{} does not say why its unsafe code is sound", path.display());
        }
    }
}

#[test]
fn nothing_panics_for_want_of_a_reader() {
    for (path, _, text) in files() {
        let code = text.split("#[cfg(test)]").next().expect("code");
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for wrong in ["eprintln!", "eprint!", " println!", " print!"] {
                assert!(!line.contains(wrong), "{}: {line} panics where nobody reads; `say!` does not", path.display());
            }
        }
    }
}
