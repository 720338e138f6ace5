//! A connection that expects nothing: it may be refused, end, or say nothing for too long. What the
//! checkers of a cluster speak chat/1 with.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long one read waits; what has come in part is kept over it.
const GLANCE: Duration = Duration::from_millis(20);

/// See the module's page.
pub(crate) struct Line {
    reader: BufReader<TcpStream>,
    /// A line of which the end has not come.
    partial: Vec<u8>,
    next_id: u64,
    patience: Duration,
    /// What was asked and is not taken yet; with its answer, where that came before its turn:
    /// answers may come in any order, and exactly one for each.
    asked: BTreeMap<u64, Option<Value>>,
    /// Events in the order in which they came.
    pub(crate) events: VecDeque<Value>,
}

impl Line {
    /// A plain connection, greeted. An answer that takes longer than `patience` is none.
    pub(crate) fn dial(address: SocketAddr, patience: Duration) -> Option<Line> {
        let stream = TcpStream::connect_timeout(&address, patience).ok()?;
        stream.set_nodelay(true).ok()?;
        stream.set_read_timeout(Some(GLANCE)).ok()?;
        stream.set_write_timeout(Some(patience)).ok()?;
        let reader = BufReader::with_capacity(1 << 16, stream);
        let events = VecDeque::new();
        let (partial, asked) = (Vec::new(), BTreeMap::new());
        let mut line = Line { reader, partial, next_id: 0, patience, asked, events };
        line.call("hello", &json!({"proto": [1], "client": "test/1"}))?.ok()?;
        Some(line)
    }

    /// Sends a request; gives its id.
    pub(crate) fn ask(&mut self, op: &str, d: &Value) -> Option<u64> {
        self.next_id += 1;
        let line = json!({"id": self.next_id, "op": op, "d": d}).to_string() + "\n";
        self.reader.get_mut().write_all(line.as_bytes()).ok()?;
        self.asked.insert(self.next_id, None);
        Some(self.next_id)
    }

    /// The answer to a request: what it gave, or the refusal. Nothing: the connection is of no use
    /// any more.
    pub(crate) fn answer(&mut self, id: u64) -> Option<Result<Value, Value>> {
        let until = Instant::now() + self.patience;
        loop {
            if let Some(Some(mut said)) = self.asked.get_mut(&id).map(Option::take) {
                self.asked.remove(&id);
                let refusal = said["err"].take();
                return Some(if refusal.is_null() { Ok(said["ok"].take()) } else { Err(refusal) });
            }
            if Instant::now() >= until {
                return None;
            }
            if let Some(said) = self.next()? {
                self.take(said);
            }
        }
    }

    fn take(&mut self, said: Value) {
        if said.get("ev").is_some() {
            return self.events.push_back(said);
        }
        let open = said["id"].as_u64().and_then(|id| self.asked.get_mut(&id));
        let answer = open.unwrap_or_else(|| panic!("an answer to what nobody asked: {said}"));
        assert!(answer.is_none(), "answered twice: {said}");
        *answer = Some(said);
    }

    /// Asks and waits.
    pub(crate) fn call(&mut self, op: &str, d: &Value) -> Option<Result<Value, Value>> {
        let id = self.ask(op, d)?;
        self.answer(id)
    }

    /// The next event, if one comes in a moment; nothing at all when the connection has ended.
    pub(crate) fn event(&mut self) -> Option<Option<Value>> {
        match self.events.pop_front() {
            Some(event) => Some(Some(event)),
            None => self.next(),
        }
    }

    fn next(&mut self) -> Option<Option<Value>> {
        match self.reader.read_until(b'\n', &mut self.partial) {
            Ok(_) if self.partial.ends_with(b"\n") => {
                let said = serde_json::from_slice(&self.partial).expect("a line of JSON");
                self.partial.clear();
                Some(Some(said))
            }
            Ok(_) => None,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Some(None)
            }
            Err(_) => None,
        }
    }
}
