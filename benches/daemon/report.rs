//! The table.

use serde_json::json;

/// Figures in the order of their measuring.
#[derive(Default)]
pub(crate) struct Report(Vec<Figure>);

struct Figure {
    section: &'static str,
    name: &'static str,
    value: f64,
    unit: &'static str,
    beside: String,
}

impl Report {
    /// Enters a figure; `beside` says what it is to be compared with.
    pub(crate) fn add(
        &mut self,
        section: &'static str,
        name: &'static str,
        value: f64,
        unit: &'static str,
        beside: impl Into<String>,
    ) {
        let figure = Figure { section, name, value, unit, beside: beside.into() };
        eprintln!("  {name}: {} {unit}", round(value));
        self.0.push(figure);
    }

    pub(crate) fn text(&self) -> String {
        let width = self.0.iter().map(|f| f.name.len()).max().unwrap_or(0);
        let mut text = String::new();
        let mut section = "";
        for Figure { section: new, name, value, unit, beside } in &self.0 {
            if *new != section {
                section = new;
                text.push_str(&format!("\n{section}\n"));
            }
            text.push_str(&format!("  {name:width$} {:>10} {unit:5} {beside}\n", round(*value)));
        }
        text
    }

    pub(crate) fn json(&self) -> String {
        let list: Vec<_> = self
            .0
            .iter()
            .map(
                |f| json!({"section": f.section, "name": f.name, "value": f.value, "unit": f.unit, "beside": f.beside}),
            )
            .collect();
        format!("{:#}", json!(list))
    }
}

/// Three digits that mean something.
fn round(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
