//! `{{ booking.date|day }}`: a day as people write it, in the language of the text, which is the first part of its name.

use jiff::civil::Date;
use minijinja::{Error, ErrorKind, State};

/// Weekdays from Monday, then months, as they stand in a date.
struct Names {
    language: &'static str,
    days: [&'static str; 7],
    months: [&'static str; 12],
}

const NAMES: [Names; 5] = [
    Names {
        language: "en",
        days: ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"],
        months: [
            "January",
            "February",
            "March",
            "April",
            "May",
            "June",
            "July",
            "August",
            "September",
            "October",
            "November",
            "December",
        ],
    },
    Names {
        language: "de",
        days: ["Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"],
        months: [
            "Januar",
            "Februar",
            "März",
            "April",
            "Mai",
            "Juni",
            "Juli",
            "August",
            "September",
            "Oktober",
            "November",
            "Dezember",
        ],
    },
    Names {
        language: "pl",
        days: ["poniedziałek", "wtorek", "środa", "czwartek", "piątek", "sobota", "niedziela"],
        months: [
            "stycznia",
            "lutego",
            "marca",
            "kwietnia",
            "maja",
            "czerwca",
            "lipca",
            "sierpnia",
            "września",
            "października",
            "listopada",
            "grudnia",
        ],
    },
    Names {
        language: "ru",
        days: ["понедельник", "вторник", "среда", "четверг", "пятница", "суббота", "воскресенье"],
        months: [
            "января",
            "февраля",
            "марта",
            "апреля",
            "мая",
            "июня",
            "июля",
            "августа",
            "сентября",
            "октября",
            "ноября",
            "декабря",
        ],
    },
    Names {
        language: "uk",
        days: ["понеділок", "вівторок", "середа", "четвер", "п’ятниця", "субота", "неділя"],
        months: [
            "січня",
            "лютого",
            "березня",
            "квітня",
            "травня",
            "червня",
            "липня",
            "серпня",
            "вересня",
            "жовтня",
            "листопада",
            "грудня",
        ],
    },
];

#[expect(clippy::needless_pass_by_value, reason = "the shape of a filter")]
pub(super) fn day(state: &State<'_, '_>, date: String) -> Result<String, Error> {
    let (names, date) = read(state, &date)?;
    let weekday = names.days[index(date.weekday().to_monday_one_offset())];
    Ok(format!("{weekday}, {}", with_month(names, date, names.months[index(date.month())])))
}

/// Short enough for a button: day and the beginning of the month.
#[expect(clippy::needless_pass_by_value, reason = "the shape of a filter")]
pub(super) fn day_short(state: &State<'_, '_>, date: String) -> Result<String, Error> {
    let (names, date) = read(state, &date)?;
    let month: String = names.months[index(date.month())].chars().take(3).collect();
    Ok(with_month(names, date, &month))
}

fn read(state: &State<'_, '_>, date: &str) -> Result<(&'static Names, Date), Error> {
    let bad = |e: jiff::Error| Error::new(ErrorKind::InvalidOperation, format!("'{date}' is not a day: {e}"));
    let language = state.name().split(['/', '-', '_']).next().unwrap_or("en");
    let names = NAMES.iter().find(|n| n.language == language).unwrap_or(&NAMES[0]);
    Ok((names, date.parse().map_err(bad)?))
}

fn index(n: i8) -> usize {
    usize::try_from(n).unwrap_or(1) - 1
}

fn with_month(names: &Names, date: Date, month: &str) -> String {
    let dot = if names.language == "de" { "." } else { "" };
    format!("{}{dot} {month}", date.day())
}

#[cfg(test)]
mod tests {
    use super::super::template::environment;

    #[test]
    fn a_day_is_written_in_the_language_of_its_text() {
        for (locale, expected) in [
            ("en", "Tuesday, 24 November"),
            ("de-AT", "Dienstag, 24. November"),
            ("pl", "wtorek, 24 listopada"),
            ("ru", "вторник, 24 ноября"),
            ("uk", "вівторок, 24 листопада"),
            ("fr", "Tuesday, 24 November"),
        ] {
            let mut env = environment();
            let text = "{{ '2026-11-24'|day }}; {{ '2026-11-24'|day_short }}";
            env.add_template_owned(format!("{locale}/x.sms.txt"), text).unwrap();
            let text = env.get_template(&format!("{locale}/x.sms.txt")).unwrap().render(()).unwrap();
            let (day, month) = expected.split_once(", ").unwrap().1.split_once(' ').unwrap();
            let short: String = month.chars().take(3).collect();
            assert_eq!(text, format!("{expected}; {day} {short}"), "{locale}");
        }
    }
}
