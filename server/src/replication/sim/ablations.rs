//! Each rule switched off: the world must notice. A checker that never fails proves nothing.

use super::super::Rules;
use super::super::rules::Rule;
use super::profiles::{Profile, Story};
use super::runs::{many, number, run, trace};
use super::stories;

/// How many seeds it takes until the world notices that a rule is missing, and what it says.
fn seeds_until_noticed(
    rule: Rule,
    profile: &dyn Fn(u64) -> Profile,
    seeds_max: u64,
) -> Option<(u64, String)> {
    (1..=seeds_max).find_map(|seed| {
        let profile = Profile { rules: Rules { without: Some(rule) }, ..profile(seed) };
        run(seed, &profile).err().map(|violation| (seed, violation.0))
    })
}

fn mixed(seed: u64) -> Profile {
    Profile::mixed(seed, [3, 3, 2, 5][usize::try_from(seed % 4).unwrap()])
}

fn slow(seed: u64) -> Profile {
    Profile::slow_disks(seed, [3, 2, 3, 5][usize::try_from(seed % 4).unwrap()])
}

fn unhealed(name: &'static str, story: Story) -> Profile {
    Profile { heals: false, alive_within_us: 4_000_000, ..Profile::of(name, 3, story) }
}

/// A profile for each seed.
type Profiles = Box<dyn Fn(u64) -> Profile>;

/// The directed profiles.
fn profiles() -> Vec<(&'static str, Profiles)> {
    let of = |name, servers, story: Story| -> Profiles {
        Box::new(move |_| Profile::of(name, servers, story))
    };
    vec![
        ("inherited removal", of("inherited removal", 3, stories::inherited_removal)),
        ("leaving", of("leaving", 3, stories::leaving)),
        ("stopped primary", of("stopped primary", 3, stories::stopped_primary)),
        ("stopped backup", of("stopped backup", 3, stories::stopped_backup)),
        ("slow takeover", of("slow takeover", 2, stories::slow_takeover)),
        ("old proof", of("old proof", 3, stories::old_proof)),
        ("generations", of("generations", 5, stories::generations)),
        ("slow disks", Box::new(slow)),
        ("death while joining", Box::new(|_| unhealed("joining", stories::death_while_joining))),
        ("silent third", Box::new(|_| unhealed("silent third", stories::silent_third))),
        (
            "two deaths",
            Box::new(|_| Profile {
                alive_within_us: 100_000,
                ..unhealed("two deaths", stories::two_deaths)
            }),
        ),
    ]
}

#[test]
fn each_story_ends_well() {
    for (name, profile) in profiles() {
        many(name, profile, 300);
    }
}

/// A survey, for whoever changes the rules: which profile notices which missing rule, and how soon.
#[test]
fn survey() {
    let (seeds, rule) = (number("SURVEY", 0), number("RULE", 0));
    let all = profiles().into_iter().chain([("mixed", Box::new(mixed) as Profiles)]);
    let all: Vec<_> = all.collect();
    for (at, rule) in (1..).zip(Rule::ALL).filter(|(at, _)| rule == 0 || *at == rule) {
        for (name, profile) in &all {
            if let Some((seed, what)) = seeds_until_noticed(rule, profile, seeds) {
                println!("{at} {rule:?} in {name}: {seed}: {what}");
                if number("LINES", 0) > 0 {
                    let rules = Rules { without: Some(rule) };
                    let lines = usize::try_from(number("LINES", 0)).unwrap();
                    println!("{}", trace(seed, &Profile { rules, ..profile(seed) }, lines));
                }
            }
        }
    }
}

/// Rules, the profile that notices their absence, and within how many seeds.
const NOTICED: [(Rule, &str, u64); 23] = [
    (Rule::InheritedRemovalWait, "inherited removal", 40),
    (Rule::LeavingEndsActive, "leaving", 20),
    (Rule::AllOfView, "mixed", 100),
    (Rule::CommitBeforeApply, "slow disks", 20),
    (Rule::ExactIncarnation, "old proof", 20),
    (Rule::MeetingBeforeDial, "slow disks", 40),
    (Rule::ActiveCandidate, "slow disks", 20),
    (Rule::TakeoverLease, "stopped backup", 20),
    (Rule::RemoveWait, "mixed", 800),
    (Rule::RemoveWaitSinceElection, "stopped primary", 20),
    (Rule::AllLiveViews, "slow disks", 40),
    (Rule::ActiveByCommittedView, "slow disks", 40),
    (Rule::TakeoverGeneration, "stopped primary", 400),
    (Rule::NewLifeOfOrphan, "death while joining", 20),
    (Rule::StepDownForOrphan, "death while joining", 60),
    (Rule::AllStoresAtColdStart, "mixed", 40),
    (Rule::CountByStore, "mixed", 4_000),
    (Rule::DurableLife, "slow disks", 20),
    (Rule::DurablePromise, "slow disks", 800),
    (Rule::LogComparison, "slow disks", 20),
    (Rule::CatchUp, "mixed", 1_000),
    (Rule::ViewsThatDecide, "silent third", 20),
    (Rule::TakeoverAtEachProof, "two deaths", 20),
];

#[test]
fn each_rule_is_missed_when_it_is_switched_off() {
    std::panic::set_hook(Box::new(|_| {}));
    let mut missed = Vec::new();
    for (rule, name, seeds_max) in NOTICED {
        let mixed: Profiles = Box::new(mixed);
        let mut all = profiles().into_iter().chain([("mixed", mixed)]);
        let (_, profile) = all.find(|(other, _)| *other == name).unwrap();
        match seeds_until_noticed(rule, &profile, seeds_max) {
            Some((seed, what)) => println!("without {rule:?}, {name}, seed {seed}: {what}"),
            None => missed.push(rule),
        }
    }
    drop(std::panic::take_hook());
    assert!(missed.is_empty(), "nothing noticed that these were switched off: {missed:?}");
}
