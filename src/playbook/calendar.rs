//! `{{ booking.date|day }}`: a day as people write it, in the language of the text and the order of whoever reads it.

use jiff::civil::Date;
use minijinja::{Error, ErrorKind, State};

use super::speak::{locale, of, with_month};

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
    let locale = locale(state);
    let (names, date) = read(&locale, &date)?;
    let weekday = names.days[index(date.weekday().to_monday_one_offset())];
    Ok(format!("{weekday}, {}", with_month(&locale, date.day(), names.months[index(date.month())])))
}

/// Short enough for a button: day and the beginning of the month.
#[expect(clippy::needless_pass_by_value, reason = "the shape of a filter")]
pub(super) fn day_short(state: &State<'_, '_>, date: String) -> Result<String, Error> {
    let locale = locale(state);
    let (names, date) = read(&locale, &date)?;
    let month: String = names.months[index(date.month())].chars().take(3).collect();
    Ok(with_month(&locale, date.day(), &month))
}

fn read(locale: &str, date: &str) -> Result<(&'static Names, Date), Error> {
    let bad = |e: jiff::Error| Error::new(ErrorKind::InvalidOperation, format!("'{date}' is not a day: {e}"));
    let names = NAMES.iter().find(|n| n.language == of(locale)).unwrap_or(&NAMES[0]);
    Ok((names, date.parse().map_err(bad)?))
}

fn index(n: i8) -> usize {
    usize::try_from(n).unwrap_or(1) - 1
}

#[cfg(test)]
mod tests {
    use super::super::template::environment;

    /// British, American, Canadian and Australian readers of one English text.
    #[test]
    fn a_day_is_written_in_the_order_of_its_reader() {
        let mut env = environment();
        let text = "{{ '2026-11-24'|day }}; {{ '2026-11-04'|day_short }}";
        env.add_template_owned("en/x.sms.txt", text).unwrap();
        for (locale, expected) in [
            ("en", "Tuesday, 24 November; 4 Nov"),
            ("en-GB", "Tuesday, 24 November; 4 Nov"),
            ("en-AU", "Tuesday, 24 November; 4 Nov"),
            ("en-US", "Tuesday, November 24; Nov 4"),
            ("en-Latn-CA", "Tuesday, November 24; Nov 4"),
        ] {
            let template = env.get_template("en/x.sms.txt").unwrap();
            assert_eq!(template.render(minijinja::context! { locale => locale }).unwrap(), expected, "{locale}");
        }
    }

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
