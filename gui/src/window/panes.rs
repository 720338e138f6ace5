//! Where the parts of the window stand: the list on the left, the chat on the right.
//!
//! Owns: the division of the window. Driven by: `window`. Invariants: below 606 points one pane is
//! shown at a time; nothing jumps on the first frame, for every place follows from the window's
//! size alone. Does not: know what a wish does.

use egui::{Align, CursorIcon, Id, Layout, Rect, RichText, Sense, Stroke, Ui, UiBuilder, vec2};

use super::Window;
use crate::paint::{self, Icon};
use crate::theme::{self, AVATAR_SMALL, GAP, PAD, Palette, Type, UNIT};
use crate::wish::{Popup, Preference, Wish};
use crate::words::Clock;
use crate::{controls, strip};

impl Window {
    pub(super) fn panes_ui(&mut self, ui: &mut Ui, clock: &Clock) -> Vec<Wish> {
        let mut wishes = Vec::new();
        let full = ui.available_rect_before_wrap();
        let is_narrow = full.width() < theme::NARROW;
        self.is_narrow = is_narrow;
        let list_width = match (is_narrow, self.chat.is_some()) {
            (true, true) => 0.0,
            (true, false) => full.width(),
            (false, _) => self.preferences.list_width,
        };
        let split = full.left() + list_width;
        if list_width > 0.0 {
            pane(ui, full.with_max_x(split), |ui| wishes.extend(self.left_ui(ui, clock)));
        }
        if !is_narrow || self.chat.is_some() {
            let rect = full.with_min_x(split);
            pane(ui, rect, |ui| wishes.extend(self.right_ui(ui, clock, is_narrow)));
        }
        if list_width > 0.0 && !is_narrow {
            wishes.extend(split_ui(ui, full, split));
        }
        wishes
    }

    fn left_ui(&mut self, ui: &mut Ui, clock: &Clock) -> Vec<Wish> {
        let mut wishes = Vec::new();
        let palette = Palette::of(ui);
        let full = ui.max_rect();
        ui.painter().rect_filled(full, 0.0, palette.surface);
        ui.spacing_mut().item_spacing.y = 0.0;
        bar(ui, palette, |ui| {
            let menu = controls::icon_button(ui, Icon::Menu, "Settings", palette.weak);
            if menu.clicked() {
                wishes.push(Wish::Show(Popup::Settings));
            }
            let name = self.model.user().unwrap_or_default();
            ui.label(RichText::new(name).font(Type::Heading.font()));
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let new = controls::icon_button(ui, Icon::New, "New chat", palette.accent);
                if new.clicked() {
                    wishes.push(Wish::Show(Popup::Switcher));
                }
            });
        });
        let top = full.top() + theme::HEADER;
        let list = full.with_min_y(top).with_max_y(full.bottom() - theme::FOOTER);
        pane(ui, list, |ui| {
            let open = self.chat.as_ref().map(|chat| &chat.to);
            wishes.extend(self.list.ui(ui, &self.model, open, clock));
        });
        let footer = full.with_min_y(full.bottom() - theme::FOOTER);
        pane(ui, footer, |ui| wishes.extend(strip::strip_ui(ui, &self.model)));
        wishes
    }

    fn right_ui(&mut self, ui: &mut Ui, clock: &Clock, is_narrow: bool) -> Vec<Wish> {
        let mut wishes = Vec::new();
        let palette = Palette::of(ui);
        let full = ui.max_rect();
        let Some(chat) = &mut self.chat else { return nothing_open_ui(ui, palette) };
        ui.spacing_mut().item_spacing.y = 0.0;
        bar(ui, palette, |ui| {
            if is_narrow && controls::icon_button(ui, Icon::Back, "Back", palette.weak).clicked() {
                wishes.push(Wish::Back);
            }
            let name = self.model.name(&chat.to);
            let center = ui.cursor().left_center() + vec2(AVATAR_SMALL / 2.0 + UNIT, 0.0);
            paint::avatar(ui.painter(), palette, center, AVATAR_SMALL, name);
            ui.add_space(AVATAR_SMALL + 3.0 * UNIT);
            let shown = name.unwrap_or("Deleted account");
            ui.label(RichText::new(shown).font(Type::Heading.font()));
        });
        let below = full.top() + theme::HEADER;
        ui.painter().hline(full.x_range(), below, Stroke::new(1.0, palette.line));
        wishes.extend(strip::banner_ui(ui, &self.model, clock));
        let rect = full.with_min_y(ui.cursor().top());
        let split = rect.bottom() - chat.composer.height(ui, rect.width());
        pane(ui, rect.with_min_y(split), |ui| {
            let last_own = chat.last_own(&self.model);
            let enter_sends = self.preferences.enter_sends;
            let can_send = self.ended.is_none();
            wishes.extend(chat.composer.ui(ui, enter_sends, can_send, last_own));
        });
        pane(ui, rect.with_max_y(split), |ui| {
            wishes.extend(chat.timeline.ui(ui, &self.model, &chat.to, clock));
        });
        wishes
    }
}

/// The line between the panes, which can be dragged.
fn split_ui(ui: &Ui, full: Rect, x: f32) -> Option<Wish> {
    let palette = Palette::of(ui);
    let grip = Rect::from_x_y_ranges(x - UNIT..=x + UNIT, full.y_range());
    let response = ui.interact(grip, Id::unique("split"), Sense::drag());
    let is_held = response.hovered() || response.dragged();
    let (width, color) = if is_held { (2.0, palette.accent) } else { (1.0, palette.line) };
    ui.painter().vline(x, full.y_range(), Stroke::new(width, color));
    if is_held {
        ui.ctx().set_cursor_icon(CursorIcon::ResizeHorizontal);
    }
    let to = response.interact_pointer_pos().filter(|_| response.dragged())?;
    Some(Wish::Set(Preference::ListWidth(to.x - full.left())))
}

fn nothing_open_ui(ui: &mut Ui, palette: &Palette) -> Vec<Wish> {
    let mut wishes = Vec::new();
    let full = ui.max_rect();
    ui.painter().rect_filled(full, 0.0, palette.ground);
    ui.add_space(full.height() / 2.0 - 8.0 * UNIT);
    ui.vertical_centered(|ui| {
        ui.label(RichText::new("Choose a chat, or begin a new one").color(palette.weak));
        if controls::link(ui, "Find someone to write to").clicked() {
            wishes.push(Wish::Show(Popup::Switcher));
        }
    });
    wishes
}

/// A part of the window with a place of its own.
fn pane(ui: &mut Ui, rect: Rect, content: impl FnOnce(&mut Ui)) {
    ui.scope_builder(UiBuilder::new().max_rect(rect), |ui| {
        ui.set_clip_rect(rect.intersect(ui.clip_rect()));
        content(ui);
    });
}

/// The bar on top of a pane.
fn bar(ui: &mut Ui, palette: &Palette, content: impl FnOnce(&mut Ui)) {
    let full = ui.max_rect();
    let rect = Rect::from_min_size(full.min, vec2(full.width(), theme::HEADER));
    ui.painter().rect_filled(rect, 0.0, palette.surface);
    let inner = rect.shrink2(vec2(PAD - UNIT, 0.0));
    let builder = UiBuilder::new().max_rect(inner).layout(Layout::left_to_right(Align::Center));
    ui.scope_builder(builder, |ui| {
        ui.spacing_mut().item_spacing.x = GAP;
        ui.set_min_height(theme::HEADER);
        content(ui);
    });
    ui.advance_cursor_after_rect(rect);
}
