//! Who is told, in which order, how fast: the tiers of a storm.
//!
//! A tier lets children through, the most urgent first, no faster than its budgets allow; a child that was let through
//! tells its people by its own plan, restricted to the ways of the tier. So what waits to be sent is never more than a
//! handful, and the queue is in one place, in order. Second attempts are made when
//! everybody has been tried once.

use super::super::change::Change;
use super::super::goals::{self, Wake};
use super::super::{Reply, TimelineKind, pages, reach, stop};
use super::family::plan_of;
use super::pace::{self, ADMISSION, PaceRow, code};
use super::rows::{ChildRow, Progress, SETTLING, SpreadRow, StormRow, TierRow, brings, edit, edit_tier};
use super::told::{DIGEST, readers};
use crate::domain::{At, CaseId, Rate, Span, Stop, Value};
use crate::playbook::{Condition, Facts, Gate, Held, Playbook, Tier};

/// Without a budget of its own a tier lets so many through.
const USUAL: Rate = Rate::per_second(20);
/// At most in one look: each is a case whose plan begins.
const MOST: u32 = 50;
/// Between two looks at a tier that lets children through.
const NEXT_LOOK: Span = Span::from_millis(100);

pub(super) fn drive(change: &mut Change<'_>, id: CaseId, plan: &Playbook, wake: &mut Wake) {
    let Some(storm) = &plan.storm else { return };
    let stopped = stop::level(change, id);
    for (ix, tier) in storm.tiers.iter().enumerate() {
        let Ok(ix) = u8::try_from(ix) else { return };
        let open = match stopped {
            Stop::Off => true,
            // Whoever may wait for hours is not in danger.
            Stop::On => tier.gate.is_none() && tier.spread.is_none(),
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
        let spread = self.tier.spread.filter(|_| most == u32::MAX);
        let room = match self.room(change).and_then(|room| Ok(room.min(due(change.now, &row, spread)?))) {
            Ok(room) => room.min(open),
            Err(at) => return wake.at(at),
        };
        self.admit(change, room);
        let left = self.row(change).map_or(0, |row| row.waiting);
        if let Some(spread) = spread.filter(|_| left < row.waiting) {
            self.note(change, &row, spread);
        }
        if left > 0 {
            // Others of a customer may still join: a digest waits for them.
            wake.at(change.now + if left < row.waiting { NEXT_LOOK } else { SETTLING });
        }
    }

    fn row(&self, change: &Change<'_>) -> Option<TierRow> {
        change.get::<StormRow>(&self.id)?.tiers.get(usize::from(self.ix)).cloned()
    }

    /// How many may be let through in all.
    fn gate(&self, change: &mut Change<'_>, gate: &Gate, row: &TierRow, wake: &mut Wake) -> u32 {
        if row.stopped.is_some() {
            return row.admitted;
        }
        let (rates, held) = (Rates { row, canary: gate.canary }, &mut Held::default());
        let stops = |c: &Condition| c.evaluate(change.now, &rates, held).truth == Some(true);
        if !row.overruled && gate.stop_if.as_ref().is_some_and(stops) {
            return self.stop(change, gate, row);
        }
        if row.approved_by.is_some() {
            return u32::MAX;
        }
        let our_fault = change.get::<StormRow>(&self.id).and_then(|s| s.our_fault);
        // If it may be our own doing, nobody is told to find out.
        let first = if our_fault.is_some() { row.admitted } else { gate.canary };
        let Some(queue) = gate.approve.as_ref() else {
            let seen = row.admitted >= gate.canary && row.telling == 0 && our_fault.is_none();
            return if seen { u32::MAX } else { first };
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
                first
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
            None => goals::page_default(change, self.id, &text),
        }
        row.admitted
    }

    /// How many its budgets have room for.
    fn room(&self, change: &Change<'_>) -> Result<u32, At> {
        let mut room = self.pace(change, ADMISSION).done.room(change.now, USUAL)?;
        for (via, rate) in &self.tier.budget {
            room = room.min(self.pace(change, code(via)).done.room(change.now, *rate)?);
        }
        Ok(room)
    }

    /// Notes when a tier that is spread was told, and about how many.
    fn note(&self, change: &mut Change<'_>, before: &TierRow, spread: Span) {
        let last_at = change.now;
        edit_tier(change, self.id, self.ix, |t| {
            let until_at = before.spread.map_or(last_at + spread, |s| s.until_at);
            t.spread = Some(SpreadRow { until_at, last_at, about: before.waiting.saturating_sub(t.waiting) });
        });
    }

    fn pace(&self, change: &Change<'_>, code: u8) -> PaceRow {
        change.get::<PaceRow>(&(self.id, self.ix, code)).unwrap_or_default()
    }

    /// Lets the next children through.
    fn admit(&self, change: &mut Change<'_>, room: u32) {
        let now = change.now;
        let settled = |c: &ChildRow| !self.tier.digest || now >= c.joined_at + SETTLING;
        let waiting = |change: &Change<'_>, id: &CaseId| {
            change.get::<ChildRow>(id).filter(|c| c.progress == Progress::Waiting && c.tier == self.ix && settled(c))
        };
        let queue = change.base.storm_queue.get(&(self.id, self.ix)).into_iter().flatten().map(|(_, _, id)| *id);
        let most = usize::try_from(room).unwrap_or(usize::MAX);
        let next: Vec<CaseId> = queue.filter(|id| waiting(change, id).is_some()).take(most).collect();
        for id in next {
            // A digest may have taken it along.
            let Some(child) = waiting(change, &id) else { continue };
            self.let_through(change, id, child);
            if self.tier.digest {
                self.digest(change, id);
            }
        }
    }

    fn let_through(&self, change: &mut Change<'_>, id: CaseId, child: ChildRow) {
        let key = (self.id, self.ix, ADMISSION);
        let mut pace = change.get::<PaceRow>(&key).unwrap_or_default();
        pace.done.take(change.now, USUAL);
        change.put(key, pace);
        let truck = self.ix == 0 && change.get::<StormRow>(&self.id).is_some_and(|s| s.trucks > 0);
        if truck {
            edit(change, self.id, |s| s.trucks -= 1);
        }
        brings(change, id, ChildRow { truck, ..child }, Progress::Telling);
        pace::let_go(change, id);
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
            brings(change, id, ChildRow { digest: Some(lead), ..other }, Progress::Telling);
        }
    }
}

/// How many messages are due by now, if the tier is spread; and if none is, when the next one will be.
fn due(now: At, row: &TierRow, spread: Option<Span>) -> Result<u32, At> {
    match (spread, row.spread) {
        (None, _) => Ok(u32::MAX),
        (Some(_), None) => Ok(1),
        (Some(_), Some(s)) if now >= s.until_at => Ok(u32::MAX),
        (Some(_), Some(s)) => Some(s.next_at(row.waiting)).filter(|at| now < *at).map_or(Ok(1), Err),
    }
}

/// The figures of a tier, for its `stop_if`: shares of those that were told, and of no fewer than the canary, so that the
/// first answer does not decide.
struct Rates<'a> {
    row: &'a TierRow,
    canary: u32,
}

impl Facts for Rates<'_> {
    fn name(&self, name: &str) -> Value {
        let TierRow { waiting, admitted, told, all_well, in_doubt, .. } = self.row;
        let least = self.canary.min(waiting + admitted);
        let share = |part: u32, of: u32| match of.max(least) {
            0 => Value::Unknown,
            of => Value::from(f64::from(part) / f64::from(of)),
        };
        match name {
            "false_alarm_rate" => share(*all_well, all_well + told),
            "unknown_outcome_rate" => share(*in_doubt, *admitted),
            _ => Value::Unknown,
        }
    }

    fn call(&self, _: &str, _: &[std::sync::Arc<str>]) -> Value {
        Value::Unknown
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
        let approved = |t: &TierRow| t.approved_by.is_some() && t.stopped.is_none();
        if change.get::<StormRow>(&storm).is_some_and(|row| row.tiers.get(usize::from(ix)).is_some_and(approved)) {
            continue;
        }
        edit_tier(change, storm, ix, |t| {
            t.approved_by = Some(actor.to_owned());
            // Whoever agrees to one that was stopped knows why it was.
            t.overruled |= t.stopped.take().is_some();
        });
        change.say(storm, TimelineKind::Decided, format!("{actor} approves tier {}", tier.id), None);
    }
    Reply::Done
}
