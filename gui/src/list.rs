//! The conversations, newest activity first, with search.
//!
//! Owns: what is typed into the search, and a row's look. Driven by: `window`. Invariants: only
//! rows that are seen are drawn; selected, hovered and focused rows differ. Does not: sort or count
//! (the model does).

use egui::text::{LayoutJob, TextFormat, TextWrapping};
use egui::{
    Align2, EventFilter, Id, Key, Modifiers, Response, Role, Sense, Ui, WidgetInfo, pos2, vec2,
};
use holdfast_common::client::model::{Model, OwnState, Preview, Row};
use holdfast_common::protocol::Target;

use crate::controls;
use crate::paint::{self, GLYPH};
use crate::theme::{AVATAR, GAP, Palette, RADIUS, ROW, Type, UNIT};
use crate::wish::{Popup, Wish};
use crate::words::{self, Clock};

/// See the module's page.
#[derive(Debug, Default)]
pub struct List {
    /// What is typed into the search.
    pub search: String,
    /// The row that the keyboard is at.
    at: Option<Target>,
    /// It is to have the focus as soon as it is drawn.
    takes_focus: bool,
    /// Where the list stands, and how much of it is seen.
    view: (f32, f32),
}

fn row_id(to: &Target) -> Id {
    Id::unique(("row", to))
}

/// The search field's place in egui's memory.
pub fn search_id() -> Id {
    Id::unique("search")
}

impl List {
    /// Draws search and rows.
    pub fn ui(
        &mut self,
        ui: &mut Ui,
        model: &Model,
        open: Option<&Target>,
        clock: &Clock,
    ) -> Vec<Wish> {
        let mut wishes = Vec::new();
        let palette = Palette::of(ui);
        let step = self.takes_step(ui);
        let margin = egui::Margin { left: 12, right: 12, top: 4, bottom: 8 };
        egui::Frame::new().inner_margin(margin).show(ui, |ui| {
            controls::field(ui, search_id(), &mut self.search, "Search", false);
        });
        let folded = self.search.trim().to_lowercase();
        let rows = model.rows();
        let is_found = |row: &&Row<'_>| {
            folded.is_empty() || row.with.is_some_and(|with| with.to_lowercase().contains(&folded))
        };
        let rows: Vec<&Row<'_>> = rows.iter().filter(is_found).collect();
        if rows.is_empty() {
            wishes.extend(self.empty_ui(ui, palette, model));
            if std::mem::take(&mut self.takes_focus) {
                ui.memory_mut(|memory| memory.request_focus(search_id()));
            }
            return wishes;
        }
        let open = open.map(|open| model.resolve(open));
        let brought = self.bring(&rows, open.as_ref(), step);
        ui.spacing_mut().item_spacing.y = 0.0;
        let mut area =
            egui::ScrollArea::vertical().id_salt("list").auto_shrink(false).animated(false);
        if let Some(at) = brought {
            area = area.vertical_scroll_offset(self.shown_at(at));
        }
        let output = area.show_rows(ui, ROW, rows.len(), |ui, range| {
            for row in &rows[range] {
                let is_open = open.as_ref() == Some(&row.to);
                let response = row_ui(ui, palette, row, is_open, clock);
                self.follow(ui, row, &response);
                if response.clicked() {
                    wishes.push(Wish::Open(row.to.clone()));
                }
            }
        });
        self.view = (output.state.clamped_offset().y, output.inner_rect.height());
        wishes
    }

    /// Brings the keyboard to the rows: to where it was, else to the open chat's.
    pub fn take_focus(&mut self) {
        self.takes_focus = true;
    }

    /// Takes an arrow that was pressed at a row, or in the search; `true` for down.
    fn takes_step(&self, ui: &Ui) -> Option<bool> {
        let focused = ui.memory(egui::Memory::focused)?;
        let is_at_row = self.at.as_ref().is_some_and(|at| row_id(at) == focused);
        ui.input_mut(|input| {
            let none = Modifiers::NONE;
            if (is_at_row || focused == search_id()) && input.consume_key(none, Key::ArrowDown) {
                return Some(true);
            }
            (is_at_row && input.consume_key(none, Key::ArrowUp)).then_some(false)
        })
    }

    /// Which row the keyboard is brought to in this frame.
    fn bring(
        &mut self,
        rows: &[&Row<'_>],
        open: Option<&Target>,
        step: Option<bool>,
    ) -> Option<usize> {
        let position = |to: Option<&Target>| rows.iter().position(|row| Some(&row.to) == to);
        let at = position(self.at.as_ref());
        let next = match step {
            Some(true) => at.map_or(0, |at| at + 1).min(rows.len() - 1),
            Some(false) => at.unwrap_or(0).saturating_sub(1),
            None if self.takes_focus => position(open).or(at).unwrap_or(0),
            None => return None,
        };
        self.at = Some(rows[next].to.clone());
        self.takes_focus = true;
        Some(next)
    }

    /// Where the list is to stand so that this row is seen: as little as can be from where it is.
    fn shown_at(&self, at: usize) -> f32 {
        let rows_above = u16::try_from(at).unwrap_or(u16::MAX);
        let top = f32::from(rows_above) * ROW;
        let (offset, height) = self.view;
        offset.max(top + ROW - height).min(top).max(0.0)
    }

    /// Follows the focus, or brings it.
    fn follow(&mut self, ui: &Ui, row: &Row<'_>, response: &Response) {
        if response.has_focus() && !self.takes_focus {
            self.at = Some(row.to.clone());
            let filter = EventFilter { vertical_arrows: true, ..EventFilter::default() };
            ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, filter));
        }
        if self.at.as_ref() == Some(&row.to) && std::mem::take(&mut self.takes_focus) {
            response.request_focus();
        }
    }

    fn empty_ui(&self, ui: &mut Ui, palette: &Palette, model: &Model) -> Vec<Wish> {
        let mut wishes = Vec::new();
        ui.add_space(10.0 * UNIT);
        ui.vertical_centered(|ui| {
            let text = match (self.search.is_empty(), model.is_listed()) {
                (false, _) => format!("No chat with \u{201c}{}\u{201d}.", self.search.trim()),
                (true, true) => "No chats yet.".to_owned(),
                (true, false) => "Loading your chats\u{2026}".to_owned(),
            };
            ui.label(egui::RichText::new(text).color(palette.weak));
            if (model.is_listed() || !self.search.is_empty())
                && controls::link(ui, "Find someone to write to").clicked()
            {
                wishes.push(Wish::Show(Popup::Switcher));
            }
        });
        wishes
    }
}

/// Draws a row.
fn row_ui(ui: &mut Ui, palette: &Palette, row: &Row<'_>, is_open: bool, clock: &Clock) -> Response {
    let (_, rect) = ui.allocate_space(vec2(ui.available_width(), ROW));
    let response = ui.interact(rect, row_id(&row.to), Sense::click());
    let name = row.with.unwrap_or("Deleted account");
    response.widget_info(|| {
        WidgetInfo::selected(Role::Button, true, is_open, sentence(row, name, clock))
    });
    let inner = rect.shrink2(vec2(GAP, 0.0));
    let fill = match (is_open, response.hovered()) {
        (true, _) => Some(palette.selected),
        (false, true) => Some(palette.raised),
        (false, false) => None,
    };
    if let Some(fill) = fill {
        ui.painter().rect_filled(inner, RADIUS, fill);
    }
    controls::focus_ring(ui, &response.clone().with_new_rect(inner), RADIUS);
    let center = pos2(inner.left() + GAP + AVATAR / 2.0, rect.center().y);
    paint::avatar(ui.painter(), palette, center, AVATAR, row.with);
    let left = center.x + AVATAR / 2.0 + 3.0 * UNIT;
    let right = inner.right() - 3.0 * UNIT;
    let upper = rect.top() + 5.5 * UNIT;
    let lower = rect.top() + 10.5 * UNIT;
    let mut end = right;
    if row.active_ms > 0 {
        let time = clock.short(row.active_ms);
        let at = pos2(right, upper);
        let font = Type::Tiny.font();
        let drawn = ui.painter().text(at, Align2::RIGHT_CENTER, time, font, palette.weak);
        end = drawn.left() - GAP;
    }
    if let Some(state) = state_of(row) {
        let (glyph, _) = words::state(state, clock.wall_ms);
        let color = match state {
            OwnState::Read => palette.accent,
            OwnState::Refused(_) | OwnState::Stale => palette.danger,
            OwnState::Waiting
            | OwnState::Sending { .. }
            | OwnState::Stored { .. }
            | OwnState::Delivered => palette.weak,
        };
        paint::glyph(ui.painter(), pos2(end - GLYPH.x, upper), glyph, color);
        end -= GLYPH.x + UNIT;
    }
    line(ui, pos2(left, upper), end, plain(name, Type::Strong, palette.text));
    let mut end = right;
    if row.unread > 0 {
        let count = if row.unread > 999 { "999+".to_owned() } else { row.unread.to_string() };
        let at = pos2(right, lower);
        end -= paint::pill(ui.painter(), at, &count, palette.accent, palette.on_accent) + GAP;
    }
    line(ui, pos2(left, lower), end, preview(row, palette));
    response
}

/// Lays one line out, cut with an ellipsis, and draws it with its middle at `left`.
fn line(ui: &Ui, left: egui::Pos2, right: f32, mut job: LayoutJob) {
    job.wrap = TextWrapping::truncate_at_width((right - left.x).max(0.0));
    let galley = ui.painter().layout_job(job);
    let at = pos2(left.x, left.y - galley.size().y / 2.0);
    ui.painter().galley(at, galley, Palette::of(ui).text);
}

fn plain(text: &str, kind: Type, color: egui::Color32) -> LayoutJob {
    LayoutJob::single_section(
        text.to_owned(),
        TextFormat { font_id: kind.font(), color, ..TextFormat::default() },
    )
}

fn state_of<'r>(row: &'r Row<'_>) -> Option<&'r OwnState> {
    match &row.preview {
        Preview::Message(_, state) => state.as_ref(),
        Preview::Outgoing(_, state) => Some(state),
        Preview::Empty => None,
    }
}

/// The words of a row's second line: what stands before them in colour, and the rest.
fn preview_words(row: &Row<'_>) -> (Option<&'static str>, String) {
    let one_line = |text: &str| {
        text.chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect::<String>()
    };
    if row.has_refused {
        return (Some("Not sent: "), preview_text(row).map(one_line).unwrap_or_default());
    }
    if let Some(draft) = row.draft {
        return (Some("Draft: "), one_line(draft));
    }
    match &row.preview {
        Preview::Empty => (None, "No messages yet".to_owned()),
        Preview::Message(message, _) if message.view.deleted => {
            (None, "Message deleted".to_owned())
        }
        Preview::Message(message, _) if message.own => {
            (None, format!("You: {}", one_line(&message.view.text)))
        }
        Preview::Message(message, _) => (None, one_line(&message.view.text)),
        Preview::Outgoing(text, _) => (None, format!("You: {}", one_line(text))),
    }
}

fn preview_text<'r>(row: &'r Row<'_>) -> Option<&'r str> {
    match &row.preview {
        Preview::Empty => None,
        Preview::Message(message, _) => Some(&message.view.text),
        Preview::Outgoing(text, _) => Some(text),
    }
}

fn preview(row: &Row<'_>, palette: &Palette) -> LayoutJob {
    let (lead, text) = preview_words(row);
    let color = if row.has_refused { palette.danger } else { palette.accent };
    let format = |color| TextFormat { font_id: Type::Small.font(), color, ..TextFormat::default() };
    let mut job = LayoutJob::default();
    if let Some(lead) = lead {
        job.append(lead, 0.0, format(color));
    }
    job.append(&text, 0.0, format(palette.weak));
    job
}

fn sentence(row: &Row<'_>, name: &str, clock: &Clock) -> String {
    let (lead, text) = preview_words(row);
    let unread = match row.unread {
        0 => String::new(),
        unread => format!(", {unread} unread"),
    };
    let time = match row.active_ms {
        0 => String::new(),
        at => format!(", {}", clock.short(at)),
    };
    format!("{name}{unread}{time}: {}{text}", lead.unwrap_or_default())
}
