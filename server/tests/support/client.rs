//! A client that waits for each answer, over plain TCP, TLS or the administration socket.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
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

/// A TCP connection as every test wants it.
pub(crate) fn dial(address: SocketAddr) -> TcpStream {
    ready(TcpStream::connect(address).expect("a server that listens"))
}

/// The same of a socket that is connected already.
pub(crate) fn ready(stream: TcpStream) -> TcpStream {
    stream.set_nodelay(true).expect("a socket");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
    stream
}

impl Client {
    /// A plain connection, greeted.
    pub(crate) fn connect(address: SocketAddr) -> Client {
        Client::over(Box::new(dial(address)))
    }

    /// Over any pipe; greets.
    pub(crate) fn over(pipe: Box<dyn Pipe>) -> Client {
        let mut client = Client::bare(pipe);
        client.hello();
        client
    }

    /// Over any pipe; says nothing.
    pub(crate) fn bare(pipe: Box<dyn Pipe>) -> Client {
        let reader = BufReader::with_capacity(1 << 16, pipe);
        Client { reader, next_id: 0, events: VecDeque::new() }
    }

    /// The administrator's connection.
    pub(crate) fn administration(folder: &Path) -> Client {
        let stream = UnixStream::connect(folder.join("admin.sock")).expect("a server that listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        Client::bare(Box::new(stream))
    }

    /// Greets.
    pub(crate) fn hello(&mut self) -> Value {
        self.ok("hello", json!({"proto": [1], "client": "test/1"}))
    }

    /// A plain connection to a new account.
    pub(crate) fn register(address: SocketAddr, user: &str) -> (Client, String) {
        let mut client = Client::connect(address);
        let token = client.sign_up(user);
        (client, token)
    }

    /// Makes an account; gives its token.
    pub(crate) fn sign_up(&mut self, user: &str) -> String {
        let d =
            json!({"user": user, "pass": "correct horse", "device": "test", "txn": fresh_txn()});
        let ok = self.ok("register", d);
        ok["token"].as_str().expect("a token").to_owned()
    }

    /// A plain connection signed in by token.
    pub(crate) fn resume(address: SocketAddr, token: &str, cur: Option<&str>) -> Client {
        let mut client = Client::connect(address);
        client.ok("resume", json!({"token": token, "cur": cur}));
        client
    }

    /// The pipe beneath.
    pub(crate) fn pipe(&mut self) -> &mut dyn Pipe {
        self.reader.get_mut()
    }

    /// Sends a request without waiting; gives its id.
    pub(crate) fn ask(&mut self, op: &str, d: Value) -> u64 {
        self.try_ask(op, d).expect("a connection that stays")
    }

    /// The same on a connection that may have ended.
    pub(crate) fn try_ask(&mut self, op: &str, d: Value) -> std::io::Result<u64> {
        self.next_id += 1;
        let line = json!({"id": self.next_id, "op": op, "d": d}).to_string() + "\n";
        self.raw(line.as_bytes())?;
        Ok(self.next_id)
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
            Ok(_) if !line.ends_with('\n') => None,
            Ok(_) => Some(serde_json::from_str(&line).expect("a line of JSON")),
        }
    }

    /// Whether the other side has closed in good order: no reset, and within TLS its own end.
    pub(crate) fn ends(&mut self) -> bool {
        matches!(self.reader.read(&mut [0; 1]), Ok(0))
    }

    /// The answer to request `id`; events that come before it are kept. Nothing: the connection
    /// ended.
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

    /// The answer to request `id`; whatever comes before it is dropped.
    pub(crate) fn answer_among(&mut self, id: u64) -> Value {
        loop {
            let line = self.line().expect("an answer");
            if line["id"] == id {
                return line;
            }
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

    /// Sends a message, waits until it is durable.
    pub(crate) fn send(&mut self, to: &str, text: &str) -> Value {
        self.ok("send", json!({"to": to, "text": text, "txn": fresh_txn()}))
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

    /// All texts of a conversation, oldest first, and their numbers.
    pub(crate) fn texts(&mut self, conv: &Value) -> Vec<(u64, String)> {
        let mut texts = Vec::new();
        let mut after = 0;
        loop {
            let page = self.ok("history", json!({"conv": conv, "after": after}));
            for message in page["messages"].as_array().expect("a page") {
                after = message["seq"].as_u64().expect("a number");
                texts.push((after, message["text"].as_str().expect("a text").to_owned()));
            }
            if page["more"] == false {
                return texts;
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
