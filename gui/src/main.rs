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

mod fonts;
mod frames;
mod notify;

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser;
use frames::Frames;
use holdfast_common::client::cache::{self, Cache, CacheError};
use holdfast_common::client::driver::{self, Encryption, EngineId, Member, Storage};
use holdfast_common::client::{Command, CommandId, Settings, Stored};
use holdfast_common::config::{self, LogLevels};
use holdfast_common::logging;
use holdfast_gui::address::Address;
use holdfast_gui::place::{self, Place};
use holdfast_gui::window::{Doors, KEY_PLACE, Window};
use holdfast_gui::{keys, theme, words};

/// How often, and how long, an account's place that is taken is waited for.
const IN_USE_TRIES: u32 = 5;
const IN_USE_WAIT: Duration = Duration::from_millis(40);

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
    /// Writes a line for each frame: its number, when, how long the one before took, and why; the
    /// times in milliseconds.
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    frames: Option<PathBuf>,
}

/// What eframe drives: the window, and who measures it.
struct Program {
    app: App,
    frames: Option<Frames>,
    /// What was typed and is the next frame's.
    held: Vec<egui::Event>,
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
    /// Where the log is.
    logs: String,
}

impl eframe::App for Program {
    fn logic(&mut self, ctx: &egui::Context, _frame: &mut eframe::Frame) {
        if let App::Running(window) = &mut self.app {
            window.logic(ctx);
        }
    }

    fn on_exit(&mut self, _gl: Option<&eframe::glow::Context>) {
        if let App::Running(window) = &mut self.app {
            window.leave();
        }
    }

    fn raw_input_hook(&mut self, ctx: &egui::Context, input: &mut egui::RawInput) {
        input.events.splice(0..0, self.held.drain(..));
        self.held = keys::hold_back(&mut input.events);
        if !self.held.is_empty() {
            ctx.request_repaint();
        }
    }

    fn ui(&mut self, ui: &mut egui::Ui, frame: &mut eframe::Frame) {
        if let Some(frames) = &mut self.frames {
            frames.note(ui.ctx(), frame);
        }
        match &mut self.app {
            App::Running(window) => window.ui(ui),
            App::Failed(sentence) => holdfast_gui::address::failed_ui(ui, sentence),
            App::Asking(address, kept) => {
                if let Some(server) = address.ui(ui)
                    && let Some(kept) = kept.take()
                {
                    self.app = start(*kept, vec![server]);
                    ui.ctx().request_repaint();
                }
            }
        }
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    let context: Arc<OnceLock<egui::Context>> = Arc::default();
    let (app, stood) = open(&options, context.clone());
    let frames = match options.frames.as_deref().map(Frames::new).transpose() {
        Ok(frames) => frames,
        Err(error) => {
            eprintln!("holdfast-gui: --frames: {error}");
            return ExitCode::FAILURE;
        }
    };
    if let App::Failed(sentence) = &app {
        eprintln!("holdfast-gui: {sentence}");
    }
    let result = eframe::run_native(
        "holdfast",
        native_options(stood),
        Box::new(move |creation| {
            correct_place(creation);
            theme::install(&creation.egui_ctx);
            // It is set once, here.
            context.set(creation.egui_ctx.clone()).ok();
            Ok(Box::new(Program { app, frames, held: Vec::new() }))
        }),
    );
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("holdfast-gui: {}. In a terminal: holdfast chat", no_window(&error));
            ExitCode::FAILURE
        }
    }
}

/// Why there is no window, without the names of files of libraries.
fn no_window(error: &eframe::Error) -> String {
    let has = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let text = error.to_string();
    let reason = text.rsplit(": ").next().unwrap_or_default().trim_end_matches('.');
    if cfg!(target_os = "linux") && !has("DISPLAY") && !has("WAYLAND_DISPLAY") {
        "there is no display: neither WAYLAND_DISPLAY nor DISPLAY is set".to_owned()
    } else if matches!(error, eframe::Error::Winit(_) | eframe::Error::WinitEventLoop(_)) {
        format!("the display cannot be used: {reason}")
    } else {
        format!("the display draws no OpenGL: {reason}")
    }
}

fn native_options(stood: Place) -> eframe::NativeOptions {
    eframe::NativeOptions {
        viewport: stood
            .builder()
            .with_app_id("holdfast")
            .with_title("Holdfast")
            .with_icon(theme::icon()),

        renderer: eframe::Renderer::Glow,
        system_font_fallback: fonts::are_there(),
        ..eframe::NativeOptions::default()
    }
}

/// Moves a window that stands where nobody could reach it, before it is seen.
fn correct_place(creation: &eframe::CreationContext<'_>) {
    let Some(window) = creation.winit_window() else { return };
    let Ok(at) = window.outer_position() else { return };
    #[expect(clippy::cast_precision_loss, reason = "screens have fewer pixels than that")]
    let rect = |x: i32, y: i32, width: u32, height: u32| {
        let size = egui::vec2(width as f32, height as f32);
        egui::Rect::from_min_size(egui::pos2(x as f32, y as f32), size)
    };
    let screens = window.available_monitors().map(|screen| {
        let (at, size) = (screen.position(), screen.size());
        rect(at.x, at.y, size.width, size.height)
    });
    let screens: Vec<_> = screens.collect();
    let size = window.outer_size();
    if let Some(to) = place::corrected(rect(at.x, at.y, size.width, size.height), &screens) {
        log::info!("the window is moved onto a screen, to {to}");
        let to = to / creation.egui_ctx.pixels_per_point();
        creation.egui_ctx.send_viewport_cmd(egui::ViewportCommand::OuterPosition(to));
    }
}

/// What is kept is opened, and an engine started if it is known which servers are meant. Also says
/// where the window stood.
fn open(options: &Options, context: Arc<OnceLock<egui::Context>>) -> (App, Place) {
    let failed = |sentence| (App::Failed(sentence), Place::default());
    let Some(folder) = cache::folder(std::env::var_os("HOLDFAST_HOME")) else {
        let text = "There is no home folder to keep messages in. Set HOLDFAST_HOME to a folder.";
        return failed(text.to_owned());
    };
    let logs = start_log(&folder);
    let (cache, stored) = match open_cache(&folder) {
        Ok(opened) => opened,
        Err(error) => return failed(error.to_string()),
    };
    let stood = stood(&stored);
    let app = match servers(options, &stored) {
        Ok(Some(servers)) => start(Kept { cache, stored, context, logs }, servers),
        Ok(None) => {
            let kept = Kept { cache, stored, context, logs };
            App::Asking(Address::default(), Some(Box::new(kept)))
        }
        Err(sentence) => App::Failed(sentence),
    };
    (app, stood)
}

/// Says where the log is; nothing where there can be none: the window is worth more than its log.
fn start_log(folder: &Path) -> String {
    let logs = folder.join("logs");
    // The folder of the messages too, which is nobody else's; without it there is no log either.
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&logs).ok();
    let options = logging::Options {
        instance: "window".to_owned(),
        file: Some(logs.join("window.log")),
        stderr: logging::Stderr::Nothing,
        levels: LogLevels { default: log::LevelFilter::Info, targets: Vec::new() },
    };
    match logging::init(options) {
        Ok(_) => logs.display().to_string(),
        Err(error) => {
            eprintln!("holdfast-gui: {error}");
            String::new()
        }
    }
}

/// A second window of an account has a place of its own. A process that was killed a moment ago may
/// not have let go of the account's yet: that is waited for.
fn open_cache(folder: &Path) -> Result<(Cache, Stored), CacheError> {
    for _ in 0..IN_USE_TRIES {
        match Cache::open(folder) {
            Err(CacheError::InUse { .. }) => std::thread::sleep(IN_USE_WAIT),
            opened => return opened,
        }
    }
    Cache::open_beside(folder)
}

/// Where the window stood, as its account remembers.
fn stood(stored: &Stored) -> Place {
    let kept = stored.account.iter().flat_map(|account| &account.interface);
    let mut kept = kept.filter(|(key, _)| key == KEY_PLACE);
    kept.next().and_then(|(_, text)| Place::from_text(text)).unwrap_or_default()
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
    let Kept { cache, stored, context, logs } = kept;
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
    let last = stored.home.last.as_ref().map(|key| key.user.clone());
    let again = match cache.lost_unsent() {
        Some(aside) => Some(words::lost_unsent(&aside.display().to_string())),
        None => last.as_deref().filter(|_| cache.is_beside()).map(words::beside),
    };
    let storage = Storage::Disk(cache);
    let member = Member { settings, storage, stored, encryption: Encryption::Tls };
    let (handle, happened) = match driver::spawn(vec![member], Box::new(notify)) {
        Ok(started) => started,
        Err(error) => return App::Failed(format!("The client cannot start: {error}")),
    };
    if last.is_some() {
        handle.command(EngineId(0), CommandId(0), Command::Resume);
    }
    let mut notifier = notify::Notifier::default();
    let mut window = Window::new(Doors {
        command: Box::new(move |id, command| handle.command(EngineId(0), id, command)),
        happened,
        notify: Box::new(move |title, text, sounds| notifier.tell(title, text, sounds)),
        wall_ms: Box::new(|| {
            let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            wall.as_millis().try_into().unwrap_or(u64::MAX)
        }),
        zone: jiff::tz::TimeZone::system(),
    });
    if let Some((user, why)) = last.zip(again) {
        window.signs_in_again(user, why);
    }
    window.logs_in(logs);
    App::Running(Box::new(window))
}

/// What the account's list of sessions shows.
fn device() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let harmless: String = host.chars().filter(|c| !c.is_control()).take(40).collect();
    format!("window on {harmless}")
}
