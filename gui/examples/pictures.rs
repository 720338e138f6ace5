//! Makes the pictures in `assets/screenshots`: every screen and state, as they are drawn.
//!
//! Owns: the list of pictures. Driven by: `assets/pictures.sh`, on a display without a person.

#![expect(clippy::print_stderr, reason = "a tool for who works on the window")]

#[path = "../tests/stage/mod.rs"]
mod stage;

use std::path::PathBuf;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, unbounded};
use egui::{ColorImage, Event, Key, Modifiers, ThemePreference, ViewportCommand, vec2};
use holdfast_common::client::Update;
use holdfast_gui::theme;
use holdfast_gui::window::Window;
use stage::{Stage, scenes};

/// Frames until everything stands where it belongs.
const SETTLE: u32 = 12;

/// One picture.
struct Picture {
    name: &'static str,
    updates: fn() -> Vec<Update>,
    /// A shortcut that opens something.
    keys: Option<(Modifiers, Key)>,
    /// What is typed then.
    types: &'static str,
    size: [f32; 2],
    zoom_percent: u16,
    is_dark: bool,
}

fn pictures() -> Vec<Picture> {
    let wide = [1_000.0, 680.0];
    let plain = |name, updates| Picture {
        name,
        updates,
        keys: None,
        types: "",
        size: wide,
        zoom_percent: 100,
        is_dark: true,
    };
    let opened = |name, modifiers, key| Picture {
        keys: Some((modifiers, key)),
        ..plain(name, scenes::chat)
    };
    let ctrl = Modifiers::COMMAND;
    vec![
        plain("chat-dark", scenes::chat),
        Picture { is_dark: false, ..plain("chat-light", scenes::chat) },
        plain("sign-in-dark", scenes::signed_out),
        Picture { is_dark: false, ..plain("sign-in-light", scenes::signed_out) },
        plain("states-dark", scenes::states),
        Picture { is_dark: false, ..plain("states-light", scenes::states) },
        plain("inbox", scenes::inbox),
        plain("nothing-yet", scenes::nothing_yet),
        plain("many-chats", scenes::many_chats),
        plain("offline-dark", scenes::offline),
        Picture { is_dark: false, ..plain("offline-light", scenes::offline) },
        plain("switching", scenes::switching),
        plain("stopped", scenes::chat),
        plain("first-contact", scenes::first_contact),
        plain("changed-key", scenes::changed_key),
        opened("switcher", ctrl, Key::K),
        opened("settings-dark", ctrl, Key::Comma),
        Picture { is_dark: false, ..opened("settings-light", ctrl, Key::Comma) },
        opened("shortcuts", ctrl, Key::Slash),
        Picture { types: "the", ..opened("find-dark", ctrl, Key::F) },
        Picture { types: "the", is_dark: false, ..opened("find-light", ctrl, Key::F) },
        Picture {
            size: [360.0, 680.0],
            types: "o",
            updates: scenes::older_chat,
            ..opened("narrow-find", ctrl, Key::F)
        },
        Picture { size: [360.0, 680.0], ..plain("narrow-chat", scenes::chat) },
        Picture { size: [360.0, 680.0], ..plain("narrow-list", scenes::inbox) },
        Picture {
            size: [360.0, 680.0],
            is_dark: false,
            ..plain("narrow-sign-in", scenes::signed_out)
        },
        Picture { size: [1_400.0, 900.0], zoom_percent: 200, ..plain("zoom-200", scenes::chat) },
        Picture { size: [1_400.0, 900.0], is_dark: false, ..plain("wide-light", scenes::chat) },
    ]
}

struct Album {
    folder: PathBuf,
    pictures: Vec<Picture>,
    at: usize,
    frame: u32,
    on_stage: Option<(Stage, Window)>,
    taken: (Sender<Arc<ColorImage>>, Receiver<Arc<ColorImage>>),
}

impl eframe::App for Album {
    fn raw_input_hook(&mut self, _ctx: &egui::Context, input: &mut egui::RawInput) {
        let keys = self.pictures.get(self.at).and_then(|picture| picture.keys);
        if let (5, Some((modifiers, key))) = (self.frame, keys) {
            let pressed = true;
            input.events.push(Event::Key {
                key,
                physical_key: None,
                pressed,
                repeat: false,
                modifiers,
            });
        }
        let types = self.pictures.get(self.at).map_or("", |picture| picture.types);
        if self.frame == 7 && !types.is_empty() {
            input.events.push(Event::Text(types.to_owned()));
        }
    }

    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        let Some(picture) = self.pictures.get(self.at) else {
            return ui.ctx().send_viewport_cmd(ViewportCommand::Close);
        };
        let ctx = ui.ctx().clone();
        ctx.request_repaint();
        if self.frame == 0 {
            let (stage, window) = Stage::new();
            let flags = "1100";
            let theme = if picture.is_dark { "dark" } else { "light" };
            let value = format!("{theme} {} {flags} 280", picture.zoom_percent);
            stage.feed([Update::Interface("preferences".to_owned(), value)]);
            stage.feed((picture.updates)());
            if picture.name == "stopped" {
                stage.end("cannot keep messages in /home/alice: the disk is full");
            }
            self.on_stage = Some((stage, window));
            ctx.set_theme(if picture.is_dark {
                ThemePreference::Dark
            } else {
                ThemePreference::Light
            });
            ctx.set_zoom_factor(f32::from(picture.zoom_percent) / 100.0);
        }
        if self.frame == 1 {
            // The text size counts from this frame on, also for the size of the window.
            let [width, height] = picture.size;
            ctx.send_viewport_cmd(ViewportCommand::InnerSize(
                vec2(width, height) * 100.0 / f32::from(picture.zoom_percent),
            ));
        }
        let (_, window) = self.on_stage.as_mut().expect("it was put there");
        window.logic(&ctx);
        window.ui(ui);
        self.frame += 1;
        if self.frame == SETTLE {
            let taken = self.taken.clone();
            ctx.request_screenshot(move |image| {
                taken.0.send(image).expect("the album is there");
            });
        }
        if let Ok(image) = self.taken.1.try_recv() {
            let path = self.folder.join(format!("{}.png", picture.name));
            let [width, height] = image.size.map(|side| u32::try_from(side).expect("a screen"));
            let bytes = image.pixels.iter().flat_map(|pixel| pixel.to_array()).collect();
            let image =
                image::RgbaImage::from_raw(width, height, bytes).expect("as large as it is");
            image.save(&path).expect("the folder can be written");
            eprintln!("{}", path.display());
            self.at += 1;
            self.frame = 0;
        }
    }
}

fn main() -> eframe::Result<()> {
    let folder = std::env::args_os()
        .nth(1)
        .map_or_else(|| PathBuf::from("assets/screenshots"), PathBuf::from);
    std::fs::create_dir_all(&folder).expect("a folder that can be written");
    let only: Vec<String> = std::env::args().skip(2).collect();
    let mut pictures = pictures();
    pictures.retain(|picture| {
        only.is_empty() || only.iter().any(|name| picture.name.contains(name.as_str()))
    });
    let options = eframe::NativeOptions {
        viewport: egui::ViewportBuilder::default().with_inner_size([1_000.0, 680.0]),
        renderer: eframe::Renderer::Glow,
        ..eframe::NativeOptions::default()
    };
    let album = Album { folder, pictures, at: 0, frame: 0, on_stage: None, taken: unbounded() };
    eframe::run_native(
        "pictures",
        options,
        Box::new(move |creation| {
            theme::install(&creation.egui_ctx);
            Ok(Box::new(album))
        }),
    )
}
