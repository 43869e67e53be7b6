//! What the conditions of a rule compare, as numbers: for pictures of how a rule came to fire.

use super::Engine;
use super::device::Device;
use super::fold::Memo;
use super::vm::{View, run};
use crate::domain::{DeviceId, RuleId, Span, shard_of};
use crate::rules::{Ins, MAX_STACK, ModelProgram, RuleProgram, Shown};

/// A comparison of two numbers in a condition of a rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Gauge {
    /// All of it: `avg(days, 8d) < 46`.
    pub text: String,
    /// Its left side: `avg(days, 8d)`.
    pub left_text: String,
    /// The unit of both sides, if the left one is a signal or a `let`.
    pub unit: String,
    /// The left side now; NaN is unknown.
    pub left: f64,
    /// The right side now; NaN is unknown.
    pub right: f64,
}

/// A longer text says nothing on a picture.
const MAX_TEXT: usize = 60;

impl Engine {
    /// What the conditions of `rule` compare for a device, or for the part of it that is called `component`, as it is
    /// now, in the order of the conditions. Empty for a rule or device that is not known.
    #[must_use]
    pub fn gauges(&self, rule: &RuleId, device: &DeviceId, component: Option<&str>) -> Vec<Gauge> {
        let shard = &self.shards[usize::from(shard_of(device.as_str()))];
        let mut found = Vec::new();
        for ix in shard.index.iter().filter_map(|models| models.get(device)) {
            let device = &shard.devices[*ix as usize];
            let program = &self.program.models[usize::from(device.model)];
            for spec in program.rules.iter().filter(|spec| spec.id == *rule) {
                gauges(device, program, spec, component, &mut found);
            }
        }
        found
    }
}

fn gauges(
    device: &Device,
    program: &ModelProgram,
    spec: &RuleProgram,
    component: Option<&str>,
    found: &mut Vec<Gauge>,
) {
    let named = |part: &usize| device.component(program, Some(*part)).is_some_and(|c| Some(c.as_str()) == component);
    let part = (0..device.parts.0.len()).find(named);
    let memo = Memo::default();
    let view = device.view(program, &memo, part, device.life.clock);
    for level in &spec.levels {
        for (left, op, right) in comparisons(&level.when) {
            let (left_code, right_code) = (&level.when[left.clone()], &level.when[right]);
            let side = |code: &[Ins]| text(&view, spec, code);
            let left_text = side(left_code);
            let gauge = Gauge {
                text: format!("{left_text} {op} {}", side(right_code)),
                unit: unit(spec, left_code),
                left: run(&view, left_code, &mut [0.0; MAX_STACK]),
                right: run(&view, right_code, &mut [0.0; MAX_STACK]),
                left_text,
            };
            if !found.iter().any(|known| known.text == gauge.text) {
                found.push(gauge);
            }
        }
    }
}

type Side = std::ops::Range<usize>;

/// The comparisons by size in some code: where their sides are, and how they are written.
fn comparisons(code: &[Ins]) -> Vec<(Side, &'static str, Side)> {
    let mut found = Vec::new();
    walk(code, |ins, starts, at| {
        let op = match ins {
            Ins::Lt => "<",
            Ins::Le => "<=",
            Ins::Gt => ">",
            Ins::Ge => ">=",
            _ => return,
        };
        if let [.., left, right] = *starts {
            found.push((left..right, op, right..at));
        }
    });
    found
}

/// Goes through code; `visit` gets each instruction, where the values on the stack before it begin, and its place.
fn walk(code: &[Ins], mut visit: impl FnMut(Ins, &[usize], usize)) {
    let mut starts: Vec<usize> = Vec::new();
    for (at, ins) in code.iter().enumerate() {
        visit(*ins, &starts, at);
        // What leaves the stack alone belongs to the value on it.
        if let Some(pops) = ins.pops() {
            let keep = starts.len().saturating_sub(pops);
            let start = starts.get(keep).copied().unwrap_or(at);
            starts.truncate(keep);
            starts.push(start);
        }
    }
}

/// A side as people would write it; `…` for what would be too long.
fn text(view: &View<'_>, spec: &RuleProgram, code: &[Ins]) -> String {
    let mut stack: Vec<String> = Vec::new();
    let mut starts: Vec<usize> = Vec::new();
    for (at, ins) in code.iter().enumerate() {
        let Some(pops) = ins.pops() else { continue };
        let keep = stack.len().saturating_sub(pops);
        let start = starts.get(keep).copied().unwrap_or(at);
        let taken = stack.split_off(keep);
        starts.truncate(keep);
        starts.push(start);
        let named = spec.evidence.iter().find(|(_, code_of, ..)| **code_of == code[start..=at]);
        let text = named.map_or_else(|| written(view, spec, *ins, &taken), |(name, ..)| name.clone());
        stack.push(if text.chars().count() > MAX_TEXT { "…".to_owned() } else { text });
    }
    stack.pop().unwrap_or_default()
}

fn written(view: &View<'_>, spec: &RuleProgram, ins: Ins, taken: &[String]) -> String {
    let infix = |op: &str| taken.join(op);
    match ins {
        Ins::Const(c) => view.profile.consts[usize::from(c)].to_string(),
        Ins::Slot(slot) => view.program.slots[usize::from(slot)].name.to_string(),
        Ins::Age(slot) => format!("age({})", view.program.slots[usize::from(slot)].name),
        // A change of unit of the same thing.
        Ins::Affine(..) => infix(""),
        Ins::Add => infix(" + "),
        Ins::Sub => infix(" - "),
        Ins::Mul => infix(" * "),
        Ins::Div => infix(" / "),
        Ins::Read(read, op) => {
            let op = &view.program.ops[usize::from(op)];
            let window = op.window.map(|c| Span::from_secs_f64(view.profile.consts[usize::from(c)]).to_string());
            let mut inside = vec![text(view, spec, &op.input)];
            inside.extend(taken.iter().cloned());
            inside.extend(window);
            let name = format!("{read:?}").to_lowercase();
            format!("{}({})", name.split('(').next().unwrap_or_default(), inside.join(", "))
        }
        other => {
            let name = format!("{other:?}").to_lowercase();
            format!("{}({})", name.split('(').next().unwrap_or_default(), infix(", "))
        }
    }
}

/// The unit of a side that is a signal or a `let`.
fn unit(spec: &RuleProgram, code: &[Ins]) -> String {
    let named = spec.evidence.iter().find(|(_, code_of, ..)| **code_of == *code);
    match named {
        Some((_, _, Shown::Num(unit), _)) => unit.to_string(),
        _ => String::new(),
    }
}
