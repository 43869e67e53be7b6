//! Filters that write numbers, durations and signs as the language of a text does, and dates and hours as its reader does:
//! one English text is for people who write the month first and for people who do not.

use std::fmt::Write as _;

use jiff::civil::Date;
use minijinja::value::Rest;
use minijinja::{Environment, Error, ErrorKind, State};

/// Makes the filters known.
pub(super) fn add_filters(env: &mut Environment<'_>) {
    env.add_filter("plural", plural);
    env.add_filter("number", number);
    env.add_filter("duration", duration);
    env.add_filter("spell", spell);
}

/// The locale of the text that is being rendered: `locale` of its facts, else what its name begins with
/// (`de-AT/x.voice.txt`).
pub(super) fn locale(state: &State<'_, '_>) -> String {
    let given = state.lookup("locale").and_then(|locale| locale.as_str().map(str::to_owned));
    given.unwrap_or_else(|| state.name().split('/').next().unwrap_or_default().to_owned())
}

/// The locale in which a text of `locale` is read by somebody who speaks `wanted`: theirs, unless it is a text of another
/// language for want of one in theirs.
pub(super) fn read_in<'a>(locale: &'a str, wanted: &'a str) -> &'a str {
    if of(locale) == of(wanted) { wanted } else { locale }
}

/// The language of a locale.
pub(super) fn of(locale: &str) -> &str {
    locale.split(['-', '_', '.']).next().unwrap_or("en")
}

/// Where English is written in another way than in Britain: whether the month stands before the day. All of them count
/// twice twelve hours a day.
const ENGLISH: [(&str, bool); 6] =
    [("US", true), ("CA", true), ("PH", true), ("AU", false), ("NZ", false), ("IN", false)];

fn english(locale: &str) -> Option<bool> {
    let mut parts = locale.split(['-', '_']);
    let region = (parts.next() == Some("en")).then(|| parts.find(|part| part.len() == 2))??;
    ENGLISH.iter().find(|(known, _)| *known == region).map(|(_, month_first)| *month_first)
}

/// A time of day as people of a locale write it, for `strftime`.
#[must_use]
pub fn clock(locale: &str) -> &'static str {
    if english(locale).is_some() { "%-I:%M %p" } else { "%H:%M" }
}

/// A day and the name of its month in the order of a locale.
pub(super) fn with_month(locale: &str, day: i8, month: &str) -> String {
    match of(locale) {
        "de" => format!("{day}. {month}"),
        _ if english(locale) == Some(true) => format!("{month} {day}"),
        _ => format!("{day} {month}"),
    }
}

/// Signs of units where Cyrillic is written; the others are the same everywhere.
const CYRILLIC: [(&str, &str, &str); 12] = [
    ("V", "В", "В"),
    ("A", "А", "А"),
    ("W", "Вт", "Вт"),
    ("kW", "кВт", "кВт"),
    ("mm", "мм", "мм"),
    ("m", "м", "м"),
    ("km", "км", "км"),
    ("km/h", "км/год", "км/ч"),
    ("bar", "бар", "бар"),
    ("s", "с", "с"),
    ("min", "хв", "мин"),
    ("h", "год", "ч"),
];

/// A unit of a model as people write it: `degC` is `°C`.
pub(super) fn unit(locale: &str, unit: &str) -> String {
    let known = CYRILLIC.iter().find(|(latin, ..)| *latin == unit);
    match (of(locale), known) {
        ("uk", Some((_, uk, _))) => (*uk).to_owned(),
        ("ru", Some((.., ru))) => (*ru).to_owned(),
        _ => unit.replace("degC", "°C").replace("degF", "°F"),
    }
}

/// A day in few signs: `3 Nov`, `Nov 3`, `3.11.`, `03.11`.
pub(super) fn short_date(locale: &str, date: Date) -> String {
    let form = match of(locale) {
        "de" => "%-d.%-m.",
        "pl" => "%-d.%m",
        "uk" | "ru" => "%d.%m",
        _ if english(locale) == Some(true) => "%b %-d",
        _ => "%-d %b",
    };
    date.strftime(form).to_string()
}

/// `{{ n|plural("minute", "minutes") }}`: the form that goes with the number. English and German have two forms, the
/// Slavic languages three: 1, 2 to 4, the rest.
#[expect(clippy::needless_pass_by_value, reason = "the shape of a filter")]
fn plural(state: &State<'_, '_>, n: i64, forms: Rest<String>) -> Result<String, Error> {
    let locale = locale(state);
    let language = of(&locale);
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

/// `{{ 12345.678|number(1) }}`: `12,345.7`, `12.345,7`, `12 345,7` (with a space that does not break).
fn number(state: &State<'_, '_>, n: f64, digits: Option<usize>) -> String {
    figure(&locale(state), n, digits.unwrap_or(0))
}

/// A number as a language writes it, with so many digits behind the point.
pub(super) fn figure(locale: &str, n: f64, digits: usize) -> String {
    let (group, point) = match of(locale) {
        "de" => (".", ','),
        "pl" | "uk" | "ru" => ("\u{a0}", ','),
        _ => (",", '.'),
    };
    let plain = format!("{:.*}", digits.min(9), n.abs());
    let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
    // Minus zero is zero.
    let mut out =
        String::from(if n < 0.0 && plain.contains(|c: char| ('1'..='9').contains(&c)) { "\u{2212}" } else { "" });
    for (i, c) in whole.chars().enumerate() {
        // Four digits stand together.
        if i > 0 && whole.len() > 4 && (whole.len() - i).is_multiple_of(3) {
            out.push_str(group);
        }
        out.push(c);
    }
    if !fraction.is_empty() {
        out.push(point);
        out.push_str(fraction);
    }
    out
}

/// `{{ seconds|duration }}`: the two largest units, `2 h 5 min`, `3 d 4 h`.
fn duration(state: &State<'_, '_>, seconds: f64) -> String {
    let words = match of(&locale(state)) {
        "de" => ["Tg.", "Std.", "min", "s"],
        "pl" => ["d", "godz.", "min", "s"],
        "uk" => ["д", "год", "хв", "с"],
        "ru" => ["д", "ч", "мин", "с"],
        _ => ["d", "h", "min", "s"],
    };
    // A limit far beyond anything that is waited for; what is no number is nothing.
    #[expect(clippy::cast_possible_truncation, reason = "limited in the line")]
    let mut rest = seconds.clamp(0.0, 1e9).round() as i64;
    let mut parts = Vec::new();
    for (unit, word) in [86_400, 3_600, 60, 1].into_iter().zip(words) {
        let n = rest / unit;
        rest %= unit;
        if n > 0 || (unit == 1 && parts.is_empty()) {
            parts.push(format!("{n}\u{a0}{word}"));
        } else if !parts.is_empty() {
            break;
        }
        if parts.len() == 2 {
            break;
        }
    }
    parts.join(" ")
}

/// `{{ device.plate|spell }}`: sign by sign, so that it is not read as a word or a large number: `M, F W, 1 0 0 6`.
fn spell(text: String) -> String {
    let mut out = String::new();
    for part in text.split(|c: char| !c.is_alphanumeric()).filter(|p| !p.is_empty()) {
        if !out.is_empty() {
            out.push_str(", ");
        }
        for (i, c) in part.chars().enumerate() {
            let _ = write!(out, "{}{c}", if i > 0 { " " } else { "" });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::template::environment;

    fn say(locale: &str, text: &str) -> String {
        let mut env = environment();
        env.add_template_owned(format!("{locale}/x.voice.txt"), text.to_owned()).unwrap();
        env.get_template(&format!("{locale}/x.voice.txt")).unwrap().render(()).unwrap()
    }

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
                assert_eq!(say(locale, &format!("{{{{ {n}|plural({forms}) }}}}")), expected, "{locale} {n}");
            }
        }
        let mut env = environment();
        env.add_template("pl/x.voice.txt", "{{ 3|plural('a', 'b') }}").unwrap();
        let error = env.get_template("pl/x.voice.txt").unwrap().render(()).unwrap_err();
        assert!(error.to_string().contains("plural needs 3 forms in 'pl', not 2"), "{error}");
    }

    #[test]
    fn figures_durations_and_plates_are_written_as_people_do() {
        for (locale, text, expected) in [
            ("en", "{{ 12345.678|number(1) }}", "12,345.7"),
            ("de-AT", "{{ 12345.678|number(1) }}", "12.345,7"),
            ("pl", "{{ 12345.678|number(1) }}", "12\u{a0}345,7"),
            ("ru", "{{ 1234|number }}", "1234"),
            ("en", "{{ -0.04|number(1) }} {{ -11.96|number(1) }}", "0.0 \u{2212}12.0"),
            ("en", "{{ 7500|duration }}", "2\u{a0}h 5\u{a0}min"),
            ("de", "{{ 90061|duration }}", "1\u{a0}Tg. 1\u{a0}Std."),
            ("uk", "{{ 0|duration }}", "0\u{a0}с"),
            ("ru", "{{ 86405|duration }}", "1\u{a0}д"),
            ("en", "{{ 'M-FW 1006'|spell }}", "M, F W, 1 0 0 6"),
        ] {
            assert_eq!(say(locale, text), expected, "{locale} {text}");
        }
    }
}
