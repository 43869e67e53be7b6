//! A CSV file, row by row, whose findings know the place of their field.

use std::collections::BTreeMap;
use std::ops::Range;

use csv::StringRecord;

use crate::model::limits::MAX_FINDINGS_A_FILE;
use crate::source::{Diagnostic, Diagnostics, FileId, Place, did_you_mean};

/// A file being read.
pub(in crate::model) struct Sheet {
    file: FileId,
    text: std::sync::Arc<str>,
    header: Vec<String>,
    findings: usize,
}

/// One row.
pub(in crate::model) struct Row<'a> {
    record: &'a StringRecord,
    /// Where it begins in the file.
    pub(in crate::model) at: usize,
}

impl<'a> Row<'a> {
    /// A field without the spaces around it; empty if there is no such column.
    pub(in crate::model) fn get(&self, column: Option<usize>) -> &'a str {
        column.and_then(|column| self.record.get(column)).unwrap_or("").trim()
    }
}

impl Sheet {
    /// Reads the header of `file` and calls `each` for every row that has as many fields. `None`: no usable header.
    pub(in crate::model) fn read(
        diags: &mut Diagnostics,
        file: FileId,
        check_header: impl FnOnce(&mut Self, &mut Diagnostics) -> bool,
        mut each: impl FnMut(&mut Self, &mut Diagnostics, &Row<'_>),
    ) {
        let text = diags.text(file).clone();
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
        let mut sheet = Self { file, text: text.clone(), header: Vec::new(), findings: 0 };
        match reader.headers() {
            Ok(header) => sheet.header = header.iter().map(|name| name.trim().to_owned()).collect(),
            Err(error) => return sheet.unreadable(diags, &error),
        }
        if !sheet.is_table(diags) {
            return;
        }
        let unique = sheet.columns_are_unique(diags);
        if !check_header(&mut sheet, diags) || !unique {
            return;
        }
        let mut record = StringRecord::new();
        loop {
            match reader.read_record(&mut record) {
                Ok(false) => return,
                Ok(true) => {}
                Err(error) => return sheet.unreadable(diags, &error),
            }
            if sheet.findings >= MAX_FINDINGS_A_FILE {
                let message = format!("{}: not read further after {} mistakes", diags.path(file), sheet.findings);
                return diags.push(Diagnostic::error("G001", message).hint("mend these and look again"));
            }
            let at = record.position().map_or(0, |p| usize::try_from(p.byte()).unwrap_or(usize::MAX));
            let row = Row { record: &record, at };
            if record.len() == sheet.header.len() {
                each(&mut sheet, diags, &row);
            } else {
                sheet.wrong_length(diags, &row);
            }
        }
    }

    /// The number of a column.
    pub(in crate::model) fn column(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|h| h == name)
    }

    /// The names of the columns.
    pub(in crate::model) fn columns(&self) -> &[String] {
        &self.header
    }

    /// Checks that exactly `known` columns are there; those in `optional` may be missing.
    pub(in crate::model) fn only(&mut self, diags: &mut Diagnostics, known: &[&str], optional: &[&str]) -> bool {
        let mut good = true;
        for (i, name) in self.header.clone().iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let near = did_you_mean(name, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
                let hint = near.unwrap_or_else(|| format!("the columns are {}", known.join(",")));
                let finding = Diagnostic::error("G002", format!("unknown column '{name}'"));
                self.push(diags, finding.at(self.header_place(i), "").hint(hint));
                good = false;
            }
        }
        for name in known.iter().filter(|name| !optional.contains(name)) {
            good &= self.needs(diags, name);
        }
        good
    }

    /// Checks that a column is there.
    pub(in crate::model) fn needs(&mut self, diags: &mut Diagnostics, name: &str) -> bool {
        let there = self.column(name).is_some();
        if !there {
            let finding = Diagnostic::error("G002", format!("the column `{name}` is missing"));
            let line = self.text.find('\n').unwrap_or(self.text.len());
            self.push(diags, finding.at(self.place(0..line), ""));
        }
        there
    }

    /// Records a finding at a field of a row.
    pub(in crate::model) fn wrong(
        &mut self,
        diags: &mut Diagnostics,
        row: &Row<'_>,
        column: Option<usize>,
        finding: Wrong,
    ) {
        let place = self.field(row.at, column.unwrap_or(0));
        let mut diagnostic = Diagnostic::error(finding.code, finding.message).at(place, finding.label);
        if let Some((at, column, label)) = finding.related {
            diagnostic = diagnostic.related(self.field(at, column), label);
        }
        self.push(diags, diagnostic.maybe_hint(finding.hint));
    }

    /// Records any finding, and counts it.
    pub(in crate::model) fn push(&mut self, diags: &mut Diagnostics, finding: Diagnostic) {
        self.findings += 1;
        diags.push(finding);
    }

    /// The place of a column's name.
    pub(in crate::model) fn header_place(&self, column: usize) -> Place {
        let start = if self.text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        self.field(start, column)
    }

    fn is_table(&mut self, diags: &mut Diagnostics) -> bool {
        if self.header.is_empty() {
            let finding =
                Diagnostic::error("G002", "the file is empty").at(self.place(0..0), "the columns' names go here");
            self.push(diags, finding);
            return false;
        }
        if let [only] = self.header.as_slice()
            && only.contains([';', '\t'])
        {
            let finding = Diagnostic::error("G002", "the fields are not separated by commas");
            let finding = finding.at(self.header_place(0), "one column").hint("save the file as CSV with commas");
            self.push(diags, finding);
            return false;
        }
        true
    }

    fn columns_are_unique(&mut self, diags: &mut Diagnostics) -> bool {
        let mut first: BTreeMap<String, usize> = BTreeMap::new();
        let mut good = true;
        for (i, name) in self.header.clone().into_iter().enumerate() {
            if let Some(before) = first.insert(name.clone(), i) {
                let finding = Diagnostic::error("G002", format!("two columns '{name}'"));
                let finding = finding.at(self.header_place(i), "").related(self.header_place(before), "the first");
                self.push(diags, finding);
                good = false;
            }
        }
        good
    }

    fn wrong_length(&mut self, diags: &mut Diagnostics, row: &Row<'_>) {
        let (has, needs) = (row.record.len(), self.header.len());
        let message = format!("{has} fields, and the header names {needs}");
        let place = self.field(row.at, has.min(needs + 1) - 1);
        let hint = (has > needs).then(|| "a comma inside a field needs quotes: \"Smith, Jane\"".to_owned());
        let label = if has > needs { "one too many" } else { "the last one" };
        self.push(diags, Diagnostic::error("G001", message).at(place, label).maybe_hint(hint));
    }

    fn unreadable(&mut self, diags: &mut Diagnostics, error: &csv::Error) {
        let start = error.position().and_then(|p| usize::try_from(p.byte()).ok()).unwrap_or(0);
        let finding = Diagnostic::error("G001", format!("not CSV: {error}")).at(self.place(start..start), "");
        self.push(diags, finding);
    }

    fn place(&self, span: Range<usize>) -> Place {
        Place { file: self.file, span }
    }

    /// The place of field `column` of the row that begins at or (after blank lines) soon after `at`.
    fn field(&self, at: usize, column: usize) -> Place {
        let rest = self.text.get(at..).unwrap_or("");
        let row_start = at + rest.len() - rest.trim_start_matches(['\r', '\n']).len();
        let (mut start, mut number, mut quoted) = (row_start, 0, false);
        let row = self.text.get(row_start..).unwrap_or("");
        let mut end = self.text.len();
        for (i, byte) in row.bytes().enumerate() {
            match byte {
                b'"' => quoted = !quoted,
                b',' | b'\n' | b'\r' if !quoted => {
                    if number == column || byte != b',' {
                        end = row_start + i;
                        break;
                    }
                    number += 1;
                    start = row_start + i + 1;
                }
                _ => {}
            }
        }
        let field = self.text.get(start..end).unwrap_or("");
        let before = field.len() - field.trim_start().len();
        let trimmed = field.trim();
        self.place(start + before..start + before + trimmed.len())
    }
}

/// What is wrong with a field.
#[derive(Debug, Default)]
pub(in crate::model) struct Wrong {
    pub(in crate::model) code: &'static str,
    pub(in crate::model) message: String,
    pub(in crate::model) label: &'static str,
    pub(in crate::model) hint: Option<String>,
    /// Another row (where it begins) and column of the same file.
    pub(in crate::model) related: Option<(usize, usize, &'static str)>,
}
