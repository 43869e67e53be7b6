//! `forewarn test`: the tests of rules and playbooks beside the settings.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;

use crate::app;
use crate::lab::proof::{self, Outcome, Subject, Tests};
use crate::source::Diagnostics;

/// Test rules and playbooks
///
/// Runs the tests in the `tests` directory of the settings through the same engine and desk as live, in virtual time
/// and without the outside world. Of a playbook test that is run alone the timeline of the case is shown.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run those whose name, rule or file contains this
    pub filter: Option<String>,
    /// The settings file; the directories that it names are relative to it
    #[arg(long, value_name = "FILE", env = "FOREWARN_CONFIG", default_value = "config/forewarn.toml")]
    pub config: PathBuf,
    /// Write the outcomes as JUnit XML, for CI
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// What goes to standard output
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub format: Format,
}

/// Forms of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Lines for people
    Human,
    /// One JSON object
    Json,
}

/// Why nothing could be tested.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Mistakes in settings, rules or tests.
    #[error("the files have mistakes")]
    Files(Box<Diagnostics>),
    /// The settings cannot be used.
    #[error(transparent)]
    App(#[from] app::Error),
    /// No test has such a name.
    #[error("no test is called like '{0}'")]
    NoSuchTest(String),
    /// A result cannot be written.
    #[error("cannot write {path}: {error}")]
    Output {
        /// Where.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// Runs the tests and says whether all of them passed.
pub fn run(args: &Args) -> Result<bool, Error> {
    let (loaded, mut diags) = app::check(&args.config)?;
    let subject = Subject {
        program: loaded.rules.program.clone(),
        registry: loaded.rules.registry.clone(),
        desk: loaded.desk.clone(),
    };
    let files = app::test_files(&mut diags, &args.config, &loaded.settings);
    let mut tests = Tests::load(&mut diags, &files, &subject);
    if diags.has_errors() {
        return Err(Error::Files(Box::new(diags)));
    }
    if let Some(filter) = &args.filter {
        tests.retain(&diags, filter);
        if tests.count() == 0 {
            return Err(Error::NoSuchTest(filter.clone()));
        }
    }
    let outcomes: Vec<Outcome> = tests.run(&subject).collect();
    let stdout = io::stdout();
    let text = match args.format {
        Format::Human => proof::human(&diags, &outcomes, stdout.is_terminal()),
        Format::Json => format!("{:#}\n", proof::json(&diags, &outcomes)),
    };
    match stdout.lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            return Err(Error::Output { path: "standard output".into(), error });
        }
        _ => {}
    }
    if let Some(path) = &args.junit {
        let write = std::fs::write(path, proof::junit(&diags, &outcomes));
        write.map_err(|error| Error::Output { path: path.clone(), error })?;
    }
    Ok(outcomes.iter().all(|o| o.failures.is_empty()))
}
