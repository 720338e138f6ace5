//! Which servers, and whether what they show is the cluster that the person means.
//!
//! Owns: the addresses out of options and settings, and the word on an identity. Driven by:
//! `session`. Invariants: a first contact is accepted without a question only if it shows the
//! fingerprint that was given or that follows from the cluster's own secret; without a terminal
//! nobody is asked, and nothing is accepted.

#![expect(clippy::disallowed_methods, reason = "the rim: ENV_FILE is looked for here")]

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;

use holdfast_common::client::{Home, Identity};
use holdfast_common::config::{self, Config, Secret};
use holdfast_common::net::tls::{self, Fingerprint};

use super::options::Options;
use super::output::tell;
use super::problem::Problem;

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Contact {
    /// Whom to dial; empty: those that the engine knows of the account's cluster.
    pub(crate) servers: Vec<String>,
    /// What a first contact must show, where that is known.
    expected: Option<Fingerprint>,
}

impl Contact {
    /// Out of the options, else what earlier sign-ins have taught, else the settings.
    pub(crate) fn new(options: &Options, home: &Home) -> Result<Contact, Problem> {
        let named = Contact { servers: options.servers.clone(), expected: options.fingerprint };
        if !named.servers.is_empty() {
            return Ok(named);
        }
        if options.env.is_none() && home.last.is_some() {
            return Ok(named);
        }
        if options.env.is_some() || has_settings() {
            let config = settings(options)?;
            let servers = config.servers.iter().map(|each| each.client().to_string()).collect();
            let expected = options.fingerprint.or_else(|| fingerprint_of(&config));
            return Ok(Contact { servers, expected });
        }
        match home.clusters.as_slice() {
            [only] => Ok(Contact { servers: only.servers.clone(), ..named }),
            _ => Err(Problem::Usage(
                "which server? Give --server ADDRESS:PORT, or --env FILE with its settings".into(),
            )),
        }
    }

    /// A first contact: whether to go on.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn decide(&self, address: &str, identity: Identity) -> Result<(), Problem> {
        let Identity::Cluster(key) = identity else { return Ok(()) };
        let shown = Fingerprint(key);
        match self.expected {
            Some(expected) if expected == shown => Ok(()),
            Some(expected) => Err(Problem::Fault(format!(
                "{address} is not the cluster that you mean. It shows the fingerprint\n  {shown}\n\
                 where this was expected:\n  {expected}\n\
                 Nothing was sent. Check the address; if it is right, somebody may be in between"
            ))),
            None if !io::stdin().is_terminal() => Err(Problem::Fault(format!(
                "first contact with {address}, and no terminal to ask whether it is the right \
                 cluster. It shows the fingerprint\n  {shown}\n\
                 If that is right (`holdfast fingerprint` on a server's machine prints it), say \
                 so: --fingerprint '{shown}'"
            ))),
            None => ask(address, shown),
        }
    }

    /// A known cluster shows another identity: whether the person has said that this is right.
    ///
    /// # Errors
    /// The full stop, in words.
    pub(crate) fn changed(
        &self,
        address: &str,
        pinned: Identity,
        presented: Identity,
    ) -> Result<(), Problem> {
        if let (Identity::Cluster(key), Some(expected)) = (presented, self.expected)
            && expected == Fingerprint(key)
        {
            return Ok(());
        }
        let show = |identity| match identity {
            Identity::Cluster(key) => Fingerprint(key).to_string(),
            Identity::Ordinary => "an ordinary certificate".to_owned(),
            Identity::Plain => "no encryption".to_owned(),
        };
        let (pinned, presented) = (show(pinned), show(presented));
        Err(Problem::Fault(format!(
            "STOP: {address} shows another identity than before.\n  before: {pinned}\n  \
             now:    {presented}\n\
             Somebody may be in between, or the cluster was set up anew with another secret. \
             Nothing was sent.\nAsk whoever runs the servers. If the new one is right: \
             holdfast --fingerprint '{presented}' login NAME"
        )))
    }
}

/// Asks a person.
fn ask(address: &str, shown: Fingerprint) -> Result<(), Problem> {
    tell(&format!(
        "First contact with {address}. It shows this fingerprint:\n\n  {shown}\n\n\
         Whoever runs the servers can tell you whether it is the right one\n\
         (holdfast fingerprint prints it there). You are asked only once."
    ));
    write!(io::stderr(), "Is it the right one? Type yes to go on: ").ok();
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    if answer.trim().eq_ignore_ascii_case("yes") {
        return Ok(());
    }
    Err(Problem::Fault("not accepted; nothing was sent".to_owned()))
}

/// The settings, or what is wrong with them.
pub(crate) fn settings(options: &Options) -> Result<Config, Problem> {
    config::from_system(options.env.as_deref()).map_err(|error| Problem::Usage(error.to_string()))
}

fn has_settings() -> bool {
    std::env::var_os("ENV_FILE").is_some_and(|name| !name.is_empty()) || Path::new(".env").exists()
}

/// What follows from the cluster's secret, if this person may read it.
pub(crate) fn fingerprint_of(config: &Config) -> Option<Fingerprint> {
    let secret = match &config.cluster_secret {
        Some(secret) => secret.clone(),
        None => {
            let text = std::fs::read_to_string(config.secret_file()).ok()?;
            Secret::new(text.trim().to_owned())
        }
    };
    tls::fingerprint(&secret).ok()
}
