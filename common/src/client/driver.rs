//! The client's thread: it lets engines do what they ask for, with real sockets, clocks and files.
//!
//! Owns: one poll, the connections and the stores of any number of engines (a window has one, a
//! load generator thousands). Driven by: [`Handle`], from any thread; what happens comes back
//! through one channel of [`Happening`]s. Invariants:
//! - an engine's effects are executed strictly in order; a `Store` that fails ends that engine
//!   before anything behind it happens, so nothing is on the wire that was not stored first;
//! - the handle's wishes are taken in the order given;
//! - without a wish, a byte or a deadline, the thread sleeps.
//!
//! Does not: decide anything, nor draw.

#![expect(
    clippy::disallowed_methods,
    reason = "the rim: this is where the client's thread, clock and sockets are"
)]

mod names;
mod storage;
mod wire;

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, Sender, TryRecvError, unbounded};
use mio::{Events, Poll, Token, Waker};
use ring::rand::{SecureRandom, SystemRandom};

use super::cache::CacheError;
use super::{Command, CommandId, Effect, Engine, Input, Now, Settings, Stored, Update};
pub use storage::Storage;
pub use wire::Encryption;
use wire::Wire;

const WAKER: Token = Token(0);
/// Events taken from one poll.
const EVENTS_MAX: usize = 256;

/// Which engine, by its place in the list given to [`spawn`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EngineId(pub usize);

/// What comes out of the thread.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly every happening is an update")]
pub enum Happening {
    /// Something happened to a person's chat.
    Update(EngineId, Update),
    /// An engine has ended: what it must keep cannot be kept. Nothing that was told to be stored is
    /// lost; the sentence says what to do.
    Ended(EngineId, String),
}

/// One engine to be run.
#[derive(Debug)]
pub struct Member {
    /// Its settings.
    pub settings: Arc<Settings>,
    /// Where it keeps what it must keep.
    pub storage: Storage,
    /// What was kept by earlier lives.
    pub stored: Stored,
    /// How it dials.
    pub encryption: Encryption,
}

/// Speaks to the thread. Dropping it ends the thread, after what was asked before has been
/// executed.
#[derive(Debug)]
pub struct Handle {
    wishes: Option<Sender<(EngineId, CommandId, Command)>>,
    waker: Arc<Waker>,
    thread: Option<JoinHandle<()>>,
}

impl Handle {
    /// Asks an engine for something. It is under way when this returns, not done.
    pub fn command(&self, engine: EngineId, id: CommandId, command: Command) {
        if let Some(wishes) = &self.wishes
            && wishes.send((engine, id, command)).is_ok()
        {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            log::error!("the client's thread cannot be woken: {error}");
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.wishes = None;
        self.wake();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the client's thread has panicked");
        }
    }
}

/// Starts the thread. `notify` is called on it after each turn in which something happened.
///
/// # Errors
/// The system's: no thread, no poll, no randomness.
pub fn spawn(
    members: Vec<Member>,
    notify: Box<dyn Fn() + Send>,
) -> io::Result<(Handle, Receiver<Happening>)> {
    let poll = Poll::new()?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
    let (wishes_sender, wishes) = unbounded();
    let (happenings, happened) = unbounded();
    let random = SystemRandom::new();
    let mut engines = Vec::with_capacity(members.len());
    for Member { settings, storage, stored, encryption } in members {
        let mut seed = [0; 32];
        random.fill(&mut seed).map_err(|_| io::Error::other("the system gives no randomness"))?;
        engines.push(Some(Running {
            engine: Engine::new(settings, stored, seed),
            storage,
            encryption,
            deadline: None,
        }));
    }
    let found = waker.clone();
    let wake = Arc::new(move || {
        if let Err(error) = found.wake() {
            log::error!("the client's thread cannot be woken: {error}");
        }
    });
    let driver = Driver {
        wire: Wire::new(poll, wake),
        touched: (0..engines.len()).collect(),
        engines,
        deadlines: BTreeSet::new(),
        wishes,
        happenings,
        notify,
        news: false,
    };
    let thread = std::thread::Builder::new().name("client".to_owned()).spawn(|| driver.run())?;
    Ok((Handle { wishes: Some(wishes_sender), waker, thread: Some(thread) }, happened))
}

/// The clocks, as an engine is told of them.
fn now() -> Now {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now { instant: Instant::now(), wall_ms: wall.as_millis().try_into().unwrap_or(u64::MAX) }
}

struct Running {
    engine: Engine,
    storage: Storage,
    encryption: Encryption,
    /// As it stands in the book of deadlines.
    deadline: Option<Instant>,
}

struct Driver {
    wire: Wire,
    /// Nothing at the place of an engine that has ended.
    engines: Vec<Option<Running>>,
    /// Engines that were told something in this turn.
    touched: BTreeSet<usize>,
    deadlines: BTreeSet<(Instant, usize)>,
    wishes: Receiver<(EngineId, CommandId, Command)>,
    happenings: Sender<Happening>,
    notify: Box<dyn Fn() + Send>,
    news: bool,
}

impl Driver {
    fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            let is_last = self.take_wishes();
            self.wire.dial_found();
            self.take_ends();
            self.timers();
            self.settle();
            self.wire.flush();
            self.take_ends();
            if std::mem::take(&mut self.news) {
                (self.notify)();
            }
            if is_last {
                return self.wire.say_goodbye();
            }
            if let Err(error) = self.wait(&mut events) {
                log::error!("the client's thread ends: {error}");
                return;
            }
        }
    }

    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        let deadline = self.deadlines.first().map(|(at, _)| *at);
        let timeout = match self.touched.is_empty() {
            true => deadline.map(|at| at.saturating_duration_since(Instant::now())),
            false => Some(std::time::Duration::ZERO),
        };
        self.wire.wait(events, timeout)?;
        for event in events.iter().filter(|event| event.token() != WAKER) {
            self.wire.edge(event.token());
        }
        let now = now();
        let (engines, touched) = (&mut self.engines, &mut self.touched);
        self.wire.read(&mut |engine, input| {
            if let Some(Some(running)) = engines.get_mut(engine) {
                running.engine.handle(input, now);
                touched.insert(engine);
            }
        });
        Ok(())
    }

    /// Says whether the handle is gone and everything that it asked for was taken.
    fn take_wishes(&mut self) -> bool {
        loop {
            match self.wishes.try_recv() {
                Ok((EngineId(engine), id, command)) => {
                    self.tell(engine, Input::Command(id, command));
                }
                Err(TryRecvError::Empty) => return false,
                Err(TryRecvError::Disconnected) => return true,
            }
        }
    }

    fn timers(&mut self) {
        let now = Instant::now();
        while let Some((at, engine)) = self.deadlines.first().copied()
            && at <= now
        {
            self.deadlines.remove(&(at, engine));
            if let Some(Some(running)) = self.engines.get_mut(engine) {
                running.deadline = None;
            }
            self.tell(engine, Input::Timer);
        }
    }

    /// What broke while it was written is told to its engine like any other end.
    fn take_ends(&mut self) {
        for (engine, input) in self.wire.take_ends() {
            self.tell(engine, input);
        }
    }

    fn tell(&mut self, engine: usize, input: Input) {
        if let Some(Some(running)) = self.engines.get_mut(engine) {
            running.engine.handle(input, now());
            self.touched.insert(engine);
        }
    }

    /// Executes what the touched engines ask for, to the end.
    fn settle(&mut self) {
        for engine in std::mem::take(&mut self.touched) {
            let Some(Some(running)) = self.engines.get_mut(engine) else { continue };
            let result = loop {
                let Some(effect) = running.engine.next_effect() else { break Ok(()) };
                match effect {
                    Effect::Update(update) => {
                        self.news = true;
                        let happening = Happening::Update(EngineId(engine), update);
                        if self.happenings.send(happening).is_err() {
                            log::debug!("nobody listens to the client's updates any more");
                        }
                    }
                    Effect::Store(writes) => {
                        if let Err(error) = running.storage.store(writes) {
                            break Err(error);
                        }
                    }
                    Effect::Load(load) => match running.storage.load(load) {
                        Ok(loaded) => running.engine.handle(Input::Loaded(loaded), now()),
                        Err(error) => break Err(error),
                    },
                    Effect::Dial { connection, address, pinned } => {
                        let encryption = running.encryption;
                        self.wire.dial((engine, connection), &address, pinned, encryption);
                    }
                    Effect::Send { connection, line } => self.wire.send((engine, connection), line),
                    Effect::Close { connection } => self.wire.close((engine, connection)),
                }
            };
            if let Some(at) = running.deadline.take() {
                self.deadlines.remove(&(at, engine));
            }
            match result {
                Ok(()) => {
                    running.deadline = running.engine.deadline();
                    self.deadlines.extend(running.deadline.map(|at| (at, engine)));
                }
                Err(error) => self.end(engine, error),
            }
        }
    }

    /// What an engine must keep cannot be kept: it is stopped where it stands.
    fn end(&mut self, engine: usize, error: CacheError) {
        log::error!("stopped: {error}");
        self.engines[engine] = None;
        self.wire.close_all(engine);
        self.news = true;
        let ended = Happening::Ended(EngineId(engine), error.to_string());
        if self.happenings.send(ended).is_err() {
            log::debug!("nobody listens to the client's updates any more");
        }
    }
}
