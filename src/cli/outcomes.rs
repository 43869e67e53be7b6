//! `forewarn outcomes export` and `forewarn rules`: what became of cases, and how good that makes the rules.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use serde::Deserialize;

use super::case::{self, Client};
use crate::desk::{OutcomeView, RuleQuality};
use crate::domain::At;

/// Where the daemon is.
#[derive(Debug, clap::Args)]
pub struct Daemon {
    /// Where the daemon listens
    #[arg(long, global = true, env = "FOREWARN_URL", default_value = "http://127.0.0.1:8474")]
    url: String,
    /// File that holds an API token of scope `read` (without it: the environment variable FOREWARN_TOKEN)
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl Daemon {
    fn client(&self) -> Result<Client, case::Error> {
        Client::new(&self.url, case::token(self.token_file.as_deref(), std::env::var("FOREWARN_TOKEN").ok())?)
    }
}

/// `forewarn outcomes`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    daemon: Daemon,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print what became of cases, oldest first: fault, part, versions and use of the device, truth, time to failure, cost,
    /// satisfaction. Customers and devices are keyed hashes
    Export {
        /// CSV has columns for lot, firmware, year, climate, mileage and hours; `attributes` and `usage` are JSON and have
        /// all there is
        #[arg(long, value_enum, default_value_t = Format::Csv)]
        format: Format,
        /// Only what was opened or said since then, such as 2026-11-01T00:00:00Z
        #[arg(long, value_name = "TIME")]
        since: Option<At>,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Csv,
    Jsonl,
}

/// `forewarn rules`.
#[derive(Debug, clap::Args)]
pub struct RulesArgs {
    #[command(flatten)]
    daemon: Daemon,
    /// Print the daemon's answer as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize)]
struct Outcomes {
    outcomes: Vec<OutcomeView>,
}

#[derive(Deserialize)]
struct Rules {
    rules: Vec<RuleQuality>,
}

/// Outcomes asked for at once.
const PAGE: usize = 1_000;

/// Prints what became of cases.
pub async fn run(args: &Args, out: &mut impl Write) -> Result<(), case::Error> {
    let Command::Export { format, since } = &args.command;
    let client = args.daemon.client()?;
    let mut query = vec![("limit", PAGE.to_string())];
    query.extend(since.map(|at| ("since", at.to_string())));
    let mut after: Option<String> = None;
    if let Format::Csv = format {
        unless_closed(write!(out, "{}", OutcomeView::csv_head()))?;
    }
    loop {
        let mut query = query.clone();
        query.extend(after.clone().map(|case| ("after", case)));
        let page: Outcomes = client.read(&client.get(&["outcomes"], &query).await?)?;
        for outcome in &page.outcomes {
            unless_closed(match format {
                Format::Jsonl => writeln!(out, "{}", outcome.json_line()),
                Format::Csv => write!(out, "{}", outcome.csv_line()),
            })?;
        }
        match page.outcomes.last() {
            Some(last) if page.outcomes.len() == PAGE => after = Some(last.case.to_string()),
            _ => return Ok(()),
        }
    }
}

fn unless_closed(written: io::Result<()>) -> Result<(), case::Error> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Prints how good each version of each rule is.
pub async fn rules(args: &RulesArgs, out: &mut impl Write) -> Result<(), case::Error> {
    let client = args.daemon.client()?;
    let text = client.get(&["rules"], &[]).await?;
    if args.json {
        return unless_closed(writeln!(out, "{text}"));
    }
    let rules: Rules = client.read(&text)?;
    unless_closed(table(&rules.rules, out))
}

fn table(rules: &[RuleQuality], out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "{:<32} {:<8} {:>6} {:>9} {:>6} {:>9} {:>10} {:>5}  STATE",
        "RULE", "VERSION", "CASES", "CONFIRMED", "WRONG", "PRECISION", "LEAD p50", "CSAT"
    )?;
    for rule in rules {
        let n = |truth: &str| rule.outcomes.get(truth).copied().unwrap_or(0);
        let percent = rule.precision.map_or_else(|| "-".to_owned(), |p| format!("{:.0} %", p * 100.0));
        let lead = rule.lead_s.map_or_else(|| "-".to_owned(), |[_, p50, _]| lead(p50));
        let csat = rule.csat.map_or_else(|| "-".to_owned(), |c| format!("{c:.1}"));
        let state = rule.shadow.as_deref().map_or_else(|| "may act".to_owned(), |why| format!("shadow: {why}"));
        let version = rule.rev.get(..8).unwrap_or(&rule.rev);
        let wrong = n("no_fault_found") + n("customer_denied");
        writeln!(
            out,
            "{:<32} {version:<8} {:>6} {:>9} {wrong:>6} {percent:>9} {lead:>10} {csat:>5}  {state}",
            rule.rule.as_str(),
            rule.opened,
            n("confirmed")
        )?;
    }
    Ok(())
}

/// In the largest unit that leaves two digits.
fn lead(secs: f64) -> String {
    for (unit, name) in [(86_400.0, "d"), (3_600.0, "h"), (60.0, "min")] {
        if secs >= 2.0 * unit {
            return format!("{:.0} {name}", secs / unit);
        }
    }
    format!("{secs:.0} s")
}
