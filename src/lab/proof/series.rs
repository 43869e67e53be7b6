//! The values of a signal over time, in one line.
//!
//! | written | values |
//! |---|---|
//! | `900x60` | 900, sixty times |
//! | `90+2x11` | 90, 92, … 112: the first value and eleven steps, so twelve values |
//! | `90-2x11` | the same downwards |
//! | `113` | one value |
//! | `_`, `_x4` | no message says anything, once or four times |
//! | `nan`, `inf`, `null` | said, and unusable |
//! | `on`, `dc`, `true`, `'two words'` | a text, a value of an enum, a switch; a text that ends like `x3` needs its quotes |
//! | `(on x3, off)x20` | what is in the parentheses, twenty times |
//! | `[3.9, 3.8, _]`, `['P0301']` | a list: one value for each component, or codes; `_` in it is `null` |
//!
//! Items are separated by commas, and `x4` repeats any of them. Parentheses may stand in parentheses, four deep.

use std::ops::Range;

use serde_json::Value;

/// Values of one series at most.
pub const MAX_VALUES: usize = 1_000_000;
/// Parentheses in parentheses at most.
const MAX_DEPTH: usize = 4;

/// How writers of JSON say the numbers that JSON cannot.
pub(super) const UNUSABLE: [&str; 3] = ["NaN", "Infinity", "-Infinity"];

/// A value that is sent, or nothing.
pub type Cell = Option<Value>;

/// Why a text is not a series, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Bytes of the text.
    pub span: Range<usize>,
    /// One sentence without a full stop.
    pub message: String,
}

/// Reads a series.
///
/// # Errors
/// The first item that is none.
pub fn series(text: &str) -> Result<Vec<Cell>, Error> {
    group(text, 0)
}

/// A series that stands in `depth` pairs of parentheses.
fn group(text: &str, depth: usize) -> Result<Vec<Cell>, Error> {
    let mut cells = Vec::new();
    for span in items(text) {
        let item = &text[span.clone()];
        let fail = |message: String| Error { span: span.clone(), message };
        let (body, times) = repetition(item);
        if times.is_some_and(|n| n == 0 || n > MAX_VALUES) || cells.len() > MAX_VALUES {
            return Err(fail(format!("a series has at least one value and at most {MAX_VALUES}")));
        }
        if let Some(inner) = body.strip_prefix('(') {
            let inner = inner.strip_suffix(')').filter(|_| depth < MAX_DEPTH);
            let inner = inner.ok_or_else(|| fail(format!("'{item}' has no closing parenthesis, or is too deep")))?;
            let shift = |e: Error| Error { span: e.span.start + span.start + 1..e.span.end + span.start + 1, ..e };
            let once = group(inner, depth + 1).map_err(shift)?;
            let times = times.unwrap_or(1);
            if once.len().saturating_mul(times) > MAX_VALUES {
                return Err(fail(format!("a series has at least one value and at most {MAX_VALUES}")));
            }
            (0..times).for_each(|_| cells.extend_from_slice(&once));
            continue;
        }
        match (ramp(body), times) {
            (Some((from, step)), Some(steps)) => cells.extend((0..=steps).map(|i| {
                #[expect(clippy::cast_precision_loss, reason = "at most a million")]
                let at = from + step * i as f64;
                Some(Value::from(at))
            })),
            (Some(_), None) => return Err(fail(format!("'{item}' has steps and does not say how many: {item}x10"))),
            (None, times) => {
                let cell = cell(body).map_err(fail)?;
                cells.extend(std::iter::repeat_n(cell, times.unwrap_or(1)));
            }
        }
    }
    Ok(cells)
}

/// The places of the items, without the blanks around them. Commas in brackets, parentheses and quotes belong to their item.
fn items(text: &str) -> Vec<Range<usize>> {
    let (mut found, mut start, mut depth, mut quoted) = (Vec::new(), 0, 0_i32, false);
    let mut end = |range: Range<usize>| {
        let item = &text[range.clone()];
        let from = range.start + (item.len() - item.trim_start().len());
        found.push(from..from + item.trim().len());
    };
    for (i, c) in text.char_indices() {
        match c {
            '\'' => quoted = !quoted,
            '[' | '(' if !quoted => depth += 1,
            ']' | ')' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                end(start..i);
                start = i + 1;
            }
            _ => {}
        }
    }
    end(start..text.len());
    found
}

/// `113x8` as `113` and 8. An `x` without a number behind it is part of a word.
fn repetition(item: &str) -> (&str, Option<usize>) {
    let parted = item.rsplit_once('x').filter(|(body, n)| !body.is_empty() && !n.is_empty());
    match parted.and_then(|(body, n)| Some((body.trim_end(), n.parse().ok()?))) {
        Some((body, n)) => (body, Some(n)),
        None => (item, None),
    }
}

/// `90+2` as 90 and 2.
fn ramp(body: &str) -> Option<(f64, f64)> {
    let signs = body.char_indices().skip(1).filter(|(_, c)| matches!(c, '+' | '-'));
    // The sign of an exponent (1e-3) leaves a left side that is no number.
    signs.map(|(i, _)| body.split_at(i)).find_map(|(from, step)| Some((number(from)?, number(step)?)))
}

fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    let starts = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    text.parse().ok().filter(|n: &f64| starts && n.is_finite())
}

fn cell(text: &str) -> Result<Cell, String> {
    if text == "_" {
        return Ok(None);
    }
    if let Some(inner) = text.strip_prefix('[') {
        let Some(inner) = inner.strip_suffix(']') else { return Err(format!("'{text}' has no closing bracket")) };
        if inner.trim().is_empty() {
            return Ok(Some(Value::Array(Vec::new())));
        }
        let elements = items(inner).into_iter().map(|span| cell(&inner[span]).map(Option::unwrap_or_default));
        return Ok(Some(Value::Array(elements.collect::<Result<_, _>>()?)));
    }
    scalar(text).map(Some)
}

fn scalar(text: &str) -> Result<Value, String> {
    match text {
        "" => return Err("a value is missing".to_owned()),
        "null" => return Ok(Value::Null),
        "true" | "false" => return Ok(Value::Bool(text == "true")),
        "nan" | "NaN" => return Ok(Value::from(UNUSABLE[0])),
        "inf" => return Ok(Value::from(UNUSABLE[1])),
        "-inf" => return Ok(Value::from(UNUSABLE[2])),
        _ => {}
    }
    if let Some(rest) = text.strip_prefix('\'') {
        return match rest.strip_suffix('\'') {
            Some(inner) if !inner.contains('\'') => Ok(Value::from(inner)),
            _ => Err(format!("{text} is not one text in single quotes")),
        };
    }
    if let Some(n) = number(text) {
        return Ok(Value::from(n));
    }
    let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
    if text.starts_with(|c: char| c.is_alphabetic()) && text.chars().all(word) {
        return Ok(Value::from(text));
    }
    let several = text.split_whitespace().nth(1).is_some_and(|next| next.starts_with(|c: char| c.is_ascii_digit()));
    let hint = if several { "; values are separated by commas" } else { "" };
    Err(format!("'{text}' is neither a number, nor a word, nor a text in single quotes{hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cells as people would write them out.
    fn shown(text: &str) -> String {
        match series(text) {
            Ok(cells) => {
                let one = |c: &Cell| c.as_ref().map_or_else(|| "_".to_owned(), Value::to_string);
                cells.iter().map(one).collect::<Vec<_>>().join(" ")
            }
            Err(error) => format!("{:?} {}", error.span, error.message),
        }
    }

    #[test]
    fn a_series_reads_as_it_is_documented() {
        for (text, expected) in [
            ("113", "113.0"),
            ("900x3", "900.0 900.0 900.0"),
            ("90+2x3", "90.0 92.0 94.0 96.0"),
            ("1-2x4", "1.0 -1.0 -3.0 -5.0 -7.0"),
            ("-2+4x3", "-2.0 2.0 6.0 10.0"),
            ("-5-1.5x1", "-5.0 -6.5"),
            ("1e-3x2", "0.001 0.001"),
            ("1e1+1e0x1", "10.0 11.0"),
            ("1, _x2, 2", "1.0 _ _ 2.0"),
            ("_", "_"),
            ("nan, inf, -inf, null", "\"NaN\" \"Infinity\" \"-Infinity\" null"),
            ("onx2, off", "\"on\" \"on\" \"off\""),
            ("true, false", "true false"),
            ("'two words'x2", "\"two words\" \"two words\""),
            ("'a, b', 'max2'", "\"a, b\" \"max2\""),
            ("max2", "\"ma\" \"ma\""),
            ("[3.9, 3.8, _]x2", "[3.9,3.8,null] [3.9,3.8,null]"),
            ("['P0301', P0420], []", "[\"P0301\",\"P0420\"] []"),
            ("  7  ,  8 x2 ", "7.0 8.0 8.0"),
            ("(1, 2)x2, 3", "1.0 2.0 1.0 2.0 3.0"),
            ("((on)x2, off)x2, (1+1x1)", "\"on\" \"on\" \"off\" \"on\" \"on\" \"off\" 1.0 2.0"),
            ("([1, 2], _) x2", "[1.0,2.0] _ [1.0,2.0] _"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn a_mistake_is_told_with_its_place() {
        for (text, expected) in [
            ("", "0..0 a value is missing"),
            ("1,,2", "2..2 a value is missing"),
            ("1, 90+2", "3..7 '90+2' has steps and does not say how many: 90+2x10"),
            ("1, [2, 3", "3..8 '[2, 3' has no closing bracket"),
            ("'a", "0..2 'a is not one text in single quotes"),
            ("5 bar", "0..5 '5 bar' is neither a number, nor a word, nor a text in single quotes"),
            (
                "1x3 2x4",
                "0..7 '1x3 2' is neither a number, nor a word, nor a text in single quotes; values are separated by commas",
            ),
            ("1, (2, a b)x3", "7..10 'a b' is neither a number, nor a word, nor a text in single quotes"),
            ("(1, 2x3", "0..7 '(1, 2x3' has no closing parenthesis, or is too deep"),
            ("((((((1))))))", "4..9 '((1))' has no closing parenthesis, or is too deep"),
            ("((((1x99)x99)x99)x99)x99", "1..20 a series has at least one value and at most 1000000"),
            ("1x0", "0..3 a series has at least one value and at most 1000000"),
            ("1x99999999", "0..10 a series has at least one value and at most 1000000"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }
}
