//! The engine behind the stage: what devices send in a test of a playbook, through the rules, to the desk.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Subject;
use super::telemetry::{Sent, Telemetry};
use crate::desk::{Input, Watch};
use crate::domain::{At, DeviceId, Registry, RuleId, Span};
use crate::engine::{Engine, Settings};

/// The clock is marked every second, as live; in a long test less often.
const MAX_MARKS: i64 = 10_000;

/// The devices of a test and the engine that hears them.
pub(super) struct Fleet {
    engine: Engine,
    messages: std::iter::Peekable<std::vec::IntoIter<Sent>>,
    /// The next mark of the clock, and how far apart they are.
    mark_at: At,
    marks: Span,
}

impl Fleet {
    pub(super) fn new(sent: &Telemetry, until: At, subject: &Subject, registry: Arc<Registry>) -> Self {
        // Marks may stand far apart; there is no outage in a test.
        let settings = Settings { mark_gap: Span::MAX, ..Settings::default() };
        let mut engine = Engine::new(subject.program.clone(), registry).with(settings);
        engine.clock(sent.start - Span::from_micros(1), &mut Vec::new());
        let seconds = until.since(sent.start).as_micros() / 1_000_000;
        let marks = Span::from_secs((seconds / MAX_MARKS).max(1));
        let messages = sent.messages(subject.program.models()).into_iter().peekable();
        Self { engine, messages, mark_at: sent.start + marks, marks }
    }

    /// When something happens next. Marks go on for ever.
    pub(super) fn next_at(&mut self) -> At {
        self.messages.peek().map_or(self.mark_at, |sent| sent.arrives_at.min(self.mark_at))
    }

    /// What the desk hears of what happens next.
    pub(super) fn step(&mut self) -> Vec<Input> {
        let mut out = Vec::new();
        match self.messages.next_if(|sent| sent.arrives_at <= self.mark_at) {
            Some(sent) => {
                self.engine.clock(sent.arrives_at - Span::from_micros(1), &mut out);
                self.engine.apply(&sent.binding, &sent.message, sent.fingerprint, sent.arrives_at, false, &mut out);
            }
            None => {
                self.engine.clock(self.mark_at, &mut out);
                self.mark_at = self.mark_at + self.marks;
            }
        }
        let mut facts = Vec::new();
        self.engine.changed_facts(&mut facts);
        let detections = out.into_iter().map(|d| Input::Detection(Box::new(d)));
        let facts = facts.into_iter().map(|(device, event_at, values)| Input::Facts { device, event_at, values });
        detections.chain(facts).collect()
    }

    /// What the desk wants to be told from now on, and what people have ended.
    pub(super) fn heed(&mut self, now: At, watch: &[(DeviceId, Watch)], ended: &[(DeviceId, RuleId)]) -> Vec<Input> {
        for (device, watch) in watch {
            self.engine.watch(device, *watch == Watch::Start);
        }
        let mut out = Vec::new();
        for (device, rule) in ended.iter().collect::<BTreeSet<_>>() {
            self.engine.release(device, rule, now, &mut out);
        }
        out.into_iter().map(|d| Input::Detection(Box::new(d))).collect()
    }
}
