//! Processes: their starts, their loop's turns, their threads and their ends.

use holdfast_common::ids::ServerId;
use holdfast_server::entry::{ClusterId, Entry, Payload};
use holdfast_server::journal::sim::Faults;
use holdfast_server::node::effect::{Effect, Input, LinkId};
use holdfast_server::node::{Node, Start};
use holdfast_server::work::{Done, Job, JournalJob, JournalWorker, TablesJob};

use super::Us;
use super::host::{News, Process, Under};
use super::network::{Door, Packet, Place, Side};
use super::world::{What, World};
use crate::sim::workers::{Random, Thread, Workers};

/// A link's dial without an answer is given up after this, as the reactor does.
const HANDSHAKE_US: Us = 3_000_000;
/// How long another life takes to begin, in the same process.
const RESTART_US: (Us, Us) = (1_000, 30_000);

/// How a process ended.
#[derive(Debug)]
pub(crate) enum Ended {
    Stopped,
    Restart { sets_aside: bool },
}

impl World {
    /// Begins a life over what is in the folder.
    pub(crate) fn start(&mut self, host: usize) {
        let now = self.now;
        let random = &mut self.random;
        let target = &mut self.hosts[host];
        if target.process.is_some() || !target.is_on {
            return;
        }
        let awake_at = target.clock.awake_at();
        if awake_at > now {
            return self.at(awake_at, What::Start { host });
        }
        if target.disk_fails.take().is_some() {
            // Whatever was wrong with it, somebody has seen to it.
            target.folder.disk().set_faults(Faults::default());
        }
        let opened = match target.folder.open(target.server) {
            Ok(opened) => opened,
            Err(why) => return self.fail(format!("server {} cannot start: {why}", host + 1)),
        };
        target.epoch += 1;
        (target.stalled_until, target.starts_after) = (0, None);
        target.knew = self.known.clone();
        let mut fresh_cluster = ClusterId([0xc1; 16]);
        fresh_cluster.0[..8].copy_from_slice(&random.next().to_be_bytes());
        let start = Start {
            incarnation: opened.incarnation,
            recovered: opened.recovered,
            applied: opened.applied,
            has_set_aside: target.has_set_aside,
            fresh_cluster,
            seed: random.next(),
            connections_max: 100,
            hash_threads: 1,
            diverged: 0,
        };
        let last = start.recovered.last();
        let node = Node::begin(&self.config, start, target.clock.now(now));
        let keep_bytes = self.config.journal_keep_bytes.unwrap_or(0);
        let journal = JournalWorker::keeping(opened.journal, keep_bytes);
        let next_store = Some(target.folder.beside());
        let workers = Workers::new(journal, &opened.rows, next_store, Random(random.next()));
        target.process = Some(Process::new(node, workers, opened.applied.index));
        self.counts.starts += 1;
        let (life, applied) = (opened.incarnation.life, opened.applied.index);
        self.say(host, || format!("starts: life {life}, {applied} applied, {last} in its log"));
        self.wake(host, now);
    }

    /// The loop goes round at this time, or before.
    pub(crate) fn wake(&mut self, host: usize, at: Us) {
        let target = &mut self.hosts[host];
        let stalled_until = target.stalled_until;
        let Some(process) = &mut target.process else { return };
        let at = at.max(process.busy_until).max(stalled_until);
        if process.turn_at.is_none_or(|planned| at < planned) {
            process.turn_at = Some(at);
            let epoch = target.epoch;
            self.at(at, What::Turn { host, epoch });
        }
    }

    /// The same, of a process that may have been stopped: whatever was planned is void.
    pub(crate) fn wake_anew(&mut self, host: usize) {
        if let Some(process) = &mut self.hosts[host].process {
            process.turn_at = None;
        }
        self.wake(host, self.now);
    }

    /// Something has come for a process's loop.
    pub(crate) fn news(&mut self, host: usize, news: News) {
        let now = self.now;
        if let Some(process) = &mut self.hosts[host].process {
            process.inbox.push(news);
            self.wake(host, now);
        }
    }

    /// One turn of a loop: what has come, the timer behind it, and what the node asks for.
    pub(crate) fn turn(&mut self, host: usize) {
        let now = self.now;
        let target = &mut self.hosts[host];
        if target.stalled_until > now {
            let until = target.stalled_until;
            target.process.as_mut().expect("a turn is a process's").turn_at = None;
            return self.wake(host, until);
        }
        let clock = target.clock.now(now);
        let mut process = target.process.take().expect("a turn is a process's");
        process.turn_at = None;
        let mut inbox = std::mem::take(&mut process.inbox);
        inbox.sort_by_key(rank);
        let mut inputs = Vec::new();
        for news in inbox {
            let from = self.handshake(&news);
            process.rim.input(news, from, &mut inputs);
        }
        if process.node.deadline().is_some_and(|at| at <= clock.instant) {
            inputs.push(Input::Timer);
        }
        for input in inputs {
            process.node.handle(input, clock);
        }
        let ended = self.effects(host, &mut process);
        process.busy_until = now + 10 + self.random.next() % 100;
        let deadline = process.node.deadline();
        if self.traces() {
            self.tell_status(host, &mut process);
        }
        self.hosts[host].process = Some(process);
        match ended {
            None => {
                if let Some(deadline) = deadline {
                    let at = self.hosts[host].clock.when(deadline, now);
                    self.wake(host, at);
                }
                if self.hosts[host].process.as_ref().is_some_and(|p| !p.inbox.is_empty()) {
                    self.wake(host, now);
                }
            }
            Some(ended) => self.ended(host, &ended),
        }
    }

    /// What the rim does by itself about a piece of news; whose link it is.
    fn handshake(&mut self, news: &News) -> Option<ServerId> {
        match news {
            News::Incoming(pipe, Door::Replica) => self.send(*pipe, Side::Dialler, Packet::Welcome),
            News::Welcome(pipe) => self.send(*pipe, Side::Listener, Packet::Ready),
            News::Ready(pipe) => {
                let dialler = self.network.pipe(*pipe)?.place(Side::Dialler);
                return Some(ServerId(u8::try_from(dialler.machine + 1).unwrap()));
            }
            News::Stop
            | News::Incoming(_, Door::Client)
            | News::Refused(_)
            | News::Data(..)
            | News::End(_)
            | News::Done(_) => {}
        }
        None
    }

    fn effects(&mut self, host: usize, process: &mut Process) -> Option<Ended> {
        let clock = self.hosts[host].clock.now(self.now);
        let mut ended = None;
        while let Some(effect) = process.node.next_effect() {
            match effect {
                Effect::Send { client, line, answers } => {
                    let Some(pipe) = process.rim.client(client) else { continue };
                    let line = line[..line.len() - 1].to_vec();
                    self.send(pipe, Side::Dialler, Packet::Data(line));
                    if !answers {
                        // The system's buffers take it.
                        process.node.handle(Input::ClientBacklog(client, 0), clock);
                    } else if let Some(further) = process.rim.answered(pipe) {
                        process.node.handle(further, clock);
                    }
                }
                Effect::Close(client) => {
                    if let Some(pipe) = process.rim.forget_client(client) {
                        self.hang_up(pipe, Side::Listener);
                    }
                }
                Effect::Dial { link, server } => {
                    let place = Place { machine: host, epoch: self.hosts[host].epoch };
                    let pipe = self.dial(place, usize::from(server.0) - 1, Door::Replica);
                    process.rim.dialled(pipe, link);
                    self.at(self.now + HANDSHAKE_US, What::HandshakeLate { pipe });
                }
                Effect::SendFrame { link, frame } => {
                    let Some(pipe) = process.rim.link(link) else { continue };
                    let to = side_of(link).other();
                    self.send(pipe, to, Packet::Data(frame));
                }
                Effect::CloseLink(link) => {
                    if let Some(pipe) = process.rim.forget_link(link) {
                        self.hang_up(pipe, side_of(link));
                    }
                }
                Effect::Restart { sets_aside } => ended = Some(Ended::Restart { sets_aside }),
                // What it holds of its own would be listed by the rim.
                Effect::Yield { .. } => ended = Some(Ended::Restart { sets_aside: true }),
                Effect::Stopped => ended = Some(Ended::Stopped),
                Effect::Run(job) => self.run(host, process, job),
            }
        }
        ended
    }

    /// A job goes to its thread.
    fn run(&mut self, host: usize, process: &mut Process, job: Job) {
        if let Job::Tables(TablesJob::Apply(entries)) = &job {
            let before = process.applied;
            process.applied = entries.last().map_or(before, |entry| entry.index.0);
            if let Err(why) = self.history.commits(before, entries, &mut self.counts) {
                self.fail(format!("server {}: {why}", host + 1));
            }
            if self.traces() {
                self.tell_views(host, entries);
            }
        }
        let thread = Thread::of(&job);
        let takes = self.takes(host, &job);
        let (begins, done_at) = process.schedule(self.now, thread, takes);
        self.next_job += 1;
        let id = self.next_job;
        process.jobs.insert(id, Under { thread, job, begins });
        let epoch = self.hosts[host].epoch;
        self.at(done_at, What::Work { host, epoch, id });
    }

    fn takes(&mut self, host: usize, job: &Job) -> Us {
        let (least, most) = match job {
            Job::Journal(JournalJob::Append(_) | JournalJob::Roll) => {
                let target = &self.hosts[host];
                match target.slow_until > self.now {
                    true => (20_000, 120_000),
                    false => target.sync_us,
                }
            }
            Job::Journal(_) => (10, 200),
            Job::Tables(TablesJob::Apply(entries)) => (20, 100 + 20 * entries.len() as u64),
            Job::Tables(TablesJob::Persist { .. }) => (1_000, 20_000),
            Job::Reader(_) => (20, 300),
            Job::Maintenance(_) => (200, 3_000),
            Job::Hash(_) => (1_000, 4_000),
        };
        least + self.random.next() % (most - least + 1)
    }

    /// A thread has done its job, or its disk has failed it.
    pub(crate) fn work(&mut self, host: usize, epoch: u64, id: u64) {
        let target = &mut self.hosts[host];
        if target.stalled_until > self.now {
            let until = target.stalled_until;
            return self.at(until, What::Work { host, epoch, id });
        }
        let Some(process) = &mut target.process else { return };
        let Some(under) = process.jobs.remove(&id) else { return };
        match process.workers.run(under.job) {
            Ok(Some(done)) => {
                if let Done::Applied(applied, _) = &done
                    && let Err(why) = self.history.yields(applied)
                {
                    self.fail(format!("server {}: {why}", host + 1));
                }
                self.counts.snapshots += u64::from(matches!(done, Done::Installed));
                self.news(host, News::Done(done));
            }
            Ok(None) => {}
            Err(fault) => self.faulted(host, &fault.to_string()),
        }
    }

    /// Tells each change of the view.
    fn tell_views(&self, host: usize, entries: &[Entry]) {
        for entry in entries {
            if let Payload::View(view) = &entry.payload {
                let members = view.members.iter().map(|one| format!("{}:{}", one.server, one.life));
                let members: Vec<String> = members.collect();
                let (index, ballot) = (entry.index, entry.ballot);
                let members = members.join(" ");
                self.say(host, || format!("applies the view {members} at {index} of {ballot}"));
            }
        }
    }

    /// A process has ended by itself.
    fn ended(&mut self, host: usize, ended: &Ended) {
        match ended {
            Ended::Stopped => {
                self.say(host, || "has stopped".to_owned());
                self.counts.stops += 1;
                self.end_process(host, false);
                let back = self.hosts[host].starts_after.take().unwrap_or(0);
                self.at(self.now + back, What::Start { host });
            }
            Ended::Restart { sets_aside } => {
                let why = if *sets_aside { "sets its store aside" } else { "begins another life" };
                self.say(host, || why.to_owned());
                self.counts.new_lives += 1;
                self.end_process(host, false);
                if *sets_aside {
                    // Not with the policy `timeout` either: no silence lasts for ten seconds here.
                    self.fail(format!("server {} has what the cluster has not", host + 1));
                    self.set_aside(host);
                }
                let pause = self.within(RESTART_US);
                self.at(self.now + pause, What::Start { host });
            }
        }
    }
}

/// On which side of its own links and of others' a server is.
fn side_of(link: LinkId) -> Side {
    match link {
        LinkId::Own(_) => Side::Dialler,
        LinkId::Theirs(_) => Side::Listener,
    }
}

/// The reactor's order within a turn.
fn rank(news: &News) -> u8 {
    match news {
        News::Stop => 0,
        News::Incoming(..)
        | News::Welcome(_)
        | News::Ready(_)
        | News::Refused(_)
        | News::Data(..)
        | News::End(_) => 1,
        News::Done(_) => 2,
    }
}
