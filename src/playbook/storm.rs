//! `[match] storm`, `[storm]` and `[[tier]]`: what is done when one cause hits many devices at once.
//!
//! The goals `cause_named`, `tier<N>_informed` (tiers count from 1) and `all_informed` of such a playbook are met by the
//! storm itself; every other goal needs a step, as everywhere.

use std::sync::Arc;

use super::Condition;
use super::load::{MentionOf, Notes};
use super::verb::{DURATION, Reaction, Verb, Via, condition, reaction};
use crate::domain::{QueueName, Rate, ScriptId, Span};
use crate::source::{Diagnostic, Diagnostics, Place, Table, Text, did_you_mean};

/// `storm = { same = ["fault.family"], min = 25, window = "10m", baseline_factor = 8 }` in `[match]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Surge {
    /// What the cases have in common: `fault.family`, `fault.name`, or `device.<column>`.
    pub same: Vec<Arc<str>>,
    /// So many new cases …
    pub min: u32,
    /// … within this time …
    pub window: Span,
    /// … and so many times as many as usual are a storm. 0: whatever is usual.
    pub baseline_factor: f64,
}

/// `[storm]` and `[[tier]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Storm {
    /// Verbs of the children's own plans that wait.
    pub pause: Vec<Arc<str>>,
    /// Children in danger keep their call, in the order of their tier.
    pub keep_safety: bool,
    /// Columns of the registry, and `rule.version`, in which the cause is looked for.
    pub explain_by: Vec<Arc<str>>,
    /// When it is rather our own doing.
    pub our_fault_if: Vec<OurFault>,
    /// The first whose condition is true takes a child.
    pub tiers: Vec<Tier>,
}

/// Signs that the storm is in our own house.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OurFault {
    /// `rule.version changed < 24h`: the rule that fires is of a version so new.
    RuleChanged(Span),
    /// `broker.reconnect_wave`: most of the news are old; they come now because a connection came back.
    ReconnectWave,
    /// `backend.deploy < 2h`: this daemon was started so short a time ago.
    Deployed(Span),
}

/// `[[tier]]`: children that are told in the same way.
#[derive(Debug, Clone, PartialEq)]
pub struct Tier {
    /// Its name.
    pub id: Arc<str>,
    /// Which children, asked of each child's own facts.
    pub when: Condition,
    /// Who comes first.
    pub order: Order,
    /// Only rungs of these ways are used.
    pub via: Vec<Via>,
    /// What it waits for; `None`: nothing.
    pub gate: Option<Gate>,
    /// The most attempts, by way.
    pub budget: Vec<(Via, Rate)>,
    /// One message per customer about all of that customer's devices.
    pub digest: bool,
    /// What is said instead of the text of each child's own plan.
    pub script: Option<ScriptId>,
    /// Told evenly over this time.
    pub spread: Option<Span>,
}

/// Who is told first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// `risk desc`: the more severe, then the faster, then the surer.
    #[default]
    Risk,
    /// `opened asc`.
    Opened,
}

/// `gate` of a tier: who goes through before somebody has said that it is right.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    /// So many are told first.
    pub canary: u32,
    /// What stops the tier: a condition over `false_alarm_rate` and `unknown_outcome_rate`.
    pub stop_if: Option<Condition>,
    /// Who must agree; `None`: the canary alone decides.
    pub approve: Option<QueueName>,
    /// How long they have …
    pub within: Option<Span>,
    /// … before it goes on without them.
    pub proceed: bool,
}

impl Storm {
    /// Whether a goal of this name is met by the storm itself.
    #[must_use]
    pub fn meets(&self, goal: &str) -> bool {
        matches!(goal, "cause_named" | "all_informed")
            || (0..self.tiers.len()).any(|ix| goal == format!("tier{}_informed", ix + 1))
    }
}

pub(super) fn surge(diags: &mut Diagnostics, t: &Table<'_>) -> Option<Surge> {
    let t = t.table(diags, "storm")?;
    t.need(diags, "same");
    let same = t.texts(diags, "same");
    for name in &same {
        let of_device = name.value.strip_prefix("device.").is_some_and(|rest| !rest.is_empty());
        if !of_device && !matches!(&*name.value, "fault.family" | "fault.name") {
            let finding = Diagnostic::error("P050", format!("cases cannot have `{}` in common", name.value));
            diags.push(finding.at(name.place.clone(), "expected fault.family, fault.name or device.<column>"));
        }
    }
    t.need(diags, "min");
    let min = t.count(diags, "min");
    t.need(diags, "window");
    let window = t.parsed::<Span>(diags, "window", DURATION);
    let factor = t.number(diags, "baseline_factor");
    t.finish(diags);
    let window = window?.value.max(Span::from_secs(1));
    Some(Surge {
        same: same.into_iter().map(|s| s.value).collect(),
        min: min?.value.max(2),
        window,
        baseline_factor: factor.map_or(0.0, |f| f.value.max(0.0)),
    })
}

/// Reads `[storm]` and `[[tier]]`. A storm without them holds its children until a person releases them.
pub(super) fn storm(diags: &mut Diagnostics, root: &Table<'_>, notes: &mut Notes) -> (Storm, Option<Place>) {
    let mut place = None;
    let (mut pause, mut keep, mut explain_by, mut our_fault_if) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    if let Some(t) = root.table(diags, "storm") {
        place = Some(t.place());
        pause = t.texts(diags, "pause_children");
        keep = t.texts(diags, "keep_children");
        explain_by = t.texts(diags, "explain_by").into_iter().map(|x| x.value).collect();
        our_fault_if = t.texts(diags, "our_fault_if").iter().filter_map(|text| our_fault(diags, text)).collect();
        t.finish(diags);
    }
    known(diags, &pause, Verb::NAMES, "verb");
    known(diags, &keep, &["safety"], "kind of child");
    let tables = root.tables(diags, "tier");
    place = place.or_else(|| tables.first().map(Table::place));
    let tiers = tables.into_iter().filter_map(|table| tier(diags, table, notes)).collect();
    let storm = Storm {
        pause: pause.into_iter().map(|p| p.value).collect(),
        keep_safety: !keep.is_empty(),
        explain_by,
        our_fault_if,
        tiers,
    };
    (storm, place)
}

fn known(diags: &mut Diagnostics, texts: &[Text], words: &[&'static str], what: &str) {
    for text in texts.iter().filter(|text| !words.contains(&&*text.value)) {
        let near = did_you_mean(&text.value, words.iter().copied());
        diags.push(
            Diagnostic::error("P050", format!("there is no {what} '{}'", text.value))
                .at(text.place.clone(), format!("expected {}", words.join(", ")))
                .maybe_hint(near.map(|n| format!("did you mean '{n}'?"))),
        );
    }
}

fn our_fault(diags: &mut Diagnostics, text: &Text) -> Option<OurFault> {
    let (name, limit) = text.value.split_once('<').map_or((&*text.value, None), |(n, l)| (n, Some(l)));
    let limit = limit.and_then(|l| l.trim().parse::<Span>().ok());
    let found = match (name.trim(), limit) {
        ("rule.version changed", Some(limit)) => Some(OurFault::RuleChanged(limit)),
        ("backend.deploy", Some(limit)) => Some(OurFault::Deployed(limit)),
        ("broker.reconnect_wave", None) if !text.value.contains('<') => Some(OurFault::ReconnectWave),
        _ => None,
    };
    if found.is_none() {
        let finding = Diagnostic::error("P050", format!("'{}' is no sign that is known", text.value));
        let known = "expected `rule.version changed < 24h`, `broker.reconnect_wave` or `backend.deploy < 2h`";
        diags.push(finding.at(text.place.clone(), known));
    }
    found
}

fn tier(diags: &mut Diagnostics, t: Table<'_>, notes: &mut Notes) -> Option<Tier> {
    let id = t.need_text(diags, "id");
    notes.tiers.extend(id.clone());
    let when = t.need_text(diags, "when").and_then(|w| condition(diags, &w, notes));
    let order = t.text(diags, "order").map_or(Some(Order::Risk), |o| match &*o.value {
        "risk desc" => Some(Order::Risk),
        "opened asc" => Some(Order::Opened),
        other => {
            let finding = Diagnostic::error("P050", format!("`order` is '{other}'"));
            diags.push(finding.at(o.place, "expected `risk desc` or `opened asc`"));
            None
        }
    });
    t.need(diags, "via");
    let ways = t.texts(diags, "via");
    let via: Vec<Via> = ways.iter().filter_map(|text| way(diags, text)).collect();
    let gate = gate(diags, &t, notes);
    let budget = budget(diags, &t, notes);
    let digest = t.text(diags, "digest").inspect(|d| {
        if !d.value.starts_with("one message per customer") {
            let finding = Diagnostic::error("P050", format!("`digest` is '{}'", d.value));
            diags.push(finding.at(d.place.clone(), "expected `one message per customer`"));
        }
    });
    let script = t.text(diags, "script");
    if let (Some(digest), None) = (&digest, &script) {
        let finding =
            Diagnostic::error("P050", "a digest needs a `script`: no child's own text is about several devices");
        diags.push(finding.at(digest.place.clone(), "what is said?"));
    }
    if let Some(script) = &script {
        notes.mention(MentionOf::Script(via.iter().flat_map(Via::parts).copied().collect()), script);
    }
    let spread = t.parsed::<Span>(diags, "spread", DURATION);
    t.finish(diags);
    Some(Tier {
        id: id?.value,
        when: when?,
        order: order?,
        via,
        gate: gate?,
        budget,
        digest: digest.is_some(),
        script: script.map(|s| ScriptId::from(&*s.value)),
        spread: spread.map(|s| s.value),
    })
}

/// A way without people of ours.
fn way(diags: &mut Diagnostics, text: &Text) -> Option<Via> {
    let found = Via::WAYS.iter().find(|(name, _)| *name == &*text.value).map(|(_, via)| via.clone());
    if found.is_none() {
        let names: Vec<&'static str> = Via::WAYS.iter().map(|(name, _)| *name).collect();
        known(diags, std::slice::from_ref(text), &names, "way");
    }
    found
}

/// `gate = "none"`, or a table. The outer `None` is a mistake.
fn gate(diags: &mut Diagnostics, t: &Table<'_>, notes: &mut Notes) -> Option<Option<Gate>> {
    if t.what("gate") == Some("a string") {
        let text = t.text(diags, "gate")?;
        if &*text.value == "none" {
            return Some(None);
        }
        let finding = Diagnostic::error("P050", format!("`gate` is '{}'", text.value));
        diags.push(finding.at(text.place, "expected \"none\" or a table"));
        return None;
    }
    let Some(g) = t.table(diags, "gate") else { return Some(None) };
    let canary = g.count(diags, "canary").map_or(0, |c| c.value);
    let stop_if = g.text(diags, "stop_if").map(|text| stop_if(diags, &text));
    let approve = g.text(diags, "approve").map(|text| match reaction(diags, &text, notes) {
        Some(Reaction::Human(queue)) => Some(queue),
        _ => {
            let finding = Diagnostic::error("P050", "a person must approve");
            diags.push(finding.at(text.place.clone(), "expected human:<queue>"));
            None
        }
    });
    let within = g.parsed::<Span>(diags, "within", DURATION).map(|w| w.value);
    let otherwise = g.text(diags, "else");
    if let Some(text) = otherwise.as_ref().filter(|text| &*text.value != "proceed") {
        let finding = Diagnostic::error("P050", format!("`else` is '{}'", text.value));
        diags.push(finding.at(text.place.clone(), "expected `proceed`; without it the tier waits for a person"));
    }
    g.finish(diags);
    let stop_if = match stop_if {
        Some(parsed) => Some(parsed?),
        None => None,
    };
    let approve = match approve {
        Some(parsed) => Some(parsed?),
        None => None,
    };
    Some(Some(Gate { canary, stop_if, approve, within, proceed: otherwise.is_some() }))
}

/// Names of `stop_if`.
pub const RATES: [&str; 2] = ["false_alarm_rate", "unknown_outcome_rate"];

fn stop_if(diags: &mut Diagnostics, text: &Text) -> Option<Condition> {
    match Condition::parse(&text.value) {
        Ok(parsed) => {
            let unknown = parsed.names().into_iter().find(|(name, _)| !RATES.contains(&&**name));
            if let Some((name, span)) = unknown {
                let finding = Diagnostic::error("P014", format!("a tier knows no `{name}`"));
                diags.push(finding.at(text.inner(diags, span), format!("expected {}", RATES.join(" or "))));
                return None;
            }
            Some(parsed)
        }
        Err(e) => {
            let place = text.inner(diags, e.span.clone());
            diags.push(Diagnostic::error("P013", e.message).at(place, "in this condition"));
            None
        }
    }
}

fn budget(diags: &mut Diagnostics, t: &Table<'_>, notes: &mut Notes) -> Vec<(Via, Rate)> {
    let Some(table) = t.table(diags, "budget") else { return Vec::new() };
    let mut found = Vec::new();
    for (name, via) in Via::WAYS {
        let Some(text) = table.text(diags, name) else { continue };
        match rate(&text.value) {
            Some(rate) => {
                found.push((via.clone(), rate));
                notes.budgets.push((via.clone(), rate, text.place));
            }
            None => {
                let finding = Diagnostic::error("P050", format!("'{}' is not a rate", text.value));
                diags.push(finding.at(text.place, "such as 8/s or 100/m"));
            }
        }
    }
    table.finish(diags);
    found
}

fn rate(text: &str) -> Option<Rate> {
    let (max, per) = text.split_once('/')?;
    let per = match per.trim() {
        "s" => Span::from_secs(1),
        "m" => Span::from_mins(1),
        "h" => Span::from_hours(1),
        _ => return None,
    };
    let max = max.trim().parse().ok().filter(|max| (1..=1_000).contains(max))?;
    Some(Rate { max, per })
}
