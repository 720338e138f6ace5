//! Many plain clients on one thread: as cheap as a client can be, so that the server is what is
//! measured.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_common::net::connection::{Connection, ReadState, Socket};
use holdfast_common::protocol::{ErrorReply, Hello, LINE_BYTES_MAX, Reply, Request, ServerLine};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustls::pki_types::ServerName;

use crate::Histogram;

/// Nothing here takes longer; what does is a failure of the server.
const PATIENCE: Duration = Duration::from_secs(120);
/// One round waits for so long for something to come.
const GLANCE: Duration = Duration::from_millis(5);
/// The same where the next request has its time: the shortest that systems wait for.
const GLANCE_WHILE_PACING: Duration = Duration::from_millis(1);
/// Connections being made at once: the listener's backlog is finite.
const DIALS_AT_ONCE: usize = 200;

fn hello() -> Request {
    Request::Hello(Hello { proto: vec![1], client: "figures/1".to_owned() })
}

/// TLS for dialling, where it is wanted.
pub(crate) type Tls = Option<(Arc<rustls::ClientConfig>, ServerName<'static>)>;

struct Member {
    connection: Connection,
    next_id: u64,
    /// When each unanswered request was sent.
    asked: BTreeMap<u64, Instant>,
    has_more: bool,
}

impl Member {
    fn ask(&mut self, request: &Request) {
        self.next_id += 1;
        self.asked.insert(self.next_id, Instant::now());
        self.connection.send(request.encode(self.next_id));
    }
}

/// What a member got for a request.
pub(crate) type Answer = Result<Box<serde_json::value::RawValue>, ErrorReply>;

/// See the module's page.
pub(crate) struct Swarm {
    poll: Poll,
    events: Events,
    members: Vec<Member>,
}

impl Swarm {
    /// `count` connections, greeted.
    pub(crate) fn connect(address: SocketAddr, count: usize, tls: &Tls) -> std::io::Result<Swarm> {
        let poll = Poll::new()?;
        let mut swarm = Swarm { poll, events: Events::with_capacity(1024), members: Vec::new() };
        while swarm.members.len() < count {
            let from = swarm.members.len();
            for at in from..count.min(from + DIALS_AT_ONCE) {
                let socket = Socket::Tcp(TcpStream::connect(address)?);
                let mut connection = Connection::dial(socket, tls.clone(), LINE_BYTES_MAX)
                    .expect("the name of the server is well formed");
                let interest = Interest::READABLE | Interest::WRITABLE;
                swarm.poll.registry().register(connection.source(), Token(at), interest)?;
                let asked = BTreeMap::new();
                swarm.members.push(Member { connection, next_id: 0, asked, has_more: true });
            }
            for at in from..swarm.members.len() {
                swarm.members[at].ask(&hello());
            }
            swarm.settle(from)?;
        }
        Ok(swarm)
    }

    /// How many connections there are.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// Everybody asks one thing, so many at once; gives every answer.
    pub(crate) fn all(
        &mut self,
        at_once: usize,
        mut request: impl FnMut(usize) -> Request,
    ) -> std::io::Result<Vec<Reply>> {
        let mut replies = Vec::with_capacity(self.members.len());
        for from in (0..self.members.len()).step_by(at_once) {
            let asking = from..self.members.len().min(from.saturating_add(at_once));
            let mut answers: Vec<Option<Answer>> = asking.clone().map(|_| None).collect();
            let mut names = Vec::new();
            for at in asking {
                let request = request(at);
                names.push(request.name());
                self.members[at].ask(&request);
            }
            self.until_answered(0, |at, answer| answers[at - from] = Some(answer))?;
            replies.extend(answers.into_iter().zip(names).map(|(answer, name)| {
                let ok = answer.expect("everybody was answered");
                let ok = ok.unwrap_or_else(|error| panic!("{name}: {error:?}"));
                Reply::parse(name, &ok).expect("an answer of the protocol")
            }));
        }
        Ok(replies)
    }

    /// One member asks one thing; gives the answer and how long it took.
    pub(crate) fn one(
        &mut self,
        at: usize,
        request: &Request,
    ) -> std::io::Result<(Answer, Duration)> {
        let start = Instant::now();
        self.members[at].ask(request);
        let mut found = None;
        self.until_answered(0, |_, answer| found = Some((answer, start.elapsed())))?;
        Ok(found.expect("it was answered"))
    }

    /// Every member keeps `in_flight` requests unanswered for `time`; gives the time of each
    /// answer. `request` returning nothing ends it early.
    pub(crate) fn drive(
        &mut self,
        in_flight: usize,
        time: Duration,
        mut request: impl FnMut(usize) -> Option<Request>,
    ) -> std::io::Result<(Histogram, Duration)> {
        let start = Instant::now();
        for at in 0..self.members.len() {
            for _ in 0..in_flight {
                if let Some(request) = request(at) {
                    self.members[at].ask(&request);
                }
            }
        }
        let mut times = Histogram::default();
        while start.elapsed() < time && self.members.iter().any(|m| !m.asked.is_empty()) {
            self.step(&mut |at, asked, answer, member| {
                assert!(answer.is_ok(), "{answer:?}");
                times.add(asked.elapsed());
                if let Some(request) = request(at) {
                    member.ask(&request);
                }
            })?;
        }
        let took = start.elapsed();
        self.settle(0)?;
        Ok((times, took))
    }

    /// So many requests a second, by each member in turn, each at its time whether those before it
    /// were answered or not, until it is over and all are answered; adds the time of each answer.
    pub(crate) fn pace(
        &mut self,
        per_second: u32,
        is_over: impl Fn() -> bool,
        times: &mut Histogram,
        mut request: impl FnMut(usize) -> Request,
    ) -> std::io::Result<()> {
        let start = Instant::now();
        let mut heard = start;
        let mut asked = 0;
        loop {
            let over = is_over();
            if over && self.members.iter().all(|member| member.asked.is_empty()) {
                return Ok(());
            }
            assert!(heard.elapsed() < PATIENCE, "the server does not answer");
            let due = (start.elapsed().as_secs_f64() * f64::from(per_second)) as usize;
            while asked < due && !over {
                let at = asked % self.members.len();
                self.members[at].ask(&request(at));
                asked += 1;
            }
            self.step_within(GLANCE_WHILE_PACING, &mut |_, asked, answer, _| {
                assert!(answer.is_ok(), "{answer:?}");
                times.add(asked.elapsed());
                heard = Instant::now();
            })?;
        }
    }

    /// Waits for `time`, answering nothing but sending a ping of each member in between, spread
    /// out.
    pub(crate) fn idle(&mut self, time: Duration, ping_every: Duration) -> std::io::Result<()> {
        let start = Instant::now();
        let count = self.members.len();
        let mut pinged = 0;
        while start.elapsed() < time {
            let share = start.elapsed().as_secs_f64() / ping_every.as_secs_f64();
            let due = (share * count as f64) as usize;
            while pinged < due {
                let ping = Request::Ping(holdfast_common::protocol::Empty {});
                self.members[pinged % count].ask(&ping);
                pinged += 1;
            }
            self.step(&mut |_, _, answer, _| assert!(answer.is_ok(), "{answer:?}"))?;
        }
        self.settle(0)
    }

    fn settle(&mut self, from: usize) -> std::io::Result<()> {
        self.until_answered(from, |_, _| {})
    }

    fn until_answered(
        &mut self,
        from: usize,
        mut seen: impl FnMut(usize, Answer),
    ) -> std::io::Result<()> {
        let until = Instant::now() + PATIENCE;
        while self.members[from..].iter().any(|member| !member.asked.is_empty()) {
            assert!(Instant::now() < until, "the server does not answer");
            self.step(&mut |at, _, answer, _| seen(at, answer))?;
        }
        Ok(())
    }

    /// One round: everything written, what came in the next moment read.
    fn step(
        &mut self,
        seen: &mut dyn FnMut(usize, Instant, Answer, &mut Member),
    ) -> std::io::Result<()> {
        self.step_within(GLANCE, seen)
    }

    fn step_within(
        &mut self,
        glance: Duration,
        seen: &mut dyn FnMut(usize, Instant, Answer, &mut Member),
    ) -> std::io::Result<()> {
        for member in &mut self.members {
            if member.connection.queued_bytes() > 0 {
                member.connection.flush().unwrap_or_else(|reason| panic!("lost: {reason}"));
            }
        }
        self.poll.poll(&mut self.events, Some(glance))?;
        for event in &self.events {
            let at = event.token().0;
            let member = &mut self.members[at];
            member.has_more = true;
            member.connection.flush().unwrap_or_else(|reason| panic!("lost: {reason}"));
            while member.has_more {
                match member.connection.read(1 << 16) {
                    ReadState::Drained => member.has_more = false,
                    ReadState::More => {}
                    ReadState::Closed(reason) => panic!("lost: {reason}"),
                }
                while let Some(line) =
                    member.connection.next_line().expect("lines of bounded length")
                {
                    if let Ok(ServerLine::Reply { id: Some(id), outcome }) =
                        ServerLine::parse(&line)
                        && let Some(asked) = member.asked.remove(&id)
                    {
                        seen(at, asked, outcome, member);
                    }
                }
            }
        }
        Ok(())
    }
}
