//! Which modules a source file takes something from.
//!
//! Owns: a reader of paths, no more of Rust than that: it finds `crate::`, `super::` and the names
//! of our crates, and follows braces. Test code at the end of a file does not count. Does not: see
//! through `use … as`, or macros that make paths; nothing here needs to.

use std::fmt;

/// A module of one of our crates: the empty path is the crate's root.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Module {
    /// `common`, `server` or `gui`.
    pub(crate) package: String,
    /// Such as `["client", "engine"]`.
    pub(crate) path: Vec<String>,
}

impl fmt::Display for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.package, self.path.join("::"))
    }
}

impl Module {
    /// The module that a file holds; none for a file outside of `src`, and for a library's root,
    /// which only names the others. A program is a module of its own: `bin/cli`, `main`.
    pub(crate) fn of(file: &str) -> Option<Module> {
        let (package, rest) = file.split_once("/src/")?;
        let rest = rest.strip_suffix(".rs")?;
        let rest = rest.strip_suffix("/mod").unwrap_or(rest);
        let path = match rest.strip_prefix("bin/") {
            Some(program) => vec![format!("bin/{}", program.split('/').next()?)],
            None => rest.split('/').map(str::to_owned).collect(),
        };
        (rest != "lib").then(|| Module { package: package.to_owned(), path })
    }

    /// The module itself and those around it, innermost first, without the root.
    pub(crate) fn outwards(&self) -> impl Iterator<Item = String> + '_ {
        (1..=self.path.len()).rev().map(|count| self.path[..count].join("::"))
    }
}

/// Every path into our crates that stands in the code of `module`.
pub(crate) fn imports(module: &Module, text: &str) -> Vec<Module> {
    let code = code_only(text);
    let mut found = Vec::new();
    for (root, package) in [
        ("crate", module.package.as_str()),
        ("super", module.package.as_str()),
        ("holdfast_common", "common"),
        ("holdfast_server", "server"),
    ] {
        for (at, _) in code.match_indices(&format!("{root}::")) {
            let before = code[..at].chars().next_back().unwrap_or(' ');
            if before == ':' || before == '_' || before.is_alphanumeric() {
                continue;
            }
            let mut rest = &code[at + root.len()..];
            let mut path = match root {
                "super" => module.path[..module.path.len() - 1].to_vec(),
                _ => Vec::new(),
            };
            while let Some(further) = rest.strip_prefix("::super") {
                path.pop();
                rest = further;
            }
            follow(rest, path, &mut |path| {
                found.push(Module { package: package.to_owned(), path });
            });
        }
    }
    found.sort();
    found.dedup();
    found
}

/// The code without comments, and without the tests that end the file.
fn code_only(text: &str) -> String {
    let tests = text.find("\n#[cfg(test)]\nmod tests").unwrap_or(text.len());
    let lines = text[..tests].lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.fold(String::new(), |code, line| code + line + "\n")
}

/// Follows `::a::{b, c::d}` from `path`; what remains is behind it.
fn follow<'a>(rest: &'a str, mut path: Vec<String>, found: &mut dyn FnMut(Vec<String>)) -> &'a str {
    let mut rest = rest;
    while let Some(further) = rest.strip_prefix("::") {
        if let Some(group) = further.strip_prefix('{') {
            rest = group.trim_start();
            while !rest.is_empty() && !rest.starts_with('}') {
                let (name, behind) = word(rest);
                let mut inner = path.clone();
                inner.push(name.to_owned());
                rest = follow(behind, inner, found);
                // To the next member: over a comma, `*`, or `as name`.
                let end = rest.find([',', '}']).unwrap_or(rest.len());
                rest = rest[end..].trim_start_matches(',').trim_start();
            }
            return rest.strip_prefix('}').unwrap_or(rest);
        }
        let (name, behind) = word(further);
        if name.is_empty() {
            break;
        }
        path.push(name.to_owned());
        rest = behind;
    }
    found(path);
    rest
}

fn word(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(text.len());
    text.split_at(end)
}

#[test]
fn paths_are_found_in_groups_and_not_in_comments_or_tests() {
    let module = Module::of("server/src/node/writes.rs").unwrap();
    let text = "use super::{Node, clients::{Client, self}};\n// crate::no::comment\n\
                use crate::chat::{self, query::Query, *};\nuse super::super::work as w;\n\
                fn f() { holdfast_common::ids::hex(&[]) }\n\
                \n#[cfg(test)]\nmod tests {\n use crate::tables; }\n";
    let found: Vec<String> = imports(&module, text).iter().map(Module::to_string).collect();
    assert_eq!(
        found,
        [
            "common: ids::hex",
            "server: chat::",
            "server: chat::query::Query",
            "server: chat::self",
            "server: node::Node",
            "server: node::clients::Client",
            "server: node::clients::self",
            "server: work",
        ]
    );
}
