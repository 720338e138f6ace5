//! Names of machines as addresses.
//!
//! Asking the system may take as long as a name server is silent, and all engines share one thread:
//! so each name is looked up on a thread of its own. Owns: who waits for which name. Driven by:
//! `wire`. Invariants: no call waits; a name is looked up by one thread at a time, however often it
//! is asked for. Does not: remember an address; it may be another one the next time.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, unbounded};

/// What became of a name.
type Found = io::Result<SocketAddr>;
/// Asks the system; may wait.
type LookUp = fn(&str) -> Found;

/// The names that are being looked up, and `W` for each who waits.
pub(super) struct Names<W> {
    waiting: BTreeMap<String, Vec<W>>,
    found: Receiver<(String, Found)>,
    finder: Sender<(String, Found)>,
    look_up: LookUp,
    wake: Arc<dyn Fn() + Send + Sync>,
}

impl<W> Names<W> {
    /// `wake` is called when [`Names::take_found`] has something.
    pub(super) fn new(wake: Arc<dyn Fn() + Send + Sync>) -> Names<W> {
        Names::by(ask_system, wake)
    }

    fn by(look_up: LookUp, wake: Arc<dyn Fn() + Send + Sync>) -> Names<W> {
        let (finder, found) = unbounded();
        Names { waiting: BTreeMap::new(), found, finder, look_up, wake }
    }

    /// Looks `name` (with a port) up for `who`.
    ///
    /// # Errors
    /// The system's, when there can be no thread.
    pub(super) fn ask(&mut self, name: &str, who: W) -> io::Result<()> {
        if let Some(waiting) = self.waiting.get_mut(name) {
            waiting.push(who);
            return Ok(());
        }
        let (look_up, finder, wake) = (self.look_up, self.finder.clone(), self.wake.clone());
        let asked = name.to_owned();
        std::thread::Builder::new().name("name".to_owned()).spawn(move || {
            let found = look_up(&asked);
            // Only at the end of the client is nobody there to hear it.
            if finder.send((asked, found)).is_ok() {
                wake();
            }
        })?;
        self.waiting.insert(name.to_owned(), vec![who]);
        Ok(())
    }

    /// Forgets everybody that `is_gone`; their names' threads end by themselves.
    pub(super) fn forget(&mut self, is_gone: impl Fn(&W) -> bool) {
        self.waiting.values_mut().for_each(|waiting| waiting.retain(|who| !is_gone(who)));
    }

    /// The next name that was found or not, and all who wait for it.
    pub(super) fn take_found(&mut self) -> Option<(Vec<W>, Found)> {
        let (name, found) = self.found.try_recv().ok()?;
        Some((self.waiting.remove(&name).unwrap_or_default(), found))
    }
}

fn ask_system(name: &str) -> Found {
    let address = name.to_socket_addrs()?.next();
    address.ok_or_else(|| io::Error::other("this name has no address"))
}

#[cfg(test)]
mod tests;
