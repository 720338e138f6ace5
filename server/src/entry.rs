//! The records that journal, tables and replication share, so that these three never need to meet.
//!
//! Owns: the shape of an entry and of what stands beside it on disk; [`Origins`] compares two logs.
//! Driven by: everybody above.
//! Invariant: these are plain values; an entry never changes once it has an index and a ballot.
//! Does not: know what an operation means (`chat`), nor when an entry counts (`replication`).

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use holdfast_common::ids::ServerId;
use serde::{Deserialize, Serialize};

/// Place of an entry in the log, from 1; 0 is the place before the first one.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Index(pub u64);

impl Index {
    /// The place behind this one.
    pub const fn next(self) -> Index {
        Index(self.0 + 1)
    }

    /// The place before this one; the place before the first stays where it is.
    pub const fn previous(self) -> Index {
        Index(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a primary holds while it leads; at most one primary a ballot. Ordered by generation (how
/// many takeovers came before), then round, then server: replication.md, section 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ballot {
    /// Counts takeovers and restores.
    pub generation: u64,
    /// Counts elections, over all generations.
    pub round: u64,
    /// Whose it is.
    pub server: ServerId,
}

impl Ballot {
    /// Below every ballot that anybody was ever given.
    pub const NONE: Ballot = Ballot { generation: 0, round: 0, server: ServerId(0) };
}

/// Numbers of servers are below this.
const SERVERS: u64 = 8;

/// The first generation above this one that is this server's to open. No two servers open the same
/// one: two that go on alone at once, without a proof, lead histories that a cursor tells apart.
pub fn generation_above(generation: u64, server: ServerId) -> u64 {
    let own = u64::from(server.0) % SERVERS;
    let above = generation + 1;
    above + (own + SERVERS - above % SERVERS) % SERVERS
}

impl fmt::Display for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.generation, self.round, self.server)
    }
}

/// One life of a data folder: random, made when the folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StoreId(pub u64);

/// One life of one store in one process. A dead one never acts again: its next start is another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Incarnation {
    /// The server's number.
    pub server: ServerId,
    /// Its data folder's life.
    pub store: StoreId,
    /// Counts starts on that store, durable before the first message leaves.
    pub life: u64,
}

/// The cluster's identity, minted with its first view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClusterId(pub [u8; 16]);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&holdfast_common::ids::hex(&self.0))
    }
}

/// Who must hold whatever follows this entry before it counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct View {
    /// The cluster it belongs to, the same in every view.
    pub cluster: ClusterId,
    /// By server number; never empty.
    pub members: Vec<Incarnation>,
}

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Payload {
    /// Nothing: a primary's first entry, when it has nothing else to say.
    Nothing,
    /// The view in force from here on.
    View(View),
    /// A chat operation, in `chat`'s encoding.
    Operation(Arc<[u8]>),
}

/// One record of the log.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Entry {
    /// Where it stands.
    pub index: Index,
    /// Who put it there.
    pub ballot: Ballot,
    /// What it says.
    pub payload: Payload,
}

impl Entry {
    /// The view that it names, if it does.
    pub fn view(&self) -> Option<&View> {
        match &self.payload {
            Payload::View(view) => Some(view),
            Payload::Operation(_) | Payload::Nothing => None,
        }
    }

    /// What it counts against bounds of memory and of messages: its operation, and something for
    /// what stands around it.
    pub fn bytes(&self) -> usize {
        match &self.payload {
            Payload::Operation(bytes) => bytes.len() + 64,
            Payload::View(_) | Payload::Nothing => 64,
        }
    }
}

/// What a server must remember over a crash beside its log; it stands in every frame of the
/// journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HardState {
    /// The highest ballot promised: nothing below it is accepted. Never below the last entry's.
    pub promise: Ballot,
    /// Everything up to here is known to be committed.
    pub commit: Index,
}

impl HardState {
    /// Of a store that has promised and seen nothing.
    pub const NONE: HardState = HardState { promise: Ballot::NONE, commit: Index(0) };
}

/// Where each ballot begins in a log. Two logs that have the same ballot at one index are equal up
/// to there, so this much of each tells where they part.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Origins {
    /// What is known begins here: the place of each ballot's first entry that is known, ascending.
    first: VecDeque<(Index, Ballot)>,
}

/// Elections that are remembered: of a log that old, nobody asks for more.
const ORIGINS_MAX: usize = 1_024;

impl Origins {
    /// Of a log of which nothing before this place is known.
    pub fn from(index: Index, ballot: Ballot) -> Origins {
        Origins { first: VecDeque::from([(index, ballot)]) }
    }

    /// An entry follows the last one.
    pub fn push(&mut self, index: Index, ballot: Ballot) {
        if self.first.back().is_none_or(|(_, last)| *last != ballot) {
            self.first.push_back((index, ballot));
        }
        if self.first.len() > ORIGINS_MAX {
            self.first.pop_front();
        }
    }

    /// Everything behind this index is dropped.
    pub fn cut_after(&mut self, index: Index) {
        while self.first.back().is_some_and(|(first, _)| *first > index) {
            self.first.pop_back();
        }
    }

    /// The ballot of the entry at `index` of a log that reaches as far, where it is known.
    pub fn ballot_at(&self, index: Index) -> Option<Ballot> {
        let at = self.first.partition_point(|(first, _)| *first <= index).checked_sub(1)?;
        self.first.get(at).map(|(_, ballot)| *ballot)
    }

    /// The last index at which both logs, which end at `last` and `their_last`, have the same
    /// entry; if no such place is known, the one before what is known of both.
    pub fn last_common(&self, last: Index, theirs: &Origins, their_last: Index) -> Index {
        let known = |origins: &Origins| origins.first.front().map_or(Index(0), |(first, _)| *first);
        let from = known(self).max(known(theirs));
        let starts = self.first.iter().chain(&theirs.first).map(|(first, _)| first.previous());
        let mut places: Vec<Index> = starts.chain([last, their_last]).collect();
        places.retain(|place| *place >= from && *place <= last && *place <= their_last);
        let is_same = |place: &Index| self.ballot_at(*place) == theirs.ballot_at(*place);
        let before = from.previous().min(last).min(their_last);
        places.into_iter().filter(is_same).max().unwrap_or(before)
    }

    /// The highest of them, if a log could be so: for whoever gets them over a link.
    pub fn newest_if_sound(&self) -> Option<(Index, Ballot)> {
        let mut places = self.first.iter().zip(self.first.iter().skip(1));
        let rises = places.all(|(one, next)| one.0 < next.0 && one.1 < next.1);
        self.first.back().copied().filter(|_| rises && self.first.len() <= ORIGINS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ballot(generation: u64, round: u64) -> Ballot {
        Ballot { generation, round, server: ServerId(1) }
    }

    /// A log of runs of entries, one run a ballot.
    fn log(runs: &[(u64, Ballot)]) -> (Origins, Index) {
        let mut origins = Origins::from(Index(0), Ballot::NONE);
        let mut last = Index(0);
        for (count, ballot) in runs {
            for _ in 0..*count {
                last = last.next();
                origins.push(last, *ballot);
            }
        }
        (origins, last)
    }

    #[test]
    fn two_logs_part_behind_the_last_place_where_both_have_one_ballot() {
        let (mine, my_last) = log(&[(5, ballot(1, 1)), (4, ballot(1, 2))]);
        let common = |runs: &[(u64, Ballot)]| {
            let (theirs, their_last) = log(runs);
            let found = mine.last_common(my_last, &theirs, their_last);
            assert_eq!(found, theirs.last_common(their_last, &mine, my_last));
            found.0
        };
        assert_eq!(common(&[(5, ballot(1, 1)), (9, ballot(2, 3))]), 5, "where both go on");
        assert_eq!(common(&[(3, ballot(1, 1)), (9, ballot(2, 3))]), 3, "within a ballot");
        assert_eq!(common(&[(7, ballot(1, 1)), (9, ballot(2, 3))]), 5, "a tail of no use");
        assert_eq!(common(&[(5, ballot(1, 1)), (2, ballot(1, 2))]), 7, "the shorter one's end");
        assert_eq!(common(&[(4, ballot(2, 3))]), 0, "nothing but the start");
    }

    #[test]
    fn each_server_opens_generations_of_its_own_above_all_that_it_knows() {
        for generation in 0..100 {
            for number in 1..=7 {
                let opened = generation_above(generation, ServerId(number));
                assert!(opened > generation && opened <= generation + SERVERS);
                assert_eq!(opened % SERVERS, u64::from(number));
            }
        }
    }

    #[test]
    fn what_is_cut_is_forgotten_and_what_was_never_known_is_not_guessed() {
        let (mut origins, last) = log(&[(5, ballot(1, 1)), (4, ballot(1, 2)), (1, ballot(1, 3))]);
        assert_eq!(origins.ballot_at(Index(10)), Some(ballot(1, 3)));
        origins.cut_after(Index(7));
        origins.push(Index(8), ballot(2, 4));
        assert_eq!(origins.ballot_at(Index(7)), Some(ballot(1, 2)));
        assert_eq!(origins.ballot_at(Index(8)), Some(ballot(2, 4)));
        let late = Origins::from(Index(6), ballot(1, 2));
        assert_eq!(late.ballot_at(Index(5)), None);
        let other = log(&[(9, ballot(3, 1))]);
        assert_eq!(late.last_common(last, &other.0, other.1), Index(5), "at most this");
    }
}
