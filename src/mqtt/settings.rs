//! The `[broker]` section of the settings.

use std::path::{Path, PathBuf};

use secrecy::SecretString;
use serde::Deserialize;

use super::{BrokerUrl, Error, QueueLimits};
use crate::domain::Span;
use crate::source::Diagnostic;

/// How to reach the broker and how much to take from it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Brokers in order of preference, `mqtt://host:1883` or `mqtts://host:8883`; the next one is tried when one fails.
    pub urls: Vec<String>,
    /// Names the persistent session; publishing uses `<client_id>-out`. Two daemons must never share one.
    pub client_id: String,
    /// Empty: none.
    pub username: String,
    /// The password itself; better use `password_file`.
    pub password: Option<SecretString>,
    /// A file that holds the password. Empty: none.
    pub password_file: PathBuf,
    /// PEM: the only CAs that may have signed the broker's certificate. Empty: those that the system trusts.
    pub ca_file: PathBuf,
    /// PEM: our certificate chain for mutual TLS. Empty: none.
    pub cert_file: PathBuf,
    /// PEM: the key of `cert_file`.
    pub key_file: PathBuf,
    /// Allows `mqtt://` to another machine: everything, the password too, can be read and changed on the way.
    pub insecure: bool,
    /// For how long the broker keeps our session and what arrives for it while we are away.
    pub session_expiry: Span,
    /// Unacknowledged messages that the broker may have under way to us (1..=65535). The acks wait for a disk, so
    /// this, divided by the time of an fsync, limits the rate.
    pub receive_maximum: u16,
    /// Larger packets are not sent to us by the broker.
    pub max_packet_bytes: u32,
    /// Messages that may wait for the journal.
    pub queue_messages: usize,
    /// Bytes that may wait for the journal.
    pub queue_bytes: usize,
    /// A ping is sent this often; the broker gives us up after one and a half of it. 5s..=18h.
    pub keep_alive: Span,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            urls: vec!["mqtt://127.0.0.1:1883".into()],
            client_id: "forewarn".into(),
            username: String::new(),
            password: None,
            password_file: PathBuf::new(),
            ca_file: PathBuf::new(),
            cert_file: PathBuf::new(),
            key_file: PathBuf::new(),
            insecure: false,
            session_expiry: Span::from_hours(7 * 24),
            receive_maximum: 1000,
            max_packet_bytes: 1 << 20,
            queue_messages: 20_000,
            queue_bytes: 64 << 20,
            keep_alive: Span::from_secs(60),
        }
    }
}

impl Settings {
    /// Replaces the names of files by their places.
    pub fn resolve(&mut self, place: impl Fn(&Path) -> PathBuf) {
        for path in [&mut self.password_file, &mut self.ca_file, &mut self.cert_file, &mut self.key_file] {
            if !path.as_os_str().is_empty() {
                *path = place(path);
            }
        }
    }

    /// Everything that is wrong or risky, each with the key it is about (for the caret). Codes S101..S113.
    #[must_use]
    pub fn check(&self) -> Vec<(&'static str, Diagnostic)> {
        let mut found = Vec::new();
        self.check_urls(&mut found);
        self.check_files(&mut found);
        let mut must = |ok: bool, key, code, message: &str, hint: &str| {
            if !ok {
                found.push((key, Diagnostic::error(code, message).hint(hint)));
            }
        };
        let id = &self.client_id;
        let id_ok =
            !id.is_empty() && id.len() <= 200 && !id.contains(['+', '#', '/']) && !id.contains(char::is_control);
        must(
            id_ok,
            "client_id",
            "S102",
            "client_id must be 1 to 200 characters without '+', '#' and '/'",
            "it is part of the status topic forewarn/<client_id>/status",
        );
        must(
            self.receive_maximum > 0,
            "receive_maximum",
            "S103",
            "receive_maximum must be at least 1",
            "1000 is a good value",
        );
        must(
            self.max_packet_bytes >= 1024,
            "max_packet_bytes",
            "S104",
            "max_packet_bytes must be at least 1024",
            "the largest telemetry message with its topic must fit",
        );
        must(
            self.queue_messages > 0 && self.queue_bytes > 0,
            "queue_messages",
            "S105",
            "queue_messages and queue_bytes must be above 0",
            "20000 messages and 67108864 bytes are good values",
        );
        let keep_alive = (Span::from_secs(5)..=Span::from_hours(18)).contains(&self.keep_alive);
        must(keep_alive, "keep_alive", "S106", "keep_alive must be from 5s to 18h", "60s is a good value");
        must(
            self.session_expiry >= Span::from_mins(1),
            "session_expiry",
            "S107",
            "session_expiry must be at least 1m",
            "without a session, what is sent while the daemon is down is lost",
        );
        must(
            self.password.is_none() || !is_set(&self.password_file),
            "password_file",
            "S108",
            "password and password_file are both given",
            "keep password_file",
        );
        let has_password = self.password.is_some() || is_set(&self.password_file);
        must(
            !has_password || !self.username.is_empty(),
            "username",
            "S109",
            "a password is given without a username",
            "add username",
        );
        must(
            is_set(&self.cert_file) == is_set(&self.key_file),
            "cert_file",
            "S110",
            "cert_file and key_file belong together",
            "give both for mutual TLS, or none",
        );
        if self.receive_maximum > 0 && self.receive_maximum < 1000 {
            let message = "with a receive_maximum below 1000 the broker may queue and then drop messages under load";
            found.push(("receive_maximum", Diagnostic::warning("S111", message).hint("1000 is a good value")));
        }
        found
    }

    fn check_urls(&self, found: &mut Vec<(&'static str, Diagnostic)>) {
        if self.urls.is_empty() {
            found.push((
                "urls",
                Diagnostic::error("S101", "no broker is given").hint("urls = [\"mqtt://127.0.0.1:1883\"]"),
            ));
        }
        for text in &self.urls {
            let url = match text.parse::<BrokerUrl>() {
                Ok(url) => url,
                Err(error) => {
                    found.push(("urls", Diagnostic::error("S101", error.to_string())));
                    continue;
                }
            };
            if url.tls || url.is_loopback() {
                continue;
            }
            let message = format!("the connection to {url} is not encrypted");
            found.push(if self.insecure {
                (
                    "urls",
                    Diagnostic::warning("S112", message)
                        .hint("anybody on the way can read and change telemetry and commands"),
                )
            } else {
                (
                    "urls",
                    Diagnostic::error("S112", message)
                        .hint("use mqtts://, or say insecure = true if the network is trusted"),
                )
            });
        }
    }

    fn check_files(&self, found: &mut Vec<(&'static str, Diagnostic)>) {
        for (key, path) in [
            ("password_file", &self.password_file),
            ("ca_file", &self.ca_file),
            ("cert_file", &self.cert_file),
            ("key_file", &self.key_file),
        ] {
            if is_set(path)
                && let Err(error) = std::fs::metadata(path)
            {
                let message = format!("cannot read {}: {error}", path.display());
                found.push((key, Diagnostic::error("S113", message)));
            }
        }
    }

    /// The limits of the receive queue.
    #[must_use]
    pub fn queue_limits(&self) -> QueueLimits {
        QueueLimits { messages: self.queue_messages, bytes: self.queue_bytes }
    }

    pub(super) fn brokers(&self) -> Result<Vec<BrokerUrl>, Error> {
        let urls: Result<Vec<BrokerUrl>, _> = self.urls.iter().map(|u| u.parse()).collect();
        let urls = urls.map_err(|e| Error::Settings(e.to_string()))?;
        if urls.is_empty() {
            return Err(Error::Settings("no broker is given".into()));
        }
        Ok(urls)
    }

    /// The password, read anew at every connect so that a changed one is picked up.
    pub(super) fn read_password(&self) -> Result<Option<SecretString>, Error> {
        if !is_set(&self.password_file) {
            return Ok(self.password.clone());
        }
        let path = &self.password_file;
        let text = std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.clone(), source })?;
        Ok(Some(SecretString::from(text.trim_end_matches(['\r', '\n']).to_owned())))
    }
}

/// An empty path means that the setting is not given.
pub(super) fn is_set(path: &Path) -> bool {
    !path.as_os_str().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Weight;

    fn codes(settings: &Settings) -> Vec<(&'static str, Weight)> {
        settings.check().iter().map(|(_, d)| (d.code, d.weight)).collect()
    }

    fn with(change: impl FnOnce(&mut Settings)) -> Vec<(&'static str, Weight)> {
        let mut settings = Settings::default();
        change(&mut settings);
        codes(&settings)
    }

    #[test]
    fn the_defaults_are_sound() {
        assert_eq!(codes(&Settings::default()), []);
    }

    #[test]
    fn each_mistake_has_its_code() {
        let error = |code| vec![(code, Weight::Error)];
        assert_eq!(with(|s| s.urls.clear()), error("S101"));
        assert_eq!(with(|s| s.urls = vec!["http://x".into()]), error("S101"));
        assert_eq!(with(|s| s.client_id = "a/b".into()), error("S102"));
        assert_eq!(with(|s| s.receive_maximum = 0), error("S103"));
        assert_eq!(with(|s| s.max_packet_bytes = 10), error("S104"));
        assert_eq!(with(|s| s.queue_bytes = 0), error("S105"));
        assert_eq!(with(|s| s.keep_alive = Span::from_secs(1)), error("S106"));
        assert_eq!(with(|s| s.session_expiry = Span::ZERO), error("S107"));
        assert_eq!(with(|s| s.password = Some("x".to_owned().into())), error("S109"));
        assert_eq!(with(|s| s.receive_maximum = 20), vec![("S111", Weight::Warning)]);
        assert_eq!(with(|s| s.urls = vec!["mqtt://10.0.0.1".into()]), error("S112"));
        assert_eq!(with(|s| s.ca_file = "/does/not/exist".into()), error("S113"));
    }

    #[test]
    fn plain_mqtt_to_another_machine_must_be_asked_for() {
        let urls = vec!["mqtt://10.0.0.1".to_owned(), "mqtts://10.0.0.1".into(), "mqtt://localhost".into()];
        let found = with(|s| {
            s.urls = urls;
            s.insecure = true;
        });
        assert_eq!(found, [("S112", Weight::Warning)]);
    }

    #[test]
    fn a_password_is_read_from_its_place_and_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("password");
        std::fs::write(&file, "hunter2\n").unwrap();
        let mut settings = Settings { username: "me".into(), password_file: "password".into(), ..Settings::default() };
        assert_eq!(codes(&settings), [("S113", Weight::Error)]);
        settings.resolve(|named| dir.path().join(named));
        assert_eq!(codes(&settings), []);
        let password = settings.read_password().unwrap().unwrap();
        assert_eq!(secrecy::ExposeSecret::expose_secret(&password), "hunter2");
        settings.password = Some(password);
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
