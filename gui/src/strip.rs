//! What is said of the connection and the cluster: the banner above the timeline, the strip below
//! the list.
//!
//! Owns: nothing. Driven by: `window`. Invariant: exactly one state at a time, and nothing at all
//! while everything is in order but three quiet dots. Does not: decide how the connection is.

use egui::{Align, Layout, RichText, Role, Sense, Stroke, Ui, WidgetInfo, vec2};
use holdfast_common::client::model::Model;
use holdfast_common::client::{Command, ConnectionState};
use holdfast_common::protocol::{ServerState, ServerStatus};

use crate::controls;
use crate::theme::{FOOTER, GAP, PAD, Palette, Type, UNIT};
use crate::wish::{Popup, Wish};
use crate::words::{self, Clock};

/// A lost connection is worth words only when it lasts.
const SWITCH_MS: u64 = 1_000;

/// The banner, where there is something to say.
pub fn banner_ui(ui: &mut Ui, model: &Model, clock: &Clock) -> Option<Wish> {
    let palette = Palette::of(ui);
    let connection = model.connection();
    let switching = if let ConnectionState::Switching { from, since_ms } = connection
        && clock.wall_ms.saturating_sub(*since_ms) >= SWITCH_MS
    {
        Some(format!("Server {from} stopped answering. Looking for another one\u{2026}"))
    } else {
        None
    };
    let text = switching.or_else(|| words::banner(connection, model.waiting(), clock))?;
    let can_try = matches!(model.connection(), ConnectionState::NotConnected { .. });
    let mut wish = None;
    egui::Frame::new().fill(palette.raised).inner_margin(vec2(PAD, UNIT)).show(ui, |ui| {
        ui.horizontal(|ui| {
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                if can_try && controls::link(ui, "Try now").clicked() {
                    wish = Some(Wish::Do(Command::TryNow));
                }
                ui.with_layout(Layout::left_to_right(Align::Center).with_main_wrap(true), |ui| {
                    ui.label(RichText::new(text).font(Type::Small.font()));
                });
            });
        });
    });
    wish
}

/// What stands above all else when the engine has ended: nothing is kept and nothing sent any more.
pub fn ended_ui(ui: &mut Ui, why: &str) {
    let palette = Palette::of(ui);
    let frame = egui::Frame::new().fill(palette.danger).inner_margin(vec2(PAD, 2.0 * UNIT));
    egui::Panel::top("ended").frame(frame).show_separator_line(false).show(ui, |ui| {
        let text = format!(
            "Holdfast has stopped: {why}. What was sent or waiting is kept. Copy what you are \
             typing, mend it, and start the window again."
        );
        ui.label(RichText::new(text).font(Type::Small.font()).color(palette.on_danger));
    });
}

/// The strip: a dot a server; a click shows the cluster.
pub fn strip_ui(ui: &mut Ui, model: &Model) -> Option<Wish> {
    let palette = Palette::of(ui);
    let size = vec2(ui.available_width(), FOOTER);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    let words = summary(model);
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("Cluster: {words}")));
    let painter = ui.painter();
    painter.hline(rect.x_range(), rect.top(), Stroke::new(1.0, palette.line));
    if response.hovered() {
        painter.rect_filled(rect, 0.0, palette.raised);
    }
    let mut x = rect.left() + PAD + UNIT;
    let servers = model.cluster().map_or(&[][..], |cluster| &cluster.servers);
    let is_connected = matches!(model.connection(), ConnectionState::Connected { .. });
    for server in servers {
        let center = egui::pos2(x, rect.center().y);
        let color = match is_connected {
            true => dot_color(palette, server),
            false => palette.weak,
        };
        painter.circle_filled(center, UNIT, color);
        if server.state == ServerState::Primary {
            painter.circle_stroke(center, UNIT + 2.5, Stroke::new(1.5, color));
        }
        x += 4.5 * UNIT;
    }
    let color = match model.degraded().is_some() && is_connected {
        true => palette.warning,
        false => palette.weak,
    };
    let left = x + GAP - UNIT;
    let width = rect.right() - PAD - left;
    let galley = painter.layout(words.clone(), Type::Tiny.font(), color, width);
    let top = rect.center().y - galley.size().y / 2.0;
    painter.galley(egui::pos2(left, top), galley, color);
    controls::focus_ring(ui, &response, 0);
    response.on_hover_text(hover(model)).clicked().then_some(Wish::Show(Popup::Cluster))
}

/// The colour of a server's dot.
pub fn dot_color(palette: &Palette, server: &ServerStatus) -> egui::Color32 {
    match server.state {
        ServerState::Primary | ServerState::InSync => palette.good,
        ServerState::CatchingUp | ServerState::Silent => palette.warning,
        ServerState::Down | ServerState::Unknown => palette.danger,
    }
}

fn summary(model: &Model) -> String {
    let connection = model.connection();
    match connection {
        ConnectionState::Connected { .. } => match model.degraded() {
            Some((in_sync, of)) => format!(
                "{in_sync} of {of} servers. New messages have {}.",
                match in_sync {
                    1 => "one copy".to_owned(),
                    more => format!("{more} copies"),
                }
            ),
            None => match model.cluster() {
                Some(cluster) if cluster.of == 1 => "1 server".to_owned(),
                Some(cluster) => format!("{} servers", cluster.of),
                None => String::new(),
            },
        },
        ConnectionState::Idle | ConnectionState::Connecting => "Connecting\u{2026}".to_owned(),
        ConnectionState::Switching { .. } => "Reconnecting\u{2026}".to_owned(),
        ConnectionState::NotConnected { .. } => "Not connected".to_owned(),
        ConnectionState::Unconfirmed { .. } | ConnectionState::IdentityChanged { .. } => {
            "Stopped".to_owned()
        }
    }
}

fn hover(model: &Model) -> String {
    let Some(cluster) = model.cluster() else { return "No server has said anything yet".into() };
    let line = |server: &ServerStatus| {
        let lag = match server.lag {
            Some(0) | None => String::new(),
            Some(lag) => format!(", {lag} entries behind"),
        };
        format!("Server {}  {}  {}{lag}", server.server, server.addr, server.state.words())
    };
    cluster.servers.iter().map(line).collect::<Vec<_>>().join("\n")
}
