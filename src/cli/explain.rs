//! `forewarn explain`: why a rule fired for a device, or why it did not.

mod render;

use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use super::backtest;
use super::case::{self, Client};
use crate::app;
use crate::domain::{At, DeviceId};
use crate::engine::Explanation;
use crate::http::Explained;
use crate::lab::recording::Recording;
use crate::lab::{AskError, Question, ask};
use crate::source::Diagnostics;

pub use render::render;

/// Say why a rule fired for a device, or why it did not
///
/// Every part of its conditions with its value, its age and where it comes from. Asks the running daemon, which also says
/// what has become of it: its case, and what that waits for (fleet breaker, parent, latch) until when. With --data a
/// recording is played up to --at and explained as things stood then.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The rule
    pub rule: String,
    /// The device
    pub device: String,
    /// Which part of the device, such as `cell[3]`, for a rule that watches each of several
    #[arg(long, value_name = "PART")]
    pub component: Option<String>,
    /// The instant to explain, such as 2026-01-10T08:00:00Z
    #[arg(long, value_name = "TIME", requires = "data")]
    pub at: Option<At>,
    /// A recording to explain from: CSV, JSON lines, a folder of them, or the data folder of a daemon
    #[arg(long, value_name = "FILE|DIR")]
    pub data: Option<PathBuf>,
    /// The settings file whose models, rules and registry are used for --data
    #[arg(long, value_name = "FILE", env = "FOREWARN_CONFIG", default_value = "config/forewarn.toml")]
    pub config: PathBuf,
    /// The model of devices that are not in the registry; needed only if there are several models
    #[arg(long, value_name = "ID", requires = "data")]
    pub model: Option<String>,
    /// Where the daemon listens
    #[arg(long, env = "FOREWARN_URL", default_value = "http://127.0.0.1:8474")]
    pub url: String,
    /// File that holds the API token (without it: the environment variable FOREWARN_TOKEN)
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Print the explanation as JSON
    #[arg(long)]
    pub json: bool,
}

/// Why there is no explanation.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The daemon does not answer, or not with an explanation.
    #[error(transparent)]
    Daemon(#[from] case::Error),
    /// Settings, models, rules or registry are wrong.
    #[error(transparent)]
    Backtest(#[from] backtest::Error),
    /// The recording does not tell.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// It cannot be written.
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

impl Failure {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Daemon(error) => error.hint().map(str::to_owned),
            Self::Ask(AskError::Rule(error)) => error.near.as_ref().map(|near| format!("did you mean `{near}`?")),
            _ => None,
        }
    }
}

/// Explains, to standard output.
///
/// # Errors
/// See [`Failure`].
pub async fn run(args: &Args) -> Result<(), Failure> {
    let told = match &args.data {
        Some(data) => Explained { rule: from_recording(args, data)?, desk: Vec::new() },
        None => from_daemon(args).await?,
    };
    let stdout = io::stdout();
    let text = if args.json {
        let json = serde_json::to_string_pretty(&told).map_err(io::Error::other)?;
        json + "\n"
    } else {
        let colour = stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        render(&told, colour)
    };
    match stdout.lock().write_all(text.as_bytes()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

fn from_recording(args: &Args, data: &Path) -> Result<Explanation, Failure> {
    let mut diags = Diagnostics::default();
    let Some(book) = app::load_rulebook(&mut diags, &args.config, &app::environment()) else {
        return Err(backtest::Error::Config(Box::new(diags)).into());
    };
    let recording = Recording::open(data, backtest::fleet(&book, args.model.as_deref())?).map_err(AskError::from)?;
    let question = Question {
        rule: args.rule.clone(),
        device: DeviceId::from(&*args.device),
        component: args.component.clone(),
        at: args.at,
    };
    Ok(ask(recording, &book.program, &book.registry, &question)?)
}

async fn from_daemon(args: &Args) -> Result<Explained, case::Error> {
    let mut query = vec![("rule", args.rule.clone()), ("device", args.device.clone())];
    query.extend(args.component.clone().map(|part| ("component", part)));
    let token = case::token(args.token_file.as_deref(), std::env::var("FOREWARN_TOKEN").ok())?;
    let client = Client::new(&args.url, token)?;
    let text = client.get(&["explain"], &query).await?;
    client.read(&text)
}
