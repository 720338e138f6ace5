//! The messages of a chat: a long list of which only what is seen is drawn.
//!
//! Owns: what was measured, where the list stands, and the line "New messages". Driven by:
//! `window`, each frame. Invariants:
//! - what is on the screen stays where it is when something comes or goes above it, when the window
//!   is resized and when older messages are loaded;
//! - at the end it stays at the end: a new message scrolls only then;
//! - a message is measured once for a width and a look.
//!
//! Does not: load or mark anything itself: it wishes to.

mod bubble;
mod items;
mod links;
mod menu;

use std::collections::BTreeMap;

use egui::{Align2, Id, Rect, Role, Sense, Stroke, Ui, Vec2, WidgetInfo, pos2, vec2};
use holdfast_common::client::Command;
use holdfast_common::client::model::{Model, OwnState};
use holdfast_common::ids::Seq;
use holdfast_common::protocol::{Scope, Target};

use crate::controls;
use crate::paint::{self, Icon};
use crate::theme::{self, GAP, PAD, Palette, SPACE, TOUCH, Type, UNIT};
use crate::wish::{Popup, Wish};
use crate::words::{self, Clock};
use bubble::Laid;
pub use items::conversation;
use items::{Bubble, Item, Key};

/// Older messages are asked for when so little is left above.
const LOAD_AHEAD: f32 = 800.0;
/// A day's chip and the line "New messages".
const CHIP: f32 = 10.0 * UNIT;

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
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct MadeFor {
    revision: u64,
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

    /// Draws it.
    pub fn ui(&mut self, ui: &mut Ui, model: &Model, to: &Target, clock: &Clock) -> Vec<Wish> {
        let mut wishes = Vec::new();
        let full = ui.available_rect_before_wrap();
        let palette = Palette::of(ui);
        ui.painter().rect_filled(full, 0.0, palette.ground);
        self.place(model, to);
        self.make(ui, model, to, clock, full.width() - 2.0 * PAD);
        if self.items.is_empty() {
            empty(ui, palette, full, model, to);
            return wishes;
        }
        let total = self.tops.last().copied().unwrap_or(0.0) + PAD;
        let pad = (full.height() - total).max(0.0);
        let mut offset = self.offset(full.height(), total);
        let is_paged = self.paging.is_some();
        match self.paging.take() {
            Some(true) => offset += full.height() - SPACE,
            Some(false) => offset -= full.height() - SPACE,
            None => {}
        }
        let offset = offset.clamp(0.0, (total - full.height()).max(0.0));
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
        let offset = output.state.clamped_offset().y;
        let is_scrolled =
            ui.input(|input| input.smooth_scroll_delta().y != 0.0 || input.pointer.any_down());
        if is_scrolled || is_paged {
            self.hold(offset, full.height(), total);
        }
        wishes.extend(self.older(model, to, offset));
        wishes.extend(self.seen(ui, model, to));
        wishes.extend(self.down_ui(ui, model, to, full));
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

    /// Makes and measures the items, where what they are made of has changed.
    fn make(&mut self, ui: &Ui, model: &Model, to: &Target, clock: &Clock, width: f32) {
        let made_for = MadeFor {
            revision: model.revision(),
            width,
            pixels_per_point: ui.ctx().pixels_per_point(),
            is_dark: ui.visuals().dark_mode,
            // Words such as "Yesterday" and "still trying".
            minute: clock.wall_ms / 60_000,
        };
        if self.made_for == Some(made_for) && !self.has_sending() {
            return;
        }
        let same_look = self.made_for.is_some_and(|before| {
            MadeFor { revision: made_for.revision, minute: made_for.minute, ..before } == made_for
        });
        if !same_look {
            self.laid.clear();
        }
        self.made_for = Some(made_for);
        self.items = items::items(model, to, self.unread_from, clock);
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
    fn hold(&mut self, offset: f32, height: f32, total: f32) {
        if offset + height >= total - 1.0 {
            self.anchor = None;
            return;
        }
        let at = self.tops.partition_point(|top| *top <= offset).saturating_sub(1);
        self.anchor = self.items.get(at).map(|item| (item.key(), self.tops[at] - offset));
    }

    fn older(&mut self, model: &Model, to: &Target, offset: f32) -> Option<Wish> {
        let conv = conversation(model, to)?;
        let timeline = model.timeline(conv)?;
        let before = timeline.older_than()?;
        let is_wanted = matches!(self.anchor, Some((Key::Message(kept), _)) if kept < before);
        if offset > LOAD_AHEAD && !is_wanted
            || timeline.is_loading()
            || self.asked_older == Some(before)
        {
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
                Item::Day(_, label) => chip(ui, palette, room, label),
                Item::New => new_line(ui, palette, room),
                Item::Bubble(bubble) => {
                    let Some((_, laid)) = self.laid.get(&bubble.key) else { continue };
                    wishes.extend(bubble_ui(ui, model, to, clock, (bubble, laid, room)));
                }
            }
        }
        wishes
    }

    /// The button back to the end, with what came meanwhile.
    fn down_ui(&mut self, ui: &mut Ui, model: &Model, to: &Target, full: Rect) -> Option<Wish> {
        self.anchor?;
        let palette = Palette::of(ui);
        let center = full.right_bottom() - vec2(PAD + TOUCH / 2.0, PAD + TOUCH / 2.0);
        let rect = Rect::from_center_size(center, Vec2::splat(TOUCH));
        let response = ui.interact(rect, Id::unique("to the end"), Sense::click());
        let conv = conversation(model, to)?;
        let newest = model.timeline(conv)?.messages().next_back()?.view.seq;
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
            let right = center + vec2(TOUCH / 2.0, -TOUCH / 2.0);
            paint::pill(ui.painter(), right, &below.to_string(), palette.accent, palette.on_accent);
        }
        if response.on_hover_text(label).clicked() {
            self.to_end();
            ui.ctx().request_repaint();
        }
        None
    }
}

fn is_sending(bubble: &Bubble) -> bool {
    let is_sending = |state: &Option<OwnState>| matches!(state, Some(OwnState::Sending { .. }));
    is_sending(&bubble.state) || is_sending(&bubble.change)
}

fn chip(ui: &Ui, palette: &Palette, room: Rect, label: &str) {
    let painter = ui.painter();
    let galley = painter.layout_no_wrap(label.to_owned(), Type::Tiny.font(), palette.weak);
    let size = galley.size() + vec2(5.0 * UNIT, 2.0 * UNIT);
    let center = pos2(room.center().x, room.center().y + UNIT);
    let rect = Rect::from_center_size(center, size);
    painter.rect_filled(rect, size.y / 2.0, palette.surface);
    painter.galley(center - galley.size() / 2.0, galley, palette.weak);
}

fn new_line(ui: &Ui, palette: &Palette, room: Rect) {
    let painter = ui.painter();
    let center = pos2(room.center().x, room.center().y + UNIT);
    let text = painter.text(
        center,
        Align2::CENTER_CENTER,
        "New messages",
        Type::TinyStrong.font(),
        palette.accent,
    );
    let stroke = Stroke::new(1.0, palette.accent.gamma_multiply(0.5));
    painter.hline(room.left()..=text.left() - GAP, center.y, stroke);
    painter.hline(text.right() + GAP..=room.right(), center.y, stroke);
}

fn empty(ui: &Ui, palette: &Palette, full: Rect, model: &Model, to: &Target) {
    let is_loading = conversation(model, to)
        .is_some_and(|conv| model.timeline(conv).is_none_or(|timeline| timeline.is_loading()));
    let name = model.name(to).unwrap_or("this account");
    let text = match is_loading {
        true => "Loading messages\u{2026}".to_owned(),
        false => format!("Nothing here yet. Say hello to {name}."),
    };
    let center = full.center();
    ui.painter().text(center, Align2::CENTER_CENTER, text, Type::Body.font(), palette.weak);
}

fn bubble_ui(
    ui: &mut Ui,
    model: &Model,
    to: &Target,
    clock: &Clock,
    (bubble, laid, room): (&Bubble, &Laid, Rect),
) -> Vec<Wish> {
    let mut wishes = Vec::new();
    let palette = Palette::of(ui);
    let rect = bubble::rect(laid, bubble, room);
    let response = ui.interact(rect, Id::unique(("bubble", bubble.key)), Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &laid.sentence));
    bubble::paint(ui.painter(), palette, bubble, laid, rect);
    controls::focus_ring(ui, &response, theme::RADIUS_LARGE);
    let pointer = response.hover_pos();
    if let Some(link) = pointer.and_then(|point| bubble::link_at(laid, rect, point)) {
        ui.ctx().set_cursor_icon(egui::CursorIcon::PointingHand);
        if response.clicked() {
            wishes.push(Wish::Browse(link.to_owned()));
        }
        response.clone().on_hover_text(link);
    } else if let Some((at, state)) = pointer.zip(bubble.state.as_ref())
        && at.y > rect.bottom() - SPACE
    {
        response.clone().on_hover_text(words::state(state, clock.wall_ms).1);
    }
    menu::menu(ui, &response).show(|ui| wishes.extend(menu_ui(ui, model, to, bubble)));
    wishes
}

fn menu_ui(ui: &mut Ui, model: &Model, to: &Target, bubble: &Bubble) -> Vec<Wish> {
    let mut wishes = Vec::new();
    let mut entry = |ui: &mut Ui, label: &str, wish: &dyn Fn() -> Wish| {
        if ui.button(label).clicked() {
            wishes.push(wish());
            ui.close();
        }
    };
    if !bubble.is_deleted {
        entry(ui, "Copy", &|| Wish::Copy(bubble.text.clone()));
    }
    match bubble.key {
        Key::Message(seq) => {
            let Some(conv) = conversation(model, to) else { return wishes };
            if bubble.is_own && !bubble.is_deleted {
                entry(ui, "Edit", &|| Wish::Edit(seq));
            }
            let delete = |scope| Wish::Do(Command::Delete { conv, seq, scope });
            entry(ui, "Delete for me", &|| delete(Scope::Me));
            if bubble.is_own && !bubble.is_deleted {
                entry(ui, "Delete for both", &|| Wish::Show(Popup::DeleteForBoth(conv, seq)));
            }
            entry(ui, "Details", &|| Wish::Show(Popup::Details(conv, seq)));
        }
        Key::Outgoing(txn) => {
            if matches!(bubble.state, Some(OwnState::Refused(_) | OwnState::Stale)) {
                entry(ui, "Try again", &|| Wish::Do(Command::Retry(txn)));
            }
            entry(ui, "Discard", &|| Wish::Do(Command::Discard(txn)));
        }
        Key::Day(_) | Key::DayOfOutgoing(_) | Key::New => {}
    }
    wishes
}
