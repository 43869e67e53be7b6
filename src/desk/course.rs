//! How the fault of a case came: the course that its rule keeps, for the picture in mails. What the newest detection with one
//! has said is what is shown, however late the mail goes out: nothing is told that is not stored.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::change::Change;
use super::facts::Reader;
use super::rows::CaseRow;
use crate::domain::{CaseId, Change as What, Chart, Detection, EffectId, Series};
use crate::playbook::Viewer;

/// What a case can show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct CourseRow(Series);

/// Keeps what a detection shows of its case.
pub(super) fn keep(change: &mut Change<'_>, id: CaseId, d: &Detection) {
    if let (What::Raised | What::Moved, Some(series)) = (d.change, &d.series) {
        change.put(id, CourseRow((**series).clone()));
    }
}

/// The case begins anew, or is gone.
pub(super) fn forget(change: &mut Change<'_>, id: CaseId) {
    if change.get::<CourseRow>(&id).is_some() {
        change.delete::<CourseRow>(id);
    }
}

/// The picture for a mail of `effect`, and what its texts may say of it.
pub(super) fn chart(
    change: &Change<'_>,
    effect: EffectId,
    id: CaseId,
    case: &CaseRow,
    reader: &Reader<'_>,
    locale: &str,
) -> Option<(Chart, Json)> {
    let CourseRow(series) = change.get::<CourseRow>(&id)?;
    let zone = reader.zone();
    let viewer = Viewer { locale, zone: &zone, clock: reader.clock() };
    change.config.messages.chart(case.fault.as_str(), &series, &viewer, format!("chart@{effect}"))
}
