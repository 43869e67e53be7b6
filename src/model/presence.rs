//! `[model.presence]`: a topic that says whether a device is there, such as the one of its last will.

use std::sync::Arc;

use super::topic::{self, Level};
use super::{Message, TopicPattern};
use crate::source::{Diagnostic, Diagnostics, Place, Table};

/// Who is there and who is not, told by payloads of a topic of its own. Retained ones count: that is how a broker says it.
#[derive(Debug, Clone)]
pub struct Presence {
    /// Where it is told; the device is the level of the `+`.
    pub topic: TopicPattern,
    /// The payload that says that the device came.
    pub online: Arc<str>,
    /// The payload that says that it went.
    pub offline: Arc<str>,
}

impl Presence {
    /// Reads a payload into `out`; what is neither of the two texts says nothing. White space around it does not count.
    pub fn decode(&self, payload: &[u8], out: &mut Message) {
        out.clear();
        let is = |text: &Arc<str>| payload.trim_ascii() == text.as_bytes();
        out.presence = is(&self.online).then_some(true).or_else(|| is(&self.offline).then_some(false));
    }
}

/// Reads `[model.presence]`: `topic`, and the payloads `online` and `offline`, which are these words unless stated.
pub(super) fn presence(diags: &mut Diagnostics, table: Table<'_>) -> Option<(Presence, Vec<Level>, Place)> {
    let filter = table.need_text(diags, "topic");
    let word = |diags: &mut Diagnostics, key: &str| table.text(diags, key).map_or_else(|| key.into(), |t| t.value);
    let (online, offline) = (word(diags, "online"), word(diags, "offline"));
    if online == offline {
        let finding = Diagnostic::error("M016", format!("'{online}' says both that a device came and that it went"));
        diags.push(finding.at(table.place(), "`online` and `offline` are the same"));
    }
    table.finish(diags);
    let filter = filter?;
    let levels = match topic::parse(&filter.value) {
        Ok(levels) => levels,
        Err(error) => {
            let place = filter.inner(diags, error.span);
            let finding = Diagnostic::error("M004", format!("'{}' is not a topic filter", filter.value));
            diags.push(finding.at(place, error.message).maybe_hint(error.hint.map(str::to_owned)));
            return None;
        }
    };
    let Some(device_level) = levels.iter().position(|level| *level == Level::Any) else {
        let finding = Diagnostic::error("M005", format!("no level of '{}' names the device", filter.value));
        diags.push(finding.at(filter.place, "no `+` in it").hint("write fleet/+/status"));
        return None;
    };
    let topic = TopicPattern { filter: filter.value, device_level, decoder: None };
    Some((Presence { topic, online, offline }, levels, filter.place))
}
