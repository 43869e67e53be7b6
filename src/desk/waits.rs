//! Why nothing happens just now, and until when: every reason for which something of a case waits. A limiter that nobody
//! can see looks like a fault.

use serde::{Deserialize, Serialize};

use super::Desk;
use super::rows::{CaseRow, RungState, StepRow, StepState};
use super::{command, reach};
use crate::domain::{At, CaseId, StepId};
use crate::playbook::{Playbook, Reach, Verb, Via};

/// Something that waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WaitView {
    /// What: `sms (step warn)`.
    pub what: String,
    /// Why: `quiet hours of the recipient`.
    pub why: String,
    /// Until when; `None`: until somebody does something.
    pub until_at: Option<At>,
}

impl Desk {
    /// Everything of a case that waits, the soonest first.
    pub(super) fn waits(&self, id: &CaseId, row: &CaseRow) -> Vec<WaitView> {
        let mut all = Vec::new();
        let mut add = |what: String, why: String, until_at: Option<At>| all.push(WaitView { what, why, until_at });
        if let Some(why) = self.waits_for(id) {
            add("the case".to_owned(), why, self.held_until(id));
        }
        if let Some(refused) = self.state.rows.refusals.get(id).filter(|_| row.is_open()) {
            add("the case".to_owned(), format!("the ticket desk: {}", refused.why), None);
        }
        if let Some(since) = self.state.rows.talks.get(id).and_then(|t| t.waits_since) {
            add("the customer".to_owned(), format!("the answer of a person, since {since}"), None);
        }
        for effect in self.effects_of(id) {
            let Some(e) = self.state.rows.effects.get(&effect).filter(|e| e.delivery.state.is_waiting()) else {
                continue;
            };
            let d = &e.delivery;
            let why = e.waits_for.clone().or_else(|| d.reason.as_ref().map(|r| format!("another attempt: {r}")));
            let why = why.unwrap_or_else(|| "its time".to_owned());
            add(format!("{} (step {})", d.kind.as_str(), e.step), why, Some(d.not_before_at));
        }
        let pages = self.state.rows.pages.range((*id, "".into())..).take_while(|((case, _), _)| case == id);
        for ((_, queue), page) in pages.filter(|(_, p)| p.acked_by.is_none()) {
            add(format!("the {queue}"), "somebody who takes the case".to_owned(), page.next_at);
        }
        if row.is_open()
            && !self.state.rows.refusals.contains_key(id)
            && let Some(plan) = self.plan_of(row)
        {
            self.waiting_steps(id, plan, &mut add);
        }
        all.sort_by_key(|w| w.until_at.unwrap_or(At::MAX));
        all
    }

    fn waiting_steps(&self, id: &CaseId, plan: &Playbook, add: &mut dyn FnMut(String, String, Option<At>)) {
        let row = |step: &StepId| self.state.rows.steps.get(&(*id, step.clone()));
        for step in &plan.steps {
            let what = format!("step {}", step.id);
            match row(&step.id) {
                None if step.only_called => {}
                None => {
                    let open = step.after.iter().filter(|s| row(s).is_none_or(|r| r.state != StepState::Done));
                    let names: Vec<&str> = open.map(|s| s.as_str()).collect();
                    if !names.is_empty() {
                        add(what, format!("the end of {}", names.join(" and ")), None);
                    }
                }
                Some(r) if r.state == StepState::Waiting => {
                    let when = step.when.as_ref().map_or("its start", |w| &w.text);
                    add(what, format!("{when} to be true"), None);
                }
                Some(r) if r.state == StepState::Running => match &step.verb {
                    Verb::Reach(reach) => rungs(&step.id, reach, r, add),
                    Verb::WaitFor(w) => {
                        add(what, format!("{} to be true", w.expect.text), r.deadline_at.filter(|_| !r.late))
                    }
                    Verb::Command(_) if r.effect.is_none() => {
                        add(what, "its guard to be true".to_owned(), Some(r.started_at + command::GUARD_PATIENCE));
                    }
                    Verb::Dispatch(_) if r.effect.is_none() => add(what, "what it needs to be known".to_owned(), None),
                    _ => {}
                },
                Some(_) => {}
            }
        }
        let adhoc = self.state.rows.steps.range((*id, "".into())..).take_while(|((case, _), _)| case == id);
        for ((_, name), r) in adhoc.filter(|(_, r)| r.state == StepState::Running) {
            if let Some(a) = &r.adhoc {
                rungs(name, &reach::adhoc(a), r, add);
            }
        }
    }
}

/// The rungs of a ladder whose time has not come.
fn rungs(step: &StepId, reach: &Reach, row: &StepRow, add: &mut dyn FnMut(String, String, Option<At>)) {
    for (rung, state) in reach.ladder.iter().zip(&row.rungs) {
        let what = match &rung.via {
            Via::Human(queue) => format!("the {queue} (step {step})"),
            other => format!("{} (step {step})", reach::means(other).map_or("message", |(kind, _, _)| kind.as_str())),
        };
        match state.state {
            RungState::Waiting => {
                add(what, format!("its place in the ladder, {} after the start", rung.at), Some(state.due_at))
            }
            RungState::Working if state.effect.is_none() => {
                add(what, "the pause between two attempts".to_owned(), Some(state.next_at));
            }
            _ => {}
        }
    }
}
