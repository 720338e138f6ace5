//! The few controls that the whole window is made of: buttons, fields, icons.
//!
//! Owns: how they look and what they are called for who cannot see them. Driven by: the views.
//! Invariants: everything that can be pressed is at least 40 points high, has a name, and shows
//! hover, press and focus differently. Does not: know what a press means.

use egui::{Align2, Color32, CornerRadius, Id, Response, Sense, Stroke, Ui, Vec2};
use egui::{Role, WidgetInfo, vec2};

use crate::paint::{self, Icon};
use crate::theme::{self, PAD, Palette, RADIUS, TOUCH, Type};

/// What a button is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The one thing to do here.
    Main,
    /// Another thing.
    Plain,
    /// Something that cannot be undone.
    Danger,
}

/// A button with words.
pub fn button(ui: &mut Ui, label: &str, kind: Kind, width: Option<f32>) -> Response {
    let palette = Palette::of(ui);
    let galley = ui.painter().layout_no_wrap(label.to_owned(), Type::Strong.font(), palette.text);
    let width = width.unwrap_or(galley.size().x + 2.0 * PAD);
    let (rect, response) = ui.allocate_exact_size(vec2(width, TOUCH), Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Button, ui.is_enabled(), label));
    let (fill, ink) = match kind {
        Kind::Main => (palette.accent, palette.on_accent),
        Kind::Plain => (palette.raised, palette.text),
        Kind::Danger => (palette.danger, palette.on_danger),
    };
    let fill = lit(fill, palette, &response);
    let (fill, ink) = match ui.is_enabled() {
        true => (fill, ink),
        false => (palette.raised, palette.weak),
    };
    ui.painter().rect_filled(rect, CornerRadius::same(RADIUS), fill);
    ui.painter().text(rect.center(), Align2::CENTER_CENTER, label, Type::Strong.font(), ink);
    focus_ring(ui, &response, RADIUS);
    response.on_hover_cursor(egui::CursorIcon::PointingHand)
}

/// A button that looks like text.
pub fn link(ui: &mut Ui, label: &str) -> Response {
    let palette = Palette::of(ui);
    let galley = ui.painter().layout_no_wrap(label.to_owned(), Type::Strong.font(), palette.accent);
    let size = vec2(galley.size().x, galley.size().y + 2.0 * theme::GAP);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Link, ui.is_enabled(), label));
    ui.painter().galley(rect.center() - galley.size() / 2.0, galley.clone(), palette.accent);
    if response.hovered() {
        let y = rect.center().y + galley.size().y / 2.0;
        ui.painter().hline(rect.x_range(), y, Stroke::new(1.0, palette.accent));
    }
    focus_ring(ui, &response, theme::RADIUS_SMALL);
    response.on_hover_cursor(egui::CursorIcon::PointingHand)
}

/// A button with an icon; its name is shown on hover.
pub fn icon_button(ui: &mut Ui, icon: Icon, name: &str, color: Color32) -> Response {
    let palette = Palette::of(ui);
    let (rect, response) = ui.allocate_exact_size(Vec2::splat(TOUCH), Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Button, ui.is_enabled(), name));
    if response.hovered() || response.is_pointer_button_down_on() {
        ui.painter().circle_filled(rect.center(), TOUCH / 2.0, palette.raised);
    }
    paint::icon(ui.painter(), rect.center(), icon, color);
    focus_ring(ui, &response, RADIUS);
    response.on_hover_text(name)
}

/// A field of one line. `name` is its label for who cannot see the hint.
pub fn field(ui: &mut Ui, id: Id, text: &mut String, name: &str, is_secret: bool) -> Response {
    let palette = Palette::of(ui);
    let edit = egui::TextEdit::singleline(text)
        .id(id)
        .password(is_secret)
        .hint_text(name.to_owned())
        .font(Type::Body.font())
        .frame(egui::Frame::NONE)
        .margin(egui::Margin::ZERO)
        .align(Align2::LEFT_CENTER)
        .desired_width(f32::INFINITY);
    let frame = egui::Frame::new()
        .fill(palette.raised)
        .corner_radius(RADIUS)
        .inner_margin(egui::Margin::symmetric(12, 0));
    let shown = frame.show(ui, |ui| ui.add(edit));
    let response = shown.inner.accessible_name(name);
    if response.has_focus() {
        let stroke = theme::focus_stroke(palette);
        let rect = shown.response.rect;
        ui.painter().rect_stroke(rect, RADIUS, stroke, egui::StrokeKind::Inside);
    }
    response
}

/// The ring around what the keyboard is at.
pub fn focus_ring(ui: &Ui, response: &Response, radius: u8) {
    if response.has_focus() {
        let stroke = theme::focus_stroke(Palette::of(ui));
        ui.painter().rect_stroke(response.rect, radius, stroke, egui::StrokeKind::Inside);
    }
}

/// A fill as it looks under the pointer, and while it is pressed.
fn lit(fill: Color32, palette: &Palette, response: &Response) -> Color32 {
    let towards = if palette.is_dark { Color32::WHITE } else { Color32::BLACK };
    match (response.is_pointer_button_down_on(), response.hovered()) {
        (true, _) => fill.lerp_to_gamma(towards, 0.16),
        (false, true) => fill.lerp_to_gamma(towards, 0.08),
        (false, false) => fill,
    }
}

/// One of several choices.
pub fn choice(ui: &mut Ui, label: &str, is_chosen: bool) -> Response {
    let palette = Palette::of(ui);
    let galley = ui.painter().layout_no_wrap(label.to_owned(), Type::Small.font(), palette.text);
    let size = vec2(galley.size().x + 6.0 * theme::UNIT, 8.0 * theme::UNIT);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    response.widget_info(|| WidgetInfo::selected(Role::RadioButton, true, is_chosen, label));
    let (fill, ink) = match is_chosen {
        true => (palette.accent, palette.on_accent),
        false => (palette.raised, palette.text),
    };
    ui.painter().rect_filled(rect, theme::RADIUS_SMALL, lit(fill, palette, &response));
    let font = Type::Small.font();
    ui.painter().text(rect.center(), Align2::CENTER_CENTER, label, font, ink);
    focus_ring(ui, &response, theme::RADIUS_SMALL);
    response
}

/// Something that is on or off, with its label on the left.
pub fn switch(ui: &mut Ui, label: &str, is_on: bool) -> Response {
    let palette = Palette::of(ui);
    let (rect, response) =
        ui.allocate_exact_size(vec2(ui.available_width(), TOUCH), Sense::click());
    response.widget_info(|| WidgetInfo::selected(Role::Switch, true, is_on, label));
    let left = rect.left_center();
    ui.painter().text(left, Align2::LEFT_CENTER, label, Type::Body.font(), palette.text);
    let size = vec2(10.0 * theme::UNIT, 6.0 * theme::UNIT);
    let track = egui::Rect::from_min_size(rect.right_center() - vec2(size.x, size.y / 2.0), size);
    let fill = if is_on { palette.accent } else { palette.raised };
    ui.painter().rect_filled(track, size.y / 2.0, lit(fill, palette, &response));
    let x = if is_on { track.right() - size.y / 2.0 } else { track.left() + size.y / 2.0 };
    let knob = if is_on { palette.on_accent } else { palette.weak };
    ui.painter().circle_filled(egui::pos2(x, track.center().y), size.y / 2.0 - 4.0, knob);
    focus_ring(ui, &response, theme::RADIUS_SMALL);
    response
}
