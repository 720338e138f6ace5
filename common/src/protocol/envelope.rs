//! The envelope of a line: who is asked or answered, and where the rest of the line is.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::operations::cut;
use super::{DEPTH_MAX, Durable, Ephemeral, ErrorCode, ErrorReply, Request, ServerLine};
use crate::ids::Cursor;

/// Ids are integers that every JSON library holds exactly.
const ID_END: u64 = 1 << 53;

/// A request line with a valid id: from here on every fault is answered under that id.
#[derive(Debug, Clone)]
pub struct RequestFrame {
    /// The client's id for this request.
    pub id: u64,
    op: Option<String>,
    d: Option<Box<RawValue>>,
    too_deep: bool,
}

#[derive(Deserialize)]
struct RequestEnvelope<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(borrow, default)]
    op: Option<&'a RawValue>,
    #[serde(borrow, default)]
    d: Option<&'a RawValue>,
}

impl RequestFrame {
    /// Reads the envelope of one line (without its newline).
    ///
    /// # Errors
    /// The sentence for the `bad_request` under `"id":null` after which the connection is closed:
    /// the line is no JSON object with a valid `id`.
    pub fn parse(line: &[u8]) -> Result<RequestFrame, ErrorReply> {
        let broken = |text: String| ErrorReply::with_text(ErrorCode::BadRequest, text);
        let text = std::str::from_utf8(line).map_err(|_| broken("not UTF-8".to_owned()))?;
        if !text.trim_start().starts_with('{') {
            return Err(broken("not a JSON object".to_owned()));
        }
        let envelope: RequestEnvelope<'_> = serde_json::from_str(text)
            .map_err(|error| broken(format!("not a request: {}", cut(&error.to_string()))))?;
        let id: u64 = envelope.id.get().parse().unwrap_or(0);
        if id == 0 || id >= ID_END {
            return Err(broken("field `id`: expected a positive integer below 2^53".to_owned()));
        }
        Ok(RequestFrame {
            id,
            op: envelope.op.and_then(|op| serde_json::from_str(op.get()).ok()),
            d: envelope.d.map(ToOwned::to_owned),
            too_deep: depth(line) > DEPTH_MAX,
        })
    }

    /// Reads the operation and its fields.
    ///
    /// # Errors
    /// `unknown_op`, or `bad_request` with a text that names the field.
    pub fn request(&self) -> Result<Request, ErrorReply> {
        let (op, d) = self.operation()?;
        Request::parse(op, d)
    }

    /// The operation's name and its unread fields, for whoever has its own list of operations.
    ///
    /// # Errors
    /// `bad_request` when there is no name, `d` is no object, or the line is nested too deep.
    pub fn operation(&self) -> Result<(&str, Option<&RawValue>), ErrorReply> {
        let broken = |text: &str| Err(ErrorReply::with_text(ErrorCode::BadRequest, text));
        if self.too_deep {
            return broken("nested deeper than 16");
        }
        if self.d.as_ref().is_some_and(|d| !d.get().starts_with('{')) {
            return broken("field `d`: expected an object");
        }
        match &self.op {
            Some(op) => Ok((op, self.d.as_deref())),
            None => broken("field `op`: expected a text"),
        }
    }
}

/// How deep the arrays and objects of a JSON text are nested.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0usize, 0, false, false);
    for byte in json {
        match (in_text, escaped, byte) {
            (true, true, _) => escaped = false,
            (true, false, b'\\') => escaped = true,
            (_, false, b'"') => in_text = !in_text,
            (false, _, b'{' | b'[') => depth += 1,
            (false, _, b'}' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// What cannot fail: our own types have text keys and no maps with other ones.
const SERIALIZES: &str = "the protocol's types always serialize";

fn line(value: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).expect(SERIALIZES);
    line.push(b'\n');
    line
}

pub(super) fn encode_reply(id: u64, ok: &impl Serialize) -> Vec<u8> {
    #[derive(Serialize)]
    struct Line<'a, T> {
        id: u64,
        ok: &'a T,
    }
    line(&Line { id, ok })
}

/// The line that answers request `id` with nothing but that it was done, newline included.
pub fn encode_done(id: u64) -> Vec<u8> {
    encode_reply(id, &super::Empty {})
}

/// The line of a refusal, newline included; without an id for a line that had no valid one.
pub fn encode_error(id: Option<u64>, err: &ErrorReply) -> Vec<u8> {
    #[derive(Serialize)]
    struct Line<'a> {
        id: Option<u64>,
        err: &'a ErrorReply,
    }
    line(&Line { id, err })
}

/// The line of an event, newline included; durable events carry their cursor.
pub fn encode_event(event: &impl Serialize, cur: Option<Cursor>) -> Vec<u8> {
    #[derive(Serialize)]
    struct Line<'a, T> {
        #[serde(flatten)]
        event: &'a T,
        #[serde(skip_serializing_if = "Option::is_none")]
        cur: Option<Cursor>,
    }
    line(&Line { event, cur })
}

pub(super) fn encode_request(id: u64, op: &str, d: &impl Serialize) -> Vec<u8> {
    #[derive(Serialize)]
    struct Line<'a, T> {
        id: u64,
        op: &'a str,
        d: &'a T,
    }
    line(&Line { id, op, d })
}

impl ServerLine {
    /// Reads one line from a server (without its newline).
    ///
    /// # Errors
    /// A sentence for the log: whatever sent this is no server of `chat/1`.
    pub fn parse(line: &[u8]) -> Result<ServerLine, String> {
        #[derive(Deserialize)]
        struct Envelope {
            #[serde(default)]
            id: Option<u64>,
            #[serde(default)]
            ok: Option<Box<RawValue>>,
            #[serde(default)]
            err: Option<ErrorReply>,
            #[serde(default)]
            ev: Option<String>,
            #[serde(default)]
            cur: Option<Cursor>,
        }
        let envelope: Envelope = serde_json::from_slice(line).map_err(|e| e.to_string())?;
        match (envelope.ok, envelope.err, envelope.ev, envelope.cur) {
            (Some(ok), None, None, _) => Ok(ServerLine::Reply { id: envelope.id, outcome: Ok(ok) }),
            (None, Some(err), None, _) => {
                Ok(ServerLine::Reply { id: envelope.id, outcome: Err(err) })
            }
            (None, None, Some(ev), Some(cur)) if Durable::NAMES.contains(&ev.as_str()) => {
                let event = serde_json::from_slice(line).map_err(|e| format!("event {ev}: {e}"))?;
                Ok(ServerLine::Durable(event, cur))
            }
            (None, None, Some(ev), None) if Ephemeral::NAMES.contains(&ev.as_str()) => {
                let event = serde_json::from_slice(line).map_err(|e| format!("event {ev}: {e}"))?;
                Ok(ServerLine::Ephemeral(event))
            }
            (None, None, Some(_), _) => Ok(ServerLine::UnknownEvent),
            _ => Err("neither a reply nor an event".to_owned()),
        }
    }
}

impl Durable {
    /// The names of the durable events.
    pub const NAMES: &[&str] = &["msg", "read", "delivered", "edited", "deleted", "gone"];
}

impl Ephemeral {
    /// The names of the ephemeral events.
    pub const NAMES: &[&str] = &["cluster", "bye"];
}
