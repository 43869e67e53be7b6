//! Where a device is: `lat` and `lon` among its facts. Where a car is, its driver is; so they are sealed.

use std::collections::BTreeMap;

use super::change::Change;
use super::rows::FactsRow;
use crate::domain::{CustomerId, DeviceId, Value};

/// Facts kept of one device at most.
const MOST_FACTS: usize = 64;

/// With whose key it is sealed what a device says of its people: that of the driver, else of the owner, else of the
/// first party by name of role.
pub(super) fn owner<'a>(change: &Change<'a>, device: &DeviceId) -> Option<&'a CustomerId> {
    let parties = &change.config.registry.devices.get(device)?.parties;
    ["driver", "owner"].iter().find_map(|role| parties.get(*role)).or_else(|| parties.values().next())
}

/// Takes new facts of `device` over into its row.
pub(super) fn absorb(change: &Change<'_>, device: &DeviceId, row: &mut FactsRow, facts: &BTreeMap<String, Value>) {
    let (moved, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
        facts.iter().take(MOST_FACTS).partition(|(name, _)| matches!(name.as_str(), "lat" | "lon"));
    row.values.extend(others.into_iter().map(|(name, value)| (name.clone(), value.clone())));
    if !moved.is_empty() {
        let mut all = read(change, row);
        all.extend(moved.into_iter().map(|(name, value)| (name.clone(), value.clone())));
        row.position = Some(change.config.keys.seal(owner(change, device), format!("position/{device}"), &all));
    }
}

/// `lat` or `lon` as the device last said it.
pub(super) fn reading(change: &Change<'_>, row: &FactsRow, name: &str) -> Value {
    read(change, row).remove(name).unwrap_or(Value::Unknown)
}

/// A position that can be one.
pub(super) fn of(change: &Change<'_>, row: &FactsRow) -> Option<(f64, f64)> {
    let all = read(change, row);
    let (lat, lon) = (all.get("lat")?.as_num()?, all.get("lon")?.as_num()?);
    is_sound(lat, lon).then_some((lat, lon))
}

/// In range, and not the null island of a receiver without a fix.
pub(super) fn is_sound(lat: f64, lon: f64) -> bool {
    lat.abs() <= 90.0 && lon.abs() <= 180.0 && (lat.abs() > 0.01 || lon.abs() > 0.01)
}

fn read(change: &Change<'_>, row: &FactsRow) -> BTreeMap<String, Value> {
    row.position.as_ref().and_then(|sealed| change.config.keys.open(sealed)).unwrap_or_default()
}
