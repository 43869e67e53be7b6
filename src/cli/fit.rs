//! `forewarn fit`: what is usual in the fleet, learned from a recording.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::backtest::{Error, bar, fleet};
use crate::app;
use crate::domain::Span;
use crate::lab::fit::{Fit, Omit, fit};
use crate::lab::labels;
use crate::lab::recording::Recording;
use crate::lab::score::Labels;
use crate::source::Diagnostics;

/// What `forewarn fit` is asked to do.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The settings file; models, rules and registry that it names are used
    #[arg(long, value_name = "FILE", env = "FOREWARN_CONFIG")]
    pub config: PathBuf,
    /// The recording: CSV (ts,device and one column for each signal; plain, gzip or zstd), JSON lines, a folder of them, or
    /// the data folder of a daemon
    #[arg(long, value_name = "FILE|DIR")]
    pub data: PathBuf,
    /// The file to write, in the folder of baselines that the settings name; what it holds is replaced
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// The model of devices that are not in the registry; needed only if there are several models
    #[arg(long, value_name = "ID")]
    pub model: Option<String>,
    /// What failed: CSV with device,kind,failure,end; nothing is learned from failure to end
    #[arg(long, value_name = "FILE")]
    pub truth: Option<PathBuf>,
    /// How long before a failure nothing is learned either
    #[arg(long, value_name = "SPAN", default_value = "0s", requires = "truth")]
    pub horizon: Span,
    /// When to learn: CSV with device,start,end and split; otherwise all the time
    #[arg(long, value_name = "FILE")]
    pub exposure: Option<PathBuf>,
    /// Only lines of the exposure with this split
    #[arg(long, value_name = "NAME", requires = "exposure")]
    pub split: Option<String>,
}

/// Learns and writes; findings and progress go to standard error.
///
/// # Errors
/// Something is wrong with the files or the command line, or there is nothing to learn.
pub fn run(args: &Args) -> Result<(), Error> {
    let mut diags = Diagnostics::default();
    let Some(book) = app::load_to_learn(&mut diags, &args.config, &app::environment()) else {
        return Err(Error::Config(Box::new(diags)));
    };
    let wanted = book.program.fleet_baselines();
    if wanted.is_empty() {
        return Err(Error::Usage("no rule has a baseline with from = \"fleet\" or prior = \"fleet\"".into()));
    }
    let omit = omit(args)?;
    let recording = Recording::open(&args.data, fleet(&book, args.model.as_deref())?)?;
    let bar = bar(recording.total());
    let learned = fit(recording, &book.program, &book.registry, &omit, |n| bar.set_position(n));
    bar.finish_and_clear();
    let learned = learned?;
    tell(&wanted, &learned);
    if learned.baselines.iter().all(|b| b.regimes.is_empty()) {
        return Err(Error::Usage(format!("{} teaches none of the baselines", args.data.display())));
    }
    write(&args.out, &learned).map_err(|source| Error::Write { file: args.out.display().to_string(), source })
}

fn omit(args: &Args) -> Result<Omit, Error> {
    let faults = args.truth.as_deref().map(labels::truth).transpose()?.unwrap_or_default();
    let exposure = args.exposure.as_deref().map(|path| labels::exposure(path, args.split.as_deref())).transpose()?;
    let labels = Labels { faults, exposure: exposure.unwrap_or_default() };
    Ok(Omit { labels, before: args.horizon.as_secs_f64() })
}

/// What was learned of each baseline that the rules ask for.
fn tell(wanted: &[(String, String)], learned: &Fit) {
    for (model, name) in wanted {
        let found = learned.baselines.iter().find(|b| b.model.as_str() == model && *b.name == **name);
        let regimes = found.map_or(&[][..], |b| &b.regimes);
        let samples: u64 = regimes.iter().map(|r| r.n).sum();
        let note = if regimes.is_empty() { ": the rules cannot be loaded without it" } else { "" };
        let s = if regimes.len() == 1 { "" } else { "s" };
        eprintln!("{model}  {name}  {} regime{s}, {samples} samples{note}", regimes.len());
    }
}

/// Replaces the file as a whole.
fn write(path: &Path, learned: &Fit) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let aside = path.with_extension("toml.new");
    fs::write(&aside, learned.to_string())?;
    fs::rename(aside, path)
}
