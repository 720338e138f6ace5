//! The book of links: whom this server has dialled, who has dialled it, and who they said they are.
//!
//! Each server dials each other one and speaks on its own link; on the other's it listens. So two
//! servers that cannot reach each other one way know it.
//!
//! Owns: the dials, the links and their greetings. Driven by: the node's inputs. Invariants:
//! nothing but a greeting is taken from a link before its greeting; the certificate's server is the
//! greeting's; what is sent to an incarnation goes to that very one or nowhere; of each dial
//! replication hears what it came to, once. Does not: decide who is dead (`replication::evidence`
//! does).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use holdfast_common::ids::ServerId;

use super::Node;
use super::effect::{Effect, LinkId};
use super::frames::{Frame, Greeting, WIRE};
use crate::entry::Incarnation;
use crate::replication::wire::Hello;
use crate::replication::{Input, Moment, Probe};

/// A dial that came to nothing is tried again after this, doubling.
const REDIAL: Duration = Duration::from_millis(20);
/// Up to this: a server that is back is found within half a second.
const REDIAL_MAX: Duration = Duration::from_millis(500);

/// One dial of this server's.
#[derive(Debug)]
struct Dial {
    server: ServerId,
    began: Moment,
}

/// Another server, as this one reaches it.
#[derive(Debug, Default)]
struct Peer {
    /// The link that stands, and to whom.
    open: Option<(LinkId, Incarnation)>,
    /// The dial that will be the link.
    dialling: Option<LinkId>,
    redial_at: Option<Instant>,
    failures: u32,
}

/// A link that another server has dialled.
#[derive(Debug)]
struct Inward {
    server: ServerId,
    peer: Option<Incarnation>,
}

/// See the module's page.
#[derive(Debug, Default)]
pub(super) struct Links {
    peers: BTreeMap<ServerId, Peer>,
    dials: BTreeMap<LinkId, Dial>,
    inward: BTreeMap<LinkId, Inward>,
    next: u64,
}

impl Links {
    /// A book of no links; the others are dialled at once.
    pub(super) fn new(others: impl Iterator<Item = ServerId>, now: Instant) -> Links {
        let peer = |server| (server, Peer { redial_at: Some(now), ..Peer::default() });
        Links { peers: others.map(peer).collect(), ..Links::default() }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.peers.values().filter_map(|peer| peer.redial_at).min()
    }

    /// The link on which this server speaks to that very incarnation.
    pub(super) fn to(&self, to: Incarnation) -> Option<LinkId> {
        let (link, peer) = self.peers.get(&to.server)?.open?;
        (peer == to).then_some(link)
    }

    /// All to whom this server can speak.
    pub(super) fn all(&self) -> Vec<Incarnation> {
        self.peers.values().filter_map(|peer| peer.open).map(|(_, peer)| peer).collect()
    }
}

impl Node {
    /// Says something to an incarnation; without a link to it, nothing happens.
    pub(super) fn say(&mut self, to: Incarnation, frame: &Frame) {
        if let Some(link) = self.links.to(to) {
            self.effects.push_back(Effect::SendFrame { link, frame: frame.encode() });
        }
    }

    fn greeting(&self) -> Frame {
        Frame::Hello(Greeting {
            wire: WIRE,
            shared: self.settings.shared.clone(),
            hello: self.replication.hello(),
        })
    }

    /// Dials whom it is time to dial again.
    pub(super) fn redial(&mut self) {
        let now = self.now.instant;
        let due = |(server, peer): (&ServerId, &Peer)| {
            peer.redial_at.is_some_and(|at| at <= now).then_some(*server)
        };
        let due: Vec<ServerId> = self.links.peers.iter().filter_map(due).collect();
        for server in due {
            self.dial(server);
        }
    }

    /// Dials a server: for the link, if there is none, else only to see who answers.
    pub(super) fn dial(&mut self, server: ServerId) {
        let Some(peer) = self.links.peers.get_mut(&server) else { return };
        let link = LinkId::Own(self.links.next);
        self.links.next += 1;
        peer.redial_at = None;
        if peer.open.is_none() && peer.dialling.is_none() {
            peer.dialling = Some(link);
        }
        let began = self.now.moment();
        self.links.dials.insert(link, Dial { server, began });
        self.effects.push_back(Effect::Dial { link, server });
    }

    pub(super) fn link_dialled(&mut self, link: LinkId) {
        let frame = self.greeting().encode();
        self.effects.push_back(Effect::SendFrame { link, frame });
    }

    pub(super) fn link_accepted(&mut self, link: LinkId, server: ServerId) {
        self.links.inward.insert(link, Inward { server, peer: None });
    }

    pub(super) fn link_refused(&mut self, link: LinkId) {
        self.dial_failed(link, Probe::Refused);
    }

    pub(super) fn link_closed(&mut self, link: LinkId) {
        if let Some(inward) = self.links.inward.remove(&link) {
            self.inward_lost(link);
            // Whoever still speaks on another link is not gone. What ended may have been a mere
            // probe: two servers that answered each other's with one of their own never ended.
            let speaks = |peer| self.links.inward.values().any(|other| other.peer == Some(peer));
            if let Some(peer) = inward.peer.filter(|peer| !speaks(*peer)) {
                self.replicate(Input::Ended { peer });
            }
            return;
        }
        let open = self.links.peers.iter().find_map(|(server, peer)| {
            peer.open
                .filter(|(open, _)| *open == link)
                .map(|(_, incarnation)| (*server, incarnation))
        });
        let Some((server, incarnation)) = open else {
            return self.dial_failed(link, Probe::Nothing);
        };
        log::debug!("link to server {server} ended");
        if let Some(peer) = self.links.peers.get_mut(&server) {
            peer.open = None;
        }
        self.stream_lost(incarnation);
        self.replicate(Input::Closed { peer: incarnation });
        self.dial(server);
    }

    /// A dial came to no link.
    fn dial_failed(&mut self, link: LinkId, probe: Probe) {
        let Some(Dial { server, began }) = self.links.dials.remove(&link) else { return };
        let now = self.now.instant;
        if let Some(peer) = self.links.peers.get_mut(&server)
            && peer.dialling == Some(link)
        {
            peer.dialling = None;
            let wait = REDIAL.saturating_mul(1 << peer.failures.min(8)).min(REDIAL_MAX);
            peer.failures += 1;
            peer.redial_at = Some(now + wait);
        }
        self.replicate(Input::Probed { server, began, probe });
    }

    pub(super) fn link_frame(&mut self, link: LinkId, bytes: &[u8]) {
        let frame = match Frame::decode(bytes) {
            Ok(frame) => frame,
            Err(error) => return self.end_link(link, &format!("a frame cannot be read: {error}")),
        };
        if let Err(why) = frame.check() {
            return self.end_link(link, why);
        }
        match (link, frame) {
            (LinkId::Own(_), Frame::Hello(greeting)) => self.greeted_back(link, &greeting),
            (LinkId::Own(_), Frame::Refused(why)) => {
                log::warn!("a server refuses this one's link: {why}");
                self.end_link(link, "it was refused there");
            }
            (LinkId::Theirs(_), Frame::Hello(greeting)) => self.greeted(link, greeting),
            (LinkId::Theirs(_), frame) => {
                match self.links.inward.get(&link).and_then(|inward| inward.peer) {
                    Some(from) => self.frame_from(link, from, frame),
                    None => self.end_link(link, "it speaks before its greeting"),
                }
            }
            (LinkId::Own(_), _) => self.end_link(link, "it speaks where it should listen"),
        }
    }

    fn frame_from(&mut self, link: LinkId, from: Incarnation, frame: Frame) {
        match frame {
            Frame::Replication(message) => self.replicate(Input::Message { from, message }),
            Frame::Forward(number, operation) => self.forward_from(from, number, operation),
            Frame::Forwarded(number, outcome) => self.forwarded(from, number, outcome),
            Frame::Snapshot { stream, number, part } => {
                self.snapshot_part((link, from), stream, number, part);
            }
            Frame::SnapshotTaken { stream, taken } => self.snapshot_taken(from, stream, taken),
            Frame::Ask(number) => self.asked_for_news(from, number),
            Frame::News(number, index) => self.news(number, index),
            Frame::AskChain(index) => self.chain_asked(from, index),
            Frame::Chain(index, chain) => self.chain_told(from, index, chain),
            Frame::Rows(index, found) => self.rows_told(from, index, found),
            Frame::Differs(index) => self.sent_away(from, index),
            Frame::Hello(_) | Frame::Refused(_) => {}
        }
    }

    /// Whether a greeting is of a server that belongs here; else why not.
    fn admit(&self, server: ServerId, greeting: &Greeting) -> Result<Hello, String> {
        if greeting.wire != WIRE {
            return Err(format!("wire version {} there, {WIRE} here", greeting.wire));
        }
        if let Some(difference) = self.settings.shared.difference(&greeting.shared) {
            return Err(difference);
        }
        let hello = &greeting.hello;
        if hello.incarnation.server != server {
            let claimed = hello.incarnation.server;
            return Err(format!("the certificate is server {server}'s, the greeting {claimed}'s"));
        }
        match (hello.cluster, self.replication.hello().cluster) {
            (Some(theirs), Some(ours)) if theirs != ours => {
                Err(format!("cluster {theirs} there, {ours} here"))
            }
            _ => Ok(hello.clone()),
        }
    }

    /// Another server has dialled, and says who it is.
    fn greeted(&mut self, link: LinkId, greeting: Greeting) {
        let Some(inward) = self.links.inward.get(&link) else { return };
        if inward.peer.is_some() {
            return self.end_link(link, "it greets twice");
        }
        match self.admit(inward.server, &greeting) {
            Ok(hello) => {
                if let Some(inward) = self.links.inward.get_mut(&link) {
                    inward.peer = Some(hello.incarnation);
                }
                let frame = self.greeting().encode();
                self.effects.push_back(Effect::SendFrame { link, frame });
                let server = hello.incarnation.server;
                self.replicate(Input::Heard(hello));
                // It is up: no need to wait for the time of the next try.
                let peer = self.links.peers.get(&server);
                if peer.is_some_and(|peer| peer.open.is_none() && peer.dialling.is_none()) {
                    self.dial(server);
                }
            }
            Err(why) => {
                let frame = Frame::Refused(why.clone()).encode();
                self.effects.push_back(Effect::SendFrame { link, frame });
                self.end_link(link, &why);
            }
        }
    }

    /// Whom this server has dialled says who it is.
    fn greeted_back(&mut self, link: LinkId, greeting: &Greeting) {
        let Some(Dial { server, began }) = self.links.dials.remove(&link) else {
            return self.end_link(link, "it greets twice");
        };
        let hello = match self.admit(server, greeting) {
            Ok(hello) => hello,
            Err(why) => {
                self.links.dials.insert(link, Dial { server, began });
                return self.end_link(link, &why);
            }
        };
        let Some(peer) = self.links.peers.get_mut(&server) else { return };
        if peer.dialling == Some(link) {
            peer.dialling = None;
            peer.failures = 0;
            peer.open = Some((link, hello.incarnation));
            self.tell_again(hello.incarnation);
            self.replicate(Input::Opened { hello, began });
        } else {
            self.effects.push_back(Effect::CloseLink(link));
            self.replicate(Input::Probed { server, began, probe: Probe::Hello(hello) });
        }
    }

    /// Ends a link for a reason that an operator can act on.
    pub(super) fn end_link(&mut self, link: LinkId, why: &str) {
        let server = match self.links.inward.get(&link) {
            Some(inward) => Some(inward.server),
            None => self.links.dials.get(&link).map(|dial| dial.server),
        };
        let server = server.map_or_else(|| "?".to_owned(), |server| server.to_string());
        log::warn!("link with server {server} refused: {why}");
        self.effects.push_back(Effect::CloseLink(link));
        self.link_closed(link);
    }
}
