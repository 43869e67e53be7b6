//! What only all files together can tell: a fault that nobody takes care of, a rule that watches nothing.
//!
//! These are warnings. A fleet that is not in the registry yet and a rule in shadow are normal on the way.

use std::collections::BTreeSet;

use crate::desk;
use crate::domain::{Mode, Registry, Severity};
use crate::engine;
use crate::playbook::Playbook;
use crate::rules::{Program, RuleInfo};
use crate::source::{Diagnostic, Diagnostics, did_you_mean};

pub(super) fn check(diags: &mut Diagnostics, program: &Program, desk: &desk::Config) {
    for rule in program.rules().iter().filter(|r| r.mode == Mode::Live) {
        if let Some(finding) = untaken(rule, desk) {
            diags.push(finding);
        }
    }
    for rule in program.rules().iter().filter(|r| r.mode != Mode::Off) {
        if let Some(place) = rule.chart.as_ref().filter(|_| !desk.messages.draws(rule.fault.as_str())) {
            let message = format!("no mail shows the chart of '{}': it has no words", rule.id);
            let hint = format!("write `signal = \"…\"` for \"{}\" into messages/*/faults.toml", rule.fault);
            diags.push(Diagnostic::warning("R223", message).at(place.clone(), "what is it of?").hint(hint));
        }
    }
    if desk.registry.devices.is_empty() {
        return;
    }
    let columns = columns(&desk.registry);
    for rule in program.rules() {
        let unknown = rule.columns.iter().filter(|(name, _)| !columns.contains(&**name));
        for (name, place) in unknown {
            let near = did_you_mean(name, columns.iter().copied()).map(|near| format!("did you mean `{near}`?"));
            let finding = Diagnostic::warning("R222", format!("no device of the registry has the attribute '{name}'"));
            diags.push(finding.at(place.clone(), "it names nothing").maybe_hint(near));
        }
    }
    let watched = engine::watched(program, &desk.registry);
    for rule in program.rules().iter().filter(|r| r.mode != Mode::Off) {
        if watched.iter().any(|(id, n)| *id == rule.id && *n > 0) {
            continue;
        }
        let known = desk.registry.devices.values().any(|d| rule.models.contains(&d.model));
        let why = if known { "`where` is true for none of them" } else { "none is of a model that it watches" };
        let message = format!("rule '{}' watches no device of the registry: {why}", rule.id);
        diags.push(Diagnostic::warning("R221", message).at(rule.place.clone(), ""));
    }
}

/// What rules can ask of at least one device.
fn columns(registry: &Registry) -> BTreeSet<&str> {
    let own = registry.devices.values().flat_map(|device| device.attrs.keys().map(|name| &**name));
    own.chain(["model", "kind", "tz"]).collect()
}

/// A live rule whose fault no playbook takes, at one of its levels at least.
fn untaken(rule: &RuleInfo, desk: &desk::Config) -> Option<Diagnostic> {
    let kinds = kinds(rule, &desk.registry);
    let taken = |severity: &Severity| desk.playbooks.iter().any(|p| takes(p, rule, *severity, &kinds));
    let missing: BTreeSet<Severity> = rule.severities.iter().copied().filter(|s| !taken(s)).collect();
    if missing.is_empty() {
        return None;
    }
    let faults = desk.playbooks.iter().flat_map(|p| &p.matches.faults);
    let named: Vec<&str> = faults.map(|f| f.as_str()).collect();
    let finding = if named.contains(&rule.fault.as_str()) {
        let list: Vec<&str> = missing.iter().map(|s| s.as_str()).collect();
        let list = list.join(" or ");
        Diagnostic::warning("R220", format!("no playbook takes the fault '{}' at severity {list}", rule.fault))
            .hint("see `severity`, `min_confidence` and `device_kind` in the [match] of the playbooks that name it")
    } else {
        let near = did_you_mean(rule.fault.as_str(), named.iter().copied()).map(|n| format!("did you mean `{n}`?"));
        Diagnostic::warning("R220", format!("no playbook takes the fault '{}'", rule.fault))
            .hint("add it to the [match] of a playbook, or set mode = \"shadow\"")
            .maybe_hint(near)
    };
    Some(finding.at(rule.place.clone(), "it is recorded and nobody is told"))
}

/// Whether a detection of the rule on one of the devices it watches opens the playbook. Without devices in the registry
/// their kind is not known, and not held against the playbook.
fn takes(playbook: &Playbook, rule: &RuleInfo, severity: Severity, kinds: &BTreeSet<&str>) -> bool {
    let fits = |kind: Option<&str>| playbook.matches.takes(&rule.fault, severity, rule.confidence, kind);
    if kinds.is_empty() {
        return playbook.matches.device_kinds.iter().map(|k| Some(&**k)).chain([None]).any(fits);
    }
    kinds.iter().any(|kind| fits(Some(kind)))
}

/// The kinds of device that the rule watches.
fn kinds<'a>(rule: &RuleInfo, registry: &'a Registry) -> BTreeSet<&'a str> {
    registry.devices.values().filter(|d| rule.models.contains(&d.model)).map(|d| &*d.kind).collect()
}
