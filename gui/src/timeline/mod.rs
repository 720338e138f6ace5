//! The messages of a chat: a long list of which only what is seen is drawn.
//!
//! Owns: what was measured, where the list stands, the line "New messages", and which message the
//! keyboard is at. Driven by: `window`, each frame. Invariants:
//! - what is on the screen stays where it is when something comes or goes above it, when the window
//!   is resized and when older messages are loaded;
//! - at the end it stays at the end: a new message scrolls only then;
//! - a message is measured once for a width and a look, and only those near the view are: a frame
//!   costs the same however long the chat is.
//!
//! Does not: load or mark anything itself: it wishes to.

mod bubble;
mod find;
mod find_bar;
mod fold;
mod items;
mod keyboard;
mod links;
mod menu;
mod signs;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use egui::{Id, Rect, Role, Sense, Stroke, Ui, UiBuilder, Vec2, WidgetInfo, pos2, vec2};
use holdfast_common::client::model::{self, Model, OwnState};
use holdfast_common::client::{Command, Update};
use holdfast_common::ids::Seq;
use holdfast_common::protocol::Target;

use crate::paint::{self, Icon};
use crate::theme::{GAP, PAD, Palette, SPACE, TOUCH, UNIT};
use crate::wish::Wish;
use crate::words::Clock;
use bubble::{Laid, Lit};
use find_bar::Bar;
pub use items::conversation;
use items::{Bubble, Item, Key};
use keyboard::Cursor;

/// Older messages are asked for when so little is left above.
const LOAD_AHEAD: f32 = 800.0;
/// A day's chip and the line "New messages".
const CHIP: f32 = 10.0 * UNIT;
/// So many messages are measured on either side of the view: more than fit on any screen, …
const AROUND: u64 = 300;
/// … and so far the view may go before others are.
const SLACK: u64 = 150;
/// A message that was found stands here in the view.
const FOUND_AT: f32 = 0.35;

/// See the module's page.
#[derive(Debug, Default)]
pub struct Timeline {
    items: Vec<Item>,
    /// The upper end of each item, and the lower end of the last one.
    tops: Vec<f32>,
    laid: BTreeMap<Key, (Bubble, Laid)>,
    /// What the above was made for.
    made_for: Option<MadeFor>,
    /// Where the view stands: this item's upper end is so far below the view's. Nothing: the end.
    anchor: Option<(Key, f32)>,
    /// The message in the middle of what is measured.
    center: u64,
    /// Where the line "New messages" stands; fixed when the chat is opened.
    unread_from: Option<Seq>,
    /// Whether the first unread message was looked for.
    is_placed: bool,
    /// Older messages below this one have been asked for.
    asked_older: Option<Seq>,
    /// The newest message when the view left the end.
    left_end_at: Option<Seq>,
    /// A page up or down is wanted.
    paging: Option<bool>,
    /// The message that the keyboard is at.
    cursor: Cursor,
    /// A text is looked for.
    find: Option<Bar>,
    /// This message is to be shown, in the middle of the view.
    shows: Option<Seq>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct MadeFor {
    revision: u64,
    center: u64,
    width: f32,
    pixels_per_point: f32,
    is_dark: bool,
    minute: u64,
}

impl Timeline {
    /// Goes to the end.
    pub fn to_end(&mut self) {
        self.anchor = None;
    }

    /// Stands where it stood in an earlier life: at a message, so far below the upper end.
    pub fn stand(&mut self, kept: &str) {
        let numbers = kept.split_once(' ');
        let numbers = numbers.and_then(|(seq, below)| seq.parse().ok().zip(below.parse().ok()));
        self.anchor = numbers.map(|(seq, below)| (Key::Message(Seq(seq)), below));
    }

    /// Where it stands, to be kept; empty at the end.
    pub fn standing(&self) -> String {
        let Some((key, below)) = self.anchor else { return String::new() };
        if let Key::Message(seq) = key {
            // It may not be loaded yet.
            return format!("{} {below:.0}", seq.0);
        }
        let at = self.items.iter().position(|item| item.key() == key);
        let Some(at) = at else { return String::new() };
        // Days and lines come and go: the message below them stays.
        let message = self.items[at..].iter().zip(at..).find_map(|(item, at)| match item.key() {
            Key::Message(seq) => Some((seq, self.tops[at])),
            Key::Day(_) | Key::DayOfOutgoing(_) | Key::New | Key::Outgoing(_) => None,
        });
        message.map_or_else(String::new, |(seq, top)| {
            format!("{} {:.0}", seq.0, top - self.tops[at] + below)
        })
    }

    /// Scrolls by nearly a view, as soon as it is drawn.
    pub fn page(&mut self, is_down: bool) {
        self.paging = Some(is_down);
    }

    /// Opens the bar that finds a text, or goes to it.
    pub fn open_find(&mut self) {
        self.find.get_or_insert_with(Bar::open).wants_focus = true;
    }

    /// Closes it; says whether it was open.
    pub fn close_find(&mut self) -> bool {
        self.find.take().is_some()
    }

    /// Takes notice of what happens to messages.
    pub fn note(&mut self, update: &Update) {
        if let Some(find) = &mut self.find {
            find.search.note(update);
        }
    }

    /// Draws it.
    pub fn ui(&mut self, ui: &mut Ui, model: &Model, to: &Target, clock: &Clock) -> Vec<Wish> {
        let mut wishes = Vec::new();
        let mut full = ui.available_rect_before_wrap();
        ui.painter().rect_filled(full, 0.0, Palette::of(ui).ground);
        let messages = conversation(model, to).and_then(|conv| model.timeline(conv));
        if self.find.is_some() {
            full.set_top(full.top() + self.find_ui(ui, full, model, messages, clock, &mut wishes));
        }
        self.place(model, to);
        if let Some(seq) = self.shows.take() {
            self.anchor = Some((Key::Message(seq), full.height() * FOUND_AT));
        }
        self.make(ui, model, to, clock, full.width() - 2.0 * PAD);
        if self.items.is_empty() {
            signs::empty(ui, Palette::of(ui), full, model, to);
            return wishes;
        }
        let inner = ui.scope_builder(UiBuilder::new().max_rect(full), |ui| {
            ui.set_clip_rect(full.intersect(ui.clip_rect()));
            self.scroll_ui(ui, full, (model, to, clock))
        });
        wishes.extend(inner.inner);
        wishes.extend(self.seen(ui, model, to));
        wishes.extend(self.down_ui(ui, model, to, full));
        wishes
    }

    /// The bar that finds; says how high it is.
    fn find_ui(
        &mut self,
        ui: &mut Ui,
        full: Rect,
        model: &Model,
        messages: Option<&model::Timeline>,
        clock: &Clock,
        wishes: &mut Vec<Wish>,
    ) -> f32 {
        let Some(bar) = &mut self.find else { return 0.0 };
        let height = bar.height(messages);
        let rect = full.with_max_y(full.top() + height);
        let builder = UiBuilder::new().max_rect(rect);
        let found = ui.scope_builder(builder, |ui| bar.ui(ui, model, messages, clock)).inner;
        self.shows = found.show.or(self.shows);
        if found.closes {
            self.find = None;
            wishes.push(Wish::Compose);
        }
        height
    }

    /// The messages that are seen, and those near them.
    fn scroll_ui(
        &mut self,
        ui: &mut Ui,
        full: Rect,
        (model, to, clock): (&Model, &Target, &Clock),
    ) -> Vec<Wish> {
        let total = self.tops.last().copied().unwrap_or(0.0) + PAD;
        let pad = (full.height() - total).max(0.0);
        let mut offset = self.offset(full.height(), total);
        let is_paged = self.paging.is_some();
        match self.paging.take() {
            Some(true) => offset += full.height() - SPACE,
            Some(false) => offset -= full.height() - SPACE,
            None => {}
        }
        let mut offset = offset.clamp(0.0, (total - full.height()).max(0.0));
        let is_awaited = oldest(model, to).is_some_and(|oldest| self.is_awaited(oldest));
        if offset + full.height() >= total - 1.0 && self.ends_here(model, to) && !is_awaited {
            self.anchor = None;
        }
        let mut wishes = self.keys(ui, is_paged, &mut offset, (full.height(), total));
        let area = egui::ScrollArea::vertical()
            .id_salt("timeline")
            .auto_shrink(false)
            .animated(false)
            .vertical_scroll_offset(offset);
        let output = area.show_viewport(ui, |ui, view| {
            ui.set_height(total.max(full.height()));
            ui.set_width(full.width());
            let origin = ui.min_rect().min + vec2(PAD, pad);
            self.visible(ui, model, to, clock, (origin, view.translate(vec2(0.0, -pad))))
        });
        wishes.extend(output.inner);
        let scrolled = output.state.clamped_offset().y;
        let is_scrolled =
            ui.input(|input| input.smooth_scroll_delta().y != 0.0 || input.pointer.any_down());
        if is_scrolled || is_paged || self.cursor.has_moved() {
            self.hold(scrolled, full.height(), total, model, to);
        }
        wishes.extend(self.older(model, to, scrolled));
        wishes
    }

    /// At the first sight of a chat: where it stood before, else at the first unread message, else
    /// at the end.
    fn place(&mut self, model: &Model, to: &Target) {
        if self.is_placed {
            return;
        }
        let Some(conv) = conversation(model, to) else { return };
        if model.timeline(conv).is_none_or(|timeline| timeline.is_empty()) {
            return;
        }
        self.is_placed = true;
        self.unread_from = model.first_unread(conv);
        if self.anchor.is_none() {
            self.anchor = self.unread_from.map(|_| (Key::New, PAD));
        }
    }

    /// The messages near the view. They are others only when it has gone some way, so that hardly
    /// ever one is measured twice.
    fn near(&mut self, model: &Model, to: &Target) -> RangeInclusive<Seq> {
        let newest = newest(model, to).map_or(0, |seq| seq.0);
        let at = match self.anchor {
            Some((Key::Message(seq) | Key::Day(seq), _)) => seq.0,
            Some((Key::New, _)) => self.unread_from.map_or(newest, |seq| seq.0),
            Some((Key::Outgoing(_) | Key::DayOfOutgoing(_), _)) | None => newest,
        };
        // Where it stood in an earlier life may not be loaded yet.
        let at = at.max(oldest(model, to).map_or(0, |seq| seq.0));
        if at.abs_diff(self.center) > SLACK {
            self.center = at;
        }
        Seq(self.center.saturating_sub(AROUND))..=Seq(self.center.saturating_add(AROUND))
    }

    /// Makes and measures the items, where what they are made of has changed.
    fn make(&mut self, ui: &Ui, model: &Model, to: &Target, clock: &Clock, width: f32) {
        let near = self.near(model, to);
        let made_for = MadeFor {
            revision: model.revision(),
            center: self.center,
            width,
            pixels_per_point: ui.ctx().pixels_per_point(),
            is_dark: ui.visuals().dark_mode,
            // Words such as "Yesterday" and "still trying".
            minute: clock.wall_ms / 60_000,
        };
        if self.made_for == Some(made_for) && !self.has_sending() {
            return;
        }
        let MadeFor { revision, center, minute, .. } = made_for;
        let before = self.made_for.map(|before| MadeFor { revision, center, minute, ..before });
        if before != Some(made_for) {
            self.laid.clear();
        }
        self.made_for = Some(made_for);
        self.items = items::items(model, to, near, self.unread_from, clock);
        self.tops.clear();
        let mut top = GAP;
        let mut laid = BTreeMap::new();
        for item in &self.items {
            self.tops.push(top);
            top += match item {
                Item::Day(..) | Item::New => CHIP,
                Item::Bubble(bubble) => {
                    let known = self.laid.remove(&bubble.key);
                    let known = known.filter(|(before, _)| before == bubble && !is_sending(bubble));
                    let measured = known.map(|(_, laid)| laid);
                    let measured =
                        measured.unwrap_or_else(|| bubble::lay(ui, bubble, width, clock));
                    let height = measured.height();
                    laid.insert(bubble.key, (bubble.clone(), measured));
                    height
                }
            };
        }
        self.tops.push(top);
        self.laid = laid;
    }

    fn has_sending(&self) -> bool {
        self.laid.values().any(|(bubble, _)| is_sending(bubble))
    }

    /// Where the scroll area is to stand.
    fn offset(&mut self, height: f32, total: f32) -> f32 {
        let end = (total - height).max(0.0);
        let Some((key, below)) = self.anchor else { return end };
        let found = self.items.iter().position(|item| match (item.key(), key) {
            // That message itself may be gone.
            (Key::Message(seq), Key::Message(kept)) => seq >= kept,
            (key, kept) => key == kept,
        });
        match found {
            Some(at) => (self.tops[at] - below).clamp(0.0, end),
            None => end,
        }
    }

    /// Takes hold of what is at the upper end of the view.
    fn hold(&mut self, offset: f32, height: f32, total: f32, model: &Model, to: &Target) {
        if self.ends_here(model, to) && offset + height >= total - 1.0 {
            self.anchor = None;
            return;
        }
        let at = self.tops.partition_point(|top| *top <= offset).saturating_sub(1);
        // Days and lines come and go, the message below them stays.
        let is_bubble = |at: &usize| matches!(self.items.get(*at), Some(Item::Bubble(_)));
        let at = (at..self.items.len()).find(is_bubble).unwrap_or(at);
        self.anchor = self.items.get(at).map(|item| (item.key(), self.tops[at] - offset));
    }

    /// Whether the newest message is among those that are measured.
    fn ends_here(&self, model: &Model, to: &Target) -> bool {
        newest(model, to).is_none_or(|newest| newest.0 <= self.center.saturating_add(AROUND))
    }

    /// Whether the view is to stand at a message above all that are loaded.
    fn is_awaited(&self, oldest: Seq) -> bool {
        matches!(self.anchor, Some((Key::Message(kept), _)) if kept < oldest)
    }

    fn older(&mut self, model: &Model, to: &Target, offset: f32) -> Option<Wish> {
        let conv = conversation(model, to)?;
        let timeline = model.timeline(conv)?;
        let before = timeline.older_than()?;
        let begins_here = self.center.saturating_sub(AROUND) <= before.0;
        let is_found_above = self.find.as_ref().is_some_and(|bar| bar.search.wants_older());
        let is_wanted =
            is_found_above || self.is_awaited(before) || begins_here && offset <= LOAD_AHEAD;
        if !is_wanted || timeline.is_loading() || self.asked_older == Some(before) {
            return None;
        }
        self.asked_older = Some(before);
        Some(Wish::Do(Command::LoadOlder { conv, before }))
    }

    /// What is on the screen of a window that has the focus is read.
    fn seen(&mut self, ui: &Ui, model: &Model, to: &Target) -> Option<Wish> {
        let conv = conversation(model, to)?;
        let newest = model.timeline(conv)?.messages().next_back()?.view.seq;
        if self.anchor.is_some() {
            self.left_end_at.get_or_insert(newest);
            return None;
        }
        self.left_end_at = None;
        let has_focus = ui.input(|input| input.viewport().focused.unwrap_or(true));
        let record = model.conversation(conv)?;
        let command = Command::MarkRead { conv, upto: newest };
        (has_focus && record.read < newest).then_some(Wish::Do(command))
    }

    fn visible(
        &mut self,
        ui: &mut Ui,
        model: &Model,
        to: &Target,
        clock: &Clock,
        (origin, view): (egui::Pos2, Rect),
    ) -> Vec<Wish> {
        let palette = Palette::of(ui);
        let width = ui.max_rect().width() - 2.0 * PAD;
        let first = self.tops.partition_point(|top| *top <= view.top()).saturating_sub(1);
        let mut wishes = Vec::new();
        for at in first..self.items.len() {
            let (top, bottom) = (self.tops[at], self.tops[at + 1]);
            if top > view.bottom() {
                break;
            }
            let room = Rect::from_min_size(origin + vec2(0.0, top), vec2(width, bottom - top));
            match &self.items[at] {
                Item::Day(key, label) => signs::chip(ui, palette, room, *key, label),
                Item::New => signs::new_line(ui, palette, room),
                Item::Bubble(bubble) => {
                    let Some((_, laid)) = self.laid.get(&bubble.key) else { continue };
                    let lit = self.lit(bubble);
                    let opens = self.cursor.opens_menu_of(bubble.key);
                    let (response, wished) = menu::bubble_ui(
                        ui,
                        (model, to, clock),
                        (bubble, laid, room),
                        (&lit, opens),
                    );
                    self.cursor.follow(ui, bubble.key, &response);
                    wishes.extend(wished);
                }
            }
        }
        wishes
    }

    /// What is marked of a message.
    fn lit(&self, bubble: &Bubble) -> Lit {
        let Some(bar) = self.find.as_ref().filter(|_| !bubble.is_deleted) else {
            return Lit::default();
        };
        let current = bar.search.current().map(Key::Message);
        Lit {
            marks: bar.search.marks(&bubble.text),
            is_found: current == Some(bubble.key),
            is_focused: false,
        }
    }

    /// The button back to the end, with what came meanwhile.
    fn down_ui(&mut self, ui: &mut Ui, model: &Model, to: &Target, full: Rect) -> Option<Wish> {
        self.anchor?;
        let palette = Palette::of(ui);
        let center = full.right_bottom() - vec2(PAD + TOUCH / 2.0, PAD + TOUCH / 2.0);
        let rect = Rect::from_center_size(center, Vec2::splat(TOUCH));
        let response = ui.interact(rect, Id::unique("to the end"), Sense::click());
        let newest = newest(model, to)?;
        let below = self.left_end_at.map_or(0, |left| newest.0.saturating_sub(left.0));
        let label = match below {
            0 => "To the newest message".to_owned(),
            below => format!("{below} new below"),
        };
        response.widget_info(|| WidgetInfo::labeled(Role::Button, true, &label));
        let fill = if response.hovered() { palette.selected } else { palette.surface };
        ui.painter().circle(center, TOUCH / 2.0, fill, Stroke::new(1.0, palette.line));
        paint::icon(ui.painter(), center, Icon::Down, palette.weak);
        if below > 0 {
            let right = pos2(rect.right(), rect.top());
            paint::pill(ui.painter(), right, &below.to_string(), palette.accent, palette.on_accent);
        }
        crate::controls::focus_ring(ui, &response, paint::ROUND);
        if response.on_hover_text(label).clicked() {
            self.to_end();
            ui.ctx().request_repaint();
        }
        None
    }
}

fn newest(model: &Model, to: &Target) -> Option<Seq> {
    let timeline = model.timeline(conversation(model, to)?)?;
    timeline.messages().next_back().map(|message| message.view.seq)
}

fn oldest(model: &Model, to: &Target) -> Option<Seq> {
    let timeline = model.timeline(conversation(model, to)?)?;
    timeline.messages().next().map(|message| message.view.seq)
}

fn is_sending(bubble: &Bubble) -> bool {
    let is_sending = |state: &Option<OwnState>| matches!(state, Some(OwnState::Sending { .. }));
    is_sending(&bubble.state) || is_sending(&bubble.change)
}
