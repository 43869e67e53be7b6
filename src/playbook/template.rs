//! Templates in playbooks and messages: minijinja, strict about unknown names.

use std::sync::Arc;

use minijinja::{AutoEscape, Environment, UndefinedBehavior};

use super::calendar;
use super::speak::add_filters;

/// A checked template of a playbook field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    source: Arc<str>,
    names: Vec<String>,
}

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// One sentence.
    pub message: String,
    /// Bytes of the template, if known.
    pub span: Option<std::ops::Range<usize>>,
}

impl From<minijinja::Error> for TemplateError {
    fn from(e: minijinja::Error) -> Self {
        let message = match e.detail() {
            Some(detail) => format!("{}: {detail}", e.kind()),
            None => e.kind().to_string(),
        };
        Self { message, span: e.range() }
    }
}

/// What every template is rendered with: unknown names are mistakes, HTML is escaped by file name, work is bounded.
pub(super) fn environment() -> Environment<'static> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_auto_escape_callback(|name| if name.ends_with(".html") { AutoEscape::Html } else { AutoEscape::None });
    env.set_recursion_limit(64);
    add_filters(&mut env);
    env.add_filter("day", calendar::day);
    env.add_filter("day_short", calendar::day_short);
    // Mistakes name their place in release builds too.
    env.set_debug(true);
    env
}

impl Template {
    /// Checks the syntax of `source`.
    ///
    /// # Errors
    /// What is wrong and, if known, where.
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        let env = environment();
        let parsed = env.template_from_str(source)?;
        let mut names: Vec<String> = parsed.undeclared_variables(true).into_iter().collect();
        names.sort();
        Ok(Self { source: source.into(), names })
    }

    /// As written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Dotted names that it reads, sorted.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Fills it in.
    ///
    /// # Errors
    /// A name that the case does not know.
    pub fn render(&self, facts: &serde_json::Value) -> Result<String, TemplateError> {
        Ok(environment().render_str(&self.source, values(facts))?)
    }
}

/// Facts as templates see them.
pub(super) fn values(facts: &serde_json::Value) -> minijinja::Value {
    use serde_json::Value;
    match facts {
        // Not `undefined`: a fact that is known to be absent may be tested in a template.
        Value::Null => minijinja::Value::from(()),
        Value::Bool(b) => (*b).into(),
        Value::Number(n) => match (n.as_i64(), n.as_f64()) {
            (Some(i), _) => i.into(),
            (None, Some(x)) => x.into(),
            (None, None) => ().into(),
        },
        Value::String(s) => s.as_str().into(),
        Value::Array(items) => items.iter().map(values).collect(),
        Value::Object(fields) => minijinja::Value::from_pairs(fields.iter().map(|(k, v)| (k.as_str(), values(v)))),
    }
}
