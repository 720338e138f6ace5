//! Snapshots between servers: streamed by the primary to whom its log cannot help any more, taken
//! by a joiner into a store beside its own, and begun anew on that.
//!
//! ```text
//! primary: Effect::Snapshot -> Job Export -> Frame::Snapshot ... until the last part was taken
//! joiner:  Frame::Snapshot -> Job Receive -> Frame::SnapshotTaken ... the last part: stands still,
//!          Job Install (one rename) -> Effect::Restart
//! ```
//!
//! Owns: the stream that goes out, the stream that comes in, and whether this life stands still.
//! Driven by: `links`, the jobs' results, replication. Invariants: one stream each way, at most
//! [`WINDOW`] parts of it on the way; a stream that breaks takes its link with it, so both sides
//! know; from before the store is replaced until the end of this life replication says and hears
//! nothing, so that the new journal holds every promise that was made. Does not: read or write
//! rows.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Node;
use super::effect::{Effect, LinkId};
use super::frames::Frame;
use crate::entry::{Ballot, Incarnation, Index};
use crate::replication::Role;
use crate::work::{Job, MaintenanceJob, Part, Received, Ticket};

/// Parts that are made, on their way or being taken at once: some 2 MiB.
const WINDOW: u64 = 8;
/// Nobody has taken a part for so long: the stream is given up.
const STALL: Duration = Duration::from_secs(30);
/// What follows a snapshot stays in the journal for so long after its last part: the joiner checks
/// its rows, begins another life and asks for it.
const KEEP_AFTER: Duration = Duration::from_secs(60);

/// The stream that goes out.
#[derive(Debug)]
struct Outward {
    stream: Ticket,
    to: Incarnation,
    ballot: Ballot,
    sent: u64,
    taken: u64,
    /// The last part is on its way.
    is_last_sent: bool,
    began: Instant,
    /// When a part was sent or taken last.
    moved: Instant,
}

/// The stream that comes in.
#[derive(Debug)]
struct Inward {
    link: LinkId,
    from: Incarnation,
    /// The sender's number of it, and mine.
    number: u64,
    stream: Ticket,
    come: u64,
    taken: u64,
}

/// See the module's page.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    outward: Option<Outward>,
    /// Who waits for the stream to be over.
    waiting: VecDeque<Incarnation>,
    inward: Option<Inward>,
    /// Entries behind this one stay in the journal; without an end while a stream goes out.
    keeps_behind: Option<(Index, Option<Instant>)>,
    /// The store is being replaced.
    stands_still: bool,
}

impl Snapshots {
    pub(super) fn deadline(&self) -> Option<Instant> {
        let on_the_way = |outward: &&Outward| outward.sent > outward.taken;
        self.outward.as_ref().filter(on_the_way).map(|outward| outward.moved + STALL)
    }

    /// Whether the store is being replaced: replication says and hears nothing any more.
    pub(super) fn stands_still(&self) -> bool {
        self.stands_still
    }

    /// Whether a view of the rows is kept for a stream.
    pub(super) fn is_streaming(&self) -> bool {
        self.outward.is_some()
    }

    /// Up to where the journal may be dropped, if the tables allow it up to `below`.
    pub(super) fn releasable(&mut self, below: Index, now: Instant) -> Index {
        self.keeps_behind.take_if(|(_, until)| until.is_some_and(|until| until <= now));
        self.keeps_behind.map_or(below, |(index, _)| below.min(index.next()))
    }
}

impl Node {
    /// A server lacks more than the log has.
    pub(super) fn snapshot_wanted(&mut self, to: Incarnation) {
        if !self.snapshots.waiting.contains(&to) {
            self.snapshots.waiting.push_back(to);
        }
        self.begin_stream();
    }

    fn begin_stream(&mut self) {
        while self.snapshots.outward.is_none()
            && let Some(to) = self.snapshots.waiting.pop_front()
        {
            if self.links.to(to).is_none() {
                continue;
            }
            let stream = self.fresh_ticket();
            log::info!(
                "streams a snapshot to server {}, which lacks more than the log has",
                to.server
            );
            let (ballot, now) = (self.replication.ballot(), self.now.instant);
            self.snapshots.outward = Some(Outward {
                stream,
                to,
                ballot,
                sent: 0,
                taken: 0,
                is_last_sent: false,
                began: now,
                moved: now,
            });
            for _ in 0..WINDOW {
                self.run(Job::Maintenance(MaintenanceJob::Export(stream)));
            }
        }
    }

    /// A part was made of the rows as they stood at `at`.
    pub(super) fn exported(&mut self, stream: Ticket, at: Index, part: Part) {
        let now = self.now.instant;
        let Some(outward) = &mut self.snapshots.outward else { return };
        if outward.stream != stream {
            return;
        }
        if outward.sent == 0 {
            self.snapshots.keeps_behind = Some((at, None));
        }
        let frame = Frame::Snapshot { stream: stream.0, number: outward.sent, part };
        let Frame::Snapshot { part, .. } = &frame else { return };
        (outward.sent, outward.is_last_sent, outward.moved) = (outward.sent + 1, part.is_last, now);
        let to = outward.to;
        self.say(to, &frame);
    }

    /// The joiner has taken a part.
    pub(super) fn snapshot_taken(&mut self, from: Incarnation, number: u64, count: u64) {
        let Some(outward) = &mut self.snapshots.outward else { return };
        let stream = outward.stream;
        if outward.to != from || stream.0 != number || count <= outward.taken {
            return;
        }
        let more = count.min(outward.sent) - outward.taken;
        outward.taken += more;
        outward.moved = self.now.instant;
        if outward.is_last_sent && outward.taken == outward.sent {
            let (taken, ms) = (outward.taken, (self.now.instant - outward.began).as_millis());
            log::info!("server {} has the whole snapshot parts={taken} ms={ms}", from.server);
            return self.end_stream();
        }
        for _ in 0..more {
            self.run(Job::Maintenance(MaintenanceJob::Export(stream)));
        }
    }

    /// The stream is over, whole or not; the next one begins.
    fn end_stream(&mut self) {
        let Some(outward) = self.snapshots.outward.take() else { return };
        let until = self.now.instant + KEEP_AFTER;
        if let Some((_, end)) = &mut self.snapshots.keeps_behind {
            *end = Some(until);
        }
        self.run(Job::Maintenance(MaintenanceJob::EndExport(outward.stream)));
        self.begin_stream();
    }

    /// Ends a stream that this server may not go on with, or nobody takes; says whether it did.
    pub(super) fn watch_stream(&mut self) -> bool {
        let Some(outward) = &self.snapshots.outward else { return false };
        let leads =
            self.replication.role() == Role::Primary && self.replication.ballot() == outward.ballot;
        let is_stalled = self.snapshots.deadline().is_some_and(|at| at <= self.now.instant);
        if leads && !is_stalled {
            return false;
        }
        let why = if leads { "nobody takes it" } else { "this server does not lead any more" };
        let server = outward.to.server;
        log::warn!("the snapshot to server {server} is broken off: {why}");
        match self.links.to(outward.to) {
            Some(link) => {
                self.effects.push_back(Effect::CloseLink(link));
                // Ends the stream, too.
                self.link_closed(link);
            }
            None => self.end_stream(),
        }
        true
    }

    /// An own link has ended: so has what was streamed on it.
    pub(super) fn stream_lost(&mut self, peer: Incarnation) {
        self.snapshots.waiting.retain(|waiting| *waiting != peer);
        if self.snapshots.outward.as_ref().is_some_and(|outward| outward.to == peer) {
            log::info!("the stream of a snapshot to server {} has ended", peer.server);
            self.end_stream();
        }
    }

    /// A part has come.
    pub(super) fn snapshot_part(
        &mut self,
        (link, from): (LinkId, Incarnation),
        number: u64,
        place: u64,
        part: Part,
    ) {
        if self.snapshots.stands_still {
            return;
        }
        if self.replication.primary() != Some(from) {
            return self.end_link(link, "it sends a snapshot, but this server does not follow it");
        }
        // Whoever sends begins anew on another link, unless all of the former stream was taken.
        let is_taking = |inward: &Inward| inward.link == link && inward.come > inward.taken;
        if place == 0 && !self.snapshots.inward.as_ref().is_some_and(is_taking) {
            self.drop_inward();
            log::info!("takes a snapshot from server {}", from.server);
            let stream = self.fresh_ticket();
            self.snapshots.inward = Some(Inward { link, from, number, stream, come: 0, taken: 0 });
        }
        match &mut self.snapshots.inward {
            Some(inward)
                if (inward.link, inward.number, inward.come) == (link, number, place)
                    && inward.come < inward.taken + WINDOW =>
            {
                inward.come += 1;
                let stream = inward.stream;
                self.run(Job::Maintenance(MaintenanceJob::Receive(stream, part)));
            }
            Some(_) | None => self.end_link(link, "parts of a snapshot come as they should not"),
        }
    }

    /// A part was taken, or the whole is refused.
    pub(super) fn received(&mut self, stream: Ticket, result: Result<Received, String>) {
        let Some(inward) = &mut self.snapshots.inward else { return };
        if inward.stream != stream || self.snapshots.stands_still {
            return;
        }
        let (link, from, number) = (inward.link, inward.from, inward.number);
        inward.taken += 1;
        let taken = inward.taken;
        let received = match result {
            Ok(received) => received,
            Err(why) => return self.end_link(link, &why),
        };
        self.say(from, &Frame::SnapshotTaken { stream: number, taken });
        let place = match received {
            Received::Part => return,
            Received::Whole(place) => place,
            Received::Other(after) => {
                self.snapshots.stands_still = true;
                return self.yield_store(after);
            }
        };
        if self.replication.primary() != Some(from) || place.index <= self.replication.commit() {
            return self.end_link(link, "its snapshot came too late to be of use");
        }
        log::info!("has a whole snapshot up to entry {}: begins another life on it", place.index);
        self.snapshots.stands_still = true;
        let promise = self.replication.status().promise;
        self.run(Job::Maintenance(MaintenanceJob::Install { place, promise }));
    }

    /// The next life opens what came.
    pub(super) fn installed(&mut self) {
        self.effects.push_back(match self.upkeep.is_stopping() {
            true => Effect::Stopped,
            false => Effect::Restart { sets_aside: false },
        });
    }

    /// A link that came from another server has ended: so has what it streamed.
    pub(super) fn inward_lost(&mut self, link: LinkId) {
        if self.snapshots.inward.as_ref().is_some_and(|inward| inward.link == link) {
            log::info!("the stream of a snapshot has ended before its last part");
            self.drop_inward();
        }
    }

    fn drop_inward(&mut self) {
        if !self.snapshots.stands_still
            && let Some(inward) = self.snapshots.inward.take()
        {
            self.run(Job::Maintenance(MaintenanceJob::Discard(inward.stream)));
        }
    }
}
