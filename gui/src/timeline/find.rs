//! Finding a text in the messages of a chat, a part at a time.
//!
//! Owns: what is looked for, which messages have it, and at which one the person is. Driven by:
//! `find_bar` (words and steps) and `timeline` (a part of the search in each frame). Invariants:
//! one frame looks at no more than [`BYTES_A_FRAME`] of text, however long the chat is; a message
//! that came, changed or went since counts as it is now; what was not loaded is not counted and
//! not claimed. Does not: load anything, draw.

use std::collections::VecDeque;
use std::ops::{Range, RangeInclusive};

use holdfast_common::client::model;
use holdfast_common::client::{MessageRecord, Update};
use holdfast_common::ids::Seq;

use super::fold::{fold, folded};

/// So much text is looked at in one frame: some milliseconds.
const BYTES_A_FRAME: usize = 128 * 1_024;
/// What a message costs besides its text.
const BYTES_A_MESSAGE: usize = 32;

/// See the module's page.
#[derive(Debug, Default)]
pub(super) struct Search {
    /// What is looked for, folded; nothing is found while it is empty.
    needle: Vec<char>,
    /// The messages that have it, newest first.
    hits: VecDeque<Seq>,
    /// Every message between these two was looked at.
    looked: Option<RangeInclusive<Seq>>,
    /// Where the person is.
    current: Option<Seq>,
    /// These have changed since they were looked at.
    changed: Vec<Seq>,
    /// All was looked at that is there.
    is_done: bool,
    /// A step went beyond the oldest hit: older messages are wanted.
    wants_older: bool,
}

impl Search {
    /// Looks for another text.
    pub(super) fn look_for(&mut self, text: &str) {
        let needle = folded(text.trim());
        if needle != self.needle {
            *self = Search { needle, ..Search::default() };
        }
    }

    /// Whether there is nothing to look for.
    pub(super) fn is_idle(&self) -> bool {
        self.needle.is_empty()
    }

    /// Whether everything that is loaded was looked at.
    pub(super) fn is_done(&self) -> bool {
        self.is_done
    }

    /// Whether older messages are to be loaded.
    pub(super) fn wants_older(&self) -> bool {
        self.wants_older
    }

    /// Asks for older messages until one of them is a hit.
    pub(super) fn want_older(&mut self) {
        self.wants_older = !self.is_idle();
    }

    /// Where the person is.
    pub(super) fn current(&self) -> Option<Seq> {
        self.current
    }

    /// Which hit the person is at, from 1, the newest first, and how many there are.
    pub(super) fn place(&self) -> Option<(usize, usize)> {
        let at = self.find(self.current?).ok()?;
        Some((at + 1, self.hits.len()))
    }

    /// Something has happened to messages: they are looked at anew.
    pub(super) fn note(&mut self, update: &Update) {
        match update {
            Update::Message(_, message) => self.changed.push(message.view.seq),
            Update::Edited { seq, .. } | Update::Deleted(_, seq) => self.changed.push(*seq),
            Update::PeerGone(_) | Update::CacheDropped | Update::Opened { .. } => {
                self.hits.clear();
                self.looked = None;
            }
            Update::Connection(_)
            | Update::Session(_)
            | Update::Cluster(_)
            | Update::Conversation(_)
            | Update::Listed
            | Update::Older { .. }
            | Update::Copies { .. }
            | Update::Outbox(_)
            | Update::OutboxRemoved(_)
            | Update::Draft(..)
            | Update::Interface(..)
            | Update::Answer(..) => {}
        }
    }

    /// Looks at a part of what was not looked at. Says which message is to be shown, if the person
    /// came to another one by that.
    pub(super) fn advance(&mut self, messages: &model::Timeline) -> Option<Seq> {
        if self.is_idle() {
            return None;
        }
        for seq in std::mem::take(&mut self.changed) {
            self.look_again(messages, seq);
        }
        let mut budget = BYTES_A_FRAME;
        if let Some(upto) = self.looked.as_ref().map(|looked| looked.end().0) {
            for message in messages.within(Seq(upto.saturating_add(1))..=Seq(u64::MAX)) {
                self.look(message, &mut budget, true);
            }
        }
        let from = self.looked.as_ref().map_or(u64::MAX, |looked| looked.start().0);
        let mut below = messages.within(Seq(0)..=Seq(from.saturating_sub(1))).rev();
        self.is_done = loop {
            match below.next() {
                None => break true,
                Some(_) if budget == 0 => break false,
                Some(message) => self.look(message, &mut budget, false),
            }
        };
        let shown = self.arrive();
        self.wants_older &= !self.is_done || messages.older_than().is_some();
        shown
    }

    fn look(&mut self, message: &MessageRecord, budget: &mut usize, is_newer: bool) {
        let seq = message.view.seq;
        *budget = budget.saturating_sub(message.view.text.len() + BYTES_A_MESSAGE);
        if self.is_hit(&message.view.text) {
            match is_newer {
                true => self.hits.push_front(seq),
                false => self.hits.push_back(seq),
            }
        }
        let looked = self.looked.take();
        let (from, upto) = looked.map_or((seq, seq), RangeInclusive::into_inner);
        self.looked = Some(from.min(seq)..=upto.max(seq));
    }

    /// A message between those that were looked at is another one now.
    fn look_again(&mut self, messages: &model::Timeline, seq: Seq) {
        if !self.looked.as_ref().is_some_and(|looked| looked.contains(&seq)) {
            return;
        }
        let is_hit = messages.message(seq).is_some_and(|m| self.is_hit(&m.view.text));
        match (self.find(seq), is_hit) {
            (Err(at), true) => self.hits.insert(at, seq),
            (Ok(at), false) => {
                self.hits.remove(at);
            }
            (Ok(_), true) | (Err(_), false) => {}
        }
    }

    /// The person comes to the first hit by itself, and to an older one that was waited for.
    fn arrive(&mut self) -> Option<Seq> {
        let next = match self.current {
            Some(current) if self.wants_older => {
                let at = self.hits.partition_point(|hit| *hit >= current);
                self.hits.get(at)
            }
            Some(current) if self.find(current).is_ok() || !self.is_done => None,
            // What the person was at is no hit any more.
            Some(current) => {
                let at = self.hits.partition_point(|hit| *hit > current);
                self.hits.get(at).or(self.hits.back())
            }
            None => self.hits.front(),
        };
        let next = next.copied();
        if next.is_some() {
            self.current = next;
            self.wants_older = false;
        } else if self.is_done && self.hits.is_empty() {
            self.current = None;
        }
        next
    }

    /// Steps to the next older or newer hit; beyond the oldest one, older messages are wanted.
    pub(super) fn step(&mut self, is_older: bool) -> Option<Seq> {
        let at = self.current.and_then(|current| self.find(current).ok());
        let next = match (at, is_older) {
            (Some(at), true) => self.hits.get(at + 1),
            (Some(at), false) => at.checked_sub(1).and_then(|at| self.hits.get(at)),
            (None, _) => None,
        };
        let next = next.copied();
        self.current = next.or(self.current);
        if is_older && next.is_none() {
            self.want_older();
        }
        next
    }

    fn find(&self, seq: Seq) -> Result<usize, usize> {
        self.hits.binary_search_by(|hit| seq.cmp(hit))
    }

    fn is_hit(&self, text: &str) -> bool {
        self.matches(text).next().is_some()
    }

    /// Where a text has it, in characters.
    pub(super) fn marks(&self, text: &str) -> Vec<Range<usize>> {
        match self.is_idle() {
            true => Vec::new(),
            false => self.matches(text).collect(),
        }
    }

    fn matches(&self, text: &str) -> impl Iterator<Item = Range<usize>> {
        let all = fold(text);
        let mut from = 0;
        std::iter::from_fn(move || {
            let rest = all.get(from..)?;
            let mut windows = rest.windows(self.needle.len());
            let at = from + windows.position(|w| w.iter().map(|(_, c)| c).eq(&self.needle))?;
            from = at + self.needle.len();
            Some(all[at].0..all[from - 1].0 + 1)
        })
    }
}

#[cfg(test)]
mod tests;
