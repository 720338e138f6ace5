//! `cargo sim`: whole clusters of real servers and real clients under every fault, from seeds.
//!
//! Owns: the command line and what is printed. Driven by: whoever changed something. `cargo sim
//! 1000` runs that many seeds that nobody has seen before; `cargo sim --seed 17` repeats one to the
//! byte and tells a line for each change. Does not: know how a cluster works (`tests/simulation`).

#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a tool for people, and made of tests"
)]

#[expect(dead_code, reason = "the drivers of one server alone are a test's")]
#[path = "../../tests/sim/mod.rs"]
mod sim;
#[path = "../../tests/simulation/mod.rs"]
mod simulation;

use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::{Parser, ValueEnum};

use simulation::many::{Sum, keep_panics, many, shrink};
use simulation::run::Run;

/// Failing seeds that are shown.
const SHOWN: usize = 10;
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

/// Whole clusters of real servers and real clients under every fault.
#[derive(Debug, Parser)]
#[command(name = "cargo sim")]
struct Arguments {
    /// How many seeds.
    #[arg(default_value_t = 1_000)]
    count: u64,
    /// Repeat this seed, and tell what happens.
    #[arg(long)]
    seed: Option<u64>,
    /// The first of many seeds; else they are such as nobody has seen.
    #[arg(long, conflicts_with = "seed")]
    from: Option<u64>,
    /// 1, 3 or 5.
    #[arg(long, default_value_t = 3)]
    servers: usize,
    /// What a last survivor may do.
    #[arg(long, value_enum, default_value_t = Policy::Proof)]
    policy: Policy,
    /// With --seed: only these faults of its plan, by their numbers.
    #[arg(long, value_delimiter = ',', requires = "seed")]
    keep: Option<Vec<usize>>,
    /// What cargo passes to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Policy {
    Proof,
    Timeout,
    Majority,
}

impl Policy {
    fn name(self) -> &'static str {
        match self {
            Policy::Proof => "proof",
            Policy::Timeout => "timeout",
            Policy::Majority => "majority",
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    keep_panics();
    let run = Run {
        seed: arguments.seed.unwrap_or(0),
        servers: arguments.servers,
        policy: arguments.policy.name(),
        keep: arguments.keep.clone(),
        trace: arguments.seed.is_some(),
    };
    match arguments.seed {
        Some(_) => replay(&run),
        None => many_seeds(&arguments, &run),
    }
}

/// One seed, with all that happens.
fn replay(run: &Run) -> ExitCode {
    print_plan(run);
    let outcome = run.run();
    println!("{:?}", outcome.counts);
    println!("digest {:016x}", outcome.digest);
    let Some(violation) = outcome.violation else {
        println!("nothing is violated");
        return ExitCode::SUCCESS;
    };
    println!("violated: {violation}");
    if run.keep.is_none() {
        print_shortest(run);
    }
    ExitCode::FAILURE
}

fn many_seeds(arguments: &Arguments, run: &Run) -> ExitCode {
    let fresh = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let first = arguments.from.unwrap_or(u64::try_from(fresh).unwrap() % 1_000_000_000 * 1_000);
    let told = Mutex::new(Instant::now());
    let progress = |sum: &Sum| {
        let mut told = told.lock().unwrap();
        if told.elapsed() >= PROGRESS_EVERY {
            *told = Instant::now();
            eprint!("\r{} of {}, {} failed ", sum.seeds, arguments.count, sum.failed.len());
        }
    };
    let sum = many(run, first, arguments.count, Duration::MAX, &progress);
    eprint!("\r");
    println!("n = {}, {}, from seed {first}: {sum}", run.servers, run.policy);
    for (seed, violation) in sum.failed.iter().take(SHOWN) {
        println!("seed {seed}: {violation}");
    }
    match sum.failed.first() {
        None => ExitCode::SUCCESS,
        Some((seed, _)) => {
            print_shortest(&Run { seed: *seed, ..run.clone() });
            ExitCode::FAILURE
        }
    }
}

/// The shortest plan with which a seed still fails, and how to see it.
fn print_shortest(run: &Run) {
    let Some((shortest, violation)) = shrink(run) else {
        return println!("seed {} does not fail again", run.seed);
    };
    println!("\nthe fewest faults with which seed {} fails: {violation}", run.seed);
    print_plan(&shortest);
    let kept = shortest.keep.unwrap_or_default();
    let kept: Vec<String> = kept.iter().map(ToString::to_string).collect();
    let (seed, servers, policy) = (run.seed, run.servers, run.policy);
    println!(
        "cargo sim --seed {seed} --servers {servers} --policy {policy} --keep {}",
        kept.join(",")
    );
}

fn print_plan(run: &Run) {
    for (at, planned) in run.plan() {
        println!("{at:>3} {planned}");
    }
}
