//! The shape of the source, read as text: imports flow one way, pure rooms stay pure, files stay
//! short, and the README names the features that exist.
//!
//! Not covered: a `crate::` path hidden in a macro or behind a `/* */` comment.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The rooms of `src`, lowest row first. A room uses itself and the rows before its own; rooms of
/// one row do not know each other. A new room gets its place here in the same commit.
const ROWS: &[&[&str]] = &[
    &["sabotage"],
    &["error", "clock", "hash", "sync"],
    &["observe"],
    &["semantics"],
    &["policy"],
    &["key"],
    &["entry"],
    &["fence"],
    &["store"],
    &["invalidate"],
    &["flight"],
    &["handle"],
    &["service", "data", "structures", "attributes"],
    &["warm", "grpc"],
    // Administrators warm as well.
    &["admin"],
    &["fuzzing"],
];

/// Lines of a file without its tests. What needs more is two files.
const LONGEST_FILE: usize = 500;

/// Words that have no place where `now` is an argument and nothing waits.
const IMPURE: &[&str] = &[
    "tokio",
    "Clock",
    "SystemTime",
    "Instant",
    ".now()",
    ".wall()",
    "async fn",
    ".await",
];

struct Source {
    /// Relative to `src`.
    path: PathBuf,
    /// Without comments and without the unit tests at the end.
    code: String,
    /// With comments, without the unit tests.
    lines: usize,
}

impl Source {
    fn room(&self) -> &str {
        let first = self.path.iter().next().unwrap().to_str().unwrap();
        first.trim_end_matches(".rs")
    }

    /// Whether this file is the room itself, so that `super` leads out of it.
    fn is_root_of_its_room(&self) -> bool {
        self.path.components().count() == 1 || self.path == Path::new(self.room()).join("mod.rs")
    }

    fn is_pure_by_rule(&self) -> bool {
        self.room() == "semantics"
            || self.path.starts_with("service/plan")
            || self.path == Path::new("service/plan.rs")
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns every source file but those that hold only tests.
fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    collect(&root().join("src"), &mut found);
    found
}

fn collect(folder: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            if name != "tests" {
                collect(&path, found);
            }
        } else if name.ends_with(".rs") && name != "tests.rs" {
            let text = fs::read_to_string(&path).unwrap();
            let text = without_tests(&text);
            found.push(Source {
                path: path.strip_prefix(root().join("src")).unwrap().into(),
                code: without_comments(text),
                lines: text.lines().count(),
            });
        }
    }
}

/// Cuts the test module that ends a file.
fn without_tests(text: &str) -> &str {
    let end = ["\n#[cfg(test)]\nmod ", "\n#[cfg(all(test"]
        .iter()
        .filter_map(|start| text.find(start))
        .min();
    &text[..end.unwrap_or(text.len())]
}

/// Cuts what follows `//` on each line; the `//` of an address in a string is no comment.
fn without_comments(text: &str) -> String {
    let mut code = String::new();
    for line in text.lines() {
        let end = line
            .match_indices("//")
            .find(|(at, _)| !line[..*at].ends_with(':'))
            .map_or(line.len(), |(at, _)| at);
        code.push_str(&line[..end]);
        code.push('\n');
    }
    code
}

/// Returns the first name of every path that starts with `crate::`, groups opened up.
fn rooms_named(code: &str) -> Vec<String> {
    let mut named = Vec::new();
    for (at, prefix) in code.match_indices("crate::") {
        let rest = code[at + prefix.len()..].trim_start();
        match rest.strip_prefix('{') {
            Some(group) => named.extend(heads_of_group(group)),
            None => named.extend(leading_name(rest)),
        }
    }
    named
}

/// Returns the first name of each path of a group whose opening brace has been read.
fn heads_of_group(group: &str) -> Vec<String> {
    let mut heads = Vec::new();
    let mut depth = 1;
    let mut at_head = true;
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => at_head = true,
            _ if at_head && !character.is_whitespace() => {
                heads.extend(leading_name(&group[at..]));
                at_head = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    heads
}

fn leading_name(path: &str) -> Option<String> {
    let end = path
        .find(|character: char| character != '_' && !character.is_alphanumeric())
        .unwrap_or(path.len());
    (end > 0).then(|| path[..end].to_owned())
}

fn row_of(room: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.contains(&room))
}

fn report(faults: &[String]) {
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn imports_flow_one_way() {
    let mut faults = Vec::new();
    for source in sources() {
        let (room, path) = (source.room(), source.path.display());
        if room == "lib" {
            continue;
        }
        let Some(mine) = row_of(room) else {
            faults.push(format!("{path}: room `{room}` has no place in ROWS"));
            continue;
        };
        for name in rooms_named(&source.code) {
            if name != room && row_of(&name).is_some_and(|theirs| theirs >= mine) {
                faults.push(format!("{path}: `{room}` may not use `{name}`"));
            }
        }
    }
    report(&faults);
}

#[test]
fn other_rooms_are_named_by_crate_and_never_by_glob() {
    let mut faults = Vec::new();
    for source in sources() {
        let mut banned = vec!["super::super", "use crate::*"];
        if source.is_root_of_its_room() {
            banned.push("super::");
        }
        for word in banned.iter().filter(|word| source.code.contains(**word)) {
            faults.push(format!("{}: holds `{word}`", source.path.display()));
        }
    }
    report(&faults);
}

#[test]
fn the_rules_and_the_plan_read_no_clock_and_never_wait() {
    let mut faults = Vec::new();
    for source in sources().iter().filter(|source| source.is_pure_by_rule()) {
        for word in IMPURE.iter().filter(|word| source.code.contains(**word)) {
            faults.push(format!("{}: holds `{word}`", source.path.display()));
        }
    }
    report(&faults);
}

#[test]
fn no_file_is_longer_than_can_be_read_at_once() {
    let faults: Vec<String> = sources()
        .iter()
        .filter(|source| source.lines > LONGEST_FILE)
        .map(|source| format!("{}: {} lines", source.path.display(), source.lines))
        .collect();
    report(&faults);
}

#[test]
fn the_readme_names_every_feature_and_no_other() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let declared: BTreeSet<&str> = section(&manifest, "[features]", "[")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| Some(line.split_once(" = [")?.0))
        .filter(|name| *name != "default")
        .collect();
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let named: BTreeSet<&str> = section(&readme, "## Features", "## ")
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    assert_eq!(named, declared);
}

/// Pages say by which test each rule, or promise, is shown; a test that is renamed is renamed there.
#[test]
fn every_test_that_a_page_names_is_there() {
    let mut code = String::new();
    for folder in ["src", "tests"] {
        append_all(&root().join(folder), &mut code);
    }
    let mut faults = Vec::new();
    for (page, at_least) in [("standards", 50), ("patterns", 25)] {
        let text = fs::read_to_string(root().join(format!("src/docs/{page}.md"))).unwrap();
        let prose: String = text.split("```").step_by(2).collect();
        let words = prose.split('`').skip(1).step_by(2);
        // The names of tests are sentences; those of methods are shorter.
        let named: Vec<&str> = words
            .filter(|word| word.matches('_').count() > 3 && !word.contains(['(', ' ', '=']))
            .collect();
        let count = named.len();
        assert!(count >= at_least, "{page} names {count} tests");
        let missing = named
            .iter()
            .filter(|name| !code.contains(&format!("fn {name}(")));
        faults.extend(missing.map(|name| format!("{page}: no test `{name}`")));
    }
    report(&faults);
}

/// Appends the text of every source file below `folder`.
fn append_all(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            append_all(&path, text);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

/// Returns the text from the line that is `heading` up to the next line that starts with `next`.
fn section<'text>(text: &'text str, heading: &str, next: &str) -> &'text str {
    let start = text.find(&format!("\n{heading}\n")).unwrap() + heading.len() + 2;
    let rest = &text[start..];
    &rest[..rest.find(&format!("\n{next}")).unwrap_or(rest.len())]
}

#[test]
fn groups_are_opened_up() {
    let code = without_comments(
        "use crate::{\n    key::{Key, store},\n    store::Store, // crate::flight\n};\n\
         fn f(at: &str) -> crate::error::Error { g(\"redis://host\", crate::clock::now) }",
    );
    assert_eq!(rooms_named(&code), ["key", "store", "error", "clock"]);
}

#[test]
fn unit_tests_are_not_counted() {
    assert_eq!(
        without_tests("fn f() {}\n\n#[cfg(test)]\nmod tests {}\n"),
        "fn f() {}\n"
    );
    assert_eq!(without_tests("fn f() {}\n"), "fn f() {}\n");
}
