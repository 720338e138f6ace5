//! The chat that is open: its timeline, its composer, and its text as it was kept.
//!
//! Owns: what is typed, until it is sent or kept. Driven by: `window`. Invariant: what is typed is
//! handed over to be kept half a second after the last key, and at once when the chat is left.

use std::time::Duration;

use egui::Ui;
use holdfast_common::client::Command;
use holdfast_common::client::model::Model;
use holdfast_common::ids::Seq;
use holdfast_common::protocol::Target;

use super::kept::AFTER_S;
use crate::composer::Composer;
use crate::timeline::{self, Timeline};

/// See the module's page.
#[derive(Debug)]
pub(super) struct Chat {
    pub(super) to: Target,
    pub(super) timeline: Timeline,
    pub(super) composer: Composer,
    /// Its messages have been asked for.
    is_opened: bool,
    /// The text as it was last kept.
    kept: String,
    /// When the text was last changed, seconds of egui's clock.
    changed_at: Option<f64>,
}

impl Chat {
    /// Opens it, with what was typed there before.
    pub(super) fn new(to: Target, model: &Model) -> Chat {
        let text = model.draft(&to).unwrap_or_default().to_owned();
        Chat {
            to,
            timeline: Timeline::default(),
            composer: Composer::with(text.clone()),
            is_opened: false,
            kept: text,
            changed_at: None,
        }
    }

    /// With its timeline where it stood in an earlier life.
    pub(super) fn scrolled(mut self, kept: &str) -> Chat {
        self.timeline.stand(kept);
        self
    }

    /// Where its timeline stands, as it is kept.
    pub(super) fn scroll(&self) -> String {
        self.timeline.standing()
    }

    /// Asks for its messages, once it is a conversation.
    pub(super) fn load(&mut self, model: &Model) -> Option<Command> {
        let conv = timeline::conversation(model, &self.to)?;
        (!std::mem::replace(&mut self.is_opened, true)).then_some(Command::Open(conv))
    }

    /// All conversations are void: its messages must be asked for again.
    pub(super) fn forget(&mut self) {
        self.is_opened = false;
    }

    /// What is to be kept when the chat is left.
    pub(super) fn leave(self) -> Option<Command> {
        let text = match self.composer.editing {
            Some((_, before)) => before,
            None => self.composer.text,
        };
        (text != self.kept).then_some(Command::SaveDraft { to: self.to, text })
    }

    /// What is to be asked for when this text is sent, or confirmed as an edit.
    pub(super) fn send(&mut self, model: &Model, text: String) -> Vec<Command> {
        let to = model.resolve(&self.to);
        if let Some((seq, before)) = self.composer.editing.take() {
            self.composer.text = before;
            let Target::Conversation(conv) = to else { return Vec::new() };
            return vec![Command::Edit { conv, seq, text: text.trim().to_owned() }];
        }
        self.timeline.to_end();
        let mut commands = vec![Command::Send { to, text: text.trim().to_owned() }];
        if !std::mem::take(&mut self.kept).is_empty() {
            commands.push(Command::SaveDraft { to: self.to.clone(), text: String::new() });
        }
        commands
    }

    /// Puts a text that could not be handed over before what was typed since.
    pub(super) fn put_back(&mut self, text: String) {
        let since = std::mem::replace(&mut self.composer.text, text);
        if !since.is_empty() {
            self.composer.text.push('\n');
            self.composer.text.push_str(&since);
        }
    }

    /// Puts an own message into the composer.
    pub(super) fn edit(&mut self, model: &Model, seq: Seq) {
        let Some(conv) = timeline::conversation(model, &self.to) else { return };
        let Some(message) = model.timeline(conv).and_then(|t| t.message(seq)) else { return };
        let before = std::mem::replace(&mut self.composer.text, message.view.text.clone());
        let before = self.composer.editing.take().map_or(before, |(_, before)| before);
        self.composer.editing = Some((seq, before));
        self.composer.wants_focus = true;
    }

    /// Puts back what was typed before the edit. Says whether there was one.
    pub(super) fn cancel_edit(&mut self) -> bool {
        let Some((_, before)) = self.composer.editing.take() else { return false };
        self.composer.text = before;
        self.composer.wants_focus = true;
        true
    }

    /// What is typed is to be kept, a moment after the last key.
    pub(super) fn keep(&mut self, ui: &Ui) -> Option<Command> {
        if self.composer.editing.is_some() || self.composer.text == self.kept {
            self.changed_at = None;
            return None;
        }
        let now = ui.input(|input| input.time);
        let has_typed = ui.input(|input| !input.events.is_empty());
        let since = match has_typed {
            true => *self.changed_at.insert(now),
            false => *self.changed_at.get_or_insert(now),
        };
        if now - since < AFTER_S {
            let wait = Duration::from_secs_f64(AFTER_S - (now - since));
            ui.ctx().request_repaint_after(wait);
            return None;
        }
        self.kept.clone_from(&self.composer.text);
        self.changed_at = None;
        Some(Command::SaveDraft { to: self.to.clone(), text: self.kept.clone() })
    }

    /// The newest own message that can be edited.
    pub(super) fn last_own(&self, model: &Model) -> Option<Seq> {
        let messages = model.timeline(timeline::conversation(model, &self.to)?)?.messages();
        let mut own = messages.rev().filter(|message| message.own && !message.view.deleted);
        own.next().map(|message| message.view.seq)
    }
}
