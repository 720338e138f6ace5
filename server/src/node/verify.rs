//! `verify`: all servers hash all their rows as they were behind one marker in the log.
//!
//! ```text
//! administrator -> the marker, an entry like others -> each server: a view right behind it
//!   -> Job HashRows, aside -> Frame::Rows to all others -> whoever was asked: the answer
//!                                                      \-> the primary: who differs (equality)
//! ```
//!
//! Owns: the verifications under way and who waits for them. Driven by: what was applied, the jobs'
//! results, `links`, the clock. Invariants: each server tells each other one what it found, also
//! over a link that stands later; each verification ends: members of the view are waited for as
//! long as they are members, others for [`OTHERS_WITHIN`], all for [`ALL_WITHIN`]. Does not: hash,
//! or judge (`equality` does).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use holdfast_common::ids::{ServerId, hex};
use holdfast_common::protocol::{AdminReply, Verified, VerifiedState, VerifyOk};

use super::Node;
use super::effect::ClientId;
use super::equality::{By, odd_ones};
use super::frames::Frame;
use super::requests::busy;
use crate::entry::{Incarnation, Index};
use crate::work::{Job, MaintenanceJob, Marked, RowsHash};

/// Hashes of all rows at once, under way or waiting: each keeps a view of its own.
const HASHES_MAX: usize = 4;
/// Verifications that are known of at once, by what others told.
const VERIFICATIONS_MAX: usize = 16;
/// A server that is linked and not in sync gets so long; it may have no view of the marker at all.
const OTHERS_WITHIN: Duration = Duration::from_secs(3);
/// Whoever is in sync gets so long: it may have a copy to make first. The administrator's program
/// waits twice that.
const ALL_WITHIN: Duration = Duration::from_secs(300);

/// One verification.
#[derive(Debug, Default)]
struct Verification {
    /// When the marker was applied here; not yet, where others were faster.
    began: Option<Instant>,
    is_hashing: bool,
    /// The view at that time.
    members: Vec<Incarnation>,
    found: BTreeMap<Incarnation, RowsHash>,
    /// They have no view of the marker.
    blind: BTreeSet<Incarnation>,
    askers: Vec<(ClientId, u64)>,
}

impl Verification {
    fn has_told(&self, one: Incarnation) -> bool {
        self.found.contains_key(&one) || self.blind.contains(&one)
    }
}

/// See the module's page.
#[derive(Debug, Default)]
pub(super) struct Verifications {
    /// By their markers.
    under_way: BTreeMap<Index, Verification>,
    /// What this server has told of the newest markers.
    told: VecDeque<(Index, Option<RowsHash>)>,
}

impl Verifications {
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        let began = self.under_way.values().filter_map(|each| each.began);
        let ends = began.flat_map(|began| [began + OTHERS_WITHIN, began + ALL_WITHIN]);
        ends.filter(|end| *end > now).min()
    }

    /// Whether an administrator waits for one.
    pub(super) fn is_awaited(&self) -> bool {
        self.under_way.values().any(|each| !each.askers.is_empty())
    }
}

impl Node {
    /// The rows as they were behind markers: hashed aside. Below the index from which the state is
    /// whole stand markers of former lives, which nobody waits for.
    pub(super) fn marked(&mut self, marked: Vec<Marked>) {
        for marked in marked {
            let index = marked.index;
            let hashing =
                self.verifications.under_way.values().filter(|each| each.is_hashing).count();
            let is_old = !self.has_been_whole && index < self.replication.opening();
            if hashing >= HASHES_MAX || is_old {
                self.verifications.under_way.remove(&index);
                self.tell_others(index, None);
                continue;
            }
            let mut members = self.replication.status().members;
            members.retain(|one| *one != self.replication.incarnation());
            let verification = self.verifications.under_way.entry(index).or_default();
            verification.began = Some(self.now.instant);
            (verification.is_hashing, verification.members) = (true, members);
            self.run(Job::Maintenance(MaintenanceJob::HashRows(marked)));
        }
    }

    /// An administrator's marker was just applied.
    pub(super) fn verify_asked(&mut self, client: ClientId, id: u64) {
        match self.verifications.under_way.get_mut(&Index(self.applied.index)) {
            Some(verification) if verification.began.is_some() => {
                verification.askers.push((client, id));
            }
            Some(_) | None => self.refuse(client, id, busy()),
        }
    }

    /// This server's rows are hashed.
    pub(super) fn rows_hashed(&mut self, found: RowsHash) {
        let Some(verification) = self.verifications.under_way.get_mut(&found.index) else { return };
        verification.is_hashing = false;
        verification.found.insert(self.replication.incarnation(), found);
        self.tell_others(found.index, Some(found));
    }

    /// Another server's are, or it cannot.
    pub(super) fn rows_told(&mut self, from: Incarnation, index: Index, found: Option<RowsHash>) {
        let is_over = index.0 <= self.applied.index
            || self.verifications.under_way.len() >= VERIFICATIONS_MAX;
        if is_over && !self.verifications.under_way.contains_key(&index) {
            return;
        }
        let verification = self.verifications.under_way.entry(index).or_default();
        match found {
            Some(found) => drop(verification.found.insert(from, found)),
            None => drop(verification.blind.insert(from)),
        }
    }

    fn tell_others(&mut self, index: Index, found: Option<RowsHash>) {
        self.verifications.told.push_back((index, found));
        if self.verifications.told.len() > HASHES_MAX {
            self.verifications.told.pop_front();
        }
        for other in self.links.all() {
            self.say(other, &Frame::Rows(index, found));
        }
    }

    /// A link stands: whoever is there may have been told while there was none.
    pub(super) fn tell_again(&mut self, to: Incarnation) {
        for (index, found) in self.verifications.told.clone() {
            self.say(to, &Frame::Rows(index, found));
        }
    }

    /// Ends a verification that nobody is waited for any more; says whether it did.
    pub(super) fn settle_verifications(&mut self) -> bool {
        let ended = self.verifications.under_way.iter().find(|(_, each)| self.is_settled(each));
        let Some((&index, _)) = ended else { return false };
        let Some(verification) = self.verifications.under_way.remove(&index) else { return false };
        let odd = odd_ones(&verification.found, self.replication.primary());
        let answer = self.verify_ok(index, &verification, &odd);
        for (client, id) in verification.askers {
            self.answer(client, id, AdminReply::Verify(answer.clone()).encode(id));
        }
        if !odd.is_empty() && self.leads() {
            self.differ(&odd, index, By::Rows);
        }
        true
    }

    fn is_settled(&self, verification: &Verification) -> bool {
        let Some(began) = verification.began.filter(|_| !verification.is_hashing) else {
            return false;
        };
        let now = self.now.instant;
        let still = self.replication.status().members;
        let is_waited_for = |one: &&Incarnation| {
            let is_member = verification.members.contains(one) && still.contains(one);
            (is_member || now < began + OTHERS_WITHIN) && !verification.has_told(**one)
        };
        let linked = self.links.all();
        let away = verification.members.iter().filter(|one| still.contains(one));
        now >= began + ALL_WITHIN || linked.iter().chain(away).filter(is_waited_for).count() == 0
    }

    fn verify_ok(&self, index: Index, found: &Verification, odd: &[Incarnation]) -> VerifyOk {
        let of = |server: ServerId| found.found.iter().rev().find(|(one, _)| one.server == server);
        let servers: Vec<Verified> = self
            .settings
            .servers
            .iter()
            .map(|(server, _)| {
                let (server, found) = (*server, of(*server));
                let state = match found {
                    None => VerifiedState::Unreachable,
                    Some((one, _)) if odd.contains(one) => VerifiedState::Differs,
                    Some(_) => VerifiedState::Equal,
                };
                let rows = found.map(|(_, found)| found.rows);
                Verified { server, state, rows, hash: found.map(|(_, found)| hex(&found.hash)) }
            })
            .collect();
        let equal = servers.iter().all(|server| server.state == VerifiedState::Equal);
        let own = of(self.settings.server).map(|(_, found)| found);
        let (rows, hash) = own.map_or((0, String::new()), |own| (own.rows, hex(&own.hash)));
        let states: Vec<String> =
            servers.iter().map(|each| format!("{}:{:?}", each.server, each.state)).collect();
        log::info!("verified index={index} rows={rows} hash={hash} {}", states.join(" "));
        VerifyOk { index: index.0, rows, hash, equal, servers }
    }
}
