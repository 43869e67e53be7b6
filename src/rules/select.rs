//! Which codes are meant: one, a glob, or those of which a code table says something.

use std::fmt;
use std::sync::Arc;

use super::check::Checker;
use super::expr::{Expr, Kind, Operator};
use crate::model::{CodeColumn, CodeTables, matches_glob};
use crate::source::{Diagnostic, did_you_mean};

/// A choice of codes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Sel {
    All,
    Glob(Arc<str>),
    /// Table, column, value.
    Says(Arc<str>, CodeColumn, Arc<str>),
    Not(Box<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
}

impl Sel {
    pub(crate) fn takes(&self, code: &str, tables: &CodeTables) -> bool {
        match self {
            Self::All => true,
            Self::Glob(glob) => matches_glob(glob, code),
            Self::Says(table, column, value) => {
                tables.get(table).and_then(|t| t.get(code, *column)).is_some_and(|said| said == value)
            }
            Self::Not(inner) => !inner.takes(code, tables),
            Self::And(a, b) => a.takes(code, tables) && b.takes(code, tables),
            Self::Or(a, b) => a.takes(code, tables) || b.takes(code, tables),
        }
    }
}

impl fmt::Display for Sel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Glob(glob) => write!(f, "'{glob}'"),
            Self::Says(table, column, value) => write!(f, "codes.{table}.{} == '{value}'", column.as_str()),
            Self::Not(inner) => write!(f, "!({inner})"),
            Self::And(a, b) => write!(f, "({a} && {b})"),
            Self::Or(a, b) => write!(f, "({a} || {b})"),
        }
    }
}

impl Checker<'_> {
    /// Reads `'P0301'`, `'P03*'`, or `codes.obd2.class in ['misfire', 'oil']` and the like.
    pub(super) fn selection(&mut self, e: &Expr) -> Option<Sel> {
        let both = |a: Option<Sel>, b: Option<Sel>| Some((Box::new(a?), Box::new(b?)));
        match &e.kind {
            Kind::Text(glob) => Some(Sel::Glob(glob.clone())),
            Kind::Not(inner) => Some(Sel::Not(Box::new(self.selection(inner)?))),
            Kind::Binary(Operator::And, a, b) => {
                let (a, b) = both(self.selection(a), self.selection(b))?;
                Some(Sel::And(a, b))
            }
            Kind::Binary(Operator::Or, a, b) => {
                let (a, b) = both(self.selection(a), self.selection(b))?;
                Some(Sel::Or(a, b))
            }
            Kind::Binary(Operator::Eq, column, value) => self.says(column, value),
            Kind::Binary(Operator::Ne, column, value) => Some(Sel::Not(Box::new(self.says(column, value)?))),
            Kind::In(column, values) => {
                let each: Vec<Option<Sel>> = values.iter().map(|value| self.says(column, value)).collect();
                let each = each.into_iter().collect::<Option<Vec<_>>>()?;
                each.into_iter().reduce(|a, b| Sel::Or(Box::new(a), Box::new(b)))
            }
            _ => {
                let finding = Diagnostic::error("R053", "this does not say which codes are meant");
                let hint = "write 'P0301', 'P03*', or a question to a code table: codes.obd2.class == 'misfire'";
                self.report(finding.hint(hint), e, "");
                None
            }
        }
    }

    fn says(&mut self, column: &Expr, value: &Expr) -> Option<Sel> {
        let (table, asked) = self.code_column(column)?;
        let Kind::Text(text) = &value.kind else {
            let finding = Diagnostic::error("R053", "a code table holds texts").hint("write it in single quotes");
            self.report(finding, value, "not a text");
            return None;
        };
        let tables = self.tables.program.codes.clone();
        let known = tables.get(&table)?;
        if known.has(asked, text) {
            return Some(Sel::Says(table, asked, text.clone()));
        }
        let hint = did_you_mean(text, known.values(asked).map(|v| &**v)).map(|v| format!("did you mean '{v}'?"));
        let message = format!("no code of table '{table}' has {} '{text}'", asked.as_str());
        self.report(Diagnostic::error("R055", message).maybe_hint(hint), value, "never true");
        None
    }

    /// `codes.obd2.class`, or `class` while there is only one table.
    pub(super) fn code_column(&mut self, e: &Expr) -> Option<(Arc<str>, CodeColumn)> {
        let tables = self.tables.program.codes.clone();
        let only = || tables.names().next().filter(|_| tables.names().count() == 1).cloned();
        let (table, column) = match &e.kind {
            Kind::Field(base, field) if &*base.text == "codes" => {
                let (table, column) = field.text.split_once('.').unwrap_or((&field.text, ""));
                (Some(Arc::from(table)), column)
            }
            Kind::Name(column) => (only(), &**column),
            _ => (None, ""),
        };
        let Some(table) = table else {
            let finding = Diagnostic::error("R053", "this does not say which code table is asked");
            self.report(finding.hint("write codes.<table>.class"), e, "");
            return None;
        };
        if tables.get(&table).is_none() {
            let near = did_you_mean(&table, tables.names().map(|n| &**n)).map(|n| format!("did you mean `codes.{n}`?"));
            let hint = near.unwrap_or_else(|| "code tables are files such as codes/obd2.csv".to_owned());
            let finding = Diagnostic::error("R054", format!("there is no code table '{table}'")).hint(hint);
            self.report(finding, e, "");
            return None;
        }
        let found = CodeColumn::ALL.into_iter().find(|(name, _)| *name == column);
        if found.is_none() {
            let names = CodeColumn::ALL.map(|(name, _)| name);
            let near = did_you_mean(column, names).map(|n| format!("did you mean `codes.{table}.{n}`?"));
            let hint = near.unwrap_or_else(|| format!("a table has {}", names.join(", ")));
            let finding = Diagnostic::error("R054", format!("a code table has no column '{column}'")).hint(hint);
            self.report(finding, e, "");
        }
        found.map(|(_, column)| (table, column))
    }
}
