//! Health and metrics for machines: `/healthz`, `/readyz`, `/metrics` on a port of their own.
//!
//! Owns: its listener's connections, few and short: one request, one answer, closed. Driven by: the
//! reactor's loop. Invariants: at most [`CONNECTIONS_MAX`] at once, each at most [`PATIENCE`] old
//! and with at most [`REQUEST_BYTES_MAX`] read. Does not: serve anything that changes state or
//! names a person.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::time::{Duration, Instant};

use mio::net::TcpStream;

use crate::node::Metrics;

/// More connections than this are closed at once.
const CONNECTIONS_MAX: usize = 64;
/// A request is this long at most: there is nothing to say but a path.
const REQUEST_BYTES_MAX: usize = 4096;
/// A connection is closed after this long, answered or not.
const PATIENCE: Duration = Duration::from_secs(5);

/// What an answer is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Health {
    /// Counters and gauges of the node.
    pub(super) metrics: Metrics,
    /// Seconds since the start.
    pub(super) uptime_s: u64,
}

#[derive(Debug)]
struct Visitor {
    stream: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
    until: Instant,
}

/// See the module's page.
#[derive(Debug, Default)]
pub(super) struct Http {
    visitors: BTreeMap<usize, Visitor>,
}

impl Http {
    /// Takes a connection whose events come under `token`; `false`: there are too many.
    pub(super) fn open(&mut self, token: usize, stream: TcpStream, now: Instant) -> bool {
        if self.visitors.len() >= CONNECTIONS_MAX {
            return false;
        }
        let until = now + PATIENCE;
        let visitor = Visitor { stream, request: Vec::new(), answer: Vec::new(), until };
        self.visitors.insert(token, visitor);
        true
    }

    /// Whether events of `token` belong here.
    pub(super) fn has(&self, token: usize) -> bool {
        self.visitors.contains_key(&token)
    }

    /// Goes on with a connection, as far as its socket lets it.
    pub(super) fn proceed(&mut self, token: usize, health: Health) {
        let Some(visitor) = self.visitors.get_mut(&token) else { return };
        match visitor.proceed(health) {
            Ok(()) => {
                self.visitors.remove(&token);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                log::debug!("http connection failed: {error}");
                self.visitors.remove(&token);
            }
        }
    }

    /// When [`Http::expire`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.visitors.values().map(|visitor| visitor.until).min()
    }

    /// Closes what has been open for too long.
    pub(super) fn expire(&mut self, now: Instant) {
        self.visitors.retain(|_, visitor| visitor.until > now);
    }
}

impl Visitor {
    /// `Ok` when the connection may be closed; `WouldBlock` when it must wait.
    fn proceed(&mut self, health: Health) -> io::Result<()> {
        while self.answer.is_empty() {
            let mut buffer = [0; 1024];
            let read = match self.stream.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            self.request.extend_from_slice(&buffer[..read]);
            self.answer = match answer(&self.request, health) {
                Some(answer) => answer,
                None if read == 0 => return Ok(()),
                None if self.request.len() > REQUEST_BYTES_MAX => plain(431, "too long\n"),
                None => continue,
            };
        }
        while !self.answer.is_empty() {
            match self.stream.write(&self.answer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                written => {
                    self.answer.drain(..written?);
                }
            }
        }
        self.stream.shutdown(std::net::Shutdown::Write)
    }
}

/// The answer to a request; nothing while it is not complete.
fn answer(request: &[u8], health: Health) -> Option<Vec<u8>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut headers);
    match parsed.parse(request) {
        Ok(status) if status.is_complete() => {}
        Ok(_) => return None,
        Err(_) => return Some(plain(400, "not an HTTP request\n")),
    }
    let path = parsed.path.unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default();
    Some(match (parsed.method, path) {
        (Some("GET"), "/healthz") => plain(200, "ok\n"),
        (Some("GET"), "/readyz") if health.metrics.writable => plain(200, "ready\n"),
        (Some("GET"), "/readyz") => plain(503, "takes no writes now\n"),
        (Some("GET"), "/metrics") => plain(200, &metrics(health)),
        (Some("GET"), _) => plain(404, "there are /healthz, /readyz and /metrics\n"),
        _ => plain(405, "only GET\n"),
    })
}

fn plain(status: u16, body: &str) -> Vec<u8> {
    let reason = match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        431 => "Request Header Fields Too Large",
        _ => "Service Unavailable",
    };
    format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain; version=0.0.4\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The figures in the text format that Prometheus reads.
fn metrics(health: Health) -> String {
    let Metrics {
        connections_opened,
        writes,
        events,
        sign_in_failures,
        connections,
        users_connected,
        entries_waiting,
        commit_index,
        applied_index,
        in_sync,
        writable,
        diverged,
    } = health.metrics;
    let figures = [
        ("connections_opened_total", "counter", "Client connections accepted.", connections_opened),
        ("writes_total", "counter", "Writes answered.", writes),
        ("events_total", "counter", "Events sent to signed-in connections.", events),
        ("sign_in_failures_total", "counter", "Sign-ins refused.", sign_in_failures),
        ("connections", "gauge", "Client connections now.", connections),
        ("users_connected", "gauge", "Accounts with a connection now.", users_connected),
        ("entries_waiting", "gauge", "Entries not yet applied.", entries_waiting),
        ("commit_index", "gauge", "Last committed entry.", commit_index),
        ("applied_index", "gauge", "Last applied entry.", applied_index),
        ("in_sync", "gauge", "Servers that hold each new write.", in_sync),
        ("writable", "gauge", "Whether writes are taken.", u64::from(writable)),
        ("diverged_operations", "gauge", "Listed operations not in the cluster.", diverged),
        ("uptime_seconds", "gauge", "Seconds since the start.", health.uptime_s),
    ];
    let mut text = String::new();
    for (name, kind, help, value) in figures {
        let written = write!(
            text,
            "# HELP holdfast_{name} {help}\n# TYPE holdfast_{name} {kind}\n\
             holdfast_{name} {value}\n"
        );
        written.expect("writing to a string cannot fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(request: &str, writable: bool) -> Option<String> {
        let metrics = Metrics { writable, writes: 42, ..Metrics::default() };
        let answer = answer(request.as_bytes(), Health { metrics, uptime_s: 3 })?;
        Some(String::from_utf8(answer).unwrap())
    }

    #[test]
    fn health_is_always_ok_and_readiness_follows_whether_writes_are_taken() {
        let get = |path: &str, writable| ask(&format!("GET {path} HTTP/1.1\r\n\r\n"), writable);
        assert!(get("/healthz", false).unwrap().starts_with("HTTP/1.1 200"));
        assert!(get("/readyz", false).unwrap().starts_with("HTTP/1.1 503"));
        assert!(get("/readyz?x=1", true).unwrap().starts_with("HTTP/1.1 200"));
        assert!(get("/other", true).unwrap().starts_with("HTTP/1.1 404"));
        let metrics = get("/metrics", true).unwrap();
        assert!(metrics.contains("\nholdfast_writes_total 42\n"));
        assert!(metrics.ends_with("holdfast_uptime_seconds 3\n"));
    }

    #[test]
    fn an_incomplete_request_waits_and_a_broken_one_is_told_so() {
        assert_eq!(ask("GET /healthz HT", true), None);
        assert!(ask("\x16\x03\x01\x02", true).unwrap().starts_with("HTTP/1.1 400"));
        assert!(ask("POST /healthz HTTP/1.1\r\n\r\n", true).unwrap().starts_with("HTTP/1.1 405"));
    }
}
