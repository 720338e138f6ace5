//! Each rule switched off: the world must notice. A checker that never fails proves nothing.

use holdfast_common::ids::ServerId;

use super::super::rules::Rule;
use super::super::wire::{Hello, Message, Opinion, Place};
use super::super::{Input, Moment, Now, Policy, Replication, Rules, Settings};
use super::checker::Harm;
use super::host::Disk;
use super::profiles::{Profile, Profiles};
use super::runs::{many, number, run, trace};
use super::stories;
use crate::entry::{Ballot, ClusterId, Incarnation, StoreId};

/// How many seeds it takes until the world notices that a rule is missing, and what it says.
fn seeds_until_noticed(
    rule: Rule,
    harm: Harm,
    profile: &dyn Fn(u64) -> Profile,
    seeds_max: u64,
) -> Option<(u64, String)> {
    (1..=seeds_max).find_map(|seed| {
        let profile = Profile { rules: Rules { without: Some(rule) }, ..profile(seed) };
        let violation = run(seed, &profile).err().filter(|violation| violation.harm == harm);
        violation.map(|violation| (seed, violation.what))
    })
}

#[test]
fn each_story_ends_well() {
    for (name, profile) in stories::all() {
        many(name, profile, 30);
    }
}

/// A survey, for whoever changes the rules: which story notices which missing rule, and how soon.
/// `SURVEY` seeds each; `RULE` and `STORY` choose by number, `SEED` shows how one run went.
#[test]
fn survey() {
    let (seeds, rule) = (number("SURVEY", 0), number("RULE", 0));
    let mut all = stories::all();
    all.push(("mixed", Box::new(Profile::any_mixed)));
    let lines = usize::try_from(number("LINES", 60)).unwrap();
    let story = usize::try_from(number("STORY", 0)).unwrap();
    let stories = if story == 0 { all.len() } else { 1 };
    for (at, rule) in (1..).zip(Rule::ALL).filter(|(at, _)| rule == 0 || *at == rule) {
        for (name, profile) in all.iter().skip(story.saturating_sub(1)).take(stories) {
            if number("SEED", 0) > 0 {
                let rules = Rules { without: Some(rule) };
                let profile = Profile { rules, ..profile(number("SEED", 0)) };
                println!("{name}\n{}", trace(number("SEED", 0), &profile, lines));
            }
            for harm in [Harm::Loss, Harm::Wait] {
                let noticed = seeds_until_noticed(rule, harm, profile, seeds);
                let Some((seed, what)) = noticed else { continue };
                println!("{at} {rule:?} in {name}: {harm:?} {seed}: {what}");
                if number("LINES", 0) > 0 {
                    let rules = Rules { without: Some(rule) };
                    println!("{}", trace(seed, &Profile { rules, ..profile(seed) }, lines));
                }
            }
        }
    }
}

/// Rules, the story that notices their absence, what then goes wrong, and within how many seeds.
const NOTICED: [(Rule, Harm, &str, u64); 34] = [
    (Rule::AllOfView, Harm::Loss, "stopped primary", 20),
    (Rule::CommitBeforeApply, Harm::Loss, "slow disks", 20),
    (Rule::ExactIncarnation, Harm::Loss, "old proof", 20),
    (Rule::MeetingBeforeDial, Harm::Loss, "late refusal", 20),
    (Rule::ActiveCandidate, Harm::Loss, "survivor cut off", 20),
    (Rule::TakeoverLease, Harm::Loss, "stopped backup", 20),
    (Rule::RemoveWait, Harm::Loss, "mixed", 800),
    (Rule::RemoveWaitSinceElection, Harm::Loss, "stopped primary", 20),
    (Rule::InheritedRemovalWait, Harm::Loss, "inherited removal", 40),
    (Rule::ColdRemovalWait, Harm::Loss, "cold start beside a lease", 20),
    (Rule::AllLiveViews, Harm::Loss, "slow disks", 40),
    (Rule::ActiveByCommittedView, Harm::Loss, "slow disks", 40),
    (Rule::LeavingEndsActive, Harm::Loss, "leaving", 20),
    (Rule::TakeoverGeneration, Harm::Loss, "stopped primary", 400),
    (Rule::TakeoverSilence, Harm::Loss, "slow takeover", 100),
    (Rule::RoundAboveAll, Harm::Wait, "lost votes", 40),
    (Rule::NewLifeOfOrphan, Harm::Wait, "death while joining", 20),
    (Rule::StepDownForOrphan, Harm::Wait, "death while joining", 60),
    (Rule::AllStoresAtColdStart, Harm::Loss, "survivor cut off", 20),
    (Rule::CountByStore, Harm::Loss, "mixed", 4_000),
    (Rule::DurableLife, Harm::Loss, "slow disks", 20),
    (Rule::DurablePromise, Harm::Loss, "slow disks", 800),
    (Rule::LogComparison, Harm::Loss, "slow disks", 20),
    (Rule::Canvass, Harm::Wait, "deaf", 20),
    (Rule::CatchUp, Harm::Wait, "mixed", 1_000),
    (Rule::CommitFacts, Harm::Wait, "unheard commit", 20),
    (Rule::ViewsThatDecide, Harm::Wait, "silent third", 20),
    (Rule::Replacing, Harm::Wait, "back at once", 20),
    (Rule::TakeoverAtEachProof, Harm::Wait, "two deaths", 20),
    (Rule::ConfirmedGrants, Harm::Loss, "unconfirmed grants", 100),
    (Rule::OwnEntryCommit, Harm::Loss, "outranked", 60),
    (Rule::NoActiveVoterInColdStart, Harm::Loss, "last active votes", 20),
    (Rule::AdmitWithView, Harm::Wait, "beyond the log", 40),
    (Rule::ReadAsMember, Harm::Loss, "leaving primary", 20),
];

#[test]
fn each_rule_is_missed_when_it_is_switched_off() {
    std::panic::set_hook(Box::new(|_| {}));
    let mut missed = Vec::new();
    for (rule, harm, name, seeds_max) in NOTICED {
        let mixed: Profiles = Box::new(Profile::any_mixed);
        let mut all = stories::all().into_iter().chain([("mixed", mixed)]);
        let (_, profile) = all.find(|(other, _)| *other == name).unwrap();
        match seeds_until_noticed(rule, harm, &profile, seeds_max) {
            Some((seed, what)) => println!("without {rule:?}: {harm:?}, {name}, {seed}: {what}"),
            None => missed.push(rule),
        }
    }
    drop(std::panic::take_hook());
    assert!(missed.is_empty(), "nothing noticed that these were switched off: {missed:?}");
}

#[test]
fn no_rule_is_left_untried() {
    let tried = NOTICED.map(|(rule, ..)| rule);
    let untried: Vec<Rule> = Rule::ALL.into_iter().filter(|rule| !tried.contains(rule)).collect();
    // No story reaches the first; it has the test below.
    //
    // The second cannot be missed: it is implied, and stays as what a reader of `backup` would ask
    // for. A lease is of use to a member only, and a grant is given to whom the primary's newest
    // view names. Whoever was left out in between, in the same life, was admitted again, and so had
    // the committed view that leaves it out (`AdmitWithView`): by its own log it is no member until
    // it has the newer one. Who is replaced, or begins a cold start, is in a life that no older
    // view names, since whoever is active gives no cold start its vote.
    assert_eq!(untried, [Rule::ColdStartGeneration, Rule::LeaseNeedsView]);
}

/// The generation that server 1 founds a cluster in, when another fresh store has promised a
/// ballot of generation 2.
fn founded_in(rules: Rules) -> u64 {
    let hello = |server: u8| Hello {
        incarnation: Incarnation {
            server: ServerId(server),
            store: StoreId(server.into()),
            life: 1,
        },
        cluster: None,
        committed: Place::START,
        is_fresh: true,
    };
    let [me, second, third] = [1, 2, 3].map(hello);
    let settings = Settings {
        servers: [1, 2, 3].map(ServerId).to_vec(),
        policy: Policy::Proof,
        heartbeat_ms: 50,
        election_ms: 300,
        remove_ms: 1_000,
        has_set_aside: false,
        memory_entries: 0,
        seed: 1,
        fresh_cluster: ClusterId([7; 16]),
        rules,
    };
    let recovered = Disk::new(me.incarnation.store).recovered();
    let at = |ms| Now { at: Moment::default().plus_ms(ms), wall_ms: ms };
    let mut machine = Replication::start(me.incarnation, settings, recovered, at(0));
    for hello in [&second, &third] {
        machine.handle(Input::Opened { hello: hello.clone(), began: at(1).at }, at(2));
    }
    machine.handle(Input::Timer, at(300));
    for (hello, generation) in [(&second, 2), (&third, 0)] {
        let opinion = Opinion {
            attempt: 1,
            ballot: None,
            is_yes: true,
            last: Place::START,
            promise: Ballot { generation, round: generation, server: ServerId(2) },
            highest_round: generation,
            is_fresh: true,
            committed: Place::START,
        };
        let message = Message::Opinion(opinion);
        machine.handle(Input::Message { from: hello.incarnation, message }, at(301));
    }
    machine.ballot().generation
}

/// No story reaches this. A takeover's promise and entry are one record, so whoever has promised a
/// generation is reached by catching up with whoever holds its entries; but a store that promised
/// one to a cluster whose disks were all lost holds none, and a lower ballot would never get its
/// vote for the first start, which needs it.
#[test]
fn a_first_start_goes_above_a_promise_to_a_cluster_that_is_no_more() {
    assert_eq!(founded_in(Rules::default()), 2);
    let without = Rules { without: Some(Rule::ColdStartGeneration) };
    assert_eq!(founded_in(without), 1, "a promise above refuses it for ever");
}
