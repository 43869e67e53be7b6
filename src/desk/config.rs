//! What the desk works with besides its own rows: playbooks, texts, registry, providers, queues, settings.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::book::Workshop;
use super::caps::{self, Cap};
use super::directory::Directory;
use super::link::Links;
use super::quiet::QuietWindow;
use super::route::Skills;
use super::seal::Keyring;
use crate::domain::{AdapterName, Breaker, FaultName, Guards, QueueName, Registry, RuleId, Span};
use crate::playbook::{Messages, Part, Playbook, ProviderKind, REQUEST_SCRIPT};
use crate::source::{Diagnostic, Diagnostics};

/// `[desk]` of the settings file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Local time of the recipient in which only safety messages go out: `21:00-08:00`.
    pub quiet_hours: QuietWindow,
    /// A person must have been told something by then, or somebody is paged.
    pub reaction: Span,
    /// Who is paged when no playbook says who; without it, the first queue by name.
    pub default_queue: Option<QueueName>,
    /// Between two people of a queue.
    pub page_gap: Span,
    /// Between two rounds through a queue.
    pub page_round: Span,
    /// A case that a person took over and did not close is brought up again after this.
    pub owner_reminder: Span,
    /// How long an effect is tried.
    pub effect_limit: Span,
    /// Costly actions (trucks) of one device a day, over all its cases; more need a person.
    pub costly_per_device_day: u32,
    /// An arrival later than last told by more than this is told again.
    pub eta_tolerance: Span,
    /// How often an open dispatch job is asked for, because callbacks can be lost; less often the later it is.
    pub dispatch_poll: Span,
    /// Changed facts of a device are stored at most so often, unless a condition depends on them.
    pub facts_every: Span,
    /// Closed cases stay in the list for this long.
    pub retention: Span,
    /// Whether a rule that was never seen before may act.
    pub new_rules: NewRules,
    /// How many cases of one rule are too many, where neither the rule nor a playbook says it.
    pub storm_guard: StormGuard,
}

/// The guard of every rule that has no `fleet_breaker`: more new cases than this are held for a person.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StormGuard {
    /// So many may act in any case …
    pub min: u32,
    /// … or this share of the fleet, if that is more …
    pub share: f64,
    /// … within this time.
    pub window: Span,
}

impl Default for StormGuard {
    fn default() -> Self {
        Self { min: 20, share: 0.005, window: Span::from_mins(10) }
    }
}

impl StormGuard {
    /// As the breaker of a rule, for a fleet of so many devices.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a count")]
    pub(super) fn breaker(self, fleet: usize) -> Breaker {
        let share = (self.share.max(0.0) * fleet as f64).min(f64::from(u32::MAX)) as u32;
        Breaker { max: self.min.max(share), per: self.window.max(Span::from_secs(1)), by: None }
    }
}

/// What becomes of the detections of a live rule that the desk has never seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NewRules {
    /// They open cases.
    Live,
    /// They are recorded only, until a person releases the rule; not the rules of the very first start.
    #[default]
    Shadow,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            quiet_hours: QuietWindow::default(),
            reaction: Span::from_mins(30),
            default_queue: None,
            page_gap: Span::from_secs(60),
            page_round: Span::from_mins(10),
            owner_reminder: Span::from_hours(12),
            effect_limit: Span::from_hours(24),
            costly_per_device_day: 1,
            eta_tolerance: Span::from_mins(2),
            dispatch_poll: Span::from_secs(60),
            facts_every: Span::from_secs(5),
            retention: Span::from_hours(30 * 24),
            new_rules: NewRules::Shadow,
            storm_guard: StormGuard::default(),
        }
    }
}

/// `[contact]` of the settings file: how often and when people are contacted, beyond what each playbook says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Contact {
    /// `[[contact.cap]]`; those that are shipped unless any is stated.
    pub cap: Vec<Cap>,
    /// How long a message of everyday purpose waits for others to the same person, to go with them as one. What waits anyway
    /// (for the morning, a cap, a provider) goes as one in any case.
    pub bundle: Span,
    /// Answers to mails come to `case+…@` this domain, whose mail is posted to `/mail/inbound`.
    pub reply_domain: Option<String>,
    /// Mails that cannot be delivered come back to `bounce+…@` this domain, whose mail is posted to `/mail/inbound`, too, and
    /// which lets the mail server send for it (SPF). Unset: a mail that was handed over counts as delivered.
    pub bounce_domain: Option<String>,
    /// What a message of the customer does after the case was closed, within the time in which it may be reopened.
    pub reply_after_close: AfterClose,
    /// Nobody is asked for a mark (`do = "survey"`) more often than this.
    pub survey_every: Span,
}

impl Default for Contact {
    fn default() -> Self {
        Self {
            bundle: Span::ZERO,
            reply_domain: None,
            bounce_domain: None,
            cap: caps::shipped(),
            reply_after_close: AfterClose::default(),
            survey_every: Span::from_hours(90 * 24),
        }
    }
}

/// What a message does to a closed case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterClose {
    /// Opens it again; a person is asked.
    #[default]
    Reopen,
    /// Leaves it closed; a person is asked.
    Person,
}

/// A configured provider, as the desk sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Provider {
    /// What it can do.
    pub kind: ProviderKind,
    /// Attempts a second, at most; `None`: no limit of ours.
    pub per_second: Option<u32>,
    /// Attempts an hour, at most.
    pub per_hour: Option<u32>,
    /// Attempts in 24 hours, at most: what the money for a day pays for.
    pub per_day: Option<u32>,
    /// Jobs that it can have under way: trucks.
    pub capacity: Option<u32>,
    /// Attempts at the same time; kept by the dispatcher.
    pub concurrency: Option<u32>,
    /// One that takes appointments.
    pub workshop: Option<Workshop>,
}

impl Provider {
    /// Whether its attempts are counted.
    pub(super) fn is_limited(&self) -> bool {
        self.per_second.is_some() || self.per_hour.is_some() || self.per_day.is_some()
    }
}

/// Somebody in a queue: `[queue.<name>] people = […]`. One of `call`, `webhook`, `mail`, in this order of preference.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Person {
    /// How they are named in the case.
    pub name: Option<String>,
    /// E.164.
    pub call: Option<String>,
    /// Mailbox.
    pub mail: Option<String>,
    /// A provider of kind `webhook`.
    pub webhook: Option<AdapterName>,
    /// BCP 47.
    pub locale: Option<String>,
    /// What they speak (`de`), if that is more than `locale`.
    pub languages: Vec<String>,
}

/// Everything the desk works with. Replaced whole on reload.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Checked playbooks.
    pub playbooks: Vec<Arc<Playbook>>,
    /// Texts.
    pub messages: Messages,
    /// Devices and customers.
    pub registry: Arc<Registry>,
    /// Made from the registry.
    pub directory: Directory,
    /// By name.
    pub providers: BTreeMap<AdapterName, Provider>,
    /// By name.
    pub queues: BTreeMap<QueueName, Vec<Person>>,
    /// What the people of a queue know, by its name.
    pub skills: BTreeMap<QueueName, Skills>,
    /// `[desk]`.
    pub settings: Settings,
    /// `[contact]`.
    pub contact: Contact,
    /// What is looked at before a case of a rule acts; rules that ask for nothing need not be named.
    pub guards: BTreeMap<RuleId, Guards>,
    /// How long faults take to become breakdowns, at the earliest and at the latest, as their rules promise (`lead`).
    pub leads: BTreeMap<FaultName, (Span, Span)>,
    /// The rules in force, by version.
    pub revs: BTreeMap<RuleId, u64>,
    /// The topic whose messages turn the stop switch of everything.
    pub stop_topic: String,
    /// Where callbacks come in; shown in tickets.
    pub public_url: String,
    /// What one-time links are made of; without it no text can carry one.
    pub links: Option<Links>,
    /// `[outcomes]`.
    pub outcomes: super::OutcomeSettings,
    /// What personal data is sealed with.
    pub keys: Keyring,
}

impl Config {
    /// Cross references that no single file can show. Codes `S030`…
    pub fn check(&self, diags: &mut Diagnostics) {
        for (queue, people) in &self.queues {
            if people.is_empty() {
                diags.push(Diagnostic::error("S030", format!("the queue `{queue}` has no people")));
            }
            for (i, person) in people.iter().enumerate() {
                let which = format!("person {} of the queue `{queue}`", i + 1);
                let needs = |kind, what: &str| {
                    (self.provider_of(kind).is_none()).then(|| {
                        Diagnostic::error("S032", format!("{which} has `{what}`, but there is no provider for it"))
                    })
                };
                let finding = match person {
                    Person { call: Some(_), .. } => needs(ProviderKind::Voice, "call"),
                    Person { webhook: Some(name), .. } => {
                        let sound = self.providers.get(name).is_some_and(|p| p.kind == ProviderKind::Webhook);
                        (!sound).then(|| {
                            Diagnostic::error("S033", format!("{which}: there is no provider `{name}` of kind webhook"))
                        })
                    }
                    Person { mail: Some(_), .. } => needs(ProviderKind::Smtp, "mail"),
                    _ => Some(
                        Diagnostic::error("S031", format!("{which} cannot be reached"))
                            .hint("give `call`, `webhook` or `mail`"),
                    ),
                };
                if let Some(finding) = finding {
                    diags.push(finding);
                }
            }
        }
        if !self.playbooks.is_empty() && self.queues.is_empty() {
            diags.push(
                Diagnostic::error("S034", "there is no human queue: a dead letter would reach nobody")
                    .hint("add [queue.service-desk] people = [ … ] to the settings"),
            );
        }
        if let Some(queue) = self.settings.default_queue.as_ref().filter(|q| !self.queues.contains_key(*q)) {
            diags.push(Diagnostic::error("S035", format!("`desk.default_queue`: there is no queue `{queue}`")));
        }
        self.check_workshops(diags);
        for part in [Part::Voice, Part::Subject, Part::Text, Part::Html] {
            if !self.queues.is_empty() && !self.messages.has(super::PAGE_SCRIPT, part) {
                let file = format!("en/{}.{}", super::PAGE_SCRIPT, part.suffix());
                diags
                    .push(Diagnostic::error("S036", format!("the text `{file}` is missing: people are paged with it")));
            }
        }
    }

    /// Workshops that are asked by mail need a mail server, and texts.
    fn check_workshops(&self, diags: &mut Diagnostics) {
        let Some((name, _)) =
            self.providers.iter().find(|(_, p)| p.workshop.as_ref().is_some_and(|w| w.by_mail.is_some()))
        else {
            return;
        };
        if self.provider_of(ProviderKind::Smtp).is_none() {
            let message = format!("the workshop `{name}` is asked by mail, and there is no provider of kind smtp");
            diags.push(Diagnostic::error("S038", message));
        }
        for part in [Part::Subject, Part::Text, Part::Html] {
            if !self.messages.has(REQUEST_SCRIPT, part) {
                let file = format!("en/{REQUEST_SCRIPT}.{}", part.suffix());
                diags.push(Diagnostic::error(
                    "S038",
                    format!("the text `{file}` is missing: `{name}` is asked with it"),
                ));
            }
        }
    }

    /// The first provider that can do `kind`.
    #[must_use]
    pub fn provider_of(&self, kind: ProviderKind) -> Option<&AdapterName> {
        self.providers.iter().find(|(_, p)| p.kind == kind).map(|(n, _)| n)
    }

    /// Who is paged when nobody else is named.
    pub(super) fn default_queue(&self) -> Option<&QueueName> {
        self.settings.default_queue.as_ref().or_else(|| self.queues.keys().next())
    }
}
