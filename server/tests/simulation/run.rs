//! One run: a cluster begins, everything fails, everything heals, and everything is read.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use holdfast_common::client::{Command, CommandId, Input};

use super::Us;
use super::many::last_panic;
use super::person::Person;
use super::plan::{Planned, plan};
use super::world::{Counts, World, config};

/// How long people write while things fail.
const FAULTS_US: Us = 6_000_000;
/// By then, after the last fault, writes are acknowledged again.
const ALIVE_WITHIN_US: Us = 6_000_000;
/// By then all servers are in sync, and nothing that was asked for is unanswered.
const WHOLE_WITHIN_US: Us = 20_000_000;

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) counts: Counts,
    /// Of everything that happened: equal runs have equal ones.
    pub(crate) digest: u64,
    pub(crate) violation: Option<String>,
}

/// What to run.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) seed: u64,
    pub(crate) servers: usize,
    pub(crate) policy: &'static str,
    /// Only these faults of the plan.
    pub(crate) keep: Option<Vec<usize>>,
    /// Print a line for each change.
    pub(crate) trace: bool,
}

impl Run {
    /// The faults, with their numbers in the plan.
    pub(crate) fn plan(&self) -> Vec<(usize, Planned)> {
        let all = plan(self.seed, self.servers, FAULTS_US).into_iter().enumerate();
        let keeps = |at: &usize| self.keep.as_ref().is_none_or(|keep| keep.contains(at));
        all.filter(|(at, _)| keeps(at)).collect()
    }

    /// Runs it. A broken invariant of the code itself counts as a broken promise.
    pub(crate) fn run(&self) -> Outcome {
        let plan: Vec<Planned> = self.plan().into_iter().map(|(_, planned)| planned).collect();
        let config = config(self.servers, self.policy);
        let mut world = World::new(self.seed, config, &plan, self.trace);
        let whole = AssertUnwindSafe(|| whole_run(&mut world));
        let violation = match catch_unwind(whole) {
            Ok(result) => result.err(),
            Err(panic) => Some(last_panic().unwrap_or_else(|| sentence(&*panic))),
        };
        world.counts.acknowledged = world.checker.acknowledged.len() as u64;
        let resumes = world.checker.counts.get("SignIn: ok").copied();
        world.counts.resumes = resumes.unwrap_or(0) as u64;
        Outcome { counts: world.counts, digest: world.digest, violation }
    }
}

fn sentence(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    text.unwrap_or_else(|| "a panic without a sentence".to_owned())
}

fn whole_run(world: &mut World) -> Result<(), String> {
    world.run_until(FAULTS_US)?;
    world.tell(&"everything is mended");
    world.breaks = false;
    world.heal();
    progress(world)?;
    world.tell(&"everything is read");
    world.audit()
}

/// A client sends a mark at most so often.
const MARKS_US: Us = 1_500_000;

/// Progress is demanded.
fn progress(world: &mut World) -> Result<(), String> {
    let healed = world.now;
    let before = world.checker.acknowledged.len();
    for person in 0..world.people.len() {
        // Whoever sees that it works again does not wait.
        world.tell_person(person, Input::Command(CommandId(0), Command::TryNow));
    }
    let writes = |world: &World| world.checker.acknowledged.len() > before + 2;
    wait(world, healed + ALIVE_WITHIN_US, "no write was acknowledged in time", writes)?;
    world.is_quiet = true;
    let whole = |world: &World| world.people.iter().all(Person::is_done);
    wait(world, healed + WHOLE_WITHIN_US, "somebody has unanswered writes", whole).map_err(
        |why| {
            let waiting = world.people.iter().filter(|person| !person.is_done());
            let waiting: Vec<String> = waiting.map(Person::condition).collect();
            format!("{why}: {}", waiting.join("; "))
        },
    )?;
    // Marks follow at most a second later: what is read must be the end of it.
    world.run_until(world.now + MARKS_US)?;
    wait(world, healed + WHOLE_WITHIN_US, "not all servers are in sync", World::is_whole)
}

fn wait(
    world: &mut World,
    until: Us,
    why: &str,
    is_so: impl Fn(&World) -> bool,
) -> Result<(), String> {
    while !is_so(world) {
        if world.now >= until {
            return Err(why.to_owned());
        }
        let next = world.now + 5_000;
        world.run_until(next)?;
    }
    Ok(())
}
