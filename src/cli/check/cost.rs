//! What the rules will cost on the fleet of the registry (R300): memory, and time a message.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use crate::app::Loaded;
use crate::domain::ModelId;
use crate::rules::{ModelCost, RuleCost};

/// What rules and models cost, with the devices that there are.
#[derive(Serialize)]
pub(super) struct Costs {
    pub(super) rules: Vec<Row>,
    models: Vec<Total>,
}

/// One rule on one model.
#[derive(Serialize)]
pub(super) struct Row {
    #[serde(skip)]
    pub(super) cost: RuleCost,
    rule: String,
    model: String,
    bytes_per_device: usize,
    /// Of each cell, door or code.
    bytes_per_part: usize,
    /// Of both, what other rules keep as well.
    shared_bytes: usize,
    devices: usize,
    /// Of all devices, without parts.
    bytes: usize,
    /// By estimate, rounded.
    ns_per_message: f64,
}

/// All rules of one model; what they share is counted once.
#[derive(Serialize)]
struct Total {
    model: String,
    bytes_per_device: usize,
    bytes_per_part: BTreeMap<String, usize>,
    devices: usize,
    bytes: usize,
    ns_per_message: f64,
}

impl Costs {
    pub(super) fn of(loaded: &Loaded) -> Self {
        let devices = &loaded.rules.registry.devices;
        let count = |model: &ModelId| devices.values().filter(|d| d.model == *model).count();
        let program = &loaded.rules.program;
        let row = |cost: RuleCost| Row {
            rule: cost.rule.to_string(),
            model: cost.model.to_string(),
            bytes_per_device: cost.device_bytes,
            bytes_per_part: cost.part_bytes,
            shared_bytes: cost.shared_bytes,
            devices: count(&cost.model),
            bytes: cost.device_bytes * count(&cost.model),
            ns_per_message: cost.ns.round(),
            cost,
        };
        let total = |cost: ModelCost| Total {
            model: cost.model.to_string(),
            bytes_per_device: cost.device_bytes,
            bytes_per_part: cost.part_bytes.into_iter().collect(),
            devices: count(&cost.model),
            bytes: cost.device_bytes * count(&cost.model),
            ns_per_message: cost.ns.round(),
        };
        Self {
            rules: program.rule_costs().into_iter().map(row).collect(),
            models: program.model_costs().into_iter().map(total).collect(),
        }
    }

    /// A line a rule, and one a model.
    pub(super) fn table(&self, out: &mut impl Write) -> io::Result<()> {
        if self.rules.is_empty() {
            return Ok(());
        }
        let head = ["note[R300] what rules cost", "B/device", "shared", "B/part", "devices", "total", "ns/message"];
        let mut lines = vec![head.map(str::to_owned)];
        for row in &self.rules {
            let (bytes, shared, part) = (row.bytes_per_device, row.shared_bytes, row.bytes_per_part);
            let name = format!("{} on {}", row.rule, row.model);
            lines.push(line(name, [bytes, shared, part, row.devices, row.bytes], row.ns_per_message));
        }
        for total in &self.models {
            let parts = total.bytes_per_part.values().sum();
            let name = format!("all rules on {}", total.model);
            lines.push(line(
                name,
                [total.bytes_per_device, 0, parts, total.devices, total.bytes],
                total.ns_per_message,
            ));
        }
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..head.len()).map(width).collect();
        for line in &lines {
            let numbers: String = (1..head.len()).map(|at| format!("  {:>1$}", line[at], widths[at])).collect();
            writeln!(out, "{:<1$}{numbers}", line[0], widths[0])?;
        }
        writeln!(
            out,
            "Bytes are exact; what rules share, and facts, are kept once. Times are estimates (`cargo bench --bench operators`)."
        )
    }
}

impl Row {
    /// `412 B/device x 48,210 devices = 19.9 MB; ~38 ns per matching message`.
    pub(super) fn note(&self) -> String {
        let part = if self.bytes_per_part == 0 { String::new() } else { format!(", {} B/part", self.bytes_per_part) };
        format!(
            "{}: {} B/device{part} x {} device{} = {}; ~{} ns per matching message",
            self.rule,
            grouped(self.bytes_per_device),
            grouped(self.devices),
            if self.devices == 1 { "" } else { "s" },
            size(self.bytes),
            self.ns_per_message
        )
    }
}

/// The cells of a line; what is not there is left empty.
fn line(name: String, [bytes, shared, part, devices, total]: [usize; 5], ns: f64) -> [String; 7] {
    let some = |n: usize| if n == 0 { String::new() } else { grouped(n) };
    [name, grouped(bytes), some(shared), some(part), grouped(devices), size(total), format!("~{ns}")]
}

/// `48,210`.
fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join(",")
}

/// `19.9 MB`.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn size(bytes: usize) -> String {
    let bytes = bytes as f64;
    match bytes {
        b if b >= 1e9 => format!("{:.1} GB", b / 1e9),
        b if b >= 1e6 => format!("{:.1} MB", b / 1e6),
        b if b >= 1e3 => format!("{:.1} kB", b / 1e3),
        b => format!("{b} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_well() {
        for (n, text, bytes) in [
            (0, "0", "0 B"),
            (999, "999", "999 B"),
            (48_210, "48,210", "48.2 kB"),
            (19_862_520, "19,862,520", "19.9 MB"),
        ] {
            assert_eq!((&*grouped(n), &*size(n)), (text, bytes));
        }
    }
}
