//! What servers say to each other: the messages of replication, as plain data.
//!
//! Owns: [`Hello`] and [`Message`]. Driven by: the machine, which makes and takes them, and the
//! node, which puts them on a link (postcard, one frame each). Invariants: a message means the same
//! to whoever gets it whenever it comes, since it names its ballot or its attempt; each carries
//! what its sender knows to be committed. Does not: say how bytes travel; links keep their order
//! and lose only their end.

use serde::{Deserialize, Serialize};

use super::time::Stamp;
use crate::entry::{Ballot, ClusterId, Entry, Incarnation, Index, Origins, View};

/// No counter of a cluster comes near this within a thousand years; with what is beyond, sums could
/// overflow.
const COUNTER_MAX: u64 = 1 << 60;
/// Members of a view at most: the servers of the largest cluster.
const MEMBERS_MAX: usize = 7;

/// Place of an entry together with its ballot: names one entry for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Its ballot; first, so that places compare as logs do.
    pub ballot: Ballot,
    /// Its index.
    pub index: Index,
}

impl Place {
    /// Before the first entry.
    pub const START: Place = Place { ballot: Ballot::NONE, index: Index(0) };
}

/// What a server says first on each link, in either direction.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Hello {
    /// Who it is.
    pub incarnation: Incarnation,
    /// Its cluster; none for a store that belongs to no cluster yet.
    pub cluster: Option<ClusterId>,
    /// The newest entry that it knows to be committed.
    pub committed: Place,
    /// Whether it may take part in a first start: its log is empty, and no older store was set
    /// aside.
    pub is_fresh: bool,
}

/// What one machine says to another.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Message {
    /// Primary to everybody: entries, commit index, heartbeat.
    Append(Append),
    /// Its answer.
    Answer(Answer),
    /// Would you vote for me? Binds nobody.
    Canvass(Canvass),
    /// Vote for me.
    Vote(Vote),
    /// The answer to either.
    Opinion(Opinion),
    /// Give me what you have behind this place of my log.
    Pull(Pull),
    /// Its answer.
    Suffix(Suffix),
    /// Primary to whoever follows it and knows to be committed what its log never had.
    History(History),
}

/// Entries, commit index and heartbeat of a primary.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Append {
    /// In which ballot.
    pub ballot: Ballot,
    /// Of which cluster.
    pub cluster: ClusterId,
    /// The entry before the first one.
    pub previous: Place,
    /// What follows it; may be empty.
    pub entries: Vec<Entry>,
    /// The newest committed entry.
    pub committed: Place,
    /// All members of the view in force know that everything up to here is committed.
    pub known_by_all: Index,
    /// The primary's newest round; counted in each ballot.
    pub round: u64,
    /// The newest view of the primary's log stands here.
    pub view: Index,
    /// The receiver's newest stamp that is granted. It extends no lease while the receiver's log
    /// lacks that view: one that was removed and is being admitted again would use it for its old
    /// view.
    pub granted: Option<Stamp>,
}

/// A backup's answer to an [`Append`], and again whenever more of its log is durable.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Answer {
    /// The ballot that is answered.
    pub ballot: Ballot,
    /// The sender's promise: above `ballot`, the append was refused.
    pub promise: Ballot,
    /// The newest round that was heard.
    pub round: u64,
    /// The sender's clock.
    pub stamp: Stamp,
    /// The sender's store has all of the primary's log up to here.
    pub durable: Index,
    /// The newest entry that the sender knows to be committed.
    pub committed: Place,
    /// The entry before the first one was missing: send again from behind this index.
    pub resend_after: Option<Index>,
    /// The sender wants to leave the view.
    pub is_leaving: bool,
}

/// A question before an election.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Canvass {
    /// Which attempt of this candidate; counted in its life.
    pub attempt: u64,
    /// The last entry of the candidate's log.
    pub last: Place,
    /// Whether the candidate is active; if not, this is a cold start.
    pub is_active: bool,
    /// The newest entry that the candidate knows to be committed.
    pub committed: Place,
}

/// A candidacy.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Vote {
    /// In which ballot.
    pub ballot: Ballot,
    /// As in the canvass before it.
    pub canvass: Canvass,
}

/// The answer to a [`Canvass`] or a [`Vote`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Opinion {
    /// The attempt that is answered.
    pub attempt: u64,
    /// The ballot that is voted on; none in a canvass.
    pub ballot: Option<Ballot>,
    /// Whether it is a yes. A yes to a vote is durable.
    pub is_yes: bool,
    /// The sender's log ends here. Above the candidate's: it has to catch up first.
    pub last: Place,
    /// The sender's promise.
    pub promise: Ballot,
    /// The highest round that the sender has heard of, in any generation.
    pub highest_round: u64,
    /// Whether the sender's log is empty and it may take part in a first start.
    pub is_fresh: bool,
    /// The newest entry that the sender knows to be committed.
    pub committed: Place,
}

/// A candidate that is behind asks for what it lacks.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pull {
    /// The attempt that was refused.
    pub attempt: u64,
    /// What follows this index, of which both have the same entry.
    pub after: Index,
}

/// What a candidate lacked, or its beginning.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Suffix {
    /// The attempt that was refused.
    pub attempt: u64,
    /// The entry before the first one.
    pub previous: Place,
    /// What follows it.
    pub entries: Vec<Entry>,
    /// The newest entry that the sender knows to be committed.
    pub committed: Place,
}

/// Which log a primary leads.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct History {
    /// In which ballot.
    pub ballot: Ballot,
    /// Where each ballot begins in its log.
    pub origins: Origins,
    /// Where it ends.
    pub last: Index,
}

fn is_sound_ballot(ballot: Ballot) -> bool {
    ballot.generation < COUNTER_MAX && ballot.round < COUNTER_MAX
}

impl Place {
    /// Whether it can be the place of an entry.
    pub fn is_sound(self) -> bool {
        is_sound_ballot(self.ballot) && self.index.0 < COUNTER_MAX
    }
}

impl Hello {
    /// Whether a correct server could say this.
    pub fn is_sound(&self) -> bool {
        self.committed.is_sound() && self.incarnation.life < COUNTER_MAX
    }
}

impl Message {
    /// Whether a correct server could say this, whatever its log holds: the machine takes for
    /// granted what is checked here.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), &'static str> {
        let (ballot, places) = match self {
            Message::Append(append) => {
                check_entries(append.previous, &append.entries)?;
                let last = append.entries.last().map_or(append.previous.ballot, |e| e.ballot);
                if last > append.ballot {
                    return Err("an entry of a ballot above its sender's");
                }
                let is_foreign = |view: &View| view.cluster != append.cluster;
                if append.entries.iter().filter_map(Entry::view).any(is_foreign) {
                    return Err("a view of another cluster");
                }
                let known = Place { index: append.known_by_all, ..Place::START };
                let view = Place { index: append.view, ..Place::START };
                (append.ballot, vec![append.committed, known, view])
            }
            Message::Answer(answer) => {
                let durable = Place { ballot: answer.promise, index: answer.durable };
                let resend = answer.resend_after.unwrap_or_default();
                let resend = Place { index: resend, ..Place::START };
                (answer.ballot, vec![answer.committed, durable, resend])
            }
            Message::Canvass(canvass) => (Ballot::NONE, vec![canvass.last, canvass.committed]),
            Message::Vote(vote) => (vote.ballot, vec![vote.canvass.last, vote.canvass.committed]),
            Message::Opinion(opinion) => {
                let heard = Ballot { round: opinion.highest_round, ..opinion.promise };
                let heard = Place { ballot: heard, ..Place::START };
                let promise = Place { ballot: opinion.promise, ..Place::START };
                let ballot = opinion.ballot.unwrap_or(Ballot::NONE);
                (ballot, vec![opinion.last, opinion.committed, heard, promise])
            }
            Message::Pull(pull) => {
                (Ballot::NONE, vec![Place { index: pull.after, ..Place::START }])
            }
            Message::History(history) => {
                let last = Place { index: history.last, ..Place::START };
                let Some((index, ballot)) = history.origins.newest_if_sound() else {
                    return Err("ballots that begin out of order");
                };
                (history.ballot, vec![last, Place { ballot, index }])
            }
            Message::Suffix(suffix) => {
                check_entries(suffix.previous, &suffix.entries)?;
                (Ballot::NONE, vec![suffix.committed])
            }
        };
        match is_sound_ballot(ballot) && places.into_iter().all(Place::is_sound) {
            true => Ok(()),
            false => Err("a counter beyond all reason"),
        }
    }
}

/// Entries stand behind each other, and ballots never fall.
fn check_entries(previous: Place, entries: &[Entry]) -> Result<(), &'static str> {
    let mut before = previous;
    for entry in entries {
        let place = Place { ballot: entry.ballot, index: entry.index };
        if !before.is_sound() || !place.is_sound() {
            return Err("a counter beyond all reason");
        }
        if place.index != before.index.next() {
            return Err("entries with a gap");
        }
        if place.ballot < before.ballot {
            return Err("a ballot that falls");
        }
        if let Some(view) = entry.view()
            && (view.members.is_empty() || view.members.len() > MEMBERS_MAX)
        {
            return Err("a view of no or of too many members");
        }
        before = place;
    }
    if before.is_sound() { Ok(()) } else { Err("a counter beyond all reason") }
}

#[cfg(test)]
mod tests;
