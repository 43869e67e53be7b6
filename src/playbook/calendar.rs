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
    let bad = |e: jiff::Error| Error::new(ErrorKind::InvalidOperation, format!("'{date}' is not a day: {e}"));
    let parsed: Date = date.parse().map_err(bad)?;
    let language = state.name().split(['/', '-', '_']).next().unwrap_or("en");
    let names = NAMES.iter().find(|n| n.language == language).unwrap_or(&NAMES[0]);
    let index = |n: i8| usize::try_from(n).unwrap_or(1) - 1;
    let weekday = names.days[index(parsed.weekday().to_monday_one_offset())];
    let (day, month) = (parsed.day(), names.months[index(parsed.month())]);
    Ok(if names.language == "de" { format!("{weekday}, {day}. {month}") } else { format!("{weekday}, {day} {month}") })
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
            env.add_template_owned(format!("{locale}/x.sms.txt"), "{{ '2026-11-24'|day }}").unwrap();
            let text = env.get_template(&format!("{locale}/x.sms.txt")).unwrap().render(()).unwrap();
            assert_eq!(text, expected, "{locale}");
        }
    }
}
