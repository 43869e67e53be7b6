//! Which column of a CSV recording holds which signal of a model.
//!
//! A column is taken for a signal if its name is the signal's `path`: as one key, the way `forewarn replay` publishes it
//! (`vib`), or as a path (`bms.tmax`); elements of a list have a column each (`bms.cells[0]`, `bms.cells[1]`). A signal
//! that no column names so is looked for under its own name in rules.

use crate::decode;
use crate::domain::SignalName;
use crate::model::{Message, Model, PathStep, Reading, SignalIx, path_steps};

/// The columns of one file for one model.
#[derive(Debug)]
pub(super) struct Plan {
    /// Column, signal and component, in the order of signals and components.
    wanted: Vec<(usize, SignalIx, u16)>,
    /// Signals that no column holds.
    pub(super) without: Vec<SignalName>,
}

impl Plan {
    pub(super) fn new(model: &Model, columns: &[(usize, String)]) -> Self {
        let paths: Vec<Option<Vec<PathStep>>> = columns.iter().map(|(_, name)| path_steps(name)).collect();
        let mut wanted = Vec::new();
        let mut without = Vec::new();
        for (ix, signal) in (0..).map(SignalIx).zip(&model.signals) {
            let before = wanted.len();
            let named = |name: &str| match &*signal.path {
                [PathStep::Key(key)] => **key == *name,
                _ => false,
            };
            for ((column, name), steps) in columns.iter().zip(&paths) {
                let component = match (signal.is_list(), steps) {
                    (false, _) if named(name) => Some(0),
                    (false, Some(steps)) if *steps == signal.path => Some(0),
                    (true, Some(steps)) => match steps.split_last() {
                        Some((PathStep::Index(i), list)) if *list == *signal.path => u16::try_from(*i).ok(),
                        _ => None,
                    },
                    _ => None,
                };
                // As one key it goes before the same as a path.
                wanted
                    .extend(component.filter(|_| signal.is_list() || wanted.len() == before).map(|c| (*column, ix, c)));
            }
            if wanted.len() == before
                && !signal.is_list()
                && let Some((column, _)) = columns.iter().find(|(_, name)| *name == signal.name.as_str())
            {
                wanted.push((*column, ix, 0));
            }
            if wanted.len() == before {
                without.push(signal.name.clone());
            }
        }
        wanted.sort_by_key(|(_, signal, component)| (*signal, *component));
        Self { wanted, without }
    }

    /// Whether some signal is in this column.
    pub(super) fn reads(&self, column: usize) -> bool {
        self.wanted.iter().any(|(c, ..)| *c == column)
    }

    /// The readings of a row. An empty field is not in the message.
    pub(super) fn message(&self, model: &Model, fields: &csv::StringRecord, out: &mut Message) {
        out.readings.clear();
        for (column, signal, component) in &self.wanted {
            let field = &fields[*column];
            if !field.is_empty() {
                let value = decode::field(&model.signals[usize::from(signal.0)], field);
                out.readings.push(Reading { signal: *signal, component: *component, value });
            }
        }
    }
}
