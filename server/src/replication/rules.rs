//! Rules that can be switched off, one at a time, in tests only: a rule whose absence no test
//! notices is either not needed or not tested.
//!
//! Owns: the list, and the question [`holds!`]. Driven by: the machine at each place that a rule
//! governs. Invariant: outside of tests the question has the constant answer yes, and the list does
//! not exist. Does not: know what a rule says; replication.md, section 10, does.

/// Which rules hold; outside of tests there is nothing to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Rules {
    /// The one that does not.
    #[cfg(test)]
    pub(crate) without: Option<Rule>,
}

/// The rules that can be switched off.
#[cfg(test)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Rule {
    AllOfView,
    CommitBeforeApply,
    ExactIncarnation,
    MeetingBeforeDial,
    ActiveCandidate,
    TakeoverLease,
    RemoveWait,
    RemoveWaitSinceElection,
    InheritedRemovalWait,
    ColdRemovalWait,
    AllLiveViews,
    ActiveByCommittedView,
    LeavingEndsActive,
    TakeoverGeneration,
    TakeoverSilence,
    RoundAboveAll,
    ColdStartGeneration,
    NewLifeOfOrphan,
    StepDownForOrphan,
    AllStoresAtColdStart,
    CountByStore,
    DurableLife,
    DurablePromise,
    LogComparison,
    Canvass,
    CatchUp,
    CommitFacts,
    ViewsThatDecide,
    Replacing,
    TakeoverAtEachProof,
    ConfirmedGrants,
    OwnEntryCommit,
    LeaseNeedsView,
    NoActiveVoterInColdStart,
    AdmitWithView,
    ReadAsMember,
}

#[cfg(test)]
impl Rule {
    /// All of them.
    pub(crate) const ALL: [Rule; 36] = [
        Rule::AllOfView,
        Rule::CommitBeforeApply,
        Rule::ExactIncarnation,
        Rule::MeetingBeforeDial,
        Rule::ActiveCandidate,
        Rule::TakeoverLease,
        Rule::RemoveWait,
        Rule::RemoveWaitSinceElection,
        Rule::InheritedRemovalWait,
        Rule::ColdRemovalWait,
        Rule::AllLiveViews,
        Rule::ActiveByCommittedView,
        Rule::LeavingEndsActive,
        Rule::TakeoverGeneration,
        Rule::TakeoverSilence,
        Rule::RoundAboveAll,
        Rule::ColdStartGeneration,
        Rule::NewLifeOfOrphan,
        Rule::StepDownForOrphan,
        Rule::AllStoresAtColdStart,
        Rule::CountByStore,
        Rule::DurableLife,
        Rule::DurablePromise,
        Rule::LogComparison,
        Rule::Canvass,
        Rule::CatchUp,
        Rule::CommitFacts,
        Rule::ViewsThatDecide,
        Rule::Replacing,
        Rule::TakeoverAtEachProof,
        Rule::ConfirmedGrants,
        Rule::OwnEntryCommit,
        Rule::LeaseNeedsView,
        Rule::NoActiveVoterInColdStart,
        Rule::AdmitWithView,
        Rule::ReadAsMember,
    ];
}

/// Whether a rule holds: always, but for the one that a test switched off.
#[cfg(test)]
macro_rules! holds {
    ($rules:expr, $rule:ident) => {
        $rules.without != Some($crate::replication::rules::Rule::$rule)
    };
}

/// Whether a rule holds: always.
#[cfg(not(test))]
macro_rules! holds {
    ($rules:expr, $rule:ident) => {{
        let _: $crate::replication::rules::Rules = $rules;
        true
    }};
}

pub(super) use holds;
