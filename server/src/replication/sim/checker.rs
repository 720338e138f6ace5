//! What must hold whatever happens: looks at what is applied and acknowledged, never into a
//! machine.

use std::collections::BTreeMap;

use crate::entry::{Ballot, Entry, Incarnation, Index};

/// A broken promise, in a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Violation {
    pub(crate) harm: Harm,
    pub(crate) what: String,
}

/// Of which kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Harm {
    /// Something acknowledged is gone or stands elsewhere, or a machine broke its own invariant.
    Loss,
    /// Nobody serves, although somebody could.
    Wait,
}

impl Violation {
    pub(crate) fn loss(what: String) -> Violation {
        Violation { harm: Harm::Loss, what }
    }

    pub(crate) fn wait(what: String) -> Violation {
        Violation { harm: Harm::Wait, what }
    }
}

#[derive(Debug, Clone, Hash, Default)]
pub(crate) struct Checker {
    /// The one history: the first to apply an entry says what it is.
    history: Vec<Entry>,
    leaders: BTreeMap<Ballot, Incarnation>,
    pub(crate) acknowledged: u64,
    /// The highest index that anybody was told is stored.
    acknowledged_upto: Index,
    pub(crate) violation: Option<Violation>,
}

impl Checker {
    /// A server applies an entry; `before` is what it had applied.
    pub(crate) fn applied(&mut self, who: Incarnation, before: u64, entry: &Entry) {
        if entry.index.0 != before + 1 {
            self.fail(format!("{who:?} applied {} after {before}", entry.index));
        }
        let at = usize::try_from(entry.index.0 - 1).unwrap();
        match self.history.get(at) {
            Some(known) if known == entry => {}
            Some(known) => self.fail(format!(
                "index {}: {who:?} applied {} where {} was applied before",
                entry.index, entry.ballot, known.ballot
            )),
            None if at == self.history.len() => self.history.push(entry.clone()),
            None => self.fail(format!("{who:?} applied {} before anybody", entry.index)),
        }
    }

    /// A primary commits an entry of its own ballot.
    pub(crate) fn leads(&mut self, who: Incarnation, ballot: Ballot) {
        let leader = *self.leaders.entry(ballot).or_insert(who);
        if leader != who {
            self.fail(format!("{leader:?} and {who:?} led in {ballot}"));
        }
    }

    /// Whoever proposed an entry is told that it is stored.
    pub(crate) fn acknowledges(&mut self, index: Index) {
        self.acknowledged += 1;
        self.acknowledged_upto = self.acknowledged_upto.max(index);
    }

    /// A server would answer from a state that holds everything up to here, as the newest there is.
    pub(crate) fn reads(&mut self, who: Incarnation, index: Index) {
        if index < self.acknowledged_upto {
            let upto = self.acknowledged_upto;
            self.fail(format!("{who:?} reads at {index} as the newest, {upto} is acknowledged"));
        }
    }

    /// The newest entries of the one history.
    pub(crate) fn tail(&self, count: usize) -> Vec<String> {
        let from = self.history.len().saturating_sub(count);
        let name = |entry: &Entry| format!("{}@{}", entry.index, entry.ballot);
        self.history[from..].iter().map(name).collect()
    }

    pub(crate) fn fail(&mut self, why: String) {
        self.violation.get_or_insert(Violation::loss(why));
    }
}
