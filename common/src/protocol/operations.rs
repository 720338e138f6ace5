//! The operations of `chat/1`: what a client asks (`d`) and what the server answers (`ok`), each
//! pair named once in the list at the top.

use serde::Deserialize;

use super::accounts::{
    DeleteAccount, Empty, Hello, HelloOk, Login, Passwd, PingOk, Register, Resume, ResumeOk,
    Revoke, SessionsOk, SignedInOk,
};
use super::messages::{
    Conversations, ConversationsOk, Delete, Edit, EditOk, History, HistoryOk, Mark, Send, SendOk,
    Users, UsersOk,
};
use super::{ErrorCode, ErrorReply, Status};

/// From one list of operations: the enum of requests, the enum of replies, and their readers.
macro_rules! operations {
    (
        $(#[$request_doc:meta])* requests $Request:ident;
        $(#[$reply_doc:meta])* replies $Reply:ident;
        $( $name:literal $variant:ident $body:ident -> $ok:ident; )*
    ) => {
        $(#[$request_doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub enum $Request {
            $(
                #[doc = concat!("`", $name, "`")]
                $variant($body),
            )*
        }

        $(#[$reply_doc])*
        #[derive(Debug, Clone, PartialEq, ::serde::Serialize)]
        #[serde(untagged)]
        pub enum $Reply {
            $(
                #[doc = concat!("the answer to `", $name, "`")]
                $variant($ok),
            )*
        }

        impl $Request {
            /// Every operation's name, in the order of the protocol's table.
            pub const NAMES: &[&str] = &[$($name),*];

            /// The operation's name on the wire.
            pub const fn name(&self) -> &'static str {
                match self { $($Request::$variant(_) => $name,)* }
            }

            /// Reads the operation `name` with its `d`.
            ///
            /// # Errors
            /// `unknown_op`, or `bad_request` with a text that names the field.
            pub fn parse(
                name: &str,
                d: Option<&::serde_json::value::RawValue>,
            ) -> Result<$Request, $crate::protocol::ErrorReply> {
                use $crate::protocol::operations::{parse_body, unknown};
                let d = d.map_or("{}", ::serde_json::value::RawValue::get);
                match name {
                    $($name => parse_body(d).map($Request::$variant),)*
                    _ => Err(unknown()),
                }
            }

            /// The line that asks this under `id`, newline included.
            pub fn encode(&self, id: u64) -> Vec<u8> {
                $crate::protocol::envelope::encode_request(id, self.name(), self)
            }
        }

        /// Writes the operation's `d`.
        impl ::serde::Serialize for $Request {
            fn serialize<S: ::serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                match self { $($Request::$variant(body) => body.serialize(s),)* }
            }
        }

        impl $Reply {
            /// The line that answers request `id` with this, newline included.
            pub fn encode(&self, id: u64) -> Vec<u8> {
                $crate::protocol::envelope::encode_reply(id, self)
            }

            /// Reads the `ok` of an answer to the operation `name`.
            ///
            /// # Errors
            /// A sentence: the server answered with something that is no answer to that.
            pub fn parse(
                name: &str,
                ok: &::serde_json::value::RawValue,
            ) -> Result<$Reply, $crate::protocol::ErrorReply> {
                use $crate::protocol::operations::{parse_body, unknown};
                match name {
                    $($name => parse_body(ok.get()).map($Reply::$variant),)*
                    _ => Err(unknown()),
                }
            }
        }
    };
}
pub(super) use operations;

/// The name is that of no operation in the list.
pub(super) fn unknown() -> ErrorReply {
    ErrorReply::new(ErrorCode::UnknownOp)
}

/// serde repeats the value that it did not expect, which may be as long as the line.
const REASON_BYTES_MAX: usize = 200;

/// The beginning of a sentence, cut between characters.
pub(super) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(REASON_BYTES_MAX)]
}

/// Reads a `d` or an `ok`; a fault names the field it is in.
pub(super) fn parse_body<'a, T: Deserialize<'a>>(body: &'a str) -> Result<T, ErrorReply> {
    let deserializer = &mut serde_json::Deserializer::from_str(body);
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let path = error.path().to_string();
        let reason = error.inner().to_string();
        // serde_json's position counts from the start of `d`, which helps nobody.
        let reason = reason.split(" at line ").next().unwrap_or_default();
        let (path, reason) = (cut(&path), cut(reason));
        let text = match path {
            "." => reason.to_owned(),
            path => format!("field `{path}`: {reason}"),
        };
        ErrorReply::with_text(ErrorCode::BadRequest, text)
    })
}

operations! {
    /// What a client may ask on the client port.
    requests Request;
    /// What the server answers.
    replies Reply;
    "hello" Hello Hello -> HelloOk;
    "ping" Ping Empty -> PingOk;
    "status" Status Empty -> Status;
    "register" Register Register -> SignedInOk;
    "login" Login Login -> SignedInOk;
    "resume" Resume Resume -> ResumeOk;
    "logout" Logout Empty -> Empty;
    "sessions" Sessions Empty -> SessionsOk;
    "revoke" Revoke Revoke -> Empty;
    "passwd" Passwd Passwd -> Empty;
    "delete_account" DeleteAccount DeleteAccount -> Empty;
    "users" Users Users -> UsersOk;
    "conversations" Conversations Conversations -> ConversationsOk;
    "send" Send Send -> SendOk;
    "history" History History -> HistoryOk;
    "read" Read Mark -> Empty;
    "delivered" Delivered Mark -> Empty;
    "edit" Edit Edit -> EditOk;
    "delete" Delete Delete -> Empty;
}
