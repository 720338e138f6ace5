//! What is drawn by hand: pictures of people, state glyphs, icons, pills.
//!
//! Owns: their shapes, all vectors, so they are sharp at any size. Driven by: the views. Invariant:
//! colours come from the theme, and what a shape says is also said in words by whoever draws it.
//! Does not: take input.

use egui::{Align2, Color32, Painter, Pos2, Rect, Shape, Stroke, Vec2, pos2, vec2};

use crate::theme::{Palette, SIGN, Type, UNIT};

/// The corners of what is a circle.
pub const ROUND: u8 = 255;
/// How wide a state glyph is.
pub const GLYPH: Vec2 = vec2(18.0, 12.0);

/// The sign, as `assets/icon/holdfast.svg` has it: three rings, each linked with both others.
pub fn sign(painter: &Painter, rect: Rect) {
    let scale = rect.width() / 256.0;
    let [ground, rings @ ..] = SIGN;
    painter.rect_filled(rect.shrink(8.0 * scale), 56.0 * scale, ground);
    let centers = [(128.0, 101.0), (156.6, 150.5), (99.4, 150.5)];
    let arc = |ring: usize, from: f32, to: f32, width: f32, color: Color32| {
        let (x, y) = centers[ring];
        let points = (0..=48_u8).map(|step| {
            let angle = (from + (to - from) * f32::from(step) / 48.0).to_radians();
            rect.min + scale * vec2(x + 58.0 * angle.cos(), y + 58.0 * angle.sin())
        });
        painter.add(Shape::line(points.collect(), Stroke::new(width * scale, color)));
    };
    for (ring, color) in rings.into_iter().enumerate() {
        if ring > 0 {
            arc(ring, 0.0, 360.0, 32.0, ground);
        }
        arc(ring, 0.0, 360.0, 20.0, color);
    }
    // Where an earlier ring lies over a later one.
    for (ring, from, to) in [(0, -26.5, 85.5), (1, 93.5, 145.5)] {
        arc(ring, from, to, 32.0, ground);
        arc(ring, from - 7.0, to + 7.0, 20.0, rings[ring]);
    }
}

/// The picture of a person: initials on a colour that follows from the name.
pub fn avatar(painter: &Painter, palette: &Palette, center: Pos2, size: f32, name: Option<&str>) {
    let Some(name) = name else {
        painter.circle_filled(center, size / 2.0, palette.raised);
        let stroke = Stroke::new(1.5, palette.weak);
        painter.circle_stroke(center - vec2(0.0, size * 0.1), size * 0.14, stroke);
        painter.line_segment(
            [center + vec2(-size * 0.2, size * 0.22), center + vec2(size * 0.2, size * 0.22)],
            stroke,
        );
        return;
    };
    painter.circle_filled(center, size / 2.0, palette.people[person(name)]);
    let font = if size > 40.0 { Type::Heading.font() } else { Type::Strong.font() };
    painter.text(center, Align2::CENTER_CENTER, initials(name), font, palette.on_people);
}

/// Which of the colours for people is this one's: the same on every machine.
fn person(name: &str) -> usize {
    let sum = name
        .to_lowercase()
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    usize::try_from(sum % 8).unwrap_or(0)
}

/// One or two letters for a name: of its parts, where it has some.
pub fn initials(name: &str) -> String {
    let mut parts = name.split(['_', '.', '-', ' ']).filter_map(|part| part.chars().next());
    let first = parts.next().into_iter().chain(parts.next());
    first.flat_map(char::to_uppercase).collect()
}

/// What a state glyph shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Glyph {
    /// In the outbox: the outline of a clock.
    Waiting,
    /// Sent, no answer yet: a filled clock.
    Sending,
    /// Stored.
    Stored,
    /// A device has it.
    Delivered,
    /// Refused, or nobody knows.
    Trouble,
}

/// Draws a state glyph into the box [`GLYPH`] whose left centre is given.
pub fn glyph(painter: &Painter, left: Pos2, glyph: Glyph, color: Color32) {
    let stroke = Stroke::new(1.5, color);
    let center = left + vec2(GLYPH.x - 7.0, 0.0);
    match glyph {
        Glyph::Waiting => {
            painter.circle_stroke(center, 5.0, stroke);
            painter.add(hands(center, stroke));
        }
        Glyph::Sending => {
            painter.circle_filled(center, 5.5, color);
            let inner = Stroke::new(1.5, Color32::from_black_alpha(160));
            painter.add(hands(center, inner));
        }
        Glyph::Stored => {
            painter.add(tick(center, stroke));
        }
        Glyph::Delivered => {
            painter.add(tick(center - vec2(4.5, 0.0), stroke));
            painter.add(tick(center + vec2(0.5, 0.0), stroke));
        }
        Glyph::Trouble => {
            painter.circle_filled(center, 6.0, color);
            let ink = Stroke::new(1.8, Color32::from_black_alpha(200));
            painter.line_segment([center - vec2(0.0, 3.0), center + vec2(0.0, 0.8)], ink);
            painter.circle_filled(center + vec2(0.0, 3.2), 1.1, ink.color);
        }
    }
}

fn hands(center: Pos2, stroke: Stroke) -> Shape {
    Shape::line(vec![center - vec2(0.0, 3.0), center, center + vec2(2.4, 0.0)], stroke)
}

fn tick(center: Pos2, stroke: Stroke) -> Shape {
    let points = [vec2(-4.0, 0.2), vec2(-1.2, 3.2), vec2(4.4, -3.6)];
    Shape::line(points.map(|point| center + point).to_vec(), stroke)
}

/// Things that can be pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Icon {
    /// Three lines: more to choose from.
    Menu,
    /// To where one came from.
    Back,
    /// Write to somebody new.
    New,
    /// A magnifying glass.
    Search,
    /// Send.
    Send,
    /// Confirm an edit.
    Check,
    /// Close, cancel.
    Close,
    /// Down to the newest, to the next newer.
    Down,
    /// Up to the next older.
    Up,
    /// Show what is hidden.
    Eye,
    /// Three dots.
    More,
}

/// Draws an icon around a centre, about 20 points wide.
pub fn icon(painter: &Painter, center: Pos2, icon: Icon, color: Color32) {
    let stroke = Stroke::new(1.8, color);
    let at = |x: f32, y: f32| center + vec2(x, y);
    let line = |points: &[(f32, f32)]| {
        Shape::line(points.iter().map(|(x, y)| at(*x, *y)).collect(), stroke)
    };
    match icon {
        Icon::Menu => {
            for y in [-5.0, 0.0, 5.0] {
                painter.add(line(&[(-7.0, y), (7.0, y)]));
            }
        }
        Icon::Back => {
            painter.add(line(&[(3.0, -7.0), (-4.0, 0.0), (3.0, 7.0)]));
        }
        Icon::New => {
            painter.add(line(&[(2.0, -6.5), (-6.5, -6.5), (-6.5, 6.5), (6.5, 6.5), (6.5, -1.0)]));
            painter.add(line(&[(-1.5, 1.5), (7.5, -7.5)]));
        }
        Icon::Search => {
            painter.circle_stroke(at(-1.5, -1.5), 5.0, stroke);
            painter.add(line(&[(2.3, 2.3), (6.5, 6.5)]));
        }
        Icon::Send => {
            let wing = [(-7.0, -6.5), (8.0, 0.0), (-7.0, 6.5), (-4.6, 0.0)];
            let points = wing.map(|(x, y)| at(x, y));
            painter.add(Shape::convex_polygon(
                vec![points[0], points[1], points[3]],
                color,
                Stroke::NONE,
            ));
            painter.add(Shape::convex_polygon(
                vec![points[3], points[1], points[2]],
                color,
                Stroke::NONE,
            ));
        }
        Icon::Check => {
            painter.add(line(&[(-6.5, 0.5), (-2.0, 5.0), (7.0, -5.5)]));
        }
        Icon::Close => {
            painter.add(line(&[(-5.5, -5.5), (5.5, 5.5)]));
            painter.add(line(&[(5.5, -5.5), (-5.5, 5.5)]));
        }
        Icon::Down => {
            painter.add(line(&[(-6.0, -3.0), (0.0, 3.5), (6.0, -3.0)]));
        }
        Icon::Up => {
            painter.add(line(&[(-6.0, 3.0), (0.0, -3.5), (6.0, 3.0)]));
        }
        Icon::Eye => {
            painter.add(line(&[(-8.0, 0.0), (-4.0, -4.0), (0.0, -5.0), (4.0, -4.0), (8.0, 0.0)]));
            painter.add(line(&[(-8.0, 0.0), (-4.0, 4.0), (0.0, 5.0), (4.0, 4.0), (8.0, 0.0)]));
            painter.circle_filled(center, 2.2, color);
        }
        Icon::More => {
            for y in [-5.5, 0.0, 5.5] {
                painter.circle_filled(at(0.0, y), 1.7, color);
            }
        }
    }
}

/// A count in a pill whose right centre is given; says how wide it is.
pub fn pill(painter: &Painter, right: Pos2, text: &str, fill: Color32, ink: Color32) -> f32 {
    let galley = painter.layout_no_wrap(text.to_owned(), Type::TinyStrong.font(), ink);
    let height = 5.0 * UNIT;
    let width = (galley.size().x + 3.0 * UNIT).max(height);
    let rect =
        Rect::from_min_size(pos2(right.x - width, right.y - height / 2.0), vec2(width, height));
    painter.rect_filled(rect, height / 2.0, fill);
    painter.galley(rect.center() - galley.size() / 2.0, galley, ink);
    width
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initials_are_of_the_parts_of_a_name() {
        assert_eq!(initials("alice"), "A");
        assert_eq!(initials("mary_ann.smith"), "MA");
        assert_eq!(initials("jean-luc"), "JL");
        assert_eq!(initials("_"), "");
    }
}
