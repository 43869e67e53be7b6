//! `forewarn demo`: everything around the daemon on one machine, and two breakdowns.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use crate::demo::{Look, Options, Screen, Summary, play};
use crate::domain::Span;
use crate::runtime::Clock;

/// Start a broker, providers, a fleet and the daemon on this machine and watch two breakdowns being served
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// How many cars drive
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=10_000))]
    pub devices: u32,
    /// Run at least for so long, such as 60s or 10m
    #[arg(long = "for", value_name = "TIME")]
    pub at_least: Option<Span>,
    /// Print JSON lines: the events, then a summary
    #[arg(long)]
    pub json: bool,
    /// The same seed gives the same rides
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// Keep the directory with the settings, the store and the daemon's log
    #[arg(long)]
    pub keep: bool,
}

/// Runs it: 0 if both cases were served, otherwise 1 and an explanation on standard error.
pub async fn run(args: &Args, clock: Clock) -> ExitCode {
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(e) => {
            eprintln!("forewarn demo: cannot find this program: {e}");
            return ExitCode::FAILURE;
        }
    };
    let terminal = std::io::stdout().is_terminal();
    let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let width = terminal.then(|| usize::from(console::Term::stdout().size().1));
    let look = Look { began_at: clock(), colour, width };
    let screen = Screen::new(look, args.json, std::io::stderr().is_terminal());
    let at_least = args.at_least.map(|s| Duration::from_millis(s.as_millis().max(0).unsigned_abs()));
    let options = Options {
        program,
        cars: usize::try_from(args.devices).unwrap_or(usize::MAX),
        seed: args.seed,
        at_least,
        keep: args.keep,
        clock,
    };
    let played = play(&options, &screen, asked_to_stop()).await;
    screen.close();
    match played {
        Ok(summary) => finish(&screen, &summary),
        Err(e) => {
            eprintln!("forewarn demo: {e}");
            ExitCode::FAILURE
        }
    }
}

/// Ctrl-C or SIGTERM: the daemon must not outlive us, nor our directory.
async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let wait = async |kind| match signal(kind) {
        Ok(mut signals) => {
            signals.recv().await;
        }
        // Without a handler the signal ends us the hard way.
        Err(_) => std::future::pending().await,
    };
    tokio::select! {
        () = wait(SignalKind::interrupt()) => {}
        () = wait(SignalKind::terminate()) => {}
    }
}

fn finish(screen: &Screen, summary: &Summary) -> ExitCode {
    screen.say(&summary.text());
    screen.object(&serde_json::to_string(summary).unwrap_or_default());
    if summary.served {
        screen.say(NEXT);
        return ExitCode::SUCCESS;
    }
    let open: Vec<&str> = summary.cases.iter().filter(|c| !c.served).map(|c| c.device.as_str()).collect();
    eprintln!(
        "forewarn demo: not served when it ended: {}. `forewarn demo --keep` keeps the daemon's log for a look.",
        open.join(", ")
    );
    ExitCode::FAILURE
}

const NEXT: &str = "
Next:
  forewarn demo --for 10m --keep         keep it running, and look around in its directory
  config/rules, config/playbooks         what counts as a breakdown, and what is done about it
  forewarn run --config forewarn.toml    the daemon, with your broker and your providers";
