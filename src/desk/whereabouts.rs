//! Where are you? A device that does not say where it is holds up its truck. The driver is sent a link to a page that asks
//! the browser for its position, or takes coordinates or words. A position enters the desk as a fact of the device, with its
//! age and accuracy, and lets the dispatch go on; words go to a person.

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::change::Change;
use super::link::{Form, counts};
use super::rows::{CaseRow, EffectRow, FactsRow, StepRow, StepState};
use super::{Reply, TimelineKind, news, position, talk};
use crate::domain::{At, CaseId, DeviceId, EffectId, Link, Value};
use crate::playbook::{Mirror, Verb};

/// A position less accurate than this finds no car, in metres; the person is asked for words.
const USABLE_M: f64 = 2_000.0;
/// Longest description that is read, in characters.
const WORDS_MAX: usize = 1_000;

/// The last position that a person gave for a device; where it is stands, sealed, among the facts of the device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct WhereRow {
    pub(super) at: At,
    /// Radius in metres, as the browser says; `None`: typed in.
    pub(super) accuracy_m: Option<f64>,
    /// The message that asked for it.
    pub(super) effect: EffectId,
}

/// How accurate the present position of a device is, if a person gave it.
pub(super) fn accuracy(change: &Change<'_>, device: &DeviceId, facts: &FactsRow) -> Option<f64> {
    change.get::<WhereRow>(device).filter(|w| Some(w.at) == facts.position_at)?.accuracy_m
}

/// Whether a truck can be sent to it.
pub(super) fn is_usable(change: &Change<'_>, device: &DeviceId, facts: &FactsRow) -> bool {
    accuracy(change, device, facts).is_none_or(|m| m <= USABLE_M)
}

/// `view` of the page: `state` is `open`, `done`, `vague` (a position came and is of no use) or `over`.
pub(super) fn view(change: &Change<'_>, link: &Link, row: &EffectRow, case: &CaseRow) -> Json {
    let given = change.get::<WhereRow>(&case.device).filter(|w| w.effect == link.effect);
    let state = match given {
        _ if !counts(case, row) => "over",
        Some(w) if w.accuracy_m.is_some_and(|m| m > USABLE_M) => "vague",
        Some(_) => "done",
        None if talk::has_written(change, row.case, link.effect) => "done",
        None => "open",
    };
    json!({ "state": state, "open": counts(case, row) })
}

/// The form: `lat`, `lon` and `accuracy` of the browser, or `place`, typed.
pub(super) fn posted(change: &mut Change<'_>, link: &Link, row: &EffectRow, form: &Form) -> Reply {
    let Some(case) = change.get::<CaseRow>(&row.case) else { return Reply::NotFound };
    if !counts(&case, row) {
        return Reply::Done;
    }
    let number = |name: &str| form.get(name).and_then(|t| t.trim().parse::<f64>().ok());
    let place: String = form.get("place").map(|t| t.trim().chars().take(WORDS_MAX).collect()).unwrap_or_default();
    let found = match (number("lat"), number("lon")) {
        (Some(lat), Some(lon)) => Some((lat, lon, number("accuracy").filter(|m| *m >= 0.0))),
        _ => typed(&place).map(|(lat, lon)| (lat, lon, None)),
    };
    match found {
        Some((lat, lon, accuracy_m)) if position::is_sound(lat, lon) => {
            take(change, link.effect, row, &case, (lat, lon), accuracy_m);
            Reply::Done
        }
        None if !place.is_empty() => {
            talk::on_page(change, link.effect, row, &place);
            Reply::Done
        }
        _ => Reply::Refused("the form names no place".to_owned()),
    }
}

/// `48.2082, 16.3738`, as maps show it.
fn typed(text: &str) -> Option<(f64, f64)> {
    let (lat, lon) = text.split_once([',', ' '])?;
    Some((lat.trim().parse().ok()?, lon.trim_matches([',', ' ']).parse().ok()?))
}

fn take(
    change: &mut Change<'_>,
    effect: EffectId,
    row: &EffectRow,
    case: &CaseRow,
    (lat, lon): (f64, f64),
    accuracy_m: Option<f64>,
) {
    let device = &case.device;
    let mut facts = change.get::<FactsRow>(device).unwrap_or_default();
    let values = [("lat".to_owned(), Value::from(lat)), ("lon".to_owned(), Value::from(lon))].into();
    position::absorb(change, device, &mut facts, &values);
    facts.position_at = Some(change.now);
    let usable = accuracy_m.is_none_or(|m| m <= USABLE_M);
    change.put(device.clone(), facts);
    change.put(device.clone(), WhereRow { at: change.now, accuracy_m, effect });
    let how = accuracy_m.map_or_else(|| "typed in".to_owned(), |m| format!("accurate to {m:.0} m"));
    let text = format!("the person reached has sent where the device is ({how})");
    change.say(row.case, TimelineKind::Answered, text, Some(effect));
    if !usable {
        return;
    }
    change.note(row.case, Mirror::Contact, "The customer has sent their position.");
    news::answered_with(change, effect, row, '1', "tap");
    for case in change.base.open_by_device.get(device).cloned().unwrap_or_default() {
        dispatch_again(change, case);
        change.touched.insert(case);
    }
}

/// A dispatch that was given up for want of a position is taken up again.
fn dispatch_again(change: &mut Change<'_>, id: CaseId) {
    let Some(plan) = change.get::<CaseRow>(&id).and_then(|c| change.plan(&c)) else { return };
    for step in plan.steps.iter().filter(|s| matches!(s.verb, Verb::Dispatch(_))) {
        let key = (id, step.id.clone());
        let given_up = |s: &StepRow| s.state == StepState::Failed && s.effect.is_none() && s.provider == 0;
        if change.get::<StepRow>(&key).is_some_and(|s| given_up(&s)) {
            change.put(key, StepRow { late: true, ..StepRow::new(change.now) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_are_read_as_maps_show_them_and_words_are_not() {
        for (text, place) in [
            ("48.2082, 16.3738", Some((48.2082, 16.3738))),
            ("48.2082 16.3738", Some((48.2082, 16.3738))),
            ("-33.9,18.4", Some((-33.9, 18.4))),
            ("A9, km 512 northbound", None),
            ("behind the petrol station", None),
            ("", None),
        ] {
            assert_eq!(typed(text), place, "{text:?}");
        }
    }
}
