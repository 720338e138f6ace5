//! Each rule switched off: the search must find the shortest way to the harm.
//!
//! The table says for whom a rule stands, where the search begins, and how many steps the harm is
//! away: the fewest, since a search is breadth first. With all rules the same search must find
//! nothing. Not here: rules that keep a cluster from waiting for ever, which a search for harm
//! does not look for; and those whose harm is too far away for three servers and these budgets, or
//! needs what a step of this world cannot show (`step`).

use super::super::rules::Rule;
use super::scenario::Scenario;
use super::scenario::Told::{self, Among, Do};
use super::state::Budget;
use super::step::Action::{Crash, Deliver, Dial, Find, Jump, Stand, Start, Sync, Tick, Wipe};
use super::{search, trace};

/// Longer than `REMOVE_MS`.
const LONG_MS: u64 = 1_100;
/// Longer than `ELECTION_MS`; a lease runs on.
const WHILE_MS: u64 = 310;
/// Shorter than `ELECTION_MS`, longer than the wait that takes the place of `REMOVE_MS` when that
/// rule is switched off.
const SHORT_MS: u64 = 200;

/// How many states the same search may have with all rules: in the suite, and when there is time.
const STATES_MAX: [usize; 2] = [4_000, 200_000];

struct Ablation {
    rule: Rule,
    servers: u8,
    /// What happened to a cluster in sync, led by the first.
    before: fn() -> Vec<Told>,
    jumps_ms: &'static [u64],
    budget: Budget,
    /// So many steps lead to the harm, and no fewer.
    steps: usize,
}

const NONE: Budget = Budget {
    writes: 0,
    crashes: 0,
    restarts: 0,
    elections: 0,
    ticks: 0,
    cuts: 0,
    wipes: 0,
    leaves: 0,
    jumped: 0,
};

fn nothing() -> Vec<Told> {
    Vec::new()
}

/// The third hears nothing for so long that the others may remove it.
fn silent_third() -> Vec<Told> {
    vec![Do(Tick(0)), Do(Jump), Among(&[0, 1])]
}

/// The first is stopped, and the others elect the second.
fn stopped_primary() -> Vec<Told> {
    vec![Do(Jump), Do(Stand(1)), Among(&[1, 2])]
}

/// Both backups die, the first goes on alone; they return, and do not reach it.
fn return_of_both() -> Vec<Told> {
    let deaths = [Do(Crash(1, false)), Do(Crash(2, false)), Do(Find(0, 1)), Do(Find(0, 2))];
    let returns = [Among(&[0]), Do(Start(1)), Do(Start(2)), Among(&[1, 2])];
    [deaths, returns].concat()
}

/// Then one of them stands, and for long the first is not heard.
fn return_without_the_survivor() -> Vec<Told> {
    let elected = vec![Do(Stand(1)), Among(&[1, 2]), Do(Tick(1)), Do(Jump)];
    [return_of_both(), elected].concat()
}

/// The second stands, and has the third's vote.
fn second_is_elected() -> Vec<Told> {
    vec![
        Do(Stand(1)),
        Do(Deliver(1, 2)),
        Do(Deliver(2, 1)),
        Do(Sync(1)),
        Do(Deliver(1, 2)),
        Do(Sync(2)),
        Do(Deliver(2, 1)),
    ]
}

/// The first is about to remove the second, the second is elected by the third, the first is
/// elected again by the third, and the second hears nothing of it.
fn inherited_removal() -> Vec<Told> {
    let asked = [Do(Deliver(0, 2)), Do(Deliver(2, 0))].repeat(2);
    let elected = second_is_elected();
    [vec![Do(Tick(0)), Do(Jump)], asked, vec![Do(Jump)], elected, vec![Among(&[0, 2])]].concat()
}

/// The first is stopped; the second is elected, logs an entry that nobody gets, and dies with the
/// third; the first goes on alone and dies; all return.
fn generations_meet() -> Vec<Told> {
    let alone = vec![
        Do(Sync(1)),
        Do(Crash(1, false)),
        Do(Crash(2, false)),
        Do(Find(0, 1)),
        Do(Find(0, 2)),
        Among(&[0]),
    ];
    let returns =
        vec![Do(Crash(0, false)), Do(Start(0)), Do(Start(1)), Do(Start(2)), Among(&[0, 1, 2])];
    [vec![Do(Jump)], second_is_elected(), alone, returns].concat()
}

/// One of two died, and is sent the log when it is back.
fn joining() -> Vec<Told> {
    vec![
        Do(Crash(1, false)),
        Do(Find(0, 1)),
        Among(&[0]),
        Do(Start(1)),
        Do(Dial(0, 1)),
        Do(Dial(1, 0)),
        Do(Deliver(0, 1)),
        Do(Sync(1)),
        Do(Deliver(1, 0)),
    ]
}

/// It is admitted by an entry that it has on disk and the primary has not, and dies. While the
/// record of the primary's going on alone is on its way to the disk, the other is back and asks for
/// it; the primary dies without it, serves alone from what it has, and starts again.
fn death_while_joining() -> Vec<Told> {
    let admitted = [
        Do(Deliver(1, 0)),
        Do(Deliver(0, 1)),
        Do(Sync(1)),
        Do(Deliver(1, 0)),
        Do(Deliver(1, 0)),
        Do(Deliver(0, 1)),
        Do(Deliver(1, 0)),
        Do(Deliver(0, 1)),
        Do(Sync(1)),
    ];
    let asked = vec![
        Do(Crash(1, false)),
        Do(Find(0, 1)),
        Do(Start(1)),
        Do(Dial(0, 1)),
        Do(Dial(1, 0)),
        Do(Stand(1)),
        Do(Deliver(1, 0)),
        Do(Deliver(0, 1)),
        Do(Deliver(1, 0)),
        Do(Deliver(0, 1)),
        Do(Sync(1)),
    ];
    let alone = [Do(Crash(0, false)), Do(Start(0)), Do(Stand(0)), Do(Sync(0)), Do(Sync(0))];
    let again = vec![Do(Crash(0, false)), Do(Start(0))];
    [joining(), admitted.to_vec(), asked, alone.to_vec(), again].concat()
}

/// The third is removed, the second loses its disk and reaches the third only, which stands.
fn lost_disk() -> Vec<Told> {
    let wiped = vec![
        Do(Wipe(1)),
        Do(Start(1)),
        Do(Find(2, 1)),
        Among(&[1, 2]),
        Do(Stand(2)),
        Among(&[1, 2]),
    ];
    [silent_third(), wiped].concat()
}

/// The first drops the dead second, then the silent third, without anybody's word; the second
/// returns to the third, which is elected, and for which the first becomes silent.
fn disjoint_groups() -> Vec<Told> {
    let dropped = vec![
        Do(Crash(1, false)),
        Do(Find(0, 1)),
        Do(Deliver(0, 2)),
        Do(Deliver(2, 0)),
        Do(Jump),
        Do(Sync(0)),
        Do(Sync(0)),
    ];
    let elected = vec![Do(Start(1)), Among(&[1, 2]), Do(Stand(2)), Among(&[1, 2])];
    [dropped, elected, vec![Do(Tick(2)), Do(Jump)]].concat()
}

fn ablations() -> Vec<Ablation> {
    let of = |rule, servers, before, jumps_ms, budget, steps| Ablation {
        rule,
        servers,
        before,
        jumps_ms,
        budget,
        steps,
    };
    let two_die = Budget { crashes: 2, ..NONE };
    let one_stands = Budget { elections: 1, ..NONE };
    let writes_and_dies = Budget { writes: 1, crashes: 1, ..NONE };
    let all_return = Budget { crashes: 2, restarts: 2, elections: 1, ..NONE };
    let dies_and_returns = Budget { crashes: 1, restarts: 1, elections: 1, ..NONE };
    vec![
        of(Rule::AllOfView, 3, nothing, &[], Budget { writes: 1, ..two_die }, 11),
        of(Rule::CommitBeforeApply, 2, nothing, &[], writes_and_dies, 3),
        of(Rule::ActiveCandidate, 3, return_without_the_survivor, &[LONG_MS], NONE, 9),
        of(Rule::TakeoverLease, 3, silent_third, &[LONG_MS], two_die, 5),
        of(Rule::RemoveWait, 3, silent_third, &[SHORT_MS], two_die, 5),
        of(Rule::RemoveWaitSinceElection, 3, stopped_primary, &[WHILE_MS], two_die, 5),
        of(Rule::InheritedRemovalWait, 3, inherited_removal, &[LONG_MS, WHILE_MS], two_die, 6),
        of(Rule::AllLiveViews, 3, disjoint_groups, &[LONG_MS, LONG_MS], NONE, 2),
        of(Rule::ActiveByCommittedView, 2, joining, &[], dies_and_returns, 14),
        of(Rule::LeavingEndsActive, 3, nothing, &[], Budget { leaves: 1, ..two_die }, 20),
        of(Rule::TakeoverGeneration, 3, generations_meet, &[WHILE_MS], one_stands, 15),
        of(Rule::TakeoverSilence, 2, death_while_joining, &[], NONE, 11),
        of(Rule::AllStoresAtColdStart, 3, return_of_both, &[], one_stands, 14),
        of(Rule::CountByStore, 3, lost_disk, &[LONG_MS], NONE, 15),
        of(Rule::DurableLife, 2, nothing, &[], Budget { writes: 1, ..all_return }, 8),
        of(Rule::LogComparison, 2, nothing, &[], all_return, 18),
    ]
}

impl Ablation {
    fn scenario(&self, without: Option<Rule>) -> Scenario {
        let mut scenario = Scenario::new("ablation", self.servers, self.budget);
        scenario.before = (self.before)();
        scenario.jumps_ms = self.jumps_ms.to_vec();
        scenario.rules.without = without;
        scenario
    }
}

#[test]
fn the_shortest_way_to_harm_is_found_when_a_rule_is_switched_off() {
    let mut other = Vec::new();
    for ablation in ablations() {
        let rule = ablation.rule;
        let scenario = ablation.scenario(Some(rule));
        let outcome = search(&scenario, super::runs::states_max(1_000_000));
        let Some((violation, way)) = outcome.violation else {
            other.push((rule, 0));
            continue;
        };
        let why = &violation.what;
        println!("without {rule:?}: {} steps, {} states: {why}", way.len(), outcome.states);
        if super::super::sim::number("TRACE", 0) > 0 {
            println!("{}", trace::trace(&scenario, &way));
        }
        if way.len() != ablation.steps {
            other.push((rule, way.len()));
        }
    }
    assert!(other.is_empty(), "so many steps were needed, or nothing was found: {other:?}");
}

#[test]
fn the_same_searches_find_no_harm_with_all_rules() {
    for ablation in ablations() {
        let scenario = ablation.scenario(None);
        let outcome = search(&scenario, super::runs::states_max(STATES_MAX[0]).min(STATES_MAX[1]));
        if let Some((violation, way)) = outcome.violation {
            panic!("{:?}: {}\n{}", ablation.rule, violation.what, trace::trace(&scenario, &way));
        }
        println!("{:?}: {} states, closed: {}", ablation.rule, outcome.states, outcome.is_closed);
    }
}
