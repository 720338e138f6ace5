//! A message, measured and drawn.
//!
//! Owns: the layout of a bubble: text, and behind its last line the time and the state. Driven by:
//! `timeline`, which keeps what was measured. Invariant: what is measured is what is drawn. Does
//! not: decide where it stands.

use std::ops::Range;
use std::sync::Arc;

use egui::text::{CharIndex, LayoutJob, TextFormat, TextWrapping};
use egui::{
    Color32, CornerRadius, Galley, Painter, Pos2, Rect, Stroke, StrokeKind, Ui, Vec2, pos2, vec2,
};

use holdfast_common::client::model::OwnState;

use super::items::Bubble;
use super::links::{self, Link};
use crate::paint::{self, GLYPH};
use crate::theme::{self, GAP, Palette, RADIUS_LARGE, Type, UNIT};
use crate::words::{self, Clock};

/// Around the text.
const MARGIN: Vec2 = vec2(3.0 * UNIT, 2.0 * UNIT);
/// Above a bubble that goes on with a group, and above one that begins one.
const ABOVE: f32 = 0.5 * UNIT;
const ABOVE_GROUP: f32 = 3.0 * UNIT;
/// The corners that show whose it is.
const CORNER_TAIL: u8 = 4;
/// Those of a mark.
const MARK_RADIUS: u8 = 3;

/// A measured bubble.
#[derive(Debug, Clone)]
pub(super) struct Laid {
    text: Arc<Galley>,
    meta: Arc<Galley>,
    links: Vec<Link>,
    /// Of the bubble itself.
    size: Vec2,
    above: f32,
    /// The sentence for who cannot see it.
    pub(super) sentence: String,
}

impl Laid {
    /// How much room it takes from the item above to the one below.
    pub(super) fn height(&self) -> f32 {
        self.above + self.size.y
    }
}

/// How wide a bubble may be in a timeline of this width.
pub(super) fn width_max(timeline: f32) -> f32 {
    (timeline * theme::BUBBLE_SHARE).clamp(40.0 * UNIT, theme::BUBBLE_MAX)
}

/// Measures.
pub(super) fn lay(ui: &Ui, bubble: &Bubble, width: f32, clock: &Clock) -> Laid {
    let palette = Palette::of(ui);
    let inner = width_max(width) - 2.0 * MARGIN.x;
    let links = if bubble.is_deleted { Vec::new() } else { links::find(&bubble.text) };
    let text = ui.painter().layout_job(job(palette, bubble, &links, inner));
    let meta = meta(bubble, clock);
    let meta = ui.painter().layout_no_wrap(meta, Type::Tiny.font(), weak(palette, bubble));
    let meta_width =
        meta.size().x + if shown_state(bubble).is_some() { GLYPH.x + UNIT } else { 0.0 };
    let last = text.rows.last().map_or(0.0, |row| row.rect().right());
    let fits = last + GAP + meta_width <= inner;
    let content = match fits {
        true => vec2(text.size().x.max(last + GAP + meta_width), text.size().y),
        false => vec2(text.size().x.max(meta_width), text.size().y + meta.size().y + UNIT / 2.0),
    };
    Laid {
        size: content + 2.0 * MARGIN,
        above: if bubble.begins_group { ABOVE_GROUP } else { ABOVE },
        sentence: sentence(bubble, clock),
        text,
        meta,
        links,
    }
}

fn job(palette: &Palette, bubble: &Bubble, links: &[Link], width: f32) -> LayoutJob {
    let color = match (bubble.is_deleted, bubble.is_own) {
        (true, _) => weak(palette, bubble),
        (false, true) => palette.own_text,
        (false, false) => palette.text,
    };
    let plain = TextFormat { font_id: Type::Body.font(), color, ..TextFormat::default() };
    let mut job = LayoutJob {
        wrap: TextWrapping { max_width: width, ..TextWrapping::default() },
        ..LayoutJob::default()
    };
    if bubble.is_deleted {
        job.append("Message deleted", 0.0, TextFormat { italics: true, ..plain });
        return job;
    }
    let ink = if bubble.is_own { palette.own_accent } else { palette.accent };
    let linked = TextFormat { color: ink, underline: Stroke::new(1.0, ink), ..plain.clone() };
    let mut at = 0;
    for link in links {
        job.append(&bubble.text[at..link.bytes.start], 0.0, plain.clone());
        job.append(&bubble.text[link.bytes.clone()], 0.0, linked.clone());
        at = link.bytes.end;
    }
    job.append(&bubble.text[at..], 0.0, plain);
    job
}

fn weak(palette: &Palette, bubble: &Bubble) -> Color32 {
    if bubble.is_own { palette.own_weak } else { palette.weak }
}

/// The state that is drawn: that of a change under way before that of the message.
fn shown_state(bubble: &Bubble) -> Option<&OwnState> {
    bubble.change.as_ref().or(bubble.state.as_ref()).filter(|_| !bubble.is_deleted)
}

fn meta(bubble: &Bubble, clock: &Clock) -> String {
    let mut parts = Vec::new();
    if let Some(OwnState::Stored { copies, of }) = shown_state(bubble)
        && copies < of
    {
        parts.push(format!("{copies}/{of}"));
    }
    if let Some(state) = shown_state(bubble)
        && is_still_trying(state, clock)
    {
        parts.push("still trying".to_owned());
    }
    if bubble.is_edited && !bubble.is_deleted {
        parts.push("edited".to_owned());
    }
    parts.push(clock.time(bubble.ts));
    parts.join("  ")
}

fn is_still_trying(state: &OwnState, clock: &Clock) -> bool {
    matches!(state, OwnState::Sending { since_ms }
        if clock.wall_ms.saturating_sub(*since_ms) >= words::STILL_TRYING_MS)
}

/// One sentence: `You, 14:03: hello. Stored on 3 of 3 servers.`
fn sentence(bubble: &Bubble, clock: &Clock) -> String {
    let from = match (bubble.is_own, &bubble.from) {
        (true, _) => "You",
        (false, Some(name)) => name.as_str(),
        (false, None) => "Deleted account",
    };
    let text = if bubble.is_deleted { "Message deleted" } else { bubble.text.as_str() };
    let state = shown_state(bubble).map(|state| words::state(state, clock.wall_ms).1);
    let state = state.map(|state| format!(". {state}.")).unwrap_or_default();
    format!("{from}, {}: {text}{state}", clock.time(bubble.ts))
}

/// Where the bubble itself stands in its room.
pub(super) fn rect(laid: &Laid, bubble: &Bubble, room: Rect) -> Rect {
    let x = match bubble.is_own {
        true => room.right() - laid.size.x,
        false => room.left(),
    };
    Rect::from_min_size(pos2(x, room.top() + laid.above), laid.size)
}

/// What of a message is marked.
#[derive(Debug, Clone, Default)]
pub(super) struct Lit {
    /// Where it has the text that is looked for, in characters.
    pub(super) marks: Vec<Range<usize>>,
    /// It is the hit at which the person is.
    pub(super) is_found: bool,
    /// The keyboard is at it.
    pub(super) is_focused: bool,
}

/// Draws it.
pub(super) fn paint(
    painter: &Painter,
    palette: &Palette,
    bubble: &Bubble,
    laid: &Laid,
    rect: Rect,
    lit: &Lit,
) {
    let fill = if bubble.is_own { palette.own_bubble } else { palette.their_bubble };
    let mut corners = CornerRadius::same(RADIUS_LARGE);
    match (bubble.is_own, bubble.ends_group, bubble.begins_group) {
        (true, true, _) => corners.se = CORNER_TAIL,
        (false, true, _) => corners.sw = CORNER_TAIL,
        (..) => {}
    }
    painter.rect_filled(rect, corners, fill);
    let outline = match (lit.is_focused, lit.is_found) {
        (true, _) => Some(palette.accent),
        (false, true) => Some(palette.warning),
        (false, false) => None,
    };
    if let Some(color) = outline {
        painter.rect_stroke(rect, corners, Stroke::new(2.0, color), StrokeKind::Inside);
    }
    for mark in lit.marks.iter().flat_map(|mark| boxes(&laid.text, mark)) {
        painter.rect_filled(mark.translate(rect.min.to_vec2() + MARGIN), MARK_RADIUS, palette.mark);
    }
    let ink = weak(palette, bubble);
    painter.galley(rect.min + MARGIN, laid.text.clone(), palette.text);
    let state = shown_state(bubble);
    let room = if state.is_some() { GLYPH.x + UNIT } else { 0.0 };
    let meta = pos2(
        rect.right() - MARGIN.x - room - laid.meta.size().x,
        rect.bottom() - MARGIN.y - laid.meta.size().y,
    );
    painter.galley(meta, laid.meta.clone(), ink);
    if let Some(state) = state {
        let (glyph, _) = words::state(state, 0);
        let color = match state {
            OwnState::Read => palette.own_accent,
            OwnState::Refused(_) | OwnState::Stale => palette.danger,
            OwnState::Stored { copies, of } if copies < of => palette.warning,
            OwnState::Waiting
            | OwnState::Sending { .. }
            | OwnState::Stored { .. }
            | OwnState::Delivered => ink,
        };
        let left = pos2(rect.right() - MARGIN.x - GLYPH.x, meta.y + laid.meta.size().y / 2.0);
        paint::glyph(painter, left, glyph, color);
    }
}

/// The boxes of some characters of a text, one a line.
fn boxes(galley: &Galley, chars: &Range<usize>) -> Vec<Rect> {
    let mut begin = 0;
    let mut boxes = Vec::new();
    for row in &galley.rows {
        let count = row.glyphs.len();
        let from = chars.start.saturating_sub(begin);
        let upto = chars.end.saturating_sub(begin).min(count);
        if from < upto {
            let x = |at: usize| row.pos.x + row.x_offset(CharIndex(at));
            boxes.push(Rect::from_x_y_ranges(x(from)..=x(upto), row.rect().y_range()));
        }
        begin += count + usize::from(row.ends_with_newline);
    }
    boxes
}

/// The link under a point of a bubble that is drawn at `rect`.
pub(super) fn link_at(laid: &Laid, rect: Rect, point: Pos2) -> Option<&str> {
    let within = point - (rect.min + MARGIN);
    if within.x < 0.0 || within.y < 0.0 || within.y > laid.text.size().y {
        return None;
    }
    let row = laid.text.rows.iter().find(|row| row.rect().y_range().contains(within.y))?;
    if within.x > row.rect().right() {
        return None;
    }
    let at = laid.text.cursor_from_pos(within).index;
    let index: usize = at.into();
    let found = laid.links.iter().find(|link| link.chars.contains(&index))?;
    Some(&found.target)
}
