//! Templates in playbooks and messages: minijinja, strict about unknown names.

use std::sync::Arc;

use super::calendar;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior};

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
    env.add_filter("plural", plural);
    env.add_filter("day", calendar::day);
    // Mistakes name their place in release builds too.
    env.set_debug(true);
    env
}

/// `{{ n|plural("minute", "minutes") }}`: the form that goes with the number in the language of the text, which is the
/// first part of its name. English and German have two forms, the Slavic languages three: 1, 2 to 4, the rest.
#[expect(clippy::needless_pass_by_value, reason = "the shape of a filter")]
fn plural(state: &minijinja::State<'_, '_>, n: i64, forms: minijinja::value::Rest<String>) -> Result<String, Error> {
    let language = state.name().split(['/', '-', '_']).next().unwrap_or("en");
    let (last, teen) = (n.unsigned_abs() % 10, (11..=14).contains(&(n.unsigned_abs() % 100)));
    let (form, needed) = match language {
        "pl" if n == 1 => (0, 3),
        "uk" | "ru" if last == 1 && !teen => (0, 3),
        "pl" | "uk" | "ru" if (2..=4).contains(&last) && !teen => (1, 3),
        "pl" | "uk" | "ru" => (2, 3),
        _ => (usize::from(n != 1), 2),
    };
    if forms.len() != needed {
        let message = format!("plural needs {needed} forms in '{language}', not {}", forms.len());
        return Err(Error::new(ErrorKind::InvalidOperation, message));
    }
    Ok(forms[form].clone())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_the_form_of_their_language() {
        let slavic = "'минуту', 'минуты', 'минут'";
        for (locale, forms, expected) in [
            ("en", "'minute', 'minutes'", ["minutes", "minute", "minutes", "minutes", "minutes", "minutes"]),
            ("de-AT", "'Minute', 'Minuten'", ["Minuten", "Minute", "Minuten", "Minuten", "Minuten", "Minuten"]),
            ("pl", "'minutę', 'minuty', 'minut'", ["minut", "minutę", "minuty", "minut", "minut", "minuty"]),
            ("ru", slavic, ["минут", "минуту", "минуты", "минут", "минуту", "минуты"]),
            ("uk", slavic, ["минут", "минуту", "минуты", "минут", "минуту", "минуты"]),
        ] {
            for (n, expected) in [0, 1, 3, 12, 21, 104].into_iter().zip(expected) {
                let mut env = environment();
                env.add_template_owned(format!("{locale}/x.voice.txt"), format!("{{{{ {n}|plural({forms}) }}}}"))
                    .unwrap();
                let text = env.get_template(&format!("{locale}/x.voice.txt")).unwrap().render(()).unwrap();
                assert_eq!(text, expected, "{locale} {n}");
            }
        }
        let mut env = environment();
        env.add_template("pl/x.voice.txt", "{{ 3|plural('a', 'b') }}").unwrap();
        let error = env.get_template("pl/x.voice.txt").unwrap().render(()).unwrap_err();
        assert!(error.to_string().contains("plural needs 3 forms in 'pl', not 2"), "{error}");
    }
}
