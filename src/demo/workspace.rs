//! The demo's own directory: the shipped `config/`, out of this binary, with the addresses and secrets of the sandbox.
//!
//! What can be said in the environment is said there, the way an administrator would; the file is changed only where
//! the environment cannot reach: lists, and the names of secret files that do not exist here.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use include_dir::{Dir, include_dir};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use toml::{Table, Value};

use super::daemon::free_port;
use super::sandbox::Sandbox;
use super::{Error, registry, sandbox};

/// `config/` as it was when this binary was built.
static CONFIG: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/config");

/// Secrets that the daemon and the sandbox share, made anew for each demo.
#[derive(Debug, Clone)]
pub struct Secrets {
    /// Of the ticket desk's API.
    pub desk: String,
    /// `whsec_…`
    pub tow: String,
    /// `AC…`
    pub account: String,
    /// Of the phone account.
    pub phone: String,
    /// `whsec_…`
    pub app: String,
    /// Of the workshop's booking server.
    pub workshop: String,
    /// Of the daemon's own API.
    pub api: String,
}

impl Secrets {
    /// # Errors
    /// [`Error::Sandbox`] if the system has no randomness.
    pub fn new() -> Result<Self, Error> {
        let random = || -> Result<[u8; 32], Error> {
            let mut bytes = [0; 32];
            getrandom::fill(&mut bytes).map_err(|e| Error::Sandbox(e.to_string()))?;
            Ok(bytes)
        };
        let word = || random().map(|bytes| URL_SAFE_NO_PAD.encode(bytes));
        let hex: String = random()?.iter().take(16).map(|b| format!("{b:02x}")).collect();
        let webhook = || random().map(|bytes| format!("whsec_{}", STANDARD.encode(bytes)));
        Ok(Self {
            desk: word()?,
            tow: webhook()?,
            app: webhook()?,
            workshop: word()?,
            account: format!("AC{hex}"),
            phone: word()?,
            api: format!("fwt_{}", word()?),
        })
    }
}

/// Where everything is.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// `mqtt://…`
    pub broker: String,
    /// The daemon's own port on loopback.
    pub http: u16,
    /// Port of the mail server.
    pub mail: u16,
    /// Base URL.
    pub desk: String,
    /// Base URL.
    pub tow: String,
    /// Base URL.
    pub phone: String,
    /// URL.
    pub app: String,
    /// Base URL.
    pub workshop: String,
}

impl Addresses {
    /// Where the broker and the sandbox are, and a free port for the daemon.
    ///
    /// # Errors
    /// [`Error::Listen`].
    pub fn of(broker: String, sandbox: &Sandbox) -> Result<Self, Error> {
        Ok(Self {
            broker,
            http: free_port()?,
            mail: sandbox.mail.addr().port(),
            desk: sandbox.desk.url(),
            tow: sandbox.tow.url(),
            phone: sandbox.phone.url(),
            app: sandbox.app.url(),
            workshop: sandbox.workshop.url(),
        })
    }
}

/// A directory with settings that the daemon can be started with. Removed when dropped, unless kept.
#[derive(Debug)]
pub struct Workspace {
    dir: PathBuf,
    _temporary: Option<TempDir>,
}

impl Workspace {
    /// Writes the shipped configuration for a fleet of `cars`.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn create(cars: usize, to: &Addresses, secrets: &Secrets, keep: bool) -> Result<Self, Error> {
        let temporary = tempfile::Builder::new()
            .prefix("forewarn-demo-")
            .tempdir()
            .map_err(|source| Error::Write { path: std::env::temp_dir(), source })?;
        let (dir, temporary) =
            if keep { (temporary.keep(), None) } else { (temporary.path().to_owned(), Some(temporary)) };
        let config = dir.join("config");
        fs::create_dir_all(&config).map_err(|source| Error::Write { path: config.clone(), source })?;
        CONFIG.extract(&config).map_err(|source| Error::Write { path: config.clone(), source })?;
        if cars > registry::SHIPPED {
            for (name, text) in registry::files(cars) {
                write(&config.join("registry").join(name), &text)?;
            }
        }
        let shipped = CONFIG.get_file("forewarn.toml").and_then(|f| f.contents_utf8()).unwrap_or_default();
        write(&config.join("forewarn.toml"), &settings(shipped, to, secrets)?)?;
        // The directory itself is ours alone (0700).
        write(&dir.join("token"), &secrets.api)?;
        Ok(Self { dir, _temporary: temporary })
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The settings file.
    #[must_use]
    pub fn settings(&self) -> PathBuf {
        self.dir.join("config").join("forewarn.toml")
    }

    /// The file with the API token, for `forewarn case`.
    #[must_use]
    pub fn token_file(&self) -> PathBuf {
        self.dir.join("token")
    }

    /// What the daemon prints.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.dir.join("daemon.log")
    }

    /// The environment to start the daemon with.
    #[must_use]
    pub fn environment(&self, to: &Addresses, secrets: &Secrets) -> Vec<(&'static str, String)> {
        let local = format!("127.0.0.1:{}", to.http);
        vec![
            ("FOREWARN__STORE__DIR", self.dir.join("store").display().to_string()),
            ("FOREWARN__HTTP__LISTEN", local.clone()),
            ("FOREWARN__HTTP__PUBLIC_URL", format!("http://{local}")),
            // The night of somebody in the fleet must not hold back the mail that is to be shown: an empty window.
            ("FOREWARN__DESK__QUIET_HOURS", "00:00-00:00".to_owned()),
            ("FOREWARN__PROVIDER__MAIL__HOST", "127.0.0.1".to_owned()),
            ("FOREWARN__PROVIDER__MAIL__PORT", to.mail.to_string()),
            ("FOREWARN__PROVIDER__MAIL__TLS", "none".to_owned()),
            ("FOREWARN__PROVIDER__HELPDESK__URL", to.desk.clone()),
            ("FOREWARN__PROVIDER__HELPDESK__TOKEN", secrets.desk.clone()),
            ("FOREWARN__PROVIDER__TOW__URL", to.tow.clone()),
            ("FOREWARN__PROVIDER__TOW__SECRET", secrets.tow.clone()),
            ("FOREWARN__PROVIDER__PHONE__URL", to.phone.clone()),
            ("FOREWARN__PROVIDER__PHONE__ACCOUNT_SID", secrets.account.clone()),
            ("FOREWARN__PROVIDER__PHONE__TOKEN", secrets.phone.clone()),
            ("FOREWARN__PROVIDER__TEXT__URL", to.phone.clone()),
            ("FOREWARN__PROVIDER__TEXT__ACCOUNT_SID", secrets.account.clone()),
            ("FOREWARN__PROVIDER__TEXT__TOKEN", secrets.phone.clone()),
            ("FOREWARN__PROVIDER__APP__URL", to.app.clone()),
            ("FOREWARN__PROVIDER__APP__SECRET", secrets.app.clone()),
            ("FOREWARN__PROVIDER__WORKSHOP__URL", to.workshop.clone()),
            ("FOREWARN__PROVIDER__WORKSHOP__USERNAME", sandbox::USER.to_owned()),
            ("FOREWARN__PROVIDER__WORKSHOP__PASSWORD", secrets.workshop.clone()),
            // Nobody is behind the parts system either: the play has no such case.
            ("FOREWARN__PROVIDER__PARTS__URL", "http://127.0.0.1:9/".to_owned()),
            ("FOREWARN__PROVIDER__PARTS__SECRET", secrets.tow.clone()),
            // Nobody is behind the pager: the demo must do without a person.
            ("FOREWARN__PROVIDER__PAGER__URL", "http://127.0.0.1:9/".to_owned()),
            ("FOREWARN__PROVIDER__PAGER__SECRET", secrets.tow.clone()),
        ]
    }
}

/// The shipped settings with the lists of the demo, and without secret files.
fn settings(shipped: &str, to: &Addresses, secrets: &Secrets) -> Result<String, Error> {
    let unreadable = |e: &dyn std::fmt::Display| Error::Sandbox(format!("the shipped config/forewarn.toml: {e}"));
    let mut root: Table = shipped.parse().map_err(|e| unreadable(&e))?;
    section(&mut root, "broker").insert("urls".to_owned(), vec![to.broker.clone()].into());
    let hash: String = Sha256::digest(secrets.api.as_bytes()).iter().map(|b| format!("{b:02x}")).collect();
    let mut token = Table::new();
    token.insert("name".to_owned(), "demo".into());
    token.insert("sha256".to_owned(), hash.into());
    token.insert("scopes".to_owned(), vec!["admin"].into());
    section(&mut root, "http").insert("token".to_owned(), Value::Array(vec![token.into()]));
    for provider in section(&mut root, "provider").iter_mut().filter_map(|(_, v)| v.as_table_mut()) {
        for key in ["password_file", "token_file", "secret_file"] {
            provider.remove(key);
        }
        // The mail server of the demo asks nobody who they are.
        if provider.get("kind").and_then(Value::as_str) == Some("smtp") {
            provider.remove("username");
        }
    }
    toml::to_string(&root).map_err(|e| unreadable(&e))
}

fn section<'a>(root: &'a mut Table, name: &str) -> &'a mut Table {
    let value = root.entry(name).or_insert_with(|| Table::new().into());
    if !value.is_table() {
        *value = Table::new().into();
    }
    value.as_table_mut().expect("it was just made one")
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(|source| Error::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses() -> Addresses {
        let at = |port| format!("http://127.0.0.1:{port}");
        Addresses {
            broker: "mqtt://127.0.0.1:1".into(),
            http: 2,
            mail: 3,
            desk: at(4),
            tow: at(5),
            phone: at(6),
            app: at(7),
            workshop: at(8),
        }
    }

    #[test]
    fn the_directory_holds_a_whole_configuration_and_goes_away() {
        let secrets = Secrets::new().unwrap();
        let space = Workspace::create(100, &addresses(), &secrets, false).unwrap();
        let text = fs::read_to_string(space.settings()).unwrap();
        let root: Table = text.parse().unwrap();
        assert_eq!(root["broker"]["urls"][0].as_str(), Some("mqtt://127.0.0.1:1"));
        assert_eq!(root["http"]["token"][0]["sha256"].as_str().unwrap().len(), 64);
        assert!(!text.contains("_file = \"/") && !text.contains(&secrets.api), "{text}");
        assert_eq!(root["provider"]["tow"]["kind"].as_str(), Some("dispatch"), "the rest is as shipped");
        let devices = fs::read_to_string(space.dir().join("config/registry/devices.csv")).unwrap();
        assert_eq!(devices.lines().count(), 105, "the heading, two air handlers and two lifts");
        let dir = space.dir().to_owned();
        drop(space);
        assert!(!dir.exists());
    }

    /// Each variable must name a setting that is in the shipped file, or replace a `*_file` that is.
    #[test]
    fn every_override_names_a_shipped_setting() {
        let shipped: Table = CONFIG.get_file("forewarn.toml").unwrap().contents_utf8().unwrap().parse().unwrap();
        let secrets = Secrets::new().unwrap();
        let space = Workspace::create(2, &addresses(), &secrets, false).unwrap();
        for (name, value) in space.environment(&addresses(), &secrets) {
            let path = name.strip_prefix("FOREWARN__").unwrap().to_lowercase();
            let mut at: &Value = &shipped.clone().into();
            let keys: Vec<&str> = path.split("__").collect();
            let (last, parents) = keys.split_last().unwrap();
            for key in parents {
                at = at.get(key).unwrap_or_else(|| panic!("{name}: no {key}"));
            }
            assert!(at.get(last).or(at.get(format!("{last}_file"))).is_some(), "{name}");
            assert!(!value.is_empty());
        }
    }
}
