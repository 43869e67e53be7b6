//! `forewarn lookup`: who calls or writes, and how things stand with their devices, for whoever has them on the line.

mod render;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use secrecy::SecretString;

use super::case::{self, Client, Error, Style};

pub use render::render;

/// What `forewarn lookup` is asked to do.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct Args {
    /// Where the daemon listens
    #[arg(long, env = "FOREWARN_URL", default_value = "http://127.0.0.1:8474")]
    pub url: String,
    /// File that holds an API token of scope `lookup` (without it: the environment variable FOREWARN_TOKEN)
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Print the daemon's answer as JSON
    #[arg(long)]
    pub json: bool,
    /// Who.
    #[command(flatten)]
    pub caller: Caller,
}

/// What is known of whoever calls or writes; exactly one of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, clap::Args)]
#[group(required = true, multiple = false)]
pub struct Caller {
    /// Their phone number, with the country in front; blanks and dashes do not matter
    #[arg(long, value_name = "NUMBER", value_parser = NonEmptyStringValueParser::new())]
    pub phone: Option<String>,
    /// Their mail address
    #[arg(long, value_name = "ADDRESS", value_parser = NonEmptyStringValueParser::new())]
    pub email: Option<String>,
    /// Id of the device that it is about, as in devices.csv
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub device: Option<String>,
}

/// Runs the command: result to standard output.
pub async fn run(args: &Args, out: &mut impl Write) -> Result<(), Error> {
    let token = case::token(args.token_file.as_deref(), std::env::var("FOREWARN_TOKEN").ok())?;
    let text = answer(args, token, &Style::of_stdout()).await?;
    match out.write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Asks the daemon and gives the text to print.
pub async fn answer(args: &Args, token: SecretString, style: &Style) -> Result<String, Error> {
    let client = Client::new(&args.url, token)?;
    let Caller { phone, email, device } = &args.caller;
    let asked = [("phone", phone), ("email", email), ("device", device)];
    let query: Vec<(&str, String)> =
        asked.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect();
    let text = client.get(&["lookup"], &query).await?;
    if args.json {
        return Ok(text + "\n");
    }
    Ok(render(&client.read(&text)?, style))
}
