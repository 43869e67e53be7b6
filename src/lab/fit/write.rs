//! What was learned as TOML for people: sorted, one line a regime, six digits.

use std::fmt::{self, Display};

use super::{Fit, Fitted, Regime};

/// Digits of a number that count.
const DIGITS: i32 = 6;

impl Display for Fit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "# What is usual in the fleet, by operating regime. Written by `forewarn fit`; learn it anew rather than edit it."
        )?;
        if let Some((from, to)) = self.from_to {
            let s = if self.devices == 1 { "" } else { "s" };
            writeln!(f, "# From {} device{s}, {from} to {to}.", self.devices)?;
        }
        self.baselines.iter().try_for_each(|baseline| write!(f, "\n{baseline}"))
    }
}

impl Display for Fitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "[[baseline]]")?;
        writeln!(f, "model = {}", quoted(self.model.as_str()))?;
        writeln!(f, "name = {}", quoted(&self.name))?;
        writeln!(f, "of = {}", texts(&self.of))?;
        if !self.by.is_empty() {
            writeln!(f, "by = {}", texts(&self.by))?;
        }
        let cuts: Vec<_> = self.by.iter().zip(&self.edges).filter_map(|(by, e)| Some((by, e.as_ref()?))).collect();
        if !cuts.is_empty() {
            writeln!(f, "edges = [")?;
            for (by, edges) in cuts {
                writeln!(f, "  {{ by = {}, at = {} }},", quoted(by), numbers(edges))?;
            }
            writeln!(f, "]")?;
        }
        writeln!(f, "bins = [")?;
        self.regimes.iter().try_for_each(|regime| writeln!(f, "  {{ {regime} }},"))?;
        writeln!(f, "]")
    }
}

impl Display for Regime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.at.is_empty() {
            write!(f, "at = {:?}, ", self.at)?;
        }
        write!(f, "centre = {}, scale = {}, ", numbers(&self.centre), numbers(&self.scale))?;
        if !self.correlation.is_empty() {
            write!(f, "correlation = {}, ", numbers(&self.correlation))?;
        }
        write!(f, "n = {}, devices = {}", self.n, self.devices)
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn texts(list: &[String]) -> String {
    format!("[{}]", list.iter().map(|t| quoted(t)).collect::<Vec<_>>().join(", "))
}

fn numbers(list: &[f64]) -> String {
    format!("[{}]", list.iter().map(|n| number(*n)).collect::<Vec<_>>().join(", "))
}

/// The number with six digits that count, without zeros at the end.
fn number(value: f64) -> String {
    if value == 0.0 {
        return "0.0".to_owned();
    }
    #[expect(clippy::cast_possible_truncation, reason = "the exponent of a float")]
    let exponent = value.abs().log10().floor() as i32;
    if !(-6..15).contains(&exponent) {
        return format!("{value:.5e}");
    }
    let places = usize::try_from(DIGITS - 1 - exponent).unwrap_or(0);
    let text = format!("{value:.places$}");
    if !text.contains('.') {
        return format!("{text}.0");
    }
    let short = text.trim_end_matches('0');
    if short.ends_with('.') { format!("{short}0") } else { short.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_have_six_digits_and_are_toml() {
        for (value, text) in [
            (0.0, "0.0"),
            (1.0, "1.0"),
            (-2.5, "-2.5"),
            (1.234_567_89, "1.23457"),
            (1_234_567.8, "1234568.0"),
            (0.000_123_456_78, "0.000123457"),
            (1e-9, "1.00000e-9"),
            (1e20, "1.00000e20"),
        ] {
            assert_eq!(number(value), text);
            assert!(format!("x = {text}").parse::<toml::Table>().is_ok(), "{text}");
        }
    }
}
