//! Reads layered settings section by section and reports everything that is wrong at once.
//!
//! The `config` crate merges the file and the environment; serde stops at its first complaint. So a section with a
//! complaint is read again without the value complained about, until nothing new is found. Each complaint is turned
//! into a finding with the place in the file, or the environment variable that set the value.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::source::{Diagnostic, Diagnostics, Doc, did_you_mean};

/// Prefix of environment variables that override settings: `FOREWARN__HTTP__LISTEN`.
pub(super) const PREFIX: &str = "FOREWARN";
const CODE: &str = "S001";
/// Complaints about one section at most; more would be noise.
const MOST: usize = 50;

/// The merged settings and where they came from.
pub(super) struct Sections<'a> {
    pub(super) merged: Value,
    pub(super) doc: &'a Doc,
    /// Upper-case names of the variables that are set.
    pub(super) environment: BTreeSet<String>,
}

impl Sections<'_> {
    /// Reads the section at `path`; an absent one is read as an empty table, so that defaults apply.
    pub(super) fn read<T: DeserializeOwned>(&self, diags: &mut Diagnostics, path: &[&str]) -> Option<T> {
        let empty = Value::Object(serde_json::Map::new());
        let mut value = path.iter().try_fold(&self.merged, |v, key| v.get(*key)).unwrap_or(&empty).clone();
        let mut removed = BTreeSet::new();
        for _ in 0..MOST {
            let error = match serde_path_to_error::deserialize::<_, T>(&value) {
                // If something was left out to get here, the caller sees the findings and uses nothing.
                Ok(section) => return Some(section),
                Err(error) => error,
            };
            let inside = error.path().to_string();
            let mut full: Vec<String> = path.iter().map(|s| (*s).to_owned()).collect();
            full.extend(
                inside.split('.').filter(|s| !s.is_empty() && *s != ".").map(|s| s.trim_matches(['[', ']']).to_owned()),
            );
            let complaint = error.inner().to_string();
            let complaint = complaint.split(" at line ").next().unwrap_or(&complaint).to_owned();
            if let Some(missing) = complaint.strip_prefix("missing field `").and_then(|m| m.split('`').next())
                && removed.contains(missing)
            {
                return None;
            }
            self.report(diags, &mut full, &complaint);
            removed.extend(full.last().cloned());
            let relative: Vec<&str> = full.iter().skip(path.len()).map(String::as_str).collect();
            if complaint.starts_with("missing field") || !remove(&mut value, &relative) {
                return None;
            }
        }
        None
    }

    /// Reads every table below `section` on its own (`[provider.mail]`, `[provider.tow]`).
    pub(super) fn read_each<K: for<'n> From<&'n str> + Ord, T: DeserializeOwned>(
        &self,
        diags: &mut Diagnostics,
        section: &str,
    ) -> BTreeMap<K, T> {
        let names = self.merged.get(section).and_then(Value::as_object).into_iter().flat_map(|t| t.keys());
        names.filter_map(|name| Some((K::from(name), self.read(diags, &[section, name])?))).collect()
    }

    /// How many tables there are below `section`.
    pub(super) fn count(&self, section: &str) -> usize {
        self.merged.get(section).and_then(Value::as_object).map_or(0, serde_json::Map::len)
    }

    /// What settings named `…_file` name: the path of each setting, and its file. An empty name is none.
    pub(super) fn files(&self) -> Vec<(Vec<String>, PathBuf)> {
        let mut found = Vec::new();
        let mut open = vec![(Vec::new(), &self.merged)];
        while let Some((path, value)) = open.pop() {
            for (key, value) in value.as_object().into_iter().flatten() {
                let path: Vec<String> = path.iter().chain([key]).cloned().collect();
                match value.as_str() {
                    Some(file) if key.ends_with("_file") && !file.is_empty() => found.push((path, file.into())),
                    _ => open.push((path, value)),
                }
            }
        }
        found.sort();
        found
    }

    /// Reports sections that are not in `known`.
    pub(super) fn refuse_unknown(&self, diags: &mut Diagnostics, known: &[&str]) {
        let names = self.merged.as_object().into_iter().flat_map(|t| t.keys());
        for name in names.filter(|n| !known.contains(&n.as_str())) {
            let known: Vec<String> = known.iter().map(|k| format!("`{k}`")).collect();
            let complaint = format!("unknown field `{name}`, expected one of {}", known.join(", "));
            self.report(diags, &mut Vec::new(), &complaint);
        }
    }

    fn report(&self, diags: &mut Diagnostics, path: &mut Vec<String>, complaint: &str) {
        let mut names = complaint.split('`').skip(1).step_by(2);
        let mut hint = None;
        let message = if complaint.starts_with("unknown field") {
            let unknown = names.next().unwrap_or_default().to_owned();
            hint = did_you_mean(&unknown, names).map(|near| format!("did you mean `{near}`?"));
            if path.last() != Some(&unknown) {
                path.push(unknown.clone());
            }
            format!("unknown setting `{}`", path.join("."))
        } else if complaint.starts_with("missing field") {
            let missing = names.next().unwrap_or_default();
            format!("setting `{}.{missing}` is missing", path.join("."))
        } else {
            format!("setting `{}`: {complaint}", path.join("."))
        };
        let mut finding = Diagnostic::error(CODE, message).maybe_hint(hint);
        let variable = format!("{PREFIX}__{}", path.join("__").to_uppercase());
        if self.environment.contains(&variable) {
            finding = finding.hint(format!("it is set by the environment variable {variable}"));
        } else if let Some(place) = self.doc.find(&path.iter().map(String::as_str).collect::<Vec<_>>()) {
            finding = finding.at(place, "");
        }
        diags.push(finding);
    }
}

/// Takes the value at `path` out; `false` if there is none.
fn remove(value: &mut Value, path: &[&str]) -> bool {
    let Some((last, parents)) = path.split_last() else { return false };
    let parent = parents.iter().try_fold(value, |v, key| match v {
        Value::Array(items) => key.parse::<usize>().ok().and_then(|i| items.get_mut(i)),
        other => other.get_mut(*key),
    });
    match parent {
        Some(Value::Object(table)) => table.remove(*last).is_some(),
        Some(Value::Array(items)) => {
            last.parse::<usize>().ok().filter(|i| *i < items.len()).map(|i| items.remove(i)).is_some()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::domain::Span;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Broker {
        urls: Vec<String>,
        #[serde(default)]
        wait: Option<Span>,
        #[serde(default)]
        port: u16,
    }

    #[derive(Debug, Deserialize)]
    #[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
    #[expect(dead_code, reason = "only read to be refused")]
    enum Provider {
        Smtp { host: String },
    }

    #[test]
    fn all_mistakes_of_a_section_are_reported_with_their_places() {
        let text = "[broker]\nurls = \"mqtt://x\"\nwaitt = \"1s\"\nport = 70000\n[provider.mail]\nkind = \"smtp\"\nhost = \"h\"\nhots = 1\n";
        let mut diags = Diagnostics::default();
        let file = diags.add_file("forewarn.toml", text);
        let doc = Doc::parse(&mut diags, CODE, file);
        let merged: Value = toml::from_str::<Value>(text).unwrap();
        let environment = ["FOREWARN__BROKER__PORT".to_owned()].into();
        let sections = Sections { merged, doc: &doc, environment };
        assert!(sections.read::<Broker>(&mut diags, &["broker"]).is_none());
        assert!(sections.read_each::<String, Provider>(&mut diags, "provider").len() == 1);
        sections.refuse_unknown(&mut diags, &["broker", "providers"]);
        let shown = diags.render(false);
        insta::assert_snapshot!(shown);
    }
}
