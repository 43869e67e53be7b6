//! Latched episodes: the fault came and went too often, and only a person ends it, by closing the case.
//!
//! What the desk decides here the engine must learn through its journal, or a replay would end otherwise. A release that
//! was decided and may not have reached the journal is handed out again at the next start; a second one does nothing.

use std::collections::BTreeSet;

use super::change::Change;
use super::goals;
use super::rows::LatchRow;
use crate::domain::{CaseId, Change as What, Detection};

/// Takes in what a detection says of it. Without a case nobody could ever end it, so it is not kept latched.
pub(super) fn detected(change: &mut Change<'_>, d: &Detection, case: Option<CaseId>) {
    let known = change.get::<LatchRow>(&d.episode).is_some();
    match d.change {
        What::Cleared | What::RuleRemoved if known => change.delete::<LatchRow>(d.episode),
        What::Raised | What::Moved if d.latched && !known => {
            let row = LatchRow { device: d.device.clone(), rule: d.rule.clone(), released: case.is_none() };
            if case.is_none() {
                change.releases.push((row.device.clone(), row.rule.clone()));
            }
            change.put(d.episode, row);
            if let Some(case) = case {
                goals::page_default(
                    change,
                    case,
                    "the fault comes and goes; it stays open until a person closes the case",
                );
            }
        }
        _ => {}
    }
}

/// Whether a case is kept open by a latched episode.
pub(super) fn holds(change: &Change<'_>, case: CaseId) -> bool {
    change.open_episodes(case).any(|e| change.get::<LatchRow>(&e).is_some_and(|row| !row.released))
}

/// A case is closed: what it had latched may end.
pub(super) fn release(change: &mut Change<'_>, case: CaseId) {
    for episode in change.open_episodes(case).collect::<BTreeSet<_>>() {
        if let Some(mut row) = change.get::<LatchRow>(&episode).filter(|row| !row.released) {
            row.released = true;
            change.releases.push((row.device.clone(), row.rule.clone()));
            change.put(episode, row);
        }
    }
}

/// After a start: what was released and has not ended.
pub(super) fn again(change: &mut Change<'_>) {
    let released = change.base.rows.latches.values().filter(|row| row.released);
    change.releases.extend(released.map(|row| (row.device.clone(), row.rule.clone())));
}
