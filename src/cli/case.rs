//! `forewarn case list | show | ack | close | merge | split | release | approve | stop | resume | stops | opt-outs | opt-out | opt-in |
//! release-rule`: cases on the terminal, through the daemon's API.

mod client;
mod opt_outs;
mod render;

use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use crate::domain::{At, FirstContact, Truth, Verdict};
use serde_json::json;

pub(super) use client::Client;
use render::render_switches;
pub use render::{CaseList, Style, render_case, render_list};
pub(super) use render::{Row, clean, instant, phase, severity, table};

use crate::desk::SwitchView;
use crate::domain::Stop;

/// `forewarn case`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the daemon listens
    #[arg(long, global = true, env = "FOREWARN_URL", default_value = "http://127.0.0.1:8474")]
    pub url: String,
    /// File that holds the API token (without it: the environment variable FOREWARN_TOKEN)
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Print the daemon's answer as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do with cases.
#[derive(Debug, Clone, PartialEq, clap::Subcommand)]
pub enum Command {
    /// List open cases, newest first
    List {
        /// Closed ones too
        #[arg(long)]
        closed: bool,
        /// At most so many
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
    },
    /// Show a case: goals, what was done, timeline
    Show {
        /// Id of the case, or its first 4 or more characters
        id: String,
    },
    /// Take notice of a case
    Ack {
        /// Id of the case, or its first 4 or more characters
        id: String,
    },
    /// Close a case; an appointment that is made stands
    Close {
        /// Id of the case, or its first 4 or more characters
        id: String,
        /// Why, for the timeline
        #[arg(long)]
        reason: String,
        /// There was nothing: take back what is arranged (truck, appointment) and tell who was told; also of a closed case
        #[arg(long)]
        false_alarm: bool,
    },
    /// Make a case part of another one, which explains it
    Merge {
        /// Id of the case, or its first 4 or more characters
        id: String,
        /// Id of the case that it becomes part of
        into: String,
    },
    /// Take a case out of the one that it is part of
    Split {
        /// Id of the case, or its first 4 or more characters
        id: String,
    },
    /// End a storm: the cases that it holds go on, some at a time
    Release {
        /// Id of the storm's case, or its first 4 or more characters
        id: String,
    },
    /// Agree that the people of a storm's tier are told
    Approve {
        /// Id of the storm's case, or its first 4 or more characters
        id: String,
        /// Which tier; every one that waits unless stated
        tier: Option<String>,
    },
    /// List who does not want to be contacted, over what
    OptOuts,
    /// Enter an opt-out for somebody who told a person
    OptOut {
        /// Id of the endpoint in the registry
        endpoint: String,
        /// Over what: call, sms or email
        #[arg(value_parser = ["call", "sms", "email"])]
        channel: String,
        /// About what: service, or info alone
        #[arg(long, default_value = "service", value_parser = ["service", "info"])]
        purpose: String,
    },
    /// Lift an opt-out
    OptIn {
        /// Id of the endpoint in the registry
        endpoint: String,
        /// Over what: call, sms or email
        #[arg(value_parser = ["call", "sms", "email"])]
        channel: String,
    },
    /// Say what became of a case in truth, or correct it; what is not given stays as it was
    Outcome {
        /// Id of the case, or its first 4 or more characters; the full id of one that is forgotten
        id: String,
        /// confirmed, no_fault_found, customer_denied or unknown
        #[arg(long)]
        truth: Option<Truth>,
        /// Which part was replaced
        #[arg(long, value_name = "PART")]
        part_replaced: Option<String>,
        /// How content the customer is, 1 to 5
        #[arg(long, value_parser = clap::value_parser!(u8).range(1..=5))]
        csat: Option<u8>,
        /// Who got in touch first: us or customer
        #[arg(long, value_name = "WHO")]
        first_contact_by: Option<FirstContact>,
        /// When the device failed, such as 2026-11-22T08:00:00Z: what lead time is measured to
        #[arg(long, value_name = "TIME")]
        failed_at: Option<At>,
        /// What it cost, in the unit of `[costs]`
        #[arg(long)]
        cost: Option<f64>,
    },
    /// Stop everything that is not yet under way, of all cases or of one; people in danger are still told
    Stop {
        /// This case only: its id, or the first 4 or more characters
        #[arg(long)]
        case: Option<String>,
        /// What tells people of danger, too
        #[arg(long)]
        all: bool,
        /// Why, for whoever wonders
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Take a stop back
    Resume {
        /// Of this case only
        #[arg(long)]
        case: Option<String>,
        /// Why, for whoever wonders
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// List the stop switches
    Stops,
    /// Let a rule act: the cases that its breaker holds, or a new rule that waits for a person
    ReleaseRule {
        /// The rule, as a held case names it
        rule: String,
    },
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither a file nor the environment gives a token.
    #[error("no API token")]
    NoToken,
    /// The token file cannot be read.
    #[error("cannot read the token file {path}: {source}", path = path.display())]
    TokenFile {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The token holds characters that no token has.
    #[error("the API token holds blanks or other characters that cannot be sent")]
    BadToken,
    /// Not a URL of a daemon.
    #[error("--url '{0}' is not an http or https URL")]
    BadUrl(String),
    /// The token would be readable on the way.
    #[error("--url '{0}' is plain http to another machine; the token could be read on the way")]
    PlainHttp(String),
    /// Nobody answers there.
    #[error("no daemon answers at {url}: {why}")]
    NotRunning {
        /// Where.
        url: String,
        /// What the network said.
        why: String,
    },
    /// The daemon answers with an error.
    #[error("{message}")]
    Api {
        /// Its word for it (`not_found`, `ambiguous_case_id`, `forbidden`…).
        code: String,
        /// For people.
        message: String,
        /// What to do.
        hint: String,
    },
    /// Something answers there that is not the daemon, or one of another version.
    #[error("the answer from {url} is not one of forewarn's: {why}")]
    NotOurs {
        /// Where.
        url: String,
        /// What is odd.
        why: String,
    },
    /// The answer cannot be written.
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        Some(match self {
            Self::NoToken => "set FOREWARN_TOKEN or give --token-file; `forewarn token new` makes a token",
            Self::TokenFile { .. } => "it must be readable by you and hold the token alone",
            Self::BadToken => "a token is one word, such as fwt_…",
            Self::BadUrl(_) => "such as http://127.0.0.1:8474",
            Self::PlainHttp(_) => "use https, or run the command on the daemon's machine",
            Self::NotRunning { .. } => "is `forewarn run` running, and does [http] listen say the same address?",
            Self::Api { code, .. } if code == "not_found" => "`forewarn case list --closed` lists them all",
            Self::Api { code, .. } if code == "bad_case_id" => "`forewarn case list` shows the ids",
            Self::Api { code, .. } if code == "unauthorized" => {
                "the daemon does not know this token; its SHA-256 belongs into the settings under [[http.token]]"
            }
            Self::Api { hint, .. } if !hint.is_empty() => hint,
            Self::NotOurs { .. } => "check --url",
            Self::Api { .. } | Self::Output(_) => return None,
        })
    }

    /// 64 for what was called wrongly, 1 for everything else.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NoToken | Self::TokenFile { .. } | Self::BadToken | Self::BadUrl(_) | Self::PlainHttp(_) => 64,
            Self::Api { code, .. } if code.starts_with("bad_") || code == "ambiguous_case_id" => 64,
            _ => 1,
        }
    }
}

/// Runs the command: result to standard output, as a table on a terminal or as text in a pipe.
pub async fn run(args: &Args) -> Result<(), Error> {
    let token = token(args.token_file.as_deref(), std::env::var("FOREWARN_TOKEN").ok())?;
    let text = answer(args, token, &Style::of_stdout()).await?;
    match io::stdout().lock().write_all(text.as_bytes()) {
        // `forewarn case list | head` is no error.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

/// The token from the file, or else from the environment.
pub(super) fn token(file: Option<&Path>, from_environment: Option<String>) -> Result<SecretString, Error> {
    let text = match file {
        Some(path) => {
            std::fs::read_to_string(path).map_err(|source| Error::TokenFile { path: path.to_owned(), source })?
        }
        None => from_environment.unwrap_or_default(),
    };
    let text = text.trim();
    match text.is_empty() {
        true => Err(Error::NoToken),
        false if !text.bytes().all(|b| b.is_ascii_graphic()) => Err(Error::BadToken),
        false => Ok(text.into()),
    }
}

/// Asks the daemon and gives the text to print.
pub async fn answer(args: &Args, token: SecretString, style: &Style) -> Result<String, Error> {
    let client = Client::new(&args.url, token)?;
    let text = match &args.command {
        Command::List { closed, limit } => {
            client.get(&["cases"], &[("closed", closed.to_string()), ("limit", limit.to_string())]).await?
        }
        Command::Show { id } => client.get(&["cases", id], &[]).await?,
        Command::Ack { id } => client.post(&["cases", id, "ack"], None).await?,
        Command::Close { id, reason, false_alarm } => {
            let body = json!({ "reason": reason, "false_alarm": false_alarm });
            client.post(&["cases", id, "close"], Some(body)).await?
        }
        Command::Merge { id, into } => client.post(&["cases", id, "merge"], Some(json!({ "into": into }))).await?,
        Command::Split { id } => client.post(&["cases", id, "split"], None).await?,
        Command::Release { id } => client.post(&["cases", id, "release"], None).await?,
        Command::Approve { id, tier } => client.post(&["cases", id, "approve"], Some(json!({ "tier": tier }))).await?,
        Command::OptOuts => client.get(&["opt-outs"], &[]).await?,
        Command::OptOut { endpoint, channel, purpose } => {
            let body = serde_json::json!({ "endpoint": endpoint, "channel": channel, "purpose": purpose });
            client.post(&["opt-outs"], Some(body)).await?
        }
        Command::OptIn { endpoint, channel } => {
            let body = serde_json::json!({ "endpoint": endpoint, "channel": channel, "lift": true });
            client.post(&["opt-outs"], Some(body)).await?
        }
        Command::Stop { case, all, reason } => {
            let stop = if *all { Stop::All } else { Stop::On };
            client.post(&switch(case.as_deref()), Some(json!({ "stop": stop, "reason": reason }))).await?
        }
        Command::Resume { case, reason } => {
            client.post(&switch(case.as_deref()), Some(json!({ "stop": Stop::Off, "reason": reason }))).await?
        }
        Command::Stops => client.get(&["stop"], &[]).await?,
        Command::Outcome { id, truth, part_replaced, csat, first_contact_by, failed_at, cost } => {
            let verdict = Verdict {
                truth: *truth,
                part_replaced: part_replaced.clone(),
                csat: *csat,
                first_contact_by: *first_contact_by,
                failed_at: *failed_at,
                cost: *cost,
            };
            client.post(&["cases", id, "outcome"], Some(serde_json::json!(verdict))).await?
        }
        Command::ReleaseRule { rule } => client.post(&["rules", rule, "release"], None).await?,
    };
    if args.json {
        return Ok(text + "\n");
    }
    Ok(match &args.command {
        Command::List { limit, .. } => {
            let list: CaseList = client.read(&text)?;
            let more = list.cases.len() as u64 >= u64::from(*limit);
            let more = if more { format!("The newest {limit}; --limit for more.\n") } else { String::new() };
            render_list(&list, style) + &more
        }
        Command::Show { .. } => render_case(&client.read(&text)?, style),
        Command::Ack { .. } => format!("Case {} acknowledged.\n", client.read::<Done>(&text)?.short),
        Command::Close { false_alarm: true, .. } => {
            format!("Case {}: what is arranged is taken back.\n", client.read::<Done>(&text)?.short)
        }
        Command::Close { .. } => format!("Case {} closed.\n", client.read::<Done>(&text)?.short),
        Command::Merge { .. } => "Merged; its own steps are held.\n".to_owned(),
        Command::Split { .. } => "It is a case of its own again.\n".to_owned(),
        Command::Release { .. } => "The cases of the storm go on, some at a time.\n".to_owned(),
        Command::Approve { .. } => "They are told now.\n".to_owned(),
        Command::OptOuts => opt_outs::render(&client.read(&text)?, style),
        Command::OptOut { endpoint, channel, .. } => format!("{endpoint} is not contacted by {channel} any more.\n"),
        Command::OptIn { endpoint, channel } => format!("{endpoint} may be contacted by {channel} again.\n"),
        Command::Stop { .. } => {
            "Stopped. What is under way goes on; `forewarn case resume` takes it back.\n".to_owned()
        }
        Command::Resume { .. } => "What has waited goes on within 15 seconds.\n".to_owned(),
        Command::Stops => render_switches(&client.read::<Switches>(&text)?.switches, style),
        Command::Outcome { .. } => format!("Outcome of case {} taken.\n", client.read::<Done>(&text)?.short),
        Command::ReleaseRule { rule } => format!("Rule {rule} may act; what it holds goes on.\n"),
    })
}

/// The path of a stop switch.
fn switch(case: Option<&str>) -> Vec<&str> {
    case.map_or_else(|| vec!["stop"], |id| vec!["cases", id, "stop"])
}

/// What the daemon answers to `stops`.
#[derive(serde::Deserialize)]
struct Switches {
    switches: Vec<SwitchView>,
}

/// What the daemon answers to `ack` and `close`.
#[derive(serde::Deserialize)]
struct Done {
    short: String,
}

impl Style {
    /// What standard output can show: colours only on a terminal and without `NO_COLOR`; the zone of this machine.
    #[must_use]
    pub fn of_stdout() -> Self {
        let terminal = io::stdout().is_terminal();
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        Self {
            colour: terminal && !no_color,
            width: terminal.then(|| console::Term::stdout().size_checked()).flatten().map(|(_, w)| usize::from(w)),
            zone: jiff::tz::TimeZone::system(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_comes_from_the_file_then_from_the_environment() {
        use secrecy::ExposeSecret as _;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, "fwt_file\n").unwrap();
        let env = || Some("fwt_env".to_owned());
        assert_eq!(token(Some(&file), env()).unwrap().expose_secret(), "fwt_file");
        assert_eq!(token(None, env()).unwrap().expose_secret(), "fwt_env");
        assert!(matches!(token(None, None), Err(Error::NoToken)));
        assert!(matches!(token(None, Some(" ".to_owned())), Err(Error::NoToken)));
        assert!(matches!(token(None, Some("two words".to_owned())), Err(Error::BadToken)));
        let missing = token(Some(&dir.path().join("no")), env()).unwrap_err();
        assert_eq!(missing.exit_code(), 64);
        assert!(missing.to_string().contains("/no: "), "{missing}");
    }

    #[test]
    fn options_may_stand_before_or_behind_the_command() {
        use clap::{Args as _, FromArgMatches as _};
        let command = || Args::augment_args(clap::Command::new("case"));
        command().debug_assert();
        let parse = |line: &str| {
            let matches = command().try_get_matches_from(line.split(' ')).map_err(|e| e.kind())?;
            Args::from_arg_matches(&matches).map_err(|e| e.kind())
        };
        let close = parse("case --json close abcd --reason done --url https://me").unwrap();
        assert!(close.json && close.url == "https://me");
        assert_eq!(
            close.command,
            Command::Close { id: "abcd".to_owned(), reason: "done".to_owned(), false_alarm: false }
        );
        for bad in ["case", "case show", "case close abcd", "case list --limit 0", "case list --limit 1001"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_token_does_not_travel_in_the_clear() {
        for (url, ok) in [
            ("http://127.0.0.1:8474", true),
            ("http://localhost:8474", true),
            ("http://[::1]:8474", true),
            ("https://forewarn.example", true),
            ("http://forewarn.example", false),
            ("http://10.0.0.1", false),
        ] {
            let made = Client::new(url, "fwt_x".into());
            assert_eq!(made.is_ok(), ok, "{url}");
            assert!(ok || matches!(made, Err(Error::PlainHttp(_))));
        }
        assert!(matches!(Client::new("forewarn", "x".into()), Err(Error::BadUrl(_))));
        assert!(matches!(Client::new("ftp://127.0.0.1", "x".into()), Err(Error::BadUrl(_))));
    }
}
