//! Mistakes in files, shown the way compilers show them.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// Names one of the files of a [`Diagnostics`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(usize);

/// A place in a file: bytes `span` of its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Which file.
    pub file: FileId,
    /// Byte range.
    pub span: Range<usize>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// For information.
    Note,
    /// Probably not meant; loads all the same.
    Warning,
    /// Nothing is loaded.
    Error,
}

/// One finding.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// How bad.
    pub weight: Weight,
    /// Stable code: `R012`. Letter: S settings, M model, R rule, P playbook, G registry.
    pub code: &'static str,
    /// What is wrong, one sentence without a full stop.
    pub message: String,
    /// Where, with what to say at the caret. `None` for findings about a whole file that could not be read.
    pub place: Option<(Place, String)>,
    /// Other places that explain it.
    pub related: Vec<(Place, String)>,
    /// What to do.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error without a place yet.
    #[must_use]
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self { weight: Weight::Error, code, message: message.into(), place: None, related: Vec::new(), hint: None }
    }

    /// A warning without a place yet.
    #[must_use]
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self { weight: Weight::Warning, ..Self::error(code, message) }
    }

    /// Puts the caret under `place`, with `label` beside it (may be empty).
    #[must_use]
    pub fn at(mut self, place: Place, label: impl Into<String>) -> Self {
        self.place = Some((place, label.into()));
        self
    }

    /// Shows another place that explains the finding.
    #[must_use]
    pub fn related(mut self, place: Place, label: impl Into<String>) -> Self {
        self.related.push((place, label.into()));
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says what to do, if there is something to say.
    #[must_use]
    pub fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }
}

/// All files read so far and all findings in them.
#[derive(Debug, Default, Clone)]
pub struct Diagnostics {
    files: Vec<(String, Arc<str>)>,
    /// Files that are not text, by the path of the user.
    attachments: Vec<(String, Arc<[u8]>)>,
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Adds a file, named as the user would name it.
    pub fn add_file(&mut self, path: impl Into<String>, text: impl Into<Arc<str>>) -> FileId {
        self.files.push((path.into(), text.into()));
        FileId(self.files.len() - 1)
    }

    /// Adds a file that is not text and that another file may name, with a path like those of [`Self::add_file`].
    pub fn attach(&mut self, path: impl Into<String>, bytes: impl Into<Arc<[u8]>>) {
        self.attachments.push((path.into(), bytes.into()));
    }

    /// The attachment `name`, in the directory of the file that names it at `place`.
    #[must_use]
    pub fn attachment(&self, place: &Place, name: &str) -> Option<Arc<[u8]>> {
        let path = Path::new(self.path(place.file)).with_file_name(name);
        self.attachments.iter().find(|(known, _)| Path::new(known) == path).map(|(_, bytes)| bytes.clone())
    }

    /// All files that are not text: path and content.
    pub fn attachments(&self) -> impl Iterator<Item = (&str, &Arc<[u8]>)> {
        self.attachments.iter().map(|(path, bytes)| (path.as_str(), bytes))
    }

    /// The same files, and nothing found in them.
    #[must_use]
    pub fn without_findings(&self) -> Self {
        Self { list: Vec::new(), ..self.clone() }
    }

    /// Adds a finding.
    pub fn push(&mut self, finding: Diagnostic) {
        self.list.push(finding);
    }

    /// The findings, in the order they were found.
    #[must_use]
    pub fn list(&self) -> &[Diagnostic] {
        &self.list
    }

    /// All files read so far: path and text.
    pub fn files(&self) -> impl Iterator<Item = (&str, &Arc<str>)> {
        self.files.iter().map(|(path, text)| (path.as_str(), text))
    }

    /// The file of this name, wherever it is.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<FileId> {
        self.files.iter().position(|(path, _)| Path::new(path).ends_with(name)).map(FileId)
    }

    /// The path of a file.
    #[must_use]
    pub fn path(&self, file: FileId) -> &str {
        &self.files[file.0].0
    }

    /// The text of a file.
    #[must_use]
    pub fn text(&self, file: FileId) -> &Arc<str> {
        &self.files[file.0].1
    }

    /// Whether anything must be mended before the files can be used.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|d| d.weight == Weight::Error)
    }

    /// How many errors and warnings there are.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let count = |w| self.list.iter().filter(|d| d.weight == w).count();
        (count(Weight::Error), count(Weight::Warning))
    }

    /// `path:line:column` of a place, counted from 1.
    #[must_use]
    pub fn line_column(&self, place: &Place) -> (usize, usize) {
        let text = self.text(place.file);
        let before = &text[..place.span.start.min(text.len())];
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        (line, column)
    }

    /// All findings for a terminal (`styled`) or a file. Errors last, where the eye is.
    #[must_use]
    pub fn render(&self, styled: bool) -> String {
        let renderer = if styled { Renderer::styled() } else { Renderer::plain() };
        let mut order: Vec<&Diagnostic> = self.list.iter().collect();
        order.sort_by_key(|d| d.weight);
        let mut out = String::new();
        for finding in order {
            out.push_str(&renderer.render(&self.report(finding)));
            out.push_str("\n\n");
        }
        out
    }

    fn report<'a>(&'a self, finding: &'a Diagnostic) -> Vec<Group<'a>> {
        let level = match finding.weight {
            Weight::Note => Level::NOTE,
            Weight::Warning => Level::WARNING,
            Weight::Error => Level::ERROR,
        };
        let mut group = Group::with_title(level.primary_title(&finding.message).id(finding.code));
        let primary = finding.place.iter().map(|p| (AnnotationKind::Primary, p));
        let related = finding.related.iter().map(|p| (AnnotationKind::Context, p));
        // One snippet a file, so that places in the same file share one excerpt.
        let mut snippets: Vec<(FileId, Snippet<'a, annotate_snippets::Annotation<'a>>)> = Vec::new();
        for (kind, (place, label)) in primary.chain(related) {
            let text = self.text(place.file);
            let end = place.span.end.min(text.len());
            let annotation = kind.span(place.span.start.min(end)..end);
            let annotation = if label.is_empty() { annotation } else { annotation.label(label.as_str()) };
            let known = snippets.iter().position(|(f, _)| *f == place.file);
            let (file, snippet) = match known {
                Some(i) => snippets.remove(i),
                None => (place.file, Snippet::source(&**text).path(self.path(place.file))),
            };
            let back = known.unwrap_or(snippets.len());
            snippets.insert(back, (file, snippet.annotation(annotation)));
        }
        for (_, snippet) in snippets {
            group = group.element(snippet);
        }
        if let Some(hint) = &finding.hint {
            group = group.element(Level::HELP.message(hint.as_str()));
        }
        vec![group]
    }
}
