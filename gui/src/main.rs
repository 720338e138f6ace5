//! `holdfast-gui`: the order of a start.
//!
//! Owns: the command line, the data folder, the engine's thread and the window of the system.
//! Driven by: a person. Invariants: what is kept is shown before any server was asked. Does not:
//! draw (`window`) or decide what is sent (`common::client`).

#![expect(clippy::disallowed_methods, reason = "the rim: clock, environment, threads")]

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use holdfast_common::client::cache::{self, Cache};
use holdfast_common::client::driver::{self, Encryption, EngineId, Member, Storage};
use holdfast_common::client::{Command, CommandId, Settings};
use holdfast_common::config;
use holdfast_gui::theme;
use holdfast_gui::window::{Doors, Window};

/// The window as eframe drives it.
struct App(Window);

impl eframe::App for App {
    fn logic(&mut self, ctx: &egui::Context, _frame: &mut eframe::Frame) {
        self.0.logic(ctx);
    }

    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        self.0.ui(ui);
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("holdfast-gui: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let config = config::from_system(None)?;
    let servers = config.servers.iter().map(|each| each.client().to_string()).collect();
    let folder = cache::folder(std::env::var_os("HOLDFAST_HOME")).ok_or("no home folder")?;
    let (cache, stored) = Cache::open(&folder)?;
    let settings = Arc::new(Settings {
        client: concat!("holdfast-gui/", env!("CARGO_PKG_VERSION")).to_owned(),
        device: "desktop".to_owned(),
        servers,
        trusts_first_use: true,
    });
    let context: Arc<OnceLock<egui::Context>> = Arc::default();
    let woken = context.clone();
    let notify = move || {
        if let Some(context) = woken.get() {
            context.request_repaint();
        }
    };
    let has_account = stored.home.last.is_some();
    let member =
        Member { settings, storage: Storage::Disk(cache), stored, encryption: Encryption::Tls };
    let (handle, happened) = driver::spawn(vec![member], Box::new(notify))?;
    if has_account {
        handle.command(EngineId(0), CommandId(0), Command::Resume);
    }
    let options = eframe::NativeOptions {
        viewport: egui::ViewportBuilder::default()
            .with_app_id("holdfast")
            .with_title("Holdfast")
            .with_inner_size([1_000.0, 700.0])
            .with_min_inner_size([360.0, 400.0]),
        renderer: eframe::Renderer::Glow,
        ..eframe::NativeOptions::default()
    };
    eframe::run_native(
        "holdfast",
        options,
        Box::new(move |creation| {
            theme::install(&creation.egui_ctx);
            let _ = context.set(creation.egui_ctx.clone());
            Ok(Box::new(App(Window::new(Doors {
                command: Box::new(move |id, command| handle.command(EngineId(0), id, command)),
                happened,
                notify: Box::new(|_, _, _| {}),
                wall_ms: Box::new(|| {
                    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                    wall.as_millis().try_into().unwrap_or(u64::MAX)
                }),
                zone: jiff::tz::TimeZone::system(),
            }))))
        }),
    )?;
    Ok(())
}
