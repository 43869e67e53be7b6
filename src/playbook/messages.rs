//! The texts people hear and read: `<locale>/<script>.<part>`, with a fall-back from `de-AT` over `de` to `en`; what they
//! share in `layout/`; `<locale>/faults.toml`, faults in plain words; `instructions/<name>.<locale>.md`, what mails have
//! attached. `<locale>/<script>.item.txt` is what a script says as a part of `<locale>/several.<part>`, when one person is
//! told of several cases at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use minijinja::Environment;

use super::names::{Audience, check_name};
use super::speak;
use super::template::{environment, values};
use super::words::{self, Words};
use super::{Template, TemplateError};
use crate::domain::PageKind;
use crate::source::{Diagnostic, Diagnostics, FileId, Place, did_you_mean};

/// The last resort of every fall-back.
const FALLBACK: &str = "en";
/// The directory of what texts share (`{% extends "layout/mail.email.html" %}`): no locale.
const LAYOUT: &str = "layout";

/// The directory of what mails have attached: no locale either; it stands in the names of the files.
pub const INSTRUCTIONS: &str = "instructions";

/// Where a text for somebody who speaks `wanted` is looked for.
pub(super) fn chain(wanted: &str) -> impl Iterator<Item = &str> {
    [wanted, wanted.split(['-', '_']).next().unwrap_or(wanted), FALLBACK].into_iter()
}

/// One text of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// What a call says.
    Voice,
    /// A text message.
    Sms,
    /// The subject line of a mail.
    Subject,
    /// The text of a mail; also the first article of a ticket.
    Text,
    /// The HTML of a mail.
    Html,
    /// The title of a message in the app.
    AppTitle,
    /// The text of a message in the app; the label of a choice there.
    App,
    /// A page that a person opens by a one-time link.
    Page,
    /// A sentence or two: what the script says when it is one of several in one message.
    Item,
}

impl Part {
    const ALL: [(Self, &str); 9] = [
        (Self::Voice, "voice.txt"),
        (Self::Sms, "sms.txt"),
        (Self::Subject, "email.subject.txt"),
        (Self::Text, "email.txt"),
        (Self::Html, "email.html"),
        (Self::AppTitle, "app.title.txt"),
        (Self::App, "app.txt"),
        (Self::Page, "page.html"),
        (Self::Item, "item.txt"),
    ];

    /// The end of its file name.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        Self::ALL.into_iter().find(|(p, _)| *p == self).map_or("", |(_, s)| s)
    }
}

/// All scripts in all locales.
#[derive(Clone)]
pub struct Messages {
    env: Arc<Environment<'static>>,
    /// script -> locale -> parts.
    known: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Vec<Part>>>,
    /// What each file speaks of, by its name as a template.
    names: BTreeMap<String, Vec<String>>,
    words: Words,
}

impl fmt::Debug for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.known.fmt(f)
    }
}

impl Default for Messages {
    fn default() -> Self {
        Self { env: Arc::new(environment()), known: BTreeMap::new(), names: BTreeMap::new(), words: Words::default() }
    }
}

impl Messages {
    /// Compiles files already read; the path of each ends in `<locale>/<script>.<part>`. Mistakes: `P020`, `P021`, and
    /// `P022` for a name that nobody provides.
    pub fn load(diags: &mut Diagnostics, files: &[FileId]) -> Self {
        let mut env = environment();
        let mut known: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Vec<Part>>> = BTreeMap::new();
        let mut names = BTreeMap::new();
        let (mut words, mut worded) = (Words::default(), Vec::new());
        for file in files {
            let path = diags.path(*file).to_owned();
            let text = diags.text(*file).clone();
            if let Some(locale) = locale_of_words(&path) {
                words.read(diags, *file, locale);
                worded.push((*file, Arc::from(locale)));
                continue;
            }
            if let Some(name) = instruction(&path) {
                match env.add_template_owned(format!("{INSTRUCTIONS}/{name}"), text.to_string()) {
                    Ok(()) => drop(check_names(diags, *file, &text)),
                    Err(e) => broken(diags, *file, &text, e),
                }
                continue;
            }
            let Some((locale, script, part)) = split(&path) else {
                let parts: Vec<&str> = Part::ALL.iter().map(|(_, suffix)| *suffix).collect();
                let expected = format!("its path must end in <locale>/<script>.({})", parts.join("|"));
                diags.push(
                    Diagnostic::error("P020", format!("`{path}` is not a message file"))
                        .at(Place { file: *file, span: 0..0 }, "")
                        .hint(expected),
                );
                continue;
            };
            // The newline at the end of a file belongs to the file, not to the message.
            let source = text.trim_end_matches(['\n', '\r']).to_owned();
            match env.add_template_owned(format!("{locale}/{script}.{}", part.suffix()), source) {
                Ok(()) => {
                    let spoken = check_names(diags, *file, &text);
                    names.insert(format!("{locale}/{script}.{}", part.suffix()), spoken);
                    if locale == LAYOUT {
                        continue;
                    }
                    known.entry(script.into()).or_default().entry(locale.into()).or_default().push(part);
                }
                Err(e) => broken(diags, *file, &text, e),
            }
        }
        for file in files {
            check_layout(diags, *file, &env);
            check_links(diags, *file, &known);
        }
        warn_gaps(diags, files, &known);
        words.warn_gaps(diags, &worded);
        Self { env: Arc::new(env), known, names, words }
    }

    /// Every script there is.
    pub fn scripts(&self) -> impl Iterator<Item = &str> {
        self.known.keys().map(|k| &**k)
    }

    /// Whether `script` has `part` in the last-resort locale, so that nobody is left without a text.
    #[must_use]
    pub fn has(&self, script: &str, part: Part) -> bool {
        self.known.get(script).and_then(|l| l.get(FALLBACK)).is_some_and(|p| p.contains(&part))
    }

    /// The facts with `fault.what`, `fault.means` and `fault.advice` in the language of the text. Without words for it, the
    /// title of the rule has to do.
    #[must_use]
    pub fn with_words(&self, facts: &serde_json::Value, locale: &str) -> serde_json::Value {
        let mut facts = facts.clone();
        let Some(fault) = facts.get_mut("fault").and_then(|f| f.as_object_mut()) else { return facts };
        let word = fault.get("name").and_then(|n| n.as_str()).and_then(|name| self.words.find(name, locale));
        let word = word.cloned().unwrap_or_else(|| words::Word {
            what: fault.get("title").and_then(|t| t.as_str()).unwrap_or_default().into(),
            ..words::Word::default()
        });
        for (name, text) in [("what", word.what), ("means", word.means), ("advice", word.advice)] {
            fault.insert(name.to_owned(), (&*text).into());
        }
        facts
    }

    /// The words for a fault for somebody who speaks `wanted`.
    pub(super) fn fault_words(&self, fault: &str, wanted: &str) -> Option<&words::Word> {
        self.words.find(fault, wanted)
    }

    /// Whether mails about `fault` can show how it came.
    #[must_use]
    pub fn draws(&self, fault: &str) -> bool {
        self.words.draws(fault)
    }

    /// Whether there is such a file to attach.
    #[must_use]
    pub fn has_instruction(&self, name: &str) -> bool {
        self.env.get_template(name).is_ok()
    }

    /// An attachment for somebody who speaks `wanted`: `name` says for a locale which file that is.
    ///
    /// # Errors
    /// There is no such file in any language, or it needs a fact that the case does not have.
    pub fn instruction(
        &self,
        name: impl Fn(&str) -> Result<String, TemplateError>,
        wanted: &str,
        facts: &serde_json::Value,
    ) -> Result<(String, String), TemplateError> {
        let mut tried = String::new();
        for locale in chain(wanted) {
            tried = name(locale)?;
            if let Ok(template) = self.env.get_template(&tried) {
                let facts = self.with_words(facts, locale);
                let read_in = speak::read_in(locale, wanted);
                let text = template.render(minijinja::context! { locale => read_in, ..values(&facts) })?;
                return Ok((tried, text));
            }
        }
        Err(TemplateError { message: format!("there is no `{tried}`"), span: None })
    }

    /// What a part of a script speaks of, in any of its locales.
    pub fn names<'a>(&'a self, script: &'a str, part: Part) -> impl Iterator<Item = &'a str> {
        let locales = self.known.get(script).into_iter().flat_map(BTreeMap::keys);
        let files = locales.filter_map(move |l| self.names.get(&format!("{l}/{script}.{}", part.suffix())));
        files.flatten().map(String::as_str)
    }

    /// The locale in which `script` can be said to somebody who speaks `wanted`.
    #[must_use]
    pub fn locale(&self, script: &str, part: Part, wanted: &str) -> Option<&str> {
        let locales = self.known.get(script)?;
        chain(wanted)
            .find_map(|l| locales.get_key_value(l).filter(|(_, parts)| parts.contains(&part)).map(|(l, _)| &**l))
    }

    /// Renders a part for somebody who speaks `wanted`: the locale used and the text.
    ///
    /// # Errors
    /// There is no such text, or it needs a fact that the case does not have.
    pub fn render(
        &self,
        script: &str,
        part: Part,
        wanted: &str,
        facts: &serde_json::Value,
    ) -> Result<(String, String), TemplateError> {
        let Some(locale) = self.locale(script, part, wanted) else {
            let message = format!("there is no `{script}.{}`", part.suffix());
            return Err(TemplateError { message, span: None });
        };
        let template = self.env.get_template(&format!("{locale}/{script}.{}", part.suffix()))?;
        let facts = self.with_words(facts, locale);
        let read_in = speak::read_in(locale, wanted);
        let text = template.render(minijinja::context! { locale => read_in, ..values(&facts) })?;
        let text = match part {
            // Speech and one-line texts: line breaks of the file are not line breaks of the message.
            Part::Voice | Part::Subject | Part::Sms | Part::AppTitle | Part::App | Part::Item => {
                text.split_whitespace().collect::<Vec<_>>().join(" ")
            }
            Part::Text | Part::Html | Part::Page => text,
        };
        Ok((locale.to_owned(), text))
    }
}

fn broken(diags: &mut Diagnostics, file: FileId, text: &str, e: minijinja::Error) {
    let e = TemplateError::from(e);
    let span = e.span.unwrap_or(0..text.len().min(1));
    diags.push(Diagnostic::error("P021", e.message).at(Place { file, span }, "in this template"));
}

/// `de` of `…/de/faults.toml`.
fn locale_of_words(path: &str) -> Option<&str> {
    let mut parts = path.rsplit(['/', '\\']);
    (parts.next()? == words::FILE).then(|| parts.next())?
}

/// `hvac.de.md` of `…/instructions/hvac.de.md`.
fn instruction(path: &str) -> Option<&str> {
    let mut parts = path.rsplit(['/', '\\']);
    let name = parts.next()?;
    (parts.next()? == INSTRUCTIONS && name.ends_with(".md")).then_some(name)
}

/// A layout that is not there would show only when the message is due.
fn check_layout(diags: &mut Diagnostics, file: FileId, env: &Environment<'_>) {
    const EXTENDS: &str = "{% extends \"";
    let text = diags.text(file).clone();
    let Some(start) = text.find(EXTENDS).map(|at| at + EXTENDS.len()) else { return };
    let Some(len) = text[start..].find('"') else { return };
    let name = &text[start..start + len];
    if env.get_template(name).is_err() {
        let near = did_you_mean(name, env.templates().map(|(n, _)| n).filter(|n| n.starts_with(LAYOUT)));
        let finding = Diagnostic::error("P021", format!("there is no layout `{name}`"));
        let place = Place { file, span: start..start + len };
        diags.push(finding.at(place, "").maybe_hint(near.map(|n| format!("did you mean `{n}`?"))));
    }
}

/// A link to a page without a text would show only when somebody taps it.
fn check_links(diags: &mut Diagnostics, file: FileId, known: &BTreeMap<Arc<str>, BTreeMap<Arc<str>, Vec<Part>>>) {
    let text = diags.text(file).clone();
    let Ok(template) = Template::parse(&text) else { return };
    for name in template.names() {
        let Some(page) = name.strip_prefix("link.") else { continue };
        let there = known.get(page).and_then(|l| l.get(FALLBACK)).is_some_and(|parts| parts.contains(&Part::Page));
        if PageKind::ALL.iter().any(|kind| kind.name() == page) && !there {
            let start = text.find(name.as_str()).unwrap_or(0);
            let place = Place { file, span: start..start + name.len() };
            let finding = Diagnostic::error("P024", format!("`{FALLBACK}/{page}.page.html` is missing"));
            diags.push(finding.at(place, "this link leads to it"));
        }
    }
}

/// A locale that lacks a text which the last resort has: its people are written to in two languages.
fn warn_gaps(diags: &mut Diagnostics, files: &[FileId], known: &BTreeMap<Arc<str>, BTreeMap<Arc<str>, Vec<Part>>>) {
    let locales: BTreeSet<&Arc<str>> = known.values().flat_map(BTreeMap::keys).collect();
    for (script, texts) in known {
        for part in texts.get(FALLBACK).into_iter().flatten() {
            let lacks =
                |l: &&&Arc<str>| !l.contains(['-', '_']) && texts.get(&***l).is_none_or(|has| !has.contains(part));
            let lacking: Vec<String> = locales.iter().filter(lacks).map(|l| format!("`{l}`")).collect();
            if lacking.is_empty() {
                continue;
            }
            let name = format!("{script}.{}", part.suffix());
            let origin = files.iter().find(|f| diags.path(**f).ends_with(&format!("{FALLBACK}/{name}"))).copied();
            let finding = Diagnostic::warning("P023", format!("`{name}` is missing in {}", lacking.join(", ")));
            let finding = finding.hint(format!("whoever speaks that gets this one in `{FALLBACK}`"));
            diags.push(match origin {
                Some(file) => finding.at(Place { file, span: 0..0 }, "translate this"),
                None => finding,
            });
        }
    }
}

/// A name that nobody provides would show only when the message is due.
fn check_names(diags: &mut Diagnostics, file: FileId, text: &str) -> Vec<String> {
    let Ok(template) = Template::parse(text) else { return Vec::new() };
    for name in template.names() {
        let Err(near) = check_name(name, Audience::Message) else { continue };
        let start = text.find(name.as_str()).unwrap_or(0);
        let span = start..(start + name.len()).min(text.len());
        diags.push(
            Diagnostic::error("P022", format!("a text knows no `{name}`"))
                .at(Place { file, span }, "nobody provides this")
                .maybe_hint(near.map(|n| format!("did you mean `{n}`?"))),
        );
    }
    template.names().to_vec()
}

fn split(path: &str) -> Option<(&str, &str, Part)> {
    let mut parts = path.rsplit(['/', '\\']);
    let (name, locale) = (parts.next()?, parts.next()?);
    let (part, suffix) = Part::ALL.into_iter().find(|(_, s)| name.ends_with(&format!(".{s}")))?;
    let script = &name[..name.len() - suffix.len() - 1];
    (!script.is_empty() && !locale.is_empty()).then_some((locale, script, part))
}
