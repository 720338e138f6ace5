//! The servers, in plain words: which there are, how many copies a message has, what happened.
//!
//! Owns: [`Changes`], what was noticed while the window was open. Driven by: `popups`.

use std::collections::VecDeque;

use egui::{RichText, Ui, vec2};
use holdfast_common::client::ConnectionState;
use holdfast_common::protocol::{ServerState, Status};

use super::{Seen, hint};
use crate::strip::dot_color;
use crate::theme::{GAP, Palette, Type, UNIT};
use crate::wish::Wish;

/// Changes that are remembered.
const CHANGES_MAX: usize = 50;

/// What happened to the cluster, newest first, each with its time.
#[derive(Debug, Default)]
pub struct Changes {
    seen: VecDeque<(u64, String)>,
    last: Option<Status>,
}

impl Changes {
    /// Takes what a server said of the cluster, and notes what is new in it.
    pub fn note(&mut self, status: &Status, now_ms: u64) {
        let before = self.last.replace(status.clone());
        let Some(before) = before else { return };
        for server in &status.servers {
            let was = before.servers.iter().find(|other| other.server == server.server);
            if was.is_some_and(|was| was.state != server.state) {
                self.push(
                    now_ms,
                    format!("Server {} is now {}", server.server, server.state.words()),
                );
            }
        }
        if before.writable != status.writable {
            let sentence = match status.writable {
                true => "Messages are taken again",
                false => "No messages can be taken",
            };
            self.push(now_ms, sentence.to_owned());
        }
    }

    fn push(&mut self, now_ms: u64, sentence: String) {
        self.seen.push_front((now_ms, sentence));
        self.seen.truncate(CHANGES_MAX);
    }
}

/// Draws it.
pub(super) fn ui(ui: &mut Ui, palette: &Palette, seen: Seen<'_>) -> Vec<Wish> {
    let Some(cluster) = seen.model.cluster() else {
        hint(ui, palette, "No server has said anything yet.");
        return Vec::new();
    };
    ui.label(RichText::new(copies(cluster)).font(Type::Body.font()));
    if let Some(waiting) = &cluster.waiting {
        ui.label(RichText::new(waiting).font(Type::Small.font()).color(palette.warning));
    }
    if let ConnectionState::Connected { server, .. } = seen.model.connection() {
        hint(ui, palette, format!("This window uses server {server}."));
    } else {
        hint(ui, palette, "This window is not connected: this is what was true before.");
    }
    ui.add_space(GAP);
    for server in &cluster.servers {
        ui.horizontal(|ui| {
            let (rect, _) =
                ui.allocate_exact_size(vec2(4.0 * UNIT, 6.0 * UNIT), egui::Sense::hover());
            let color = dot_color(palette, server);
            ui.painter().circle_filled(rect.center(), UNIT, color);
            if server.state == ServerState::Primary {
                let ring = egui::Stroke::new(1.5, color);
                ui.painter().circle_stroke(rect.center(), UNIT + 2.5, ring);
            }
            let name = format!("Server {}", server.server);
            ui.label(RichText::new(name).font(Type::Strong.font()));
            let lag = match server.lag {
                Some(lag) if lag > 0 => format!(", {lag} entries behind"),
                Some(_) | None => String::new(),
            };
            hint(ui, palette, format!("{}  \u{b7}  {}{lag}", server.addr, server.state.words()));
        });
    }
    ui.add_space(GAP);
    ui.label(RichText::new("Last changes").font(Type::Strong.font()));
    if seen.changes.seen.is_empty() {
        hint(ui, palette, "None since this window was opened.");
    }
    for (at, sentence) in seen.changes.seen.iter().take(12) {
        hint(ui, palette, format!("{}  {sentence}", seen.clock.time(*at)));
    }
    Vec::new()
}

fn copies(cluster: &Status) -> String {
    match (cluster.writable, cluster.in_sync) {
        (false, _) => "No messages can be taken at the moment. What you write is kept here and \
                       sent later."
            .to_owned(),
        (true, copies) if copies == cluster.of => {
            format!("All is well: every new message is stored on all {} servers.", cluster.of)
        }
        (true, 1) => format!(
            "One of {} servers is left. New messages have one copy until another returns.",
            cluster.of
        ),
        (true, copies) => {
            format!("{copies} of {} servers. New messages have {copies} copies.", cluster.of)
        }
    }
}
