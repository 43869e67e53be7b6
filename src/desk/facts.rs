//! What is known of a case: for conditions, and for texts.

use std::sync::Arc;

use jiff::tz::TimeZone;
use serde_json::{Map, Value as Json, json};

use super::change::Change;
use super::quiet::zone_of;
use super::rows::{CaseRow, FactsRow, GoalState, JobRow, StepState, TicketRow};
use super::{book, command, position, storm, whereabouts};
use crate::domain::{At, CaseId, Customer, Device, DeviceId, JobState, Span, StepId, Value};
use crate::playbook::{Facts, clock};

/// News of a job older than this are not spoken of as a time (I3).
const ETA_MAX_AGE: Span = Span::from_mins(10);

/// The family of a fault: `brake` of `brake.circuit_loss`.
pub(super) fn family(fault: &str) -> &str {
    fault.split('.').next().unwrap_or(fault)
}

/// The live job of a case: the newest that was asked for since it was opened, or one from before that is still coming. A
/// truck that came the last time is not here now.
pub(super) fn job_of(change: &Change<'_>, id: CaseId, case: &CaseRow) -> Option<JobRow> {
    let lives = |j: &JobRow| !j.unwanted && (j.asked_at >= case.opened_at || is_coming(j.state));
    change.jobs(id).into_iter().rev().map(|(_, j)| j).find(lives)
}

/// Somebody is on the way, or means to be.
pub(super) fn is_coming(state: Option<JobState>) -> bool {
    matches!(state, Some(JobState::Accepted | JobState::EnRoute | JobState::CancelRefused))
}

/// Somebody is coming, or there.
pub(super) fn is_promised(state: Option<JobState>) -> bool {
    use JobState::{Accepted, Done, EnRoute, OnSite, Towing};
    matches!(state, Some(Accepted | EnRoute | OnSite | Towing | Done))
}

pub(super) fn job_word(state: Option<JobState>) -> &'static str {
    match state {
        None => "requested",
        Some(JobState::Offered) => "offered",
        Some(JobState::Accepted) => "accepted",
        Some(JobState::EnRoute) => "en_route",
        Some(JobState::OnSite) => "on_site",
        Some(JobState::Towing) => "towing",
        Some(JobState::Done) => "done",
        Some(JobState::Declined) => "declined",
        Some(JobState::NoProvider) => "no_provider",
        Some(JobState::GoneOnArrival) => "gone_on_arrival",
        Some(JobState::Unsuccessful) => "unsuccessful",
        Some(JobState::Cancelled) => "cancelled",
        Some(JobState::CancelRefused) => "cancel_refused",
    }
}

/// Whole minutes until the truck arrives: rounded up, never below 1; `None` unless it is promised and fresh.
pub(super) fn eta_minutes(job: &JobRow, now: At) -> Option<i64> {
    let eta = job.eta_at.filter(|eta| is_coming(job.state) && *eta > now && now.since(job.news_at) <= ETA_MAX_AGE)?;
    Some(minutes_up(eta.since(now)))
}

pub(super) fn minutes_up(span: Span) -> i64 {
    (span.as_micros() + 59_999_999).div_euclid(60_000_000).max(1)
}

/// The stored facts of a case, for conditions.
pub(super) struct CaseFacts<'a, 'b> {
    change: &'a Change<'b>,
    id: CaseId,
    case: &'a CaseRow,
    facts: FactsRow,
    job: Option<JobRow>,
    /// The command whose guard is looked at.
    op: Option<&'a str>,
}

impl<'a, 'b> CaseFacts<'a, 'b> {
    pub(super) fn new(change: &'a Change<'b>, id: CaseId, case: &'a CaseRow) -> Self {
        let facts = change.get::<FactsRow>(&case.device).unwrap_or_default();
        Self { change, id, case, facts, job: job_of(change, id, case), op: None }
    }

    /// For the guard of a command.
    pub(super) fn of_command(self, op: &'a str) -> Self {
        Self { op: Some(op), ..self }
    }

    fn commands(&self, device: Option<&DeviceId>) -> Value {
        self.op.map_or(Value::Unknown, |op| Value::from(f64::from(command::sent(self.change, device, op))))
    }

    fn position_age(&self) -> Value {
        self.facts.position_at.map_or(Value::Unknown, |at| Value::from(self.change.now.since(at).as_secs_f64()))
    }
}

impl Facts for CaseFacts<'_, '_> {
    fn name(&self, name: &str) -> Value {
        let device = |d: &Device, n: &str| d.attrs.get(n).map_or(Value::Unknown, |v| Value::from(&**v));
        match name {
            "fault.cleared" => Value::Bool(self.case.cleared_at.is_some()),
            "fault.stale" => Value::Bool(self.case.stale),
            "fault.name" => Value::from(self.case.fault.as_str()),
            "fault.family" => Value::from(family(self.case.fault.as_str())),
            "fault.level" => Value::from(self.case.level.as_str()),
            "fault.severity" => Value::from(self.case.severity.as_str()),
            "fault.safety" => {
                let plan = self.change.plan(self.case);
                plan.map_or(Value::Unknown, |p| Value::Bool(p.policy.purpose == crate::domain::Purpose::Safety))
            }
            "storm.count" | "storm.cause" => storm::fact(self.change, self.id, name),
            "fault.confidence" => Value::from(self.case.confidence),
            "fleet_commands_last_hour" => self.commands(None),
            "same_command_on_device_last_24h" => self.commands(Some(&self.case.device)),
            "fault.score" => score(self.case),
            "fault.horizon.p10" => seconds(horizon(self.case, 10)),
            "fault.horizon.p50" => seconds(horizon(self.case, 50)),
            "fault.horizon.p90" => seconds(horizon(self.case, 90)),
            "booking.state" => Value::from(book::word_of(self.change, self.id)),
            "dispatch.state" => self.job.as_ref().map_or(Value::Unknown, |j| Value::from(job_word(j.state))),
            "dispatch.accepted" => Value::Bool(self.job.as_ref().is_some_and(|j| is_promised(j.state))),
            "dispatch.eta_minutes" => {
                let minutes = self.job.as_ref().and_then(|j| eta_minutes(j, self.change.now));
                minutes.and_then(|m| i32::try_from(m).ok()).map_or(Value::Unknown, |m| Value::from(f64::from(m)))
            }
            "ticket.open" => {
                let tickets = self.change.of_case::<TicketRow, _>(self.id, StepId::from(""));
                Value::Bool(tickets.iter().any(|(_, t)| t.ticket.is_some()))
            }
            "position_age" => self.position_age(),
            "position_trusted" => Value::Bool(
                position::of(self.change, &self.facts).is_some()
                    && whereabouts::is_usable(self.change, &self.case.device, &self.facts),
            ),
            "case.age" => Value::from(self.change.now.since(self.case.opened_at).as_secs_f64()),
            "case.human" => Value::Bool(self.case.human_owner.is_some()),
            "device.id" => Value::from(self.case.device.as_str()),
            _ => match name.strip_prefix("device.") {
                Some(n @ ("lat" | "lon")) => position::reading(self.change, &self.facts, n),
                // `device.last.load`: for whoever wants to say that it may be the last for ever.
                Some(n) => match self.facts.values.get(n.strip_prefix("last.").unwrap_or(n)) {
                    Some(v) => v.clone(),
                    None => self
                        .change
                        .config
                        .registry
                        .devices
                        .get(&self.case.device)
                        .map_or(Value::Unknown, |d| device(d, n)),
                },
                None => Value::Unknown,
            },
        }
    }

    fn call(&self, name: &str, arguments: &[Arc<str>]) -> Value {
        let Some(argument) = arguments.first() else { return Value::Unknown };
        if name == "met" {
            return Value::Bool(
                self.case.goals.iter().any(|g| *g.name.as_str() == **argument && g.state == GoalState::Met),
            );
        }
        if name == "count" {
            return storm::count(self.change, self.id, argument);
        }
        let step = self.change.get::<super::rows::StepRow>(&(self.id, StepId::from(&**argument)));
        Value::Bool(match name {
            "confirmed" => step.is_some_and(|s| s.confirmed.is_some()),
            "done" => step.is_some_and(|s| s.state == StepState::Done),
            "failed" => step.is_some_and(|s| s.state == StepState::Failed),
            "accepted" => self
                .change
                .effects_since_opened(self.id)
                .iter()
                .any(|(_, e)| *e.step.as_str() == **argument && e.delivery.state.is_taken()),
            _ => return Value::Unknown,
        })
    }
}

/// How much of the fault is there, from 0 (it has cleared) to 1; unknown while the device says nothing of it.
fn score(case: &CaseRow) -> Value {
    match (case.cleared_at, case.stale) {
        (Some(_), _) => Value::from(0.0),
        (None, true) => Value::Unknown,
        (None, false) => Value::from(case.confidence),
    }
}

/// How long the fault takes to become a breakdown: the ends and the middle of what its rule promises.
pub(super) fn horizon(case: &CaseRow, percent: u8) -> Option<Span> {
    let (from, to) = case.lead?;
    Some(match percent {
        0..=10 => from,
        11..=89 => Span::from_micros(from.as_micros().midpoint(to.as_micros())),
        _ => to,
    })
}

fn seconds(span: Option<Span>) -> Value {
    span.map_or(Value::Unknown, |s| Value::from(s.as_secs_f64()))
}

/// For whom a text is.
pub(super) enum Reader<'a> {
    /// A customer.
    Customer(&'a Customer),
    /// Somebody of ours, or a ticket desk.
    Staff { zone: &'a str },
}

impl Reader<'_> {
    fn locale(&self) -> &str {
        match self {
            Self::Customer(c) => &c.locale,
            Self::Staff { .. } => "en",
        }
    }

    /// The hours of a day as the reader counts them.
    pub(super) fn clock(&self) -> &'static str {
        match self {
            Self::Customer(c) => clock(&c.locale),
            Self::Staff { .. } => "%H:%M",
        }
    }

    pub(super) fn zone(&self) -> TimeZone {
        zone_of(match self {
            Self::Customer(c) => &c.tz,
            Self::Staff { zone } => zone,
        })
    }
}

/// Everything a text may say, as true as it is now. `written`: mail, SMS, ticket; what the playbook redacts is left
/// out there. Absent facts are absent, so that a strict template fails instead of lying.
pub(super) fn context(change: &Change<'_>, id: CaseId, case: &CaseRow, reader: &Reader<'_>, written: bool) -> Json {
    let now = change.now;
    let zone = reader.zone();
    let local = |at: At| at.to_jiff().to_zoned(zone.clone()).strftime(reader.clock()).to_string();
    let registry = &change.config.registry;
    let facts = change.get::<FactsRow>(&case.device).unwrap_or_default();
    let redacted =
        written && change.plan(case).is_some_and(|p| p.policy.redact.iter().any(|r| &**r == "device.position"));

    let mut device = Map::new();
    device.insert("id".into(), case.device.as_str().into());
    if let Some(known) = registry.devices.get(&case.device) {
        device.insert("kind".into(), (*known.kind).into());
        device.extend(known.attrs.iter().map(|(k, v)| ((**k).to_owned(), Json::from(&**v))));
    }
    device.extend(facts.values.iter().map(|(name, value)| (name.clone(), plain(value))));
    if let (Some((lat, lon)), false) = (position::of(change, &facts), redacted) {
        device.extend([("lat".to_owned(), lat.into()), ("lon".to_owned(), lon.into())]);
        device.insert("position".into(), format!("{lat:.5}, {lon:.5}").into());
    }

    let part = case.fault.as_str().split_once('.').map_or(case.fault.as_str(), |(_, p)| p);
    let part_name = case.component.as_ref().map_or_else(|| part.replace('_', " "), |c| c.to_string());
    let evidence: Vec<Json> =
        case.evidence.iter().map(|e| json!({ "name": e.name, "value": plain(&e.value), "unit": e.unit })).collect();
    let mut root = json!({
        "case": {
            "id": id.short(), "full_id": id.to_string(), "title": case.title, "opened": local(case.opened_at),
            "url": format!("{}/api/v1/cases/{id}", change.config.public_url), "run": case.run,
            "silent_for": silent_for(case, now),
        },
        "device": device,
        "fault": {
            "name": case.fault.as_str(), "family": family(case.fault.as_str()), "title": case.title,
            "severity": case.severity.as_str(), "level": case.level, "confidence": case.confidence,
            "cleared": case.cleared_at.is_some(), "event_at": case.event_at, "evidence": evidence,
            "part": { "id": part, "name": part_name },
        },
        // Only mails have one.
        "chart": null,
        "dispatch": dispatch(job_of(change, id, case), change, &local),
        "storm": storm::context(change, id, &local),
        "booking": book::facts(change, id, &zone, reader.clock()),
    });
    if let Reader::Customer(customer) = reader {
        root["customer"] = json!({ "name": &*customer.name, "locale": &*customer.locale,
            "preferred_workshop": customer.preferred_workshop.as_deref() });
    }
    let tickets = change.of_case::<TicketRow, _>(id, StepId::from(""));
    let ticket = tickets.iter().find_map(|(_, t)| t.ticket.clone());
    root["ticket"] = json!({ "open": ticket.is_some(), "id": ticket });
    change.config.messages.with_words(&root, reader.locale())
}

/// How long the fault was there, in whole minutes.
fn silent_for(case: &CaseRow, now: At) -> String {
    let minutes = case.cleared_at.unwrap_or(now).since(case.event_at).as_micros() / 60_000_000;
    Span::from_mins(minutes.max(1)).to_string()
}

/// What may be said of the truck. `accepted` is the only licence to promise one.
fn dispatch(job: Option<JobRow>, change: &Change<'_>, clock: &dyn Fn(At) -> String) -> Json {
    let Some(job) = job else {
        return json!({ "state": "none", "accepted": false, "on_site": false, "eta_minutes": null,
            "eta_clock": null, "truck": null });
    };
    let minutes = eta_minutes(&job, change.now);
    json!({
        "state": job_word(job.state),
        "accepted": is_promised(job.state),
        "on_site": matches!(job.state, Some(JobState::OnSite | JobState::Towing | JobState::Done)),
        "eta_minutes": minutes,
        "eta_clock": minutes.and(job.eta_at).map(clock),
        "truck": job.truck.as_ref().and_then(|truck| change.config.keys.open::<String>(truck)),
    })
}

fn plain(value: &Value) -> Json {
    match value {
        Value::Unknown => Json::Null,
        Value::Bool(b) => (*b).into(),
        Value::Num(n) => (*n).into(),
        Value::Text(t) => (**t).into(),
    }
}
