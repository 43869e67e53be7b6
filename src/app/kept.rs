//! The files that a program is compiled from, in one piece: the runtime keeps them as long as the program is in force. The
//! files that people edit say what will be; a start after a crash and `forewarn reload --dry-run` want to know what was.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::load::{ProgramFiles, Rulebook, compile};
use crate::rules::{self, Fleet, Program};
use crate::runtime::{self, Rules};
use crate::source::{Diagnostics, FileId};

/// Files by name, as they were read. Nothing in them is of a person.
#[derive(Debug, Serialize, Deserialize)]
pub struct Kept {
    models: Vec<(String, String)>,
    /// What models name that is not text.
    attachments: Vec<(String, Vec<u8>)>,
    codes: Vec<(String, String)>,
    baselines: Vec<(String, String)>,
    rules: Vec<(String, String)>,
}

impl Kept {
    /// What the last daemon on this store had in force; `None`: none has run, or it has left nothing that can be read.
    #[must_use]
    pub fn of_store(store: &Path) -> Option<Self> {
        postcard::from_bytes(&runtime::in_force(store)?).ok()
    }

    /// Of what has just been loaded, for the runtime to keep.
    pub(super) fn encode(diags: &Diagnostics, files: &ProgramFiles) -> Arc<[u8]> {
        let name = |path: &str| Path::new(path).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let texts =
            |files: &[FileId]| files.iter().map(|f| (name(diags.path(*f)), diags.text(*f).to_string())).collect();
        let kept = Self {
            models: texts(&files.models),
            attachments: diags.attachments().map(|(path, bytes)| (name(path), bytes.to_vec())).collect(),
            codes: texts(&files.codes),
            baselines: texts(&files.baselines),
            rules: texts(&files.rules),
        };
        // Serialising plain data into memory has nothing to fail on.
        postcard::to_stdvec(&kept).unwrap_or_default().into()
    }

    fn add(&self, diags: &mut Diagnostics) -> ProgramFiles {
        for (name, bytes) in &self.attachments {
            diags.attach(place("models", name), bytes.as_slice());
        }
        ProgramFiles {
            models: add(diags, "models", &self.models),
            codes: add(diags, "codes", &self.codes),
            baselines: add(diags, "baselines", &self.baselines),
            rules: add(diags, "rules", &self.rules),
        }
    }

    /// Its rules for the models and the fleet of `book`. All findings are in `diags`; `None` if there is an error among them.
    pub fn rules_for(&self, diags: &mut Diagnostics, book: &Rulebook) -> Option<Arc<Program>> {
        let files = add(diags, "rules", &self.rules);
        let program = rules::load_with(diags, &files, book.program.models().clone(), &book.fleet);
        (!diags.has_errors()).then(|| Arc::new(program))
    }
}

fn place(folder: &str, name: &str) -> String {
    format!("in force/{folder}/{name}")
}

fn add(diags: &mut Diagnostics, folder: &str, files: &[(String, String)]) -> Vec<FileId> {
    files.iter().map(|(name, text)| diags.add_file(place(folder, name), text.as_str())).collect()
}

/// The program that was in force when the last daemon on this store ended, if it was made of other files than `rules`.
pub(super) fn in_force_before(store: &Path, rules: &Rules) -> Option<Arc<Program>> {
    if runtime::in_force(store)? == *rules.sources {
        return None;
    }
    let mut diags = Diagnostics::default();
    let files = Kept::of_store(store)?.add(&mut diags);
    let fleet = Fleet::load(&mut diags, &files.baselines);
    let program = compile(&mut diags, &files, &fleet);
    if diags.has_errors() {
        let findings = diags.render(false);
        tracing::warn!(
            "what came before this start is taken by the rules of now, as those of then are no longer understood:\n{findings}"
        );
        return None;
    }
    tracing::info!("models or rules were edited: what came before is taken by those of then, and they are reloaded");
    Some(Arc::new(program))
}
