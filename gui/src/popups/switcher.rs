//! People and chats by name: to go to one, or to begin one.
//!
//! Owns: what is typed, and the names that a server sent for it. Driven by: `popups`. Invariants:
//! chats are found at once, people are asked for 150 ms after the last key; Enter opens the first
//! hit; an answer to what is no longer typed is dropped.

use egui::{Align2, Id, Key, Modifiers, Role, Sense, Ui, WidgetInfo, pos2, vec2};
use holdfast_common::client::Question;
use holdfast_common::protocol::{Target, UserView, Users, check_name};

use super::{Seen, hint};
use crate::controls;
use crate::paint;
use crate::theme::{AVATAR_SMALL, GAP, Palette, RADIUS, Type, UNIT};
use crate::wish::Wish;

/// People are asked for so long after the last key, seconds.
const ASK_AFTER_S: f64 = 0.15;
/// Hits that are shown.
const HITS_MAX: usize = 50;

/// See the module's page.
#[derive(Debug, Default)]
pub(super) struct Switcher {
    typed: String,
    users: Vec<UserView>,
    /// For what they were asked.
    asked: Option<String>,
    changed_at: Option<f64>,
    chosen: usize,
    had_focus: bool,
}

impl Switcher {
    pub(super) fn users_came(&mut self, prefix: &str, users: Vec<UserView>) {
        if self.asked.as_deref() == Some(prefix) {
            self.users = users;
        }
    }

    /// Names that fit, chats first.
    fn hits(&self, seen: Seen<'_>) -> Vec<(Target, String, bool)> {
        let typed = self.typed.trim().to_lowercase();
        let mut hits: Vec<(u8, Target, String, bool)> = Vec::new();
        for row in seen.model.rows() {
            let Some(with) = row.with else { continue };
            if let Some(rank) = fits(&with.to_lowercase(), &typed) {
                hits.push((rank, row.to.clone(), with.to_owned(), true));
            }
        }
        let own = seen.model.user().unwrap_or_default();
        for user in &self.users {
            let is_known = hits.iter().any(|(_, _, name, _)| name.eq_ignore_ascii_case(&user.user));
            if let Some(rank) = fits(&user.user.to_lowercase(), &typed)
                && !is_known
                && !user.user.eq_ignore_ascii_case(own)
            {
                let to = Target::User(user.user.clone());
                hits.push((rank + 4, to, user.user.clone(), false));
            }
        }
        hits.sort_by_key(|(rank, ..)| *rank);
        hits.truncate(HITS_MAX);
        hits.into_iter().map(|(_, to, name, is_chat)| (to, name, is_chat)).collect()
    }

    pub(super) fn ui(&mut self, ui: &mut Ui, palette: &Palette, seen: Seen<'_>) -> Vec<Wish> {
        let mut wishes = Vec::new();
        let hits = self.hits(seen);
        let step = ui.input_mut(|input| {
            let down = input.consume_key(Modifiers::NONE, Key::ArrowDown);
            let up = input.consume_key(Modifiers::NONE, Key::ArrowUp);
            (down, up)
        });
        match step {
            (true, _) => self.chosen = (self.chosen + 1).min(hits.len().saturating_sub(1)),
            (_, true) => self.chosen = self.chosen.saturating_sub(1),
            (false, false) => {}
        }
        let enter = ui.input_mut(|input| input.consume_key(Modifiers::NONE, Key::Enter));
        egui::Frame::new().inner_margin(egui::Margin::same(16)).show(ui, |ui| {
            let id = Id::unique("switcher");
            let field =
                controls::field(ui, id, &mut self.typed, "A chat, or a person's name", false);
            if !std::mem::replace(&mut self.had_focus, true) {
                field.request_focus();
            }
            if field.changed() {
                self.chosen = 0;
                self.changed_at = Some(ui.input(|input| input.time));
            }
            ui.spacing_mut().item_spacing.y = 0.0;
            ui.add_space(GAP);
            if hits.is_empty() {
                hint(ui, palette, self.empty());
            }
            egui::ScrollArea::vertical().max_height(90.0 * UNIT).show(ui, |ui| {
                for (at, (to, name, is_chat)) in hits.iter().enumerate() {
                    let is_chosen = at == self.chosen;
                    if hit_ui(ui, palette, (name, *is_chat), is_chosen, step.0 || step.1)
                        || enter && is_chosen
                    {
                        wishes.extend([Wish::Hide, Wish::Open(to.clone())]);
                    }
                }
            });
        });
        wishes.extend(self.ask(ui));
        wishes
    }

    fn empty(&self) -> String {
        match (self.typed.trim(), &self.asked) {
            ("", _) => "Type a name.".to_owned(),
            (typed, _) if check_name(typed).is_err() => {
                "Names have letters, digits, and _ . - only.".to_owned()
            }
            (typed, Some(asked)) if asked == typed => format!("Nobody is called {typed}."),
            (..) => "Looking\u{2026}".to_owned(),
        }
    }

    /// Asks for people, a moment after the last key; for everybody at once when nothing is typed.
    fn ask(&mut self, ui: &Ui) -> Option<Wish> {
        let typed = self.typed.trim().to_owned();
        if self.asked.as_deref() == Some(&typed) {
            return None;
        }
        let now = ui.input(|input| input.time);
        let since = self.changed_at.map_or(ASK_AFTER_S, |at| now - at);
        if since < ASK_AFTER_S {
            let wait = std::time::Duration::from_secs_f64(ASK_AFTER_S - since);
            ui.ctx().request_repaint_after(wait);
            return None;
        }
        self.asked = Some(typed.clone());
        Some(Wish::Ask(Question::Users(Users { prefix: typed, after: None, limit: None })))
    }
}

/// How well a name fits what is typed: at its beginning, in it, or its letters in order.
fn fits(name: &str, typed: &str) -> Option<u8> {
    if name.starts_with(typed) {
        return Some(0);
    }
    if name.contains(typed) {
        return Some(1);
    }
    let mut letters = name.chars();
    typed.chars().all(|wanted| letters.any(|letter| letter == wanted)).then_some(2)
}

fn hit_ui(
    ui: &mut Ui,
    palette: &Palette,
    (name, is_chat): (&str, bool),
    is_chosen: bool,
    is_moved: bool,
) -> bool {
    let size = vec2(ui.available_width(), 12.0 * UNIT);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    let kind = if is_chat { "chat" } else { "write to" };
    response.widget_info(|| {
        WidgetInfo::selected(Role::Button, true, is_chosen, format!("{name}, {kind}"))
    });
    if is_chosen || response.hovered() {
        let fill = if is_chosen { palette.selected } else { palette.raised };
        ui.painter().rect_filled(rect, RADIUS, fill);
    }
    if is_chosen && is_moved {
        response.scroll_to_me(None);
    }
    let center = pos2(rect.left() + GAP + AVATAR_SMALL / 2.0, rect.center().y);
    paint::avatar(ui.painter(), palette, center, AVATAR_SMALL, Some(name));
    let left = pos2(center.x + AVATAR_SMALL / 2.0 + 3.0 * UNIT, rect.center().y);
    ui.painter().text(left, Align2::LEFT_CENTER, name, Type::Strong.font(), palette.text);
    if !is_chat {
        let right = pos2(rect.right() - 3.0 * UNIT, rect.center().y);
        let font = Type::Tiny.font();
        ui.painter().text(right, Align2::RIGHT_CENTER, "New chat", font, palette.weak);
    }
    response.clicked()
}
