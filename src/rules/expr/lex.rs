//! Text to tokens.

use std::ops::Range;
use std::sync::Arc;

use super::{MAX_LEN, SyntaxError, Word};
use crate::domain::Span;
use crate::source::terse;

/// A token and where it stands.
pub(super) type Token = (Tok, Range<usize>);

/// The kinds of tokens.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Tok {
    Number(f64, Option<Word>),
    Duration(Span),
    Text(Arc<str>),
    Name(Arc<str>),
    /// Operators and punctuation, as written.
    Sign(&'static str),
    End,
}

/// Longest first, so that `<=` is not read as `<`.
const SIGNS: [&str; 24] = [
    "||", "&&", "==", "!=", "<=", ">=", "??", "..", "<", ">", "+", "-", "*", "/", "!", "?", ":", "(", ")", "[", "]",
    ",", ".", "=",
];

/// All tokens of `text`, an `End` at the end.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, SyntaxError> {
    if text.len() > MAX_LEN {
        return Err(error(0..text.len(), format!("the expression is longer than {MAX_LEN} bytes"), None));
    }
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        if c.is_whitespace() {
            at += c.len_utf8();
            continue;
        }
        let (token, end) = token(text, at, c)?;
        tokens.push((token, at..end));
        at = end;
    }
    tokens.push((Tok::End, text.len()..text.len()));
    Ok(tokens)
}

fn token(text: &str, at: usize, first: char) -> Result<(Tok, usize), SyntaxError> {
    if first.is_ascii_digit() {
        return number(text, at);
    }
    if first.is_ascii_alphabetic() || first == '_' {
        let end = run(text, at, |c| c.is_ascii_alphanumeric() || c == '_');
        return Ok((Tok::Name(text[at..end].into()), end));
    }
    if first == '\'' {
        let inner = &text[at + 1..];
        let Some(len) = inner.find('\'') else {
            let hint = Some("a text ends with a second '".to_owned());
            return Err(error(at..text.len(), "this text has no end".to_owned(), hint));
        };
        return Ok((Tok::Text(inner[..len].into()), at + len + 2));
    }
    if let Some(sign) = SIGNS.iter().find(|s| text[at..].starts_with(**s)) {
        if *sign == "=" {
            let (wrong, hint) = match text[at + 1..].chars().next() {
                Some('>') => ("=>", "at least is written >="),
                Some('<') => ("=<", "at most is written <="),
                _ => ("=", "compare with =="),
            };
            return Err(error(at..at + wrong.len(), format!("'{wrong}' is not an operator"), Some(hint.to_owned())));
        }
        return Ok((Tok::Sign(sign), at + sign.len()));
    }
    let hint = match first {
        '&' => Some("'and' is written &&".to_owned()),
        '|' => Some("'or' is written ||".to_owned()),
        '"' => Some("texts are written in single quotes: 'charging'".to_owned()),
        '%' => Some("a share is written 12[%]".to_owned()),
        '°' => Some("a temperature is written 60[degC]".to_owned()),
        _ => None,
    };
    Err(error(at..at + first.len_utf8(), format!("'{first}' has no meaning here"), hint))
}

/// A number, with its unit if one follows, or a duration.
fn number(text: &str, at: usize) -> Result<(Tok, usize), SyntaxError> {
    let digits = |from| run(text, from, |c| c.is_ascii_digit());
    let mut end = digits(at);
    if text[end..].starts_with('.') && !text[end..].starts_with("..") {
        end = digits(end + 1);
    }
    let tail = &text.as_bytes()[end..];
    let sign = usize::from(matches!(tail.get(1), Some(b'+' | b'-')));
    if matches!(tail.first(), Some(b'e' | b'E')) && tail.get(1 + sign).is_some_and(u8::is_ascii_digit) {
        end = digits(end + 1 + sign);
    } else if tail.first().is_some_and(u8::is_ascii_alphabetic) {
        end = run(text, end, |c| c.is_ascii_alphanumeric() || c == '.');
        let span = text[at..end].parse::<Span>().map_err(|e| {
            let meant = terse(&text[at..end]).map(|meant| format!("write {meant}"));
            let unit = || "a number with a unit is written 60[degC]".to_owned();
            error(at..end, e.to_string(), Some(meant.unwrap_or_else(unit)))
        })?;
        return Ok((Tok::Duration(span), end));
    }
    let value: f64 = text[at..end]
        .parse()
        .ok()
        .filter(|v: &f64| v.is_finite())
        .ok_or_else(|| error(at..end, format!("'{}' is not a number", &text[at..end]), None))?;
    if !text[end..].starts_with('[') {
        return Ok((Tok::Number(value, None), end));
    }
    let Some(len) = text[end..].find(']') else {
        return Err(error(end..text.len(), "this unit has no end".to_owned(), Some("close it with ]".to_owned())));
    };
    let unit = Word { text: text[end + 1..end + len].trim().into(), span: end + 1..end + len };
    Ok((Tok::Number(value, Some(unit)), end + len + 1))
}

/// The end of the run of characters from `from` for which `belongs` holds.
fn run(text: &str, from: usize, belongs: impl Fn(char) -> bool) -> usize {
    text[from..].find(|c| !belongs(c)).map_or(text.len(), |n| from + n)
}

pub(super) fn error(span: Range<usize>, message: String, hint: Option<String>) -> SyntaxError {
    SyntaxError { span, message, hint }
}
