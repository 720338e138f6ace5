//! The queue in front of the hash threads.
//!
//! Owns: who waits for a thread. Driven by: `sign_in`, `writes` and `admin` with jobs, the hash
//! threads with results. Invariants: a password's hash takes as long as hundreds of messages, so
//! only so many wait, few of them for one account or one address, and those of closed connections
//! are dropped. Does not: know what a password is for.

use std::mem::discriminant;

use super::effect::ClientId;
use super::{Node, Task};
use crate::work::{Entropy, HashJob, Job, Ticket};

/// Jobs that may wait in all; beyond, a sign-in is refused with `busy`.
const WAITING_MAX: usize = 64;
/// Of these, for one account's name: a person waits for one.
const WAITING_NAME_MAX: usize = 2;
/// Of these, for one address: an office may begin its day, and others still find room.
const WAITING_ADDRESS_MAX: usize = 16;

/// A job that waits for a thread.
pub(super) struct HashWaiting {
    client: ClientId,
    /// The account's name, folded; an administrator's jobs have none.
    name: String,
    job: HashJob,
}

/// The queue is full; nothing was done.
#[derive(Debug)]
pub(super) struct HashQueueFull;

impl Node {
    /// A closed connection's jobs that no thread has taken are not done.
    pub(super) fn drop_hashes(&mut self, client: ClientId) {
        for waiting in self.hash_queue.iter().filter(|waiting| waiting.client == client) {
            self.tasks.remove(&waiting.job.ticket());
        }
        self.hash_queue.retain(|waiting| waiting.client != client);
    }

    /// Hashes or verifies a password of the account `name`, after those that wait already.
    pub(super) fn hash(
        &mut self,
        client: ClientId,
        name: String,
        job: HashJob,
    ) -> Result<(), HashQueueFull> {
        let address = self.address(client);
        let of_name = self.hash_queue.iter().filter(|waiting| waiting.name == name).count();
        let of_address = self.hash_queue.iter().filter(|waiting| {
            let other = self.address(waiting.client);
            other.is_some() && other == address
        });
        if self.hash_queue.len() >= WAITING_MAX
            || (of_name >= WAITING_NAME_MAX && !name.is_empty())
            || of_address.count() >= WAITING_ADDRESS_MAX
        {
            return Err(HashQueueFull);
        }
        self.hash_queue.push_back(HashWaiting { client, name, job });
        self.hash_next();
        Ok(())
    }

    pub(super) fn hash_slot_free(&mut self) {
        self.hashing -= 1;
        self.hash_next();
    }

    fn hash_next(&mut self) {
        while self.hashing < self.settings.hash_threads {
            let Some(HashWaiting { job, .. }) = self.hash_queue.pop_front() else { return };
            self.hashing += 1;
            self.run(Job::Hash(job));
        }
    }

    pub(super) fn hashed(&mut self, ticket: Ticket, hash: String, entropy: &Entropy) {
        match self.tasks.remove(&ticket).expect("each ticket is answered once") {
            Task::SignIn(task) => self.sign_in_hashed(task, hash, entropy),
            Task::Write(task) => self.write_hashed(task, hash),
            Task::Admin(task) => self.admin_hashed(task, hash, entropy),
            task @ (Task::Question(..) | Task::Backlog(..) | Task::FollowUps) => {
                unreachable!("{:?} hashes nothing", discriminant(&task))
            }
        }
    }

    pub(super) fn verified(&mut self, ticket: Ticket, right: bool, entropy: &Entropy) {
        match self.tasks.remove(&ticket).expect("each ticket is answered once") {
            Task::SignIn(task) => self.sign_in_verified(task, right, entropy),
            Task::Write(task) => self.write_verified(task, right),
            task @ (Task::Question(..) | Task::Backlog(..) | Task::Admin(_) | Task::FollowUps) => {
                unreachable!("{:?} verifies nothing", discriminant(&task))
            }
        }
    }
}
