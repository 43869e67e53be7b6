//! `forewarn reload --dry-run`: what edited rules would have said of the last days, beside those that the daemon runs by.
//! The daemon itself reads its files again on SIGHUP (`systemctl reload forewarn`).

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::PathBuf;

use super::backtest::{self, Error, Format};
use crate::app;
use crate::domain::{At, Change, Detection, EpisodeId, Span};
use crate::lab::Played;
use crate::lab::report::Report;
use crate::source::Diagnostics;

/// What `forewarn reload` is asked to do.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The settings file with the edited rules beside it
    #[arg(long, value_name = "FILE", env = "FOREWARN_CONFIG")]
    config: PathBuf,
    /// Only show what would be different; the daemon itself reloads on SIGHUP
    #[arg(long, required = true)]
    dry_run: bool,
    /// Compare episodes that began in the last so many days of the journal
    #[arg(long, value_name = "DAYS", default_value_t = 7)]
    days: u32,
    /// How the result is written
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Threads that evaluate rules; 0: one for each core
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: usize,
}

/// Plays the daemon's journal with both sets of rules and writes the difference.
///
/// # Errors
/// The files are wrong, or the daemon has left neither journal nor rules.
pub fn run(args: &Args, out: &mut impl Write) -> Result<(), Error> {
    let mut diags = Diagnostics::default();
    let Some(book) = app::load_rulebook(&mut diags, &args.config, &app::environment()) else {
        return Err(Error::Config(Box::new(diags)));
    };
    let store = &book.settings.store.dir;
    let kept = app::kept_rules(store);
    if !kept.is_dir() {
        let message = format!("{} is not there: no daemon with these settings has run yet", kept.display());
        return Err(Error::Usage(message));
    }
    let Some(running) = app::load_other_rules(&mut diags, &kept, &book) else {
        return Err(Error::Config(Box::new(diags)));
    };
    let programs = [book.program.clone(), running.clone()];
    let played = since(backtest::watch(store, None, &book, &programs, args.threads)?, args.days);
    let report = Report::new(&book.program, &played, None, Some(&running));
    let written = match args.format {
        Format::Text => write!(out, "{report}"),
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, &report).map_err(io::Error::from).and_then(|()| writeln!(out))
        }
    };
    written.map_err(|source| Error::Write { file: "standard output".into(), source })
}

/// Leaves the episodes that began in the last `days`. What was before is played all the same: windows and baselines
/// live on it.
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
    let raised = detections.iter().filter(|d| d.change == Change::Raised && d.event_at >= from);
    raised.map(|d| d.episode).collect()
}
