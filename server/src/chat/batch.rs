//! The rows as they will be after a batch: what was written lies over what is there.
//!
//! Owns: the changes of one batch, and the running hash. Driven by: `apply`. Invariants: a row that
//! is written twice is committed once; the hash covers every write of every entry in order, so it
//! does not depend on how entries were cut into batches. Does not: commit.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

use ring::digest::{Context, SHA256};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::schema::{META, Meta, decode, encode, end_of, meta};
use crate::tables::{Fault, Order, Read, Visit, Write};

/// See the module's page.
pub(super) struct Batch<'a> {
    rows: &'a dyn Read,
    changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// Rows below the changes that entry after entry asks for: read once a batch.
    read_before: RefCell<BTreeMap<Vec<u8>, Option<Vec<u8>>>>,
    /// Where the rows will stand.
    pub(super) meta: Meta,
    hash: Context,
}

impl<'a> Batch<'a> {
    pub(super) fn new(rows: &'a dyn Read) -> Result<Batch<'a>, Fault> {
        let meta = meta(rows)?;
        let (changes, read_before) = (BTreeMap::new(), RefCell::default());
        Ok(Batch { rows, changes, read_before, meta, hash: Context::new(&SHA256) })
    }

    /// Everything to commit, where the rows stand included.
    pub(super) fn into_writes(self) -> Vec<Write> {
        let meta = (META.to_vec(), Some(encode(&self.meta)));
        self.changes.into_iter().chain([meta]).collect()
    }

    /// Begins an entry: its hash begins from the chain so far.
    pub(super) fn begin_entry(&mut self) {
        self.hash = Context::new(&SHA256);
        let chain = self.meta.chain;
        self.absorb(&chain);
    }

    /// Something that all servers must agree on.
    pub(super) fn absorb(&mut self, bytes: &[u8]) {
        self.hash.update(&(bytes.len() as u64).to_le_bytes());
        self.hash.update(bytes);
    }

    /// Ends an entry: the chain is its hash.
    pub(super) fn end_entry(&mut self) {
        let digest = std::mem::replace(&mut self.hash, Context::new(&SHA256)).finish();
        self.meta.chain.copy_from_slice(digest.as_ref());
    }

    pub(super) fn row<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, Fault> {
        match self.changes.get(key) {
            Some(Some(bytes)) => decode(bytes).map(Some),
            Some(None) => Ok(None),
            None => super::schema::row(self.rows, key),
        }
    }

    /// A row of an account or a session, which other entries of the batch are likely to ask for
    /// too.
    pub(super) fn shared_row<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, Fault> {
        if let Some(change) = self.changes.get(key) {
            return change.as_deref().map(decode).transpose();
        }
        if let Some(known) = self.read_before.borrow().get(key) {
            return known.as_deref().map(decode).transpose();
        }
        let read = self.rows.get(key)?;
        let row = read.as_deref().map(decode).transpose();
        self.read_before.borrow_mut().insert(key.to_vec(), read);
        row
    }

    pub(super) fn has(&self, key: &[u8]) -> Result<bool, Fault> {
        match self.changes.get(key) {
            Some(change) => Ok(change.is_some()),
            None => Ok(self.rows.get(key)?.is_some()),
        }
    }

    pub(super) fn put<T: Serialize>(&mut self, key: Vec<u8>, value: &T) {
        let value = encode(value);
        self.absorb(&key);
        self.absorb(&value);
        self.changes.insert(key, Some(value));
    }

    pub(super) fn remove(&mut self, key: Vec<u8>) {
        self.absorb(&key);
        self.absorb(&[]);
        self.changes.insert(key, None);
    }

    /// The keys with `prefix` from `from` on, at most `count` (at least one is).
    pub(super) fn keys(
        &self,
        prefix: &[u8],
        from: &[u8],
        count: usize,
    ) -> Result<Vec<Vec<u8>>, Fault> {
        self.keys_between(from, &end_of(prefix), count)
    }

    /// The keys with `from <= key < to`, at most `count` (at least one is).
    pub(super) fn keys_between(
        &self,
        from: &[u8],
        to: &[u8],
        count: usize,
    ) -> Result<Vec<Vec<u8>>, Fault> {
        let mut keys = Vec::new();
        self.range(from, to, Order::Ascending, &mut |key, _| {
            keys.push(key.to_vec());
            if keys.len() < count { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(keys)
    }
}

impl Read for Batch<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        match self.changes.get(key) {
            Some(change) => Ok(change.clone()),
            None => self.rows.get(key),
        }
    }

    /// Ascending only: nothing here needs the other way.
    fn range(
        &self,
        from: &[u8],
        to: &[u8],
        order: Order,
        visit: &mut Visit<'_>,
    ) -> Result<(), Fault> {
        assert_eq!(order, Order::Ascending, "a batch is read in ascending order only");
        if from >= to {
            return Ok(());
        }
        let mut changes = self.changes.range(from.to_vec()..to.to_vec()).peekable();
        let mut stopped = false;
        self.rows.range(from, to, Order::Ascending, &mut |key, value| {
            // What was written before this key, then the key itself unless it was overwritten.
            while let Some((changed, change)) =
                changes.next_if(|(changed, _)| changed.as_slice() < key)
            {
                if let Some(value) = change
                    && visit(changed, value).is_break()
                {
                    stopped = true;
                    return ControlFlow::Break(());
                }
            }
            let flow = match changes.next_if(|(changed, _)| changed.as_slice() == key) {
                Some((_, Some(changed))) => visit(key, changed),
                Some((_, None)) => ControlFlow::Continue(()),
                None => visit(key, value),
            };
            stopped = flow.is_break();
            flow
        })?;
        if !stopped {
            for (key, change) in changes {
                if let Some(value) = change
                    && visit(key, value).is_break()
                {
                    break;
                }
            }
        }
        Ok(())
    }
}
