//! Sentences that say what decides.

use super::tree::{Scene, ago, rounded, sides};
use super::{Explanation, LevelNow, Wait};
use crate::domain::{DeviceId, Mode, ModelId};
use crate::engine::look::Head;
use crate::rules::{Node, Part, RuleInfo};

/// The state and the reason of a rule that is not compiled for the model of the device.
pub(super) fn never_runs(info: &RuleInfo, device: &DeviceId, model: &ModelId) -> (String, Vec<String>) {
    if info.mode == Mode::Off {
        let why = "The rule is off: it is never evaluated. Set its `mode` to shadow or live.".to_owned();
        return ("off".to_owned(), vec![why]);
    }
    let watched: Vec<&str> = info.models.iter().map(|m| m.as_str()).collect();
    let why = format!("The rule watches devices of {}, and {device} is a '{model}'.", watched.join(", "));
    ("not watched".to_owned(), vec![why])
}

impl Scene<'_> {
    /// One sentence a level, and what is special about the whole.
    pub(super) fn why(&self, head: Head, told: &Explanation) -> Vec<String> {
        let mut sentences = Vec::new();
        let barred = if head.level == 0 { self.barred() } else { Vec::new() };
        if !barred.is_empty() {
            sentences.push(format!("Nothing can be raised now: {}.", barred.join("; ")));
        }
        for (level, trees) in told.levels.iter().zip(&self.spec.trees.levels) {
            let (Some(when), clear) = (&trees.when, trees.clear.as_ref()) else { continue };
            sentences.push(match level.phase.as_str() {
                "on" | "clearing" if head.latched => {
                    let hint = "it was raised too often, and ends when a person closes its case";
                    format!("'{}' is in force, and stays whatever the device says: {hint}.", level.name)
                }
                "on" => self.stays(level, when, clear.map(|c| &**c)),
                "clearing" => {
                    let truth = clear.map_or_else(|| self.says("when", when), |c| self.says("clear", c));
                    format!("'{}' is ending: {truth}{}.", level.name, progress(level.wait.as_ref(), "ends"))
                }
                "pending" => {
                    let progress = progress(level.wait.as_ref(), "is raised");
                    format!("'{}' is pending: {}{progress}.", level.name, self.says("when", when))
                }
                _ => self.not_raised(level, when, head, !barred.is_empty()),
            });
        }
        if head.unknown_since != 0 {
            let since = ago(head.unknown_since, self.view.now);
            sentences.push(format!("What would end it has been unknown since {since}; so it stays as it is."));
        }
        if self.spec.mode == Mode::Shadow {
            sentences.push("The rule is in shadow: what it finds is recorded, and nobody acts on it.".to_owned());
        }
        sentences
    }

    fn stays(&self, level: &LevelNow, when: &Node, clear: Option<&Node>) -> String {
        let truth = match clear {
            Some(clear) => self.says("clear", clear),
            None => self.says("when", when),
        };
        format!("'{}' is in force, and stays: {truth}.", level.name)
    }

    fn not_raised(&self, level: &LevelNow, when: &Node, head: Head, barred: bool) -> String {
        let says = self.says("when", when);
        match self.truth(when) {
            "true" if barred => format!("'{}' is not raised, though {says}.", level.name),
            "true" => {
                let last = if head.last == 0 { "never".to_owned() } else { ago(head.last, self.view.now) };
                format!("'{}' is not raised, though {says}: the rule was last looked at {last}.", level.name)
            }
            "unknown" => format!("'{}' is not raised: {says}. What is unknown raises nothing.", level.name),
            _ => format!("'{}' is not raised: {says}.", level.name),
        }
    }

    /// "`when` is false because coolant_temp is 88 °C, needs > 108 °C".
    fn says(&self, name: &str, node: &Node) -> String {
        if let Part::Steps(op) = node.part {
            return self.awaits(node, op);
        }
        format!("`{name}` is {} because {}", self.truth(node), self.because(node))
    }

    /// Why a condition has the value it has: the parts that decide.
    pub(super) fn because(&self, node: &Node) -> String {
        let truth = self.truth(node);
        match (&node.part, truth) {
            (Part::And | Part::Or, _) => {
                // Of an `&&` that is false one false side is enough; of one that is true all sides count. `||` is its mirror.
                let mut reasons: Vec<String> = Vec::new();
                for child in sides(node).into_iter().filter(|c| self.truth(c) == truth) {
                    let because = self.because(child);
                    if !reasons.contains(&because) {
                        reasons.push(because);
                    }
                }
                reasons.join(", and ")
            }
            (Part::Not | Part::Let, _) if node.children.len() == 1 => self.because(&node.children[0]),
            (_, "unknown") => self.unknown(node),
            (Part::Compare(sign), _) if node.children.len() == 2 => {
                let (left, right) = (&node.children[0], &node.children[1]);
                let needs = if truth == "true" { "which is" } else { "needs" };
                format!("{} is {}, {needs} {sign} {}", left.text, self.shown(left), self.bound(right))
            }
            _ => format!("{} is {}", node.text, self.shown(node)),
        }
    }

    /// A threshold: its value, and its name if it has one.
    fn bound(&self, node: &Node) -> String {
        match node.part {
            Part::Literal => self.shown(node),
            _ => format!("{} ({})", node.text, self.shown(node)),
        }
    }

    /// The inputs that nobody knows.
    fn unknown(&self, node: &Node) -> String {
        let mut reasons = Vec::new();
        self.collect_unknown(node, &mut reasons);
        reasons.dedup();
        if reasons.is_empty() {
            return format!("{} cannot be worked out", node.text);
        }
        reasons.join(", and ")
    }

    fn collect_unknown(&self, node: &Node, reasons: &mut Vec<String>) {
        if !self.raw(node).is_nan() {
            return;
        }
        match &node.part {
            Part::Signal => {
                let Some((slot, (value, sent_at))) = node.slot.and_then(|slot| Some((slot, self.kept(slot)?))) else {
                    return;
                };
                reasons.push(if sent_at == 0 {
                    format!("{} was never sent", node.text)
                } else if value.is_nan() {
                    format!("the last {} was not usable (sent {} ago)", node.text, rounded(self.view.now - sent_at))
                } else {
                    let ttl = crate::domain::Span::from_micros(self.program.slots[usize::from(slot)].ttl);
                    let age = rounded(self.view.now - sent_at);
                    format!("{} was last sent {age} ago, and is known for {ttl} only", node.text)
                });
            }
            Part::Attr(name) => reasons.push(format!("the registry does not say device.{name}")),
            Part::Baseline(op) if self.too_little(node, *op).is_some() => reasons.extend(self.too_little(node, *op)),
            Part::Sample(op) => reasons.push(self.no_point(node, *op)),
            Part::Call if self.fill_of(node).is_some() => {
                reasons.push(format!("{} has too little: {}", node.text, self.fill_of(node).unwrap_or_default()));
            }
            _ => {
                let before = reasons.len();
                node.children.iter().for_each(|child| self.collect_unknown(child, reasons));
                if reasons.len() == before {
                    reasons.push(format!("{} cannot be worked out yet", node.text));
                }
            }
        }
    }
}

/// ", for 40s of 60s; is raised at … if it stays so".
fn progress(wait: Option<&Wait>, end: &str) -> String {
    let Some(wait) = wait else { return String::new() };
    let mut text = format!(", for {} of {}", wait.held, wait.hold);
    if wait.confirm > 1 {
        text.push_str(&format!(" and in {} of {} messages", wait.confirmed, wait.confirm));
    }
    match (&wait.paused, wait.over_at) {
        (Some(paused), _) => text.push_str(&format!("; time stands still, as {paused}")),
        (None, Some(at)) => text.push_str(&format!("; it {end} at {at} if that stays so")),
        (None, None) => text.push_str("; only further messages can complete that"),
    }
    text
}
