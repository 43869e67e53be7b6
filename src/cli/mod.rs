//! Commands and exit codes.

pub mod backtest;
pub mod case;
pub mod check;
pub mod customer;
#[cfg(feature = "demo")]
pub mod demo;
pub mod explain;
pub mod fit;
pub mod lookup;
pub mod outcomes;
pub mod reload;
pub mod replay;
pub mod schema;
pub mod store;
pub mod test;
pub mod token;

use std::io::{IsTerminal as _, stderr, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use tracing_subscriber::EnvFilter;

use crate::app;
use crate::lab::AskError;

/// Wrong use of the command line.
const USAGE: u8 = 64;
/// Store or journal cannot be read or written.
const IO: u8 = 74;
/// Settings, rules or other files are wrong.
const CONFIG: u8 = 78;

/// Watches a device fleet over MQTT, recognises breakdowns and acts before the customer calls
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon: SIGTERM drains and stops, SIGHUP reloads rules, playbooks, messages and registry
    Run {
        /// The settings file; the directories that it names are relative to it
        #[arg(long, value_name = "FILE", env = "FOREWARN_CONFIG")]
        config: PathBuf,
        /// How the log is written to standard error; RUST_LOG chooses what (info unless set)
        #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
        log_format: LogFormat,
    },
    /// Show all that is wrong or odd in the settings, models, rules, playbooks, texts and registry
    Check(check::Args),
    /// Show what the rules would have said of a recording, and how good that is
    Backtest(backtest::Args),
    /// Have the daemon read its rules and other files again; --dry-run: only show what edited rules would change
    Reload(reload::Args),
    /// Learn from a recording what is usual in the fleet: the baselines that the rules ask for
    Fit(fit::Args),
    /// Show and handle cases of a running daemon
    Case(case::Args),
    /// Who calls or writes: their devices, open cases, and what is arranged for them
    Lookup(lookup::Args),
    /// What became of cases, for product engineering
    Outcomes(outcomes::Args),
    /// How good the rules are: precision and lead time by outcomes, and which are in shadow
    Rules(outcomes::RulesArgs),
    /// The rights of a customer: export everything that is stored of them, or erase it
    Customer(customer::Args),
    /// Publish a recording to a broker
    Replay(replay::Args),
    /// Show everything on this machine alone: broker, providers, a fleet, two faults and how they are served
    #[cfg(feature = "demo")]
    Demo(demo::Args),
    /// Print a JSON Schema of a kind of file, for editors
    Schema(schema::Args),
    /// Check and read the log of everything the desk decided
    Audit(store::AuditArgs),
    /// Move the desk's state: export, import, release
    Store(store::StoreArgs),
    Explain(Box<explain::Args>),
    Test(test::Args),
    /// Make tokens for the API
    Token(token::Args),
}

/// Parses the command line, does it, and says how it went.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { USAGE } else { 0 };
            // Nothing can be done about a closed terminal.
            let _unseen = error.print();
            return ExitCode::from(code);
        }
    };
    // One TLS stack: everything that speaks TLS uses this provider.
    let _already = rustls::crypto::ring::default_provider().install_default();
    match cli.command {
        Command::Run { config, log_format } => run(config, log_format),
        Command::Check(args) => match check::run(&args, &mut stdout().lock()) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::from(CONFIG),
            Err(error) => complain(&error, None, 1),
        },
        Command::Backtest(args) => looked_back(backtest::run(&args, &mut stdout().lock())),
        Command::Reload(args) => reload(&args),
        Command::Fit(args) => looked_back(fit::run(&args)),
        Command::Case(args) => case(&args),
        Command::Lookup(args) => asked(on_runtime(lookup::run(&args, &mut stdout()))),
        Command::Outcomes(args) => asked(on_runtime(outcomes::run(&args, &mut stdout()))),
        Command::Rules(args) => asked(on_runtime(outcomes::rules(&args, &mut stdout()))),
        Command::Customer(args) => customer(&args),
        Command::Replay(args) => on_runtime(replay::run(args, app::clock())).unwrap_or_else(|code| code),
        #[cfg(feature = "demo")]
        Command::Demo(args) => on_runtime(demo::run(&args, app::clock())).unwrap_or_else(|code| code),
        Command::Schema(args) => match schema::run(&args, &mut stdout().lock()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => complain(&error, None, 1),
        },
        Command::Audit(args) => stored(store::audit(&args, &mut stdout().lock())),
        Command::Store(args) => stored(store::store(&args, &mut stdout().lock())),
        Command::Explain(args) => explain(&args),
        Command::Test(args) => test(&args),
        Command::Token(args) => match token::run(&args, &mut stdout(), &mut stderr()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => complain(&error, None, 1),
        },
    }
}

fn run(config: PathBuf, format: LogFormat) -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).with_target(false);
    match format {
        LogFormat::Text => log.with_ansi(stderr().is_terminal()).init(),
        LogFormat::Json => log.json().init(),
    }
    // Reads FAILPOINTS in builds that have them; nothing otherwise.
    let scenario = fail::FailScenario::setup();
    let ended = on_runtime(app::run(config));
    scenario.teardown();
    match ended {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => refuse(&error),
        Err(code) => code,
    }
}

/// Why the daemon could not run or go on, with the exit code that tells the supervisor whether to try again.
fn refuse(error: &app::Error) -> ExitCode {
    if let app::Error::Config(diags) = error {
        eprint!("{}", diags.render(stderr().is_terminal()));
    }
    let code = match error {
        app::Error::Config(_) | app::Error::Channels(_) | app::Error::Broker(_) => CONFIG,
        app::Error::Recover(_) | app::Error::Storage(_) => IO,
        app::Error::Io { .. } => 1,
    };
    complain(error, None, code)
}

fn looked_back(done: Result<(), backtest::Error>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let backtest::Error::Config(diags) = &error {
                eprint!("{}", diags.render(stderr().is_terminal()));
            }
            complain(&error, None, error.exit_code())
        }
    }
}

fn reload(args: &reload::Args) -> ExitCode {
    match on_runtime(reload::run(args, &mut stdout())) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(reload::Error::Looking(error))) => looked_back(Err(error)),
        Ok(Err(reload::Error::Daemon(error))) => complain(&error, error.hint(), error.exit_code()),
        Ok(Err(error @ reload::Error::Refused { .. })) => {
            if let reload::Error::Refused { findings } = &error {
                eprint!("{findings}");
            }
            complain(&error, Some("`forewarn check` shows the same"), CONFIG)
        }
        Err(code) => code,
    }
}

fn case(args: &case::Args) -> ExitCode {
    asked(on_runtime(case::run(args)))
}

fn asked(done: Result<Result<(), case::Error>, ExitCode>) -> ExitCode {
    match done {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => complain(&error, error.hint(), error.exit_code()),
        Err(code) => code,
    }
}

fn customer(args: &customer::Args) -> ExitCode {
    match on_runtime(customer::run(args, &mut stdout())) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(customer::Error::App(error))) => refuse(&error),
        Ok(Err(customer::Error::Daemon(error))) => complain(&error, error.hint(), error.exit_code()),
        Ok(Err(error)) => complain(&error, None, 1),
        Err(code) => code,
    }
}

fn stored(done: Result<(), crate::store::Error>) -> ExitCode {
    done.map_or_else(|error| complain(&error, None, IO), |()| ExitCode::SUCCESS)
}

fn explain(args: &explain::Args) -> ExitCode {
    let error = match on_runtime(explain::run(args)) {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        Ok(Err(error)) => error,
        Err(code) => return code,
    };
    let code = match &error {
        explain::Failure::Daemon(error) => error.exit_code(),
        explain::Failure::Backtest(error) => {
            if let backtest::Error::Config(diags) = error {
                eprint!("{}", diags.render(stderr().is_terminal()));
            }
            error.exit_code()
        }
        explain::Failure::Ask(AskError::Rule(_)) => USAGE,
        explain::Failure::Ask(_) | explain::Failure::Output(_) => 1,
    };
    complain(&error, error.hint().as_deref(), code)
}

fn test(args: &test::Args) -> ExitCode {
    match test::run(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(test::Error::App(error)) => refuse(&error),
        Err(error) => {
            let code = match &error {
                test::Error::Files(diags) => {
                    eprint!("{}", diags.render(stderr().is_terminal()));
                    CONFIG
                }
                test::Error::NoSuchTest(_) => USAGE,
                test::Error::App(_) | test::Error::Output { .. } => 1,
            };
            complain(&error, None, code)
        }
    }
}

fn on_runtime<T>(work: impl Future<Output = T>) -> Result<T, ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map(|r| r.block_on(work)).map_err(|error| complain(&error, None, 1))
}

/// One sentence, its causes (unless it has told them), and what to do.
fn complain(error: &dyn std::error::Error, hint: Option<&str>, code: u8) -> ExitCode {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_said = next.to_string();
        if !said.ends_with(&next_said) {
            said = format!("{said}: {next_said}");
        }
        cause = next.source();
    }
    eprintln!("forewarn: {said}");
    if let Some(hint) = hint {
        eprintln!("hint: {hint}");
    }
    ExitCode::from(code)
}
