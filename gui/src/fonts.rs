//! Whether this machine has a font at all.
//!
//! Owns: nothing. Driven by: `main`, before there is a window. The library that finds fonts for
//! other scripts ends the process where the system has none (a container, a bare server): it is
//! left out there, and Latin, Greek, Cyrillic and many signs come from the fonts in the program.
//! Invariant: it looks where the system's own settings say, and stops at the first font. Does not:
//! load any.

#![expect(clippy::disallowed_methods, reason = "the rim: the system's settings for fonts")]

use std::path::{Path, PathBuf};

/// Folders within folders that are looked into.
const DEPTH_MAX: u32 = 6;

/// See the module's page. Elsewhere than on Linux there always is one.
pub(crate) fn are_there() -> bool {
    if !cfg!(target_os = "linux") {
        return true;
    }
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let named = std::env::var_os("FONTCONFIG_FILE").filter(|name| !name.is_empty());
    let mut folders = Vec::new();
    match named {
        Some(file) => folders.extend(folders_of(Path::new(&file), &home)),
        None => {
            folders.extend(["/usr/share/fonts", "/usr/local/share/fonts"].map(PathBuf::from));
            folders.extend([".local/share/fonts", ".fonts"].map(|name| home.join(name)));
            folders.extend(folders_of(Path::new("/etc/fonts/fonts.conf"), &home));
            let more = std::fs::read_dir("/etc/fonts/conf.d").into_iter().flatten().flatten();
            folders.extend(more.flat_map(|file| folders_of(&file.path(), &home)));
        }
    }
    folders.iter().any(|folder| has_font(folder, DEPTH_MAX))
}

/// The folders that a file of settings names.
fn folders_of(file: &Path, home: &Path) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let dirs = text.split("<dir").skip(1).filter_map(|rest| {
        let (attributes, rest) = rest.split_once('>')?;
        let (path, _) = rest.split_once("</dir>")?;
        let path = path.trim();
        Some(match path.strip_prefix("~/") {
            Some(path) => home.join(path),
            None if attributes.contains("xdg") => home.join(".local/share").join(path),
            None => PathBuf::from(path),
        })
    });
    dirs.collect()
}

fn has_font(folder: &Path, depth: u32) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| match path.extension() {
        Some(extension) if ["ttf", "otf", "ttc", "otc"].iter().any(|kind| extension == *kind) => {
            true
        }
        _ => depth > 0 && path.is_dir() && has_font(&path, depth - 1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_a_font_somewhere_has_one_and_others_have_none() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert!(has_font(&root.join("../assets"), 1));
        assert!(!has_font(&root.join("src"), DEPTH_MAX));
        assert!(!has_font(&root.join("no such folder"), DEPTH_MAX));
    }

    #[test]
    fn the_settings_for_fonts_name_folders() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fonts.conf");
        let folders = folders_of(&file, Path::new("/home/ada"));
        let expected = ["/usr/share/fonts", "/home/ada/.local/share/fonts", "/home/ada/.fonts"];
        assert_eq!(folders, expected.map(PathBuf::from));
        assert!(folders_of(Path::new("/no/such/file"), Path::new("/")).is_empty());
    }
}
