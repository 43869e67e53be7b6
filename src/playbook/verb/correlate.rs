//! `do = "correlate"`: is it this device alone, or all behind the same gateway?

use std::sync::Arc;

use super::DURATION;
use crate::domain::Span;
use crate::source::{Diagnostic, Diagnostics, Table};

/// `do = "correlate"`.
#[derive(Debug, Clone, PartialEq)]
pub struct Correlate {
    /// Columns of the registry, in the order in which they explain: `gateway`, `site`.
    pub by: Vec<Arc<str>>,
    /// So many devices with the same value have one cause …
    pub min: u32,
    /// … if their cases were opened within this time.
    pub window: Span,
}

pub(super) fn read(diags: &mut Diagnostics, t: &Table<'_>) -> Option<Correlate> {
    t.need(diags, "by");
    let by = t.texts(diags, "by").into_iter().map(|b| b.value).collect();
    t.need(diags, "min");
    let min = t.count(diags, "min");
    t.need(diags, "window");
    let window = t.parsed::<Span>(diags, "window", DURATION);
    if let Some(on) = t.table(diags, "on") {
        if let Some(text) = on.text(diags, "common_cause").filter(|text| &*text.value != "merge_into_parent") {
            let finding = Diagnostic::error("P051", format!("'{}' is not what becomes of a common cause", text.value));
            diags.push(finding.at(text.place, "expected merge_into_parent"));
        }
        on.finish(diags);
    }
    Some(Correlate { by, min: min?.value.clamp(2, 1_000), window: window?.value })
}
