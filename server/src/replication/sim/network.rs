//! Links as TCP gives them: bytes in order until the end; paths that delay and stall one way.

use super::super::wire::{Hello, Message};
use super::super::{Input, Moment, Probe};
use super::host::{Arrival, Out, at};
use super::world::{Event, World};
use crate::entry::{Incarnation, Index};

/// A dial that nobody answers is given up after this.
const DIAL_TIMEOUT_US: u64 = 300_000;

/// One direction between two machines.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Path {
    pub(crate) delay_us: (u64, u64),
    pub(crate) stalled_until: u64,
}

/// A connection, by which the dialler speaks.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    /// Host and epoch of the dialler, and of whom it dialled.
    pub(crate) from: (usize, u64),
    pub(crate) to: (usize, u64),
    pub(crate) dialler: crate::entry::Incarnation,
    /// Whether the other side has answered, and nothing has ended it.
    pub(crate) is_open: bool,
    /// Nothing overtakes.
    pub(crate) last_at: u64,
    /// What would come later than this is lost.
    pub(crate) ends_at: u64,
}

impl World {
    /// When something that leaves now arrives.
    pub(crate) fn delay(&mut self, from: usize, to: usize) -> u64 {
        let path = self.paths[from][to];
        self.now.max(path.stalled_until) + self.random.within(path.delay_us)
    }

    pub(crate) fn out(&self, host: usize, peer: usize) -> Out {
        self.hosts[host].process.as_ref().map_or(Out::None, |process| process.out[peer])
    }

    pub(crate) fn set_out(&mut self, host: usize, peer: usize, out: Out) {
        if let Some(process) = &mut self.hosts[host].process {
            process.out[peer] = out;
        }
    }

    pub(crate) fn lose(&mut self, host: usize, peer: Incarnation) {
        let at = usize::from(peer.server.0) - 1;
        if let Out::Open { peer: open, .. } = self.out(host, at)
            && open == peer
        {
            self.set_out(host, at, Out::None);
            self.dial(host, at, true);
        }
    }

    pub(crate) fn dial(&mut self, host: usize, peer: usize, keep: bool) {
        let Some(process) = &self.hosts[host].process else { return };
        if process.between_lives {
            return;
        }
        let hello = process.machine.hello();
        let epoch = self.hosts[host].epoch;
        let began = self.hosts[host].moment(self.now);
        if keep {
            self.set_out(host, peer, Out::Dialling);
        }
        let time = self.delay(host, peer);
        if time > self.now + DIAL_TIMEOUT_US {
            let arrival =
                Arrival::Dialled { peer, link: 0, began, keep, hello: None, refused: false };
            return self.arrive(self.now + DIAL_TIMEOUT_US, host, epoch, arrival);
        }
        self.at(time, Event::Dial { from: (host, epoch), to: peer, hello, began, keep });
    }

    pub(crate) fn dial_arrives(
        &mut self,
        from: (usize, u64),
        to: usize,
        hello: Hello,
        began: Moment,
        keep: bool,
    ) {
        if self.hosts[to].process.is_none() {
            let time = self.delay(to, from.0);
            let arrival =
                Arrival::Dialled { peer: to, link: 0, began, keep, hello: None, refused: true };
            return self.arrive(time, from.0, from.1, arrival);
        }
        self.sequence += 1;
        let id = self.sequence;
        let link = Link {
            from,
            to: (to, self.hosts[to].epoch),
            dialler: hello.incarnation,
            is_open: false,
            last_at: 0,
            ends_at: u64::MAX,
        };
        self.links.insert(id, link);
        let epoch = self.hosts[to].epoch;
        self.arrive(self.now, to, epoch, Arrival::Incoming { link: id, hello, began, keep });
        // Whoever does not answer in time is given up, without any proof.
        let arrival =
            Arrival::Dialled { peer: to, link: id, began, keep, hello: None, refused: false };
        self.arrive(self.now + DIAL_TIMEOUT_US, from.0, from.1, arrival);
    }

    pub(crate) fn incoming(
        &mut self,
        host: usize,
        link: u64,
        hello: Hello,
        began: Moment,
        keep: bool,
    ) {
        let Some(process) = &self.hosts[host].process else { return };
        let is_over = self.links.get(&link).is_none_or(|link| link.ends_at <= self.now);
        if process.between_lives || is_over {
            return;
        }
        let mine = process.machine.hello();
        let from = self.links[&link].from;
        self.feed(host, Input::Heard(hello));
        let time = self.delay(host, from.0);
        let answer =
            Arrival::Dialled { peer: host, link, began, keep, hello: Some(mine), refused: false };
        self.arrive(time, from.0, from.1, answer);
    }

    #[expect(clippy::too_many_arguments, reason = "a dial's whole story")]
    pub(crate) fn dialled(
        &mut self,
        host: usize,
        peer: usize,
        link: u64,
        began: Moment,
        keep: bool,
        hello: Option<Hello>,
        refused: bool,
    ) {
        let server = self.hosts[peer].server;
        let probe = match (hello, refused) {
            (None, true) => Probe::Refused,
            (None, false) => Probe::Nothing,
            (Some(hello), _) => Probe::Hello(hello),
        };
        let own = self.hosts[host].incarnation();
        let is_live =
            self.links.get(&link).is_some_and(|l| l.ends_at == u64::MAX && l.dialler == own);
        if let Probe::Nothing = probe
            && link != 0
        {
            // The time-out of a dial that was answered, or ended, long ago.
            if self.links.get(&link).is_none_or(|link| link.is_open) || !keep {
                return;
            }
        }
        match (probe, keep) {
            (Probe::Hello(hello), true) if is_live && self.out(host, peer) == Out::Dialling => {
                self.links.get_mut(&link).expect("it is live").is_open = true;
                let incarnation = hello.incarnation;
                self.set_out(host, peer, Out::Open { link, peer: incarnation });
                self.feed(host, Input::Opened { hello, began });
            }
            (probe, _) => {
                if keep && self.out(host, peer) == Out::Dialling {
                    self.set_out(host, peer, Out::None);
                    let epoch = self.hosts[host].epoch;
                    let time = self.now + self.random.within((10_000, 40_000));
                    self.arrive(time, host, epoch, Arrival::Redial { peer });
                }
                self.feed(host, Input::Probed { server, began, probe });
                self.links.remove(&link);
            }
        }
    }

    pub(crate) fn send(&mut self, host: usize, to: Incarnation, message: Message) {
        let peer = usize::from(to.server.0) - 1;
        let Out::Open { link, peer: open } = self.out(host, peer) else { return };
        if open != to {
            return;
        }
        let time = self.delay(host, peer);
        let Some(link_state) = self.links.get_mut(&link) else { return };
        let time = time.max(link_state.last_at + 1);
        link_state.last_at = time;
        let (target, epoch) = link_state.to;
        self.arrive(time, target, epoch, Arrival::Message { link, message });
    }

    pub(crate) fn snapshot(&mut self, from: (usize, u64), to: (usize, Incarnation)) {
        let source = &self.hosts[from.0];
        let Some(process) = source.process.as_ref().filter(|_| source.epoch == from.1) else {
            return;
        };
        let index = process.applied.min(source.disk.log.len() as u64);
        let place = source.disk.place(index);
        let view = source.disk.view_at(index);
        let log = source.disk.log[..at(index)].to_vec();
        let target = &mut self.hosts[to.0];
        let is_same = target.incarnation() == to.1 && target.stalled_until <= self.now;
        let fits = target.process.as_ref().is_some_and(|process| {
            is_same
                && process.appending.is_none()
                && process.machine.commit() < Index(index)
                && !process.between_lives
        });
        if !fits || view.is_none() {
            // The stream breaks off, and the link with it.
            return self.end_links(|link| link.from == from && link.to.0 == to.0);
        }
        self.counts.snapshots += 1;
        target.disk.log = log;
        target.disk.first = index + 1;
        target.disk.persisted = index;
        let promise = target.disk.hard_state.promise.max(place.ballot);
        target.disk.hard_state = crate::entry::HardState { promise, commit: Index(index) };
        target.process.as_mut().expect("it fits").applied = index;
        self.say(to.0, &format!("installs a snapshot at {index}"));
        let view = view.expect("there is one");
        self.feed(to.0, Input::Installed { place, view });
    }

    /// Ends links; each end hears of it when its path lets it.
    pub(crate) fn end_links(&mut self, which: impl Fn(&Link) -> bool) {
        let ids: Vec<u64> =
            self.links.iter().filter(|(_, l)| which(l)).map(|(id, _)| *id).collect();
        for id in ids {
            let link = self.links[&id].clone();
            let (dialler, other) = (link.from.0, link.to.0);
            let (there, back) = (self.delay(dialler, other), self.delay(other, dialler));
            // What was under way may still arrive before the end does, or not.
            let ends_at = match self.random.percent(50) {
                true => there.max(link.last_at) + 1,
                false => there,
            };
            let was_open = link.is_open;
            let entry = self.links.get_mut(&id).expect("it was just there");
            entry.is_open = false;
            entry.ends_at = entry.ends_at.min(ends_at);
            let peer = self.hosts[other].incarnation();
            self.arrive(
                ends_at,
                other,
                link.to.1,
                Arrival::Input(Input::Ended { peer: link.dialler }),
            );
            let _ = peer;
            if was_open && let Some(process) = &self.hosts[dialler].process {
                let out = process.out[other];
                if let Out::Open { link: open, peer } = out
                    && open == id
                {
                    self.arrive(back, dialler, link.from.1, Arrival::Input(Input::Closed { peer }));
                }
            }
        }
    }
}
