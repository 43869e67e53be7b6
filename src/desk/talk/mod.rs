//! One conversation per case, over all channels: what people write to us finds its case, is understood if it is one of a
//! few words, and otherwise goes to a person together with everything that is known of the case. Nobody has to tell it
//! twice.
//!
//! What we say is not stored a second time: it stands with its effects and contacts, and the conversation is put together
//! from both when it is read. An unknown sender is never answered and causes nothing.

mod view;
mod whose;
mod words;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

pub use view::MessageView;
pub(super) use whose::was_heard;

use self::whose::Whom;
use self::words::Meaning;
use super::change::Change;
use super::config::AfterClose;
use super::rows::{CaseRow, EffectRow, LineRow, Target};
use super::seal::Sealed;
use super::speech;
use super::{
    Reply, TimelineKind, book, bundle, case, goals, news, notes, optout, pages, position, reached, survey, wrong,
};
use crate::domain::{
    AdapterName, At, Author, CalendarAnswer, CaseId, Channel, CustomerId, EffectId, EndpointId, Purpose, Said, Sender,
    StepId,
};
use crate::playbook::Mirror;

/// The most messages of one case; more would be a loop between two machines.
const MOST_MESSAGES: u32 = 500;
/// The most characters kept of one.
const MOST_CHARS: usize = 4_000;
/// The most characters of their id kept.
const MOST_ID_CHARS: usize = 200;

/// Something that was written to us, or into the ticket of a case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct MessageRow {
    pub(super) at: At,
    pub(super) channel: Channel,
    pub(super) from: From,
    /// The words.
    pub(super) body: Sealed,
    /// What was understood without a person: `stop`, `key 1`; `None`: for people.
    pub(super) meaning: Option<String>,
    pub(super) external_id: String,
    pub(super) in_reply_to: Option<EffectId>,
}

/// Who wrote it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum From {
    Customer {
        customer: CustomerId,
        endpoint: EndpointId,
    },
    /// Through the ticket desk, which knows who that is.
    Desk(Author),
    /// A workshop that was asked by mail.
    Workshop(AdapterName),
    /// A mailbox that nobody has, to the reply address of the case.
    Elsewhere,
}

/// How the conversation of a case stands.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct TalkRow {
    pub(super) count: u32,
    /// Since when somebody waits for the answer of a person.
    pub(super) waits_since: Option<At>,
    /// They wrote after the case had been closed.
    pub(super) after_end: bool,
}

/// Somebody has written.
pub(super) fn heard(change: &mut Change<'_>, said: &Said) -> Reply {
    change.because(format!("inbound:{}", said.channel), "a message has come in");
    if let Sender::Desk { desk, ticket, author } = &said.from {
        return in_ticket(change, said, &change.base.cases_of_ticket(desk, ticket), *author);
    }
    if let Some(reply) = book::said_by_workshop(change, said, words::yes_or_no(&said.text)) {
        return reply;
    }
    let people = whose::senders(change, &said.from);
    let contacts = whose::contacts(change, &people);
    let cases = whose::cases(change, &people, &contacts, said.case);
    if people.is_empty() {
        cases.into_iter().for_each(|case| from_elsewhere(change, case, said));
        return Reply::NotFound;
    }
    let possible: BTreeSet<CaseId> = cases.iter().copied().chain(contacts.iter().map(|r| r.case)).collect();
    if possible.into_iter().any(|case| is_known(change, case, &said.external_id)) {
        return Reply::Done;
    }
    let told = whose::heard(change, &people, &contacts, said, &cases);
    let heard = Heard { said, people: &people, cases: &cases, told: &told };
    if let Some(calendar) = &said.calendar {
        return heard.calendar(change, calendar.answer);
    }
    let meaning = words::read(&said.text);
    if is_unproven(change, said) && !matches!(meaning, Meaning::Stop | Meaning::Enough) {
        return heard.free(change);
    }
    if heard.mark(change) {
        return Reply::Done;
    }
    if matches!(meaning, Meaning::Key(_) | Meaning::No | Meaning::Free)
        && !(words::is_yes(&said.text) && heard.is_out(change))
        && let Some(reply) = heard.choice(change, meaning)
    {
        return reply;
    }
    match meaning {
        Meaning::Key('1') if words::is_yes(&said.text) && heard.is_out(change) => heard.start(change),
        Meaning::Stop => heard.stop(change),
        Meaning::Enough => heard.enough(change),
        Meaning::Start => heard.start(change),
        Meaning::Help => heard.help(change),
        Meaning::WrongPerson => heard.wrong_person(change),
        Meaning::Key(digit) => heard.key(change, digit),
        Meaning::No | Meaning::Free => heard.free(change),
    }
}

/// Anybody can write any sender into a mail. Where our mails name an address of their case for answers, words that come
/// elsewhere confirm, choose and undo nothing.
fn is_unproven(change: &Change<'_>, said: &Said) -> bool {
    said.channel == Channel::Email && said.case.is_none() && change.config.contact.reply_domain.is_some()
}

/// A message with everybody and everything that it can be about.
struct Heard<'a> {
    said: &'a Said,
    /// Who share the address.
    people: &'a [Whom],
    /// The open cases that they were contacted about, or else the newest closed one.
    cases: &'a [CaseId],
    /// What they have heard of us and can answer here, oldest first.
    told: &'a [(EffectId, EffectRow)],
}

impl Heard<'_> {
    fn is_out(&self, change: &Change<'_>) -> bool {
        let out = |w: &Whom| optout::why_not(change, &w.endpoint, self.said.channel, Purpose::Info).is_some();
        self.people.iter().any(out)
    }

    fn stop(&self, change: &mut Change<'_>) -> Reply {
        let mut new = false;
        for w in self.people {
            new |= optout::stop(change, &w.customer, &w.endpoint, self.said.channel, Purpose::Service, "word");
        }
        self.keep_all(change, "stop", "wants no more messages over this channel");
        if new { self.reply(change, "opt-out-done") } else { Reply::Done }
    }

    /// Who says it in words of their own may have said more: a person reads it, too.
    fn enough(&self, change: &mut Change<'_>) -> Reply {
        let mut new = false;
        for w in self.people {
            new |= optout::stop(change, &w.customer, &w.endpoint, self.said.channel, Purpose::Service, "words");
        }
        let read = self.free(change);
        if new { self.reply(change, "opt-out-done") } else { read }
    }

    fn start(&self, change: &mut Change<'_>) -> Reply {
        let mut new = false;
        for w in self.people {
            new |= optout::start(change, &w.endpoint, self.said.channel);
        }
        self.keep_all(change, "start", "takes messages over this channel again");
        if new { self.reply(change, "opt-in-done") } else { Reply::Done }
    }

    fn help(&self, change: &mut Change<'_>) -> Reply {
        self.keep_all(change, "help", "asked what this is");
        self.reply(change, "opt-out-help")
    }

    fn wrong_person(&self, change: &mut Change<'_>) -> Reply {
        let Some((effect, row)) = whose::answered(change, self.told, Some('8')).cloned() else {
            return self.free(change);
        };
        self.keep(change, row.case, Some("wrong person"), Some(effect));
        let (effect, row) = bundle::carrier(change, effect, &row);
        for (effect, row) in bundle::all(change, effect, &row) {
            wrong::mark(change, effect, &row, "by a reply");
        }
        Reply::Done
    }

    /// The answer to a survey, if that was the last thing they were told on this line, and nothing else is waited for there.
    fn mark(&self, change: &mut Change<'_>) -> bool {
        let Some(mark) = survey::mark_of(&self.said.text) else { return false };
        let newest = self.told.last().filter(|(effect, row)| survey::is_open(change, *effect, row));
        let Some((effect, row)) = newest.filter(|_| !whose::is_awaited(change, self.told)) else { return false };
        self.keep(change, row.case, Some(&format!("mark {mark}")), Some(*effect));
        survey::marked(change, *effect, row, mark, "reply")
    }

    /// An answer to times that were offered: the number of one, "call me", "none". `None`: it is not about times.
    fn choice(&self, change: &mut Change<'_>, meaning: Meaning) -> Option<Reply> {
        let word = if let Meaning::Key(digit) = meaning { Some(digit) } else { None };
        let (effect, row) = whose::answered(change, self.told, word).filter(|(_, row)| book::asks(change, row))?;
        let choice = match (book::Choice::parse(words::bare(&self.said.text)), meaning) {
            (Some(choice), _) => choice,
            (None, Meaning::Key('2')) => book::Choice::Call,
            (None, Meaning::No) => book::Choice::None,
            _ => return None,
        };
        self.keep(change, row.case, Some(&format!("choice {}", choice.word())), Some(*effect));
        let taken = book::choose(change, *effect, row, choice, book::By::Reply);
        let answer = book::what_is_so(change, row, taken);
        // Whoever wants another time than the one that is booked is heard by a person.
        if !taken {
            ask_a_person(change, row.case, &format!("{} has answered: {}", notes::whom(change, row), choice.word()));
        }
        Some(answer.map_or(Reply::Done, |text| self.say(change, text)))
    }

    /// The customer's calendar answers an invitation. Another time than the one that is booked is a person's business,
    /// as it is when it is asked for in words: until they have agreed on one, what is booked stands.
    fn calendar(&self, change: &mut Change<'_>, answer: CalendarAnswer) -> Reply {
        let (meaning, asks) = match answer {
            CalendarAnswer::Yes => ("accepted in the calendar", None),
            CalendarAnswer::No => {
                ("declined in the calendar", Some("declines the appointment in the calendar".to_owned()))
            }
            CalendarAnswer::Perhaps => ("perhaps, in the calendar", None),
            CalendarAnswer::Counter { start_at, .. } => {
                let customer = change.config.registry.customers.get(&self.people[0].customer);
                let time = book::wished(start_at, customer.map_or("UTC", |c| &*c.tz));
                ("another time, in the calendar", Some(format!("asks for another time in the calendar{time}")))
            }
        };
        let Some(case) = self.cases.first().copied() else { return Reply::NotFound };
        if self.keep(change, case, Some(meaning), None)
            && let Some(asks) = asks
        {
            ask_a_person(change, case, &format!("{} {asks}", self.whom(change, case, None)));
        }
        Reply::Done
    }

    /// A key of a call, written.
    fn key(&self, change: &mut Change<'_>, digit: char) -> Reply {
        let Some((effect, row)) = whose::answered(change, self.told, Some(digit)) else {
            return self.free(change);
        };
        self.keep(change, row.case, Some(&format!("key {digit}")), Some(*effect));
        let open = change.get::<CaseRow>(&row.case).is_some_and(|c| c.is_open());
        match (open, digit) {
            (true, _) => news::answered_with(change, *effect, row, digit, "reply"),
            (false, '2') => ask_a_person(change, row.case, &format!("{} asks for a person", notes::whom(change, row))),
            (false, _) => {}
        }
        Reply::Done
    }

    /// For a person, with the whole case: in each case that it can be about, one page for the first of them.
    fn free(&self, change: &mut Change<'_>) -> Reply {
        for (index, case) in self.cases.iter().enumerate() {
            let of_case: Vec<_> = self.told.iter().filter(|(_, row)| row.case == *case).cloned().collect();
            let about = whose::answered(change, &of_case, None);
            if !self.keep(change, *case, None, about.map(|(effect, _)| *effect)) {
                continue;
            }
            let whom = self.whom(change, *case, about.map(|(_, row)| &row.step));
            let words = last_words(change, *case);
            change.note(*case, Mirror::Contact, &format!("{whom} writes ({}): {words}", self.said.channel));
            if index == 0 {
                ask_a_person(change, *case, &format!("{whom} has written and waits for an answer"));
            }
        }
        if self.cases.is_empty() { Reply::NotFound } else { Reply::Done }
    }

    fn keep_all(&self, change: &mut Change<'_>, meaning: &str, words: &str) {
        for case in self.cases {
            if self.keep(change, *case, Some(meaning), None) {
                let text = format!("{} {words} ({})", self.whom(change, *case, None), self.said.channel);
                change.note(*case, Mirror::Contact, &format!("{text}."));
            }
        }
    }

    /// Writes the message into the conversation of a case.
    fn keep(&self, change: &mut Change<'_>, case: CaseId, meaning: Option<&str>, about: Option<EffectId>) -> bool {
        let sender = &self.people[0];
        let from = From::Customer { customer: sender.customer.clone(), endpoint: sender.endpoint.clone() };
        let text = match meaning {
            Some(meaning) => format!("{} by {}: understood as {meaning}", self.said.channel, sender.endpoint),
            None => format!("{} by {}: for a person to read", self.said.channel, sender.endpoint),
        };
        keep(change, case, self.said, from, meaning, about, &text)
    }

    /// Who they are, as the step that they answer has spoken to them.
    fn whom(&self, change: &Change<'_>, case: CaseId, step: Option<&StepId>) -> String {
        format!("the {}", notes::role(change, case, step, &self.people[0].customer))
    }

    fn reply(&self, change: &mut Change<'_>, script: &'static str) -> Reply {
        let to = &self.people[0].customer;
        let locale = change.config.registry.customers.get(to).map_or("en", |c| &*c.locale);
        let text = speech::short(change, script, crate::playbook::Part::Sms, locale).1;
        self.say(change, text)
    }

    /// An answer in the same breath, unless the provider has given its own or it would be one too many.
    fn say(&self, change: &mut Change<'_>, text: String) -> Reply {
        let to = &self.people[0].customer;
        if self.said.answered || self.said.channel != Channel::Sms || !reached::may_answer(change, to) {
            return Reply::Done;
        }
        Reply::Text(text)
    }
}

fn is_known(change: &Change<'_>, case: CaseId, external_id: &str) -> bool {
    let id: String = external_id.chars().take(MOST_ID_CHARS).collect();
    change.base.rows.messages.range((case, 0)..=(case, u32::MAX)).any(|(_, m)| m.external_id == id)
}

fn keep(
    change: &mut Change<'_>,
    case: CaseId,
    said: &Said,
    from: From,
    meaning: Option<&str>,
    in_reply_to: Option<EffectId>,
    line: &str,
) -> bool {
    let mut talk = change.get::<TalkRow>(&case).unwrap_or_default();
    if talk.count >= MOST_MESSAGES {
        return false;
    }
    let of_case = change.get::<CaseRow>(&case).and_then(|row| position::owner(change, &row.device));
    let owner = match &from {
        From::Customer { customer, .. } => Some(customer),
        // What is said about somebody is theirs, too.
        From::Desk(_) | From::Workshop(_) | From::Elsewhere => of_case,
    };
    let words: String = said.text.chars().take(MOST_CHARS).collect();
    let body = change.config.keys.seal(owner, format!("message/{case}/{}", talk.count), &words);
    let row = MessageRow {
        at: change.now,
        channel: said.channel,
        from,
        body,
        meaning: meaning.map(str::to_owned),
        external_id: said.external_id.chars().take(MOST_ID_CHARS).collect(),
        in_reply_to,
    };
    change.put((case, talk.count), row);
    talk.count += 1;
    change.put(case, talk);
    change.say(case, TimelineKind::Answered, line, in_reply_to);
    true
}

/// Around what stands in a text for the words of somebody, which are filled in when the text is sent: rows hold no words
/// of people.
const WORDS_OF: (char, char) = ('\u{2983}', '\u{2984}');
/// What is said for words that cannot be read any more.
pub(super) const ERASED: &str = "(erased)";

/// What stands for the words of the newest message of a case.
fn last_words(change: &Change<'_>, case: CaseId) -> String {
    let newest = change.get::<TalkRow>(&case).map_or(0, |t| t.count.saturating_sub(1));
    format!("{}message {newest}{}", WORDS_OF.0, WORDS_OF.1)
}

/// What stands for the words of a line of the timeline.
pub(super) fn words_of_line(number: u32) -> String {
    format!("{}line {number}{}", WORDS_OF.0, WORDS_OF.1)
}

/// The text with the words of the messages and lines that it names.
pub(super) fn fill_in(change: &Change<'_>, case: CaseId, text: &str) -> String {
    let mut parts = text.split(WORDS_OF.0);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once(WORDS_OF.1).unwrap_or((part, ""));
        let sealed = match name.split_once(' ').and_then(|(of, n)| Some((of, n.parse::<u32>().ok()?))) {
            Some(("message", n)) => change.get::<MessageRow>(&(case, n)).map(|row| row.body),
            Some(("line", n)) => change.get::<LineRow>(&(case, n)).and_then(|row| row.words),
            _ => None,
        };
        let words: Option<String> = sealed.and_then(|sealed| change.config.keys.open(&sealed));
        out.push_str(words.as_deref().unwrap_or(ERASED));
        out.push_str(rest);
    }
    out
}

/// Words that were typed on the page of a message: for a person.
pub(super) fn on_page(change: &mut Change<'_>, effect: EffectId, row: &EffectRow, words: &str) {
    let Target::Customer { customer, endpoint } = &row.target else { return };
    let said = Said {
        channel: Channel::Web,
        external_id: format!("{effect}/{}", change.get::<TalkRow>(&row.case).map_or(0, |t| t.count)),
        from: Sender::Phone(String::new()),
        case: Some(row.case),
        text: words.to_owned(),
        calendar: None,
        answered: true,
    };
    let people = [Whom { customer: customer.clone(), endpoint: endpoint.clone() }];
    Heard { said: &said, people: &people, cases: &[row.case], told: &[(effect, row.clone())] }.free(change);
}

/// Whether something was typed on the page of a message.
pub(super) fn has_written(change: &Change<'_>, case: CaseId, effect: EffectId) -> bool {
    let rows = change.of_case::<MessageRow, _>(case, 0);
    rows.iter().any(|(_, m)| m.channel == Channel::Web && m.in_reply_to == Some(effect))
}

/// Somebody of `people` has called: the contact centre says so. Counted in each of their open cases.
pub(super) fn called(change: &mut Change<'_>, from: &Sender, id: &str, actor: &str) -> Reply {
    change.because(format!("api:{actor}"), "the customer has called");
    let people = whose::senders(change, from);
    let cases = whose::cases(change, &people, &whose::contacts(change, &people), None);
    let Some(who) = people.first() else { return Reply::NotFound };
    let said = Said {
        channel: Channel::Call,
        external_id: id.to_owned(),
        from: from.clone(),
        case: None,
        text: String::new(),
        calendar: None,
        answered: true,
    };
    for case in cases.iter().copied().filter(|case| !is_known(change, *case, id)).collect::<Vec<_>>() {
        let from = From::Customer { customer: who.customer.clone(), endpoint: who.endpoint.clone() };
        let whom = notes::role(change, case, None, &who.customer);
        if keep(change, case, &said, from, Some("called"), None, &format!("the {whom} has called; {actor} answers")) {
            change.note(case, Mirror::Contact, &format!("the {whom} has called."));
        }
    }
    Reply::Done
}

/// A workshop writes to the address of a case that it was asked about. `false`: it is known already, or one too many.
pub(super) fn by_workshop(
    change: &mut Change<'_>,
    case: CaseId,
    workshop: &AdapterName,
    said: &Said,
    meaning: Option<&str>,
) -> bool {
    let line = match meaning {
        Some(meaning) => format!("{workshop} has {meaning} by mail"),
        None => format!("{workshop} has written a mail"),
    };
    let from = From::Workshop(workshop.clone());
    !is_known(change, case, &said.external_id) && keep(change, case, said, from, meaning, None, &line)
}

/// What it has written, or asks for in its calendar (`what`), is for a person to answer.
pub(super) fn workshop_waits(change: &mut Change<'_>, case: CaseId, workshop: &AdapterName, said: &Said, what: &str) {
    let words = if said.text.is_empty() { String::new() } else { format!(" and writes: {}", last_words(change, case)) };
    change.note(case, Mirror::Contact, &format!("{workshop} {what}{words}"));
    ask_a_person(change, case, &format!("{workshop} {what} and waits for an answer"));
}

/// Whoever writes to the reply address of a case got it from us or from somebody who did, and may be anybody: what they
/// say confirms and changes nothing, and a person reads it.
fn from_elsewhere(change: &mut Change<'_>, case: CaseId, said: &Said) {
    let Sender::Email(from) = &said.from else { return };
    if said.text.is_empty() || is_known(change, case, &said.external_id) {
        return;
    }
    // Whoever answers must know whom: sealed with the words.
    let with_sender = Said { text: format!("{from}: {}", said.text), ..said.clone() };
    let line = format!("{} from an unknown sender: for a person to read", said.channel);
    if keep(change, case, &with_sender, From::Elsewhere, None, None, &line) {
        let words = last_words(change, case);
        change.note(case, Mirror::Contact, &format!("An unknown sender writes to the address of the case: {words}"));
        // Whoever it is, a case that is closed stays so until our people know.
        let talk = change.get::<TalkRow>(&case).unwrap_or_default();
        change.put(case, TalkRow { waits_since: Some(change.now), ..talk });
        page(change, case, "an unknown sender has written to the address of the case and waits for an answer");
    }
}

/// Somebody writes into the ticket of a case. The desk's people see it there; here it completes the conversation, and an
/// answer of theirs is one.
fn in_ticket(change: &mut Change<'_>, said: &Said, cases: &[CaseId], author: Author) -> Reply {
    for case in cases.iter().copied().filter(|case| !is_known(change, *case, &said.external_id)).collect::<Vec<_>>() {
        let who = match author {
            Author::Customer => "the customer",
            Author::Agent => "an agent, to the customer,",
            Author::Internal => "an agent",
        };
        keep(change, case, said, From::Desk(author), None, None, &format!("{who} has written in the ticket"));
        if author == Author::Agent {
            answered(change, case);
        }
    }
    if cases.is_empty() { Reply::NotFound } else { Reply::Done }
}

/// Nobody waits for an answer any more.
pub(super) fn answered(change: &mut Change<'_>, case: CaseId) {
    if let Some(talk) = change.get::<TalkRow>(&case).filter(|t| t.waits_since.is_some()) {
        change.put(case, TalkRow { waits_since: None, ..talk });
        change.touched.insert(case);
    }
}

/// Whether somebody waits for the answer of a person: the case stays open until they have it.
pub(super) fn waits(change: &Change<'_>, case: CaseId) -> bool {
    change.get::<TalkRow>(&case).is_some_and(|t| t.waits_since.is_some())
}

/// Whether the case was opened again by a message: the plan has done its part.
pub(super) fn is_after_end(change: &Change<'_>, case: CaseId) -> bool {
    change.get::<TalkRow>(&case).is_some_and(|t| t.after_end)
}

/// A person has to answer. A closed case is opened again, or stays closed while its queue is asked, by the settings.
fn ask_a_person(change: &mut Change<'_>, id: CaseId, reason: &str) {
    let Some(row) = change.get::<CaseRow>(&id) else { return };
    let talk = TalkRow { waits_since: Some(change.now), ..change.get::<TalkRow>(&id).unwrap_or_default() };
    change.put(id, talk.clone());
    if let Some(closed_at) = row.closed_at {
        let window = change.plan(&row).map_or(crate::domain::Span::ZERO, |p| p.case.reopen);
        let soon = change.now.since(closed_at) < window;
        if soon && change.config.contact.reply_after_close == AfterClose::Reopen {
            change.put(id, TalkRow { after_end: true, ..talk });
            case::open_again(change, id, reason);
        }
    }
    page(change, id, reason);
}

fn page(change: &mut Change<'_>, id: CaseId, reason: &str) {
    pages::page_anew(change, id);
    goals::page_default_about(change, id, reason, Some(pages::About::Answer));
}

/// The fault is there again, and its plan is run again.
pub(super) fn plan_runs_again(change: &mut Change<'_>, case: CaseId) {
    if let Some(talk) = change.get::<TalkRow>(&case).filter(|t| t.after_end) {
        change.put(case, TalkRow { after_end: false, ..talk });
    }
}

pub(super) fn forget(change: &mut Change<'_>, case: CaseId) {
    let count = change.get::<TalkRow>(&case).map_or(0, |t| t.count);
    (0..count).for_each(|n| change.delete::<MessageRow>((case, n)));
    change.delete::<TalkRow>(case);
}
