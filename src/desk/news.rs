//! Answers: outcomes of attempts, receipts of providers, keys of people.

use super::change::Change;
use super::pages::About;
use super::rows::{CaseRow, ContactRow, EffectRow, StartRow, StepRow, StepState, Target};
use super::speech::CHOICES;
use super::{
    Reply, TimelineKind, book, bundle, cancel, case, claim, dispatch, goals, latch, notes, optout, order, pages,
    returned, rules, speech, survey, ticket, wrong,
};
use crate::domain::{
    AdapterName, AppProgress, CallProgress, CaseId, EffectId, JobState, JobUpdate, Outcome, Purpose, Receipt,
    ReceiptKind,
};
use crate::outbox::{Ask, Event, Kind, News, State};
use crate::playbook::Mirror;

pub(super) fn outcome(change: &mut Change<'_>, effect: EffectId, attempt: u32, outcome: &Outcome) -> Reply {
    let Some(row) = change.get::<EffectRow>(&effect) else { return Reply::NotFound };
    change.because(format!("provider:{}", row.adapter), format!("outcome of {effect}"));
    happened(change, effect, &Event::Outcome(attempt, outcome));
    Reply::Done
}

pub(super) fn restarted(change: &mut Change<'_>) -> Reply {
    change.because("start", "attempts under way when the daemon stopped are now of unknown outcome");
    for effect in change.base.in_flight.clone() {
        happened(change, effect, &Event::Restart);
    }
    latch::again(change);
    rules::started(change);
    change.put(0, StartRow { at: change.now });
    Reply::Done
}

pub(super) fn tick(change: &mut Change<'_>, effect: EffectId) {
    happened(change, effect, &Event::Tick);
}

/// A provider reports on what it was asked for. What others were asked for it knows nothing of.
pub(super) fn signed(change: &mut Change<'_>, by: &[AdapterName], receipt: &Receipt) -> Reply {
    match change.get::<EffectRow>(&receipt.effect) {
        Some(row) if by.contains(&row.adapter) => self::receipt(change, receipt),
        _ => Reply::NotFound,
    }
}

pub(super) fn receipt(change: &mut Change<'_>, receipt: &Receipt) -> Reply {
    let Some(mut row) = change.get::<EffectRow>(&receipt.effect) else { return Reply::NotFound };
    change.because(format!("provider:{}", row.adapter), format!("receipt for {}", receipt.effect));
    match &receipt.what {
        ReceiptKind::Key { digit } => return key(change, receipt, &row, *digit),
        ReceiptKind::Dispatch { update } => {
            let request = row.parent.unwrap_or(receipt.effect);
            if row.parent.is_none() {
                happened(change, request, &Event::Receipt(receipt));
            }
            dispatch::update(change, request, receipt.seq, update);
            change.touched.insert(row.case);
        }
        ReceiptKind::Booking { news } => {
            happened(change, receipt.effect, &Event::Receipt(receipt));
            book::news(change, receipt.effect, &row, receipt.seq, news);
        }
        ReceiptKind::Command { ok, detail } => {
            if !ok && row.text.is_none() {
                row.text = Some(detail.chars().take(200).collect());
                change.put(receipt.effect, row);
            }
            happened(change, receipt.effect, &Event::Receipt(receipt));
        }
        ReceiptKind::Returned => returned::came_back(change, receipt, row),
        ReceiptKind::Call { .. } | ReceiptKind::Sms { .. } | ReceiptKind::App { .. } => {
            happened(change, receipt.effect, &Event::Receipt(receipt));
        }
    }
    Reply::Done
}

/// The called person pressed a key, or tapped a choice in the app.
fn key(change: &mut Change<'_>, receipt: &Receipt, row: &EffectRow, digit: char) -> Reply {
    if row.delivery.kind == Kind::AppPush {
        return chosen(change, receipt, row, digit);
    }
    let page = matches!(row.target, Target::Person { .. });
    if !page && matches!(digit, '7' | '8') {
        return not_me(change, receipt.effect, row, digit);
    }
    if !page && book::asks(change, row) {
        return choice(change, receipt, row, digit);
    }
    let known = if page { digit == '1' } else { CHOICES.iter().any(|(c, ..)| *c == digit) };
    if !known {
        // Neither yes nor no: say it again.
        return Reply::Speech(speech::present(change, receipt.effect, row, 1));
    }
    happened(change, receipt.effect, &Event::Receipt(receipt));
    let case_id = row.case;
    let open = change.get::<CaseRow>(&case_id).is_some_and(|c| c.is_open());
    if page {
        if open {
            let who = order::person(change, row).and_then(|p| p.name.clone());
            let who = who.unwrap_or_else(|| "a person of the queue".to_owned());
            case::take_over(change, case_id, &who);
        } else {
            pages::acknowledge(change, case_id, "a person of the queue");
        }
        return Reply::Speech(speech::thanks(change, row));
    }
    confirmed(change, receipt.effect, row, digit, "key");
    Reply::Speech(match digit {
        '2' => speech::connect(change, row),
        '9' => {
            all_is_well(change, receipt.effect, row);
            speech::all_well(change, row)
        }
        _ => speech::thanks(change, row),
    })
}

/// All is well with everything that the message was about.
fn all_is_well(change: &mut Change<'_>, effect: EffectId, row: &EffectRow) {
    for (_, row) in bundle::all(change, effect, row) {
        if change.get::<CaseRow>(&row.case).is_some_and(|c| c.is_open()) {
            cancel::all_is_well(change, row.case, "the person called says that all is well");
        }
    }
}

/// The called person has picked one of the times that were read out.
fn choice(change: &mut Change<'_>, receipt: &Receipt, row: &EffectRow, digit: char) -> Reply {
    let picked = book::Choice::parse(&digit.to_string());
    let taken = picked.is_some_and(|c| book::choose(change, receipt.effect, row, c, book::By::Key));
    if !taken {
        return Reply::Speech(speech::present(change, receipt.effect, row, 1));
    }
    happened(change, receipt.effect, &Event::Receipt(receipt));
    Reply::Speech(match picked {
        Some(book::Choice::Call) => speech::connect(change, row),
        _ => speech::thanks(change, row),
    })
}

/// A choice of a message in the app. Back ends repeat what we may have lost: a second time it is no news.
fn chosen(change: &mut Change<'_>, receipt: &Receipt, row: &EffectRow, digit: char) -> Reply {
    if let Some(choice) = book::Choice::parse(&digit.to_string()).filter(|_| book::asks(change, row)) {
        // A time that has gone meanwhile is answered by the next message, with those that are free.
        if book::choose(change, receipt.effect, row, choice, book::By::App) {
            happened(change, receipt.effect, &Event::Receipt(receipt));
        } else {
            book::not_taken(change, row, choice);
        }
        return Reply::Done;
    }
    if !speech::choices(change, row).iter().any(|(c, ..)| *c == digit) {
        return Reply::Refused(format!("the choice {digit} was not offered"));
    }
    if let Some(mark) = survey::mark_of(&digit.to_string()).filter(|_| survey::asks(change, row)) {
        survey::marked(change, receipt.effect, row, mark, "tap");
        return Reply::Done;
    }
    happened(change, receipt.effect, &Event::Receipt(receipt));
    if row.delivery.state != State::Confirmed {
        answered_with(change, receipt.effect, row, digit, "tap");
    }
    Reply::Done
}

/// The called person wants no such calls (7), or is not who was meant (8). Neither has understood anything.
fn not_me(change: &mut Change<'_>, effect: EffectId, row: &EffectRow, digit: char) -> Reply {
    if digit == '8' {
        for (effect, row) in bundle::all(change, effect, row) {
            wrong::mark(change, effect, &row, "key 8");
        }
        return Reply::Speech(speech::wrong_person(change, row));
    }
    if optout::from_effect(change, effect, row, "key 7") {
        let text = "no more such calls are wanted (key 7)";
        change.say(row.case, TimelineKind::Answered, text, Some(effect));
        let whom = notes::whom(change, row);
        change.note(row.case, Mirror::Contact, &format!("Answered: {whom} wants no more such calls (key 7)."));
    }
    // Who hears of danger hears it to its end.
    Reply::Speech(match row.delivery.purpose {
        Purpose::Safety => speech::present(change, effect, row, 1),
        _ => speech::opted_out(change, row),
    })
}

/// The person tapped an answer on the page of a message or in the app (`by` tap) or wrote it (`by` reply): as good as a
/// key in a call.
pub(super) fn answered_with(change: &mut Change<'_>, effect: EffectId, row: &EffectRow, digit: char, by: &str) {
    let (effect, row) = &bundle::carrier(change, effect, row);
    let receipt = Receipt { effect: *effect, provider_ref: None, seq: None, what: ReceiptKind::Key { digit } };
    happened(change, *effect, &Event::Receipt(&receipt));
    confirmed(change, *effect, row, digit, by);
    match digit {
        '2' => wants_a_call(change, *effect, row),
        '9' => all_is_well(change, *effect, row),
        _ => {}
    }
}

/// One person of ours is asked, who sees the other cases of the customer beside this one.
fn wants_a_call(change: &mut Change<'_>, effect: EffectId, row: &EffectRow) {
    let is_open = |row: &EffectRow| change.get::<CaseRow>(&row.case).is_some_and(|c| c.is_open());
    let open = bundle::all(change, effect, row).into_iter().map(|(_, row)| row).find(is_open);
    let row = open.as_ref().unwrap_or(row);
    match speech::queue_of(change, row) {
        Some(queue) => pages::page(change, row.case, &queue, "the customer asks to be called"),
        None => goals::page_default(change, row.case, "the customer asks to be called"),
    }
}

/// Somebody has answered with `digit`: by a `key` of the phone, a `tap` on a page or a `reply`. It counts for every case
/// that the message was about.
fn confirmed(change: &mut Change<'_>, effect: EffectId, row: &EffectRow, digit: char, by: &str) {
    for (effect, row) in bundle::all(change, effect, row) {
        confirmed_in(change, effect, &row, digit, by);
    }
}

fn confirmed_in(change: &mut Change<'_>, effect: EffectId, row: &EffectRow, digit: char, by: &str) {
    let text = format!("the {} was answered with {by} {digit}", row.delivery.kind.as_str());
    change.say(row.case, TimelineKind::Answered, text, Some(effect));
    let whom = notes::whom(change, row);
    let answer = match digit {
        '2' => "asked to talk to a person",
        '9' => "says that all is well",
        _ => "has understood",
    };
    change.note(row.case, Mirror::Contact, &format!("Answered: {whom} {answer} ({by} {digit})."));
    let step = (row.case, row.step.clone());
    if let Some(mut s) = change.get::<StepRow>(&step) {
        s.confirmed.get_or_insert(digit);
        change.put(step, s);
    }
    contact(change, effect, row, |c| {
        c.result = format!("human_confirmed({digit})");
        c.confirmed_by = Some(by.to_owned());
    });
    change.touched.insert(row.case);
}

/// Brings the contact row of an effect up to date, if it is a contact with a customer.
pub(super) fn contact(change: &mut Change<'_>, effect: EffectId, row: &EffectRow, edit: impl FnOnce(&mut ContactRow)) {
    let (Target::Customer { customer, endpoint }, Some(script)) = (&row.target, &row.script) else { return };
    let mut contact = change.get::<ContactRow>(&effect).unwrap_or_else(|| ContactRow {
        customer: customer.clone(),
        endpoint: endpoint.clone(),
        script: script.clone(),
        spoken: std::collections::BTreeMap::new(),
        turns: 0,
        result: String::new(),
        confirmed_by: None,
        at: change.now,
    });
    edit(&mut contact);
    change.put(effect, contact);
}

/// Steps the machine of an effect and draws the consequences.
pub(super) fn happened(change: &mut Change<'_>, id: EffectId, event: &Event<'_>) -> Option<News> {
    // What another message carries has no news of its own.
    let mut row = change.get::<EffectRow>(&id).filter(|_| !bundle::is_carried(change, id))?;
    let before = row.delivery.state;
    let news = row.delivery.on(&id, change.now, event)?;
    change.put(id, row.clone());
    if news == News::Go(Ask::Reconcile) {
        claim::ask(change, id, &row);
    }
    // It was under way when its case was closed, and is not to be repeated.
    let over = || change.get::<StepRow>(&(row.case, row.step.clone())).is_some_and(|s| s.state == StepState::Cancelled);
    if change.get::<CaseRow>(&row.case).is_some_and(|case| !case.is_open()) && over() {
        case::drop_one(change, id);
    }
    let carried = bundle::follow(change, id, &row);
    for (id, row) in std::iter::once((id, row)).chain(carried) {
        consequences(change, id, &row, before, news, event);
    }
    Some(news)
}

fn consequences(change: &mut Change<'_>, id: EffectId, row: &EffectRow, before: State, news: News, event: &Event<'_>) {
    if !before.is_taken() && row.delivery.state.is_taken() {
        note_sent(change, row);
    }
    change.touched.insert(row.case);
    match news {
        // A restart makes attempts unknown; nothing is sent from here.
        News::Go(_) | News::Noted => {}
        News::Taken => taken(change, id, row),
        News::Lost => lost(change, id, row, event),
        News::InDoubt => trouble(change, row.case, id, &doubt_line(row)),
        News::StillInDoubt => still_in_doubt(change, id, row),
        News::Delivered | News::Confirmed | News::Ended => answered(change, id, row, event),
    }
    result(change, id, row, event);
}

fn doubt_line(row: &EffectRow) -> String {
    let reason = row.delivery.reason.as_deref().unwrap_or("no answer");
    format!("{} of step {}: nobody knows whether it happened ({reason})", row.delivery.kind.as_str(), row.step)
}

pub(super) fn trouble(change: &mut Change<'_>, case: CaseId, id: EffectId, text: &str) {
    change.say(case, TimelineKind::Trouble, text, Some(id));
}

fn taken(change: &mut Change<'_>, id: EffectId, row: &EffectRow) {
    let reference = row.delivery.provider_ref.clone().filter(|r| !r.is_empty());
    match row.delivery.kind {
        Kind::TicketCreate => {
            let name = reference.unwrap_or_else(|| id.to_string());
            ticket::opened(change, row.case, &row.step, &name);
            let text = format!("{}: ticket {name}", row.adapter);
            change.say(row.case, TimelineKind::Answered, text, Some(id));
        }
        Kind::DispatchRequest => {
            if let Some(job) = reference {
                let offered = JobUpdate { job, state: JobState::Offered, eta_at: None, truck: None };
                dispatch::update(change, id, None, &offered);
            }
        }
        Kind::DispatchCancel => job_ended(change, row, JobState::Cancelled),
        Kind::Mail | Kind::Sms | Kind::AppPush | Kind::Webhook | Kind::Command => {
            let text = format!("{} taken by {}", row.delivery.kind.as_str(), row.adapter);
            change.say(row.case, TimelineKind::Answered, text, Some(id));
        }
        Kind::Call
        | Kind::TicketNote
        | Kind::TicketClose
        | Kind::DispatchStatus
        | Kind::BookSearch
        | Kind::BookHold
        | Kind::BookCreate
        | Kind::BookCancel
        | Kind::BookStatus => {}
    }
}

/// A written message is on its way: by the answer of its provider or, if that is slower, by the first news of it.
fn note_sent(change: &mut Change<'_>, row: &EffectRow) {
    let written = matches!(row.delivery.kind, Kind::Mail | Kind::Sms | Kind::AppPush);
    if written && matches!(row.target, Target::Customer { .. }) {
        let (way, whom) = (notes::way(row.delivery.kind), notes::whom(change, row));
        let script = row.script.as_ref().map_or("", |s| s.as_str());
        change.note(row.case, Mirror::Contact, &format!("Sent {way} to {whom} (\"{script}\")."));
    }
}

/// The answer to a cancel.
fn job_ended(change: &mut Change<'_>, row: &EffectRow, state: JobState) {
    let (Some(request), Some(job)) = (row.parent, row.about.clone()) else { return };
    dispatch::update(change, request, None, &JobUpdate { job, state, eta_at: None, truck: None });
}

fn lost(change: &mut Change<'_>, id: EffectId, row: &EffectRow, event: &Event<'_>) {
    let d = &row.delivery;
    let reason = d.reason.clone().unwrap_or_else(|| d.state.as_str().to_owned());
    if d.kind == Kind::DispatchCancel {
        let text = format!("{} refuses to cancel: {reason}", row.adapter);
        change.say(row.case, TimelineKind::Trouble, text.clone(), Some(id));
        job_ended(change, row, JobState::CancelRefused);
        return goals::page_default_about(change, row.case, &text, Some(About::Effect(id)));
    }
    let page = matches!(row.target, Target::Person { .. });
    let text = format!("{} of step {}: {reason}", d.kind.as_str(), row.step);
    if d.kind.is_contact() && !page {
        let progress = match event {
            Event::Receipt(Receipt { what: ReceiptKind::Call { progress }, .. }) => Some(*progress),
            _ => None,
        };
        let note = notes::not_reached(&notes::whom(change, row), d.kind, progress, d.reason.as_deref());
        change.note(row.case, Mirror::Contact, &note);
    }
    trouble(change, row.case, id, &text);
    // A dead letter is a person's business, not a table nobody reads. (Pages are repeated by their queue.)
    let article = matches!(d.kind, Kind::TicketNote | Kind::TicketClose | Kind::TicketCreate);
    let next = matches!(d.kind, Kind::DispatchRequest | Kind::BookSearch | Kind::BookHold | Kind::BookCreate);
    // A workshop that knows nothing of an appointment any more: the customer still does.
    let vanished = d.kind == Kind::BookStatus && d.state == State::Rejected;
    // What is only good to know is not worth a person's time.
    let idle = d.purpose == Purpose::Info;
    if !page && !idle && (d.state == State::Dead || article || vanished) && !next {
        goals::page_default(change, row.case, &text);
    }
}

fn still_in_doubt(change: &mut Change<'_>, id: EffectId, row: &EffectRow) {
    let text = format!("{}, and nobody can tell", doubt_line(row));
    trouble(change, row.case, id, &text);
    // An order is never repeated blindly: a person has to look.
    if !row.delivery.kind.is_let_go() {
        goals::page_default_about(change, row.case, &text, Some(About::Effect(id)));
    }
}

fn answered(change: &mut Change<'_>, id: EffectId, row: &EffectRow, event: &Event<'_>) {
    let d = &row.delivery;
    let text = match (d.kind, event) {
        (Kind::Call, Event::Receipt(r)) => match r.what {
            ReceiptKind::Call { progress: CallProgress::InProgress } => "the call is answered",
            ReceiptKind::Call { progress: CallProgress::Completed } if d.state != State::Confirmed => {
                "the call ended without a key"
            }
            _ => return,
        },
        (Kind::Sms, _) => "the text message is delivered",
        (Kind::AppPush, Event::Receipt(r)) => match r.what {
            ReceiptKind::App { progress: AppProgress::Opened } => "the message in the app is opened",
            ReceiptKind::App { .. } => "the message in the app is delivered",
            _ => return,
        },
        (Kind::Command, _) => {
            change.note(row.case, Mirror::Note, "The device says that it has done what it was told.");
            "the device has done it"
        }
        _ => return,
    };
    change.say(row.case, TimelineKind::Answered, text, Some(id));
}

/// The words of a contact's result.
fn result(change: &mut Change<'_>, id: EffectId, row: &EffectRow, event: &Event<'_>) {
    if !row.delivery.kind.is_contact() || row.delivery.state == State::Confirmed {
        return;
    }
    let progress = match event {
        Event::Receipt(Receipt { what: ReceiptKind::Call { progress }, .. }) => Some(*progress),
        _ => None,
    };
    let opened =
        matches!(event, Event::Receipt(Receipt { what: ReceiptKind::App { progress: AppProgress::Opened }, .. }));
    let word = match (row.delivery.state, progress) {
        (State::Failed, Some(CallProgress::Busy)) => "busy",
        (State::Failed, Some(CallProgress::NoAnswer | CallProgress::Canceled)) => "no_answer",
        (State::Failed, Some(CallProgress::Failed)) | (State::Rejected, _) => "no_route",
        (State::Failed | State::Dead, _) if row.delivery.unknown_at.is_some() => "unknown",
        (State::Failed | State::Dead, _) => "undeliverable",
        (State::Unknown, _) => "unknown",
        (State::Delivered, _) if row.delivery.kind == Kind::Call => "answered_unconfirmed",
        (State::Delivered, _) if opened => "answered_unconfirmed",
        (State::Delivered, _) => "delivered_unread",
        _ => return,
    };
    contact(change, id, row, |c| {
        // How the line ended says less than what the person said, and what was opened stays opened.
        let kept = match c.result.as_str() {
            "wrong_person" | "opted_out" => true,
            "answered_unconfirmed" => word == "delivered_unread",
            _ => false,
        };
        if !kept {
            word.clone_into(&mut c.result);
        }
    });
}
