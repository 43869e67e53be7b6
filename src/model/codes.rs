//! Code tables (`config/codes/*.csv`): what trouble codes mean. Columns `code,class,severity,text`; a code may be a glob
//! such as `P03*`, for those that have no row of their own. The name of a table is that of its file.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::registry::{Row, Sheet, Wrong};
use crate::domain::Severity;
use crate::source::{Diagnostics, FileId, did_you_mean};

/// Most rows of a table.
const MAX_ROWS: usize = 100_000;

/// All code tables, by name.
#[derive(Debug, Clone, Default)]
pub struct CodeTables(BTreeMap<Arc<str>, CodeTable>);

/// One code table.
#[derive(Debug, Clone, Default)]
pub struct CodeTable {
    exact: BTreeMap<Arc<str>, CodeRow>,
    /// In the order of the file: the first that fits counts.
    globs: Vec<(Arc<str>, CodeRow)>,
}

/// What a table says of a code, by [`CodeColumn`]; empty if it does not say.
type CodeRow = [Arc<str>; 3];

/// What can be asked of a code table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeColumn {
    /// Any words: `misfire`.
    Class,
    /// A [`Severity`].
    Severity,
    /// For people.
    Text,
}

impl CodeColumn {
    /// All, by the names that they have in a file.
    pub const ALL: [(&str, Self); 3] = [("class", Self::Class), ("severity", Self::Severity), ("text", Self::Text)];

    /// Its name in a file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL[self as usize].0
    }
}

impl CodeTables {
    /// Reads the tables. Every mistake goes to `diags` (codes `G0xx`, as for all CSV files).
    #[must_use]
    pub fn load(diags: &mut Diagnostics, files: &[FileId]) -> Self {
        let mut tables = BTreeMap::new();
        for file in files {
            let path = diags.path(*file).to_owned();
            let name = Path::new(&path).file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned());
            let mut table = CodeTable::default();
            let columns = |sheet: &mut Sheet, diags: &mut Diagnostics| {
                sheet.only(diags, &["code", "class", "severity", "text"], &["class", "severity", "text"])
            };
            Sheet::read(diags, *file, columns, |sheet, diags, row| table.add(sheet, diags, row));
            tables.insert(name.into(), table);
        }
        Self(tables)
    }

    /// The table with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&CodeTable> {
        self.0.get(name)
    }

    /// The names of all tables.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.keys()
    }
}

impl CodeTable {
    fn add(&mut self, sheet: &mut Sheet, diags: &mut Diagnostics, row: &Row<'_>) {
        let code = row.get(sheet.column("code"));
        let what = CodeColumn::ALL.map(|(name, _)| Arc::from(row.get(sheet.column(name))));
        let mut wrong = |name: &str, message: String, hint: Option<String>| {
            let column = sheet.column(name);
            sheet.wrong(diags, row, column, Wrong { code: "G013", message, hint, ..Wrong::default() });
        };
        if code.is_empty() {
            return wrong("code", "a row without a code".to_owned(), None);
        }
        if self.exact.len() + self.globs.len() == MAX_ROWS {
            return wrong("code", format!("more than {MAX_ROWS} codes"), None);
        }
        let known = Severity::ALL.map(Severity::as_str);
        let severity: &str = &what[CodeColumn::Severity as usize];
        if !severity.is_empty() && !known.contains(&severity) {
            let hint = did_you_mean(severity, known).map(|near| format!("did you mean `{near}`?"));
            let hint = hint.unwrap_or_else(|| format!("one of {}", known.join(", ")));
            return wrong("severity", format!("'{severity}' is not a severity"), Some(hint));
        }
        if code.contains('*') {
            self.globs.push((code.into(), what));
        } else if self.exact.insert(code.into(), what).is_some() {
            wrong("code", format!("'{code}' stands twice"), None);
        }
    }

    /// What the table says of a code; `None` if nothing.
    #[must_use]
    pub fn get(&self, code: &str, column: CodeColumn) -> Option<&Arc<str>> {
        let glob = || self.globs.iter().find(|(glob, _)| matches_glob(glob, code)).map(|(_, row)| row);
        let row = self.exact.get(code).or_else(glob)?;
        Some(&row[column as usize]).filter(|text| !text.is_empty())
    }

    /// Whether any row says `value` in this column.
    #[must_use]
    pub fn has(&self, column: CodeColumn, value: &str) -> bool {
        self.values(column).any(|v| &**v == value)
    }

    /// All that the rows say in this column, with repetitions.
    pub fn values(&self, column: CodeColumn) -> impl Iterator<Item = &Arc<str>> {
        let rows = self.exact.values().chain(self.globs.iter().map(|(_, row)| row));
        rows.map(move |row| &row[column as usize]).filter(|text| !text.is_empty())
    }
}

/// Whether a text is one that a glob stands for: `*` is any run of characters.
#[must_use]
pub fn matches_glob(glob: &str, text: &str) -> bool {
    let Some((head, tail)) = glob.split_once('*') else { return glob == text };
    let Some(rest) = text.strip_prefix(head) else { return false };
    (0..=rest.len()).filter(|i| rest.is_char_boundary(*i)).any(|i| matches_glob(tail, &rest[i..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBD2: &str = "code,class,severity,text\n\
        P0301,misfire,major,Cylinder 1 misfires\n\
        P03*,misfire,minor,A cylinder misfires\n\
        P04*,emission,,\n";

    fn load(text: &str) -> (CodeTables, Diagnostics) {
        let mut diags = Diagnostics::default();
        let file = diags.add_file("config/codes/obd2.csv", text);
        (CodeTables::load(&mut diags, &[file]), diags)
    }

    #[test]
    fn a_row_of_its_own_goes_before_a_glob() {
        let (tables, diags) = load(OBD2);
        assert!(diags.list().is_empty(), "{}", diags.render(false));
        let table = tables.get("obd2").unwrap();
        for (code, column, text) in [
            ("P0301", CodeColumn::Text, Some("Cylinder 1 misfires")),
            ("P0302", CodeColumn::Text, Some("A cylinder misfires")),
            ("P0302", CodeColumn::Severity, Some("minor")),
            ("P0420", CodeColumn::Class, Some("emission")),
            ("P0420", CodeColumn::Text, None),
            ("U0100", CodeColumn::Class, None),
        ] {
            assert_eq!(table.get(code, column).map(|t| &**t), text, "{code}");
        }
        assert!(table.has(CodeColumn::Class, "emission") && !table.has(CodeColumn::Class, "oil"));
    }

    #[test]
    fn mistakes_are_reported_with_their_places() {
        let (_, diags) = load("code,class,severity,text\nP1,a,majr,x\n,a,,x\nP2,a,,x\nP2,b,,y\n");
        let shown = diags.render(false);
        for said in ["did you mean `major`?", "a row without a code", "'P2' stands twice", "obd2.csv:5:1"] {
            assert!(shown.contains(said), "{said}:\n{shown}");
        }
        let (_, diags) = load("code,klass\nP1,a\n");
        assert!(diags.render(false).contains("did you mean `class`?"), "{}", diags.render(false));
    }

    #[test]
    fn globs() {
        for (glob, text, fits) in [("P03*", "P0301", true), ("*1", "P01", true), ("*", "", true), ("P*1*", "P2", false)]
        {
            assert_eq!(matches_glob(glob, text), fits, "{glob} {text}");
        }
    }
}
