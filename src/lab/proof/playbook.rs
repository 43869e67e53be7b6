//! Tests of playbooks: a fault, or what devices send, a world that answers as it is told to, and what must have been done
//! when. The real desk with the real playbooks, texts and policies, and the engine before it, run in virtual time; nothing
//! leaves them.
//!
//! ```toml
//! [[playbook_test]]
//! name     = "the driver is told, the truck comes"
//! device   = "car-0042"                    # of the registry
//! fault    = "brake.circuit_loss"
//! severity = "critical"
//! lead     = "5d..30d"                     # until the breakdown, as a rule of the fault would promise
//! cleared  = "+30m"                        # the fault ends; never unless stated
//! start    = "2026-11-20T10:00:00Z"        # when it begins; 2026-01-01T10:00:00Z unless stated
//! until    = "+2h"                         # the end of the test
//! every    = "1m"                          # one value of each series of facts
//! facts    = { speed = "80x3, 0x60", lat = "48.2x63", lon = "16.4x63" }
//! [[playbook_test.also]]                   # others with the same fault, each with `cleared` and `facts` of its own
//! like     = "car-0042"
//! id       = "car"
//! copies   = 40                            # car-1 … car-40
//! [playbook_test.world]                    # what comes of each: in turn, the last again and again
//! call     = ["no answer", "key 1"]        # also busy, voicemail
//! dispatch = "eta 24m"                     # also declined, silent
//! booking  = ["confirmed", "moved 26h"]    # also no slots, slot gone, no show, cancelled; each after the one before
//! email    = "tap 2"                       # a time is chosen; also tap call, tap none
//! sms      = "delivered"                   # also undelivered; and of all: accepted, refused, unknown, unreachable
//! [[playbook_test.expect]]
//! effects = ["+0s call", "+5s sms"]        # in this order, others may stand between
//! never   = ["command"]
//! goals   = { tow_accepted = "met by +1m", vehicle_safe = "open" }
//! said    = "24 min"                       # in some call, text message or mail
//! phase   = "closed"                       # at `at`, or at the end
//! held    = "release-rule"                 # at `at`: a part of what the case waits for; "" for nothing
//! outcome = "served"
//! cases   = 1                              # opened by the end
//! in_all  = { sms = 44 }                   # in so many cases one went out by `at`, or by the end
//! device  = "van-1"                        # whose case; that of the test's device unless stated. The case of a storm
//! ```                                      # is that of "fleet", and that of a common cause has its name
//!
//! A test that names a rule starts from what is sent, and has `model`, `every`, `device`, `series`, `also` and `late` of a
//! rule test instead of `fault`, `severity`, `cleared` and `facts`. All rules watch, and what they find goes to the desk
//! with its guards:
//!
//! ```toml
//! [[playbook_test]]
//! name = "ten act, and a person looks before the eleventh"
//! rule = "hv-thermal"
//! device = "van-01"
//! series = { pack_temp_max = "61x60" }
//! [[playbook_test.also]]
//! like = "van-01"
//! id = "van"
//! copies = 10                              # van-1 … van-10
//! series = { pack_temp_max = "61x60" }
//! [[playbook_test.act]]                    # what people do
//! at = "+30m"
//! release = "hv-thermal"                   # the held cases of a rule, or of the storm: "fleet"
//! # approve = "2-standing-and-dangerous"   # a tier of the storm
//! # stop = "on"                            # all, off: the stop switch of everything, or of `device = "fleet"`
//! # close = "van-3"                        # the case of a device
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use super::read::{Reader, instant, span_of};
use super::series::{Cell, series};
use super::telemetry::{Telemetry, copies};
use super::theatre::{Played, Seen};
use super::{Failure, Outcome, Subject, theatre};
use crate::desk::FLEET;
use crate::domain::{At, Device, DeviceId, FaultName, RuleId, Severity, Span, Stop};
use crate::source::{Diagnostic, Diagnostics, Item, Place, Table, Text, did_you_mean};

pub(super) const CODE: &str = "T001";
const START: &str = "2026-01-01T10:00:00Z";
/// A time stated in whole seconds means that second, and the one a provider needs to answer.
const SLACK: Span = Span::from_secs(2);

/// Channels, as effects are named in tests.
pub(super) const CHANNELS: [&str; 9] =
    ["call", "sms", "email", "app_push", "ticket", "dispatch", "command", "webhook", "booking"];

/// A checked test of a playbook.
#[derive(Debug)]
pub(super) struct PlaybookTest {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) fault: FaultName,
    pub(super) origin: Origin,
    pub(super) start: At,
    pub(super) until: At,
    pub(super) deeds: Vec<(At, Deed)>,
    pub(super) world: BTreeMap<&'static str, Vec<Arc<str>>>,
    expects: Vec<(DeviceId, Item<Expect>)>,
}

/// Where the fault comes from.
#[derive(Debug)]
pub(super) enum Origin {
    /// The test says that it is there.
    Given(Given),
    /// The rules find it.
    Sent(Telemetry),
}

/// A fault, and the devices that have it.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) severity: Severity,
    pub(super) lead: Option<(Span, Span)>,
    pub(super) every: Span,
    /// The first is the one that the test is about.
    pub(super) devices: Vec<Struck>,
}

/// A device with the fault, and what it says.
#[derive(Debug)]
pub(super) struct Struck {
    pub(super) device: Device,
    pub(super) cleared_at: Option<At>,
    pub(super) facts: Vec<(Arc<str>, Vec<Cell>)>,
}

/// What a person does.
#[derive(Debug, Clone)]
pub(super) enum Deed {
    /// The held cases of a rule go on.
    Release(RuleId),
    /// The children of the storm go on.
    End,
    /// A tier of the storm may be told.
    Approve(Arc<str>),
    /// Turns a stop switch: that of the case of a device, or that of everything.
    Stop(Option<DeviceId>, Stop),
    /// Closes the case of a device.
    Close(DeviceId),
}

impl PlaybookTest {
    /// Its devices; the first is the one that it is about.
    pub(super) fn devices(&self) -> impl Iterator<Item = &Device> {
        let (given, sent) = match &self.origin {
            Origin::Given(given) => (Some(&given.devices), None),
            Origin::Sent(sent) => (None, Some(&sent.devices)),
        };
        let sent = sent.into_iter().flatten().map(|sender| &sender.device);
        given.into_iter().flatten().map(|struck| &struck.device).chain(sent)
    }

    /// Whose cases there may be: its devices, what they share, and the fleet.
    fn subjects(&self) -> impl Iterator<Item = &str> {
        let devices = self.devices().map(|device| device.id.as_str());
        devices.chain([FLEET]).chain(self.devices().flat_map(|device| device.attrs.values()).map(|value| &**value))
    }
}

#[derive(Debug)]
enum Expect {
    Effects(Vec<(At, Arc<str>)>),
    Never(Arc<str>),
    Goal(Text, Arc<str>, Option<At>),
    Said(Arc<str>),
    Phase(At, Arc<str>),
    Held(At, Arc<str>),
    Ended(Arc<str>),
    Mark(u8),
    Cases(usize),
    InAll(At, Text, usize),
}

/// Reads the playbook tests of a file.
pub(super) fn read(diags: &mut Diagnostics, root: &Table<'_>, subject: &Subject) -> Vec<PlaybookTest> {
    root.tables(diags, "playbook_test").into_iter().filter_map(|table| test(diags, table, subject)).collect()
}

fn test(diags: &mut Diagnostics, table: Table<'_>, subject: &Subject) -> Option<PlaybookTest> {
    let start = table.parsed::<At>(diags, "start", "an instant such as 2026-01-10T08:00:00Z");
    let start = start.map_or_else(|| START.parse().unwrap_or_default(), |at| at.value);
    let found =
        if table.has("rule") { sent(diags, &table, subject, start) } else { given(diags, &table, subject, start) };
    let end = match &found {
        Some((_, Origin::Sent(sent))) => sent.end(),
        _ => start,
    };
    let until = time(diags, &table, "until", start).unwrap_or_else(|| end.max(start + Span::from_hours(2)));
    let acts = table.tables(diags, "act");
    let deeds = acts.into_iter().filter_map(|act| deed(diags, act, subject, start)).collect();
    let mut world = BTreeMap::new();
    if let Some(answers) = table.table(diags, "world") {
        for channel in CHANNELS {
            let texts = answers.texts(diags, channel);
            for text in &texts {
                if theatre::answer(channel, &text.value).is_none() {
                    let finding = Diagnostic::error("T010", format!("a {channel} cannot come to '{}'", text.value));
                    diags.push(finding.at(text.place.clone(), "").hint(theatre::answers(channel)));
                }
            }
            if !texts.is_empty() {
                world.insert(channel, texts.into_iter().map(|t| t.value).collect());
            }
        }
        answers.finish(diags);
    }
    let expects = table.tables(diags, "expect");
    if expects.is_empty() {
        diags.push(Diagnostic::error(CODE, "the test expects nothing").at(table.place(), ""));
    }
    let name = table.text(diags, "name").map(|n| n.value.to_string());
    let place = table.place();
    let Some((fault, origin)) = found else {
        table.finish(diags);
        return None;
    };
    let name = name.unwrap_or_else(|| fault.to_string());
    let mut test = PlaybookTest { name, place, fault, origin, start, until, deeds, world, expects: Vec::new() };
    test.expects = expects.into_iter().flat_map(|t| expect(diags, t, &test)).collect();
    table.finish(diags);
    Some(test)
}

/// `5d..30d`
struct Lead(Span, Span);

impl std::str::FromStr for Lead {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let span = |t: &str| t.trim().parse::<Span>().map_err(|e| e.to_string());
        let (from, to) = text.split_once("..").ok_or("two durations are needed")?;
        Ok(Self(span(from)?, span(to)?))
    }
}

/// The fault is there.
fn given(diags: &mut Diagnostics, table: &Table<'_>, subject: &Subject, start: At) -> Option<(FaultName, Origin)> {
    table.need(diags, "device");
    let device = Reader { diags: &mut *diags, subject }.registered(table, "device");
    let fault = table.need_text(diags, "fault");
    table.need(diags, "severity");
    let severity = table.parsed::<Severity>(diags, "severity", "minor, warning, major or critical");
    let lead = table.parsed::<Lead>(diags, "lead", "two durations such as 5d..30d").map(|l| (l.value.0, l.value.1));
    let every = span_of(diags, table, "every").unwrap_or(Span::from_mins(1));
    let (cleared_at, said) = (time(diags, table, "cleared", start), facts(diags, table));
    let mut devices: Vec<Struck> =
        device.map(|device| Struck { device, cleared_at, facts: said }).into_iter().collect();
    for also in table.tables(diags, "also") {
        also.need(diags, "id");
        let described = Reader { diags: &mut *diags, subject }.described(&also, None);
        let (cleared_at, said) = (time(diags, &also, "cleared", start), facts(diags, &also));
        let copies = copies(diags, &also, described);
        also.finish(diags);
        devices.extend(copies.map(|device| Struck { device, cleared_at, facts: said.clone() }));
    }
    let given = Given { severity: severity?.value, lead, every, devices };
    (!given.devices.is_empty()).then_some((FaultName::from(&*fault?.value), Origin::Given(given)))
}

/// What a device says, one value of each at a time.
fn facts(diags: &mut Diagnostics, table: &Table<'_>) -> Vec<(Arc<str>, Vec<Cell>)> {
    let mut facts = Vec::new();
    if let Some(lines) = table.table(diags, "facts") {
        for key in lines.keys().collect::<Vec<_>>() {
            let Some(text) = lines.text(diags, &key.value) else { continue };
            match series(&text.value) {
                Ok(cells) => facts.push((key.value, cells)),
                Err(e) => diags.push(Diagnostic::error("T005", e.message).at(text.inner(diags, e.span), "")),
            }
        }
        lines.finish(diags);
    }
    facts
}

/// The rules find it in what is sent.
fn sent(diags: &mut Diagnostics, table: &Table<'_>, subject: &Subject, start: At) -> Option<(FaultName, Origin)> {
    let mut reader = Reader { diags, subject };
    let about = reader.about(table);
    let telemetry = reader.telemetry(table, about.as_ref(), start);
    let fault = about?.rule.fault.clone();
    (!telemetry.devices.is_empty()).then_some((fault, Origin::Sent(telemetry)))
}

fn deed(diags: &mut Diagnostics, table: Table<'_>, subject: &Subject, start: At) -> Option<(At, Deed)> {
    table.need(diags, "at");
    let at = time(diags, &table, "at", start);
    let release = table.text(diags, "release");
    let close = table.text(diags, "close").map(|device| Deed::Close(DeviceId::from(&*device.value)));
    let approve = table.text(diags, "approve").map(|tier| Deed::Approve(tier.value));
    let device = table.text(diags, "device").map(|device| DeviceId::from(&*device.value));
    let stop = table.parsed::<Stop>(diags, "stop", "on, all or off").map(|stop| Deed::Stop(device, stop.value));
    let rules = || subject.program.rules().iter().map(|rule| rule.id.as_str()).chain([FLEET]);
    if let Some(rule) = release.as_ref().filter(|rule| !rules().any(|known| known == &*rule.value)) {
        let near = did_you_mean(&rule.value, rules()).map(|n| format!("did you mean `{n}`?"));
        let finding = Diagnostic::error("T002", format!("there is no rule '{}'", rule.value));
        diags.push(finding.at(rule.place.clone(), "").maybe_hint(near));
    }
    let release = release.map(|rule| match &*rule.value {
        FLEET => Deed::End,
        rule => Deed::Release(RuleId::from(rule)),
    });
    let deed = release.or(close).or(approve).or(stop);
    if deed.is_none() {
        let finding = Diagnostic::error(CODE, "nothing is done");
        diags.push(finding.at(table.place(), "say `release`, `approve`, `stop` or `close`"));
    }
    table.finish(diags);
    Some((at?, deed?))
}

fn time(diags: &mut Diagnostics, table: &Table<'_>, key: &str, start: At) -> Option<At> {
    let text = table.text(diags, key)?;
    let at = instant(&text.value, start);
    if at.is_none() {
        let finding = Diagnostic::error(CODE, format!("`{key}` is '{}', which is not a time", text.value));
        diags.push(finding.at(text.place, "such as +10m"));
    }
    at
}

fn expect(diags: &mut Diagnostics, table: Table<'_>, test: &PlaybookTest) -> Vec<(DeviceId, Item<Expect>)> {
    let start = test.start;
    let at = time(diags, &table, "at", start).unwrap_or(test.until);
    let ids = || test.subjects();
    let named = table.text(diags, "device");
    if let Some(id) = named.as_ref().filter(|id| !ids().any(|known| known == &*id.value)) {
        let near = did_you_mean(&id.value, ids()).map(|n| format!("did you mean `{n}`?"));
        let finding = Diagnostic::error("T004", format!("the test has no device '{}'", id.value));
        diags.push(finding.at(id.place.clone(), "").maybe_hint(near));
    }
    let device = named.map(|id| DeviceId::from(&*id.value)).or_else(|| test.devices().next().map(|d| d.id.clone()));
    let mut list = Vec::new();
    let effects = table.texts(diags, "effects");
    if let Some(first) = effects.first() {
        let place = first.place.clone();
        let parsed = effects.iter().filter_map(|text| effect(diags, text, start)).collect();
        list.push(Item { value: Expect::Effects(parsed), place });
    }
    for text in table.texts(diags, "never") {
        if known_channel(diags, &text, &text.value) {
            list.push(Item { value: Expect::Never(text.value), place: text.place });
        }
    }
    if let Some(goals) = table.table(diags, "goals") {
        for key in goals.keys().collect::<Vec<_>>() {
            let Some(text) = goals.text(diags, &key.value) else { continue };
            let (state, by) = text.value.split_once(" by ").map_or((&*text.value, None), |(s, by)| (s, Some(by)));
            let by_at = by.and_then(|by| instant(by.trim(), start));
            if !["open", "met", "missed", "waived"].contains(&state) || by.is_some() != by_at.is_some() {
                let finding = Diagnostic::error(CODE, format!("a goal is not '{}'", text.value));
                diags.push(finding.at(text.place, "").hint("open, met, missed or waived; or met by +1m"));
                continue;
            }
            let place = key.place.clone();
            list.push(Item { value: Expect::Goal(key, state.into(), by_at), place });
        }
        goals.finish(diags);
    }
    if let Some(text) = table.text(diags, "said") {
        list.push(Item { value: Expect::Said(text.value), place: text.place });
    }
    if let Some(text) = table.text(diags, "phase") {
        list.push(Item { value: Expect::Phase(at, text.value), place: text.place });
    }
    if let Some(text) = table.text(diags, "held") {
        list.push(Item { value: Expect::Held(at, text.value), place: text.place });
    }
    if let Some(text) = table.text(diags, "outcome") {
        list.push(Item { value: Expect::Ended(text.value), place: text.place });
    }
    if let Some(mark) = table.count(diags, "csat") {
        match u8::try_from(mark.value).ok().filter(|m| (1..=5).contains(m)) {
            Some(value) => list.push(Item { value: Expect::Mark(value), place: mark.place }),
            None => diags.push(Diagnostic::error(CODE, "a mark is 1 to 5").at(mark.place, "")),
        }
    }
    if let Some(count) = table.count(diags, "cases") {
        list.push(Item { value: Expect::Cases(count.value as usize), place: count.place });
    }
    if let Some(counts) = table.table(diags, "in_all") {
        for key in counts.keys().collect::<Vec<_>>() {
            let Some(count) = counts.count(diags, &key.value) else { continue };
            if known_channel(diags, &key, &key.value) {
                list.push(Item { value: Expect::InAll(at, key, count.value as usize), place: count.place });
            }
        }
        counts.finish(diags);
    }
    table.finish(diags);
    list.into_iter().filter_map(|item| Some((device.clone()?, item))).collect()
}

/// `+5s sms`.
fn effect(diags: &mut Diagnostics, text: &Text, start: At) -> Option<(At, Arc<str>)> {
    let parted = text.value.split_once(' ').and_then(|(at, channel)| Some((instant(at, start)?, channel.trim())));
    let Some((at, channel)) = parted else {
        let finding = Diagnostic::error(CODE, format!("'{}' is not an effect", text.value));
        diags.push(finding.at(text.place.clone(), "").hint("a time and a channel, such as +5s sms"));
        return None;
    };
    known_channel(diags, text, channel).then(|| (at, channel.into()))
}

fn known_channel(diags: &mut Diagnostics, text: &Text, channel: &str) -> bool {
    let known = CHANNELS.contains(&channel);
    if !known {
        let hint = did_you_mean(channel, CHANNELS).map(|n| format!("did you mean `{n}`?"));
        let hint = hint.unwrap_or_else(|| format!("one of {}", CHANNELS.join(", ")));
        let finding = Diagnostic::error("T010", format!("there is no channel '{channel}'"));
        diags.push(finding.at(text.place.clone(), "").hint(hint));
    }
    known
}

/// Plays the case and holds it against what was expected.
pub(super) fn run(test: &PlaybookTest, subject: &Subject) -> Outcome {
    let played = theatre::play(test, subject);
    let nothing = Seen { story: "no case was opened\n".to_owned(), ..Seen::default() };
    let of = |device: &DeviceId| played.cases.get(device).unwrap_or(&nothing);
    let unmet = |(device, expect): &(DeviceId, Item<Expect>)| {
        let seen = of(device);
        let (message, was) = unmet(test, &expect.value, seen, &played)?;
        let timeline = seen.story.clone();
        Some(Failure { place: expect.place.clone(), message, was, variant: None, timeline })
    };
    let failures = test.expects.iter().filter_map(unmet).collect();
    let story = test.devices().next().map(|device| of(&device.id).story.clone());
    Outcome { name: test.name.clone(), place: test.place.clone(), runs: 1, failures, story }
}

fn unmet(test: &PlaybookTest, expect: &Expect, seen: &Seen, played: &Played) -> Option<(String, String)> {
    let after = |at: At| format!("+{}", at - test.start);
    match expect {
        Expect::Effects(wanted) => {
            let mut sent = seen.sent.iter();
            let fits = |(at, channel): &&(At, Arc<str>)| {
                !sent.any(|(s, c)| c == channel && s.since(*at).max(at.since(*s)) <= SLACK)
            };
            let (at, channel) = wanted.iter().find(fits)?;
            let list: Vec<String> = seen.sent.iter().map(|(at, c)| format!("{} {c}", after(*at))).collect();
            let was = if list.is_empty() { "nothing".to_owned() } else { list.join(", ") };
            Some((format!("a {channel} was to go out at {}, in this order; there were {was}", after(*at)), was))
        }
        Expect::Never(channel) => {
            let (at, _) = seen.sent.iter().find(|(_, c)| **c == **channel)?;
            Some((format!("no {channel} was to go out, and one did at {}", after(*at)), after(*at)))
        }
        Expect::Goal(goal, state, by) => {
            let (was, at) =
                seen.goals.get(&*goal.value).map_or(("not a goal of the case", None), |(s, at)| (s, Some(*at)));
            let late = by.is_some_and(|by| at.is_none_or(|at| at > by));
            let when = at.map(|at| format!(" at {}", after(at))).unwrap_or_default();
            let by = by.map(|by| format!(" by {}", after(by))).unwrap_or_default();
            let message = format!("goal {} was to be {state}{by}, and is {was}{when}", goal.value);
            (was != &**state || late).then(|| (message, format!("{was}{when}")))
        }
        Expect::Said(part) => {
            let missing = !played.said.iter().any(|text| text.contains(&**part));
            missing.then(|| (format!("'{part}' was to be said, and was not"), played.said.join(" / ")))
        }
        Expect::Phase(at, phase) => {
            let was = seen.phases.iter().rfind(|(t, _)| t <= at).map_or("no case", |(_, p)| p.as_str());
            (was != &**phase)
                .then(|| (format!("at {} the case was to be {phase}, and was {was}", after(*at)), was.to_owned()))
        }
        Expect::Held(at, part) => {
            let was = seen.holds.iter().rfind(|(t, _)| t <= at).map_or("", |(_, what)| what.as_str());
            let fits = if part.is_empty() { was.is_empty() } else { was.contains(&**part) };
            let wanted = if part.is_empty() { "nothing" } else { part };
            let was = if was.is_empty() { "nothing" } else { was };
            let message = format!("at {} the case was to wait for {wanted}, and waited for {was}", after(*at));
            (!fits).then(|| (message, was.to_owned()))
        }
        Expect::Cases(count) => {
            let was = played.opened.len();
            (was != *count).then(|| (format!("{count} cases were to be opened, and were {was}"), was.to_string()))
        }
        Expect::InAll(at, channel, count) => {
            let sent = |seen: &&Seen| seen.sent.iter().any(|(t, c)| t <= at && *c == channel.value);
            let was = played.cases.values().filter(sent).count();
            let message =
                format!("in {count} cases a {} was to go out by {}, and in {was} one did", channel.value, after(*at));
            (was != *count).then(|| (message, was.to_string()))
        }
        Expect::Mark(mark) => {
            let was = seen.csat.map_or_else(|| "none".to_owned(), |was| was.to_string());
            (seen.csat != Some(*mark))
                .then(|| (format!("the customer was to give the mark {mark}, and gave {was}"), was))
        }
        Expect::Ended(outcome) => {
            let was = seen.outcome.as_deref().unwrap_or("still open");
            (was != &**outcome).then(|| (format!("the case was to end as {outcome}, and is {was}"), was.to_owned()))
        }
    }
}
