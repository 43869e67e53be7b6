//! What a rule says of a device, without what leads to its people: rows, tickets and texts are made of it, and a title that
//! names a plate would stand in the log for ever. Where the device is, is among its facts, sealed.

use super::change::Change;
use super::outcome::PERSONAL;
use crate::domain::{Detection, Value};

/// What stands in place of a plate.
const GONE: &str = "…";

/// The same detection without plates, chassis numbers and places in its title and evidence.
pub(super) fn nameless(change: &Change<'_>, d: &Detection) -> Detection {
    let device = change.config.registry.devices.get(&d.device);
    let attrs = device.into_iter().flat_map(|device| &device.attrs);
    let own: Vec<&str> = attrs
        .filter(|(name, value)| PERSONAL.contains(&&***name) && !value.is_empty())
        .map(|(_, value)| &**value)
        .collect();
    let clean = |text: &str| own.iter().fold(text.to_owned(), |text, own| text.replace(own, GONE));
    let mut d = Detection { title: clean(&d.title), ..d.clone() };
    d.evidence.retain(|e| !matches!(e.name.as_str(), "lat" | "lon"));
    for evidence in &mut d.evidence {
        if let Value::Text(text) = &evidence.value {
            evidence.value = Value::from(clean(text).as_str());
        }
    }
    d
}
