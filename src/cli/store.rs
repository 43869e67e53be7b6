//! `forewarn audit` and `forewarn store`: the desk's log and state, looked at and moved without the daemon.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Subcommand;

use crate::store::{self, Anchor, Head, SignedHead, Store, Verified};

/// Where the daemon keeps everything, if nothing else is said.
const DATA: &str = "/var/lib/forewarn";

/// What `forewarn audit` is asked to do.
#[derive(Debug, clap::Args)]
pub struct AuditArgs {
    /// The daemon's directory (`store.dir` in the settings); it may be running
    #[arg(long, value_name = "DIR", default_value = DATA, global = true)]
    data: PathBuf,
    #[command(subcommand)]
    command: Audit,
}

#[derive(Debug, Subcommand)]
enum Audit {
    /// Check the chain of the desk log: every edited, removed, added or moved record is found
    Verify {
        /// A head printed earlier and kept elsewhere: shows records cut off the end as well
        #[arg(long, value_name = "SEQ:HASH")]
        head: Option<Head>,
        /// Heads that the daemon has sent out (topic forewarn/<client id>/audit), one JSON object a line
        #[arg(long, value_name = "FILE")]
        heads: Option<PathBuf>,
        /// The public key that must have signed them; the one of the first of them unless stated
        #[arg(long, value_name = "BASE64", requires = "heads")]
        key: Option<String>,
    },
    /// Print the records: number, time, who, what
    Log {
        /// Begin with this record
        #[arg(long, value_name = "SEQ", default_value_t = 0)]
        from: u64,
    },
}

/// What `forewarn store` is asked to do.
#[derive(Debug, clap::Args)]
pub struct StoreArgs {
    /// The daemon's directory (`store.dir` in the settings); the daemon must not be running
    #[arg(long, value_name = "DIR", default_value = DATA, global = true)]
    data: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the desk's state into a file of its own; hourly ones are in <DIR>/desk/exports
    Export {
        /// The file to write
        file: PathBuf,
    },
    /// Begin with an exported state. Effects are held until a person releases them
    Import {
        /// The exported file
        file: PathBuf,
    },
    /// Agree that effects may be sent again after an import: first see which were sent since the export
    Release,
}

/// Does what `forewarn audit` is asked.
pub fn audit(args: &AuditArgs, out: &mut impl Write) -> Result<(), store::Error> {
    let dir = desk(&args.data);
    match &args.command {
        Audit::Verify { head, heads, key } => {
            let sent = heads.as_deref().map(|file| read_heads(file, key.as_deref())).transpose()?;
            let kept = sent.iter().flat_map(|(heads, _)| heads).copied();
            let found = store::verify(&dir, kept.chain(*head))?;
            if let Some((heads, key)) = &sent {
                written(writeln!(out, "{} signed heads of {key}: the chain agrees with them", heads.len()))?;
            }
            written(report(&found, out))
        }
        Audit::Log { from } => {
            for record in store::records(&dir, *from)? {
                let (seq, record) = record?;
                // As many digits as there are, in a column of its own.
                let at = record.at.to_string();
                written(writeln!(out, "{seq:>8}  {at:<27}  {:<20}  {}", record.actor, record.what))?;
            }
            Ok(())
        }
    }
}

/// Does what `forewarn store` is asked.
pub fn store(args: &StoreArgs, out: &mut impl Write) -> Result<(), store::Error> {
    let dir = desk(&args.data);
    match &args.command {
        Command::Export { file } => {
            let (store, _) = Store::open(&dir)?;
            store.export_to(file)?;
            written(writeln!(out, "{} holds the state up to record {}", file.display(), store.head()))
        }
        Command::Import { file } => {
            let head = Store::restore(&dir, file)?;
            written(writeln!(
                out,
                "{} continues from record {head}\neffects are held: what was sent after the export is not known here\n\
                 see what was, then: forewarn store release --data {}",
                dir.display(),
                args.data.display()
            ))
        }
        Command::Release => {
            let (mut store, report) = Store::open(&dir)?;
            let Some(why) = report.held else { return written(writeln!(out, "nothing is held")) };
            store.release_hold()?;
            written(writeln!(out, "released; it was held because: {why}"))
        }
    }
}

/// The heads in a file, whose key must have signed all of them, and that key.
fn read_heads(file: &Path, key: Option<&str>) -> Result<(Vec<Head>, String), store::Error> {
    let refuse = |why: String| store::Error::Heads { path: file.to_owned(), why };
    let text = std::fs::read_to_string(file).map_err(|e| refuse(e.to_string()))?;
    let mut wanted = key.map(str::to_owned);
    let mut heads = Vec::new();
    for (n, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let at_line = |why: &str| refuse(format!("line {}: {why}", n + 1));
        let signed: SignedHead = serde_json::from_str(line).map_err(|e| at_line(&e.to_string()))?;
        let head = signed.verify().map_err(at_line)?;
        if *wanted.get_or_insert_with(|| signed.key.clone()) != signed.key {
            return Err(at_line("it is signed with another key"));
        }
        heads.push(head);
    }
    Ok((heads, wanted.ok_or_else(|| refuse("it holds no head".to_owned()))?))
}

fn desk(data: &Path) -> PathBuf {
    data.join("desk")
}

fn report(found: &Verified, out: &mut impl Write) -> io::Result<()> {
    let Some(first) = found.first else {
        return writeln!(out, "the log is empty\nhead {}", found.head);
    };
    writeln!(out, "{} records, {first} to {}: intact", found.records, found.head.seq)?;
    let begin = match found.anchor {
        Anchor::Genesis => "the chain begins with record 1".to_owned(),
        Anchor::Export => format!("the chain continues from the export of record {}", first - 1),
        Anchor::Unknown => format!("records before {first} were trimmed, and no export vouches for them"),
    };
    writeln!(out, "{begin}; it agrees with {} kept exports", found.exports)?;
    writeln!(out, "head {}", found.head)?;
    writeln!(out, "keep the head elsewhere: --head shows later whether anything before it was cut off")
}

/// A closed pipe is no fault of the store.
fn written(result: io::Result<()>) -> Result<(), store::Error> {
    match result {
        Err(source) if source.kind() != io::ErrorKind::BrokenPipe => {
            Err(store::Error::Io { doing: "write to", path: "standard output".into(), source })
        }
        _ => Ok(()),
    }
}
