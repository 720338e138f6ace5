//! A client that waits for each answer, over plain TCP or TLS.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a connection is made of.
pub(crate) trait Pipe: Read + Write + Send {}
impl<T: Read + Write + Send> Pipe for T {}

/// See the module's page.
pub(crate) struct Client {
    reader: BufReader<Box<dyn Pipe>>,
    next_id: u64,
    /// Events that came before an answer.
    pub(crate) events: VecDeque<Value>,
}

impl Client {
    /// A plain connection, greeted.
    pub(crate) fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).expect("a server that listens");
        stream.set_nodelay(true).expect("a socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        Client::over(Box::new(stream))
    }

    /// Over any pipe; greets.
    pub(crate) fn over(pipe: Box<dyn Pipe>) -> Client {
        let reader = BufReader::with_capacity(1 << 16, pipe);
        let mut client = Client { reader, next_id: 0, events: VecDeque::new() };
        client.ok("hello", json!({"proto": [1], "client": "test/1"}));
        client
    }

    /// A plain connection to a new account.
    pub(crate) fn register(address: SocketAddr, user: &str) -> (Client, String) {
        let mut client = Client::connect(address);
        let d =
            json!({"user": user, "pass": "correct horse", "device": "test", "txn": fresh_txn()});
        let ok = client.ok("register", d);
        (client, ok["token"].as_str().expect("a token").to_owned())
    }

    /// A plain connection signed in by token.
    pub(crate) fn resume(address: SocketAddr, token: &str, cur: Option<&str>) -> Client {
        let mut client = Client::connect(address);
        client.ok("resume", json!({"token": token, "cur": cur}));
        client
    }

    /// Sends a request without waiting; gives its id.
    pub(crate) fn ask(&mut self, op: &str, d: Value) -> u64 {
        self.next_id += 1;
        let line = json!({"id": self.next_id, "op": op, "d": d}).to_string() + "\n";
        self.reader.get_mut().write_all(line.as_bytes()).expect("a connection that stays");
        self.next_id
    }

    /// Bytes as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    /// The next line; nothing at the end of the connection.
    pub(crate) fn line(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(serde_json::from_str(&line).expect("a line of JSON")),
        }
    }

    /// The answer to request `id`; events that come before it are kept. Nothing: the connection ended.
    pub(crate) fn answer(&mut self, id: u64) -> Option<Value> {
        loop {
            let line = self.line()?;
            if line["id"] == id {
                return Some(line);
            }
            assert!(line.get("ev").is_some(), "an answer to what nobody asked: {line}");
            self.events.push_back(line);
        }
    }

    /// Asks and waits; gives the whole line of the answer.
    pub(crate) fn call(&mut self, op: &str, d: Value) -> Value {
        let id = self.ask(op, d);
        self.answer(id).expect("an answer")
    }

    /// Asks, waits, and takes no refusal.
    pub(crate) fn ok(&mut self, op: &str, d: Value) -> Value {
        let mut line = self.call(op, d);
        assert!(line.get("ok").is_some(), "{op} was refused: {line}");
        line["ok"].take()
    }

    /// Asks, waits, and gives the refusal's code.
    pub(crate) fn refused(&mut self, op: &str, d: Value) -> String {
        let line = self.call(op, d);
        line["err"]["code"].as_str().unwrap_or_else(|| panic!("not refused: {line}")).to_owned()
    }

    /// The next event called `name`; others are passed over.
    pub(crate) fn event(&mut self, name: &str) -> Value {
        loop {
            let event = self.events.pop_front().or_else(|| self.line()).expect("an event");
            if event["ev"] == name {
                return event;
            }
        }
    }
}

/// 32 hex digits that nobody used before.
pub(crate) fn fresh_txn() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("{:016x}{:016x}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}
