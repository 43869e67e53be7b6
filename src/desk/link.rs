//! The pages behind the one-time links of messages. Looking at a page changes nothing, however often a messenger, a
//! virus scanner or a person does it; only its form acts, and the same form sent again does nothing new.
//!
//! A page belongs to the message that carried its link, so the desk knows who answers, by which way, and about what. It
//! shows what is true when it is opened. Whether a link still counts is read from the rows of its case: there is
//! nothing to expire.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::change::Change;
use super::rows::{CaseRow, ContactRow, EffectRow, StepRow};
use super::{Desk, Reply, book, bundle, news, optout, order, survey, whereabouts, wrong};
use crate::domain::{At, Link, PageKind};
use crate::playbook::Part;
use crate::wire::link::{self, Key};

/// What links are made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Links {
    /// Where people reach us, without the trailing slash.
    pub base_url: String,
    /// What they are signed with.
    pub key: Key,
}

/// The fields of a page's form.
pub type Form = BTreeMap<String, String>;

/// A page, rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkPage {
    /// BCP 47.
    pub locale: String,
    /// A whole document.
    pub html: String,
}

/// What a page shows besides the facts of its case, as `view`; `view.state` is one of `open` (something can be done),
/// `done` (it was), `over` (it no longer counts).
fn view(change: &Change<'_>, link: &Link, row: &EffectRow, case: &CaseRow) -> Json {
    match link.kind {
        PageKind::Answer => answer(change, link, row, case),
        PageKind::Choose => choose(change, row, case),
        PageKind::Unsubscribe => optout::view(change, row),
        PageKind::Where => whereabouts::view(change, link, row, case),
        PageKind::Survey => survey::view(change, link, row),
        PageKind::Request => book::page_view(change, link.effect, row),
    }
}

/// What the form of a page does.
fn act(change: &mut Change<'_>, link: &Link, row: &EffectRow, form: &Form) -> Reply {
    match link.kind {
        PageKind::Answer => answered(change, link, row, form),
        PageKind::Choose => chosen(change, link, row, form),
        PageKind::Unsubscribe => optout::posted(change, link, row, form),
        PageKind::Where => whereabouts::posted(change, link, row, form),
        PageKind::Survey => survey::posted(change, link, row, form),
        PageKind::Request => book::posted(change, link.effect, row, form),
    }
}

impl Desk {
    /// The page behind a link as it is now.
    ///
    /// # Errors
    /// For the log: its message is not known any more, or its text cannot be rendered.
    pub fn page(&self, now: At, link: &Link) -> Result<LinkPage, String> {
        let change = Change::new(&self.state, &self.config, now);
        let row = message(&change, link).ok_or("its message is not known any more")?;
        let case = change.get::<CaseRow>(&row.case).ok_or("its case is gone")?;
        let mut facts = order::facts_for(&change, &row, &case, true);
        facts["view"] = view(&change, link, &row, &case);
        let carried = bundle::carried(&change, link.effect);
        let rows = std::iter::once(&row).chain(carried.iter().map(|(_, row)| row));
        facts["items"] = if carried.is_empty() { json!([]) } else { bundle::items(&change, rows) };
        let mut wanted = order::locale(&change, &row);
        if let Some((booking, request)) = book::page_facts(&change, link.effect, &row) {
            facts["booking"] = booking;
            facts["request"] = request;
            wanted = book::reader(&change, link.effect).map_or(wanted, |r| r.locale.clone());
        }
        let rendered = self.config.messages.render(link.kind.name(), Part::Page, &wanted, &facts);
        let (locale, html) = rendered.map_err(|e| e.to_string())?;
        Ok(LinkPage { locale, html })
    }
}

/// The form of a page was sent.
pub(super) fn posted(change: &mut Change<'_>, link: &Link, form: &Form) -> Reply {
    let Some(row) = message(change, link) else { return Reply::NotFound };
    change.because(format!("link:{}", link.kind.name()), format!("answer to {}", link.effect));
    act(change, link, &row, form)
}

/// The message of a link. Only customers get links, and workshops that are asked by mail theirs.
fn message(change: &Change<'_>, link: &Link) -> Option<EffectRow> {
    change.get::<EffectRow>(&link.effect).filter(|row| match link.kind {
        PageKind::Request => book::is_request(change, link.effect),
        // Who was erased has none any more.
        _ => order::customer(change, row).is_some(),
    })
}

/// The addresses that a message can carry, by the names of their pages.
pub(super) fn links(change: &Change<'_>, effect: crate::domain::EffectId) -> Option<Json> {
    let links = change.config.links.as_ref()?;
    let url = |kind| link::url(&links.base_url, &links.key, &Link { effect, kind });
    Some(PageKind::ALL.iter().map(|kind| (kind.name().to_owned(), Json::from(url(*kind)))).collect())
}

/// Whether anything that is said on a page of this message still matters.
pub(super) fn counts(case: &CaseRow, row: &EffectRow) -> bool {
    case.is_open() && (case.backing_out.is_none() || row.compensation)
}

/// `view.answer`: what the person said last, as the key of a call (`1`, `2`, `9`).
fn answer(change: &Change<'_>, link: &Link, row: &EffectRow, case: &CaseRow) -> Json {
    let here = change.get::<ContactRow>(&link.effect).and_then(|c| key_of(&c.result));
    let elsewhere = change.get::<StepRow>(&(row.case, row.step.clone())).and_then(|s| s.confirmed);
    let said = here.or(elsewhere);
    let open = counts(case, row) || others_count(change, link);
    let state = match said {
        Some(_) => "done",
        None if open => "open",
        None => "over",
    };
    json!({ "state": state, "answer": said.map(String::from), "open": open })
}

/// Whether the answer still matters for another case that the same message was about.
fn others_count(change: &Change<'_>, link: &Link) -> bool {
    let mut carried = bundle::carried(change, link.effect).into_iter();
    carried.any(|(_, row)| change.get::<CaseRow>(&row.case).is_some_and(|case| counts(&case, &row)))
}

fn key_of(result: &str) -> Option<char> {
    result.strip_prefix("human_confirmed(")?.chars().next()
}

fn answered(change: &mut Change<'_>, link: &Link, row: &EffectRow, form: &Form) -> Reply {
    let digit = match form.get("answer").map(String::as_str) {
        Some("1") => '1',
        Some("2") => '2',
        Some("9") => '9',
        _ => return Reply::Refused("the form says nothing that is known".to_owned()),
    };
    if book::asks(change, row) || survey::asks(change, row) {
        return Reply::Refused("this message asks for a choice".to_owned());
    }
    let Some(case) = change.get::<CaseRow>(&row.case) else { return Reply::NotFound };
    let before = change.get::<ContactRow>(&link.effect).and_then(|c| key_of(&c.result));
    if (counts(&case, row) || others_count(change, link)) && before != Some(digit) {
        news::answered_with(change, link.effect, row, digit, "tap");
    }
    Reply::Done
}

/// `view.answer`: the number of the time that was chosen, `call` or `none`. The times themselves are `booking.offers`.
fn choose(change: &Change<'_>, row: &EffectRow, case: &CaseRow) -> Json {
    if wrong::went_astray(change, row) {
        return json!({ "state": "over", "answer": null, "open": false });
    }
    let said = book::said(change, row.case);
    let booked = matches!(book::word_of(change, row.case), "confirmed" | "reminded" | "changed_by_provider");
    let state = match counts(case, row) {
        _ if booked || said.is_some() => "done",
        true => "open",
        false => "over",
    };
    json!({ "state": state, "answer": said, "open": counts(case, row) })
}

fn chosen(change: &mut Change<'_>, link: &Link, row: &EffectRow, form: &Form) -> Reply {
    let Some(choice) = form.get("choice").and_then(|c| book::Choice::parse(c)) else {
        return Reply::Refused("the form says nothing that is known".to_owned());
    };
    let round = form.get("round").and_then(|round| round.parse().ok());
    // A time that has gone meanwhile is not on the page that is shown next.
    if !book::choose(change, link.effect, row, choice, book::By::Page(round)) {
        book::not_taken(change, row, choice);
    }
    Reply::Done
}
