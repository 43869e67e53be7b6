//! `forewarn customer export | erase | readmit`: the rights of a customer, through the daemon or without it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Value as Json, json};

use super::case::{self, Client};
use crate::app;
use crate::desk::{Input, Reply};
use crate::domain::CustomerId;
use crate::runtime::{self, AtRest};

/// What `forewarn customer` is asked to do.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the daemon listens
    #[arg(long, global = true, env = "FOREWARN_URL", default_value = "http://127.0.0.1:8474")]
    url: String,
    /// File that holds an API token of scope `privacy` (without it: the environment variable FOREWARN_TOKEN)
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Without a daemon: the settings file whose store is opened; the daemon must not be running
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print everything that is stored of a customer as JSON: what the registry says of them and their devices, and every
    /// row of the desk about them (cases, what was sent and said, trucks, positions), opened
    Export {
        /// The id, as in customers.csv
        id: String,
    },
    /// Destroy the key of a customer: everything stored of them can never be read again, in the store, its log, its exports
    /// and backups. Nobody tells them anything any more. It is on record (`forewarn audit log`), and the audit stays intact.
    /// Refused while a safety case of theirs is open. Delete them from the registry, too, and from backups of the key file
    Erase {
        /// The id, as in customers.csv
        id: String,
        /// Even while a safety case is open
        #[arg(long)]
        force: bool,
    },
    /// An erased customer is a customer again, with a new key; what was stored before stays erased
    Readmit {
        /// The id, as in customers.csv
        id: String,
    },
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The daemon or the way to it.
    #[error(transparent)]
    Daemon(#[from] case::Error),
    /// Settings or store.
    #[error(transparent)]
    App(#[from] app::Error),
    /// Not possible now.
    #[error("{0}")]
    Refused(String),
    /// Nothing is stored of such a customer.
    #[error("nothing is stored of a customer {0}")]
    Unknown(String),
    /// The answer cannot be written.
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

impl From<runtime::Error> for Error {
    fn from(error: runtime::Error) -> Self {
        Self::App(error.into())
    }
}

/// Does what is asked.
pub async fn run(args: &Args, out: &mut impl Write) -> Result<(), Error> {
    let done = match &args.config {
        Some(config) => without_daemon(config, &args.command)?,
        None => with_daemon(args).await?,
    };
    if let Some(tables) = cut(&done) {
        eprintln!(
            "not all is here, there is more in: {tables}\nhint: with the daemon stopped and --config it is whole"
        );
    }
    let text = match &args.command {
        Command::Export { .. } => serde_json::to_string_pretty(&done).map_err(io::Error::other)?,
        Command::Erase { id, .. } => {
            format!("{id} is erased: delete the customer from the registry, and from backups of the key file")
        }
        Command::Readmit { id } => format!("{id} is a customer again; what was stored before stays erased"),
    };
    match writeln!(out, "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// The tables of which an export has not all rows.
fn cut(export: &Json) -> Option<String> {
    let tables = export["cut"].as_array().filter(|tables| !tables.is_empty())?;
    Some(tables.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(", "))
}

async fn with_daemon(args: &Args) -> Result<Json, Error> {
    let token = case::token(args.token_file.as_deref(), std::env::var("FOREWARN_TOKEN").ok())?;
    let client = Client::new(&args.url, token)?;
    let text = match &args.command {
        Command::Export { id } => client.get(&["customers", id], &[]).await?,
        Command::Erase { id, force } => {
            client.post(&["customers", id, "erase"], Some(json!({ "force": force }))).await?
        }
        Command::Readmit { id } => client.post(&["customers", id, "readmit"], None).await?,
    };
    Ok(client.read(&text)?)
}

fn without_daemon(config: &Path, command: &Command) -> Result<Json, Error> {
    let mut rest: AtRest = app::at_rest(config)?;
    let actor = || "command line".to_owned();
    let (id, input) = match command {
        Command::Export { id } => {
            return rest.desk().dossier(&id.as_str().into(), usize::MAX).ok_or_else(|| Error::Unknown(id.clone()));
        }
        Command::Erase { id, force } => {
            (id, Input::Erase { customer: CustomerId::from(id.as_str()), force: *force, actor: actor() })
        }
        Command::Readmit { id } => (id, Input::Readmit { customer: CustomerId::from(id.as_str()), actor: actor() }),
    };
    match rest.tell(app::clock()(), input)? {
        Reply::Refused(reason) => Err(Error::Refused(reason)),
        Reply::NotFound => Err(Error::Unknown(id.clone())),
        _ => Ok(Json::Null),
    }
}
