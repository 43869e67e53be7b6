//! `forewarn token new`: a fresh API token, and the lines that make the daemon know it.

use std::io::{self, Write};

use secrecy::{ExposeSecret as _, SecretString};

use crate::http::{Scope, is_token_name, new_token};

/// `forewarn token`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do with tokens.
#[derive(Debug, Clone, PartialEq, Eq, clap::Subcommand)]
pub enum Command {
    /// Make a token: it goes to standard output, the lines for the settings to standard error
    New {
        /// Who will hold it; stands in the audit
        #[arg(long, value_parser = plain_name)]
        name: String,
        /// What it may do: read, ack, act, lookup, privacy, admin
        #[arg(long, value_delimiter = ',', default_value = "read")]
        scope: Vec<Scope>,
    },
}

/// Why no token was made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system gives no random bytes.
    #[error("the system gives no random bytes: {0}")]
    Random(getrandom::Error),
    /// It cannot be written.
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

/// Makes the token. On a terminal both are seen; `forewarn token new … > token` keeps the token in a file.
pub fn run(args: &Args, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), Error> {
    let Command::New { name, scope } = &args.command;
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(Error::Random)?;
    let (token, snippet) = make(name, scope, random);
    write!(err, "Put these lines into the settings and restart the daemon:\n\n{snippet}\n")?;
    writeln!(err, "The token itself is shown only now; keep it secret (FOREWARN_TOKEN, or a file of mode 0600):\n")?;
    writeln!(out, "{}", token.expose_secret())?;
    out.flush()?;
    Ok(())
}

/// The token and its lines in the settings.
fn make(name: &str, scopes: &[Scope], random: [u8; 32]) -> (SecretString, String) {
    let (token, sha256) = new_token(random);
    let mut scopes: Vec<String> = scopes.iter().map(|s| format!("\"{s}\"")).collect();
    scopes.dedup();
    let scopes = scopes.join(", ");
    let snippet = format!("[[http.token]]\nname = \"{name}\"\nsha256 = \"{sha256}\"\nscopes = [{scopes}]\n");
    (token, snippet)
}

/// The same rule as in the settings, so that what is printed will be taken.
fn plain_name(text: &str) -> Result<String, String> {
    match is_token_name(text) {
        true => Ok(text.to_owned()),
        false => Err("1 to 64 letters, digits and - _ . @".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Settings, TokenSettings};

    #[test]
    fn the_printed_lines_are_taken_as_settings() {
        let (_, snippet) = make("ops@night", &[Scope::Read, Scope::Ack, Scope::Ack], [1; 32]);
        #[derive(serde::Deserialize)]
        struct File {
            http: Settings,
        }
        let file: File = toml::from_str(&snippet).unwrap();
        let token: &TokenSettings = &file.http.token[0];
        assert_eq!((token.name.as_str(), token.scopes.as_slice()), ("ops@night", &[Scope::Read, Scope::Ack][..]));
        assert!(file.http.resolve().is_ok());
    }

    #[test]
    fn the_token_alone_goes_to_standard_output() {
        let command = Command::New { name: "a".to_owned(), scope: vec![Scope::Admin] };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        run(&Args { command }, &mut out, &mut err).unwrap();
        let (out, err) = (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap());
        assert!(out.starts_with("fwt_") && out.trim_end().len() == 47, "{out}");
        assert!(!err.contains(out.trim_end()), "{err}");
        assert!(plain_name("a b").is_err() && plain_name("").is_err() && plain_name("jane@x").is_ok());
    }
}
