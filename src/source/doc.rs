//! A TOML file whose every value knows its place, read key by key.
//!
//! Reading is by asking: `table.text(diags, "id")` gives the value or records the mistake. [`Table::finish`] then
//! reports every key that nobody asked for, so that a misspelt key never passes in silence.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::{Diagnostic, Diagnostics, FileId, Place, did_you_mean, terse};

/// A parsed TOML file.
#[derive(Debug)]
pub struct Doc {
    code: &'static str,
    file: FileId,
    root: Node,
}

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Item<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

/// A string value; knows where its characters stand, so that a language inside it can point at them.
pub type Text = Item<Arc<str>>;

impl Text {
    /// The place of bytes `range` of the string itself (without the quotes). Exact unless the string holds escapes;
    /// then it is the whole string.
    #[must_use]
    pub fn inner(&self, diags: &Diagnostics, range: Range<usize>) -> Place {
        let text = diags.text(self.place.file);
        let raw = text.get(self.place.span.clone()).unwrap_or("");
        match raw.find(&*self.value) {
            Some(offset) => {
                let start = self.place.span.start + offset;
                Place { file: self.place.file, span: start + range.start..start + range.end }
            }
            None => self.place.clone(),
        }
    }
}

#[derive(Debug)]
struct Node {
    span: Range<usize>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Text(Arc<str>),
    Int(i64),
    Float(f64),
    Bool(bool),
    Datetime,
    Array(Vec<Node>),
    Table(Vec<Entry>),
}

#[derive(Debug)]
struct Entry {
    key: Arc<str>,
    key_span: Range<usize>,
    node: Node,
}

impl Doc {
    /// Parses a file. Syntax errors are recorded under `code`, all of them; what could be read is still returned.
    /// The same code is used for wrong types, missing and unknown keys in this file.
    pub fn parse(diags: &mut Diagnostics, code: &'static str, file: FileId) -> Self {
        let text = diags.text(file).clone();
        let (root, errors) = DeTable::parse_recoverable(&text);
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            diags.push(Diagnostic::error(code, error.message().to_owned()).at(Place { file, span }, ""));
        }
        let span = root.span();
        Self { code, file, root: Node { span, kind: table(root.into_inner()) } }
    }

    /// The place of the key at the end of `path`, or of the longest part of it that is in the file.
    #[must_use]
    pub fn find(&self, path: &[&str]) -> Option<Place> {
        let mut node = &self.root;
        let mut found = None;
        for step in path {
            node = match &node.kind {
                Kind::Table(entries) => match entries.iter().find(|e| *e.key == **step) {
                    Some(entry) => {
                        found = Some(entry.key_span.clone());
                        &entry.node
                    }
                    None => break,
                },
                Kind::Array(items) => match step.parse::<usize>().ok().and_then(|i| items.get(i)) {
                    Some(item) => {
                        found = Some(item.span.clone());
                        item
                    }
                    None => break,
                },
                _ => break,
            };
        }
        found.map(|span| self.root().at(&span))
    }

    /// The whole file as a table.
    #[must_use]
    pub fn root(&self) -> Table<'_> {
        self.root.as_table(self.code, self.file).unwrap_or_else(|| Table::new(self.code, self.file, 0..0, &[]))
    }
}

fn table(t: DeTable<'_>) -> Kind {
    let mut entries: Vec<Entry> = t
        .into_iter()
        .map(|(k, v)| Entry {
            key_span: k.span(),
            key: k.into_inner().into(),
            node: Node { span: v.span(), kind: kind(v.into_inner()) },
        })
        .collect();
    // As written, not as sorted: findings and `let`s follow the file.
    entries.sort_by_key(|e| e.key_span.start);
    Kind::Table(entries)
}

fn kind(v: DeValue<'_>) -> Kind {
    match v {
        DeValue::String(s) => Kind::Text(s.into()),
        DeValue::Integer(i) => match i64::from_str_radix(i.as_str(), i.radix()) {
            Ok(n) => Kind::Int(n),
            Err(_) => Kind::Float(f64::INFINITY),
        },
        DeValue::Float(x) => Kind::Float(x.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(b) => Kind::Bool(b),
        DeValue::Datetime(_) => Kind::Datetime,
        DeValue::Array(items) => {
            Kind::Array(items.into_iter().map(|i| Node { span: i.span(), kind: kind(i.into_inner()) }).collect())
        }
        DeValue::Table(t) => table(t),
    }
}

impl Node {
    fn as_table(&self, code: &'static str, file: FileId) -> Option<Table<'_>> {
        match &self.kind {
            Kind::Table(entries) => Some(Table::new(code, file, self.span.clone(), entries)),
            _ => None,
        }
    }

    fn what(&self) -> &'static str {
        match self.kind {
            Kind::Text(_) => "a string",
            Kind::Int(_) => "an integer",
            Kind::Float(_) => "a number",
            Kind::Bool(_) => "true or false",
            Kind::Datetime => "a date",
            Kind::Array(_) => "a list",
            Kind::Table(_) => "a table",
        }
    }
}

/// A table being read. Every method takes the key; a method without `need_` returns `None` when the key is absent,
/// a wrong type is recorded and also gives `None`.
#[derive(Debug)]
pub struct Table<'a> {
    code: &'static str,
    file: FileId,
    span: Range<usize>,
    entries: &'a [Entry],
    asked: RefCell<Vec<String>>,
}

impl<'a> Table<'a> {
    fn new(code: &'static str, file: FileId, span: Range<usize>, entries: &'a [Entry]) -> Self {
        Self { code, file, span, entries, asked: RefCell::default() }
    }

    /// Where the table stands (its header, or its braces).
    #[must_use]
    pub fn place(&self) -> Place {
        self.at(&self.span)
    }

    /// All keys in the order of the file, with their places. Marks nothing as asked for.
    pub fn keys(&self) -> impl Iterator<Item = Text> + '_ {
        self.entries.iter().map(|e| Item { value: e.key.clone(), place: self.at(&e.key_span) })
    }

    /// Whether the key is present.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|e| &*e.key == key)
    }

    /// A string.
    pub fn text(&self, diags: &mut Diagnostics, key: &str) -> Option<Text> {
        self.typed(diags, key, "a string", |k| match k {
            Kind::Text(t) => Some(t.clone()),
            _ => None,
        })
    }

    /// A string that must be there.
    pub fn need_text(&self, diags: &mut Diagnostics, key: &str) -> Option<Text> {
        self.need(diags, key);
        self.text(diags, key)
    }

    /// A string that parses as `T` (a duration, a severity): `expected` finishes the sentence "expected …".
    pub fn parsed<T: FromStr>(&self, diags: &mut Diagnostics, key: &str, expected: &str) -> Option<Item<T>> {
        if let Some(Kind::Int(n)) = self.entry(key).map(|entry| &entry.node.kind)
            && *n > 0
            && format!("{n}s").parse::<T>().is_ok()
        {
            let place = self.entry(key).map(|entry| self.at(&entry.node.span))?;
            let finding = Diagnostic::error(self.code, format!("`{key}` is {n}, a number without a unit"));
            diags.push(finding.at(place, format!("expected {expected}")).hint(format!("write {key} = \"{n}s\"")));
            return None;
        }
        let text = self.text(diags, key)?;
        match text.value.parse() {
            Ok(value) => Some(Item { value, place: text.place }),
            Err(_) => {
                let message = format!("`{key}` is '{}', which is not {expected}", text.value);
                let meant = terse(&text.value).filter(|meant| meant.parse::<T>().is_ok());
                let finding = Diagnostic::error(self.code, message).at(text.place, format!("expected {expected}"));
                diags.push(finding.maybe_hint(meant.map(|meant| format!("write {key} = \"{meant}\""))));
                None
            }
        }
    }

    /// A number, whole or not.
    pub fn number(&self, diags: &mut Diagnostics, key: &str) -> Option<Item<f64>> {
        #[expect(clippy::cast_precision_loss, reason = "settings are far below 2^53")]
        self.typed(diags, key, "a number", |k| match k {
            Kind::Int(i) => Some(*i as f64),
            Kind::Float(x) => Some(*x),
            _ => None,
        })
    }

    /// A whole number of at least 0.
    pub fn count(&self, diags: &mut Diagnostics, key: &str) -> Option<Item<u32>> {
        self.typed(diags, key, "a whole number of at least 0", |k| match k {
            Kind::Int(i) => u32::try_from(*i).ok(),
            _ => None,
        })
    }

    /// `true` or `false`.
    pub fn flag(&self, diags: &mut Diagnostics, key: &str) -> Option<Item<bool>> {
        self.typed(diags, key, "true or false", |k| match k {
            Kind::Bool(b) => Some(*b),
            _ => None,
        })
    }

    /// A list of strings, or one string standing for a list of one; empty when absent.
    pub fn texts(&self, diags: &mut Diagnostics, key: &str) -> Vec<Text> {
        self.scalars(diags, key, "a list of strings", |k| match k {
            Kind::Text(t) => Some(t.clone()),
            _ => None,
        })
    }

    /// A list of numbers; empty when absent.
    pub fn numbers(&self, diags: &mut Diagnostics, key: &str) -> Vec<Item<f64>> {
        #[expect(clippy::cast_precision_loss, reason = "settings are far below 2^53")]
        self.scalars(diags, key, "a list of numbers", |k| match k {
            Kind::Int(i) => Some(*i as f64),
            Kind::Float(x) => Some(*x),
            _ => None,
        })
    }

    /// A table.
    pub fn table(&self, diags: &mut Diagnostics, key: &str) -> Option<Self> {
        let entry = self.entry(key)?;
        let table = entry.node.as_table(self.code, self.file);
        if table.is_none() {
            self.wrong(diags, key, &entry.node, "a table");
        }
        table
    }

    /// A list of tables (`[[step]]`); empty when absent.
    pub fn tables(&self, diags: &mut Diagnostics, key: &str) -> Vec<Self> {
        let Some(entry) = self.entry(key) else { return Vec::new() };
        let Kind::Array(items) = &entry.node.kind else {
            self.wrong(diags, key, &entry.node, "a list of tables");
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in items {
            match item.as_table(self.code, self.file) {
                Some(t) => tables.push(t),
                None => self.wrong(diags, key, item, "a table"),
            }
        }
        tables
    }

    /// What kind of value a key has, for keys that take several: `"a string"`, `"a table"`, `"a list"`, …
    #[must_use]
    pub fn what(&self, key: &str) -> Option<&'static str> {
        self.entries.iter().find(|e| &*e.key == key).map(|e| e.node.what())
    }

    /// Records that `key` is missing, if it is.
    pub fn need(&self, diags: &mut Diagnostics, key: &str) {
        if !self.has(key) {
            let message = format!("`{key}` is missing");
            diags.push(Diagnostic::error(self.code, message).at(self.place(), format!("needs `{key}`")));
        }
    }

    /// Reports every key that was never asked for.
    pub fn finish(self, diags: &mut Diagnostics) {
        let asked = self.asked.borrow();
        for entry in self.entries {
            if asked.iter().any(|a| **a == *entry.key) {
                continue;
            }
            let known = || asked.iter().map(String::as_str);
            let hint = match did_you_mean(&entry.key, known()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!(
                    "known here: {}",
                    known().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
                ),
            };
            diags.push(
                Diagnostic::error(self.code, format!("unknown key `{}`", entry.key))
                    .at(self.at(&entry.key_span), "not known here")
                    .hint(hint),
            );
        }
    }

    fn at(&self, span: &Range<usize>) -> Place {
        Place { file: self.file, span: span.clone() }
    }

    fn entry(&self, key: &str) -> Option<&'a Entry> {
        self.asked.borrow_mut().push(key.to_owned());
        self.entries.iter().find(|e| &*e.key == key)
    }

    fn typed<T>(
        &self,
        diags: &mut Diagnostics,
        key: &str,
        expected: &str,
        get: impl Fn(&Kind) -> Option<T>,
    ) -> Option<Item<T>> {
        let entry = self.entry(key)?;
        match get(&entry.node.kind) {
            Some(value) => Some(Item { value, place: self.at(&entry.node.span) }),
            None => {
                self.wrong(diags, key, &entry.node, expected);
                None
            }
        }
    }

    fn scalars<T>(
        &self,
        diags: &mut Diagnostics,
        key: &str,
        expected: &str,
        get: impl Fn(&Kind) -> Option<T>,
    ) -> Vec<Item<T>> {
        let Some(entry) = self.entry(key) else { return Vec::new() };
        let items = match &entry.node.kind {
            Kind::Array(items) => items.as_slice(),
            _ => std::slice::from_ref(&entry.node),
        };
        let mut values = Vec::new();
        for item in items {
            match get(&item.kind) {
                Some(value) => values.push(Item { value, place: self.at(&item.span) }),
                None => self.wrong(diags, key, item, expected),
            }
        }
        values
    }

    fn wrong(&self, diags: &mut Diagnostics, key: &str, node: &Node, expected: &str) {
        let message = format!("`{key}` must be {expected}, not {}", node.what());
        diags.push(Diagnostic::error(self.code, message).at(self.at(&node.span), format!("expected {expected}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Span;

    #[test]
    fn every_mistake_is_reported_with_its_place() {
        let mut diags = Diagnostics::default();
        let text = "id = 7\nholdd = \"10m\"\nevery = \"soon\"\nwhen = \"a > 1\"\n";
        let file = diags.add_file("rules/x.toml", text);
        let doc = Doc::parse(&mut diags, "R001", file);
        let root = doc.root();
        assert!(root.need_text(&mut diags, "id").is_none());
        assert!(root.parsed::<Span>(&mut diags, "hold", "a duration").is_none());
        assert!(root.parsed::<Span>(&mut diags, "every", "a duration such as 10s").is_none());
        let when = root.need_text(&mut diags, "when").unwrap();
        assert_eq!(diags.line_column(&when.inner(&diags, 4..5)), (4, 13));
        root.need(&mut diags, "models");
        root.finish(&mut diags);
        let messages: Vec<&str> = diags.list().iter().map(|d| d.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "`id` must be a string, not an integer",
                "`every` is 'soon', which is not a duration such as 10s",
                "`models` is missing",
                "unknown key `holdd`"
            ]
        );
        let shown = diags.render(false);
        assert!(shown.contains("rules/x.toml:2:1") && shown.contains("did you mean `hold`?"), "{shown}");
    }

    #[test]
    fn syntax_errors_do_not_hide_each_other() {
        let mut diags = Diagnostics::default();
        let file = diags.add_file("a.toml", "a = \nb = 1\nc = = 2\n");
        let doc = Doc::parse(&mut diags, "R001", file);
        assert_eq!(doc.root().number(&mut diags, "b").map(|i| i.value), Some(1.0));
        assert!(diags.list().len() >= 2);
    }
}
