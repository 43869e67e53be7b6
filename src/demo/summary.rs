//! What came of it, counted at the providers and not by the daemon's own word.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::daemon::Case;
use super::sandbox::Sandbox;
use crate::domain::At;

/// The end of a demo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Always `summary`: tells this line from the events before it.
    pub event: &'static str,
    /// Whether both cases were served.
    pub served: bool,
    /// How long it took, from the first line.
    pub elapsed_ms: i64,
    /// Messages of the fleet that the broker acknowledged.
    pub messages: u64,
    /// The two that broke down.
    pub cases: Vec<Served>,
    /// Cases of cars that were sound: none, if all is well.
    pub other_cases: usize,
    /// What the providers accepted.
    pub accepted: Accepted,
}

/// One of the cars that broke down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Served {
    /// The car.
    pub device: String,
    /// The case title; empty if there was no case.
    pub title: String,
    /// Where the case stands.
    pub phase: String,
    /// Whether it was served.
    pub served: bool,
    /// Goals and how they stand.
    pub goals: BTreeMap<String, String>,
    /// What its open effects wait for.
    pub waits: Vec<String>,
    /// From the fault to `ticket`, `call`, `confirmed`, `tow`, `mail`, in milliseconds.
    pub after_ms: BTreeMap<&'static str, i64>,
    /// How many of each the providers accepted for this case.
    pub accepted: Accepted,
}

/// What providers accepted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Accepted {
    /// Tickets.
    pub tickets: usize,
    /// Entries in them.
    pub articles: usize,
    /// Calls.
    pub calls: usize,
    /// Text messages.
    pub texts: usize,
    /// Tow jobs.
    pub tows: usize,
    /// Mails.
    pub mails: usize,
}

impl Accepted {
    /// Everything.
    #[must_use]
    pub fn all(sandbox: &Sandbox) -> Self {
        let tickets = sandbox.desk.accepted();
        Self {
            tickets: tickets.len(),
            articles: tickets.iter().map(|t| t.articles.len()).sum(),
            calls: sandbox.phone.accepted().len(),
            texts: sandbox.phone.texts().len(),
            tows: sandbox.tow.accepted().len(),
            mails: sandbox.mail.accepted().len(),
        }
    }
}

impl Served {
    /// A car that broke down at `fault_at` and has no case.
    #[must_use]
    pub fn without_case(device: &str) -> Self {
        Self {
            device: device.to_owned(),
            title: String::new(),
            phase: String::new(),
            served: false,
            goals: BTreeMap::new(),
            waits: Vec::new(),
            after_ms: BTreeMap::new(),
            accepted: Accepted::default(),
        }
    }

    /// What came of `case`: the providers are asked for everything under its id and the ids of its effects.
    #[must_use]
    pub fn of(case: &Case, fault_at: At, confirmed_at: Option<At>, sandbox: &Sandbox) -> Self {
        let ours = |key: &str| case.effects.iter().any(|e| e.id == key);
        let tickets: Vec<_> =
            sandbox.desk.accepted().into_iter().filter(|t| t.case_ref.as_deref() == Some(&*case.id)).collect();
        let calls: Vec<_> =
            sandbox.phone.accepted().into_iter().filter(|c| c.key.as_deref().is_some_and(ours)).collect();
        let texts: Vec<_> = sandbox.phone.texts().into_iter().filter(|t| t.key.as_deref().is_some_and(ours)).collect();
        let jobs: Vec<_> = sandbox.tow.accepted().into_iter().filter(|j| ours(&j.key)).collect();
        let mails: Vec<_> = sandbox
            .mail
            .accepted()
            .into_iter()
            .filter(|m| m.message_id().is_some_and(|id| id.split('@').next().is_some_and(ours)))
            .collect();
        let firsts = [
            ("ticket", tickets.first().map(|t| t.created_at)),
            ("call", calls.first().map(|c| c.created_at)),
            ("confirmed", confirmed_at),
            ("tow", jobs.first().and_then(|j| j.history.iter().find(|s| s.eta.is_some())?.at)),
            ("mail", mails.first().map(|m| m.at)),
        ];
        let after_ms = firsts.into_iter().filter_map(|(name, at)| Some((name, (at? - fault_at).as_millis()))).collect();
        Self {
            device: case.device.clone(),
            title: case.title.clone(),
            phase: case.phase.clone(),
            served: case.served(),
            goals: case.goals.iter().map(|g| (g.name.clone(), g.state.clone())).collect(),
            waits: case.effects.iter().filter_map(|e| e.waits_for.clone()).collect(),
            after_ms,
            accepted: Accepted {
                tickets: tickets.len(),
                articles: tickets.iter().map(|t| t.articles.len()).sum(),
                calls: calls.len(),
                texts: texts.len(),
                tows: jobs.len(),
                mails: mails.len(),
            },
        }
    }
}

impl Summary {
    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        for case in &self.cases {
            // Writing to a String cannot fail.
            write!(out, "\n{}", case.text()).ok();
        }
        let a = &self.accepted;
        write!(
            out,
            "\nAccepted by the providers: tickets {} (entries {}), calls {}, text messages {}, tow jobs {}, mails {}.\n\
             {} messages in {:.1} s; cases of sound cars: {}.",
            a.tickets,
            a.articles,
            a.calls,
            a.texts,
            a.tows,
            a.mails,
            self.messages,
            as_seconds(self.elapsed_ms),
            self.other_cases
        )
        .ok();
        out
    }
}

impl Served {
    fn text(&self) -> String {
        if self.title.is_empty() {
            return format!("{}: no case was opened\n", self.device);
        }
        let word = if self.served { "served" } else { "NOT served" };
        let goals: Vec<String> = self.goals.iter().map(|(name, state)| format!("{name} {state}")).collect();
        // In the order in which it happened.
        let mut steps: Vec<(&str, i64)> = self.after_ms.iter().map(|(name, ms)| (*name, *ms)).collect();
        steps.sort_by_key(|(_, ms)| *ms);
        let steps: Vec<String> = steps.iter().map(|(name, ms)| format!("{name} {:.1} s", as_seconds(*ms))).collect();
        let mut out = format!(
            "{}: {word} ({}). {}\n  goals: {}\n  after the fault: {}\n",
            self.device,
            self.phase,
            self.title,
            goals.join(", "),
            steps.join(", ")
        );
        if !self.served && !self.waits.is_empty() {
            // Writing to a String cannot fail.
            writeln!(out, "  waits: {}", self.waits.join("; ")).ok();
        }
        out
    }
}

#[expect(clippy::cast_precision_loss, reason = "a demo lasts far less than 2^53 ms")]
fn as_seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_reads_well() {
        let served = Served {
            device: "car-0007".into(),
            title: "Front left brake circuit failed".into(),
            phase: "in_service".into(),
            served: true,
            goals: BTreeMap::from([("ticket_open".into(), "met".into()), ("tow_accepted".into(), "met".into())]),
            waits: Vec::new(),
            after_ms: BTreeMap::from([("tow", 2_140), ("ticket", 480), ("confirmed", 9_000)]),
            accepted: Accepted { tickets: 1, ..Accepted::default() },
        };
        let late = Served {
            served: false,
            waits: vec!["per_second of phone, until 12:00:01".into()],
            phase: "engaging".into(),
            ..served.clone()
        };
        let summary = Summary {
            event: "summary",
            served: false,
            elapsed_ms: 21_500,
            messages: 1_304,
            cases: vec![served, late, Served::without_case("car-0023")],
            other_cases: 0,
            accepted: Accepted { tickets: 2, articles: 5, calls: 1, texts: 0, tows: 1, mails: 1 },
        };
        insta::assert_snapshot!(summary.text());
        let json = serde_json::to_value(&summary).unwrap();
        assert_eq!((&json["event"], &json["cases"][0]["after_ms"]["tow"]), (&"summary".into(), &2_140.into()));
    }
}
