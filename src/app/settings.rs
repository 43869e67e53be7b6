//! The settings of the daemon: a TOML file, then `FOREWARN__SECTION__KEY` from the environment.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use config::{Config, Environment, File, FileFormat};
use serde::Deserialize;

use super::sections::{PREFIX, Sections};
use crate::channels::ProviderSettings;
use crate::domain::{AdapterName, QueueName, Span};
use crate::lab::score::Costs;
use crate::runtime::Warm;
use crate::source::{Diagnostic, Diagnostics, Doc};
use crate::{desk, http, mqtt};

/// Everything that can be set.
#[derive(Debug)]
pub struct Settings {
    /// Where durable state is.
    pub store: StoreSettings,
    /// Where models, rules, playbooks, registry and messages are.
    pub files: FilesSettings,
    /// Threads of the engine.
    pub engine: EngineSettings,
    /// The broker.
    pub broker: mqtt::Settings,
    /// The listener, the API and its tokens.
    pub http: http::Settings,
    /// One-time links.
    pub links: LinksSettings,
    /// Policy of the desk.
    pub desk: desk::Settings,
    /// What is kept of cases in truth, and what rules must reach.
    pub outcomes: desk::OutcomeSettings,
    /// `[audit]`
    pub audit: AuditSettings,
    /// The keys of personal data.
    pub privacy: PrivacySettings,
    /// How often people are contacted.
    pub contact: desk::Contact,
    /// What failures cost, for scores.
    pub costs: Costs,
    /// The ways out by name.
    pub provider: BTreeMap<AdapterName, ProviderSettings>,
    /// The human queues by name.
    pub queue: BTreeMap<QueueName, Queue>,
    /// What settings named `…_file` name.
    named_files: Vec<(Vec<String>, PathBuf)>,
    /// Every provider and queue of the file could be read, so that a name which is not here does not exist.
    names_complete: bool,
    doc: Doc,
}

/// `[store]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreSettings {
    /// Directory of journal, checkpoints and desk, relative to the settings file; created if missing.
    pub dir: PathBuf,
    /// Telemetry is kept for backtests up to this size in bytes (recovery keeps what it needs regardless).
    pub journal_bytes: u64,
    /// Telemetry is kept for backtests up to this age.
    pub journal_age: Span,
    /// Decisions stay in the desk log, and in the audit, up to this age; with them goes the last copy of what was sealed in
    /// cases that are over their retention.
    pub log_age: Span,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            dir: "/var/lib/forewarn".into(),
            journal_bytes: 10 << 30,
            journal_age: Span::from_hours(24 * 14),
            log_age: Span::from_hours(24 * 365),
        }
    }
}

/// `[files]`: directories, relative to the settings file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FilesSettings {
    /// Device models, `*.toml`.
    pub models: PathBuf,
    /// Rules, `*.toml`.
    pub rules: PathBuf,
    /// Code tables, `*.csv`; may be missing.
    pub codes: PathBuf,
    /// What `forewarn fit` has learned of the fleet, `*.toml`; may be missing.
    pub baselines: PathBuf,
    /// Playbooks, `*.toml`.
    pub playbooks: PathBuf,
    /// `devices.csv`, `customers.csv`, `endpoints.csv`, `consents.csv`.
    pub registry: PathBuf,
    /// Texts, `<locale>/<script>.<part>`.
    pub messages: PathBuf,
    /// Tests of rules and playbooks, `*.toml`; need not be there.
    pub tests: PathBuf,
}

impl Default for FilesSettings {
    fn default() -> Self {
        Self {
            models: "models".into(),
            rules: "rules".into(),
            codes: "codes".into(),
            baselines: "baselines".into(),
            playbooks: "playbooks".into(),
            registry: "registry".into(),
            messages: "messages".into(),
            tests: "tests".into(),
        }
    }
}

/// `[links]`: the pages that customers open from messages.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LinksSettings {
    /// Where customers reach us, if not at `http.public_url`: a short name saves room in text messages.
    pub base_url: String,
    /// What links are signed with: one secret a line, the first signs, all are believed. Empty: one that is made at the
    /// first start and kept in the store's directory.
    pub secret_file: PathBuf,
}

/// `[queue.<name>]`: people who can be reached, in this order.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// At least one.
    pub people: Vec<desk::Person>,
    /// Kinds of devices, families of faults or faults that they know.
    #[serde(default)]
    pub skills: Vec<String>,
    /// Languages that they answer in.
    #[serde(default)]
    pub languages: Vec<String>,
}

/// `[audit]`: what shows later whether the desk log was cut off or written anew.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditSettings {
    /// MQTT topic on which the signed head of the desk log is published every hour, retained;
    /// `forewarn/<client_id>/audit` unless set, empty for none. Let somebody else keep what it says.
    pub topic: Option<String>,
    /// A file with the secret that it is signed with; empty: made at the first start and kept in `store.dir`.
    pub secret_file: PathBuf,
}

/// `[privacy]`: what is stored of a person is encrypted with a key of that person's own.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PrivacySettings {
    /// The file of the keys, relative to the settings file; `keys.json` in `store.dir` unless set. Back it up apart from
    /// the store, and for a short time only: who has both has everything, and erasure does not reach old backups of it.
    pub keys: Option<PathBuf>,
    /// A file with a secret that the keys are wrapped with, so that the key file alone opens nothing.
    pub wrap_file: Option<PathBuf>,
}

impl PrivacySettings {
    /// Where the keys are for the store in `dir`.
    #[must_use]
    pub fn keys_at(&self, dir: &Path) -> PathBuf {
        self.keys.clone().unwrap_or_else(|| dir.join("keys.json"))
    }
}

/// `[engine]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EngineSettings {
    /// Shard threads; 0: one a core.
    pub threads: usize,
    /// Sparkplug nodes whose values cannot be understood are asked for a birth; needs the right to publish on
    /// `spBv1.0/+/NCMD/+`.
    pub request_births: bool,
    /// What a reload finds new is refilled from the journal of this time; zero: it begins cold.
    pub warm: Span,
    /// At most about so much of the journal is read for that, in bytes: meanwhile messages wait at the broker.
    pub warm_bytes: u64,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self { threads: 0, request_births: false, warm: Span::ZERO, warm_bytes: 256 << 20 }
    }
}

impl EngineSettings {
    /// How new state is refilled, if it is.
    #[must_use]
    pub fn warm(&self) -> Option<Warm> {
        (self.warm > Span::ZERO).then_some(Warm { back: self.warm, bytes: self.warm_bytes })
    }
}

/// The sections that a settings file may have.
const SECTIONS: [&str; 14] = [
    "audit", "outcomes", "store", "files", "engine", "broker", "http", "links", "desk", "contact", "privacy", "costs",
    "provider", "queue",
];

impl Settings {
    /// Reads and merges the file at `path` (already read as `text`) and the environment. Everything wrong is in
    /// `diags`; `None` if it is not TOML. What cannot be read has its default, so that the files it names can be checked
    /// in the same run; to be used only if `diags` has no errors.
    pub fn load(diags: &mut Diagnostics, path: &Path, text: &str, environment: &[(String, String)]) -> Option<Self> {
        let file = diags.add_file(path.display().to_string(), text);
        let doc = Doc::parse(diags, "S001", file);
        if diags.has_errors() {
            return None;
        }
        let ours = environment.iter().filter(|(name, _)| name.starts_with(PREFIX));
        let names: BTreeSet<String> = ours.clone().map(|(name, _)| name.to_uppercase()).collect();
        let source = Environment::with_prefix(PREFIX)
            .prefix_separator("__")
            .separator("__")
            .list_separator(",")
            .with_list_parse_key("broker.urls")
            .try_parsing(true)
            .source(Some(ours.cloned().collect()));
        let merged = Config::builder()
            .add_source(File::from_str(text, FileFormat::Toml))
            .add_source(source)
            .build()
            .and_then(Config::try_deserialize);
        let merged = match merged {
            Ok(merged) => merged,
            Err(error) => {
                diags.push(Diagnostic::error("S001", format!("settings cannot be merged: {error}")));
                return None;
            }
        };
        let sections = Sections { merged, doc: &doc, environment: names };
        sections.refuse_unknown(diags, &SECTIONS);
        let store = sections.read(diags, &["store"]).unwrap_or_default();
        let files = sections.read(diags, &["files"]).unwrap_or_default();
        let engine = sections.read(diags, &["engine"]).unwrap_or_default();
        let broker = sections.read(diags, &["broker"]).unwrap_or_default();
        let http = sections.read(diags, &["http"]).unwrap_or_default();
        let links = sections.read(diags, &["links"]).unwrap_or_default();
        let desk = sections.read(diags, &["desk"]).unwrap_or_default();
        let outcomes: desk::OutcomeSettings = sections.read(diags, &["outcomes"]).unwrap_or_default();
        let audit = sections.read(diags, &["audit"]).unwrap_or_default();
        let privacy = sections.read(diags, &["privacy"]).unwrap_or_default();
        let contact = sections.read(diags, &["contact"]).unwrap_or_default();
        let costs = sections.read(diags, &["costs"]).unwrap_or_default();
        let provider: BTreeMap<_, _> = sections.read_each(diags, "provider");
        let queue: BTreeMap<_, _> = sections.read_each(diags, "queue");
        let names_complete = sections.count("provider") == provider.len() && sections.count("queue") == queue.len();
        Some(Self {
            named_files: sections.files(),
            store,
            files,
            engine,
            broker,
            http,
            links,
            desk,
            contact,
            outcomes,
            audit,
            privacy,
            costs,
            provider,
            queue,
            names_complete,
            doc,
        })
    }

    /// The files that settings name, by the path of the setting: secrets and certificates, of the broker and all others.
    pub(super) fn named_files(&self) -> impl Iterator<Item = (Vec<&str>, &Path)> {
        self.named_files.iter().map(|(path, file)| (path.iter().map(String::as_str).collect(), file.as_path()))
    }

    /// Whether all providers and queues could be read: only then can it be said that one which is named elsewhere does
    /// not exist.
    #[must_use]
    pub fn names_complete(&self) -> bool {
        self.names_complete
    }

    /// Puts a finding at the place of a setting, if it is in the file.
    #[must_use]
    pub fn place(&self, finding: Diagnostic, path: &[&str]) -> Diagnostic {
        match self.doc.find(path) {
            Some(place) => finding.at(place, ""),
            None => finding,
        }
    }
}
