//! `forewarn check`: everything that is wrong or odd in the settings and the files they name, at once, without
//! starting anything; and what the rules will cost (R300).

mod cost;

use std::io::{self, IsTerminal as _, Write};
use std::path::PathBuf;

use clap::ValueEnum;
use serde::Serialize;

use self::cost::Costs;
use crate::app::{self, Loaded};
use crate::domain::Mode;
use crate::source::{Diagnostic, Diagnostics, Place, Weight};

/// How findings are written.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// With the lines they are about
    Human,
    /// One object
    Json,
    /// Annotations of a pull request
    Github,
}

/// What `forewarn check` is asked to do.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The settings file; the directories that it names are relative to it
    #[arg(long, value_name = "FILE", env = "FOREWARN_CONFIG")]
    config: PathBuf,
    /// How findings are written
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Human)]
    format: Format,
    /// Warnings are as bad as errors
    #[arg(long)]
    strict: bool,
}

/// Checks and writes what was found. Whether all is well.
pub fn run(args: &Args, out: &mut impl Write) -> io::Result<bool> {
    let (loaded, diags) = match app::check(&args.config) {
        Ok((loaded, diags)) => (Some(loaded), diags),
        Err(app::Error::Config(diags)) => (None, *diags),
        // Loading reads files and nothing else: what can go wrong is a finding.
        Err(other) => return Err(io::Error::other(other)),
    };
    let (errors, warnings) = diags.counts();
    let costs = loaded.as_ref().map(Costs::of);
    match args.format {
        Format::Human => human(&diags, loaded.as_ref(), costs.as_ref(), out)?,
        Format::Json => json(&diags, costs.as_ref(), out)?,
        Format::Github => github(&diags, costs.as_ref(), out)?,
    }
    Ok(errors == 0 && (warnings == 0 || !args.strict))
}

fn human(diags: &Diagnostics, loaded: Option<&Loaded>, costs: Option<&Costs>, out: &mut impl Write) -> io::Result<()> {
    write!(out, "{}", diags.render(io::stdout().is_terminal()))?;
    if let Some(costs) = costs {
        costs.table(out)?;
    }
    if let Some(loaded) = loaded {
        writeln!(out, "{}", inventory(loaded))?;
    }
    let (errors, warnings) = diags.counts();
    writeln!(out, "{}, {}", count(errors, "error"), count(warnings, "warning"))
}

/// `1 model, 3 rules (2 live, 1 shadow), 2 playbooks, 60 devices`.
fn inventory(loaded: &Loaded) -> String {
    let rules = loaded.rules.program.rules();
    let modes: Vec<String> = [(Mode::Live, "live"), (Mode::Shadow, "shadow"), (Mode::Off, "off")]
        .into_iter()
        .map(|(mode, word)| (rules.iter().filter(|r| r.mode == mode).count(), word))
        .filter(|(n, _)| *n > 0)
        .map(|(n, word)| format!("{n} {word}"))
        .collect();
    let modes = if modes.is_empty() { String::new() } else { format!(" ({})", modes.join(", ")) };
    [
        count(loaded.rules.program.models().list.len(), "model"),
        format!("{}{modes}", count(rules.len(), "rule")),
        count(loaded.desk.playbooks.len(), "playbook"),
        count(loaded.rules.registry.devices.len(), "device"),
        count(loaded.rules.registry.customers.len(), "customer"),
    ]
    .join(", ")
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// A finding as data.
#[derive(Serialize)]
struct Finding<'a> {
    severity: &'static str,
    code: &'a str,
    message: &'a str,
    #[serde(flatten)]
    place: Option<Spot<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    related: Vec<Spot<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

/// A place in a file: lines and columns count from 1, the end is behind the last character.
#[derive(Serialize)]
struct Spot<'a> {
    file: &'a str,
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
    #[serde(skip_serializing_if = "str::is_empty")]
    label: &'a str,
}

fn spot<'a>(diags: &'a Diagnostics, place: &Place, label: &'a str) -> Spot<'a> {
    let end = Place { file: place.file, span: place.span.end..place.span.end };
    let ((line, column), (end_line, end_column)) = (diags.line_column(place), diags.line_column(&end));
    Spot { file: diags.path(place.file), line, column, end_line, end_column, label }
}

fn word(weight: Weight) -> &'static str {
    match weight {
        Weight::Note => "note",
        Weight::Warning => "warning",
        Weight::Error => "error",
    }
}

fn finding<'a>(diags: &'a Diagnostics, d: &'a Diagnostic) -> Finding<'a> {
    Finding {
        severity: word(d.weight),
        code: d.code,
        message: &d.message,
        place: d.place.as_ref().map(|(place, label)| spot(diags, place, label)),
        related: d.related.iter().map(|(place, label)| spot(diags, place, label)).collect(),
        hint: d.hint.as_deref(),
    }
}

fn json(diags: &Diagnostics, costs: Option<&Costs>, out: &mut impl Write) -> io::Result<()> {
    #[derive(Serialize)]
    struct Report<'a> {
        errors: usize,
        warnings: usize,
        findings: Vec<Finding<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        costs: Option<&'a Costs>,
    }
    let (errors, warnings) = diags.counts();
    let findings = diags.list().iter().map(|d| finding(diags, d)).collect();
    serde_json::to_writer_pretty(&mut *out, &Report { errors, warnings, findings, costs })?;
    writeln!(out)
}

/// Workflow commands as GitHub reads them: `%`, line ends and, in properties, `:` and `,` are escaped.
fn github(diags: &Diagnostics, costs: Option<&Costs>, out: &mut impl Write) -> io::Result<()> {
    let text = |s: &str| s.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |s: &str| text(s).replace(':', "%3A").replace(',', "%2C");
    let at = |place: &Place, label: &str| {
        let s = spot(diags, place, label);
        let file = property(s.file);
        format!("file={file},line={},endLine={},col={},endColumn={},", s.line, s.end_line, s.column, s.end_column)
    };
    for d in diags.list() {
        let level = if d.weight == Weight::Note { "notice" } else { word(d.weight) };
        let place = d.place.as_ref().map_or_else(String::new, |(place, label)| at(place, label));
        let hint = d.hint.as_ref().map_or_else(String::new, |h| format!("\n{h}"));
        writeln!(out, "::{level} {place}title={}::{}{}", property(d.code), text(&d.message), text(&hint))?;
    }
    for row in costs.iter().flat_map(|costs| &costs.rules) {
        writeln!(out, "::notice {}title=R300::{}", at(&row.cost.place, ""), text(&row.note()))?;
    }
    Ok(())
}
