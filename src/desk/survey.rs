//! `survey`: ask the customer for a mark when the work is done. The mark is the `csat` of the outcome.
//!
//! The step is done as soon as there is somebody to ask, so that the case can close; the question goes out, and is
//! answered, after that. It is the least important of all messages: nobody is asked twice within `contact.survey_every`,
//! nobody who has not agreed to `info`, nobody as long as a case of theirs is about danger, and nobody hears of it if it
//! could not be asked. It is asked over one way; the next one is tried only if that one is closed.

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::change::Change;
use super::goals;
use super::link::Form;
use super::plan::Effect;
use super::rows::{CaseRow, EffectRow, StepRow, StepState, Target};
use super::{Reply, TimelineKind, erase, news, notes, outcome, reach, reached};
use crate::domain::{At, CaseId, Customer, CustomerId, EffectId, Link, Receipt, ReceiptKind, Span, StepId};
use crate::outbox::Event;
use crate::playbook::{Step, Survey, Verb};

/// A question that could not be asked for so long is not asked any more.
const PATIENCE: Span = Span::from_hours(72);
/// How often one that waits looks whether the danger is over.
const LOOK_AGAIN: Span = Span::from_mins(15);

/// A question for a mark.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct SurveyRow {
    /// Who is asked.
    customer: CustomerId,
    /// By which of the ways of the step, counted from 0.
    way: u32,
    effect: Option<EffectId>,
    /// Later answers do not count.
    until_at: At,
    mark: Option<u8>,
}

/// The marks as choices in the app; they need no words.
pub(super) const MARKS: [(char, &str, &str); 5] =
    [('1', "", "1"), ('2', "", "2"), ('3', "", "3"), ('4', "", "4"), ('5', "", "5")];

/// A mark as it is written on a page, in the app or in a reply.
pub(super) fn mark_of(text: &str) -> Option<u8> {
    let text = text.trim().trim_end_matches(['.', '!']);
    text.parse().ok().filter(|mark| (1..=5).contains(mark))
}

/// Whether the case stays open for a moment, because a survey is the next thing to begin.
pub(super) fn is_next(change: &Change<'_>, id: CaseId, step: &Step) -> bool {
    let state = |step: &StepId| change.get::<StepRow>(&(id, step.clone())).map(|row| row.state);
    let ended = || step.after.iter().all(|s| state(s) == Some(StepState::Done));
    let begun = state(&step.id);
    matches!(step.verb, Verb::Survey(_)) && (begun == Some(StepState::Running) || begun.is_none() && ended())
}

/// The work is done: somebody is to be asked, or nobody is.
pub(super) fn drive(change: &mut Change<'_>, id: CaseId, step: &Step, survey: &Survey, row: StepRow) {
    let asked = match whom(change, id, survey) {
        Some(customer) => asked_lately(change, &customer.id, None).map_or(Ok(customer.id.clone()), Err),
        None => Err("there is nobody who could be asked".to_owned()),
    };
    match asked {
        Ok(customer) => {
            let until_at = change.now + survey.expires;
            let row = SurveyRow { customer, way: 0, effect: None, until_at, mark: None };
            change.put((id, step.id.clone()), row);
        }
        Err(why) => change.say(id, TimelineKind::Decided, format!("nobody is asked for a mark: {why}"), None),
    }
    goals::done(change, id, &step.id, row, None, "");
}

/// The first person of the step whom one of its ways reaches.
fn whom<'a>(change: &Change<'a>, id: CaseId, survey: &Survey) -> Option<&'a Customer> {
    let case = change.get::<CaseRow>(&id)?;
    let registry = &change.config.registry;
    let parties = &registry.devices.get(&case.device)?.parties;
    let people = survey.who.iter().filter_map(|role| registry.customers.get(parties.get(role)?));
    let kinds: Vec<_> = survey.via.iter().filter_map(reach::means).map(|(.., kind)| kind).collect();
    people.into_iter().find(|c| kinds.iter().any(|kind| c.endpoint(*kind).is_some()))
}

/// Why a customer is not asked again yet.
fn asked_lately(change: &Change<'_>, customer: &CustomerId, but: Option<EffectId>) -> Option<String> {
    let (at, effect) = reached::of(change, customer).survey?;
    let lately = Some(effect) != but && change.now.since(at) < change.config.contact.survey_every;
    lately.then(|| format!("the customer was asked at {at}"))
}

/// The question never arrived: they were not asked.
fn unask(change: &mut Change<'_>, row: &SurveyRow) {
    let mut reached = reached::of(change, &row.customer);
    if reached.survey.is_some_and(|(_, effect)| Some(effect) == row.effect) {
        reached.survey = None;
        change.put(row.customer.clone(), reached);
    }
}

/// Sends the question by the next way that is open, whether or not the case is.
pub(super) fn upkeep(change: &mut Change<'_>, id: CaseId) {
    for (step_id, row) in change.of_case::<SurveyRow, _>(id, StepId::from("")) {
        let mut next = row.clone();
        if let Some(effect) = next.effect.and_then(|e| change.get::<EffectRow>(&e)) {
            // Who may have been asked is not asked again.
            if !effect.delivery.state.is_lost() || effect.delivery.may_have_arrived() {
                continue;
            }
            unask(change, &next);
            next.effect = None;
            next.way += 1;
        }
        let plan = change.get::<CaseRow>(&id).and_then(|case| change.plan(&case));
        let Some(Verb::Survey(survey)) = plan.as_ref().and_then(|p| p.step(&step_id)).map(|s| &s.verb) else { return };
        plan_next(change, id, &step_id, survey, &mut next);
        if next != row {
            change.put((id, step_id), next);
        }
    }
}

fn plan_next(change: &mut Change<'_>, id: CaseId, step: &StepId, survey: &Survey, row: &mut SurveyRow) {
    while let Some(via) = usize::try_from(row.way).ok().and_then(|way| survey.via.get(way)) {
        let means = reach::means(via);
        let open = means.and_then(|(kind, provider, endpoint)| {
            let customer = change.config.registry.customers.get(&row.customer)?;
            let endpoint = customer.endpoint(endpoint)?.id.clone();
            Some((kind, change.config.provider_of(provider)?.clone(), endpoint))
        });
        if let Some((kind, provider, endpoint)) = open.filter(|_| change.now < row.until_at) {
            let mut effect = Effect::new(change, kind, &provider, step, row.way.to_string());
            effect.target = Target::Customer { customer: row.customer.clone(), endpoint };
            effect.script = Some(survey.script.clone());
            // The case may be closed by then.
            effect.compensation = true;
            effect.limit_at = Some(row.until_at.min(change.now + PATIENCE));
            row.effect = Some(effect.plan(change, id));
            return;
        }
        row.way += 1;
    }
}

/// Whether a message asks for a mark.
pub(super) fn asks(change: &Change<'_>, row: &EffectRow) -> bool {
    let plan = change.get::<CaseRow>(&row.case).and_then(|case| change.plan(&case));
    plan.as_ref().and_then(|p| p.step(&row.step)).is_some_and(|s| matches!(s.verb, Verb::Survey(_)))
}

/// The survey of a message, if that is how it was asked.
fn of(change: &Change<'_>, effect: EffectId, row: &EffectRow) -> Option<SurveyRow> {
    change.get::<SurveyRow>(&(row.case, row.step.clone())).filter(|survey| survey.effect == Some(effect))
}

/// Why the question is not asked any more.
pub(super) fn why_not(change: &Change<'_>, effect: EffectId, row: &EffectRow) -> Option<String> {
    let Some(survey) = of(change, effect, row) else { return Some("the fault is there again".to_owned()) };
    if change.now >= survey.until_at {
        return Some("it comes too late".to_owned());
    }
    asked_lately(change, &survey.customer, Some(effect))
}

/// Why the question waits: nobody who is in danger is asked how it was.
pub(super) fn waits(change: &Change<'_>, customer: &CustomerId, row: &EffectRow) -> Option<(At, String)> {
    let case = asks(change, row).then(|| erase::in_danger(change, customer)).flatten()?;
    Some((change.now + LOOK_AGAIN, format!("the end of the safety case {}", case.short())))
}

/// Whether an answer to the message would count.
pub(super) fn is_open(change: &Change<'_>, effect: EffectId, row: &EffectRow) -> bool {
    of(change, effect, row).is_some_and(|survey| change.now < survey.until_at)
}

/// Takes a mark given by a `tap` or a `reply`; until the survey expires, the last one counts. `false`: it comes too late.
pub(super) fn marked(change: &mut Change<'_>, effect: EffectId, row: &EffectRow, mark: u8, by: &str) -> bool {
    let Some(mut survey) = of(change, effect, row).filter(|_| is_open(change, effect, row)) else { return false };
    if survey.mark.replace(mark) == Some(mark) {
        return true;
    }
    change.put((row.case, row.step.clone()), survey);
    let digit = char::from(b'0' + mark);
    let receipt = Receipt { effect, provider_ref: None, seq: None, what: ReceiptKind::Key { digit } };
    news::happened(change, effect, &Event::Receipt(&receipt));
    let text = format!("{} gives the mark {mark} of 5 ({by})", notes::whom(change, row));
    change.say(row.case, TimelineKind::Answered, text, Some(effect));
    news::contact(change, effect, row, |c| {
        c.result = format!("human_confirmed({mark})");
        c.confirmed_by = Some(by.to_owned());
    });
    outcome::marked(change, row.case, mark);
    true
}

/// `view` of the page: `answer` is the mark that was given.
pub(super) fn view(change: &Change<'_>, link: &Link, row: &EffectRow) -> Json {
    let open = is_open(change, link.effect, row);
    let mark = of(change, link.effect, row).and_then(|survey| survey.mark);
    let state = match mark {
        Some(_) => "done",
        None if open => "open",
        None => "over",
    };
    json!({ "state": state, "answer": mark.map(|m| m.to_string()), "open": open })
}

/// The form of that page: `mark`, 1 to 5.
pub(super) fn posted(change: &mut Change<'_>, link: &Link, row: &EffectRow, form: &Form) -> Reply {
    match form.get("mark").and_then(|text| mark_of(text)) {
        Some(mark) => {
            // What comes too late is what the page says next.
            marked(change, link.effect, row, mark, "tap");
            Reply::Done
        }
        None => Reply::Refused("the form says nothing that is known".to_owned()),
    }
}

/// Its plan runs again, or it is forgotten.
pub(super) fn forget(change: &mut Change<'_>, id: CaseId) {
    for (step, _) in change.of_case::<SurveyRow, _>(id, StepId::from("")) {
        change.delete::<SurveyRow>((id, step));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_single_digits_from_one_to_five() {
        for (text, mark) in
            [("1", Some(1)), (" 5. ", Some(5)), ("0", None), ("6", None), ("12", None), ("-1", None), ("five", None)]
        {
            assert_eq!(mark_of(text), mark, "{text:?}");
        }
        for (digit, _, label) in MARKS {
            assert_eq!(mark_of(label), digit.to_digit(10).and_then(|d| u8::try_from(d).ok()));
        }
    }
}
