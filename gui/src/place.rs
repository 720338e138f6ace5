//! Where the window stands on the screen, as it is kept over a restart.
//!
//! Owns: [`Place`] and its form as text. Driven by: `main` (before there is a window) and `window`
//! (afterwards). Invariants: sizes are the system's points, whatever the text size; a place that
//! nobody could reach with the mouse is never taken. Does not: keep anything (`window` does).

use egui::{Pos2, Rect, Vec2, ViewportBuilder, pos2, vec2};

/// The smallest window.
pub const SIZE_MIN: Vec2 = vec2(360.0, 400.0);
/// The window of a first start.
const SIZE_FIRST: Vec2 = vec2(1_000.0, 700.0);
/// So much of the upper edge must be on a screen to take the window by it.
const GRIP: Vec2 = vec2(120.0, 32.0);

/// See the module's page.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// Nothing where the system does not tell (Wayland), or knows better.
    pub at: Option<Pos2>,
    /// The inner size.
    pub size: Vec2,
    /// Whether it fills the screen; `size` is what it has otherwise.
    pub is_maximized: bool,
}

impl Default for Place {
    fn default() -> Place {
        Place { at: None, size: SIZE_FIRST, is_maximized: false }
    }
}

impl Place {
    /// As it was kept: whole numbers. Nothing where it cannot be read.
    pub fn from_text(text: &str) -> Option<Place> {
        let words: Vec<&str> = text.split(' ').collect();
        let [x, y, width, height, mode] = words[..] else { return None };
        let number = |word: &str| word.parse::<i16>().ok().map(f32::from);
        let at = number(x).zip(number(y)).map(|(x, y)| pos2(x, y));
        let size = vec2(number(width)?, number(height)?).max(SIZE_MIN);
        Some(Place { at, size, is_maximized: mode == "maximized" })
    }

    /// As it is kept.
    pub fn to_text(self) -> String {
        let at = self.at.map_or("- -".to_owned(), |at| format!("{:.0} {:.0}", at.x, at.y));
        let mode = if self.is_maximized { "maximized" } else { "normal" };
        format!("{at} {:.0} {:.0} {mode}", self.size.x, self.size.y)
    }

    /// Where the window stands now. Nothing while that says nothing about where it belongs: hidden,
    /// minimized, or with the whole screen.
    pub fn now(ctx: &egui::Context, before: Option<Place>) -> Option<Place> {
        let zoom = ctx.zoom_factor();
        ctx.input(|input| {
            let viewport = input.viewport();
            if viewport.minimized == Some(true) || viewport.fullscreen == Some(true) {
                return None;
            }
            let inner = viewport.inner_rect?;
            if viewport.maximized == Some(true) {
                return Some(Place { is_maximized: true, ..before.unwrap_or_default() });
            }
            let at = viewport.outer_rect.map(|outer| (outer.min.to_vec2() * zoom).to_pos2());
            Some(Place { at, size: inner.size() * zoom, is_maximized: false })
        })
    }

    /// The window to be made.
    pub fn builder(self) -> ViewportBuilder {
        let builder = ViewportBuilder::default()
            .with_inner_size(self.size)
            .with_min_inner_size(SIZE_MIN)
            .with_maximized(self.is_maximized);
        match self.at {
            Some(at) => builder.with_position(at),
            None => builder,
        }
    }
}

/// Where a window is to be moved so that somebody can take it by its upper edge; nothing if that is
/// possible where it stands, or no screen is known. A screen that was there yesterday may be gone.
pub fn corrected(window: Rect, screens: &[Rect]) -> Option<Pos2> {
    let edge = Rect::from_min_size(window.min, vec2(window.width(), GRIP.y));
    let is_reachable = |screen: &Rect| {
        let seen = screen.intersect(edge);
        seen.width() >= GRIP.x.min(window.width()) && seen.height() >= GRIP.y
    };
    if screens.iter().any(is_reachable) {
        return None;
    }
    let distance = |screen: &&Rect| screen.distance_sq_to_pos(window.center());
    let nearest = screens.iter().min_by(|a, b| distance(a).total_cmp(&distance(b)))?;
    let room = (nearest.size() - window.size()).max(Vec2::ZERO);
    Some(window.min.clamp(nearest.min, nearest.min + room))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rect(x: f32, y: f32, width: f32, height: f32) -> Rect {
        Rect::from_min_size(pos2(x, y), vec2(width, height))
    }

    #[test]
    fn a_place_is_read_as_it_was_kept() {
        for place in [
            Place::default(),
            Place { at: Some(pos2(-40.0, 25.0)), size: vec2(800.0, 600.0), is_maximized: true },
        ] {
            assert_eq!(Place::from_text(&place.to_text()), Some(place));
        }
        for wrong in ["", "1 2 3", "1 2 NaN 4 normal", "1 2 x 600 normal", "a b c d e f"] {
            assert_eq!(Place::from_text(wrong), None, "{wrong}");
        }
        let tiny = Place::from_text("0 0 1 1 normal").map(|place| place.size);
        assert_eq!(tiny, Some(SIZE_MIN));
    }

    #[test]
    fn a_window_that_can_be_taken_stays_where_it_was() {
        let screens = [rect(0.0, 0.0, 1_920.0, 1_080.0), rect(1_920.0, 0.0, 1_280.0, 1_024.0)];
        for stays in [
            rect(100.0, 100.0, 1_000.0, 700.0),
            rect(2_000.0, 10.0, 1_000.0, 700.0),
            // Partly outside, but there is something to take it by.
            rect(-800.0, 300.0, 1_000.0, 700.0),
            rect(1_500.0, 1_000.0, 1_000.0, 700.0),
        ] {
            assert_eq!(corrected(stays, &screens), None, "{stays}");
        }
    }

    #[test]
    fn a_window_that_nobody_could_reach_comes_onto_the_nearest_screen() {
        let screens = [rect(0.0, 0.0, 1_920.0, 1_080.0)];
        for (lost, found) in [
            // Its screen, on the right, is gone.
            (rect(2_500.0, 100.0, 1_000.0, 700.0), pos2(920.0, 100.0)),
            (rect(-1_500.0, -900.0, 1_000.0, 700.0), pos2(0.0, 0.0)),
            // Its title is above the screen.
            (rect(100.0, -300.0, 1_000.0, 700.0), pos2(100.0, 0.0)),
            // Larger than the screen.
            (rect(3_000.0, 0.0, 4_000.0, 3_000.0), pos2(0.0, 0.0)),
        ] {
            assert_eq!(corrected(lost, &screens), Some(found), "{lost}");
        }
        assert_eq!(corrected(rect(9_000.0, 0.0, 400.0, 400.0), &[]), None);
    }
}
