//! Refusals on the wire: a stable code for programs, what helps, and a sentence for people.

use serde::{Deserialize, Serialize};

/// What helps after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// Nothing: the same request will be refused again.
    Never,
    /// The same server, after `after_ms`.
    Later,
    /// Another server, preferring one whose `hello` says `writable`.
    Elsewhere,
    /// Signing in again.
    Auth,
    /// The outcome is unknown: repeat with the same txn, anywhere.
    SameTxn,
}

macro_rules! error_codes {
    ($( $(#[$doc:meta])* $variant:ident $name:literal $retry:ident $text:literal; )*) => {
        /// Every code that the protocol knows. Codes are stable; texts are not.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $( $(#[$doc])* $variant, )*
        }

        impl ErrorCode {
            /// All codes, in the order of the protocol's table.
            pub const ALL: &[ErrorCode] = &[$(ErrorCode::$variant),*];

            /// The code's name on the wire.
            pub const fn name(self) -> &'static str {
                match self { $(ErrorCode::$variant => $name,)* }
            }

            /// What helps after this error.
            pub const fn retry(self) -> Retry {
                match self { $(ErrorCode::$variant => Retry::$retry,)* }
            }

            /// The sentence that stands in `text` where nothing more exact is known.
            pub const fn text(self) -> &'static str {
                match self { $(ErrorCode::$variant => $text,)* }
            }
        }
    };
}

error_codes! {
    /// Not an object, a missing or wrong field, or anything before `hello`.
    BadRequest "bad_request" Never "the request is not understood";
    /// An operation that this server does not know.
    UnknownOp "unknown_op" Never "this server does not know that operation";
    /// A line over the limit.
    TooLarge "too_large" Never "the line is longer than 65536 bytes";
    /// No common protocol version.
    Version "version" Never "this server speaks chat/1 only";
    /// Plain text from where it is not allowed.
    TlsRequired "tls_required" Never "this server accepts encrypted connections only: use TLS";
    /// No session on this connection, or it ended.
    Unauthorized "unauthorized" Auth "this session has ended: sign in again";
    /// Unknown name or wrong password, one answer for both.
    WrongCredentials "wrong_credentials" Never "unknown name or wrong password";
    /// Signed in, but not allowed.
    Forbidden "forbidden" Never "only the author of a message may do that";
    /// No account of that name.
    NoSuchUser "no_such_user" Never "there is no account of that name";
    /// No such conversation, or one that the asker is not in.
    NoSuchConversation "no_such_conversation" Never "there is no such conversation";
    /// No message with that number there.
    NoSuchMessage "no_such_message" Never "there is no such message";
    /// The name is taken (case does not count).
    UserExists "user_exists" Never "that name is taken (upper and lower case count as the same)";
    /// A name outside the rule.
    InvalidName "invalid_name" Never
        "a name has 3 to 32 characters of a-z A-Z 0-9 _ . - and begins with a letter";
    /// A password outside the rule.
    WeakPassword "weak_password" Never
        "a password has 8 to 71 bytes, no NUL character, and is not the name";
    /// A text outside the rule.
    InvalidText "invalid_text" Never
        "a message has 1 to 16384 bytes, not only white space, and no control characters \
         but newline and tab";
    /// A txn used again with other content.
    TxnConflict "txn_conflict" Never "this txn was used before with other content";
    /// Too many requests; `after_ms` says when to come back.
    RateLimited "rate_limited" Later "too many requests";
    /// A queue is full; nothing was done.
    Busy "busy" Later "the server is busy; nothing was done";
    /// No primary known for longer than the server's patience; nothing was done.
    NoPrimary "no_primary" Elsewhere "no server can take writes just now; nothing was done";
    /// This server cannot know whether it is up to date, and the answer depends on it.
    Behind "behind" Elsewhere "this server cannot know whether it is up to date";
    /// The primary was lost while the write was under way.
    OutcomeUnknown "outcome_unknown" SameTxn
        "the outcome is not known yet: repeating with the same txn is safe";
    /// A cursor that is too old or from another history.
    CursorExpired "cursor_expired" Never
        "the cursor is too old or from another history: load the conversations anew";
    /// A bug; logged with a reference that `text` repeats.
    Internal "internal" Later "something is wrong in the server";
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(self.name())
        } else {
            serializer.serialize_u8(*self as u8)
        }
    }
}

impl<'de> Deserialize<'de> for ErrorCode {
    /// A code that this build does not know reads as [`ErrorCode::Internal`]; its `retry` and
    /// `text` stand beside it and still say what to do.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let known = if deserializer.is_human_readable() {
            let name = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
            ErrorCode::ALL.iter().find(|code| code.name() == name)
        } else {
            ErrorCode::ALL.get(usize::from(u8::deserialize(deserializer)?))
        };
        Ok(known.copied().unwrap_or(ErrorCode::Internal))
    }
}

/// The `err` of a reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorReply {
    /// For programs.
    pub code: ErrorCode,
    /// What helps.
    pub retry: Retry,
    /// Milliseconds to wait before trying again, where waiting helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_ms: Option<u64>,
    /// For people.
    pub text: String,
}

impl ErrorReply {
    /// The error with its code's own sentence.
    pub fn new(code: ErrorCode) -> ErrorReply {
        ErrorReply::with_text(code, code.text())
    }

    /// The error with a more exact sentence.
    pub fn with_text(code: ErrorCode, text: impl Into<String>) -> ErrorReply {
        ErrorReply { code, retry: code.retry(), after_ms: None, text: text.into() }
    }

    /// The same error with the time to wait, in milliseconds.
    pub fn after_ms(mut self, after_ms: u64) -> ErrorReply {
        self.after_ms = Some(after_ms);
        self
    }
}

impl From<ErrorCode> for ErrorReply {
    fn from(code: ErrorCode) -> ErrorReply {
        ErrorReply::new(code)
    }
}
