//! From a file to a [`Playbook`]: the blocks `[match] [case] [policy] [[step]] [[cancel]]`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::check::check;
use super::names::Audience;
use super::types::{Cancel, CaseSpec, Compensation, ContactMax, Match, Playbook, Policy, QuietHours, Sla, SourceHash};
use super::verb::{self, condition, template};
use super::{Messages, Template, Via};
use crate::domain::{
    AdapterName, Agreed, FaultName, GoalName, PlaybookId, Purpose, QueueName, Rate, Role, Severity, Span,
};
use crate::source::{Diagnostic, Diagnostics, Doc, FileId, Place, Table, Text, did_you_mean};

/// What a configured provider can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderKind {
    /// Sends mail.
    Smtp,
    /// Keeps tickets.
    Ticket,
    /// Sends trucks and technicians.
    Dispatch,
    /// Places calls.
    Voice,
    /// Sends text messages.
    Sms,
    /// Sends commands to devices.
    Command,
    /// Takes a signed JSON POST; pages people.
    Webhook,
    /// Takes appointments.
    Booking,
    /// Shows messages in the customers' own app.
    App,
}

/// What a playbook may refer to.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Human queues of the settings.
    pub queues: BTreeSet<QueueName>,
    /// Providers of the settings.
    pub providers: BTreeMap<AdapterName, ProviderKind>,
    /// Attempts a second that they take, where the settings say it.
    pub per_second: BTreeMap<AdapterName, u32>,
    /// The texts.
    pub messages: Messages,
    /// The rules and the registry; `None` where they are not known.
    pub fleet: Option<FleetFacts>,
}

/// What the rules, the models and the registry say, as far as playbooks are held against it. Empty sets prove nothing.
#[derive(Debug, Clone, Default)]
pub struct FleetFacts {
    /// Roles that somebody has towards a device.
    pub roles: BTreeSet<Role>,
    /// By kind of device, what is known of it as `device.x`: columns of the registry and facts of its models.
    pub kinds: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    /// What anybody has agreed to.
    pub consents: BTreeSet<Agreed>,
}

/// A name in the file that must exist somewhere else; looked up after the whole file has been read.
#[derive(Debug, Clone)]
pub(super) struct Mention {
    pub(super) what: MentionOf,
    pub(super) name: Text,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MentionOf {
    Step,
    Goal,
    Tier,
    Queue,
    Role,
    Provider(ProviderKind),
    /// A script and the parts that its use needs.
    Script(Vec<super::Part>),
}

/// What reading a file collects besides the playbook itself.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) mentions: Vec<Mention>,
    pub(super) step_ids: Vec<Text>,
    pub(super) goals: Vec<Text>,
    pub(super) tiers: Vec<Text>,
    /// What tiers allow themselves, and where that stands.
    pub(super) budgets: Vec<(Via, Rate, Place)>,
    pub(super) policy: Option<Place>,
    pub(super) purpose: Option<Text>,
    /// What the owner must have agreed to.
    pub(super) consents: Vec<Text>,
    /// Names that conditions use.
    pub(super) conditions: Vec<(Arc<str>, Place)>,
    /// What mails have attached.
    pub(super) attachments: Vec<(Text, Template)>,
}

impl Notes {
    pub(super) fn mention(&mut self, what: MentionOf, name: &Text) {
        self.mentions.push(Mention { what, name: name.clone() });
    }
}

/// Loads all playbooks; one with mistakes is left out, and every mistake is in `diags`.
pub fn load(diags: &mut Diagnostics, files: &[FileId], surroundings: &Surroundings) -> Vec<Arc<Playbook>> {
    let mut books: Vec<Arc<Playbook>> = Vec::new();
    for file in files {
        let before = diags.counts().0;
        let Some(book) = read(diags, *file, Some(surroundings)) else { continue };
        if let Some(other) = books.iter().find(|b| b.id == book.id) {
            let place = Place { file: *file, span: 0..0 };
            diags.push(
                Diagnostic::error("P017", format!("there are two playbooks `{}`", other.id))
                    .at(place, "the second one"),
            );
        }
        if diags.counts().0 == before {
            books.push(Arc::new(book));
        }
    }
    books
}

/// Compiles a text that was loaded before and is kept for the cases opened with it. What it refers to is looked up
/// when it is used: providers and queues may have gone since.
#[must_use]
pub fn compile_stored(source: &str) -> Option<Playbook> {
    let mut diags = Diagnostics::default();
    let file = diags.add_file("stored", source);
    let book = read(&mut diags, file, None)?;
    (!diags.has_errors()).then_some(book)
}

/// Mistakes within a value (a command that is not allowed, a template, a condition, a name in them): something stands in for
/// it, and the plan around it is whole, so that what is wrong with that is told as well.
const STANDS: [&str; 4] = ["P011", "P012", "P013", "P014"];

fn read(diags: &mut Diagnostics, file: FileId, surroundings: Option<&Surroundings>) -> Option<Playbook> {
    let doc = Doc::parse(diags, "P001", file);
    let root = doc.root();
    if let Some(schema) = root.need_text(diags, "schema").filter(|s| &*s.value != "playbook/1") {
        diags.push(
            Diagnostic::error("P002", format!("unknown schema '{}'", schema.value))
                .at(schema.place, "")
                .hint("this program reads `playbook/1`"),
        );
    }
    let mut notes = Notes::default();
    let id = root.need_text(diags, "id");
    root.need(diags, "version");
    let version = root.count(diags, "version");
    let _ = root.text(diags, "owner");
    let matches = section(&root, diags, "match").and_then(|t| read_match(diags, t));
    let case = section(&root, diags, "case").and_then(|t| read_case(diags, t, &mut notes));
    let policy = section(&root, diags, "policy").and_then(|t| read_policy(diags, t, &mut notes));
    root.need(diags, "step");
    let before = diags.list().len();
    let steps: Vec<_> =
        root.tables(diags, "step").into_iter().filter_map(|t| verb::read(diags, t, &mut notes)).collect();
    let cancels: Vec<_> =
        root.tables(diags, "cancel").into_iter().filter_map(|t| read_cancel(diags, t, &mut notes)).collect();
    let storm = matches.as_ref().is_some_and(|m| m.storm.is_some());
    let (told, place) = super::storm::storm(diags, &root, &mut notes);
    if let (false, Some(place)) = (storm, place) {
        let finding = Diagnostic::error("P050", "this is about storms, and `[match]` has no `storm`");
        diags.push(finding.at(place, "nothing would come of it"));
    }
    let storm = storm.then(|| Box::new(told));
    let complete = diags.list()[before..].iter().all(|d| STANDS.contains(&d.code));
    root.finish(diags);
    let source = diags.text(file).clone();
    let book = Playbook {
        id: PlaybookId::from(&*id?.value),
        version: version?.value,
        hash: SourceHash::of(&source),
        source,
        matches: matches?,
        case: case?,
        policy: policy?,
        steps,
        cancels,
        storm,
    };
    check(diags, &book, &notes, surroundings, complete);
    Some(book)
}

fn section<'a>(root: &Table<'a>, diags: &mut Diagnostics, name: &str) -> Option<Table<'a>> {
    root.need(diags, name);
    root.table(diags, name)
}

fn read_match(diags: &mut Diagnostics, t: Table<'_>) -> Option<Match> {
    let storm = super::storm::surge(diags, &t);
    if !t.has("storm") {
        t.need(diags, "fault");
    }
    let faults = t.texts(diags, "fault").iter().map(|f| FaultName::from(&*f.value)).collect();
    let mut severities = Vec::new();
    for text in t.texts(diags, "severity") {
        match text.value.parse::<Severity>() {
            Ok(s) => severities.push(s),
            Err(()) => {
                let near = did_you_mean(&text.value, Severity::ALL.map(Severity::as_str));
                diags.push(
                    Diagnostic::error("P001", format!("`severity` is '{}', which is not a severity", text.value))
                        .at(text.place, "expected minor, warning, major or critical")
                        .maybe_hint(near.map(|n| format!("did you mean '{n}'?"))),
                );
            }
        }
    }
    let confidence = t.number(diags, "min_confidence");
    if let Some(c) = confidence.as_ref().filter(|c| !(0.0..=1.0).contains(&c.value)) {
        diags.push(
            Diagnostic::error("P001", "`min_confidence` must be between 0 and 1").at(c.place.clone(), "out of range"),
        );
    }
    let device_kinds = t.texts(diags, "device_kind").into_iter().map(|k| k.value).collect();
    let horizon = t.table(diags, "horizon").map(|h| {
        let mut end = |key| h.parsed::<Span>(diags, key, "a duration such as 2d").map(|s| s.value);
        let ends = (end("from").unwrap_or(Span::ZERO), end("to"));
        h.finish(diags);
        ends
    });
    t.finish(diags);
    let min_confidence = confidence.map_or(0.0, |c| c.value);
    Some(Match { horizon, faults, severities, min_confidence, device_kinds, storm })
}

fn read_case(diags: &mut Diagnostics, t: Table<'_>, notes: &mut Notes) -> Option<CaseSpec> {
    let key = match t.text(diags, "key") {
        Some(text) => template(diags, &text, Audience::Field).inspect(|key| refuse_names(diags, &text, key)),
        None => Template::parse("{{ device.id }}/{{ fault.family }}").ok(),
    };
    let reopen = t.parsed::<Span>(diags, "reopen", "a duration such as 72h");
    let priority = t.count(diags, "priority");
    // That of a storm always is one; the key is accepted for the reader.
    let _ = t.flag(diags, "parent");
    let sla = t.table(diags, "sla").map(|s| {
        let mut within = |key| s.parsed::<Span>(diags, key, "a duration such as 4h").map(|w| w.value);
        let sla = Sla { first_contact: within("first_contact"), appointment_offered: within("appointment_offered") };
        s.finish(diags);
        sla
    });
    t.need(diags, "goals");
    notes.goals = t.texts(diags, "goals");
    let goals = notes.goals.iter().map(|g| GoalName::from(&*g.value)).collect();
    t.finish(diags);
    Some(CaseSpec {
        key: key?,
        reopen: reopen.map_or(Span::ZERO, |r| r.value),
        priority: priority.map_or(0, |p| p.value),
        sla: sla.unwrap_or_default(),
        goals,
    })
}

/// A key stands in the log for ever.
fn refuse_names(diags: &mut Diagnostics, text: &Text, key: &Template) {
    const LEADING: [&str; 4] = ["device.plate", "device.vin", "device.serial", "device.name"];
    if let Some(name) = key.names().iter().find(|name| LEADING.contains(&name.as_str())) {
        let finding = Diagnostic::error("P039", format!("the key of a case cannot have `{name}`"));
        diags
            .push(finding.at(text.place.clone(), "it is stored and cannot be erased").hint("`device.id` says as much"));
    }
}

fn read_policy(diags: &mut Diagnostics, t: Table<'_>, notes: &mut Notes) -> Option<Policy> {
    notes.policy = Some(t.place());
    let purpose_text = t.need_text(diags, "purpose");
    notes.purpose = purpose_text.clone();
    let purpose = purpose_text.and_then(|p| match &*p.value {
        "safety" => Some(Purpose::Safety),
        "service" => Some(Purpose::Service),
        "info" => Some(Purpose::Info),
        other => {
            let near = did_you_mean(other, ["safety", "service", "info"]);
            diags.push(
                Diagnostic::error("P001", format!("`purpose` is '{other}'"))
                    .at(p.place, "expected safety, service or info")
                    .maybe_hint(near.map(|n| format!("did you mean '{n}'?"))),
            );
            None
        }
    });
    let quiet_hours = t.text(diags, "quiet_hours").map_or(Some(QuietHours::Respect), |q| match &*q.value {
        "respect" => Some(QuietHours::Respect),
        "ignore" if purpose.is_none_or(|p| p == Purpose::Safety) => Some(QuietHours::Ignore),
        "ignore" => {
            diags.push(
                Diagnostic::error("P010", "quiet hours may be ignored for purpose 'safety' only")
                    .at(q.place, "wakes people up")
                    .hint("write quiet_hours = \"respect\", or purpose = \"safety\" if life or health is in danger"),
            );
            Some(QuietHours::Ignore)
        }
        other => {
            diags.push(
                Diagnostic::error("P001", format!("`quiet_hours` is '{other}'"))
                    .at(q.place, "expected respect or ignore"),
            );
            None
        }
    });
    let contact_max = t.table(diags, "contact_max").map(|m| {
        let (calls, sms, emails) = (m.count(diags, "calls"), m.count(diags, "sms"), m.count(diags, "emails"));
        let pushes = m.count(diags, "app_pushes");
        m.need(diags, "per");
        let per = m.parsed::<Span>(diags, "per", "a duration such as 30m");
        m.finish(diags);
        ContactMax {
            calls: calls.map(|c| c.value),
            sms: sms.map(|c| c.value),
            emails: emails.map(|c| c.value),
            app_pushes: pushes.map(|c| c.value),
            per: per.map_or(Span::from_hours(24), |p| p.value),
        }
    });
    let redact = t.texts(diags, "redact").into_iter().map(|r| r.value).collect();
    notes.consents = t.texts(diags, "consent");
    let consent = notes.consents.iter().map(|c| c.value.clone()).collect();
    t.finish(diags);
    Some(Policy {
        purpose: purpose?,
        quiet_hours: quiet_hours?,
        contact_max: contact_max.unwrap_or(ContactMax {
            calls: None,
            sms: None,
            emails: None,
            app_pushes: None,
            per: Span::from_hours(24),
        }),
        redact,
        consent,
    })
}

fn read_cancel(diags: &mut Diagnostics, t: Table<'_>, notes: &mut Notes) -> Option<Cancel> {
    let when = t.need_text(diags, "when").and_then(|text| condition(diags, &text, notes));
    t.need(diags, "do");
    let actions: Vec<_> =
        t.texts(diags, "do").iter().filter_map(|text| read_compensation(diags, text, notes)).collect();
    t.finish(diags);
    Some(Cancel { when: when?, actions })
}

fn read_compensation(diags: &mut Diagnostics, text: &Text, notes: &mut Notes) -> Option<Compensation> {
    let known = "dispatch.cancel(step), book.cancel(step), reach(role, script='name') or ticket.note('text')";
    let parts = text.value.trim().strip_suffix(')').and_then(|t| t.split_once('('));
    let sub = |part: &str| -> Text {
        let start = text.value.find(part).unwrap_or(0);
        Text { value: part.into(), place: text.inner(diags, start..start + part.len()) }
    };
    let action = match parts {
        Some(("dispatch.cancel", step)) => {
            notes.mention(MentionOf::Step, &sub(step.trim()));
            Some(Compensation::DispatchCancel(step.trim().into()))
        }
        Some(("book.cancel", step)) => {
            notes.mention(MentionOf::Step, &sub(step.trim()));
            Some(Compensation::BookCancel(step.trim().into()))
        }
        Some(("ticket.note", note)) => quoted(note).map(|n| Compensation::TicketNote(n.into())),
        Some(("reach", arguments)) => arguments.split_once(',').and_then(|(role, script)| {
            let script = quoted(script.trim().strip_prefix("script")?.trim_start().strip_prefix('=')?)?;
            // Any of mail, text and speech will do, whichever reaches the person.
            notes.mention(MentionOf::Script(vec![super::Part::Sms]), &sub(script));
            Some(Compensation::Reach { role: role.trim().into(), script: script.into() })
        }),
        _ => None,
    };
    if action.is_none() {
        diags.push(
            Diagnostic::error("P015", format!("'{}' undoes nothing that is known", text.value))
                .at(text.place.clone(), "")
                .hint(format!("write {known}")),
        );
    }
    action
}

fn quoted(text: &str) -> Option<&str> {
    text.trim().strip_prefix('\'')?.strip_suffix('\'')
}
