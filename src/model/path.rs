//! `path = "bms.cells[2].t"`: where a value is in a payload.

use std::ops::Range;

use super::PathStep;
use super::limits::MAX_PATH_STEPS;

/// What is wrong with the text of a path, and where in it.
#[derive(Debug, PartialEq)]
pub(super) struct PathError {
    pub(super) message: &'static str,
    pub(super) span: Range<usize>,
}

/// The steps of a path as it is written in a model file; `None` if it cannot be read.
#[must_use]
pub fn path_steps(text: &str) -> Option<Vec<PathStep>> {
    parse(text).ok()
}

/// Keys separated by dots, `[i]` for an element counted from 0, `'…'` around a key that holds a dot, a bracket or a
/// space.
pub(super) fn parse(text: &str) -> Result<Vec<PathStep>, PathError> {
    let error = |message, span| Err(PathError { message, span });
    let mut steps = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with('[') {
            let Some(end) = rest.find(']') else { return error("`]` is missing", at..text.len()) };
            match rest[1..end].parse::<u32>() {
                Ok(i) if !steps.is_empty() => steps.push(PathStep::Index(i as usize)),
                Ok(_) => return error("a message is an object: a path begins with a key", at..at + end + 1),
                Err(_) => return error("an element is a whole number from 0", at + 1..at + end),
            }
            at += end + 1;
            continue;
        }
        if !steps.is_empty() {
            if !rest.starts_with('.') {
                let next = rest.chars().next().map_or(0, char::len_utf8);
                return error("a dot must stand before the next key", at..at + next);
            }
            at += 1;
        }
        let (key, after) = key(text, at)?;
        steps.push(PathStep::Key(key.into()));
        at = after;
    }
    if steps.is_empty() {
        return error("an empty path", 0..text.len());
    }
    if steps.len() > MAX_PATH_STEPS {
        return error("more than 32 steps", 0..text.len());
    }
    Ok(steps)
}

/// The key at `at` and where it ends.
fn key(text: &str, at: usize) -> Result<(&str, usize), PathError> {
    let rest = &text[at..];
    if let Some(quoted) = rest.strip_prefix('\'') {
        return match quoted.find('\'') {
            Some(end) => Ok((&quoted[..end], at + end + 2)),
            None => Err(PathError { message: "the closing `'` is missing", span: at..text.len() }),
        };
    }
    let end = rest.find(['.', '[']).unwrap_or(rest.len());
    if end == 0 {
        return Err(PathError { message: "a key is missing here", span: at..(at + 1).min(text.len()) });
    }
    match rest[..end].find(['\'', ']', ' ']) {
        Some(odd) => Err(PathError { message: "this needs quotes: 'like this'.next", span: at + odd..at + odd + 1 }),
        None => Ok((&rest[..end], at + end)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Result<String, &'static str> {
        let steps = parse(text).map_err(|e| e.message)?;
        Ok(format!(
            "{:?}",
            steps
                .iter()
                .map(|s| match s {
                    PathStep::Key(k) => k.to_string(),
                    PathStep::Index(i) => format!("#{i}"),
                })
                .collect::<Vec<_>>()
        ))
    }

    #[test]
    fn paths() {
        for (text, steps) in [
            ("v", r#"["v"]"#),
            ("bms.cells[2].t", r##"["bms", "cells", "#2", "t"]"##),
            ("a[0][1]", r##"["a", "#0", "#1"]"##),
            ("a.'b.c'", r#"["a", "b.c"]"#),
            ("'a b'[3].ü", r##"["a b", "#3", "ü"]"##),
            ("''", r#"[""]"#),
        ] {
            assert_eq!(shown(text).as_deref(), Ok(steps), "{text}");
        }
        for (text, message) in [
            ("", "empty"),
            (".a", "a key is missing"),
            ("a.", "a key is missing"),
            ("a..b", "a key is missing"),
            ("[0]", "begins with a key"),
            ("a[x]", "whole number"),
            ("a[-1]", "whole number"),
            ("a[1", "`]` is missing"),
            ("a[1]b", "a dot must stand"),
            ("a.'b", "closing"),
            ("a b", "quotes"),
            ("'a'b", "a dot must stand"),
        ] {
            let error = shown(text).unwrap_err();
            assert!(error.contains(message), "{text}: {error}");
        }
        assert!(parse(&"a.".repeat(40)).is_err());
    }
}
