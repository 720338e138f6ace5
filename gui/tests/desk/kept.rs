//! What the window has on disk, while it runs: all that `kill -9` would leave.
//!
//! The window holds its files, so a copy of them is opened. A copy that was made in the middle of a
//! write may not be whole; then there is nothing to be seen, and the next one is.

use std::fs;
use std::io;
use std::path::Path;

use holdfast_common::client::cache::Cache;
use holdfast_common::client::{Account, Work};
use holdfast_common::protocol::Target;

/// See the module's page.
pub(crate) struct Kept(pub(crate) Account);

/// What is in `home`, if anybody is signed in there.
pub(crate) fn kept(home: &Path) -> Option<Kept> {
    let folder = tempfile::tempdir().expect("a folder for the copy");
    copy(home, folder.path()).ok()?;
    let (_cache, stored) = Cache::open(folder.path()).ok()?;
    stored.account.map(Kept)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

impl Kept {
    /// The chat that is open, as the window will open it again.
    pub(crate) fn open(&self) -> Option<Target> {
        let value = self.0.interface.iter().find(|(key, _)| key == "open");
        value.and_then(|(_, value)| serde_json::from_str(value).ok())
    }

    /// The texts that wait to be sent, in order.
    pub(crate) fn waiting(&self) -> Vec<&str> {
        let texts = self.0.outbox.iter().filter_map(|item| match &item.work {
            Work::Send { text, .. } => Some(text.as_str()),
            Work::Edit { .. } | Work::Delete { .. } => None,
        });
        texts.collect()
    }

    /// Typed text that was not sent.
    pub(crate) fn typed(&self) -> Option<&str> {
        self.0.drafts.first().map(|(_, text)| text.as_str())
    }
}
