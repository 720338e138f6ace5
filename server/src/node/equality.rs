//! Whether all servers have made the same of the log, and what becomes of one that has not.
//!
//! ```text
//! primary            AskChain(index) -> each member in sync
//! each of them       Chain(index, its running hash there) -> primary, once that is applied
//! primary            one differs: Differs(index) -> that one; or itself
//! whoever differs    serves nobody, leaves the view, sets its store aside, joins again
//! ```
//!
//! Who is right, since each says something else of the same log: what more than half of those who
//! were compared have. Where there is no such majority (two servers, or three that all differ),
//! what the primary has: nobody can know better, it is what every joiner would be given, and going
//! by it costs no election.
//!
//! Nothing acknowledged is lost by it. Rows differ, not logs; and whoever differs first leaves the
//! view as a server that stops does, so that the others have everything *and may decide without
//! it*, under every policy. When they do not let it go, it keeps its store and begins another life
//! on that, to be compared again. A store that is set aside is never deleted. One server at a time
//! is sent away, the next one when that is back.
//!
//! Owns: the running hashes of the newest entries, the question under way, and who was sent away.
//! Driven by: the clock (the primary asks), `links`, what was applied, `verify`. Invariants: only
//! members of the newest view are compared, for their logs are the primary's; only equal indexes
//! are. Does not: find rows that changed on a disk, and that nothing was made of since (`verify`
//! does).

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::Node;
use super::frames::Frame;
use crate::chat::operation::{Applied, Operation};
use crate::entry::{Incarnation, Index};
use crate::replication::Standing;

/// How often the primary asks, if anything was applied since all were equal.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// A question that not all have answered by then is given up: whoever is frozen leaves the view.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Running hashes that are kept, half a megabyte of them: several of the largest batches, by which
/// one server's tables may be ahead of another's.
const CHAINS_KEPT: usize = 16_384;
/// A server that was sent away and is not back by then does not protect another one that differs.
const BACK_WITHIN: Duration = Duration::from_secs(60);

/// The running hash after an entry.
pub(super) type Chain = [u8; 32];

/// A question under way.
#[derive(Debug)]
struct Round {
    index: Index,
    until: Instant,
    waits: Vec<Incarnation>,
    /// Somebody does not know any more: nothing is judged by what is left.
    is_blind: bool,
    found: BTreeMap<Incarnation, Chain>,
}

/// Who was told that it differs.
#[derive(Debug)]
struct SentAway {
    who: Incarnation,
    until: Instant,
    /// Its rows did, so they are all hashed once more when it is back.
    by_rows: bool,
}

/// See the module's page.
#[derive(Debug)]
pub(super) struct Equality {
    /// After the newest entries, up to `newest`.
    chains: VecDeque<Chain>,
    newest: Index,
    /// The primary's question, until that entry is applied here.
    asked: Option<(Incarnation, Index)>,
    round: Option<Round>,
    ask_at: Instant,
    /// All were equal here.
    compared: Index,
    sent_away: Option<SentAway>,
}

/// What was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Chain,
    Rows,
}

impl Equality {
    pub(super) fn new(now: Instant) -> Equality {
        Equality {
            chains: VecDeque::new(),
            newest: Index(0),
            asked: None,
            round: None,
            ask_at: now,
            compared: Index(0),
            sent_away: None,
        }
    }

    /// Entries were applied.
    pub(super) fn applied(&mut self, applied: &[Applied]) {
        let Some(last) = applied.last() else { return };
        self.newest = last.index;
        self.chains.extend(applied.iter().map(|applied| applied.chain));
        self.chains.drain(..self.chains.len().saturating_sub(CHAINS_KEPT));
    }

    /// The running hash after an entry, if it is applied and kept.
    fn chain(&self, index: Index) -> Option<Chain> {
        let back = usize::try_from(self.newest.0.checked_sub(index.0)?).ok()?;
        let at = self.chains.len().checked_sub(back + 1)?;
        self.chains.get(at).copied()
    }
}

/// Those whose state is not the right one; see the module's page for which that is.
pub(super) fn odd_ones<S: PartialEq>(
    found: &BTreeMap<Incarnation, S>,
    primary: Option<Incarnation>,
) -> Vec<Incarnation> {
    let alike = |state: &S| found.values().filter(|other| *other == state).count();
    let of_most = found.values().find(|state| 2 * alike(state) > found.len());
    let right = of_most.or_else(|| found.get(&primary?));
    found.iter().filter(|(_, state)| Some(*state) != right).map(|(who, _)| *who).collect()
}

impl Node {
    /// When the primary asks again.
    pub(super) fn equality_deadline(&self) -> Option<Instant> {
        (self.leads_since.is_some() && self.of() > 1).then_some(self.equality.ask_at)
    }

    /// Asks all others in sync, if it is time to.
    pub(super) fn ask_chains(&mut self) {
        let now = self.now.instant;
        if self.equality.ask_at > now {
            return;
        }
        self.equality.ask_at = now + ASK_EVERY;
        if self.upkeep.is_stopping() || !self.leads() {
            return;
        }
        self.welcome_back();
        let index = Index(self.applied.index);
        let is_open = self.equality.round.as_ref().is_some_and(|round| round.until > now);
        let waits = self.others_in_sync();
        if is_open || waits.is_empty() || index == self.equality.compared {
            return;
        }
        let Some(chain) = self.equality.chain(index) else { return };
        for member in &waits {
            self.say(*member, &Frame::AskChain(index));
        }
        let found = BTreeMap::from([(self.replication.incarnation(), chain)]);
        let until = now + ANSWER_WITHIN;
        self.equality.round = Some(Round { index, until, waits, is_blind: false, found });
    }

    /// The other members of the newest view that answer.
    fn others_in_sync(&self) -> Vec<Incarnation> {
        let mut members = self.replication.status().members;
        members.retain(|one| self.replication.standing(one.server).0 == Standing::InSync);
        members
    }

    /// The primary asks for the running hash after an entry.
    pub(super) fn chain_asked(&mut self, from: Incarnation, index: Index) {
        self.equality.asked = Some((from, index));
        self.answer_chain();
    }

    /// Answers the primary's question once that entry is applied.
    pub(super) fn answer_chain(&mut self) {
        let is_due = |(_, index): &mut (Incarnation, Index)| index.0 <= self.applied.index;
        let Some((from, index)) = self.equality.asked.take_if(is_due) else { return };
        if self.replication.primary() == Some(from) {
            let chain = self.equality.chain(index);
            self.say(from, &Frame::Chain(index, chain));
        }
    }

    /// A member answers.
    pub(super) fn chain_told(&mut self, from: Incarnation, index: Index, chain: Option<Chain>) {
        let Some(round) = &mut self.equality.round else { return };
        let Some(at) = round.waits.iter().position(|one| *one == from) else { return };
        if round.index != index {
            return;
        }
        round.waits.swap_remove(at);
        round.is_blind |= chain.is_none();
        round.found.extend(chain.map(|chain| (from, chain)));
        let Some(round) = self.equality.round.take_if(|round| round.waits.is_empty()) else {
            return;
        };
        if round.is_blind || !self.leads() {
            return;
        }
        let odd = odd_ones(&round.found, self.replication.primary());
        match odd.is_empty() {
            true => self.equality.compared = index,
            false => self.differ(&odd, index, By::Chain),
        }
    }

    /// Some have something else than is right: one of them goes now. The primary itself goes first,
    /// for the next one is a better judge.
    pub(super) fn differ(&mut self, odd: &[Incarnation], index: Index, by: By) {
        let now = self.now.instant;
        let waits = self.equality.sent_away.as_ref().is_some_and(|sent| sent.until > now);
        let me = self.replication.incarnation();
        let who = if odd.contains(&me) { Some(&me) } else { odd.first() };
        let Some(&who) = who.filter(|_| !waits && !self.upkeep.is_stopping()) else { return };
        let what = match by {
            By::Chain => "running hash",
            By::Rows => "hash of all rows",
        };
        let server = who.server;
        log::error!("the {what} of server {server} is not the others', after entry {index}");
        if who == me {
            return self.sent_away(me, index);
        }
        let (until, by_rows) = (now + BACK_WITHIN, by == By::Rows);
        self.equality.sent_away = Some(SentAway { who, until, by_rows });
        self.say(who, &Frame::Differs(index));
    }

    /// This server differs: by its primary's word, or its own.
    pub(super) fn sent_away(&mut self, by: Incarnation, index: Index) {
        if self.replication.primary() != Some(by)
            || self.upkeep.is_stopping()
            || self.snapshots.stands_still()
        {
            return;
        }
        log::error!(
            "what this server has made of the log up to entry {index} is not what the others have: \
             it serves nobody any more, sets its store aside and joins again"
        );
        self.step_back();
    }

    /// Who was sent away and is back in the view does not protect the next one any more.
    fn welcome_back(&mut self) {
        let members = self.replication.status().members;
        let is_back = |sent: &mut SentAway| {
            members.iter().any(|one| one.server == sent.who.server && *one != sent.who)
        };
        if let Some(SentAway { who, by_rows, .. }) = self.equality.sent_away.take_if(is_back) {
            log::info!("server {} is back", who.server);
            if by_rows {
                self.propose_own(Operation::Verify);
            }
        }
    }
}

#[cfg(test)]
mod tests;
