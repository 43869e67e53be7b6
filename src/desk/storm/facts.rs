//! What texts and conditions may say of a storm.

use serde_json::{Value as Json, json};

use super::super::change::Change;
use super::super::rows::{CaseRow, EffectRow, Target};
use super::rows::{ChildRow, StormRow};
use crate::domain::{At, CaseId, Value};

/// Devices that a text lists.
const MOST_LISTED: usize = 30;

/// The storm that a case is, or is a child of.
fn of(change: &Change<'_>, id: CaseId) -> Option<StormRow> {
    let own = change.get::<StormRow>(&id);
    own.or_else(|| change.get::<ChildRow>(&id).and_then(|child| change.get::<StormRow>(&child.storm)))
}

/// `storm` in texts; everything null where there is none.
pub(in crate::desk) fn context(change: &Change<'_>, id: CaseId, clock: &dyn Fn(At) -> String) -> Json {
    let Some(row) = of(change, id) else {
        return json!({ "count": null, "family": null, "started": null, "started_day": null, "cause": null,
            "share": null, "devices": [], "more": 0 });
    };
    let day = row.started_at.to_jiff().strftime("%Y-%m-%d").to_string();
    let (devices, more) = devices(change, id);
    json!({
        "count": row.count, "family": row.rate.1, "started": clock(row.started_at), "started_day": day,
        "cause": row.cause.as_ref().map(|c| &c.text), "share": row.cause.as_ref().map(|c| &c.share),
        "devices": devices, "more": more,
    })
}

/// The devices of the customer of a child that are children, too: how people name them, and how many more there are.
fn devices(change: &Change<'_>, id: CaseId) -> (Vec<String>, usize) {
    let Some(child) = change.get::<ChildRow>(&id) else { return (Vec::new(), 0) };
    let Some(customer) = child.customer else { return (Vec::new(), 0) };
    let Some(same) = change.base.storm_customers.get(&(child.storm, customer)) else { return (Vec::new(), 0) };
    let name = |id: &CaseId| {
        let case = change.get::<CaseRow>(id)?;
        let known = change.config.registry.devices.get(&case.device);
        let plate = known.and_then(|d| d.attribute("plate")).map(str::to_owned);
        Some(plate.unwrap_or_else(|| case.device.to_string()))
    };
    let names: Vec<String> = same.iter().take(MOST_LISTED).filter_map(name).collect();
    let more = same.len().saturating_sub(names.len());
    (names, more)
}

/// `storm.…` in conditions.
pub(in crate::desk) fn fact(change: &Change<'_>, id: CaseId, name: &str) -> Value {
    let Some(row) = of(change, id) else { return Value::Unknown };
    match name {
        "storm.count" => Value::from(f64::from(row.count)),
        "storm.cause" => row.cause.map_or(Value::Unknown, |c| Value::from(c.text.as_str())),
        _ => Value::Unknown,
    }
}

/// `count('tier')`: how many children a tier ever had.
pub(in crate::desk) fn count(change: &Change<'_>, id: CaseId, tier: &str) -> Value {
    let plan = super::family::plan_of(change, id);
    let spec = plan.as_ref().and_then(|p| p.storm.as_ref());
    let ix = spec.and_then(|s| s.tiers.iter().position(|t| *t.id == *tier));
    let row = ix.and_then(|ix| change.get::<StormRow>(&id)?.tiers.get(ix).cloned());
    row.map_or(Value::Unknown, |t| Value::from(f64::from(t.waiting + t.admitted)))
}

/// Whether an attempt is one of a tier that a stop holds although it is about safety: only the first tier goes on.
pub(in crate::desk) fn gated(change: &Change<'_>, row: &EffectRow) -> bool {
    let Some(child) = change.get::<ChildRow>(&row.case) else { return false };
    let plan = super::family::plan_of(change, child.storm);
    let tier = plan.as_ref().and_then(|p| p.storm.as_ref()?.tiers.get(usize::from(child.tier)));
    matches!(row.target, Target::Customer { .. }) && tier.is_some_and(|t| t.gate.is_some())
}
