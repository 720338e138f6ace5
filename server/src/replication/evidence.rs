//! Evidence of death: what I have seen myself that proves that one exact incarnation is dead.
//!
//! A dial that is **refused**, or answered by a Hello of another store or life of that server,
//! proves the death of the incarnation that I had met on an earlier dial, if this dial began after
//! the meeting: a process keeps its replica port open until it ends. A Hello of a higher life
//! proves all lower lives of its store dead, met or not. End of stream, reset, time-out and silence
//! prove nothing.
//!
//! Owns: meetings, proofs, and to whom a link stands. Driven by: the doors. Invariants: a proof
//! names one exact incarnation, never expires, and keeps the time of its first observation; a
//! meeting is made by a dial of mine only. Does not: conclude anything from a proof (`takeover`,
//! `primary`, `election`).

use std::collections::BTreeMap;

use holdfast_common::ids::ServerId;

use super::time::Moment;
use super::{Rules, holds};
use crate::entry::Incarnation;

/// Incarnations of one server that are remembered. No view, and no link, names older ones: each is
/// the last one but so many of its server, and views are replaced within seconds of a restart.
const REMEMBERED_MAX: usize = 64;

/// What a dial of mine came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Outcome {
    Refused,
    Answered(Incarnation),
}

/// See the module's page.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone, Hash))]
pub(super) struct Evidence {
    /// Whom I met last at each server's address, and when.
    met: BTreeMap<ServerId, (Incarnation, Moment)>,
    /// When each proof was first observed.
    dead: BTreeMap<Incarnation, Moment>,
    /// When each incarnation first said Hello, by whichever way.
    seen: BTreeMap<Incarnation, Moment>,
    /// When anything was last heard of each.
    heard: BTreeMap<Incarnation, Moment>,
    /// To whom my own links stand.
    links: BTreeMap<ServerId, Incarnation>,
}

impl Evidence {
    /// A Hello came in, by whichever way.
    pub(super) fn hello(&mut self, incarnation: Incarnation, at: Moment) {
        self.seen.entry(incarnation).or_insert(at);
        self.heard(incarnation, at);
        while self.seen.keys().filter(|seen| seen.server == incarnation.server).count()
            > REMEMBERED_MAX
        {
            let of_server = self.seen.iter().filter(|(seen, _)| seen.server == incarnation.server);
            let Some((&oldest, _)) = of_server.min_by_key(|(_, first)| **first) else { return };
            self.seen.remove(&oldest);
            self.heard.remove(&oldest);
            self.dead.remove(&oldest);
        }
    }

    /// Something came from this incarnation. One that is remembered no more is not noted.
    pub(super) fn heard(&mut self, incarnation: Incarnation, at: Moment) {
        if self.seen.contains_key(&incarnation) {
            self.heard.insert(incarnation, at);
        }
    }

    /// A dial of mine that began at `began` has come to something.
    pub(super) fn dialled(
        &mut self,
        rules: Rules,
        server: ServerId,
        began: Moment,
        outcome: Outcome,
        at: Moment,
    ) {
        let met = self.met.get(&server).copied();
        if let Some((former, met_at)) = met
            && outcome != Outcome::Answered(former)
            && (began > met_at || !holds!(rules, MeetingBeforeDial))
        {
            self.dead.entry(former).or_insert(at);
        }
        if !holds!(rules, MeetingBeforeDial)
            && outcome == Outcome::Refused
            && let Some(newest) = self.newest(server)
        {
            self.dead.entry(newest).or_insert(at);
        }
        if let Outcome::Answered(incarnation) = outcome {
            self.hello(incarnation, at);
            if self.dead_since(rules, incarnation).is_none() || !holds!(rules, ExactIncarnation) {
                self.met.insert(server, (incarnation, at));
            }
        }
    }

    /// The incarnation of a server that said Hello last.
    pub(super) fn newest(&self, server: ServerId) -> Option<Incarnation> {
        let of_server = self.seen.iter().filter(|(seen, _)| seen.server == server);
        of_server.max_by_key(|(seen, first)| (**first, **seen)).map(|(seen, _)| *seen)
    }

    /// When it was first known that this incarnation is dead.
    pub(super) fn dead_since(&self, rules: Rules, incarnation: Incarnation) -> Option<Moment> {
        if !holds!(rules, ExactIncarnation) {
            // A proof then speaks of whoever runs there, until I meet somebody there again.
            let met = self.met.get(&incarnation.server).map(|(_, at)| *at).unwrap_or_default();
            let of_server = self.dead.iter().filter(|(dead, _)| dead.server == incarnation.server);
            return of_server.map(|(_, at)| *at).filter(|at| *at > met).max();
        }
        let above = Incarnation { life: incarnation.life.saturating_add(1), ..incarnation };
        let end = Incarnation { life: u64::MAX, ..incarnation };
        let later_lives = self.seen.range(above..=end).map(|(_, at)| *at);
        later_lives.chain(self.dead.get(&incarnation).copied()).min()
    }

    /// When anything was last heard of this incarnation.
    pub(super) fn last_heard(&self, incarnation: Incarnation) -> Option<Moment> {
        self.heard.get(&incarnation).copied()
    }

    /// Forgets what no rule but that of silence asks for.
    #[cfg(test)]
    pub(super) fn forget_hearing(&mut self) {
        self.heard.clear();
    }

    /// A link of mine stands.
    pub(super) fn linked(&mut self, peer: Incarnation) {
        self.links.insert(peer.server, peer);
    }

    /// A link of mine has ended; says whether it stood.
    pub(super) fn unlinked(&mut self, peer: Incarnation) -> bool {
        let stood = self.links.get(&peer.server) == Some(&peer);
        if stood {
            self.links.remove(&peer.server);
        }
        stood
    }

    /// All links of mine have ended.
    pub(super) fn unlink_all(&mut self) {
        self.links.clear();
    }

    /// Whether my link to this very incarnation stands.
    pub(super) fn is_linked(&self, peer: Incarnation) -> bool {
        self.links.get(&peer.server) == Some(&peer)
    }

    /// To whom my links stand, by server number.
    pub(super) fn links(&self) -> impl Iterator<Item = Incarnation> {
        self.links.values().copied()
    }
}
