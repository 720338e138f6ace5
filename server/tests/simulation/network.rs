//! The network as TCP shows it: bytes in order until a connection ends, paths that delay and stall
//! one way, dials that are refused or go unanswered.
//!
//! Owns: the paths between machines and the connections over them. Driven by: the world.
//! Invariants: nothing overtakes on a connection but its end; what is under way when a path stalls
//! comes when the stall is over; of a connection that is over nothing comes any more. Does not:
//! know what a line means, or cut one: a line whose end does not come is none.

use std::collections::BTreeMap;

use super::Us;
use crate::sim::workers::Random;

/// A connection, or the try to make one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PipeId(pub(crate) u64);

/// Which end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Dialler,
    Listener,
}

impl Side {
    pub(crate) fn other(self) -> Side {
        match self {
            Side::Dialler => Side::Listener,
            Side::Listener => Side::Dialler,
        }
    }
}

/// Which port was dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    Client,
    Replica,
}

/// A process on a machine: the epoch counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) machine: usize,
    pub(crate) epoch: u64,
}

/// What travels.
#[derive(Debug, Clone)]
pub(crate) enum Packet {
    /// A dial.
    Syn,
    /// Nobody listens.
    Refused,
    /// The dial is answered: by the kernel at a client port, by the process where TLS is spoken.
    Welcome,
    /// The dialler's end of the handshake.
    Ready,
    /// One line or frame.
    Data(Vec<u8>),
    /// Nothing follows.
    End,
}

impl Packet {
    /// A number for the digest of a run.
    pub(crate) fn digest(&self) -> u64 {
        match self {
            Packet::Syn => 1,
            Packet::Refused => 2,
            Packet::Welcome => 3,
            Packet::Ready => 4,
            Packet::Data(bytes) => u64::from(crc32c::crc32c(bytes)) << 8 | 5,
            Packet::End => 6,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct End {
    place: Place,
    /// What was sent last to this end comes then.
    last_us: Us,
    is_over: bool,
}

#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) door: Door,
    /// The dialler has heard that it is.
    is_answered: bool,
    dialler: End,
    listener: End,
}

impl Pipe {
    fn end(&self, side: Side) -> &End {
        match side {
            Side::Dialler => &self.dialler,
            Side::Listener => &self.listener,
        }
    }

    fn end_mut(&mut self, side: Side) -> &mut End {
        match side {
            Side::Dialler => &mut self.dialler,
            Side::Listener => &mut self.listener,
        }
    }

    pub(crate) fn place(&self, side: Side) -> Place {
        self.end(side).place
    }

    pub(crate) fn is_over(&self, side: Side) -> bool {
        self.end(side).is_over
    }

    pub(crate) fn is_answered(&self) -> bool {
        self.is_answered
    }

    /// The dialler hears that its dial is answered.
    pub(crate) fn answered(&mut self) {
        self.is_answered = true;
    }

    /// Which process has taken the dial.
    pub(crate) fn taken_by(&mut self, epoch: u64) {
        self.listener.place.epoch = epoch;
    }
}

/// One direction between two machines.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Path {
    pub(crate) delay_us: (Us, Us),
    pub(crate) stalled_until: Us,
}

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Network {
    /// From, to.
    paths: Vec<Vec<Path>>,
    pipes: BTreeMap<PipeId, Pipe>,
    next: u64,
    random: Random,
}

impl Network {
    pub(crate) fn new(machines: usize, delay_us: (Us, Us), random: Random) -> Network {
        let path = Path { delay_us, stalled_until: 0 };
        let paths = vec![vec![path; machines]; machines];
        Network { paths, pipes: BTreeMap::new(), next: 1, random }
    }

    pub(crate) fn path_mut(&mut self, from: usize, to: usize) -> &mut Path {
        &mut self.paths[from][to]
    }

    /// Until when nothing comes through.
    pub(crate) fn stalled_until(&self, from: usize, to: usize) -> Us {
        self.paths[from][to].stalled_until
    }

    pub(crate) fn pipe(&self, id: PipeId) -> Option<&Pipe> {
        self.pipes.get(&id)
    }

    pub(crate) fn pipe_mut(&mut self, id: PipeId) -> Option<&mut Pipe> {
        self.pipes.get_mut(&id)
    }

    /// A new connection, to be dialled.
    pub(crate) fn dial(&mut self, from: Place, machine: usize, door: Door) -> PipeId {
        let id = PipeId(self.next);
        self.next += 1;
        let end = |place| End { place, last_us: 0, is_over: false };
        let nobody = Place { machine, epoch: 0 };
        self.pipes.insert(
            id,
            Pipe { door, is_answered: false, dialler: end(from), listener: end(nobody) },
        );
        id
    }

    /// When what is sent now to one end will come; nothing if that connection is over.
    pub(crate) fn sends(&mut self, now: Us, id: PipeId, to: Side) -> Option<Us> {
        let at = self.travels(now, id, to)?;
        let end = self.pipes.get_mut(&id)?.end_mut(to);
        end.last_us = at.max(end.last_us);
        Some(end.last_us)
    }

    /// The same for what overtakes: a reset.
    pub(crate) fn travels(&mut self, now: Us, id: PipeId, to: Side) -> Option<Us> {
        let pipe = self.pipes.get(&id)?;
        let (from, to) = (pipe.place(to.other()).machine, pipe.place(to).machine);
        let Path { delay_us: (least, most), stalled_until } = self.paths[from][to];
        let jitter = self.random.next() % (most - least + 1);
        Some(now.max(stalled_until) + least + jitter)
    }

    /// One end hears nothing more.
    pub(crate) fn over(&mut self, id: PipeId, side: Side) {
        let Some(pipe) = self.pipes.get_mut(&id) else { return };
        pipe.end_mut(side).is_over = true;
        if pipe.dialler.is_over && pipe.listener.is_over {
            self.pipes.remove(&id);
        }
    }

    /// The connections with an end at a machine, and which end that is.
    pub(crate) fn at(&self, machine: usize) -> Vec<(PipeId, Side)> {
        let mut found = Vec::new();
        for (id, pipe) in &self.pipes {
            for side in [Side::Dialler, Side::Listener] {
                if pipe.place(side).machine == machine {
                    found.push((*id, side));
                }
            }
        }
        found
    }

    /// The connections between two machines.
    pub(crate) fn between(&self, one: usize, other: usize) -> Vec<PipeId> {
        let joins = |pipe: &Pipe| {
            let ends = (pipe.dialler.place.machine, pipe.listener.place.machine);
            ends == (one, other) || ends == (other, one)
        };
        self.pipes.iter().filter(|(_, pipe)| joins(pipe)).map(|(id, _)| *id).collect()
    }
}
