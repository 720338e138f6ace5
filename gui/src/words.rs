//! What is said in words: times, states, connections, failures.
//!
//! Owns: every sentence that depends on data. Driven by: the views. Invariants: pure; a sentence
//! about a fault says what happened, what is safe and what to do; nothing is said of a message that
//! no server has said. Does not: draw.

use holdfast_common::client::model::OwnState;
use holdfast_common::client::{ConnectionState, Failure, Tried};
use holdfast_common::protocol::{ErrorCode, ErrorReply};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::paint::Glyph;

/// The clock of a frame, with the zone that times are shown in.
#[derive(Debug, Clone)]
pub struct Clock {
    /// Milliseconds since the Unix epoch.
    pub wall_ms: u64,
    /// Where the person is.
    pub zone: TimeZone,
}

impl Clock {
    fn local(&self, ms: u64) -> Zoned {
        let ms = i64::try_from(ms).unwrap_or(i64::MAX);
        let at = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
        at.to_zoned(self.zone.clone())
    }

    /// The day of a moment.
    pub fn day(&self, ms: u64) -> Date {
        self.local(ms).date()
    }

    /// `14:03`.
    pub fn time(&self, ms: u64) -> String {
        self.local(ms).strftime("%H:%M").to_string()
    }

    /// `14:03`, `Yesterday`, `Mon`, `3 Nov`, `3 Nov 2024`: in a row of the list.
    pub fn short(&self, ms: u64) -> String {
        match self.days_ago(ms) {
            ..=0 => self.time(ms),
            1 => "Yesterday".to_owned(),
            2..=6 => self.local(ms).strftime("%a").to_string(),
            _ => self.date(ms),
        }
    }

    /// `Today`, `Yesterday`, `Monday`, `3 November`: the chip above a day's messages.
    pub fn long(&self, ms: u64) -> String {
        let local = self.local(ms);
        match self.days_ago(ms) {
            0 => "Today".to_owned(),
            1 => "Yesterday".to_owned(),
            2..=6 => local.strftime("%A").to_string(),
            _ if local.year() == self.local(self.wall_ms).year() => {
                local.strftime("%-d %B").to_string()
            }
            _ => local.strftime("%-d %B %Y").to_string(),
        }
    }

    /// `Monday, 3 November 2025, 14:03:07`.
    pub fn full(&self, ms: u64) -> String {
        self.local(ms).strftime("%A, %-d %B %Y, %H:%M:%S").to_string()
    }

    fn date(&self, ms: u64) -> String {
        let local = self.local(ms);
        match local.year() == self.local(self.wall_ms).year() {
            true => local.strftime("%-d %b").to_string(),
            false => local.strftime("%-d %b %Y").to_string(),
        }
    }

    fn days_ago(&self, ms: u64) -> i32 {
        let span = self.day(ms).until(self.day(self.wall_ms));
        span.map_or(0, |span| span.get_days())
    }
}

/// `1 message`, `2 messages`.
pub fn count(number: u64, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

/// The glyph of an own message's state, and the sentence for who cannot see it.
pub fn state(state: &OwnState, now_ms: u64) -> (Glyph, String) {
    match state {
        OwnState::Waiting => {
            (Glyph::Waiting, "Waiting: it will be sent when a server answers".to_owned())
        }
        OwnState::Sending { since_ms } if now_ms.saturating_sub(*since_ms) >= STILL_TRYING_MS => {
            (Glyph::Sending, "Still trying".to_owned())
        }
        OwnState::Sending { .. } => (Glyph::Sending, "Sent, no answer yet".to_owned()),
        OwnState::Stored { of: 0, .. } => (Glyph::Stored, "Stored".to_owned()),
        OwnState::Stored { copies, of } => {
            (Glyph::Stored, format!("Stored on {copies} of {}", count(u64::from(*of), "server")))
        }
        OwnState::Delivered => (Glyph::Delivered, "Reached a device".to_owned()),
        OwnState::Read => (Glyph::Delivered, "Read".to_owned()),
        OwnState::Refused(error) => (Glyph::Trouble, format!("Not sent: {}", error.text)),
        OwnState::Stale => (
            Glyph::Trouble,
            "Nobody can say whether this was sent: it waited too long for an answer".to_owned(),
        ),
    }
}

/// After so long without an answer the window says so.
pub const STILL_TRYING_MS: u64 = 5_000;

/// Why somebody who is signed in elsewhere on this machine is asked again.
pub fn beside(user: &str) -> String {
    format!("{user} has another window open. Sign in here too, or as someone else.")
}

/// Why somebody is asked again whose file was damaged.
pub fn lost_unsent(aside: &str) -> String {
    format!(
        "The file with what was typed and not sent was damaged, and is kept as {aside}. Your \
         messages come again from the servers: sign in."
    )
}

/// The sentence about a failed sign-in, for under the field that caused it.
pub fn failure(failure: &Failure) -> String {
    match failure {
        Failure::Refused(error) => refusal(error),
        Failure::NoServer(tried) => no_server(tried),
        Failure::IdentityChanged => {
            "The server could not prove that it is the one you know. Nothing was sent.".to_owned()
        }
        Failure::IdentityRejected => "You said that this is not your cluster.".to_owned(),
        Failure::NotSignedIn => "You are signed out. Sign in again; drafts are kept.".to_owned(),
        Failure::AlreadySignedIn => "Somebody is signed in here already.".to_owned(),
        Failure::Cancelled => "Cancelled.".to_owned(),
        Failure::NoSuchItem => "That message is not waiting any more.".to_owned(),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "all others have their own sentence")]
fn refusal(error: &ErrorReply) -> String {
    match error.code {
        ErrorCode::WrongCredentials => "Wrong name or password.".to_owned(),
        ErrorCode::UserExists => {
            "That name is taken. Is it yours? Then sign in instead.".to_owned()
        }
        ErrorCode::RateLimited => {
            let wait_s = error.after_ms.unwrap_or(1_000).div_ceil(1_000);
            format!("Too many attempts. Try again in {}.", count(wait_s, "second"))
        }
        ErrorCode::Busy => "The server has too much to do. Try again in a moment.".to_owned(),
        _ => capitalised(&error.text),
    }
}

fn no_server(tried: &[Tried]) -> String {
    let tried: Vec<&str> = tried.iter().map(|one| one.address.as_str()).collect();
    match tried.is_empty() {
        true => "No server answers. Is the address right, and are you online?".to_owned(),
        false => format!("No server answers. Tried: {}.", tried.join(", ")),
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// The sentence of the banner, if there is something to say: what, what is safe, what comes next.
pub fn banner(connection: &ConnectionState, waiting: usize, clock: &Clock) -> Option<String> {
    let ConnectionState::NotConnected { since_ms, next_try_ms, .. } = connection else {
        return None;
    };
    let kept = match waiting {
        0 => "What you write is kept and sent when a server answers.".to_owned(),
        1 => "1 message will be sent when a server answers.".to_owned(),
        more => format!("{more} messages will be sent when a server answers."),
    };
    let next = match next_try_ms {
        Some(at) => {
            let left_s = at.saturating_sub(clock.wall_ms).div_ceil(1_000);
            format!("Next try in {left_s} s.")
        }
        None => "Trying now.".to_owned(),
    };
    Some(format!("Not connected since {}. {kept} {next}", clock.time(*since_ms)))
}
