//! `forewarn reload`: has the daemon read its files again (as SIGHUP does, `systemctl reload forewarn`) and says which rules kept
//! their state; `--dry-run`: what edited rules would have said of the last days, beside those that the daemon runs by.

use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use super::backtest::{self, Format};
use super::case::{self, Client};
use crate::app;
use crate::domain::{At, Change, Detection, EpisodeId, Span};
use crate::lab::Played;
use crate::lab::report::Report;
use crate::rules::{Changes, RuleChange};
use crate::runtime::{ReloadState, Reloaded};
use crate::source::Diagnostics;

/// How often the daemon is asked whether it is done.
const PAUSE: Duration = Duration::from_millis(500);

/// What `forewarn reload` is asked to do.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only show what would be different, by the settings file and the journal; the daemon need not run
    #[arg(long, requires = "config")]
    dry_run: bool,
    /// The settings file with the edited rules beside it
    #[arg(long, value_name = "FILE", env = "FOREWARN_CONFIG")]
    config: Option<PathBuf>,
    /// With --dry-run: compare episodes that began in the last so many days of the journal
    #[arg(long, value_name = "DAYS", default_value_t = 7)]
    days: u32,
    /// How the result is written
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    format: Format,
    /// With --dry-run: threads that evaluate rules; 0: one for each core
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: usize,
    /// Where the daemon listens
    #[arg(long, env = "FOREWARN_URL", default_value = "http://127.0.0.1:8474")]
    url: String,
    /// File that holds an API token of scope `act` (without it: the environment variable FOREWARN_TOKEN)
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// Why nothing was reloaded or shown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The daemon does not answer.
    #[error(transparent)]
    Daemon(#[from] case::Error),
    /// Files or journal cannot be used.
    #[error(transparent)]
    Looking(#[from] backtest::Error),
    /// The daemon has found something wrong.
    #[error("not reloaded: everything stays as it was")]
    Refused {
        /// The findings, for people.
        findings: String,
    },
}

/// Reloads, or shows what it would change.
///
/// # Errors
/// See [`Error`].
pub async fn run(args: &Args, out: &mut impl Write) -> Result<(), Error> {
    match &args.config {
        Some(config) if args.dry_run => Ok(compare(args, config.clone(), out)?),
        _ => live(args, out).await,
    }
}

async fn live(args: &Args, out: &mut impl Write) -> Result<(), Error> {
    let token = case::token(args.token_file.as_deref(), std::env::var("FOREWARN_TOKEN").ok())?;
    let client = Client::new(&args.url, token)?;
    let mut state: ReloadState = client.read(&client.post(&["reload"], None).await?)?;
    while state == ReloadState::UnderWay {
        tokio::time::sleep(PAUSE).await;
        state = client.read(&client.get(&["reload"], &[]).await?)?;
    }
    let reloaded = match state {
        ReloadState::Done(reloaded) => reloaded,
        ReloadState::Refused { findings } => return Err(Error::Refused { findings }),
        // It has been started anew meanwhile, and has read its files.
        ReloadState::None | ReloadState::UnderWay => return Ok(()),
    };
    let written = match args.format {
        Format::Text => write!(out, "{}", Text(&reloaded)),
        Format::Json => json(&reloaded, out),
    };
    Ok(written.map_err(case::Error::Output)?)
}

fn json(what: &impl serde::Serialize, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, what).map_err(io::Error::from).and_then(|()| writeln!(out))
}

/// A reload for people.
struct Text<'a>(&'a Reloaded);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reloaded { at, warm_from, changes } = self.0;
        writeln!(f, "reloaded at {at}: {}", as_they_were(changes.same))?;
        let begin =
            warm_from.map_or_else(|| "cold".to_owned(), |from| format!("refilled from the messages since {from}"));
        lines(changes, &begin, "its open episodes have ended", f)
    }
}

fn as_they_were(same: usize) -> String {
    let (s, are) = if same == 1 { ("", "is") } else { ("s", "are") };
    format!("{same} rule{s} {are} as before, with all state")
}

/// A line for each rule that is not what it was.
fn lines(changes: &Changes, begin: &str, end: &str, f: &mut impl fmt::Write) -> fmt::Result {
    for RuleChange { rule, model, is_new, kept, fresh } in &changes.rules {
        let what = if *is_new { "new    " } else { "changed" };
        let kept = if kept.is_empty() { String::new() } else { format!("; kept: {}", kept.join(", ")) };
        let fresh = if fresh.is_empty() {
            "nothing that has to learn".to_owned()
        } else {
            format!("{begin}: {}", fresh.join(", "))
        };
        writeln!(f, "  {what} {rule} ({model}): {fresh}{kept}")?;
    }
    if changes.rules.iter().any(|change| change.is_new) {
        let release = "forewarn case release-rule RULE";
        writeln!(f, "  a new rule does nothing before `{release}`, unless desk.new_rules is \"live\"")?;
    }
    changes.removed.iter().try_for_each(|rule| writeln!(f, "  removed {rule}: {end}"))
}

/// Plays the daemon's journal with both sets of rules and writes the difference.
///
/// # Errors
/// The files are wrong, or the daemon has left neither journal nor rules.
fn compare(args: &Args, config: PathBuf, out: &mut impl Write) -> Result<(), backtest::Error> {
    let mut diags = Diagnostics::default();
    let Some(book) = app::load_rulebook(&mut diags, &config, &app::environment()) else {
        return Err(backtest::Error::Config(Box::new(diags)));
    };
    let store = &book.settings.store.dir;
    let Some(kept) = app::Kept::of_store(store) else {
        let message = format!("{} has no rules in force: no daemon with these settings has run yet", store.display());
        return Err(backtest::Error::Usage(message));
    };
    let Some(running) = kept.rules_for(&mut diags, &book) else {
        return Err(backtest::Error::Config(Box::new(diags)));
    };
    let programs = [book.program.clone(), running.clone()];
    let played = since(backtest::watch(store, None, &book, &programs, args.threads)?, args.days);
    let report = Report::new(&book.program, &played, None, Some(&running));
    let changes = running.changes(&book.program);
    let written = match args.format {
        Format::Text => write!(out, "{}\n{report}", Outlook { changes: &changes, warm: book.settings.engine.warm }),
        Format::Json => json(&Compared { changes, report }, out),
    };
    written.map_err(|source| backtest::Error::Write { file: "standard output".into(), source })
}

/// What a reload would do, and what the rules would have said.
#[derive(serde::Serialize)]
struct Compared {
    changes: Changes,
    #[serde(flatten)]
    report: Report,
}

/// A reload to come, for people.
struct Outlook<'a> {
    changes: &'a Changes,
    warm: Span,
}

impl Display for Outlook<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "after a reload: {}", as_they_were(self.changes.same))?;
        let begin = if self.warm == Span::ZERO {
            "begins cold".to_owned()
        } else {
            format!("refilled from the last {}", self.warm)
        };
        lines(self.changes, &begin, "its open episodes end", f)
    }
}

/// Leaves the episodes of what came in the last `days`, of whatever time it told: a device may have sent late. What was before is
/// played all the same: windows and baselines live on it.
fn since(mut played: Played, days: u32) -> Played {
    let last = played.devices.values().map(|seen| seen.last_at).max();
    let from = last.map_or(At::from_micros(i64::MIN), |at| at - Span::from_hours(24).times(i64::from(days)));
    for detections in &mut played.detections {
        let fresh: BTreeSet<EpisodeId> = began(detections, from);
        detections.retain(|d| fresh.contains(&d.episode));
    }
    played
}

fn began(detections: &[Detection], from: At) -> BTreeSet<EpisodeId> {
    let raised = detections.iter().filter(|d| d.change == Change::Raised && d.received_at >= from);
    raised.map(|d| d.episode).collect()
}
