//! What a mail shows of how a fault came: the course that the rule keeps, in the reader's language, units and time.
//!
//! The picture has few labels, so that it can be read on a phone; whoever cannot see it is told the same in words: the text
//! `chart.email.txt`, which stands in for the picture and in the plain part of the mail.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, ToSpan as _, Zoned};
use serde_json::{Value as Json, json};

use super::messages::{Messages, Part};
use super::speak;
use crate::domain::{At, Chart, Series};

/// The text that says what a picture shows.
const SCRIPT: &str = "chart";
/// So many labels below the picture at most …
const ACROSS: i64 = 4;
/// … and about so many beside it.
const UP: f64 = 5.0;

/// Steps between labels of time, in seconds; from a day on they are whole days.
const STEPS: [i64; 22] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800,
    1_209_600, 2_419_200,
];
const DAY: i64 = 86_400;

/// For whom.
pub struct Viewer<'a> {
    /// BCP 47.
    pub locale: &'a str,
    /// Where their clock is.
    pub zone: &'a TimeZone,
    /// `strftime` of a time of day.
    pub clock: &'a str,
}

impl Messages {
    /// The picture of `series` for a mail about `fault`, called `id` there, and what the texts of that mail may say of it as
    /// `chart`. `None` if nobody has put into words what the rule follows (`signal` in `faults.toml`), or if there is too
    /// little to show.
    #[must_use]
    pub fn chart(&self, fault: &str, series: &Series, viewer: &Viewer<'_>, id: String) -> Option<(Chart, Json)> {
        let words = self.fault_words(fault, viewer.locale).filter(|w| !w.signal.is_empty())?;
        let locale = speak::read_in(self.locale(SCRIPT, Part::Text, viewer.locale)?, viewer.locale).to_owned();
        let [first, .., last] = series.points.as_slice() else { return None };
        let time = Times::new(first.0, last.0, viewer, &locale)?;
        let values = Values::new(series, &locale)?;
        let limit = series.limit.filter(|limit| limit.is_finite());
        let unit = speak::unit(&locale, &series.unit);
        let title = if unit.is_empty() { words.signal.to_string() } else { format!("{} ({unit})", words.signal) };
        let meaning = |limit: f64| match &*words.limit {
            "" => values.round(limit),
            words => format!("{words} {}", values.round(limit)),
        };
        let chart = Chart {
            id: id.clone(),
            title,
            points: series.points.iter().map(|(at, value)| (time.share(*at), values.share(*value))).collect(),
            newest: values.exact(last.1),
            limit: limit.map(|limit| (values.share(limit), meaning(limit))),
            across: time.labels(),
            up: values.labels(),
        };
        let said = json!({
            "signal": &*words.signal,
            "first": values.exact(first.1), "first_on": time.when(first.0),
            "last": values.exact(last.1), "last_on": time.when(last.0),
            "limit": limit.map(meaning),
        });
        let (_, text) = self.render(SCRIPT, Part::Text, viewer.locale, &json!({ "chart": said })).ok()?;
        let mut said = said;
        said["text"] = text.split_ascii_whitespace().collect::<Vec<_>>().join(" ").into();
        said["cid"] = id.into();
        Some((chart, said))
    }
}

/// The way from left to right.
struct Times<'a> {
    from: At,
    to: At,
    /// Between two labels, in seconds.
    step: i64,
    viewer: &'a Viewer<'a>,
    locale: String,
}

impl<'a> Times<'a> {
    fn new(from: At, to: At, viewer: &'a Viewer<'a>, locale: &str) -> Option<Self> {
        let seconds = to.since(from).as_micros() / 1_000_000;
        let step = STEPS.into_iter().find(|step| seconds / step <= ACROSS).unwrap_or(seconds / ACROSS / DAY * DAY);
        (to > from).then(|| Self { from, to, step, viewer, locale: locale.to_owned() })
    }

    #[expect(clippy::cast_precision_loss, reason = "a share")]
    fn share(&self, at: At) -> f64 {
        at.since(self.from).as_micros() as f64 / self.to.since(self.from).as_micros() as f64
    }

    /// Round times of the viewer's clock, and where they are.
    fn labels(&self) -> Vec<(f64, String)> {
        let start = self.zoned(self.from);
        let Ok(midnight) = start.start_of_day() else { return Vec::new() };
        let mut at: DateTime = midnight.datetime();
        let mut labels = Vec::new();
        // From midnight on, so that hours are round; days from the first whole one on.
        if self.step < DAY {
            let since = start.datetime().duration_since(at).as_secs() / self.step * self.step;
            at = at.saturating_add(SignedDuration::from_secs(since));
        } else if at < start.datetime() {
            at = at.saturating_add(1.day());
        }
        while labels.len() <= 8 {
            let Ok(instant) = at.to_zoned(self.viewer.zone.clone()) else { break };
            let here = At::from_micros(instant.timestamp().as_microsecond());
            if here > self.to {
                break;
            }
            if here >= self.from {
                labels.push((self.share(here), self.label(&instant)));
            }
            at = match self.step {
                step if step < DAY => at.saturating_add(SignedDuration::from_secs(step)),
                step => at.saturating_add((step / DAY).days()),
            };
        }
        labels
    }

    fn label(&self, at: &Zoned) -> String {
        match self.step {
            step if step >= DAY => speak::short_date(&self.locale, at.date()),
            step if step < 60 => at.strftime("%H:%M:%S").to_string(),
            _ => at.strftime(self.viewer.clock).to_string(),
        }
    }

    /// An instant in words: the day of a course of days, else the time of day.
    fn when(&self, at: At) -> String {
        self.label(&self.zoned(at))
    }

    fn zoned(&self, at: At) -> Zoned {
        at.to_jiff().to_zoned(self.viewer.zone.clone())
    }
}

/// The way from the bottom to the top.
struct Values<'a> {
    low: f64,
    high: f64,
    step: f64,
    /// Digits that tell a hundredth of the height, about.
    fine: usize,
    unit: String,
    locale: &'a str,
}

impl<'a> Values<'a> {
    fn new(series: &Series, locale: &'a str) -> Option<Self> {
        let all = series.points.iter().map(|(_, value)| *value).chain(series.limit);
        let (low, high) = all
            .filter(|v| v.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        // A line that never moves still needs a height.
        let height = (high - low).max(high.abs().max(low.abs()) * 0.02).max(1e-6);
        let raw = height / UP;
        let power = 10_f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|n| n * power).find(|step| *step >= raw)?;
        let (low, high) = ((low - height * 0.04) / step, (high + height * 0.04) / step);
        let (low, high) = (low.floor() * step, high.ceil() * step);
        let unit = speak::unit(locale, &series.unit);
        let fine = digits(1.0 - height.log10().floor());
        (low.is_finite() && high > low).then_some(Self { low, high, step, fine, unit, locale })
    }

    fn share(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    fn labels(&self) -> Vec<(f64, String)> {
        let mut labels = Vec::new();
        for n in 0..12 {
            let value = self.low + self.step * f64::from(n);
            if value > self.high + self.step / 2.0 {
                break;
            }
            labels.push((
                self.share(value),
                speak::figure(self.locale, value, digits(-(self.step.log10() + 1e-9).floor())),
            ));
        }
        labels
    }

    /// With its unit, and so exact that it can be told from its neighbours.
    fn exact(&self, value: f64) -> String {
        self.said(value, self.fine)
    }

    /// As a person has written it: without digits that say nothing.
    fn round(&self, value: f64) -> String {
        let most = self.fine + 1;
        let same = |digits: &usize| format!("{value:.digits$}").parse::<f64>().is_ok_and(|v| (v - value).abs() < 1e-9);
        self.said(value, (0..most).find(same).unwrap_or(most))
    }

    fn said(&self, value: f64, digits: usize) -> String {
        let figure = speak::figure(self.locale, value, digits);
        if self.unit.is_empty() { figure } else { format!("{figure}\u{a0}{}", self.unit) }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 9")]
fn digits(n: f64) -> usize {
    n.clamp(0.0, 9.0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Diagnostics;

    fn messages() -> Messages {
        let mut diags = Diagnostics::default();
        let text = "{{ chart.signal }}: {{ chart.first }} ({{ chart.first_on }}) – {{ chart.last }} ({{ chart.last_on }}).{% if chart.limit %} {{ chart.limit }}.{% endif %}";
        let mut files = Vec::new();
        for (locale, signal, limit) in [
            ("en", "Voltage at rest", "may not start below"),
            ("de", "Spannung in Ruhe", "springt vielleicht nicht an unter"),
            ("uk", "Напруга в спокої", "може не завестися нижче"),
        ] {
            let words = format!(
                "[\"battery\"]\nwhat = \"x\"\nsignal = \"{signal}\"\nlimit = \"{limit}\"\n[\"other\"]\nwhat = \"y\"\n"
            );
            files.push(diags.add_file(format!("m/{locale}/faults.toml"), words));
            files.push(diags.add_file(format!("m/{locale}/chart.email.txt"), text));
        }
        let messages = Messages::load(&mut diags, &files);
        assert_eq!(diags.render(false), "");
        messages
    }

    /// Twenty days from the first of November on, from 12.62 V down by 0.03 V a day.
    fn decay() -> Series {
        let start = 1_793_491_200;
        let points = (0..20_i64)
            .map(|day| (At::from_secs(start + day * DAY), 12.62 - 0.03 * f64::from(u8::try_from(day).unwrap())));
        Series { unit: "V".into(), points: points.collect(), limit: Some(11.9) }
    }

    fn draw(series: &Series, locale: &str, zone: &str, clock: &str) -> Option<(Chart, Json)> {
        let zone = TimeZone::get(zone).unwrap();
        messages().chart("battery", series, &Viewer { locale, zone: &zone, clock }, "chart@1".into())
    }

    #[test]
    fn the_same_facts_in_the_language_and_the_time_of_the_reader() {
        for (locale, zone, said, title) in [
            (
                "en-GB",
                "Europe/London",
                "Voltage at rest: 12.62\u{a0}V (1 Nov) – 12.05\u{a0}V (20 Nov). may not start below 11.9\u{a0}V.",
                "Voltage at rest (V)",
            ),
            (
                "de-DE",
                "Europe/Berlin",
                "Spannung in Ruhe: 12,62\u{a0}V (1.11.) – 12,05\u{a0}V (20.11.). springt vielleicht nicht an unter 11,9\u{a0}V.",
                "Spannung in Ruhe (V)",
            ),
            (
                "uk-UA",
                "Europe/Kyiv",
                "Напруга в спокої: 12,62\u{a0}В (01.11) – 12,05\u{a0}В (20.11). може не завестися нижче 11,9\u{a0}В.",
                "Напруга в спокої (В)",
            ),
        ] {
            let (chart, facts) = draw(&decay(), locale, zone, "%H:%M").unwrap();
            assert_eq!(facts["text"], said, "{locale}");
            assert_eq!((chart.title.as_str(), facts["cid"].as_str()), (title, Some("chart@1")));
        }
    }

    #[test]
    fn points_and_level_are_where_the_labels_say() {
        let (chart, _) = draw(&decay(), "en-GB", "Europe/London", "%H:%M").unwrap();
        let up: Vec<&str> = chart.up.iter().map(|(_, label)| label.as_str()).collect();
        assert_eq!(up, ["11.8", "12.0", "12.2", "12.4", "12.6", "12.8"]);
        let height = |value: f64| value - 11.8;
        assert_eq!(chart.points.len(), 20);
        assert!((chart.points[0].1 - height(12.62)).abs() < 1e-9 && chart.points[0].0 == 0.0);
        assert!((chart.points[19].1 - height(12.05)).abs() < 1e-9 && chart.points[19].0 == 1.0);
        let (level, words) = chart.limit.unwrap();
        assert!((level - height(11.9)).abs() < 1e-9, "{level}");
        assert_eq!(words, "may not start below 11.9\u{a0}V");
        assert_eq!(chart.newest, "12.05\u{a0}V");
        let across: Vec<&str> = chart.across.iter().map(|(_, label)| label.as_str()).collect();
        assert_eq!(across, ["1 Nov", "8 Nov", "15 Nov"]);
        assert!((chart.across[1].0 - 7.0 / 19.0).abs() < 1e-9);
        let (chart, _) = draw(&decay(), "en-US", "UTC", "%-I:%M %p").unwrap();
        let across: Vec<&str> = chart.across.iter().map(|(_, label)| label.as_str()).collect();
        assert_eq!(across, ["Nov 1", "Nov 8", "Nov 15"]);
    }

    #[test]
    fn hours_are_round_on_the_clock_of_the_reader() {
        let points = (0..10).map(|n| (At::from_secs(1_793_535_000 + n * 600), 4.0)).collect();
        let series = Series { unit: String::new(), points, limit: None };
        let (chart, facts) = draw(&series, "en-US", "Asia/Kolkata", "%-I:%M %p").unwrap();
        let across: Vec<&str> = chart.across.iter().map(|(_, label)| label.as_str()).collect();
        assert_eq!(across, ["6:00 PM", "6:30 PM", "7:00 PM"]);
        assert_eq!(facts["limit"], Json::Null);
        assert!(chart.points.iter().all(|(_, y)| (0.0..=1.0).contains(y)), "{:?}", chart.points);
    }

    #[test]
    fn there_is_no_picture_of_too_little_or_of_what_nobody_has_words_for() {
        let one = Series { points: decay().points[..1].to_vec(), ..decay() };
        assert_eq!(draw(&one, "en", "UTC", "%H:%M"), None);
        let zone = TimeZone::UTC;
        let viewer = Viewer { locale: "en", zone: &zone, clock: "%H:%M" };
        assert_eq!(messages().chart("other", &decay(), &viewer, String::new()), None);
        let lost =
            Series { points: vec![(At::from_secs(1), f64::NAN), (At::from_secs(2), f64::NAN)], limit: None, ..decay() };
        assert_eq!(draw(&lost, "en", "UTC", "%H:%M"), None);
    }
}
