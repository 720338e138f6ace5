//! Snapshots between servers, part by part: made here from one view of the rows, taken there into a
//! store that is made beside the one that serves.
//!
//! Owns: the view of the stream that is being made, and the rows of the one that is being taken.
//! Driven by: the maintenance thread. Invariants: one stream each way; all parts of a stream show
//! the rows of one moment; what was taken counts only when the last part has come, its hash and
//! every row were right, and [`NextStore::install`] returned. Does not: decide who gets one.

use super::{Done, Fault, Part, Received, Ticket};
use crate::chat;
use crate::entry::{Ballot, Index};
use crate::replication::wire::Place;
use crate::tables::snapshot::{Exporter, Installer, SnapshotError};
use crate::tables::{Read, Rows, Views};

/// Makes a store beside the one that serves, and puts it in its place.
pub trait NextStore: Send + std::fmt::Debug {
    /// Empty rows; whatever was begun before is gone.
    ///
    /// # Errors
    /// [`Fault::Folder`], [`Fault::Tables`]
    fn begin(&mut self) -> Result<Box<dyn Rows>, Fault>;

    /// The rows are durable and stand at `place`: gives them a journal that begins there and has
    /// promised `promise`, and makes both the store that the next life opens. In one step: after a
    /// crash it is the old store or the new one.
    ///
    /// # Errors
    /// [`Fault::Folder`], [`Fault::Journal`]
    fn install(&mut self, place: Place, promise: Ballot) -> Result<(), Fault>;

    /// What was begun will never be whole.
    ///
    /// # Errors
    /// [`Fault::Folder`]
    fn discard(&mut self) -> Result<(), Fault>;
}

/// The stream that is being made.
struct Outward {
    stream: Ticket,
    /// None once the last part was made.
    view: Option<Box<dyn Read + Send>>,
    exporter: Option<Exporter>,
    at: Index,
}

/// The stream that is being taken.
struct Inward {
    stream: Ticket,
    rows: Box<dyn Rows>,
    installer: Option<Installer>,
}

impl Inward {
    fn take(&mut self, part: &Part, views: &dyn Views) -> Result<Received, SnapshotError> {
        let mut input = part.bytes.as_slice();
        let more = match &mut self.installer {
            None => {
                self.installer = Some(Installer::begin(&mut input)?.0);
                true
            }
            Some(installer) => installer.next(&mut input, &mut *self.rows)?,
        };
        if more == part.is_last || !input.is_empty() {
            return Err(SnapshotError::Damaged("its parts are not cut as they should be"));
        }
        if more {
            return Ok(Received::Part);
        }
        if let Err(error) = chat::check(&*self.rows) {
            log::error!("a snapshot whose hash is right has rows that are not: {error}");
            return Err(SnapshotError::Damaged("its rows are none that a server would write"));
        }
        if let Some(after) = chat::parting(&*views.view(), &*self.rows)? {
            return Ok(Received::Other(after));
        }
        let meta = chat::meta(&*self.rows)?;
        let place = Place { ballot: meta.ballot, index: meta.applied };
        if !place.is_sound() || meta.view.is_none_or(|view| view.members.is_empty()) {
            return Err(SnapshotError::Damaged("no log can go on from where it stands"));
        }
        Ok(Received::Whole(place))
    }
}

/// See the module's page.
#[derive(Default)]
pub(super) struct Streams {
    outward: Option<Outward>,
    inward: Option<Inward>,
    /// None where no server joins.
    next_store: Option<Box<dyn NextStore>>,
}

impl Streams {
    pub(super) fn new(next_store: Box<dyn NextStore>) -> Streams {
        Streams { next_store: Some(next_store), ..Streams::default() }
    }

    /// The next part of a stream; nothing behind its last one.
    pub(super) fn export(
        &mut self,
        stream: Ticket,
        views: &dyn Views,
    ) -> Result<Option<Done>, Fault> {
        let outward = match self.outward.take_if(|outward| outward.stream == stream) {
            Some(outward) => self.outward.insert(outward),
            None => {
                let view = views.view();
                let at = chat::meta(&*view)?.applied;
                let view = Some(view);
                self.outward.insert(Outward { stream, view, exporter: None, at })
            }
        };
        let Some(view) = &outward.view else { return Ok(None) };
        let mut bytes = Vec::new();
        let is_last = match &mut outward.exporter {
            Some(exporter) => match exporter.next(&**view, &mut bytes) {
                Ok(more) => !more,
                Err(SnapshotError::Rows(fault)) => return Err(fault.into()),
                Err(error) => unreachable!("memory can be written: {error}"),
            },
            None => {
                let about = format!("{{\"index\":{}}}", outward.at);
                let begun = Exporter::begin(about.as_bytes(), &mut bytes);
                outward.exporter = Some(begun.expect("memory can be written"));
                false
            }
        };
        if is_last {
            outward.view = None;
        }
        Ok(Some(Done::Exported(stream, outward.at, Part { bytes, is_last })))
    }

    /// A stream is over: the files need not keep its view any more.
    pub(super) fn end_export(&mut self, stream: Ticket) {
        self.outward.take_if(|outward| outward.stream == stream);
    }

    /// Takes the next part of a stream; the first one begins it.
    pub(super) fn receive(
        &mut self,
        stream: Ticket,
        part: &Part,
        views: &dyn Views,
    ) -> Result<Done, Fault> {
        if self.inward.as_ref().is_none_or(|inward| inward.stream != stream) {
            self.inward = None;
            let Some(next_store) = &mut self.next_store else {
                return Ok(Done::Received(stream, Err("no server joins here".to_owned())));
            };
            let rows = next_store.begin()?;
            self.inward = Some(Inward { stream, rows, installer: None });
        }
        let inward = self.inward.as_mut().expect("it was just made, or there before");
        let taken = match inward.take(part, views) {
            Ok(taken) => Ok(taken),
            Err(SnapshotError::Rows(fault)) => return Err(fault.into()),
            Err(error) => {
                self.discard(stream)?;
                Err(error.to_string())
            }
        };
        Ok(Done::Received(stream, taken))
    }

    /// Drops what was taken of a stream.
    pub(super) fn discard(&mut self, stream: Ticket) -> Result<(), Fault> {
        let dropped = self.inward.take_if(|inward| inward.stream == stream);
        match &mut self.next_store {
            Some(next_store) if dropped.is_some() => {
                drop(dropped);
                next_store.discard()
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Puts what was taken whole in the place of the store that serves.
    pub(super) fn install(&mut self, place: Place, promise: Ballot) -> Result<Done, Fault> {
        // Closed before another life opens them.
        self.inward = None;
        if let Some(next_store) = &mut self.next_store {
            next_store.install(place, promise)?;
        }
        Ok(Done::Installed)
    }
}
