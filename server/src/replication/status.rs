//! What this server knows about the cluster, for people and for clients.
//!
//! Owns: [`Status`] and [`Standing`]. Driven by: the node, whenever it likes. Invariants: nothing
//! in here decides anything; what is said to be down is proven dead, and silence is called silence.
//! Does not: say more than one server can know; a backup knows its own lag and no other's.

use holdfast_common::ids::ServerId;

use super::quorum::Placed;
use super::{Part, Replication, Role};
use crate::entry::{Ballot, Incarnation, Index, View};

/// While nobody leads, each server asks the others at least this often, in units of `ELECTION_MS`;
/// whoever has not answered by then is silent.
const ANSWER_ELECTIONS: u64 = 4;

/// What one server is, as this one sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It leads.
    Primary,
    /// It is in the view: it holds whatever was acknowledged.
    InSync,
    /// It is linked, and in no view yet.
    CatchingUp,
    /// Its last life that is known is proven dead.
    Down,
    /// It does not answer, which proves nothing.
    Silent,
    /// Nothing was ever heard of it.
    Unknown,
}

/// What an operator may want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// What this server is.
    pub role: Role,
    /// Whom it follows.
    pub primary: Option<Incarnation>,
    /// The highest ballot promised.
    pub promise: Ballot,
    /// The members that must hold each new write.
    pub members: Vec<Incarnation>,
    /// Servers whose answer is missing, when nobody may decide.
    pub waiting_for: Vec<ServerId>,
    /// Whether this server may act for the cluster.
    pub is_active: bool,
}

impl Replication {
    /// How many servers hold each new write: the members of the newest committed view.
    pub fn in_sync(&self) -> usize {
        self.committed_view().map_or(0, |view| view.members.len())
    }

    /// Whether this very life of this server is one of them.
    pub fn is_in_sync(&self) -> bool {
        self.committed_view().is_some_and(|view| view.members.contains(&self.me))
    }

    /// Whether the others go on without this life: the newest view that is known to be committed
    /// does not name it.
    pub fn is_let_go(&self) -> bool {
        self.committed_view().is_some_and(|view| !view.members.contains(&self.me))
    }

    /// The newest view that is known to be committed.
    pub(super) fn committed_view(&self) -> Option<&View> {
        let first = self.log.live_views().first();
        first.filter(|placed| placed.index <= self.log.commit()).map(|placed| &placed.view)
    }

    /// What an operator may want to know.
    pub fn status(&self) -> Status {
        let members = |placed: &Placed| placed.view.members.clone();
        Status {
            role: self.role(),
            primary: self.primary(),
            promise: self.log.promise(),
            members: self.log.newest_view().map(members).unwrap_or_default(),
            waiting_for: self.waiting_for(),
            is_active: self.is_active(),
        }
    }

    fn waiting_for(&self) -> Vec<ServerId> {
        let follows = self.role() == Role::Backup && self.primary().is_some();
        if self.role() == Role::Primary || follows {
            return Vec::new();
        }
        let live = self.log.live_views();
        let here = |server: ServerId| {
            self.evidence.links().any(|one| one.server == server && self.is_heard(one))
        };
        let missing = |server: &ServerId| *server != self.me.server && !here(*server);
        let of_views = live.iter().flat_map(|placed| &placed.view.members);
        let mut servers: Vec<ServerId> = match live.is_empty() {
            // A first start needs everybody.
            true => self.settings.servers.clone(),
            false => of_views.map(|member| member.server).collect(),
        };
        servers.retain(missing);
        servers.sort_unstable();
        servers.dedup();
        servers
    }

    /// What a server is, and how many entries it lacks, where that is known.
    pub fn standing(&self, server: ServerId) -> (Standing, Option<u64>) {
        let is_member = self
            .committed_view()
            .is_some_and(|view| view.members.iter().any(|member| member.server == server));
        if server == self.me.server {
            return self.own_standing();
        }
        let link = self.evidence.links().find(|one| one.server == server);
        let last = self.log.last().index;
        let lag = |index: Index| Some(last.0.saturating_sub(index.0));
        match (&self.part, link) {
            (_, None) => (self.without_link(server), None),
            (_, Some(one)) if self.is_dead(one) => (Standing::Down, None),
            (Part::Primary(primary), Some(one)) => {
                let peer = primary.peers.get(&one);
                let lag = peer.and_then(|peer| lag(peer.matched));
                match is_member {
                    true if !self.answers(one) => (Standing::Silent, lag),
                    true => (Standing::InSync, lag),
                    false => (Standing::CatchingUp, lag),
                }
            }
            (Part::Backup(backup), Some(one)) if backup.primary() == Some(one) => {
                (Standing::Primary, Some(0))
            }
            (_, Some(one)) if !self.is_heard(one) => (Standing::Silent, None),
            (_, Some(_)) if is_member => (Standing::InSync, None),
            (_, Some(_)) => (Standing::CatchingUp, None),
        }
    }

    /// Whether it says anything as often as it must. Of two that follow a primary, neither has to.
    fn is_heard(&self, one: Incarnation) -> bool {
        if matches!(&self.part, Part::Backup(backup) if backup.primary().is_some()) {
            return true;
        }
        let heard = self.evidence.last_heard(one);
        heard.is_some_and(|at| {
            self.now.at.ms_since(at) < ANSWER_ELECTIONS * self.settings.election_ms
        })
    }

    fn own_standing(&self) -> (Standing, Option<u64>) {
        let is_member = self.is_in_sync();
        match &self.part {
            Part::Primary(_) => (Standing::Primary, Some(0)),
            Part::Backup(backup) if backup.primary().is_some() => {
                let standing = if is_member { Standing::InSync } else { Standing::CatchingUp };
                (standing, Some(backup.newest().0.saturating_sub(self.log.commit().0)))
            }
            Part::Backup(_) | Part::Candidate(_) | Part::TakingOver(_) => {
                (if is_member { Standing::InSync } else { Standing::Unknown }, None)
            }
        }
    }

    fn without_link(&self, server: ServerId) -> Standing {
        match self.evidence.newest(server) {
            None => Standing::Unknown,
            Some(one) if self.is_dead(one) => Standing::Down,
            Some(_) => Standing::Silent,
        }
    }
}
