//! Who is told, in which order, how fast: the tiers of a storm.
//!
//! A tier lets children through, the most urgent first, no faster than its budgets allow; a child that was let through
//! tells its people by its own plan, restricted to the ways of the tier. So what waits to be sent is never more than a
//! handful, and the queue is in one place, in order. Second attempts are made when they are due and take their room in
//! the budget before new children do.

use super::super::change::Change;
use super::super::goals::Wake;
use super::super::reach;
use super::super::rows::{CaseRow, EffectRow, RungState, StepRow, StepState, Target};
use super::super::{Reply, TimelineKind, pages, stop, ticket};
use super::family::{plan_of, ways};
use super::rows::{ChildRow, PaceRow, Progress, StormRow, TierRow, edit, edit_tier};
use crate::domain::{At, CaseId, EffectId, Role, Span, StepId, Stop, Value};
use crate::outbox::{Kind, State};
use crate::playbook::{Facts, Gate, Held, Playbook, Rate, Tier, Verb, Via};

/// Without a budget of its own a tier lets so many through.
const USUAL: Rate = Rate { max: 20, per: Span::from_secs(1) };
/// At most in one look: each is a case whose plan begins.
const MOST: u32 = 50;
/// The pace at which children are let through, beside those of the ways.
const ADMISSION: u8 = 0;
/// The step of a child that tells a customer about all of that customer's devices.
const DIGEST: &str = "storm digest";

/// Who is told of a device by a digest.
pub(super) fn readers() -> [Role; 3] {
    ["owner".into(), "driver".into(), "facility_manager".into()]
}

fn code(via: &Via) -> u8 {
    match via {
        Via::Call => 1,
        Via::Sms => 2,
        Via::Email => 3,
        Via::AppPush | Via::Human(_) => 4,
    }
}

fn code_of(kind: Kind) -> u8 {
    match kind {
        Kind::Call => 1,
        Kind::Sms => 2,
        Kind::Mail => 3,
        _ => 4,
    }
}

pub(super) fn drive(change: &mut Change<'_>, id: CaseId, plan: &Playbook, wake: &mut Wake) {
    let Some(storm) = &plan.storm else { return };
    let stopped = stop::level(change, id);
    for (ix, tier) in storm.tiers.iter().enumerate() {
        let Ok(ix) = u8::try_from(ix) else { return };
        let open = match stopped {
            Stop::Off => true,
            Stop::On => tier.gate.is_none(),
            Stop::All => false,
        };
        if open {
            Pump { id, ix, tier }.run(change, wake);
        }
    }
}

struct Pump<'a> {
    id: CaseId,
    ix: u8,
    tier: &'a Tier,
}

impl Pump<'_> {
    fn run(&self, change: &mut Change<'_>, wake: &mut Wake) {
        let Some(row) = self.row(change).filter(|row| row.waiting > 0 || row.telling > 0) else { return };
        let most = match &self.tier.gate {
            None => u32::MAX,
            Some(gate) => self.gate(change, gate, &row, wake),
        };
        let Some(row) = self.row(change).filter(|row| row.waiting > 0) else { return };
        let open = most.saturating_sub(row.admitted).min(MOST);
        if open == 0 {
            return;
        }
        let room = match self.room(change, &row) {
            Ok(room) => room.min(open),
            Err(at) => return wake.at(at),
        };
        let let_through = self.admit(change, room);
        if let_through > 0 || self.has_more(change) {
            wake.at(change.now + Span::from_millis(100));
        }
    }

    fn row(&self, change: &Change<'_>) -> Option<TierRow> {
        change.get::<StormRow>(&self.id)?.tiers.get(usize::from(self.ix)).cloned()
    }

    fn has_more(&self, change: &Change<'_>) -> bool {
        self.row(change).is_some_and(|row| row.waiting > 0)
    }

    /// How many may be let through in all.
    fn gate(&self, change: &mut Change<'_>, gate: &Gate, row: &TierRow, wake: &mut Wake) -> u32 {
        if row.stopped.is_some() {
            return row.admitted;
        }
        let held = &mut Held::default();
        if gate.stop_if.as_ref().is_some_and(|c| c.evaluate(change.now, &Rates(row), held).truth == Some(true)) {
            return self.stop(change, gate, row);
        }
        let our_fault = change.get::<StormRow>(&self.id).and_then(|s| s.our_fault);
        if row.approved_by.is_some() {
            return u32::MAX;
        }
        let Some(queue) = gate.approve.as_ref() else {
            let seen = row.admitted >= gate.canary && row.telling == 0 && our_fault.is_none();
            return if seen { u32::MAX } else { gate.canary };
        };
        let asked_at = row.asked_at.unwrap_or(change.now);
        if row.asked_at.is_none() {
            let why = our_fault.as_ref().map_or_else(String::new, |f| format!(" It may be our own doing: {f}."));
            let reason = format!(
                "may {} people be told ({})?{why} forewarn case approve {} {}",
                row.waiting,
                self.tier.id,
                self.id.short(),
                self.tier.id
            );
            edit_tier(change, self.id, self.ix, |t| t.asked_at = Some(asked_at));
            pages::page(change, self.id, queue, &reason);
        }
        match gate.within.filter(|_| gate.proceed && our_fault.is_none()) {
            Some(within) if change.now >= asked_at + within => u32::MAX,
            within => {
                wake.at(within.map(|within| asked_at + within));
                gate.canary
            }
        }
    }

    fn stop(&self, change: &mut Change<'_>, gate: &Gate, row: &TierRow) -> u32 {
        let rule = gate.stop_if.as_ref().map_or("", |c| &c.text);
        let text = format!(
            "tier {} is stopped ({rule}): of {} told {} say that all is well, of {} nobody knew whether they were reached",
            self.tier.id, row.admitted, row.all_well, row.in_doubt
        );
        edit_tier(change, self.id, self.ix, |t| t.stopped = Some(text.clone()));
        change.say(self.id, TimelineKind::Trouble, text.clone(), None);
        match &gate.approve {
            Some(queue) => pages::page(change, self.id, queue, &text),
            None => super::super::goals::page_default(change, self.id, &text),
        }
        row.admitted
    }

    /// How many its budgets have room for.
    fn room(&self, change: &Change<'_>, row: &TierRow) -> Result<u32, At> {
        let mut room = self.pace(change, ADMISSION).room(change.now, USUAL)?;
        for (via, rate) in &self.tier.budget {
            room = room.min(self.pace(change, code(via)).room(change.now, *rate)?);
        }
        let Some(spread) = self.tier.spread else { return Ok(room) };
        let since = change.now.since(row.opened_at.unwrap_or(change.now));
        let total = u64::from(row.waiting + row.admitted);
        let part = |n: u64, of: Span| i64::try_from(n).unwrap_or(0).saturating_mul(of.as_micros());
        let due = part(total, since) / spread.as_micros().max(1) + 1;
        let due = u32::try_from(due).unwrap_or(u32::MAX).saturating_sub(row.admitted);
        match due {
            0 => {
                let next = part(u64::from(row.admitted), spread) / i64::try_from(total.max(1)).unwrap_or(1);
                Err((row.opened_at.unwrap_or(change.now) + Span::from_micros(next))
                    .max(change.now + Span::from_secs(1)))
            }
            due => Ok(room.min(due)),
        }
    }

    fn pace(&self, change: &Change<'_>, code: u8) -> PaceRow {
        change.get::<PaceRow>(&(self.id, self.ix, code)).unwrap_or_default()
    }

    /// Lets the next children through; how many.
    fn admit(&self, change: &mut Change<'_>, room: u32) -> u32 {
        let waiting = |change: &Change<'_>, id: &CaseId| {
            change.get::<ChildRow>(id).filter(|c| c.progress == Progress::Waiting && c.tier == self.ix)
        };
        let queue = change.base.storm_queue.get(&(self.id, self.ix)).into_iter().flatten().map(|(_, _, id)| *id);
        let most = usize::try_from(room).unwrap_or(usize::MAX);
        let next: Vec<CaseId> = queue.filter(|id| waiting(change, id).is_some()).take(most).collect();
        let mut count = 0;
        for id in next {
            // A digest may have taken it along.
            let Some(child) = waiting(change, &id) else { continue };
            self.let_through(change, id, child);
            if self.tier.digest {
                self.digest(change, id);
            }
            count += 1;
        }
        count
    }

    fn let_through(&self, change: &mut Change<'_>, id: CaseId, child: ChildRow) {
        let key = (self.id, self.ix, ADMISSION);
        let mut pace = change.get::<PaceRow>(&key).unwrap_or_default();
        pace.take(change.now, USUAL);
        change.put(key, pace);
        let truck = self.ix == 0 && change.get::<StormRow>(&self.id).is_some_and(|s| s.trucks > 0);
        if truck {
            edit(change, self.id, |s| s.trucks -= 1);
        }
        change.put(id, ChildRow { progress: Progress::Telling, truck, ..child });
        edit_tier(change, self.id, self.ix, |t| {
            t.waiting = t.waiting.saturating_sub(1);
            t.telling += 1;
            t.admitted += 1;
        });
        change.say(id, TimelineKind::Decided, format!("its turn in the storm (tier {})", self.tier.id), None);
        change.touched.insert(id);
    }

    /// One message about all devices of the customer: the other children wait for what comes of this one.
    fn digest(&self, change: &mut Change<'_>, lead: CaseId) {
        let Some(script) = self.tier.script.clone() else { return };
        reach::tell(change, lead, DIGEST, readers().to_vec(), script, self.tier.via.clone());
        let Some(customer) = change.get::<ChildRow>(&lead).and_then(|c| c.customer) else { return };
        let others = change.base.storm_customers.get(&(self.id, customer)).cloned().unwrap_or_default();
        for id in others {
            let other = change.get::<ChildRow>(&id);
            let other = other.filter(|c| c.progress == Progress::Waiting && c.tier == self.ix && id != lead);
            let Some(other) = other else { continue };
            change.put(id, ChildRow { progress: Progress::Telling, digest: Some(lead), ..other });
            edit_tier(change, self.id, self.ix, |t| {
                t.waiting = t.waiting.saturating_sub(1);
                t.telling += 1;
                t.admitted += 1;
            });
        }
    }
}

/// The figures of a tier, for its `stop_if`.
struct Rates<'a>(&'a TierRow);

impl Facts for Rates<'_> {
    fn name(&self, name: &str) -> Value {
        let share = |part: u32, of: u32| {
            if of == 0 { Value::Unknown } else { Value::from(f64::from(part) / f64::from(of)) }
        };
        match name {
            "false_alarm_rate" => share(self.0.all_well, self.0.all_well + self.0.told),
            "unknown_outcome_rate" => share(self.0.in_doubt, self.0.admitted),
            _ => Value::Unknown,
        }
    }

    fn call(&self, _: &str, _: &[std::sync::Arc<str>]) -> Value {
        Value::Unknown
    }
}

/// What has come of telling the people of a child; called after its steps were driven.
pub(in crate::desk) fn look(change: &mut Change<'_>, id: CaseId) {
    let Some(mut child) = change.get::<ChildRow>(&id).filter(|c| c.progress == Progress::Telling) else { return };
    if child.digest.is_some() {
        return;
    }
    let doubt = |e: &EffectRow| matches!(e.delivery.state, State::Unknown | State::Reconciling);
    if !child.in_doubt && change.effects(id).iter().any(|(_, e)| is_contact(e) && doubt(e)) {
        child.in_doubt = true;
        change.put(id, child.clone());
        edit_tier(change, child.storm, child.tier, |t| t.in_doubt += 1);
    }
    if let Some(result) = result(change, id) {
        set(change, id, &child, result);
        let lead = child.customer.clone().filter(|_| child.digest.is_none());
        let others = lead.and_then(|c| change.base.storm_customers.get(&(child.storm, c)).cloned()).unwrap_or_default();
        for other in others {
            if let Some(c) = change.get::<ChildRow>(&other).filter(|c| c.digest == Some(id)) {
                set(change, other, &c, result);
                change.say(other, TimelineKind::Said, format!("told together with case {}", id.short()), None);
            }
        }
    }
}

fn set(change: &mut Change<'_>, id: CaseId, child: &ChildRow, result: Progress) {
    if child.progress != Progress::Telling {
        return;
    }
    change.put(id, ChildRow { progress: result, ..child.clone() });
    let device = change.get::<CaseRow>(&id).map(|c| c.device.to_string()).unwrap_or_default();
    match result {
        Progress::Told if child.digest.is_none() && by_answer(change, id) => {
            ticket::child(change, child.storm, &format!("Case {} ({device}): the customer has answered.", id.short()));
        }
        Progress::AllWell => {
            ticket::child(
                change,
                child.storm,
                &format!("Case {} ({device}): the customer says all is well.", id.short()),
            );
        }
        _ => {}
    }
    edit_tier(change, child.storm, child.tier, |t| count(t, result));
    change.touched.insert(child.storm);
}

/// Somebody has pressed a key or answered a message.
fn by_answer(change: &Change<'_>, id: CaseId) -> bool {
    change.steps(id).iter().any(|(_, row)| row.confirmed.is_some())
}

fn count(tier: &mut TierRow, result: Progress) {
    tier.telling = tier.telling.saturating_sub(1);
    match result {
        Progress::Told => tier.told += 1,
        Progress::AllWell => tier.all_well += 1,
        _ => tier.unreached += 1,
    }
}

fn result(change: &Change<'_>, id: CaseId) -> Option<Progress> {
    let case = change.get::<CaseRow>(&id)?;
    if case.backing_out.is_some() {
        return Some(Progress::AllWell);
    }
    let plan = change.plan(&case)?;
    let reaches = |step: &StepId, row: &StepRow| match (&row.adhoc, plan.step(step).map(|s| &s.verb)) {
        (Some(_), _) => step.as_str() == DIGEST,
        (None, Some(Verb::Reach(_))) => true,
        _ => false,
    };
    let rows: Vec<(StepId, StepRow)> = change.steps(id).into_iter().filter(|(step, row)| reaches(step, row)).collect();
    if rows.iter().any(|(_, row)| row.state == StepState::Done || row.confirmed.is_some()) {
        return Some(Progress::Told);
    }
    let ways = ways(change, id)?;
    let busy = |step: &StepId, row: &StepRow| {
        let Some(Verb::Reach(reach)) = plan.step(step).map(|s| &s.verb) else { return row.state.is_live() };
        let allowed = reach.ladder.iter().zip(&row.rungs).filter(|(rung, _)| ways.via.contains(&rung.via));
        row.state.is_live() && (row.rungs.is_empty() || allowed.clone().any(|(_, r)| is_busy(r.state)))
    };
    (!rows.iter().any(|(step, row)| busy(step, row))).then_some(Progress::Unreached)
}

fn is_busy(state: RungState) -> bool {
    matches!(state, RungState::Waiting | RungState::Working)
}

/// A child ends before anything is known of it.
pub(super) fn settle(change: &mut Change<'_>, child: &ChildRow, id: CaseId) {
    if child.progress != Progress::Telling {
        return;
    }
    let case = change.get::<CaseRow>(&id);
    let well = case.is_some_and(|c| c.backing_out.is_some() || c.outcome.as_deref() == Some("false_alarm"));
    let result = if well { Progress::AllWell } else { Progress::Unreached };
    edit_tier(change, child.storm, child.tier, |t| count(t, result));
}

fn is_contact(row: &EffectRow) -> bool {
    row.delivery.kind.is_contact() && matches!(row.target, Target::Customer { .. })
}

/// The tier and the rate that an attempt falls under.
fn limited(change: &Change<'_>, row: &EffectRow) -> Option<((CaseId, u8, u8), Rate)> {
    let child = change.get::<ChildRow>(&row.case).filter(|_| is_contact(row))?;
    let plan = plan_of(change, child.storm)?;
    let tier = plan.storm.as_ref()?.tiers.get(usize::from(child.tier))?;
    let code = code_of(row.delivery.kind);
    let rate = tier.budget.iter().find(|(via, _)| self::code(via) == code)?.1;
    Some(((child.storm, child.tier, code), rate))
}

const RATE: &str = "rate of the storm";

/// When the budget of its tier has room for an attempt; `None`: now. Whoever was tried before gets a turn behind those who
/// were not.
pub(in crate::desk) fn gate(change: &mut Change<'_>, id: EffectId, row: &EffectRow) -> Option<(At, String)> {
    let (key, rate) = limited(change, row)?;
    let mut pace = change.get::<PaceRow>(&key).unwrap_or_default();
    let room = pace.room(change.now, rate);
    let had_turn = row.waits_for.as_deref() == Some(RATE) && row.delivery.not_before_at <= change.now;
    let before = |(other, e): &(EffectId, EffectRow)| {
        *other != id && e.delivery.kind == row.delivery.kind && e.delivery.first_sent_at.is_some()
    };
    let again = !had_turn && change.effects(row.case).iter().any(before);
    let at = match room {
        Ok(_) if !again => return None,
        Err(at) if !again => at,
        _ => {
            let tiers = change.get::<StormRow>(&key.0).map(|s| s.tiers).unwrap_or_default();
            let first = tiers.get(usize::from(key.1)).map_or(0, |t| t.waiting);
            let at = pace.turn(change.now + rate.share(first), rate);
            change.put(key, pace);
            if at <= change.now && room.is_ok() {
                return None;
            }
            at
        }
    };
    Some((at, RATE.to_owned()))
}

/// Until when the budget of its tier is used up, if it is.
pub(in crate::desk) fn full_until(change: &Change<'_>, row: &EffectRow) -> Option<(At, String)> {
    let (key, rate) = limited(change, row)?;
    let pace = change.get::<PaceRow>(&key).unwrap_or_default();
    pace.room(change.now, rate).err().map(|at| (at, RATE.to_owned()))
}

/// An attempt is made.
pub(in crate::desk) fn spend(change: &mut Change<'_>, row: &EffectRow) {
    if let Some((key, rate)) = limited(change, row) {
        let mut pace = change.get::<PaceRow>(&key).unwrap_or_default();
        pace.take(change.now, rate);
        change.put(key, pace);
    }
}

/// A person approves a tier, or all that wait for it.
pub(in crate::desk) fn approve(change: &mut Change<'_>, storm: CaseId, tier: Option<&str>, actor: &str) -> Reply {
    let Some(plan) = plan_of(change, storm) else { return Reply::NotFound };
    let Some(spec) = plan.storm.as_ref().filter(|_| change.get::<StormRow>(&storm).is_some()) else {
        return Reply::Refused("it is not the case of a storm".to_owned());
    };
    let gated = spec.tiers.iter().enumerate().filter(|(_, t)| t.gate.is_some());
    let chosen: Vec<_> = gated.filter(|(_, t)| tier.is_none_or(|name| *t.id == *name)).collect();
    if chosen.is_empty() {
        let names: Vec<&str> = spec.tiers.iter().filter(|t| t.gate.is_some()).map(|t| &*t.id).collect();
        return Reply::Refused(format!("no such tier waits for anybody; there are: {}", names.join(", ")));
    }
    change.because(format!("api:{actor}"), "approved tiers of a storm");
    for (ix, tier) in chosen {
        let Ok(ix) = u8::try_from(ix) else { continue };
        edit_tier(change, storm, ix, |t| {
            t.approved_by = Some(actor.to_owned());
            t.stopped = None;
        });
        change.say(storm, TimelineKind::Decided, format!("{actor} approves tier {}", tier.id), None);
    }
    Reply::Done
}
