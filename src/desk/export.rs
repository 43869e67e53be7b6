//! Outcomes as lines for product engineering: CSV with one column for each field that engineers sort by, and JSON with all
//! of them.

use super::OutcomeView;

/// The columns of the CSV. `lot`, `firmware`, `year`, `climate`, `mileage` and `hours` stand in `attributes` and `usage`, too,
/// which are JSON and have whatever else the settings name.
const COLUMNS: [&str; 32] = [
    "case",
    "subject",
    "unit",
    "rule",
    "rule_rev",
    "fault",
    "family",
    "part",
    "lot",
    "firmware",
    "year",
    "mileage",
    "hours",
    "climate",
    "severity",
    "confidence",
    "kind",
    "model",
    "attributes",
    "usage",
    "event_at",
    "opened_at",
    "closed_at",
    "ended",
    "truth",
    "part_replaced",
    "csat",
    "first_contact_by",
    "failed_at",
    "time_to_failure_s",
    "cost",
    "judged_at",
];

/// Columns that are a field of another one.
const WITHIN: [(&str, &str, &str); 6] = [
    ("lot", "attributes", "lot"),
    ("firmware", "attributes", "firmware"),
    ("year", "attributes", "year"),
    ("climate", "attributes", "climate"),
    ("mileage", "usage", "odometer"),
    ("hours", "usage", "hours"),
];

impl OutcomeView {
    /// One line of JSON, without its end.
    #[must_use]
    pub fn json_line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// One line of CSV with its end, as the head names it.
    #[must_use]
    pub fn csv_line(&self) -> String {
        let json = serde_json::to_value(self).unwrap_or_default();
        let cell = |name: &&str| {
            let within = WITHIN.iter().find(|(column, ..)| column == name);
            let value = within.map_or_else(|| json.get(*name), |(_, field, key)| json.get(*field)?.get(*key));
            match value {
                None | Some(serde_json::Value::Null) => String::new(),
                Some(serde_json::Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
            }
        };
        csv_line(COLUMNS.iter().map(cell))
    }

    /// The first line of the CSV.
    #[must_use]
    pub fn csv_head() -> String {
        csv_line(COLUMNS)
    }
}

/// Writing to memory cannot fail.
fn csv_line(cells: impl IntoIterator<Item = impl AsRef<[u8]>>) -> String {
    let mut line = csv::Writer::from_writer(Vec::new());
    let written = line.write_record(cells).ok().and_then(|()| line.into_inner().ok());
    String::from_utf8(written.unwrap_or_default()).unwrap_or_default()
}
