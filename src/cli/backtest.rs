//! `forewarn backtest`: what the rules would have said of a recording.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::app::{self, Rulebook};
use crate::domain::{At, Mode};
use crate::lab::recording::{self, Fleet, Recording};
use crate::lab::{Episode, PlayError, episodes, play};
use crate::source::Diagnostics;

/// What `forewarn backtest` is asked to do.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The settings file; models, rules and registry that it names are used
    #[arg(long, value_name = "FILE", env = "FOREWARN_CONFIG")]
    pub config: PathBuf,
    /// The recording: CSV (ts,device and one column for each signal; plain, gzip or zstd), JSON lines, a folder of them, or
    /// the data folder of a daemon
    #[arg(long, value_name = "FILE|DIR")]
    pub data: PathBuf,
    /// The model of devices that are not in the registry; needed only if there are several models
    #[arg(long, value_name = "ID")]
    pub model: Option<String>,
    /// Write what the live rules raised, as JSON lines: ts, device, kind (the fault), rule
    #[arg(long, value_name = "FILE")]
    pub alerts: Option<PathBuf>,
    /// Threads that evaluate rules; 0: one for each core. The result is the same with any number
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threads: usize,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Settings, models, rules or registry are wrong; all findings are inside. Exit code 78.
    #[error("nothing can be played before these files are mended")]
    Config(Box<Diagnostics>),
    /// The command line cannot work. Exit code 64.
    #[error("{0}")]
    Usage(String),
    /// The recording cannot be played.
    #[error(transparent)]
    Play(#[from] PlayError),
    /// A file cannot be written.
    #[error("cannot write {file}: {source}")]
    Write {
        /// Its name.
        file: String,
        /// Why not.
        source: io::Error,
    },
}

impl Error {
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => super::CONFIG,
            Self::Usage(_) => super::USAGE,
            Self::Play(PlayError::Recording(recording::Error::Journal(_))) => super::IO,
            Self::Play(_) | Self::Write { .. } => 1,
        }
    }
}

impl From<recording::Error> for Error {
    fn from(error: recording::Error) -> Self {
        Self::Play(error.into())
    }
}

/// Plays the recording and writes what came of it; findings and progress go to standard error.
///
/// # Errors
/// Something is wrong with the files or the command line.
pub fn run(args: &Args, out: &mut impl Write) -> Result<(), Error> {
    let mut diags = Diagnostics::default();
    let Some(book) = app::load_rulebook(&mut diags, &args.config, &app::environment()) else {
        return Err(Error::Config(Box::new(diags)));
    };
    let recording = Recording::open(&args.data, fleet(&book, args.model.as_deref())?)?;
    let bar = bar(recording.total());
    let threads =
        if args.threads > 0 { args.threads } else { std::thread::available_parallelism().map_or(1, Into::into) };
    let played = play(recording, std::slice::from_ref(&book.program), &book.registry, threads, |n| bar.set_position(n));
    bar.finish_and_clear();
    let played = played?;
    for finding in played.findings.list() {
        eprintln!("{finding}");
    }
    let episodes = episodes(&played.detections[0]);
    if let Some(path) = &args.alerts {
        write_alerts(path, &episodes).map_err(|source| Error::Write { file: path.display().to_string(), source })?;
    }
    let seen = |source| Error::Write { file: "standard output".into(), source };
    for episode in &episodes {
        writeln!(out, "{}  {}  {}  {}", episode.raised_at, episode.device, episode.rule, episode.title)
            .map_err(seen)?;
    }
    Ok(())
}

pub(super) fn fleet(book: &Rulebook, model: Option<&str>) -> Result<Fleet, Error> {
    let models = book.program.models().clone();
    let model = match model {
        None => None,
        Some(id) => {
            let known = models.index(&id.into());
            let names: Vec<&str> = models.list.iter().map(|m| m.id.as_str()).collect();
            Some(known.ok_or_else(|| Error::Usage(format!("--model {id}: there are {}", names.join(", "))))?)
        }
    };
    Ok(Fleet { models, registry: Arc::clone(&book.registry), model })
}

fn bar(total: Option<u64>) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match total {
        Some(total) => (ProgressBar::new(total), "{bar:30} {pos}/{len} messages  {per_sec}  {eta} left"),
        None => (ProgressBar::no_length(), "{spinner} {pos} messages  {per_sec}"),
    };
    bar.with_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// An alert as scorers want it.
#[derive(Serialize)]
struct Alert<'a> {
    ts: At,
    device: &'a str,
    kind: &'a str,
    rule: &'a str,
}

fn write_alerts(path: &Path, episodes: &[Episode]) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for episode in episodes.iter().filter(|e| e.mode == Mode::Live && !e.historical) {
        let Episode { raised_at, device, fault, rule, .. } = episode;
        let alert = Alert { ts: *raised_at, device: device.as_str(), kind: fault.as_str(), rule: rule.as_str() };
        serde_json::to_writer(&mut file, &alert)?;
        file.write_all(b"\n")?;
    }
    file.flush()
}
