//! The house rules as a test: what a reviewer should not have to say twice.
//!
//! Owns: the rules that neither the compiler nor clippy can hold. Driven by: `cargo test`. The
//! floors, the code map and the reasons for dependencies are read from ARCHITECTURE.md, so that
//! page cannot go stale. Each complaint says what to do. Does not: check what clippy checks (length
//! of functions, clocks below the rim, missing documentation).

#[path = "tidy/imports.rs"]
mod imports;
#[path = "tidy/pages.rs"]
mod pages;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use imports::{Module, imports};
use pages::{Picture, map_files, section};

/// Lines of one file: more than this is two files.
const FILE_LINES_MAX: usize = 500;
/// Characters of one line, comments and scripts included.
const LINE_COLUMNS_MAX: usize = 100;
/// Lines of ARCHITECTURE.md: who reads more before the first change?
const ARCHITECTURE_LINES_MAX: usize = 200;
/// What may lie at the top besides dot-files and what .gitignore names.
const TOP_LEVEL: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "server",
    "gui",
    "common",
    "start_cluster.sh",
    "setup_distributed.sh",
    "assets",
    "README.md",
    "ARCHITECTURE.md",
    "LICENSE",
];
const MEMBERS: &[&str] = &["common", "server", "gui"];

/// One text file of the project.
struct Page {
    /// From the top, with `/`.
    path: String,
    text: String,
}

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("server/ has a parent").to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(top().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn collect(folder: &str, wanted: &dyn Fn(&str) -> bool, pages: &mut Vec<Page>) {
    let Ok(entries) = fs::read_dir(top().join(folder)) else { return };
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("a folder that can be listed")).collect();
    names.sort_by_key(std::fs::DirEntry::file_name);
    for entry in names {
        let name = entry.file_name().into_string().expect("file names here are UTF-8");
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        if entry.file_type().expect("its kind is known").is_dir() {
            if !["target", "data", ".git", "corpus", "artifacts"].contains(&name.as_str()) {
                collect(&path, wanted, pages);
            }
        } else if wanted(&path) {
            pages.push(Page { text: read(&path), path });
        }
    }
}

/// Every Rust file.
fn sources() -> Vec<Page> {
    let mut pages = Vec::new();
    for member in MEMBERS {
        collect(member, &|path| path.ends_with(".rs"), &mut pages);
    }
    assert!(pages.len() > 20, "the sources were not found: {}", pages.len());
    pages
}

/// Every file that people write.
fn texts() -> Vec<Page> {
    let written = [".rs", ".md", ".toml", ".sh", ".txt", ".env", ".ci/run", ".ci/test"];
    let mut pages = Vec::new();
    collect("", &|path| written.iter().any(|end| path.ends_with(end)), &mut pages);
    pages
}

/// Sibling files of tests: their module is named where it is tested.
fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

fn must_be_empty(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn files_are_short_enough_to_read_and_lines_fit_two_to_a_screen() {
    let mut complaints = Vec::new();
    for Page { path, text } in sources() {
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX {
            complaints.push(format!("{path}: {lines} lines; cut it in two (at most 500)"));
        }
    }
    // A line of a transcript is a line of the protocol.
    let is_free = |path: &str| path.ends_with(".md") || path.contains("/tests/scripts/");
    for Page { path, text } in texts().iter().filter(|page| !is_free(&page.path)) {
        for (number, line) in (1..).zip(text.lines()) {
            let columns = line.chars().count();
            let unbreakable = path.ends_with(".toml") && line.contains("features = [");
            if columns > LINE_COLUMNS_MAX && !unbreakable {
                complaints.push(format!("{path}:{number}: {columns} columns (at most 100)"));
            }
        }
    }
    let lines = read("ARCHITECTURE.md").lines().count();
    if lines > ARCHITECTURE_LINES_MAX {
        complaints.push(format!("ARCHITECTURE.md: {lines} lines; say less (at most 200)"));
    }
    must_be_empty(&complaints);
}

#[test]
fn texts_hold_no_tab_no_space_at_a_line_s_end_and_end_with_one_newline() {
    let mut complaints = Vec::new();
    for Page { path, text } in texts() {
        for (number, line) in (1..).zip(text.split('\n')) {
            if line.contains('\t') || line.contains('\r') {
                complaints.push(format!("{path}:{number}: a tab or carriage return; use spaces"));
            }
            if line.ends_with(' ') {
                complaints.push(format!("{path}:{number}: a space at the end; remove it"));
            }
        }
        if !text.ends_with('\n') || text.ends_with("\n\n") {
            complaints.push(format!("{path}: end it with exactly one newline"));
        }
    }
    must_be_empty(&complaints);
}

#[test]
fn every_module_opens_by_saying_what_it_is() {
    let mut complaints = Vec::new();
    for Page { path, text } in sources() {
        if !path.ends_with("/tests.rs") && !text.starts_with("//! ") {
            complaints.push(format!(
                "{path}: begin with //! and what it owns, who drives it, its invariants, and what \
                 it does not do"
            ));
        }
    }
    must_be_empty(&complaints);
}

#[test]
fn imports_go_down_the_floors_of_the_picture() {
    let picture = Picture::read(&section(&read("ARCHITECTURE.md"), "The picture"));
    let mut complaints = Vec::new();
    for Page { path, text } in sources() {
        let Some(module) = Module::of(&path).filter(|_| !is_test(&path)) else { continue };
        let Some(own) = picture.place(&module) else {
            complaints.push(format!("{path}: give it a floor in ARCHITECTURE.md, \"The picture\""));
            continue;
        };
        for import in imports(&module, &text) {
            // What is no module of the picture is an item of the crate's root.
            let Some(other) = picture.place(&import) else { continue };
            if let Err(why) = own.may_import(&other) {
                complaints.push(format!("{path} imports {import}: {why}"));
            }
        }
    }
    must_be_empty(&complaints);
}

#[test]
fn the_code_map_names_every_file_and_nothing_else() {
    let named = map_files(&section(&read("ARCHITECTURE.md"), "Code map"));
    let there: BTreeSet<String> = sources()
        .into_iter()
        .map(|page| page.path)
        .filter(|path| path.contains("/src/") && !is_test(path))
        .collect();
    let mut complaints = Vec::new();
    for path in there.difference(&named) {
        complaints.push(format!("{path}: give it a line in ARCHITECTURE.md, \"Code map\""));
    }
    for path in &named {
        if !top().join(path).is_file() {
            complaints.push(format!("ARCHITECTURE.md, \"Code map\": there is no {path}"));
        }
    }
    must_be_empty(&complaints);
}

#[test]
fn every_dependency_has_its_reason_and_is_used() {
    let workspace = dependencies(&read("Cargo.toml"), "[workspace.dependencies]");
    let reasons: BTreeSet<String> = section(&read("ARCHITECTURE.md"), "Dependencies")
        .lines()
        .filter_map(|line| line.strip_prefix("| "))
        .filter_map(|row| row.split(" | ").next().map(str::to_owned))
        .flat_map(|cell| cell.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>())
        .filter_map(|name| Some(name.strip_prefix('`')?.strip_suffix('`')?.to_owned()))
        .collect();
    let mut complaints = Vec::new();
    for name in &workspace {
        if name != "holdfast-common" && !reasons.contains(name) {
            complaints.push(format!("{name}: say why it is in the house, under \"Dependencies\""));
        }
    }
    for name in reasons.difference(&workspace) {
        complaints.push(format!("ARCHITECTURE.md, \"Dependencies\": {name} is not in Cargo.toml"));
    }
    let mut taken = BTreeSet::new();
    for member in MEMBERS {
        let manifest = read(&format!("{member}/Cargo.toml"));
        let mut pages = Vec::new();
        collect(member, &|path| path.ends_with(".rs"), &mut pages);
        for heading in ["[dependencies]", "[dev-dependencies]", "[build-dependencies]"] {
            for name in dependencies(&manifest, heading) {
                let word = name.replace('-', "_");
                let used = pages.iter().any(|page| page.text.contains(&word));
                if !used {
                    complaints.push(format!("{member}: {name} is not used; take it out"));
                }
                taken.insert(name);
            }
        }
    }
    for name in workspace.difference(&taken) {
        complaints.push(format!("Cargo.toml: no package takes {name}; take it out"));
    }
    must_be_empty(&complaints);
}

/// The names under a heading of a manifest.
fn dependencies(manifest: &str, heading: &str) -> BTreeSet<String> {
    manifest
        .lines()
        .skip_while(|line| *line != heading)
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once(['=', '.']))
        .map(|(name, _)| name.trim().to_owned())
        .filter(|name| !name.starts_with('#'))
        .collect()
}

#[test]
fn nothing_is_postponed_and_no_lint_is_switched_off_without_its_reason() {
    // Put together here, so that this file does not complain of itself.
    let postponed: BTreeMap<&str, &str> = [
        (concat!("TO", "DO"), "do it, or say in plain words what is left out and why"),
        (concat!("FIX", "ME"), "mend it"),
        (concat!("to", "do!("), "write it"),
        (concat!("unimplemented", "!("), "write it"),
        (concat!("#[ign", "ore"), "a test that does not run proves nothing: mend it or remove it"),
    ]
    .into();
    let mut complaints = Vec::new();
    for Page { path, text } in sources() {
        for (word, advice) in &postponed {
            if let Some(at) = text.find(word) {
                let number = text[..at].lines().count();
                complaints.push(format!("{path}:{number}: {word}: {advice}"));
            }
        }
        for attribute in ["#[allow(", "#![allow(", "#[expect(", "#![expect("] {
            for (at, _) in text.match_indices(attribute) {
                let whole = text[at..].split(")]").next().unwrap_or_default();
                if !whole.contains("reason = ") && !path.ends_with("tests/tidy.rs") {
                    let number = text[..at].lines().count() + 1;
                    complaints.push(format!("{path}:{number}: {attribute}: add reason = \"…\""));
                }
            }
        }
    }
    must_be_empty(&complaints);
}

#[test]
fn the_top_holds_what_the_readme_shows_and_nothing_else() {
    let ignored = read(".gitignore");
    let mut complaints = Vec::new();
    for entry in fs::read_dir(top()).unwrap() {
        let name = entry.unwrap().file_name().into_string().expect("file names here are UTF-8");
        let known = name.starts_with('.')
            || TOP_LEVEL.contains(&name.as_str())
            || ignored.lines().any(|line| line == format!("/{name}"));
        if !known {
            complaints.push(format!("{name}: move it into a package; the top is for a first look"));
        }
    }
    must_be_empty(&complaints);
}

#[cfg(unix)]
#[test]
fn scripts_are_executable_and_say_who_runs_them() {
    use std::os::unix::fs::PermissionsExt;
    let mut complaints = Vec::new();
    for Page { path, text } in texts() {
        if !(path.ends_with(".sh") || path.starts_with(".ci/")) {
            continue;
        }
        if !text.starts_with("#!/usr/bin/env bash\n") {
            complaints.push(format!("{path}: begin with #!/usr/bin/env bash"));
        }
        if fs::metadata(top().join(&path)).unwrap().permissions().mode() & 0o111 != 0o111 {
            complaints.push(format!("{path}: chmod +x"));
        }
    }
    must_be_empty(&complaints);
}

#[test]
fn the_readme_explains_every_key_of_the_settings() {
    let readme = read("README.md");
    let complaints: Vec<String> = read(".env")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .filter(|(key, _)| !readme.contains(&format!("`{key}`")))
        .map(|(key, _)| format!("README.md, \"Settings\": {key} is missing"))
        .collect();
    must_be_empty(&complaints);
}
