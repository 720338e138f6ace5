//! Pipes over real loopback sockets, driven edge triggered as the rim drives them.
#![expect(clippy::disallowed_methods, reason = "these tests are a rim of their own")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};

use rustls::ClientConnection;

use super::*;
use crate::config::Secret;
use crate::ids::ServerId;
use crate::net::session::SEALED_BYTES_MAX;
use crate::net::tls::{ChangedIdentity, Fingerprint, Identity, Trust, client_config, fingerprint};

const LINE_BYTES_MAX: usize = 100_000;
const BUDGET_BYTES: usize = 64 * 1024;

/// One end of a pipe with what an owner keeps for it.
struct End {
    connection: Connection,
    readable: bool,
    takes_lines: bool,
    lines: Vec<Vec<u8>>,
    end: Option<CloseReason>,
}

impl End {
    fn new(connection: Connection) -> End {
        End { connection, readable: false, takes_lines: true, lines: Vec::new(), end: None }
    }

    fn send(&mut self, line: &[u8]) {
        self.connection.send([line, b"\n"].concat());
    }

    fn turn(&mut self) {
        if self.readable && self.end.is_none() && !self.connection.has_lines() {
            match self.connection.read(BUDGET_BYTES) {
                ReadState::Drained => self.readable = false,
                ReadState::More => {}
                ReadState::Closed(reason) => self.end = Some(reason),
            }
        }
        while self.takes_lines
            && let Some(line) = self.connection.next_line().unwrap()
        {
            self.lines.push(line);
        }
        if let Err(reason) = self.connection.flush() {
            self.end.get_or_insert(reason);
        }
    }
}

struct Pair {
    poll: Poll,
    events: Events,
    server: End,
    client: End,
}

impl Pair {
    fn new(server: Connection, client: Connection) -> Pair {
        let poll = Poll::new().unwrap();
        let (mut server, mut client) = (End::new(server), End::new(client));
        for (token, end) in [(0, &mut server), (1, &mut client)] {
            let both = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(end.connection.source(), Token(token), both).unwrap();
        }
        Pair { poll, events: Events::with_capacity(16), server, client }
    }

    /// Turns until `done`; panics if that takes longer than any healthy run.
    fn until(&mut self, what: &str, mut done: impl FnMut(&mut Pair) -> bool) {
        for _ in 0..20_000 {
            if done(self) {
                return;
            }
            let more = [&self.server, &self.client]
                .iter()
                .any(|end| end.readable && end.end.is_none() && !end.connection.has_lines());
            let wait = Duration::from_millis(if more { 0 } else { 1 });
            self.poll.poll(&mut self.events, Some(wait)).unwrap();
            for event in &self.events {
                let end =
                    if event.token() == Token(0) { &mut self.server } else { &mut self.client };
                end.readable |= event.is_readable() || event.is_read_closed();
            }
            self.server.turn();
            self.client.turn();
        }
        panic!("never: {what}");
    }
}

fn secret() -> Secret {
    Secret::new("a secret of some cluster, long enough".to_owned())
}

fn pinned() -> Fingerprint {
    fingerprint(&secret()).unwrap()
}

fn server_config() -> Arc<ServerConfig> {
    Identity::new(&secret(), ServerId(1)).unwrap().client_port_config().unwrap()
}

fn dial_tls(trust: Trust) -> Option<(Arc<ClientConfig>, ServerName<'static>)> {
    Some((client_config(trust).unwrap(), ServerName::try_from("127.0.0.1").unwrap()))
}

/// A raw socket for an ill-behaved client, and the accepted connection.
fn raw(tls: Option<Arc<ServerConfig>>) -> (TcpStream, Connection) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let raw = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let accepted = listener.accept().unwrap().0;
    accepted.set_nonblocking(true).unwrap();
    let socket = Socket::Tcp(mio::net::TcpStream::from_std(accepted));
    (raw, Connection::accept(socket, tls, LINE_BYTES_MAX))
}

fn pair(trust: Option<Trust>) -> Pair {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = mio::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let tls = trust.and_then(dial_tls);
    let client = Connection::dial(Socket::Tcp(socket), tls, LINE_BYTES_MAX).unwrap();
    let accepted = listener.accept().unwrap().0;
    accepted.set_nonblocking(true).unwrap();
    let socket = Socket::Tcp(mio::net::TcpStream::from_std(accepted));
    let server = Connection::accept(socket, Some(server_config()), LINE_BYTES_MAX);
    Pair::new(server, client)
}

/// Reads until a reason to close comes.
fn end_of(connection: &mut Connection) -> CloseReason {
    for _ in 0..2_000 {
        if let ReadState::Closed(reason) = connection.read(BUDGET_BYTES) {
            return reason;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("the connection did not end");
}

fn assert_holds_nothing(connection: &Connection) {
    assert_eq!(connection.queued_bytes(), 0);
    assert!(!connection.has_lines());
    let debug = format!("{:?}", connection.queue);
    assert!(debug.contains("lines: []"), "{debug}");
}

#[test]
fn lines_travel_both_ways_plain_and_within_tls() {
    for (trust, transport) in
        [(None, Transport::Plain), (Some(Trust::Pinned(pinned())), Transport::Tls)]
    {
        let mut pair = pair(trust);
        assert_eq!(pair.server.connection.transport(), None, "nothing has come yet");
        pair.client.send(b"hello");
        pair.until("the server hears", |pair| !pair.server.lines.is_empty());
        assert_eq!(pair.server.connection.transport(), Some(transport));
        pair.server.send(b"welcome");
        pair.server.send(b"");
        pair.until("the client hears", |pair| pair.client.lines.len() == 2);
        assert_eq!(pair.client.lines, vec![b"welcome".to_vec(), vec![]]);
        assert!(pair.client.connection.is_ready() && pair.server.connection.is_ready());
        assert_eq!(
            pair.client.connection.peer_certificates().is_empty(),
            transport == Transport::Plain
        );
        assert_holds_nothing(&pair.server.connection);
        assert_holds_nothing(&pair.client.connection);
    }
}

#[test]
fn a_server_that_speaks_first_waits_for_the_first_byte_of_its_client() {
    let mut pair = pair(Some(Trust::FirstUse));
    pair.server.send(b"early");
    pair.until("the client hears", |pair| !pair.client.lines.is_empty());
    assert_eq!(pair.client.lines, vec![b"early".to_vec()]);
}

#[test]
fn megabytes_pass_both_ways_while_one_side_is_slow_to_take_them() {
    for trust in [None, Some(Trust::Pinned(pinned()))] {
        let mut pair = pair(trust);
        let line = |at: usize| format!("{at:06}{}", "x".repeat(at % 3_000)).into_bytes();
        pair.server.takes_lines = false;
        for at in 0..2_000 {
            pair.client.send(&line(at));
            pair.server.send(&line(at));
        }
        pair.client.connection.send([vec![b'y'; 90_000], b"\n".to_vec()].concat());
        // The server takes nothing: its client must feel that, or it would have to hold everything.
        pair.until("the client hears all", |pair| pair.client.lines.len() == 2_000);
        assert!(pair.server.lines.is_empty() && pair.server.connection.has_lines());
        pair.server.takes_lines = true;
        pair.until("the server hears all", |pair| pair.server.lines.len() == 2_001);
        for at in 0..2_000 {
            assert_eq!(pair.server.lines[at], line(at));
            assert_eq!(pair.client.lines[at], line(at));
        }
        assert_eq!(pair.server.lines[2_000].len(), 90_000);
        assert_holds_nothing(&pair.client.connection);
        assert_holds_nothing(&pair.server.connection);
    }
}

#[test]
fn what_the_kernel_does_not_take_stays_queued_and_is_bounded_ahead_of_it() {
    for trust in [None, Some(Trust::FirstUse)] {
        let mut pair = pair(trust);
        pair.client.send(b"hello");
        pair.until("the server hears", |pair| !pair.server.lines.is_empty());
        let line = [vec![b'z'; 50_000], b"\n".to_vec()].concat();
        for _ in 0..400 {
            pair.server.connection.send(line.clone());
        }
        let all_bytes = 400 * line.len();
        assert_eq!(pair.server.connection.queued_bytes(), all_bytes);
        assert_eq!(pair.server.connection.flush(), Ok(FlushState::Blocked));
        let queued_bytes = pair.server.connection.queued_bytes();
        assert!(queued_bytes > 0 && queued_bytes < all_bytes, "{queued_bytes}");
        assert!(pair.server.connection.sealed_bytes <= SEALED_BYTES_MAX);
        pair.until("the client hears all", |pair| pair.client.lines.len() == 400);
    }
}

#[test]
fn a_read_stops_at_its_budget_and_goes_on_without_an_edge() {
    let (mut raw, mut connection) = raw(None);
    raw.write_all(&b"0123456\n".repeat(20_000)).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    let mut reads = 0;
    while connection.read(SCRATCH_BYTES) == ReadState::More {
        reads += 1;
    }
    assert!(reads >= 160_000 / SCRATCH_BYTES, "{reads} reads used up their budget");
    let mut lines = 0;
    while let Ok(Some(line)) = connection.next_line() {
        assert_eq!(line, b"0123456");
        lines += 1;
    }
    assert_eq!(lines, 20_000);
}

#[test]
fn tls_records_cut_at_every_byte_carry_the_same_lines() {
    let (mut raw, mut connection) = raw(Some(server_config()));
    raw.set_nodelay(true).unwrap();
    let (config, name) = dial_tls(Trust::Pinned(pinned())).unwrap();
    let mut client = ClientConnection::new(config, name).unwrap();
    client.writer().write_all(b"one\ntwo\n").unwrap();
    raw.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
    let mut lines = Vec::new();
    for _ in 0..1_000 {
        while client.wants_write() {
            let mut records = Vec::new();
            client.write_tls(&mut records).unwrap();
            for byte in records {
                raw.write_all(&[byte]).unwrap();
                assert!(!matches!(connection.read(BUDGET_BYTES), ReadState::Closed(_)));
            }
        }
        assert!(!matches!(connection.read(BUDGET_BYTES), ReadState::Closed(_)));
        connection.flush().unwrap();
        while let Some(line) = connection.next_line().unwrap() {
            lines.push(line);
        }
        if lines.len() == 2 {
            break;
        }
        if client.read_tls(&mut raw).is_ok() {
            client.process_new_packets().unwrap();
        }
    }
    assert_eq!(lines, vec![b"one".to_vec(), b"two".to_vec()]);
}

#[test]
fn a_stream_that_ends_within_a_line_gives_the_lines_before_it() {
    let (mut raw, mut connection) = raw(Some(server_config()));
    raw.write_all(b"whole\nhal").unwrap();
    drop(raw);
    assert_eq!(end_of(&mut connection), CloseReason::EndOfStream);
    assert_eq!(connection.next_line(), Ok(Some(b"whole".to_vec())));
    assert_eq!(connection.next_line(), Ok(None));
    assert_eq!(end_of(&mut connection), CloseReason::EndOfStream, "it stays closed");
}

#[test]
fn a_closed_tls_session_differs_from_one_that_was_cut() {
    for (closes, expected) in [
        (true, CloseReason::EndOfStream),
        (false, CloseReason::Failed("the connection was cut: TLS was not closed".to_owned())),
    ] {
        let mut pair = pair(Some(Trust::FirstUse));
        pair.client.send(b"hello");
        pair.client.send(b"last");
        pair.until("the server hears", |pair| pair.server.lines.len() == 2);
        if closes {
            pair.client.connection.shutdown_write();
        }
        let Socket::Tcp(tcp) = &pair.client.connection.socket else { panic!("it is TCP") };
        tcp.shutdown(Shutdown::Both).unwrap();
        pair.until("the server sees the end", |pair| pair.server.end.is_some());
        assert_eq!(pair.server.end, Some(expected));
    }
}

#[test]
fn what_is_not_tls_ends_the_connection_with_a_sentence() {
    let (mut stranger, mut connection) = raw(Some(server_config()));
    stranger.write_all(b"\x16\x03\x01\x00\x05garbage and more of it").unwrap();
    let CloseReason::Failed(sentence) = end_of(&mut connection) else { panic!("a failure") };
    assert!(sentence.contains("TLS"), "{sentence}");

    let (mut stranger, mut connection) = raw(Some(server_config()));
    stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    drop(stranger);
    end_of(&mut connection);
    assert_eq!(connection.transport(), Some(Transport::Plain), "a line for the owner to refuse");
    assert_eq!(connection.next_line(), Ok(Some(b"GET / HTTP/1.1".to_vec())));
}

#[test]
fn a_plain_answer_to_a_tls_client_is_a_failure_with_a_sentence() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = mio::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let mut client =
        Connection::dial(Socket::Tcp(socket), dial_tls(Trust::FirstUse), LINE_BYTES_MAX).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    server.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    let CloseReason::Failed(sentence) = end_of(&mut client) else { panic!("a failure") };
    assert!(sentence.starts_with("what came is not TLS"), "{sentence}");
}

#[test]
fn a_handshake_that_stops_halfway_is_not_ready_and_ends_cleanly() {
    let (mut stranger, mut connection) = raw(Some(server_config()));
    stranger.write_all(b"\x16\x03\x01\x02").unwrap();
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(connection.read(BUDGET_BYTES), ReadState::Drained);
    assert!(!connection.is_ready());
    connection.send(b"waits\n".to_vec());
    assert_eq!(connection.flush(), Ok(FlushState::Blocked));
    drop(stranger);
    let reason = end_of(&mut connection);
    assert!(reason.to_string().contains("within the TLS handshake"), "{reason}");
}

#[test]
fn another_clusters_server_is_a_changed_identity() {
    let other = Fingerprint([7; 32]);
    let mut pair = pair(Some(Trust::Pinned(other)));
    pair.until("both see the end", |pair| pair.client.end.is_some() && pair.server.end.is_some());
    let changed = ChangedIdentity { pinned: Some(other), presented: Some(pinned()) };
    assert_eq!(pair.client.end, Some(CloseReason::ChangedIdentity(changed)));
    assert!(matches!(&pair.server.end, Some(CloseReason::Failed(_))), "{:?}", pair.server.end);
}

#[test]
fn nobody_at_the_port_is_told_by_both_directions() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let socket = mio::net::TcpStream::connect(address).unwrap();
    let mut connection = Connection::dial(Socket::Tcp(socket), None, LINE_BYTES_MAX).unwrap();
    let reason = end_of(&mut connection);
    assert!(reason.to_string().starts_with("cannot connect"), "{reason}");
    assert_eq!(connection.flush(), Err(reason));
}

#[test]
fn an_overlong_line_is_told_behind_the_lines_before_it() {
    let (mut raw, mut connection) = raw(None);
    raw.write_all(b"short\n").unwrap();
    raw.write_all(&vec![b'x'; LINE_BYTES_MAX + 1]).unwrap();
    for _ in 0..200 {
        connection.read(BUDGET_BYTES);
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(connection.next_line(), Ok(Some(b"short".to_vec())));
    assert!(connection.has_lines() && connection.next_line().is_err());
}

#[test]
fn an_administration_socket_is_a_pipe_like_any_other() {
    let (near, far) = mio::net::UnixStream::pair().unwrap();
    let server = Connection::accept(Socket::Unix(near), None, LINE_BYTES_MAX);
    let client = Connection::dial(Socket::Unix(far), None, LINE_BYTES_MAX).unwrap();
    let mut pair = Pair::new(server, client);
    assert_eq!(pair.server.connection.transport(), Some(Transport::Plain));
    pair.server.send(b"first");
    pair.until("the client hears", |pair| !pair.client.lines.is_empty());
}

#[test]
fn a_reader_that_is_gone_ends_the_writing_side() {
    let (mut raw, mut connection) = raw(None);
    raw.write_all(b"hello\n").unwrap();
    raw.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    raw.read(&mut [0; 1]).unwrap_err();
    drop(raw);
    let mut ended = false;
    for _ in 0..2_000 {
        connection.send(vec![b'\n'; 1_000]);
        if connection.flush().is_err() {
            ended = true;
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(ended && connection.queued_bytes() == 0);
    connection.send(b"dropped\n".to_vec());
    assert_eq!(connection.queued_bytes(), 0, "nothing gathers behind a broken pipe");
}
