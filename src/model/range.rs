//! `valid = "-40 < _ <= 150"`: the numbers that a signal can hold.

use std::ops;

use super::Range;

/// What is wrong with the text of a range, and where in it.
#[derive(Debug, PartialEq)]
pub(super) struct RangeError {
    pub(super) message: String,
    pub(super) span: ops::Range<usize>,
}

/// `number op _ op number`, either side may be missing. `op` is `<` or `<=`, or `>` or `>=` to write it downwards.
pub(super) fn parse(text: &str) -> Result<Range, RangeError> {
    let error = |message: &str, span: ops::Range<usize>| RangeError { message: message.to_owned(), span };
    let mut blanks = text.match_indices('_');
    let (Some((blank, _)), None) = (blanks.next(), blanks.next()) else {
        return Err(error("`_` must stand exactly once, for the value", 0..text.len()));
    };
    let left = side(text, 0..blank, Side::Left)?;
    let right = side(text, blank + 1..text.len(), Side::Right)?;
    let (mut low, mut high) = (None, None);
    for bound in [left, right].into_iter().flatten() {
        let end = if bound.is_low { &mut low } else { &mut high };
        if end.replace(bound).is_some() {
            return Err(error("both ends limit the same side", 0..text.len()));
        }
    }
    if low.is_none() && high.is_none() {
        return Err(error("neither a lowest nor a highest number", 0..text.len()));
    }
    let (low, low_inclusive) = low.map_or((f64::NEG_INFINITY, false), |b| (b.number, b.inclusive));
    let (high, high_inclusive) = high.map_or((f64::INFINITY, false), |b| (b.number, b.inclusive));
    if low > high || (low >= high && !(low_inclusive && high_inclusive)) {
        return Err(error("no number is in this range", 0..text.len()));
    }
    Ok(Range { low, low_inclusive, high, high_inclusive })
}

struct Bound {
    number: f64,
    inclusive: bool,
    is_low: bool,
}

#[derive(PartialEq)]
enum Side {
    Left,
    Right,
}

/// One side of the `_`: nothing, `number op` on the left or `op number` on the right.
fn side(text: &str, span: ops::Range<usize>, side: Side) -> Result<Option<Bound>, RangeError> {
    let part = &text[span.clone()];
    if part.trim().is_empty() {
        return Ok(None);
    }
    let start = span.start + part.len() - part.trim_start().len();
    let part = part.trim();
    let span = start..start + part.len();
    let fail = |message: String| RangeError { message, span: span.clone() };
    let operators = [("<=", false, true), (">=", true, true), ("<", false, false), (">", true, false)];
    let split = |op: &str| if side == Side::Left { part.strip_suffix(op) } else { part.strip_prefix(op) };
    let found =
        operators.iter().find_map(|&(op, down, inclusive)| split(op).map(|rest| (rest.trim(), down, inclusive)));
    let Some((number, down, inclusive)) = found else {
        return Err(fail("`<`, `<=`, `>` or `>=` must stand beside `_`".to_owned()));
    };
    match number.parse::<f64>() {
        // `5 < _` and `_ > 5` limit it below.
        Ok(n) if n.is_finite() => Ok(Some(Bound { number: n, inclusive, is_low: down == (side == Side::Right) })),
        _ => Err(fail(format!("'{number}' is not a number (the unit is the signal's, it is not written here)"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let inf = f64::INFINITY;
        for (text, low, low_inclusive, high, high_inclusive) in [
            ("-40 < _ <= 150", -40.0, false, 150.0, true),
            ("0<_", 0.0, false, inf, false),
            ("_ <= 1e3", -inf, false, 1e3, true),
            ("_>=0", 0.0, true, inf, false),
            ("20 > _ >= -0.5", -0.5, true, 20.0, false),
            ("7 <= _ <= 7", 7.0, true, 7.0, true),
        ] {
            assert_eq!(parse(text), Ok(Range { low, low_inclusive, high, high_inclusive }), "{text}");
        }
        for (text, message) in [
            ("", "`_` must stand"),
            ("_", "neither"),
            ("0 < 1", "`_` must stand"),
            ("0 < _ < _", "`_` must stand"),
            ("0 < _ > 5", "both ends"),
            ("5 < _ < 5", "no number"),
            ("6 < _ < 5", "no number"),
            ("0 = _", "must stand beside"),
            ("0[V] < _", "'0[V]' is not a number"),
            ("nan < _", "'nan' is not a number"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.message.contains(message), "{text}: {error:?}");
        }
        assert_eq!(parse("0 < _ <= x").unwrap_err().span, 6..10);
    }

    #[test]
    fn ends() {
        let range = parse("-40 < _ <= 150").unwrap();
        assert!(!range.contains(-40.0) && range.contains(150.0) && !range.contains(150.1) && !range.contains(f64::NAN));
    }
}
