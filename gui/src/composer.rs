//! Where a person types.
//!
//! Owns: the typed text of the open chat and what is edited. Driven by: `window`. Invariants:
//! sending clears at once and waits for nothing; an Enter that an input method takes never sends;
//! the focus stays. Does not: keep the text over a restart (`window` does).

use egui::{Id, Key, Modifiers, Rect, Ui, UiBuilder, Vec2, vec2};
use holdfast_common::ids::Seq;

use crate::controls;
use crate::keys::Composing;
use crate::paint::Icon;
use crate::theme::{GAP, PAD, Palette, RADIUS_LARGE, TOUCH, Type, UNIT};
use crate::wish::Wish;

/// The most bytes of a message.
pub const TEXT_BYTES_MAX: usize = 16_384;
/// From here on the counter is shown.
const COUNTER_FROM: usize = TEXT_BYTES_MAX / 10 * 9;
/// Lines that are seen at once.
const LINES_MAX: f32 = 8.0;
/// More characters than eight lines can hold.
const MEASURED_MAX: usize = 4_096;
/// Above and below the field, and around the text in it.
const MARGIN: f32 = 2.0 * UNIT;
const FIELD_PAD: Vec2 = vec2(3.5 * UNIT, 2.5 * UNIT);
/// A line above or below the field.
const NOTE: f32 = 7.0 * UNIT;

/// See the module's page.
#[derive(Debug, Default)]
pub struct Composer {
    /// What is typed.
    pub text: String,
    /// The own message that is being edited, with the text that was typed before.
    pub editing: Option<(Seq, String)>,
    /// The focus is wanted.
    pub wants_focus: bool,
    composing: Composing,
}

/// The composer's place in egui's memory.
pub fn id() -> Id {
    Id::unique("composer")
}

impl Composer {
    /// With a text that was typed before, and with the focus.
    pub fn with(text: String) -> Composer {
        Composer { text, wants_focus: true, ..Composer::default() }
    }

    /// How high it is at this width: one line to eight, and what stands above and below them.
    pub fn height(&self, ui: &Ui, width: f32) -> f32 {
        let rest = [self.editing.is_some(), self.shows_counter()];
        let rest: f32 = rest.into_iter().filter(|shown| *shown).map(|_| NOTE).sum();
        self.field_height(ui, width) + 2.0 * MARGIN + rest
    }

    fn field_height(&self, ui: &Ui, width: f32) -> f32 {
        let inner = width - 2.0 * PAD - TOUCH - GAP - 2.0 * FIELD_PAD.x;
        let font = Type::Body.font();
        let line = ui.fonts_mut(|fonts| fonts.row_height(&font));
        // Far more than is seen needs no measuring.
        let end = self.text.char_indices().nth(MEASURED_MAX).map_or(self.text.len(), |(at, _)| at);
        let galley = ui.painter().layout(
            self.text[..end].to_owned(),
            font,
            Palette::of(ui).text,
            inner.max(line),
        );
        galley.size().y.clamp(line, LINES_MAX * line) + 2.0 * FIELD_PAD.y
    }

    fn shows_counter(&self) -> bool {
        self.text.len() >= COUNTER_FROM
    }

    /// Draws it into all of `ui`, which is as high as it wants to be. `last_own`: what Up edits in
    /// an empty composer. Where nothing can be sent, the text stays.
    pub fn ui(
        &mut self,
        ui: &mut Ui,
        enter_sends: bool,
        can_send: bool,
        last_own: Option<Seq>,
    ) -> Vec<Wish> {
        let mut wishes = Vec::new();
        let palette = Palette::of(ui);
        let full = ui.max_rect();
        ui.painter().rect_filled(full, 0.0, palette.surface);
        let sends = self.takes_enter(ui, enter_sends);
        let mut rect = full.shrink2(vec2(PAD, MARGIN));
        if self.editing.is_some() {
            let note = rect.with_max_y(rect.top() + NOTE);
            rect.set_top(note.bottom());
            wishes.extend(editing_ui(ui, palette, note));
        }
        if self.shows_counter() {
            let note = rect.with_min_y(rect.bottom() - NOTE);
            rect.set_bottom(note.top());
            self.counter_ui(ui, palette, note);
        }
        self.field_ui(ui, palette, rect.with_max_x(rect.right() - TOUCH - GAP));
        // With what was typed in this frame: a slow machine has a text and its Enter in one.
        let fits = !self.text.trim().is_empty() && self.text.len() <= TEXT_BYTES_MAX;
        let is_ready = fits && can_send;
        let button = rect.with_min_x(rect.right() - TOUCH).with_min_y(rect.bottom() - TOUCH);
        let pressed = ui.scope_builder(UiBuilder::new().max_rect(button), |ui| {
            let (icon, name) = match self.editing {
                Some(_) => (Icon::Check, "Save"),
                None => (Icon::Send, "Send"),
            };
            let ink = if is_ready { palette.accent } else { palette.weak };
            ui.add_enabled_ui(is_ready, |ui| controls::icon_button(ui, icon, name, ink)).inner
        });
        if is_ready && (sends || pressed.inner.clicked()) {
            wishes.push(Wish::Send(std::mem::take(&mut self.text)));
            self.wants_focus = true;
        }
        let has_focus = ui.ctx().memory(|memory| memory.has_focus(id()));
        let is_up = ui.input(|input| input.key_pressed(Key::ArrowUp) && input.modifiers.is_none());
        if self.text.is_empty() && self.editing.is_none() && has_focus && is_up {
            wishes.extend(last_own.map(Wish::Edit));
        }
        wishes
    }

    fn field_ui(&mut self, ui: &mut Ui, palette: &Palette, rect: Rect) {
        ui.painter().rect_filled(rect, RADIUS_LARGE, palette.raised);
        let inner = rect.shrink2(FIELD_PAD);
        ui.scope_builder(UiBuilder::new().max_rect(inner), |ui| {
            ui.spacing_mut().interact_size.y = 0.0;
            let area = egui::ScrollArea::vertical().id_salt("typed").auto_shrink(false);
            area.show(ui, |ui| {
                let edit = egui::TextEdit::multiline(&mut self.text)
                    .id(id())
                    .hint_text("Message")
                    .font(Type::Body.font())
                    .frame(egui::Frame::NONE)
                    .margin(egui::Margin::ZERO)
                    .desired_rows(1)
                    .desired_width(f32::INFINITY);
                let response = ui.add(edit).accessible_name("Message");
                if std::mem::take(&mut self.wants_focus) {
                    response.request_focus();
                }
            });
        });
    }

    fn counter_ui(&self, ui: &mut Ui, palette: &Palette, rect: Rect) {
        let (color, text) = match self.text.len().checked_sub(TEXT_BYTES_MAX + 1) {
            None => (palette.weak, format!("{} left", TEXT_BYTES_MAX - self.text.len())),
            Some(over) => {
                (palette.danger, format!("{} too long: shorten it, or send it in parts", over + 1))
            }
        };
        ui.scope_builder(line_in(rect), |ui| {
            ui.label(egui::RichText::new(text).font(Type::Tiny.font()).color(color));
        });
    }

    /// Whether Enter was pressed to send; takes it away from the text field then.
    fn takes_enter(&mut self, ui: &Ui, enter_sends: bool) -> bool {
        let has_focus = ui.ctx().memory(|memory| memory.has_focus(id()));
        ui.input_mut(|input| {
            self.composing.note(input);
            if !has_focus || self.composing.is_composing() {
                return false;
            }
            let sends = if enter_sends { Modifiers::NONE } else { Modifiers::SHIFT };
            input.consume_key(Modifiers::COMMAND, Key::Enter)
                || input.modifiers.shift != enter_sends && input.consume_key(sends, Key::Enter)
        })
    }
}

/// A line of words in a place.
fn line_in(rect: Rect) -> UiBuilder {
    UiBuilder::new().max_rect(rect).layout(egui::Layout::left_to_right(egui::Align::Center))
}

/// What stands above the field while a message is edited.
fn editing_ui(ui: &mut Ui, palette: &Palette, rect: Rect) -> Option<Wish> {
    let clicked = ui.scope_builder(line_in(rect), |ui| {
        let text = egui::RichText::new("Editing").font(Type::Strong.font()).color(palette.accent);
        ui.label(text);
        controls::link(ui, "Cancel").clicked()
    });
    clicked.inner.then_some(Wish::CancelEdit)
}
