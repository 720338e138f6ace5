//! The queue in front of the hash threads. A password's hash takes as long as hundreds of messages,
//! so only so many wait, they wait here (where those of closed connections can be dropped), and
//! never before anybody's messages.

use super::effect::ClientId;
use super::{HASH_QUEUE_MAX, Node, Task};
use crate::work::{Entropy, HashJob, Job, Ticket};

/// The queue is full; nothing was done.
#[derive(Debug)]
pub(super) struct HashQueueFull;

impl Node {
    /// A closed connection's jobs that no thread has taken are not done.
    pub(super) fn drop_hashes(&mut self, client: ClientId) {
        let is_its = |(other, _): &(Option<ClientId>, HashJob)| *other == Some(client);
        for (_, job) in self.hash_queue.iter().filter(|entry| is_its(entry)) {
            self.tasks.remove(&job.ticket());
        }
        self.hash_queue.retain(|entry| !is_its(entry));
    }

    /// Hashes or verifies a password, after those that wait already.
    pub(super) fn hash(
        &mut self,
        client: Option<ClientId>,
        job: HashJob,
    ) -> Result<(), HashQueueFull> {
        if self.hash_queue.len() >= HASH_QUEUE_MAX {
            return Err(HashQueueFull);
        }
        self.hash_queue.push_back((client, job));
        self.hash_next();
        Ok(())
    }

    pub(super) fn hash_slot_free(&mut self) {
        self.hashing -= 1;
        self.hash_next();
    }

    fn hash_next(&mut self) {
        while self.hashing < self.settings.hash_threads {
            let Some((_, job)) = self.hash_queue.pop_front() else { return };
            self.hashing += 1;
            self.run(Job::Hash(job));
        }
    }

    pub(super) fn hashed(&mut self, ticket: Ticket, hash: String, entropy: &Entropy) {
        match self.tasks.remove(&ticket).expect("each ticket is answered once") {
            Task::SignIn(task) => self.sign_in_hashed(task, hash, entropy),
            Task::Write(task) => self.write_hashed(task, hash),
            Task::Admin(task) => self.admin_hashed(task, hash, entropy),
            task @ (Task::Reply(..) | Task::Backlog(..) | Task::FollowUps) => {
                unreachable!("{task:?} hashes nothing")
            }
        }
    }

    pub(super) fn verified(&mut self, ticket: Ticket, right: bool, entropy: &Entropy) {
        match self.tasks.remove(&ticket).expect("each ticket is answered once") {
            Task::SignIn(task) => self.sign_in_verified(task, right, entropy),
            Task::Write(task) => self.write_verified(task, right),
            task @ (Task::Reply(..) | Task::Backlog(..) | Task::Admin(_) | Task::FollowUps) => {
                unreachable!("{task:?} verifies nothing")
            }
        }
    }
}
