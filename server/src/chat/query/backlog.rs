//! What an account missed: its events behind a cursor, with the texts as they are now.

use std::ops::ControlFlow;

use holdfast_common::ids::{ConversationId, Cursor, Seq, UserId};
use holdfast_common::protocol::{
    DeletedEvent, Durable, EditedEvent, ErrorCode, GoneEvent, MarkEvent, MsgEvent, encode_event,
};

use super::Answer;
use super::accounts::name_of;
use super::generations::generation_of;
use super::messages::shown;
use crate::chat::schema::{
    ConversationRow, EventKind, EventRow, MessageRow, Meta, conversation_key, decode, end_of,
    event_key, events_of, hidden_key, message_key, number_at, row,
};
use crate::entry::Index;
use crate::tables::{Fault, Order, Read};

/// Events read from the rows at once. Few in tests, so that theirs fill several pages too.
const ROWS_MAX: usize = if cfg!(test) { 8 } else { 1_000 };

pub(super) fn backlog(
    rows: &dyn Read,
    meta: &Meta,
    user: UserId,
    after: Cursor,
    bytes_max: usize,
) -> Result<Answer, Fault> {
    if name_of(rows, user)?.is_none() {
        return Ok(Answer::Refused(ErrorCode::Unauthorized.into()));
    }
    // A place of this generation that is not here yet will come. One of an earlier generation that
    // reached further than here never will: it falls into a later generation's part below.
    let at = Cursor { generation: meta.ballot.generation, index: meta.applied.0 };
    if after.generation > at.generation || (after.generation == at.generation && after > at) {
        return Ok(Answer::Refused(ErrorCode::Behind.into()));
    }
    let generation = generation_of(rows, Index(after.index))?;
    // A client can write any number: behind the largest one there is no place.
    let next = after.index.checked_add(1).map(Index).filter(|next| *next >= meta.floor);
    let Some(next) = next.filter(|_| generation == after.generation) else {
        return Ok(Answer::Refused(ErrorCode::CursorExpired.into()));
    };
    let from = event_key(user, next);
    let mut found = Vec::new();
    rows.range(&from, &end_of(&events_of(user)), Order::Ascending, &mut |key, value| {
        found.push((Index(number_at(key, 9)), decode::<EventRow>(value)));
        if found.len() < ROWS_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    let mut more = found.len() == ROWS_MAX;
    let mut lines: Vec<(Index, Vec<u8>)> = Vec::new();
    let mut bytes = 0;
    let mut upto = after;
    for (index, event) in found {
        if bytes > bytes_max {
            more = true;
            break;
        }
        let newest = upto.generation == at.generation;
        let generation = if newest { at.generation } else { generation_of(rows, index)? };
        upto = Cursor { generation, index: index.0 };
        if let Some(event) = tell(rows, user, event?)? {
            let line = encode_event(&event, Some(upto));
            bytes += line.len();
            lines.push((index, line));
        }
    }
    Ok(Answer::Backlog { lines, upto: if more { upto } else { at }, more })
}

/// The event as it is told now; nothing when what it is about is gone (marks go with their
/// account).
fn tell(rows: &dyn Read, user: UserId, event: EventRow) -> Result<Option<Durable>, Fault> {
    Ok(match event.what {
        EventKind::Msg { conv, seq } => {
            let Some(message) = message(rows, conv, seq)? else { return Ok(None) };
            let from = name_of(rows, message.from)?;
            let hidden = rows.get(&hidden_key(user, conv, seq))?.is_some();
            let deleted = message.deleted || hidden || from.is_none();
            Some(Durable::Msg(MsgEvent {
                conv,
                seq,
                from,
                text: if deleted { String::new() } else { shown(message.text) },
                ts: message.ts_ms,
                with: peer_name(rows, user, conv)?,
                txn: event.txn,
                deleted,
            }))
        }
        EventKind::Read { conv, user: reader, upto } => {
            let user = name_of(rows, reader)?;
            user.map(|user| Durable::Read(MarkEvent { conv, user: Some(user), upto }))
        }
        EventKind::Delivered { conv, user: receiver, upto } => {
            let user = name_of(rows, receiver)?;
            user.map(|user| Durable::Delivered(MarkEvent { conv, user: Some(user), upto }))
        }
        EventKind::Edited { conv, seq, ts_ms } => {
            let Some(message) = message(rows, conv, seq)? else { return Ok(None) };
            let gone = message.deleted || name_of(rows, message.from)?.is_none();
            let hidden = rows.get(&hidden_key(user, conv, seq))?.is_some();
            let text = if gone || hidden { String::new() } else { shown(message.text) };
            Some(Durable::Edited(EditedEvent { conv, seq, text, ts: ts_ms }))
        }
        EventKind::Deleted { conv, seq, scope } => {
            Some(Durable::Deleted(DeletedEvent { conv, seq, scope }))
        }
        EventKind::Gone { conv } => Some(Durable::Gone(GoneEvent { conv })),
        EventKind::Nothing => None,
    })
}

pub(super) fn message(
    rows: &dyn Read,
    conv: ConversationId,
    seq: Seq,
) -> Result<Option<MessageRow>, Fault> {
    row(rows, &message_key(conv, seq))
}

pub(super) fn peer_name(
    rows: &dyn Read,
    user: UserId,
    conv: ConversationId,
) -> Result<Option<String>, Fault> {
    let found: Option<ConversationRow> = row(rows, &conversation_key(conv))?;
    match found.and_then(|row| row.place(user).map(|place| row.peer(place))) {
        Some(peer) => name_of(rows, peer),
        None => Ok(None),
    }
}
