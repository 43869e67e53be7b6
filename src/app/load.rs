//! Reads the settings file and everything it names, completely, before anything is started.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cross;
use super::kept::Kept;
use super::secrets::Secrets;
use super::settings::Settings;
use crate::channels::{Office, ProviderSettings};
use crate::desk::Keyring;
use crate::domain::{AdapterName, FaultName, Mode, Registry, Span};
use crate::model::{self, CodeTables, Models, RegistryFiles};
use crate::playbook::{self, Messages, ProviderKind, Surroundings, Verb};
use crate::rules::{Fleet, Program};
use crate::runtime::Rules;
use crate::source::{Diagnostic, Diagnostics, FileId};
use crate::{desk, http, rules};

/// A file larger than this is not ours.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// Everything read and checked.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Models, rules, registry.
    pub rules: Arc<Rules>,
    /// Playbooks, messages, queues, providers.
    pub desk: Arc<desk::Config>,
    /// What the API and the callbacks need.
    pub public_url: url::Url,
    /// Who may use the API.
    pub tokens: http::Tokens,
}

impl Loaded {
    /// What to subscribe to: the models' topics and the topics on which devices answer commands.
    #[must_use]
    pub fn filters(&self) -> Vec<Arc<str>> {
        let mut filters = self.rules.program.models().filters();
        filters.extend(self.rules.replies.iter().chain(&self.rules.switches).cloned());
        filters.sort();
        filters.dedup();
        filters
    }
}

/// Loads everything that the settings file at `path` names. All findings of all files are in `diags`; `None` if there
/// is an error among them.
pub fn load(diags: &mut Diagnostics, path: &Path, environment: &[(String, String)]) -> Option<Loaded> {
    let (settings, base) = settings(diags, path, environment)?;
    load_from(diags, path, settings, &base)
}

/// The same for a daemon: what its settings name in `…_file` has to be there, too, all of it. Codes: `S113`.
pub(super) fn load_to_run(diags: &mut Diagnostics, path: &Path, environment: &[(String, String)]) -> Option<Loaded> {
    let (settings, base) = settings(diags, path, environment)?;
    let secrets = Secrets::new(path);
    // Those of the broker are looked at with its other settings.
    for (setting, file) in settings.named_files().filter(|(setting, _)| setting[0] != "broker") {
        if let Err(error) = secrets.read(file) {
            let finding = Diagnostic::error("S113", format!("`{}`: {error}", setting.join(".")));
            diags.push(settings.place(finding, &setting));
        }
    }
    load_from(diags, path, settings, &base)
}

/// What looks at rules and nothing else needs: no playbook, provider or secret has to be there.
#[derive(Debug)]
pub struct Rulebook {
    /// The settings.
    pub settings: Settings,
    /// Models and rules.
    pub program: Arc<Program>,
    /// Who is out there.
    pub registry: Arc<Registry>,
    /// What has been learned of it.
    pub fleet: Fleet,
}

/// Loads models, rules, baselines and registry that the settings file at `path` names. All findings are in `diags`; `None` if there
/// is an error among them.
pub fn load_rulebook(diags: &mut Diagnostics, path: &Path, environment: &[(String, String)]) -> Option<Rulebook> {
    let (settings, base) = settings(diags, path, environment)?;
    let files = program_files(diags, &settings, &base);
    let fleet = Fleet::load(diags, &files.baselines);
    let program = compile(diags, &files, &fleet);
    let registry = registry(diags, &base.join(&settings.files.registry), program.models());
    (!diags.has_errors()).then(|| Rulebook { settings, program: Arc::new(program), registry, fleet })
}

/// As [`load_rulebook`], for learning what is usual in the fleet: whatever has been learned is left aside.
pub fn load_to_learn(diags: &mut Diagnostics, path: &Path, environment: &[(String, String)]) -> Option<Rulebook> {
    let (settings, base) = settings(diags, path, environment)?;
    let files = program_files(diags, &settings, &base);
    let fleet = Fleet::learning();
    let program = compile(diags, &files, &fleet);
    let registry = registry(diags, &base.join(&settings.files.registry), program.models());
    (!diags.has_errors()).then(|| Rulebook { settings, program: Arc::new(program), registry, fleet })
}

/// Loads another set of rules for the models and the fleet of `book`: a file, or a folder of them.
pub fn load_other_rules(diags: &mut Diagnostics, path: &Path, book: &Rulebook) -> Option<Arc<Program>> {
    let found =
        if path.is_dir() { files(diags, path, "toml", true) } else { add(diags, path).into_iter().collect::<Vec<_>>() };
    let program = rules::load_with(diags, &found, book.program.models().clone(), &book.fleet);
    (!diags.has_errors()).then(|| Arc::new(program))
}

fn settings(diags: &mut Diagnostics, path: &Path, environment: &[(String, String)]) -> Option<(Settings, PathBuf)> {
    let text = match read_text(path) {
        Ok(text) => text,
        Err(error) => {
            let hint = "name the settings file with --config; the shipped one is config/forewarn.toml";
            diags.push(Diagnostic::error("S002", format!("cannot read {}: {error}", path.display())).hint(hint));
            return None;
        }
    };
    let mut settings = Settings::load(diags, path, &text, environment)?;
    let base = path.parent().unwrap_or(Path::new("")).to_owned();
    settings.store.dir = base.join(&settings.store.dir);
    settings.privacy.keys = settings.privacy.keys.map(|keys| base.join(keys));
    settings.outcomes.dir = settings.outcomes.dir.map(|dir| base.join(dir));
    Some((settings, base))
}

/// What a program is compiled from. What models name that is not text is attached to them.
pub(super) struct ProgramFiles {
    pub(super) models: Vec<FileId>,
    pub(super) codes: Vec<FileId>,
    pub(super) baselines: Vec<FileId>,
    pub(super) rules: Vec<FileId>,
}

fn program_files(diags: &mut Diagnostics, settings: &Settings, base: &Path) -> ProgramFiles {
    let models = base.join(&settings.files.models);
    attach(diags, &models, "pb");
    ProgramFiles {
        models: files(diags, &models, "toml", true),
        codes: files(diags, &base.join(&settings.files.codes), "csv", false),
        baselines: files(diags, &base.join(&settings.files.baselines), "toml", false),
        rules: files(diags, &base.join(&settings.files.rules), "toml", true),
    }
}

pub(super) fn compile(diags: &mut Diagnostics, files: &ProgramFiles, fleet: &Fleet) -> Program {
    let models = model::load(diags, &files.models);
    let models = models.with_codes(CodeTables::load(diags, &files.codes));
    rules::load_with(diags, &files.rules, Arc::new(models), fleet)
}

fn load_from(diags: &mut Diagnostics, path: &Path, mut settings: Settings, base: &Path) -> Option<Loaded> {
    let secrets = Secrets::new(path);
    settings.broker.resolve(|named| secrets.place(named));
    let closed = |key, file: &Path| {
        // One that is not there is found below.
        let open = if file.exists() { secrets.closed(file).err() } else { None };
        open.map(|error| (key, Diagnostic::error("S113", format!("{}: {error}", file.display()))))
    };
    let broker = &settings.broker;
    let open = [closed("password_file", &broker.password_file), closed("key_file", &broker.key_file)];
    for (key, finding) in open.into_iter().flatten().chain(broker.check()) {
        diags.push(settings.place(finding, &["broker", key]));
    }
    let web = settings.http.resolve();
    if let Err(errors) = &web {
        for error in errors {
            let finding = Diagnostic::error("S003", format!("`{}`: {}", error.key, error.message)).hint(&error.hint);
            let path: Vec<&str> = error.key.split(['.', '[', ']']).filter(|s| !s.is_empty()).collect();
            diags.push(settings.place(finding, &path));
        }
    }

    if !settings.links.base_url.is_empty()
        && let Err(error) = http::check_public_url(&settings.links.base_url)
    {
        let finding = Diagnostic::error("S003", format!("`links.base_url`: {}", error.message)).hint(error.hint);
        diags.push(settings.place(finding, &["links", "base_url"]));
    }

    let dir = |name: &Path| base.join(name);
    let files_of_program = program_files(diags, &settings, base);
    let fleet = Fleet::load(diags, &files_of_program.baselines);
    let program = compile(diags, &files_of_program, &fleet);
    let registry = registry(diags, &dir(&settings.files.registry), program.models());
    let messages = messages(diags, &dir(&settings.files.messages));
    let messages = Messages::load(diags, &messages);
    let playbooks = files(diags, &dir(&settings.files.playbooks), "toml", true);
    if !settings.names_complete() {
        // What playbooks say of a provider that could not be read would be a second complaint about the same mistake.
        return None;
    }
    let surroundings = Surroundings {
        queues: settings.queue.keys().cloned().collect(),
        providers: settings.provider.iter().map(|(name, p)| (name.clone(), kind_of(p))).collect(),
        per_second: settings
            .provider
            .iter()
            .filter_map(|(name, p)| Some((name.clone(), p.limits().per_second?)))
            .collect(),
        messages: messages.clone(),
        fleet: Some(fleet_facts(&program, &registry)),
    };
    let playbooks = playbook::load(diags, &playbooks, &surroundings);
    let replies = reply_filters(&playbooks);
    let providers = providers(diags, &settings);
    let desk = desk::Config {
        playbooks,
        messages,
        registry: registry.clone(),
        directory: desk::Directory::default(),
        providers,
        queues: settings.queue.iter().map(|(name, q)| (name.clone(), q.people.clone())).collect(),
        skills: settings
            .queue
            .iter()
            .map(|(name, q)| (name.clone(), desk::Skills { skills: q.skills.clone(), languages: q.languages.clone() }))
            .collect(),
        settings: settings.desk.clone(),
        contact: settings.contact.clone(),
        guards: program.rules().iter().map(|r| (r.id.clone(), r.guards.clone())).collect(),
        leads: leads(&program),
        revs: program.rules().iter().filter(|r| r.mode == Mode::Live).map(|r| (r.id.clone(), r.rev)).collect(),
        stop_topic: format!("forewarn/{}/halt", settings.broker.client_id),
        public_url: settings.http.public_url.trim_end_matches('/').to_owned(),
        // Their secret is not needed to check anything, and must not be made by a check.
        links: None,
        outcomes: settings.outcomes.clone(),
        // Handed in by whoever keeps a store; checks and plays need none.
        keys: Keyring::default(),
    };
    desk.check(diags);
    if diags.has_errors() {
        return None;
    }
    cross::check(diags, &program, &desk);
    let (public_url, tokens) = web.ok()?;
    let rules = Rules {
        program: Arc::new(program),
        sources: Kept::encode(diags, &files_of_program),
        registry,
        replies,
        switches: switches(&desk),
        warm: settings.engine.warm(),
    };
    let rules = Arc::new(rules);
    Some(Loaded { settings, rules, desk: Arc::new(desk), public_url, tokens })
}

/// What playbooks are held against.
fn fleet_facts(program: &Program, registry: &Registry) -> playbook::FleetFacts {
    let mut facts = playbook::FleetFacts {
        consents: registry.customers.values().flat_map(|c| &c.consents).map(|c| c.to.clone()).collect(),
        ..playbook::FleetFacts::default()
    };
    for device in registry.devices.values() {
        facts.roles.extend(device.parties.keys().cloned());
        let names = facts.kinds.entry(device.kind.clone()).or_default();
        names.extend(device.attrs.keys().cloned());
        let model = program.models().list.iter().find(|m| m.id == device.model);
        let signals: Vec<_> = model.into_iter().flat_map(|m| m.facts.keys().cloned()).collect();
        if signals.iter().any(|s| &**s == "lat") && signals.iter().any(|s| &**s == "lon") {
            names.insert("position".into());
        }
        names.extend(signals);
    }
    facts
}

/// The tests of rules and playbooks that belong to the settings at `path`.
pub fn test_files(diags: &mut Diagnostics, path: &Path, settings: &Settings) -> Vec<FileId> {
    let base = path.parent().unwrap_or(Path::new(""));
    files(diags, &base.join(&settings.files.tests), "toml", false)
}

/// What a configured provider can do, for playbooks.
fn kind_of(settings: &ProviderSettings) -> ProviderKind {
    match settings {
        ProviderSettings::Smtp(_) => ProviderKind::Smtp,
        ProviderSettings::Zammad(_) | ProviderSettings::TicketWebhook(_) => ProviderKind::Ticket,
        ProviderSettings::Dispatch(_) => ProviderKind::Dispatch,
        ProviderSettings::TwilioVoice(_) => ProviderKind::Voice,
        ProviderSettings::TwilioSms(_) => ProviderKind::Sms,
        ProviderSettings::MqttCommand(_) => ProviderKind::Command,
        ProviderSettings::Webhook(_) => ProviderKind::Webhook,
        ProviderSettings::BookingServer(_) | ProviderSettings::IcalWorkshop(_) => ProviderKind::Booking,
        ProviderSettings::App(_) => ProviderKind::App,
    }
}

fn providers(diags: &mut Diagnostics, settings: &Settings) -> BTreeMap<AdapterName, desk::Provider> {
    let mut provider = |name: &AdapterName, p: &ProviderSettings| {
        let limits = p.limits();
        let workshop = p.office().and_then(|office| match workshop(office, by_mail(p)) {
            Ok(workshop) => Some(workshop),
            Err((key, message)) => {
                let finding = Diagnostic::error("S037", format!("`provider.{name}.{key}`: {message}"));
                diags.push(settings.place(finding, &["provider", name.as_str(), key]));
                None
            }
        });
        desk::Provider {
            workshop,
            kind: kind_of(p),
            per_second: limits.per_second,
            per_hour: limits.per_hour,
            per_day: limits.per_day,
            capacity: limits.capacity,
            concurrency: Some(limits.concurrency),
        }
    };
    settings.provider.iter().map(|(name, p)| (name.clone(), provider(name, p))).collect()
}

fn workshop(office: Office<'_>, by_mail: Option<desk::ByMail>) -> Result<desk::Workshop, (&'static str, String)> {
    let usual = || ["mon", "tue", "wed", "thu", "fri"].map(str::to_owned).to_vec();
    let days = office.days.map_or_else(usual, <[String]>::to_vec);
    let hours = desk::Hours::parse(office.hours, &days, office.slot.unwrap_or(Span::from_hours(1)), office.tz)?;
    let near = office.near.iter().map(|place| place.trim().to_lowercase()).collect();
    if by_mail.as_ref().is_some_and(|mail| !mail.mailbox.contains('@')) {
        return Err(("mailbox", "is not a mail address".to_owned()));
    }
    Ok(desk::Workshop { name: office.name.to_owned(), place: office.place.to_owned(), near, hours, by_mail })
}

fn by_mail(settings: &ProviderSettings) -> Option<desk::ByMail> {
    let ProviderSettings::IcalWorkshop(s) = settings else { return None };
    Some(desk::ByMail {
        mailbox: s.mailbox.trim().to_owned(),
        locale: s.locale.clone().unwrap_or_else(|| "en".to_owned()),
        answer_within: s.answer_within.unwrap_or(Span::from_hours(24)),
    })
}

/// How long each fault takes to become a breakdown, as its rules promise.
fn leads(program: &Program) -> BTreeMap<FaultName, (Span, Span)> {
    let mut leads: BTreeMap<FaultName, (Span, Span)> = BTreeMap::new();
    for rule in program.rules() {
        let Some((from, to)) = rule.lead.map(|(from, to)| (Span::from_micros(from), Span::from_micros(to))) else {
            continue;
        };
        let widest = leads.entry(rule.fault.clone()).or_insert((from, to));
        *widest = (widest.0.min(from), widest.1.max(to));
    }
    leads
}

/// Topic filters of the stop switches.
fn switches(desk: &desk::Config) -> Vec<Arc<str>> {
    let steps = desk.playbooks.iter().flat_map(|p| &p.steps);
    let holds = steps.filter_map(|step| match &step.verb {
        Verb::Hold(hold) => Some(hold.filter.clone()),
        _ => None,
    });
    let filters: BTreeSet<Arc<str>> = holds.chain([desk.stop_topic.as_str().into()]).collect();
    filters.into_iter().collect()
}

/// Topic filters on which devices answer the commands of the playbooks.
fn reply_filters(playbooks: &[Arc<playbook::Playbook>]) -> Vec<Arc<str>> {
    let commands = playbooks.iter().flat_map(|p| &p.steps).filter_map(|step| match &step.verb {
        Verb::Command(command) => command.reply_filter.clone(),
        _ => None,
    });
    let filters: BTreeSet<Arc<str>> = commands.collect();
    filters.into_iter().collect()
}

fn registry(diags: &mut Diagnostics, dir: &Path, models: &Models) -> Arc<Registry> {
    let mut one = |name: &str| {
        let path = dir.join(name);
        path.exists().then(|| add(diags, &path)).flatten()
    };
    let files = RegistryFiles {
        devices: one("devices.csv"),
        customers: one("customers.csv"),
        endpoints: one("endpoints.csv"),
        consents: one("consents.csv"),
    };
    if files.devices.is_none() {
        let message =
            format!("{} is missing: no device is known, so nothing is done for any", dir.join("devices.csv").display());
        diags.push(Diagnostic::warning("G001", message));
    }
    Arc::new(model::load_registry(diags, &files, models))
}

/// All message texts: the files in the directories of the locales.
fn messages(diags: &mut Diagnostics, dir: &Path) -> Vec<FileId> {
    let locales = entries(diags, dir, false).into_iter().filter(|p| p.is_dir()).collect::<Vec<_>>();
    let mut found = Vec::new();
    for locale in locales {
        let texts = entries(diags, &locale, true).into_iter().filter(|p| p.is_file() && !hidden(p));
        for path in texts.collect::<Vec<_>>() {
            found.extend(add(diags, &path));
        }
    }
    found
}

/// All files of `dir` with this extension, by name.
fn files(diags: &mut Diagnostics, dir: &Path, extension: &str, needed: bool) -> Vec<FileId> {
    let paths = entries(diags, dir, needed);
    let wanted = paths.into_iter().filter(|p| !hidden(p) && p.extension().is_some_and(|e| e == extension));
    wanted.collect::<Vec<_>>().iter().filter_map(|path| add(diags, path)).collect()
}

/// Files that are not text and that models name: descriptor sets.
fn attach(diags: &mut Diagnostics, dir: &Path, extension: &str) {
    let paths = entries(diags, dir, false);
    for path in paths.into_iter().filter(|p| !hidden(p) && p.extension().is_some_and(|e| e == extension)) {
        match limited(&path).and_then(|()| fs::read(&path)) {
            Ok(bytes) => diags.attach(path.display().to_string(), bytes),
            Err(error) => diags.push(Diagnostic::error("S002", format!("cannot read {}: {error}", path.display()))),
        }
    }
}

fn hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

fn entries(diags: &mut Diagnostics, dir: &Path, needed: bool) -> Vec<PathBuf> {
    match fs::read_dir(dir).and_then(|all| all.map(|e| e.map(|e| e.path())).collect::<io::Result<Vec<_>>>()) {
        Ok(mut paths) => {
            paths.sort();
            paths
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && !needed => Vec::new(),
        Err(error) => {
            diags.push(Diagnostic::error("S002", format!("cannot read the directory {}: {error}", dir.display())));
            Vec::new()
        }
    }
}

fn add(diags: &mut Diagnostics, path: &Path) -> Option<FileId> {
    match read_text(path) {
        Ok(text) => Some(diags.add_file(path.display().to_string(), text)),
        Err(error) => {
            diags.push(Diagnostic::error("S002", format!("cannot read {}: {error}", path.display())));
            None
        }
    }
}

fn read_text(path: &Path) -> io::Result<String> {
    limited(path)?;
    fs::read_to_string(path)
}

fn limited(path: &Path) -> io::Result<()> {
    match fs::metadata(path)?.len() {
        0..=MAX_FILE_BYTES => Ok(()),
        _ => Err(io::Error::other(format!("larger than {} MiB", MAX_FILE_BYTES >> 20))),
    }
}
