//! Baselines and derived samples: what they say, how much they have seen, and how much they want.

use super::tree::{Scene, ago, rounded};
use crate::domain::{At, Span};
use crate::engine::emit;
use crate::engine::ops::baseline::{self, Learned};
use crate::engine::ops::sample;
use crate::engine::vm::run;
use crate::rules::{Amount, Baseline, MAX_STACK, Node, Shown};

impl Scene<'_> {
    /// Centre and scale: `1.8 ± 0.2 mm/s`.
    pub(super) fn usual(&self, node: &Node, op: u16) -> String {
        let Some((_, learned)) = self.learned(node, op) else { return "unknown".to_owned() };
        match learned.usual {
            Some((centre, scale)) => {
                let unit =
                    if let Shown::Num(unit) = &node.shown { emit::unit_for_people(&unit.text) } else { String::new() };
                format!("{} ± {} {unit}", emit::digits(centre), emit::digits(scale)).trim_end().to_owned()
            }
            None if self.raw(node).is_nan() => "unknown".to_owned(),
            None => "known".to_owned(),
        }
    }

    /// Whose it is, how much it has seen, and whether it learns.
    pub(super) fn how_learned(&self, node: &Node, op: u16) -> String {
        let Some((b, learned)) = self.learned(node, op) else { return "the regime is unknown".to_owned() };
        let mut facts = Vec::new();
        if let Some(own) = b.own() {
            let regimes = if learned.regimes > 1 { format!(", {} regimes", learned.regimes) } else { String::new() };
            let samples = match own.min {
                Amount::Data(_) => format!(", {} samples", learned.samples),
                Amount::Samples(_) => String::new(),
            };
            facts.push(format!("own, {}: {} in this regime{samples}{regimes}", node.place, of_min(own.min, &learned)));
            facts.extend(self.still(b, op, &learned));
        }
        if let Some(fleet) = b.fleet() {
            let counts = if b.own().is_some() {
                format!(" counts for {:.0} %", (1.0 - learned.share) * 100.0)
            } else {
                String::new()
            };
            let seen = learned
                .fleet
                .map_or_else(|| "has not seen this regime".to_owned(), |n| format!("{n} samples in this regime"));
            facts.push(format!("fleet{counts}, {}: {seen}", fleet.place));
        }
        facts.join("; ")
    }

    /// Why it does not learn.
    fn still(&self, b: &Baseline, op: u16, learned: &Learned) -> Option<String> {
        let device = self.device?;
        if learned.clock >= b.learn {
            return Some(format!("has learned its {}", Span::from_micros(b.learn)));
        }
        let frozen = device.is_frozen(self.program, &self.program.ops[usize::from(op)], self.seat);
        frozen.then(|| "it learns nothing while the rule is pending or in force".to_owned())
    }

    /// "its baseline 'vib' has seen 1d of 3d in this regime"; `None` if the regime itself is unknown.
    pub(super) fn too_little(&self, node: &Node, op: u16) -> Option<String> {
        let (b, learned) = self.learned(node, op)?;
        let Some(own) = b.own() else {
            return Some(format!("the fleet's baseline '{}' has not seen this regime", b.name));
        };
        let fewest = Baseline::fewest_of(b.of.len());
        if learned.samples < fewest {
            return Some(format!(
                "its baseline '{}' has {} of {fewest} samples in this regime",
                b.name, learned.samples
            ));
        }
        Some(format!("its baseline '{}' has seen {} in this regime", b.name, of_min(own.min, &learned)))
    }

    fn learned(&self, node: &Node, op: u16) -> Option<(&Baseline, Learned)> {
        let b = self.program.ops[usize::from(op)].baseline.as_deref()?;
        let (_, regime) = node.code.split_last()?;
        let regime = run(&self.view, regime, &mut [0.0; MAX_STACK]);
        (!self.is_of_parts(node) && !regime.is_nan())
            .then(|| (b, baseline::learned(self.op(op), b, self.words(op), regime)))
    }

    /// How the newest point of a derived sample came about.
    pub(super) fn point(&self, op: u16) -> String {
        let Some((ends, values, newest)) = sample::newest(self.op(op), self.words(op)) else {
            return "no point yet".to_owned();
        };
        let newest = ago(newest, self.view.now);
        let ends = At::from_micros(ends);
        let state =
            if ends.as_micros() > self.view.now { format!("runs until {ends}") } else { format!("ended {ends}") };
        format!("{values} values, the newest {newest}; its period {state}")
    }

    /// Why a derived sample is unknown.
    pub(super) fn no_point(&self, node: &Node, op: u16) -> String {
        match sample::newest(self.op(op), self.words(op)) {
            None => format!("nothing has been sampled yet for '{}'", node.text),
            Some((.., newest)) => {
                let known = Span::from_micros(self.op(op).window.saturating_mul(sample::KNOWN));
                format!(
                    "the last point of '{}' is of {}, and is known for {known}",
                    node.text,
                    ago(newest, self.view.now)
                )
            }
        }
    }
}

/// How much has been seen of what is wanted: `1d of 3d`, `120 of 200 samples`.
fn of_min(min: Amount, learned: &Learned) -> String {
    match min {
        Amount::Data(min) => format!("{} of {}", rounded(learned.data), Span::from_micros(min)),
        Amount::Samples(min) => format!("{} of {min} samples", learned.samples),
    }
}
