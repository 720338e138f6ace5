//! The doors' vocabulary: what the machine is told, what it asks for, what it says about itself.
//!
//! Owns: [`Input`], [`Effect`] and what goes with them. Driven by: `node` and the simulator.
//! Invariant: plain data, closed enums. Does not: decide.

use std::sync::Arc;

use holdfast_common::ids::ServerId;

use super::log::Append;
use super::rules::Rules;
use super::time::{Moment, Now};
use super::wire::{Hello, Message, Place};
use super::{Part, Replication, WAITING_BYTES_MAX, WAITING_ENTRIES_MAX, holds};
use crate::entry::{
    Ballot, ClusterId, Entry, HardState, Incarnation, Index, Origins, Payload, View,
};

/// What may be done when nobody can decide: replication.md, section 9.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Policy {
    /// A last survivor goes on alone when it has proofs of all other deaths.
    Proof,
    /// Ten seconds of silence count as proof: both sides of a split may serve.
    Timeout,
    /// Nobody ever goes on alone.
    Majority,
}

/// What the machine must know of the configuration, and the randomness of this life.
#[derive(Debug, Clone, Hash)]
pub struct Settings {
    /// All servers of the cluster, ascending.
    pub servers: Vec<ServerId>,
    /// What a last survivor may do.
    pub policy: Policy,
    /// A primary says something at least this often.
    pub heartbeat_ms: u64,
    /// Silence of a primary after which others stand for election.
    pub election_ms: u64,
    /// Silence of a member after which it is removed without proof.
    pub remove_ms: u64,
    /// Whether an older store was set aside: then this one founds no cluster.
    pub has_set_aside: bool,
    /// Committed entries kept in memory for backups that are a little behind.
    pub memory_entries: usize,
    /// Spreads this life's timers.
    pub seed: u64,
    /// The id that a new cluster gets; random, unused on an old store.
    pub fresh_cluster: ClusterId,
    /// Nothing, outside of tests.
    pub rules: Rules,
}

/// What the journal and the tables remember of former lives.
#[derive(Debug, Clone)]
pub struct Recovered {
    /// The hard state of the newest durable frame.
    pub hard_state: HardState,
    /// Everything up to here is applied, and thereby committed.
    pub applied: Index,
    /// The ballot of that entry.
    pub applied_ballot: Ballot,
    /// The view in force at `applied`; none in a new store.
    pub view: Option<View>,
    /// The entries behind `applied`.
    pub tail: Vec<Entry>,
    /// Where the ballots of all these and of earlier entries begin, as far as is known.
    pub origins: Origins,
}

impl Recovered {
    /// The cluster that the store belongs to; none for a new one.
    pub fn cluster(&self) -> Option<ClusterId> {
        let in_tail = self.tail.iter().rev().find_map(|entry| match &entry.payload {
            Payload::View(view) => Some(view.cluster),
            Payload::Nothing | Payload::Operation(_) => None,
        });
        in_tail.or(self.view.as_ref().map(|view| view.cluster))
    }

    /// The last index of the log.
    pub fn last(&self) -> Index {
        self.tail.last().map_or(self.applied, |entry| entry.index)
    }
}

/// What a dial found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// The connection was refused: nobody listens there.
    Refused,
    /// Somebody answered.
    Hello(Hello),
    /// Anything else: time-out, reset, unreachable. Proves nothing.
    Nothing,
}

/// Who needs entries that are no longer in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A backup that is behind.
    Append(Incarnation),
    /// A candidate's catching up, in this attempt of it.
    Pull(Incarnation, u64),
}

/// What the machine is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The append of this number is durable.
    Appended {
        /// Its number.
        number: u64,
    },
    /// A link that I dialled stands: what I send to this incarnation goes over it.
    Opened {
        /// What the other side said.
        hello: Hello,
        /// When the dial began.
        began: Moment,
    },
    /// A link that I dialled has ended.
    Closed {
        /// To whom it stood.
        peer: Incarnation,
    },
    /// A link that another server dialled stands.
    Heard(Hello),
    /// A link that another server dialled has ended.
    Ended {
        /// From whom it came.
        peer: Incarnation,
    },
    /// Something came over a link that this incarnation dialled.
    Message {
        /// Whose it is, by the link's Hello.
        from: Incarnation,
        /// What it says.
        message: Message,
    },
    /// A dial came to something: one that was asked for, or one of the node's own for a link.
    Probed {
        /// Whom it was for.
        server: ServerId,
        /// When it began.
        began: Moment,
        /// What it found.
        probe: Probe,
    },
    /// Entries that were asked for with [`Effect::Read`].
    Read {
        /// Who needs them.
        purpose: Purpose,
        /// The place before the first one; none: it is not in my log any more.
        previous: Option<Place>,
        /// The entries, dense.
        entries: Vec<Entry>,
    },
    /// A snapshot has replaced the whole store.
    Installed {
        /// Where it stands.
        place: Place,
        /// The view in force there.
        view: View,
    },
    /// A new life is durable, all links have ended, and links from now on say its Hello.
    NewLife(Incarnation),
    /// The server stops: leave the view.
    Leave,
    /// The administrator's word that the disks of all other servers are gone.
    ForceSurvivor,
    /// The deadline has come. Feed it behind the other inputs of a turn: after a long stall, what
    /// is queued is news that a timer must not overtake.
    Timer,
}

/// What the machine asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Put this on disk; answer with [`Input::Appended`] when it is synced.
    Append(Append),
    /// These entries are committed: apply them, in order.
    Committed(Vec<Entry>),
    /// Send over the link that I dialled to this very incarnation; if there is none, drop it.
    Send {
        /// To whom.
        to: Incarnation,
        /// What.
        message: Message,
    },
    /// Dial this server's replica port now; answer with [`Input::Probed`].
    Probe(ServerId),
    /// Read entries of my log from disk, about a megabyte; answer with [`Input::Read`].
    Read {
        /// What stands before the first one.
        after: Index,
        /// The last one.
        upto: Index,
        /// Who needs them.
        purpose: Purpose,
    },
    /// Stream a snapshot to this server: my log does not reach back to what it lacks.
    Snapshot {
        /// To whom.
        to: Incarnation,
    },
    /// Make a new life of this store durable, end all links; answer with [`Input::NewLife`].
    NewLife,
    /// What this store has committed is not what the cluster has: write what follows this index to
    /// a file, set the store aside, and start again on an empty one.
    Diverged {
        /// Up to here both are equal.
        after: Index,
    },
    /// I have left the view, or waited long enough: the process may end.
    Left,
}

/// Why a server cannot serve alone.
#[derive(Debug, thiserror::Error)]
pub enum CannotStart {
    /// The view names servers whose votes are needed.
    #[error("this store belongs to a cluster of {members} servers: it cannot serve alone")]
    NotAlone {
        /// How many the view in force has.
        members: usize,
    },
}

/// Why a proposal was not taken; nothing was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Too much waits already.
    Busy,
    /// This server is not the primary.
    NotPrimary,
}

/// What a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Follows, or waits for somebody to follow.
    Backup,
    /// Stands for election.
    Candidate,
    /// Writes the one record of a takeover.
    TakingOver,
    /// Leads.
    Primary,
}

impl Replication {
    /// This life.
    pub fn incarnation(&self) -> Incarnation {
        self.me
    }

    /// What this server says first on each link.
    pub fn hello(&self) -> Hello {
        Hello {
            incarnation: self.me,
            cluster: self.log.cluster(),
            committed: self.log.committed(),
            is_fresh: self.log.is_empty() && !self.settings.has_set_aside,
        }
    }

    /// The ballot that this server leads in, or else the highest that it promised.
    pub fn ballot(&self) -> Ballot {
        match &self.part {
            Part::Primary(primary) => primary.ballot(),
            Part::Backup(_) | Part::Candidate(_) | Part::TakingOver(_) => self.log.promise(),
        }
    }

    /// The cluster's id; of no cluster yet: the one that it would get here.
    pub fn cluster(&self) -> ClusterId {
        self.log.cluster().unwrap_or(self.settings.fresh_cluster)
    }

    /// The cluster's id once no other can come: the first view is known to be committed. Who is
    /// alone gives it, and gives no other in this life.
    pub fn settled_cluster(&self) -> Option<ClusterId> {
        let is_settled = self.commit() > Index(0) || self.settings.servers.len() == 1;
        is_settled.then(|| self.cluster())
    }

    /// Everything up to here is known to be committed.
    pub fn commit(&self) -> Index {
        self.log.commit()
    }

    /// The last place of the log.
    pub fn last(&self) -> Place {
        self.log.last()
    }

    /// Until this index is applied, the state may lack writes that the cluster has acknowledged. No
    /// index is high enough while no primary is known.
    pub fn opening(&self) -> Index {
        match &self.part {
            Part::Primary(primary) => primary.opening(),
            Part::Backup(backup) => backup.opening().unwrap_or(Index(u64::MAX)),
            Part::Candidate(_) | Part::TakingOver(_) => Index(u64::MAX),
        }
    }

    /// Up to here a state holds everything that anybody has acknowledged by this moment; nothing
    /// while this server cannot know. A primary knows it as long as its lease runs: nothing commits
    /// without a member that was not removed. One that leaves is removed without a wait, so it is a
    /// member no more although its lease runs; and a view of one may be another's. Before its own
    /// first entry is committed, it may lack knowledge of what its predecessor committed.
    pub fn read_index(&self, at: Moment) -> Option<Index> {
        let Part::Primary(primary) = &self.part else { return None };
        let is_alone = self.log.live_views().iter().all(|placed| placed.view.members.len() == 1);
        let counts = self.is_member() || !holds!(self.settings.rules, ReadAsMember);
        let leads = counts && (is_alone || self.lease.covers(at));
        (leads && self.log.commit() >= primary.opening()).then_some(self.log.commit())
    }

    /// What this server is.
    pub fn role(&self) -> Role {
        match &self.part {
            Part::Primary(_) => Role::Primary,
            Part::Backup(_) => Role::Backup,
            Part::Candidate(_) => Role::Candidate,
            Part::TakingOver(_) => Role::TakingOver,
        }
    }

    /// Whom operations are forwarded to: whoever leads, once this log has come to its generation;
    /// before, names and ids may mean something else there.
    pub fn forwards_to(&self) -> Option<Incarnation> {
        let is_compared = self.log.last().ballot.generation == self.log.promise().generation;
        self.primary().filter(|_| is_compared)
    }

    /// Whom this server follows, or itself if it leads.
    pub fn primary(&self) -> Option<Incarnation> {
        match &self.part {
            Part::Primary(_) => Some(self.me),
            Part::Backup(backup) => backup.primary(),
            Part::Candidate(_) | Part::TakingOver(_) => None,
        }
    }

    /// Takes an operation; it is committed when an [`Effect::Committed`] holds its index in
    /// [`Replication::ballot`]. Another ballot there means that another primary's entry took the
    /// place.
    ///
    /// # Errors
    /// [`Refused`]
    pub fn propose(&mut self, operation: Arc<[u8]>) -> Result<Index, Refused> {
        let Part::Primary(primary) = &self.part else { return Err(Refused::NotPrimary) };
        let (entries, bytes) = self.log.waiting();
        if entries >= WAITING_ENTRIES_MAX as u64 || bytes >= WAITING_BYTES_MAX {
            return Err(Refused::Busy);
        }
        Ok(self.log.push(primary.ballot(), Payload::Operation(operation)))
    }

    /// Whoever applies has enough to do for now, or not any more: committed entries stay here
    /// meanwhile, and the primary is told to send no more than may gather.
    pub fn hold_back(&mut self, holds_back: bool) {
        self.log.hold_back(holds_back);
    }

    /// Whether everything that was taken is committed and handed out.
    pub fn is_idle(&self) -> bool {
        self.log.is_idle()
    }

    /// Whom a primary has asked whether they would be the next view.
    #[cfg(test)]
    pub(crate) fn asks(&self) -> &[Incarnation] {
        match &self.part {
            Part::Primary(primary) => primary.asks(),
            Part::Backup(_) | Part::Candidate(_) | Part::TakingOver(_) => &[],
        }
    }

    /// How many others support the vote that a candidate has called.
    #[cfg(test)]
    pub(crate) fn votes(&self) -> Option<usize> {
        match &self.part {
            Part::Candidate(candidate) => candidate.votes(),
            Part::Backup(_) | Part::TakingOver(_) | Part::Primary(_) => None,
        }
    }

    /// The moment of the newest input.
    pub fn now(&self) -> Now {
        self.now
    }
}
