//! Faults in plain words: `<locale>/faults.toml` says of each fault what has happened, what it means and what to do now.
//! A rule's own title is for engineers and in one language; these are for whoever is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::messages::chain;
use crate::source::{Diagnostic, Diagnostics, Doc, FileId, Place};

/// The file of a locale.
pub(super) const FILE: &str = "faults.toml";

/// One fault in one locale.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Word {
    /// What has happened; it is also spoken.
    pub(super) what: Arc<str>,
    /// What that means.
    pub(super) means: Arc<str>,
    /// What to do now.
    pub(super) advice: Arc<str>,
    /// What the rule follows, for the picture of it; empty for none.
    pub(super) signal: Arc<str>,
    /// What its limit means; may be empty.
    pub(super) limit: Arc<str>,
}

/// By fault, then by locale.
#[derive(Debug, Clone, Default)]
pub(super) struct Words(BTreeMap<Arc<str>, BTreeMap<Arc<str>, Word>>);

impl Words {
    /// Takes in the file of one locale. Mistakes: `P025`.
    pub(super) fn read(&mut self, diags: &mut Diagnostics, file: FileId, locale: &str) {
        let doc = Doc::parse(diags, "P025", file);
        let root = doc.root();
        for fault in root.keys().collect::<Vec<_>>() {
            let Some(table) = root.table(diags, &fault.value) else { continue };
            let what = table.need_text(diags, "what");
            let [means, advice, signal, limit] =
                ["means", "advice", "signal", "limit"].map(|key| table.text(diags, key));
            table.finish(diags);
            let text = |text: Option<crate::source::Text>| text.map(|t| t.value).unwrap_or_default();
            let word = Word {
                what: text(what),
                means: text(means),
                advice: text(advice),
                signal: text(signal),
                limit: text(limit),
            };
            self.0.entry(fault.value).or_default().insert(locale.into(), word);
        }
        root.finish(diags);
    }

    /// A fault that has words in one language and not in another that texts are written in.
    pub(super) fn warn_gaps(&self, diags: &mut Diagnostics, files: &[(FileId, Arc<str>)]) {
        let locales: BTreeSet<&Arc<str>> = files.iter().map(|(_, l)| l).filter(|l| !l.contains(['-', '_'])).collect();
        for (fault, words) in &self.0 {
            for locale in locales.iter().filter(|l| !words.contains_key(**l)) {
                let finding = Diagnostic::warning("P023", format!("`{locale}/{FILE}` has no words for `{fault}`"));
                let file = files.iter().find(|(_, l)| l == *locale).map(|(file, _)| *file);
                let finding = finding.hint(format!("whoever speaks `{locale}` is told of it in another language"));
                diags.push(match file {
                    Some(file) => finding.at(Place { file, span: 0..0 }, "translate it"),
                    None => finding,
                });
            }
        }
    }

    /// Whether anybody has put into words what the rule of `fault` follows.
    pub(super) fn draws(&self, fault: &str) -> bool {
        self.0.get(fault).is_some_and(|words| words.values().any(|word| !word.signal.is_empty()))
    }

    /// The words for `fault` for somebody who speaks `wanted`, from the nearest locale that has any.
    pub(super) fn find(&self, fault: &str, wanted: &str) -> Option<&Word> {
        let words = self.0.get(fault)?;
        chain(wanted).find_map(|locale| words.get(locale))
    }
}
