//! What ARCHITECTURE.md says, as far as code can be held to it.
//!
//! Owns: the reader of its picture and of its code map. Does not: judge the prose.

use std::collections::{BTreeMap, BTreeSet};

use super::imports::Module;

/// The text under a heading of a page, up to the next one of its rank.
pub(crate) fn section(page: &str, title: &str) -> String {
    let heading = format!("## {title}");
    let lines = page.lines().skip_while(|line| *line != heading).skip(1);
    let text: Vec<&str> = lines.take_while(|line| !line.starts_with("## ")).collect();
    assert!(!text.is_empty(), "ARCHITECTURE.md: write a section {heading:?}");
    text.join("\n")
}

/// Where a module stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    package: String,
    name: String,
    floor: u8,
}

impl Place {
    /// Whether this module may take something from that one; if not, what to do.
    pub(crate) fn may_import(&self, other: &Place) -> Result<(), String> {
        if self == other {
            return Ok(());
        }
        let is_program = self.name.starts_with("bin/") || self.package == "gui";
        if is_program && other.package == "server" {
            return Err("a client speaks the protocol, and takes from common alone".to_owned());
        }
        let is_client = other.name == "client" || other.name.starts_with("client::");
        if self.package == "server" && !is_program && is_client {
            return Err(
                "the server and the client never meet; what both need goes below".to_owned()
            );
        }
        if other.floor < self.floor || (other.floor == 0 && self.floor == 0) {
            return Ok(());
        }
        Err(format!(
            "floor {} takes from floor {}; hand it in from above, or move what both need lower",
            self.floor, other.floor
        ))
    }
}

/// The floors: a row each, `floor | server | common | gui`, modules apart by spaces.
pub(crate) struct Picture(BTreeMap<(String, String), u8>);

impl Picture {
    pub(crate) fn read(section: &str) -> Picture {
        let rows: Vec<Vec<&str>> = section
            .lines()
            .filter(|line| line.contains('|'))
            .map(|line| line.split('|').map(str::trim).collect())
            .collect();
        let (head, floors) = rows.split_first().expect("the picture has a row of headings");
        let mut places = BTreeMap::new();
        for row in floors {
            let Some(floor) = row[0].split(' ').next().and_then(|number| number.parse().ok())
            else {
                continue;
            };
            for (package, cell) in head.iter().zip(row).skip(1) {
                for name in cell.split_whitespace() {
                    places.insert(((*package).to_owned(), name.to_owned()), floor);
                }
            }
        }
        assert!(places.len() > 10, "the picture in ARCHITECTURE.md was not understood: {places:?}");
        Picture(places)
    }

    /// The place of a module, or of the innermost one around it that has one.
    pub(crate) fn place(&self, module: &Module) -> Option<Place> {
        module.outwards().find_map(|name| {
            let floor = *self.0.get(&(module.package.clone(), name.clone()))?;
            Some(Place { package: module.package.clone(), name, floor })
        })
    }
}

/// The files that the code map names: a line begins with "- `file.rs`", or with "- `folder/`" and
/// then names files of that folder, without their ending, in the same quotes.
pub(crate) fn map_files(section: &str) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    let mut folder = None;
    for line in section.lines() {
        let mut quoted = line.split('`').skip(1).step_by(2);
        if line.starts_with("- `") {
            let path = quoted.next().unwrap_or_default();
            folder =
                path.ends_with('/').then(|| path.to_owned()).filter(|path| path.contains("src"));
            if path.ends_with(".rs") {
                files.insert(path.to_owned());
            }
        }
        if let Some(folder) = &folder {
            files.extend(quoted.map(|name| format!("{folder}{name}.rs")));
        }
    }
    files
}
