//! `holdfast-gui`: the order of a start.
//!
//! Owns: the command line, the data folder, the engine's thread and the window of the system.
//! Driven by: a person. Invariants: what is kept is shown before any server was asked; whatever
//! keeps the window from starting is said in a window where there is a display, and on stderr.
//! Does not: draw (`window`) or decide what is sent (`common::client`).

#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "the rim: clock, environment, threads, and what a terminal is told"
)]

mod notify;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Parser;
use holdfast_common::client::cache::{self, Cache};
use holdfast_common::client::driver::{self, Encryption, EngineId, Member, Storage};
use holdfast_common::client::{Command, CommandId, Settings, Stored};
use holdfast_common::config;
use holdfast_gui::address::Address;
use holdfast_gui::theme;
use holdfast_gui::window::{Doors, Window};

/// The desktop client of Holdfast.
#[derive(Debug, Parser)]
#[command(
    name = "holdfast-gui",
    version,
    after_help = "Without --env and --server: the servers known from the last sign-in, else the \
                  settings' file that ENV_FILE names, else .env in this folder; else the window \
                  asks.\nHOLDFAST_HOME names the folder where sign-in and messages are kept: one \
                  for each window that is to be another person."
)]
struct Options {
    /// The servers' settings (.env).
    #[arg(long, value_name = "FILE", conflicts_with = "servers")]
    env: Option<PathBuf>,
    /// A server; may be repeated.
    #[arg(long = "server", value_name = "ADDRESS:PORT")]
    servers: Vec<String>,
}

/// The window as eframe drives it.
enum App {
    /// Nobody knows a server yet.
    Asking(Address, Option<Box<Kept>>),
    /// An engine runs.
    Running(Box<Window>),
    /// It cannot: why.
    Failed(String),
}

/// What is needed to start an engine.
struct Kept {
    cache: Cache,
    stored: Stored,
    context: Arc<OnceLock<egui::Context>>,
}

impl eframe::App for App {
    fn logic(&mut self, ctx: &egui::Context, _frame: &mut eframe::Frame) {
        if let App::Running(window) = self {
            window.logic(ctx);
        }
    }

    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        match self {
            App::Running(window) => window.ui(ui),
            App::Failed(sentence) => holdfast_gui::address::failed_ui(ui, sentence),
            App::Asking(address, kept) => {
                if let Some(server) = address.ui(ui)
                    && let Some(kept) = kept.take()
                {
                    *self = start(*kept, vec![server]);
                    ui.ctx().request_repaint();
                }
            }
        }
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    let context: Arc<OnceLock<egui::Context>> = Arc::default();
    let app = open(&options, context.clone());
    if let App::Failed(sentence) = &app {
        eprintln!("holdfast-gui: {sentence}");
    }
    let result = eframe::run_native(
        "holdfast",
        native_options(),
        Box::new(move |creation| {
            theme::install(&creation.egui_ctx);
            // It is set once, here.
            context.set(creation.egui_ctx.clone()).ok();
            Ok(Box::new(app))
        }),
    );
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!(
                "holdfast-gui: there is no display to draw on ({error}). In a terminal: \
                 holdfast chat"
            );
            ExitCode::FAILURE
        }
    }
}

fn native_options() -> eframe::NativeOptions {
    eframe::NativeOptions {
        viewport: egui::ViewportBuilder::default()
            .with_app_id("holdfast")
            .with_title("Holdfast")
            .with_icon(theme::icon())
            .with_inner_size([1_000.0, 700.0])
            .with_min_inner_size([360.0, 400.0]),
        renderer: eframe::Renderer::Glow,
        ..eframe::NativeOptions::default()
    }
}

/// What is kept is opened, and an engine started if it is known which servers are meant.
fn open(options: &Options, context: Arc<OnceLock<egui::Context>>) -> App {
    let Some(folder) = cache::folder(std::env::var_os("HOLDFAST_HOME")) else {
        let text = "There is no home folder to keep messages in. Set HOLDFAST_HOME to a folder.";
        return App::Failed(text.to_owned());
    };
    let (cache, stored) = match Cache::open(&folder) {
        Ok(opened) => opened,
        Err(error) => return App::Failed(error.to_string()),
    };
    match servers(options, &stored) {
        Ok(Some(servers)) => start(Kept { cache, stored, context }, servers),
        Ok(None) => {
            App::Asking(Address::default(), Some(Box::new(Kept { cache, stored, context })))
        }
        Err(sentence) => App::Failed(sentence),
    }
}

/// Out of the options, else what earlier sign-ins have taught, else the settings; nothing: a
/// person must say.
fn servers(options: &Options, stored: &Stored) -> Result<Option<Vec<String>>, String> {
    if !options.servers.is_empty() {
        return Ok(Some(options.servers.clone()));
    }
    if options.env.is_none() && stored.home.last.is_some() {
        // The engine knows those of the account's cluster.
        return Ok(Some(Vec::new()));
    }
    let is_named = std::env::var_os("ENV_FILE").is_some_and(|name| !name.is_empty());
    if options.env.is_some() || is_named || Path::new(".env").exists() {
        let config = config::from_system(options.env.as_deref());
        let config = config.map_err(|error| error.to_string())?;
        let addresses = config.servers.iter().map(|each| each.client().to_string());
        return Ok(Some(addresses.collect()));
    }
    Ok(match stored.home.clusters.as_slice() {
        [only] => Some(only.servers.clone()),
        _ => None,
    })
}

fn start(kept: Kept, servers: Vec<String>) -> App {
    let Kept { cache, stored, context } = kept;
    let settings = Arc::new(Settings {
        client: concat!("holdfast-gui/", env!("CARGO_PKG_VERSION")).to_owned(),
        device: device(),
        servers,
        trusts_first_use: false,
    });
    let notify = move || {
        if let Some(context) = context.get() {
            context.request_repaint();
        }
    };
    let has_account = stored.home.last.is_some();
    let storage = Storage::Disk(cache);
    let member = Member { settings, storage, stored, encryption: Encryption::Tls };
    let (handle, happened) = match driver::spawn(vec![member], Box::new(notify)) {
        Ok(started) => started,
        Err(error) => return App::Failed(format!("The client cannot start: {error}")),
    };
    if has_account {
        handle.command(EngineId(0), CommandId(0), Command::Resume);
    }
    let mut notifier = notify::Notifier::default();
    App::Running(Box::new(Window::new(Doors {
        command: Box::new(move |id, command| handle.command(EngineId(0), id, command)),
        happened,
        notify: Box::new(move |title, text, sounds| notifier.tell(title, text, sounds)),
        wall_ms: Box::new(|| {
            let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            wall.as_millis().try_into().unwrap_or(u64::MAX)
        }),
        zone: jiff::tz::TimeZone::system(),
    })))
}

/// What the account's list of sessions shows.
fn device() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let harmless: String = host.chars().filter(|c| !c.is_control()).take(40).collect();
    format!("window on {harmless}")
}
