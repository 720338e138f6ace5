//! `status` and `fingerprint`: what can be asked without a sign-in.
//!
//! Owns: how the cluster is shown. Driven by: `main`. Invariant: nothing secret is sent, nothing is
//! kept, and nobody is asked: whoever answers may say how it is.

use holdfast_common::client::cache::Cache;
use holdfast_common::client::driver::Happening;
use holdfast_common::client::{
    ClusterRecord, Command, ConnectionState, Home, Identity, Question, Update,
};
use holdfast_common::ids::ServerId;
use holdfast_common::net::tls::Fingerprint;
use holdfast_common::protocol::{Role, Status};

use super::contact::{self, Contact};
use super::options::Options;
use super::output::{Colours, Output, Style, safe_line, tell};
use super::problem::Problem;
use super::session::{PATIENCE, Session, home_folder};
use super::survey::Survey;
use super::watch::Watch;

/// `status`
pub(crate) fn status(
    options: &Options,
    output: &mut Output,
    is_watched: bool,
) -> Result<(), Problem> {
    let mut survey = Survey::open(&contact(options)?)?;
    let shown = survey.first()?;
    match is_watched {
        true => Watch::begin(shown).run(survey, output),
        false => show(output, &shown),
    }
}

pub(crate) fn show(output: &mut Output, status: &Status) -> Result<(), Problem> {
    if output.is_json() {
        return output.json(status);
    }
    let lines = describe(output.colours(), status);
    lines.iter().try_for_each(|line| output.line(line))
}

/// The cluster in words.
pub(crate) fn describe(colours: Colours, status: &Status) -> Vec<String> {
    describe_with(colours, status, None)
}

/// The same, with a column more.
pub(crate) fn describe_with(
    colours: Colours,
    status: &Status,
    column: Option<(&str, &dyn Fn(ServerId) -> String)>,
) -> Vec<String> {
    let copies = match status.in_sync {
        1 => "one copy".to_owned(),
        count => format!("{count} copies"),
    };
    let (style, word) = match (status.writable, status.in_sync == status.of) {
        (true, true) => (Style::Good, "serving"),
        (true, false) => (Style::Warn, "serving, degraded"),
        (false, _) => (Style::Bad, "not serving"),
    };
    let word = colours.paint(style, word);
    let sync = format!("{} of {} servers in sync", status.in_sync, status.of);
    let mut lines = vec![format!("{word}: {sync}, each new message has {copies}")];
    lines.extend(status.waiting.iter().map(|why| format!("waiting: {}", safe_line(why))));
    if status.diverged > 0 {
        let text = format!(
            "diverged: {} operations that the cluster does not have are listed in diverged-*.jsonl",
            status.diverged
        );
        lines.push(colours.paint(Style::Bad, &text));
    }
    let mut rows = vec![["server", "address", "state", "lag"].map(str::to_owned).to_vec()];
    rows[0].extend(column.map(|(title, _)| title.to_owned()));
    for server in &status.servers {
        let lag = server.lag.map_or("-".to_owned(), |lag| lag.to_string());
        let addr = safe_line(&server.addr);
        let mut row = vec![server.server.to_string(), addr, server.state.words().to_owned(), lag];
        row.extend(column.map(|(_, cell)| cell(server.server)));
        rows.push(row);
    }
    lines.extend(colours.table(&rows));
    let role = match status.role {
        Role::Primary => "primary",
        Role::Backup => "backup",
        Role::Joining => "joining",
    };
    let by = format!("as server {} ({role}) sees it, ballot {}", status.server, status.ballot);
    lines.push(colours.paint(Style::Dim, &safe_line(&by)));
    lines
}

/// Whom to ask: as for any command, but without opening the account that may be in use by a window.
fn contact(options: &Options) -> Result<Contact, Problem> {
    let contact = Contact::new(options, &Home::default());
    match contact {
        Err(Problem::Usage(_)) if options.env.is_none() && options.servers.is_empty() => {
            let home = Cache::home(&home_folder()?)?;
            let last = home.last.as_ref().map(|last| &last.cluster);
            let of_last = |record: &&ClusterRecord| last.is_none_or(|last| *last == record.cluster);
            let clusters = home.clusters.iter().filter(of_last).cloned().collect();
            Contact::new(options, &Home { clusters, ..Home::default() })
        }
        other => other,
    }
}

/// `fingerprint`: by the secret, where it can be read; else what a server shows.
pub(crate) fn fingerprint(options: &Options, output: &mut Output) -> Result<(), Problem> {
    if options.servers.is_empty()
        && let Ok(config) = contact::settings(options)
        && let Some(fingerprint) = contact::fingerprint_of(&config)
    {
        return show_fingerprint(output, fingerprint, "by this cluster's secret");
    }
    let contact = contact(options)?;
    let mut session = Session::passing(contact, false)?;
    let presented = presented(&mut session)?;
    let Identity::Cluster(key) = presented else {
        let text = "the server has an ordinary certificate: there is no fingerprint to compare";
        return Err(Problem::Fault(text.to_owned()));
    };
    let home = Cache::home(&home_folder()?)?;
    let is_known = home.clusters.iter().any(|record| record.identity == Some(presented));
    let known = if is_known { "known to this machine" } else { "not known to this machine" };
    show_fingerprint(output, Fingerprint(key), known)
}

/// What a server shows; the connection is given up before anything is sent on it.
fn presented(session: &mut Session) -> Result<Identity, Problem> {
    session.ask(Command::Ask(Question::Status));
    loop {
        let Ok(happening) = session.happened.recv_timeout(PATIENCE) else {
            return Err(Problem::NoServer { tried: Vec::new(), safe: String::new() });
        };
        match happening {
            Happening::Update(
                _,
                Update::Connection(ConnectionState::Unconfirmed { identity, .. }),
            ) => {
                return Ok(identity);
            }
            Happening::Update(_, Update::Answer(_, Ok(_))) => return Ok(Identity::Ordinary),
            Happening::Update(_, Update::Answer(_, Err(failure))) => return Err(failure.into()),
            Happening::Update(..) => {}
            Happening::Ended(_, why) => return Err(Problem::Fault(why)),
        }
    }
}

fn show_fingerprint(
    output: &mut Output,
    fingerprint: Fingerprint,
    note: &str,
) -> Result<(), Problem> {
    if output.is_json() {
        return output.json(&serde_json::json!({ "fingerprint": fingerprint.to_string() }));
    }
    output.line(&fingerprint.to_string())?;
    tell(&format!("({note})"));
    Ok(())
}
