//! `forewarn backtest`: what the rules would have said of a recording.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::app::{self, Rulebook};
use crate::domain::{At, Mode, Span};
use crate::lab::recording::{self, Fleet, Recording};
use crate::lab::report::{EpisodeReport, Known, Report, html};
use crate::lab::score::{Costs, Labels, Terms, seconds};
use crate::lab::trace::trace;
use crate::lab::{Episode, PlayError, Played, Seen, labels, play};
use crate::rules::Program;
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
    /// What failed: CSV with device,kind,failure,end and fault (its name)
    #[arg(long, value_name = "FILE", requires_all = ["horizon", "min_lead"])]
    pub truth: Option<PathBuf>,
    /// When devices were watched: CSV with device,start,end and split; otherwise from their first to their last message
    #[arg(long, value_name = "FILE", requires = "truth")]
    pub exposure: Option<PathBuf>,
    /// How long before a failure a prediction may come
    #[arg(long, value_name = "SPAN")]
    pub horizon: Option<Span>,
    /// How long before a failure it can still be prevented
    #[arg(long, value_name = "SPAN")]
    pub min_lead: Option<Span>,
    /// For how long after its first alert a case takes in others about the same fault
    #[arg(long, value_name = "SPAN", default_value = "24h")]
    pub dedup: Span,
    /// How long after a failure alerts are excused
    #[arg(long, value_name = "SPAN", default_value = "24h")]
    pub refractory: Span,
    /// Only lines of the exposure with this split
    #[arg(long, value_name = "NAME", requires = "exposure")]
    pub split: Option<String>,
    /// Rules that say FAULT are scored against failures of KIND alone, and not against all; may be repeated
    #[arg(long, value_name = "KIND=FAULT", value_parser = pair)]
    pub kind: Vec<(String, String)>,
    /// Compare with other rules for the same models: a file, or a folder of files
    #[arg(long, value_name = "RULES")]
    pub against: Option<PathBuf>,
    /// How the result is written
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// List every episode (JSON always does)
    #[arg(long)]
    pub episodes: bool,
    /// Write the result as one page with pictures of episodes
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write what the live rules raised, as JSON lines: ts, device, kind (the fault), rule
    #[arg(long, value_name = "FILE")]
    pub alerts: Option<PathBuf>,
    /// Threads that evaluate rules; 0: one for each core. The result is the same with any number
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threads: usize,
}

/// How the result is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Tables
    Text,
    /// One object
    Json,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').filter(|(kind, fault)| !kind.is_empty() && !fault.is_empty());
    parts
        .map(|(kind, fault)| (kind.to_owned(), fault.to_owned()))
        .ok_or_else(|| "a kind of failure, =, and a fault".into())
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
    /// The page cannot be made.
    #[error(transparent)]
    Page(#[from] html::PageError),
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
            Self::Play(_) | Self::Page(_) | Self::Write { .. } => 1,
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
    let (book, programs) = load(args).map_err(|diags| Error::Config(Box::new(diags)))?;
    let labels = args.truth.as_deref().map(|truth| labels(args, truth)).transpose()?;
    let played = watch(&args.data, args.model.as_deref(), &book, &programs, args.threads)?;
    let known = labels.map(|labels| known(args, labels, &played, book.settings.costs));
    let report = Report::new(&book.program, &played, known.as_ref(), programs.get(1).map(|p| &**p));
    if let Some(path) = &args.alerts {
        write_alerts(path, &report).map_err(|source| Error::Write { file: path.display().to_string(), source })?;
    }
    if let Some(path) = &args.html {
        let page = page(args, &book, &report, known.as_ref())?;
        std::fs::write(path, page).map_err(|source| Error::Write { file: path.display().to_string(), source })?;
    }
    write(args, &report, out).map_err(|source| Error::Write { file: "standard output".into(), source })
}

/// Plays the recording with each set of rules, with a progress bar; 0 threads are one for each core.
pub(super) fn watch(
    data: &Path,
    model: Option<&str>,
    book: &Rulebook,
    programs: &[Arc<Program>],
    threads: usize,
) -> Result<Played, Error> {
    let recording = Recording::open(data, fleet(book, model)?)?;
    let bar = bar(recording.total());
    let threads = if threads > 0 { threads } else { std::thread::available_parallelism().map_or(1, Into::into) };
    let played = play(recording, programs, &book.registry, threads, |n| bar.set_position(n));
    bar.finish_and_clear();
    Ok(played?)
}

/// The rules of the settings, and behind them those to compare them with.
fn load(args: &Args) -> Result<(Rulebook, Vec<Arc<Program>>), Diagnostics> {
    let mut diags = Diagnostics::default();
    let Some(book) = app::load_rulebook(&mut diags, &args.config, &app::environment()) else { return Err(diags) };
    let mut programs = vec![book.program.clone()];
    if let Some(path) = &args.against {
        let Some(other) = app::load_other_rules(&mut diags, path, &book) else { return Err(diags) };
        programs.push(other);
    }
    Ok((book, programs))
}

fn labels(args: &Args, truth: &Path) -> Result<Labels, Error> {
    let exposure = args.exposure.as_deref().map(|path| labels::exposure(path, args.split.as_deref())).transpose()?;
    Ok(Labels { faults: labels::truth(truth)?, exposure: exposure.unwrap_or_default() })
}

fn known(args: &Args, mut labels: Labels, played: &Played, costs: Costs) -> Known {
    if args.exposure.is_none() {
        let span = |seen: &Seen| vec![(seconds(seen.first_at), seconds(seen.last_at))];
        labels.exposure = played.devices.iter().map(|(device, seen)| (device.clone(), span(seen))).collect();
    }
    let terms = Terms {
        horizon: args.horizon.unwrap_or_default(),
        min_lead: args.min_lead.unwrap_or_default(),
        dedup: args.dedup,
        refractory: args.refractory,
        costs,
    };
    Known { labels, terms, kinds: args.kind.clone() }
}

/// Plays what is pictured once more, and makes the page.
fn page(args: &Args, book: &Rulebook, report: &Report, known: Option<&Known>) -> Result<String, Error> {
    let mut pictures = html::pictures(report);
    let stretches = pictures.iter().map(|picture| picture.stretch.clone()).collect();
    let recording = Recording::open(&args.data, fleet(book, args.model.as_deref())?)?;
    let traced = trace(recording, &book.program, &book.registry, stretches)?;
    pictures.iter_mut().zip(traced).for_each(|(picture, strands)| picture.strands = strands);
    Ok(html::page(report, known, &args.data.display().to_string(), &pictures)?)
}

fn write(args: &Args, report: &Report, out: &mut impl Write) -> io::Result<()> {
    if args.format == Format::Json {
        serde_json::to_writer_pretty(&mut *out, report)?;
        return writeln!(out);
    }
    for finding in report.findings.list() {
        eprintln!("{finding}");
    }
    if args.episodes {
        for EpisodeReport { episode: e, .. } in &report.episodes {
            writeln!(out, "{}  {}  {}  {}", e.raised_at, e.device, e.rule, e.title)?;
        }
        writeln!(out)?;
    }
    write!(out, "{report}")
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

pub(super) fn bar(total: Option<u64>) -> ProgressBar {
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

fn write_alerts(path: &Path, report: &Report) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let episodes = report.episodes.iter().map(|e| &e.episode);
    for episode in episodes.filter(|e| e.mode == Mode::Live && !e.historical) {
        let Episode { raised_at, device, fault, rule, .. } = episode;
        let alert = Alert { ts: *raised_at, device: device.as_str(), kind: fault.as_str(), rule: rule.as_str() };
        serde_json::to_writer(&mut file, &alert)?;
        file.write_all(b"\n")?;
    }
    file.flush()
}
