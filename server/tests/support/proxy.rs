//! A wire between two servers that a test can cut, slow down and block: what one server dials goes
//! through here to the other's replica port.
//!
//! It must not lie about deaths: a server takes a refused dial as proof that the other process is
//! gone. So a proxy refuses only while its owner says so ([`Proxy::shut`]), which is after the end
//! of the process behind it and until just before its next start.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// How soon a change is felt by a connection on which nothing moves.
const GLANCE: Duration = Duration::from_millis(10);

/// What the wire does. Forth is from the server that dialled, which is the one that speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Wire {
    /// Carries.
    Whole = 0,
    /// Ends every connection, the new ones too.
    Cut = 1,
    /// Keeps connections and takes new ones, and carries nothing.
    Blocked = 2,
    /// The same, but only forth: answers still come back.
    BlockedForth = 3,
}

#[derive(Debug, Default)]
struct State {
    wire: AtomicU8,
    delay_ms: AtomicU64,
    is_shut: AtomicBool,
}

impl State {
    fn is(&self, wire: Wire) -> bool {
        self.wire.load(Ordering::SeqCst) == wire as u8
    }

    fn blocks(&self, is_forth: bool) -> bool {
        self.is(Wire::Blocked) || (is_forth && self.is(Wire::BlockedForth))
    }

    fn ends(&self) -> bool {
        self.is(Wire::Cut) || self.is_shut.load(Ordering::SeqCst)
    }
}

/// See the module's page.
pub(crate) struct Proxy {
    /// Where it listens.
    pub(crate) from: SocketAddr,
    to: SocketAddr,
    state: Arc<State>,
    listener: Mutex<Option<JoinHandle<()>>>,
}

impl Proxy {
    /// Listens at `from`, and carries to `to`.
    pub(crate) fn open(from: SocketAddr, to: SocketAddr) -> Proxy {
        let proxy = Proxy { from, to, state: Arc::default(), listener: Mutex::new(None) };
        proxy.reopen();
        proxy
    }

    /// What the wire does from now on.
    pub(crate) fn set(&self, wire: Wire) {
        self.state.wire.store(wire as u8, Ordering::SeqCst);
    }

    /// Each piece comes so much later from now on.
    pub(crate) fn delay(&self, by: Duration) {
        let by_ms = u64::try_from(by.as_millis()).expect("a short time");
        self.state.delay_ms.store(by_ms, Ordering::SeqCst);
    }

    /// Nobody listens any more: dials are refused. Only while the process behind it is dead.
    pub(crate) fn shut(&self) {
        self.state.is_shut.store(true, Ordering::SeqCst);
        if let Some(listener) = self.listener.lock().expect("no panic in between").take() {
            while !listener.is_finished() {
                // Wakes it, should it wait for a connection: then it ends.
                drop(TcpStream::connect(self.from));
                std::thread::sleep(GLANCE / 10);
            }
            listener.join().expect("a listener that does not panic");
        }
    }

    /// Listens again.
    pub(crate) fn reopen(&self) {
        let mut place = self.listener.lock().expect("no panic in between");
        if place.is_some() {
            return;
        }
        self.state.is_shut.store(false, Ordering::SeqCst);
        let listener = TcpListener::bind(self.from).expect("a port picked free");
        let (from, to, state) = (self.from, self.to, Arc::clone(&self.state));
        *place = Some(std::thread::spawn(move || {
            let mut listener = Some(listener);
            while let Some(listening) = listener.take() {
                listener = listen(listening, to, &state).then(|| again(from, to, &state)).flatten();
            }
        }));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shut();
    }
}

/// Takes connections until it is shut, or nobody listens behind it: says whether it is the latter.
fn listen(listener: TcpListener, to: SocketAddr, state: &Arc<State>) -> bool {
    while let Ok((near, _)) = listener.accept() {
        if state.is_shut.load(Ordering::SeqCst) {
            return false;
        }
        if state.ends() {
            continue;
        }
        let far = match TcpStream::connect(to) {
            Ok(far) => far,
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => return true,
            Err(_) => continue,
        };
        for (is_forth, from, into) in [(true, &near, &far), (false, &far, &near)] {
            from.set_nodelay(true).expect("a socket");
            from.set_read_timeout(Some(GLANCE)).expect("a socket");
            let (from, into) = (from.try_clone().expect("a socket"), into.try_clone());
            let (into, state) = (into.expect("a socket"), Arc::clone(state));
            std::thread::spawn(move || carry(is_forth, from, into, &state));
        }
    }
    false
}

/// Listens again once somebody does so behind it; nothing if it is shut before.
fn again(from: SocketAddr, to: SocketAddr, state: &State) -> Option<TcpListener> {
    while TcpStream::connect(to).is_err() {
        if state.is_shut.load(Ordering::SeqCst) {
            return None;
        }
        std::thread::sleep(GLANCE / 2);
    }
    let is_shut = state.is_shut.load(Ordering::SeqCst);
    (!is_shut).then(|| TcpListener::bind(from).expect("the port is still ours"))
}

/// Carries one way until one side ends, or the wire is cut.
fn carry(is_forth: bool, mut from: TcpStream, mut into: TcpStream, state: &State) {
    let mut bytes = vec![0; 1 << 16];
    while !state.ends() {
        if state.blocks(is_forth) {
            std::thread::sleep(GLANCE);
            continue;
        }
        let count = match from.read(&mut bytes) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                continue;
            }
            Err(_) => break,
        };
        std::thread::sleep(Duration::from_millis(state.delay_ms.load(Ordering::SeqCst)));
        while state.blocks(is_forth) && !state.ends() {
            std::thread::sleep(GLANCE);
        }
        if into.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    // Either end ends both: each side then hears an end of stream, never a refusal.
    from.shutdown(Shutdown::Both).ok();
    into.shutdown(Shutdown::Both).ok();
}
