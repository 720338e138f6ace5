//! The window: what happened goes in, the model is drawn, wishes come out and are carried out.
//!
//! Owns: the model, which chat is open, what is typed, what stands above the panes. Driven by:
//! `main` (eframe), and by tests, which feed it by hand. Invariants: no socket, file or wait in a
//! frame; one model, drawn; whatever a view wants is a [`Wish`], carried out after drawing. Does
//! not: know how to reach a server.

use std::collections::BTreeMap;

use crossbeam_channel::Receiver;
use egui::Ui;
use holdfast_common::client::driver::Happening;
use holdfast_common::client::model::{Entry, Model};
use holdfast_common::client::{Answer, Command, CommandId, Failure, SessionState, Update};
use holdfast_common::ids::Seq;
use holdfast_common::protocol::Target;
use jiff::tz::TimeZone;

use crate::composer::Composer;
use crate::list::List;
use crate::paint::Icon;
use crate::sign_in::SignIn;
use crate::theme::{self, AVATAR_SMALL, GAP, PAD, Palette, Type, UNIT};
use crate::timeline::{self, Timeline};
use crate::wish::{Popup, Wish};
use crate::words::Clock;
use crate::{controls, paint, strip};

/// How the window speaks to the world.
pub struct Doors {
    /// Tells the engine what a person wants.
    pub command: Box<dyn FnMut(CommandId, Command)>,
    /// What happened.
    pub happened: Receiver<Happening>,
    /// The wall clock, milliseconds since the Unix epoch.
    pub wall_ms: Box<dyn Fn() -> u64>,
    /// Where the person is.
    pub zone: TimeZone,
}

/// What a command's answer is for.
enum Asked {
    SignIn,
}

/// See the module's page.
pub struct Window {
    doors: Doors,
    /// What is drawn.
    pub model: Model,
    next_command: u64,
    asked: BTreeMap<CommandId, Asked>,
    sign_in: SignIn,
    list: List,
    chat: Option<Chat>,
    popup: Option<Popup>,
    /// Why the engine has ended, in a sentence.
    ended: Option<String>,
    list_width: f32,
    enter_sends: bool,
}

/// The chat that is open.
struct Chat {
    to: Target,
    timeline: Timeline,
    composer: Composer,
    /// Its messages have been asked for.
    is_opened: bool,
    /// The text as it was last kept.
    kept: String,
    /// When the text was last changed, seconds of egui's clock.
    changed_at: Option<f64>,
}

/// Typed text is kept so long after the last key, seconds.
const KEEP_AFTER_S: f64 = 0.5;

impl Window {
    /// A window over an engine that has just started.
    pub fn new(doors: Doors) -> Window {
        Window {
            doors,
            model: Model::default(),
            next_command: 0,
            asked: BTreeMap::new(),
            sign_in: SignIn::default(),
            list: List::default(),
            chat: None,
            popup: None,
            ended: None,
            list_width: theme::LIST,
            enter_sends: true,
        }
    }

    /// Takes what has happened; draws nothing. Also called while the window is hidden.
    pub fn logic(&mut self, ctx: &egui::Context) {
        while let Ok(happening) = self.doors.happened.try_recv() {
            match happening {
                Happening::Update(_, Update::Answer(id, outcome)) => self.answered(id, outcome),
                Happening::Update(_, update) => self.model.apply(update),
                Happening::Ended(_, why) => self.ended = Some(why),
            }
        }
        let title = match self.model.unread_total() {
            0 => "Holdfast".to_owned(),
            unread => format!("({unread}) Holdfast"),
        };
        let changed = ctx.input(|input| input.viewport().title.as_deref() != Some(&title));
        if changed {
            ctx.send_viewport_cmd(egui::ViewportCommand::Title(title));
        }
    }

    /// Draws the window and carries out what was wished.
    pub fn ui(&mut self, ui: &mut Ui) {
        let clock = Clock { wall_ms: (self.doors.wall_ms)(), zone: self.doors.zone.clone() };
        let wishes = match self.model.session() {
            SessionState::SignedIn { .. } => self.main_ui(ui, &clock),
            SessionState::SignedOut(_) | SessionState::SigningIn { .. } => {
                self.chat = None;
                self.sign_in.ui(ui, &self.model)
            }
        };
        for wish in wishes {
            self.carry_out(ui, wish);
        }
        self.keep_text(ui);
    }

    fn main_ui(&mut self, ui: &mut Ui, clock: &Clock) -> Vec<Wish> {
        let mut wishes = Vec::new();
        let full = ui.available_rect_before_wrap();
        let is_narrow = full.width() < theme::NARROW;
        let list_width = match (is_narrow, self.chat.is_some()) {
            (true, true) => 0.0,
            (true, false) => full.width(),
            (false, _) => self.list_width,
        };
        let split = full.left() + list_width;
        if list_width > 0.0 {
            let rect = full.with_max_x(split);
            pane(ui, rect, |ui| wishes.extend(self.left_ui(ui, clock)));
        }
        if !is_narrow || self.chat.is_some() {
            let rect = full.with_min_x(split);
            pane(ui, rect, |ui| wishes.extend(self.right_ui(ui, clock, is_narrow)));
        }
        let palette = Palette::of(ui);
        if list_width > 0.0 && !is_narrow {
            let stroke = egui::Stroke::new(1.0, palette.line);
            ui.painter().vline(split, full.y_range(), stroke);
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
            ui.label(egui::RichText::new(name).font(Type::Heading.font()));
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                let new = controls::icon_button(ui, Icon::New, "New chat", palette.accent);
                if new.clicked() {
                    wishes.push(Wish::Show(Popup::Switcher));
                }
            });
        });
        let height = ui.available_height() - theme::FOOTER;
        let size = egui::vec2(full.width(), height);
        ui.allocate_ui(size, |ui| {
            ui.set_min_size(size);
            let open = self.chat.as_ref().map(|chat| &chat.to);
            wishes.extend(self.list.ui(ui, &self.model, open, clock));
        });
        wishes.extend(strip::strip_ui(ui, &self.model));
        wishes
    }

    fn right_ui(&mut self, ui: &mut Ui, clock: &Clock, is_narrow: bool) -> Vec<Wish> {
        let mut wishes = Vec::new();
        let palette = Palette::of(ui);
        let Some(chat) = &mut self.chat else {
            let full = ui.available_rect_before_wrap();
            ui.painter().rect_filled(full, 0.0, palette.ground);
            ui.scope_builder(egui::UiBuilder::new().max_rect(full), |ui| {
                ui.add_space(full.height() / 2.0 - 8.0 * UNIT);
                ui.vertical_centered(|ui| {
                    let text = "Choose a chat, or begin a new one";
                    ui.label(egui::RichText::new(text).color(palette.weak));
                    if controls::link(ui, "Find someone to write to").clicked() {
                        wishes.push(Wish::Show(Popup::Switcher));
                    }
                });
            });
            return wishes;
        };
        ui.spacing_mut().item_spacing.y = 0.0;
        let full = ui.max_rect();
        bar(ui, palette, |ui| {
            if is_narrow && controls::icon_button(ui, Icon::Back, "Back", palette.weak).clicked() {
                wishes.push(Wish::Back);
            }
            let name = self.model.name(&chat.to);
            let center = ui.cursor().left_center() + egui::vec2(AVATAR_SMALL / 2.0, 0.0);
            paint::avatar(ui.painter(), palette, center, AVATAR_SMALL, name);
            ui.add_space(AVATAR_SMALL + UNIT);
            let shown = name.unwrap_or("Deleted account");
            ui.label(egui::RichText::new(shown).font(Type::Heading.font()));
        });
        ui.painter().hline(
            full.x_range(),
            full.top() + theme::HEADER,
            egui::Stroke::new(1.0, palette.line),
        );
        wishes.extend(strip::banner_ui(ui, &self.model, clock));
        let upper = ui.cursor().top();
        let rect = full.with_min_y(upper);
        let split = rect.bottom() - chat.composer.height(ui, rect.width());
        pane(ui, rect.with_min_y(split), |ui| {
            let last_own = last_own(&self.model, &chat.to);
            wishes.extend(chat.composer.ui(ui, self.enter_sends, last_own));
        });
        let rect = rect.with_max_y(split);
        ui.scope_builder(egui::UiBuilder::new().max_rect(rect), |ui| {
            ui.set_clip_rect(rect.intersect(ui.clip_rect()));
            wishes.extend(chat.timeline.ui(ui, &self.model, &chat.to, clock));
        });
        wishes
    }

    fn carry_out(&mut self, ui: &Ui, wish: Wish) {
        match wish {
            Wish::Do(command) => {
                self.command(command);
            }
            Wish::SignIn { user, pass, is_new } => {
                let command = match is_new {
                    true => Command::Register { user, pass },
                    false => Command::Login { user, pass },
                };
                let id = self.command(command);
                self.asked.insert(id, Asked::SignIn);
            }
            Wish::Ask(question) => {
                self.command(Command::Ask(question));
            }
            Wish::Open(to) => self.open(to),
            Wish::Back => self.close(),
            Wish::Send(text) => self.send(text),
            Wish::Edit(seq) => self.edit(seq),
            Wish::CancelEdit => {
                if let Some(chat) = &mut self.chat
                    && let Some((_, before)) = chat.composer.editing.take()
                {
                    chat.composer.text = before;
                }
            }
            Wish::LoadOlder(conv, before) => {
                self.command(Command::LoadOlder { conv, before });
            }
            Wish::Seen(conv, upto) => {
                self.command(Command::MarkRead { conv, upto });
            }
            Wish::Copy(text) => ui.ctx().copy_text(text),
            Wish::Browse(url) => ui.ctx().open_url(egui::OpenUrl::new_tab(url)),
            Wish::Show(popup) => self.popup = Some(popup),
            Wish::Hide => self.popup = None,
            Wish::Set(_) => {}
        }
    }

    fn command(&mut self, command: Command) -> CommandId {
        self.next_command += 1;
        let id = CommandId(self.next_command);
        (self.doors.command)(id, command);
        id
    }

    fn answered(&mut self, id: CommandId, outcome: Result<Answer, Failure>) {
        match self.asked.remove(&id) {
            Some(Asked::SignIn) => self.sign_in.failure = outcome.err(),
            None => {}
        }
    }

    fn open(&mut self, to: Target) {
        let to = self.model.resolve(&to);
        if self.chat.as_ref().is_some_and(|chat| self.model.resolve(&chat.to) == to) {
            return;
        }
        self.close();
        let text = self.model.draft(&to).unwrap_or_default().to_owned();
        let composer = Composer::with(text.clone());
        self.chat = Some(Chat {
            to,
            timeline: Timeline::default(),
            composer,
            is_opened: false,
            kept: text,
            changed_at: None,
        });
        self.load();
    }

    /// Asks for the open chat's messages, as soon as it is a conversation.
    fn load(&mut self) {
        let Some(chat) = &mut self.chat else { return };
        let Some(conv) = timeline::conversation(&self.model, &chat.to) else { return };
        if !std::mem::replace(&mut chat.is_opened, true) {
            self.command(Command::Open(conv));
        }
    }

    fn close(&mut self) {
        if let Some(chat) = self.chat.take() {
            let text = match chat.composer.editing {
                Some((_, before)) => before,
                None => chat.composer.text,
            };
            if text != chat.kept {
                self.command(Command::SaveDraft { to: chat.to, text });
            }
        }
    }

    fn send(&mut self, text: String) {
        let Some(chat) = &mut self.chat else { return };
        let to = self.model.resolve(&chat.to);
        if let Some((seq, before)) = chat.composer.editing.take() {
            chat.composer.text = before;
            if let Target::Conversation(conv) = to {
                self.command(Command::Edit { conv, seq, text });
            }
            return;
        }
        chat.timeline.to_end();
        let had_draft = !std::mem::take(&mut chat.kept).is_empty();
        let draft = Command::SaveDraft { to: chat.to.clone(), text: String::new() };
        self.command(Command::Send { to, text: text.trim().to_owned() });
        if had_draft {
            self.command(draft);
        }
    }

    fn edit(&mut self, seq: Seq) {
        let Some(chat) = &mut self.chat else { return };
        let found = self.model.entries(&chat.to).into_iter().find_map(|entry| match entry {
            Entry::Message { message, .. } if message.view.seq == seq => {
                Some(message.view.text.clone())
            }
            Entry::Message { .. } | Entry::Outgoing { .. } => None,
        });
        let Some(text) = found else { return };
        let before = std::mem::replace(&mut chat.composer.text, text);
        let before = chat.composer.editing.take().map_or(before, |(_, before)| before);
        chat.composer.editing = Some((seq, before));
        chat.composer.wants_focus = true;
    }

    /// Keeps what is typed, a moment after the last key.
    fn keep_text(&mut self, ui: &Ui) {
        self.load();
        let Some(chat) = &mut self.chat else { return };
        if chat.composer.editing.is_some() || chat.composer.text == chat.kept {
            chat.changed_at = None;
            return;
        }
        let now = ui.input(|input| input.time);
        let typed = ui.input(|input| !input.events.is_empty());
        let since = match typed {
            true => *chat.changed_at.insert(now),
            false => *chat.changed_at.get_or_insert(now),
        };
        if now - since >= KEEP_AFTER_S {
            chat.kept.clone_from(&chat.composer.text);
            chat.changed_at = None;
            let (to, text) = (chat.to.clone(), chat.kept.clone());
            self.command(Command::SaveDraft { to, text });
        } else {
            let wait = std::time::Duration::from_secs_f64(KEEP_AFTER_S - (now - since));
            ui.ctx().request_repaint_after(wait);
        }
    }
}

/// The newest own message that can be edited.
fn last_own(model: &Model, to: &Target) -> Option<Seq> {
    let entries = model.entries(to);
    entries.iter().rev().find_map(|entry| match entry {
        Entry::Message { message, .. } if message.own && !message.view.deleted => {
            Some(message.view.seq)
        }
        Entry::Message { .. } | Entry::Outgoing { .. } => None,
    })
}

/// A part of the window with a place of its own.
fn pane(ui: &mut Ui, rect: egui::Rect, content: impl FnOnce(&mut Ui)) {
    ui.scope_builder(egui::UiBuilder::new().max_rect(rect), |ui| {
        ui.set_clip_rect(rect.intersect(ui.clip_rect()));
        content(ui);
    });
}

/// The bar on top of a pane.
fn bar(ui: &mut Ui, palette: &Palette, content: impl FnOnce(&mut Ui)) {
    let full = ui.max_rect();
    let rect = egui::Rect::from_min_size(full.min, egui::vec2(full.width(), theme::HEADER));
    ui.painter().rect_filled(rect, 0.0, palette.surface);
    let inner = rect.shrink2(egui::vec2(PAD - UNIT, 0.0));
    let builder = egui::UiBuilder::new()
        .max_rect(inner)
        .layout(egui::Layout::left_to_right(egui::Align::Center));
    ui.scope_builder(builder, |ui| {
        ui.spacing_mut().item_spacing.x = GAP;
        ui.set_min_height(theme::HEADER);
        content(ui);
    });
    ui.advance_cursor_after_rect(rect);
}
