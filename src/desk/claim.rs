//! Claiming: the case is read again in the very step that commits the attempt. Still true? Consent? Quiet hours?
//! Budget? Only then is an order built, with the present truth.

use std::collections::BTreeMap;

use super::change::Change;
use super::order;
use super::rows::{BudgetKey, BudgetRow, CaseRow, EffectRow, StepRow, StepState, Target};
use super::{
    Provider, TimelineKind, book, bundle, caps, consent, dispatch, goals, hold, line, news, optout, reach, reached,
    stop, storm, survey, wrong,
};
use crate::domain::{AdapterName, At, EffectId, Purpose, Rate, Span};
use crate::outbox::{Event, Kind, News, State};
use crate::playbook::{Held, QuietHours};

/// How often what waits for another case or for a condition looks at it again.
const LOOK_AGAIN: Span = Span::from_mins(1);

/// Claims everything that this step has made due.
pub(super) fn due(change: &mut Change<'_>) {
    let ready: Vec<EffectId> = change
        .pending
        .effects
        .iter()
        .filter(|(_, row)| {
            row.as_ref().is_some_and(|r| r.delivery.state.is_waiting() && r.delivery.not_before_at <= change.now)
        })
        .map(|(id, _)| *id)
        .collect();
    claim(change, ready);
}

pub(super) enum Gate {
    Open,
    Wait(At, String),
    Drop(String),
}

/// Claims effects whose time has come. Those of a provider with a limit get in line first, all of them, so that the most
/// urgent one goes whatever the order in which they are named here.
pub(super) fn claim(change: &mut Change<'_>, ids: Vec<EffectId>) {
    let mut lines: BTreeMap<AdapterName, Vec<EffectId>> = BTreeMap::new();
    for id in ids {
        let Some(row) = change.get::<EffectRow>(&id).filter(|r| r.delivery.state.is_waiting()) else { continue };
        let open = matches!(gate(change, id, &row), Gate::Open);
        let mut waits = || storm::gate(change, id, &row).or_else(|| bundle::wait(change, &row));
        if open && let Some((at, why)) = waits() {
            hold(change, id, row, at, why);
            continue;
        }
        let limited = change.config.providers.get(&row.adapter).is_some_and(Provider::is_limited);
        if limited && open {
            line::join(change, id, &row);
            lines.entry(row.adapter).or_default().push(id);
        } else {
            decide(change, id, row);
        }
    }
    for (adapter, ids) in lines {
        line::serve(change, &adapter);
        line::stay(change, &adapter, &ids);
    }
}

/// Sends an effect, or says why not now or not at all.
pub(super) fn decide(change: &mut Change<'_>, id: EffectId, mut row: EffectRow) {
    match gate(change, id, &row) {
        Gate::Wait(at, why) => hold(change, id, row, at, why),
        Gate::Drop(why) => {
            row.waits_for = None;
            row.delivery.state = State::Cancelled;
            row.delivery.reason = Some(why.clone());
            let (case, text) = (row.case, format!("{} {} is not sent: {why}", row.delivery.kind.as_str(), row.step));
            change.put(id, row);
            change.say(case, TimelineKind::Decided, text, Some(id));
        }
        // The storm may have had others sent while it stood in line.
        Gate::Open => match storm::full_until(change, &row) {
            Some((at, why)) => hold(change, id, row, at, why),
            None => send(change, id, row),
        },
    }
}

/// Waits until `at`.
pub(super) fn hold(change: &mut Change<'_>, id: EffectId, mut row: EffectRow, at: At, why: String) {
    row.delivery.not_before_at = at.max(change.now + Span::from_millis(100));
    if row.waits_for.as_ref() != Some(&why) {
        row.waits_for = Some(why);
    }
    change.put(id, row);
}

fn send(change: &mut Change<'_>, id: EffectId, mut row: EffectRow) {
    let Some(News::Go(ask)) = row.delivery.on(&id, change.now, &Event::Claim) else { return };
    row.waits_for = None;
    bundle::gather(change, id, &row);
    match order::build(change, id, &row, ask) {
        Ok(order) => {
            spend(change, &row);
            storm::spend(change, &row);
            if row.delivery.kind == Kind::Command {
                super::command::note(change, &row);
            }
            reached::note(change, id, &row);
            if row.delivery.kind != Kind::Call {
                dispatch::told(change, &row);
            }
            let quiet = matches!(row.delivery.kind, Kind::DispatchStatus | Kind::TicketNote | Kind::BookStatus);
            change.put(id, row.clone());
            bundle::follow(change, id, &row);
            change.orders.push(order);
            if !quiet {
                bundle::say_sent(change, id, &row, &sent_line(&row));
            }
            change.touched.insert(row.case);
        }
        Err(why) => {
            bundle::let_go(change, id);
            row.delivery.state = State::Rejected;
            row.delivery.reason = Some(why.clone());
            let (case, text) = (row.case, format!("{} {} cannot be made: {why}", row.delivery.kind.as_str(), row.step));
            change.put(id, row);
            change.say(case, TimelineKind::Trouble, text.clone(), Some(id));
            super::goals::page_default(change, case, &text);
        }
    }
}

fn sent_line(row: &EffectRow) -> String {
    let what = match row.delivery.kind {
        Kind::TicketCreate => "ticket: create",
        Kind::TicketNote => "ticket: article",
        Kind::TicketClose => "ticket: close",
        Kind::DispatchRequest => "dispatch: request",
        Kind::DispatchCancel => "dispatch: cancel",
        Kind::BookSearch => "booking: which times are free?",
        Kind::BookHold => "booking: keep a time",
        Kind::BookCreate => "booking: book",
        Kind::BookCancel => "booking: cancel",
        other => other.as_str(),
    };
    let whom = match &row.target {
        Target::Nobody => String::new(),
        Target::Customer { endpoint, .. } => format!(" to {endpoint}"),
        Target::Person { queue, index } => format!(" to {queue}, person {}", index + 1),
    };
    let again = if row.delivery.sends > 1 { format!(", attempt {}", row.delivery.sends) } else { String::new() };
    let doubt = if row.delivery.possible_duplicate { ", possibly a duplicate" } else { "" };
    format!("{what}{whom} by {}{again}{doubt}", row.adapter)
}

/// Also for questions, which spend the provider's budget but need no consent.
pub(super) fn spend(change: &mut Change<'_>, row: &EffectRow) {
    let key = BudgetKey::Provider(row.adapter.clone());
    if change.config.providers.get(&row.adapter).is_some_and(Provider::is_limited) {
        let mut budget = change.get::<BudgetRow>(&key).unwrap_or_default();
        budget.second = budget.second.take(change.now, Span::from_secs(1));
        budget.hour = budget.hour.take(change.now, Span::from_hours(1));
        budget.day = budget.day.take(change.now, Span::from_hours(24));
        change.put(key, budget);
    }
}

/// Whether it may be sent, but for the limits of its provider.
pub(super) fn gate(change: &Change<'_>, id: EffectId, row: &EffectRow) -> Gate {
    let Some(case) = change.get::<CaseRow>(&row.case) else { return Gate::Drop("its case is gone".to_owned()) };
    if let Some(why) = obsolete(change, &case, id, row) {
        return Gate::Drop(why);
    }
    if let Some(why) = consent::why_not(change, &case, row) {
        return Gate::Drop(why);
    }
    if let Some(why) = stop::holds(change, row) {
        return Gate::Wait(change.now + stop::LOOK_AGAIN, why);
    }
    if !change.config.providers.contains_key(&row.adapter) {
        return Gate::Drop(format!("there is no provider {} any more", row.adapter));
    }
    if let Some(why) = not_now(change, &case, row) {
        return Gate::Wait(change.now + LOOK_AGAIN, why);
    }
    if let Target::Customer { customer, endpoint } = &row.target {
        match contact_gate(change, id, row, &case, customer, endpoint) {
            Gate::Open => {}
            other => return other,
        }
    }
    Gate::Open
}

/// Whether what was planned is still to be done.
fn obsolete(change: &Change<'_>, case: &CaseRow, id: EffectId, row: &EffectRow) -> Option<String> {
    if survey::asks(change, row) {
        return survey::why_not(change, id, row);
    }
    let step = change.get::<StepRow>(&(row.case, row.step.clone()));
    let ended = step.is_some_and(|s| matches!(s.state, StepState::Done | StepState::Cancelled));
    if ended && row.delivery.kind.is_contact() && !book::is_letter(change, id) {
        return Some("it is not needed any more".to_owned());
    }
    if row.compensation {
        return None;
    }
    if !case.is_open() {
        return Some("the case is closed".to_owned());
    }
    case.backing_out.is_some().then(|| "the plan is being undone".to_owned())
}

/// What is to be told to a customer waits while it is not so: the case is part of another one, or the condition of its step
/// has ceased to be true. Who is in danger is told all the same.
fn not_now(change: &Change<'_>, case: &CaseRow, row: &EffectRow) -> Option<String> {
    let everyday = row.delivery.purpose != Purpose::Safety && !row.compensation;
    if !everyday || !row.delivery.kind.is_contact() || !matches!(row.target, Target::Customer { .. }) {
        return None;
    }
    let plan = change.plan(case)?;
    let step = plan.step(&row.step)?;
    if let Some(parent) = hold::merged_into(change, row.case) {
        return Some(format!("the end of case {}, which it is part of", parent.short()));
    }
    let when = step.when.as_ref()?;
    let (truth, soon) = goals::truth(change, row.case, case, when, &mut Held::default());
    (truth == Some(false) && soon.is_none()).then(|| format!("{} to be true again", when.text))
}

fn contact_gate(
    change: &Change<'_>,
    id: EffectId,
    row: &EffectRow,
    case: &CaseRow,
    customer: &crate::domain::CustomerId,
    endpoint: &crate::domain::EndpointId,
) -> Gate {
    let registry = &change.config.registry;
    let Some(customer) = registry.customers.get(customer) else { return Gate::Drop("the customer is gone".to_owned()) };
    let Some(endpoint) = customer.endpoints.iter().find(|e| e.id == *endpoint) else {
        return Gate::Drop("the endpoint is gone".to_owned());
    };
    if endpoint.opted_out {
        return Gate::Drop("opted out".to_owned());
    }
    // What we put into the calendar of somebody who is not meant is taken out of it all the same.
    if wrong::is_marked(change, &case.device, &endpoint.id) && !book::takes_back(change, id) {
        return Gate::Drop("it is not the right person for this device".to_owned());
    }
    let channel = row.delivery.kind.channel();
    if let Some(why) = channel.and_then(|c| optout::why_not(change, &endpoint.id, c, row.delivery.purpose)) {
        return Gate::Drop(why);
    }
    let kind = endpoint.kind;
    if !customer.consents_to(row.delivery.purpose, kind, change.now) {
        return Gate::Drop("no consent for this purpose and channel".to_owned());
    }
    let Some(plan) = change.plan(case) else { return Gate::Drop("its playbook cannot be read".to_owned()) };
    if book::is_looking(change, row) {
        return Gate::Wait(change.now + Span::from_secs(10), "free times are being looked for".to_owned());
    }
    // The answer to what the customer has asked for just now is no contact of ours.
    if book::is_letter(change, id) {
        return Gate::Open;
    }
    let quiet = match row.delivery.purpose {
        Purpose::Safety => false,
        Purpose::Service => plan.policy.quiet_hours == QuietHours::Respect,
        Purpose::Info => true,
    };
    if let Some(at) = change.config.settings.quiet_hours.free_at(change.now, &customer.tz).filter(|_| quiet) {
        return Gate::Wait(at, "quiet hours of the recipient".to_owned());
    }
    if let Some((at, why)) = survey::waits(change, &customer.id, row) {
        return Gate::Wait(at, why);
    }
    if let Some((at, hours)) =
        reach::hours_of(change, id, row).and_then(|h| Some((h.free_at(change.now, &customer.tz)?, h)))
    {
        return Gate::Wait(at, format!("this way is used from {} only, where the recipient is", hours.inside()));
    }
    let capped = channel.and_then(|c| caps::wait(change, customer, endpoint, c, row.delivery.purpose));
    if let Some((at, why)) = capped {
        return Gate::Wait(at, why);
    }
    let max = plan.policy.contact_max;
    let limit = match row.delivery.kind {
        Kind::Call => max.calls,
        Kind::Sms => max.sms,
        Kind::AppPush => max.app_pushes,
        _ => max.emails,
    };
    let sent = change.effects(row.case).into_iter().filter(|(other, e)| {
        let contact = e.delivery.kind == row.delivery.kind && matches!(e.target, Target::Customer { .. });
        *other != id && contact && !book::is_letter(change, *other)
    });
    let mut recent: Vec<At> = sent.filter_map(|(_, e)| e.delivery.first_sent_at).collect();
    recent.retain(|at| change.now.since(*at) < max.per);
    recent.sort_unstable();
    match limit.map(|l| usize::try_from(l).unwrap_or(usize::MAX)) {
        Some(0) => Gate::Drop("the playbook allows no such contact".to_owned()),
        Some(limit) if recent.len() >= limit => {
            Gate::Wait(recent[recent.len() - limit] + max.per, "contact limit of the playbook".to_owned())
        }
        _ => Gate::Open,
    }
}

/// Whether the provider takes one more.
pub(super) fn provider_gate(change: &Change<'_>, adapter: &AdapterName) -> Gate {
    let Some(provider) = change.config.providers.get(adapter) else { return Gate::Open };
    let budget = change.get::<BudgetRow>(&BudgetKey::Provider(adapter.clone())).unwrap_or_default();
    let windows = [
        (provider.per_second, budget.second, Span::from_secs(1), "rate"),
        (provider.per_hour, budget.hour, Span::from_hours(1), "hourly budget"),
        (provider.per_day, budget.day, Span::from_hours(24), "money for a day"),
    ];
    for (max, window, per, name) in windows {
        if let Some(at) = max.and_then(|max| window.free_at(change.now, Rate { max, per })) {
            return Gate::Wait(at, format!("{name} of {adapter}"));
        }
    }
    Gate::Open
}

/// A question to a provider is committed like an attempt.
pub(super) fn ask(change: &mut Change<'_>, id: EffectId, row: &EffectRow) {
    spend(change, row);
    match order::build(change, id, row, crate::outbox::Ask::Reconcile) {
        Ok(order) => change.orders.push(order),
        Err(why) => news::trouble(change, row.case, id, &format!("the provider cannot be asked: {why}")),
    }
}
