//! The house rules that the compiler does not hold: layers import downwards only, cores stay pure, every module says
//! what it is for, nothing unfinished is left behind.

use std::fs;
use std::path::{Path, PathBuf};

/// The layers from the bottom up. A module may use the layers below its own, and of its own layer only what
/// [`SIDEWAYS`] names.
const LAYERS: [&[&str]; 9] = [
    &["domain"],
    &["source"],
    &["model", "rules", "playbook", "decode", "wire"],
    &["engine", "desk", "outbox"],
    &["journal", "checkpoint", "store"],
    &["runtime", "lab"],
    &["mqtt", "channels", "http", "demo"],
    &["app"],
    &["cli"],
];

/// `(module, may use)` within one layer. Adapters never use each other.
const SIDEWAYS: [(&str, &str); 6] = [
    ("rules", "model"),
    ("decode", "model"),
    ("playbook", "rules"),
    ("store", "journal"),
    ("desk", "outbox"),
    ("lab", "runtime"),
];

/// Deterministic modules: what they must not contain, outside of tests.
const PURE: [&str; 10] =
    ["domain", "source", "model", "rules", "playbook", "decode", "wire", "engine", "desk", "outbox"];
const IMPURE_WORDS: [&str; 9] = [
    "tokio::",
    "std::fs",
    "std::env",
    "std::net",
    "std::thread",
    "SystemTime",
    "Instant::now",
    "HashMap<",
    "getrandom",
];
/// Look-ups in a table with a hasher that is the same in every run are allowed (iterating one is not).
const ALLOWED: &str = "BuildHasherDefault<";

#[test]
fn layers_import_downwards_only() {
    let mut wrong = Vec::new();
    for (path, text) in sources("src") {
        let Some(module) = module_of(&path) else { continue };
        let layer = layer_of(&module);
        for (number, line) in code_lines(&text) {
            for used in uses(line) {
                let Some(other) = LAYERS.iter().position(|l| l.contains(&used.as_str())) else { continue };
                let fine = used == module || other < layer || SIDEWAYS.contains(&(module.as_str(), used.as_str()));
                if !fine {
                    wrong.push(format!("{}:{number}: {module} uses {used}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "imports that point upwards or sideways:\n{}", wrong.join("\n"));
}

#[test]
fn only_store_names_sled() {
    for (path, text) in sources("src") {
        if module_of(&path).as_deref() != Some("store") {
            for (number, line) in code_lines(&text) {
                assert!(!line.contains("sled::"), "{}:{number} names sled", path.display());
            }
        }
    }
}

#[test]
fn cores_are_pure() {
    let mut wrong = Vec::new();
    for (path, text) in sources("src") {
        if !module_of(&path).is_some_and(|m| PURE.contains(&m.as_str())) {
            continue;
        }
        for (number, line) in code_lines(without_tests(&text)) {
            for word in IMPURE_WORDS {
                if line.contains(word) && !line.contains(ALLOWED) {
                    wrong.push(format!("{}:{number}: {word}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "not pure:\n{}", wrong.join("\n"));
}

#[test]
fn every_module_says_what_it_is_for_and_nothing_is_unfinished() {
    let unfinished = ["todo!(", "unimplemented!(", "dbg!(", "#[ignore"];
    for (path, text) in sources("src").into_iter().chain(sources("tests")).chain(sources("benches")) {
        assert!(text.starts_with("//!") || path.ends_with("tests.rs"), "{} has no opening doc", path.display());
        if path.ends_with("tests/it/tidy.rs") {
            continue;
        }
        for (number, line) in code_lines(&text) {
            for word in unfinished {
                assert!(!line.contains(word), "{}:{number}: {word}", path.display());
            }
        }
    }
}

/// A file with more lines than this holds a second idea. Tests do not count.
const LONGEST: usize = 700;

#[test]
fn files_stay_small() {
    for (path, text) in sources("src") {
        let lines = without_tests(&text).lines().count();
        assert!(lines <= LONGEST, "{} has {lines} lines; split it", path.display());
    }
}

fn sources(under: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut open = vec![root.join(under)];
    while let Some(dir) = open.pop() {
        let Ok(entries) = fs::read_dir(&dir) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(root).unwrap().to_owned(), text));
            }
        }
    }
    assert!(!found.is_empty() || under == "benches", "no sources under {under}");
    found.sort();
    found
}

/// The top-level module of a file below `src`; `None` for the roots and for files of tests only.
fn module_of(path: &Path) -> Option<String> {
    let inside = path.strip_prefix("src").ok()?;
    let tests_only =
        path.file_name().is_some_and(|f| f == "tests.rs") || path.components().any(|c| c.as_os_str() == "tests");
    let first = inside.components().next()?.as_os_str().to_str()?;
    (!first.ends_with(".rs") && !tests_only).then(|| first.to_owned())
}

fn layer_of(module: &str) -> usize {
    LAYERS.iter().position(|l| l.contains(&module)).unwrap_or_else(|| panic!("{module} is in no layer"))
}

/// Lines with their numbers, comments left out.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().filter(|(_, l)| !l.trim_start().starts_with("//")).map(|(n, l)| (n + 1, l))
}

/// Everything before the file's own test module.
fn without_tests(text: &str) -> &str {
    text.find("#[cfg(test)]\nmod tests {").map_or(text, |at| &text[..at])
}

/// The modules that a line names: `crate::a::b`, and each of `crate::{a::b, c::{d, e}}`.
fn uses(line: &str) -> Vec<String> {
    let name = |text: &str| text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let mut found = Vec::new();
    for (at, prefix) in line.match_indices("crate::") {
        let rest = &line[at + prefix.len()..];
        let Some(list) = rest.strip_prefix('{') else {
            found.push(name(rest));
            continue;
        };
        let mut depth = 0;
        let mut start = 0;
        for (i, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' | ',' if depth == 0 => {
                    found.push(name(&list[start..i]));
                    start = i + 1;
                    if c == '}' {
                        break;
                    }
                }
                '}' => depth -= 1,
                _ => {}
            }
        }
    }
    found
}

#[test]
fn uses_sees_every_module_of_a_line() {
    assert_eq!(uses("use crate::{desk, http::{a, b}, journal::Pos};"), ["desk", "http", "journal"]);
    assert_eq!(uses("let x = crate::model::SHARDS + crate::domain::N;"), ["model", "domain"]);
}
