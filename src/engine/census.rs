//! Which rules watch how many devices of the registry: what the configuration says before a message has come.

use super::profile::Profiles;
use crate::domain::{Registry, RuleId};
use crate::rules::Program;

/// The rules that are not off, each with the number of devices of the registry that it watches.
#[must_use]
pub fn watched(program: &Program, registry: &Registry) -> Vec<(RuleId, usize)> {
    let mut counts: Vec<(RuleId, usize)> = Vec::new();
    for model in &program.models {
        let mut profiles = Profiles::default();
        let mut watching = vec![0; model.rules.len()];
        for device in registry.devices.values().filter(|d| d.model == model.model.id) {
            let profile = profiles.of(model, Some(device));
            watching.iter_mut().zip(&profile.enabled).for_each(|(n, on)| *n += usize::from(*on));
        }
        for (rule, n) in model.rules.iter().zip(watching) {
            match counts.iter_mut().find(|(id, _)| *id == rule.id) {
                Some((_, all)) => *all += n,
                None => counts.push((rule.id.clone(), n)),
            }
        }
    }
    counts
}
