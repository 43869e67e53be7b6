//! What is known of a caller as text. Pure: what was answered and what the terminal can show go in, text comes out.

use std::fmt::Write as _;

use console::Style as Paint;
use serde_json::json;

use crate::cli::case::{Row, Style, clean, instant, phase, severity, table};
use crate::desk::{Appointment, Arranged, KnownCase, KnownDevice, KnownPerson, Lookup, Told};
use crate::domain::Evidence;

/// People first, then each device with its open cases and those of the last days.
#[must_use]
pub fn render(found: &Lookup, style: &Style) -> String {
    if found.people.is_empty() && found.devices.is_empty() {
        return "Nobody and nothing of the registry.\n".to_owned();
    }
    let mut out = String::new();
    let people: Vec<Row> = found.people.iter().map(person).collect();
    out += &table(&people, "", |_| usize::MAX, style);
    for device in &found.devices {
        if !out.is_empty() {
            out.push('\n');
        }
        out += &about(device, style);
    }
    out
}

fn person(who: &KnownPerson) -> Row {
    let plain = |text: &str| (clean(text), Paint::new());
    let roles = if who.roles.is_empty() { "of no device".to_owned() } else { who.roles.join(", ") };
    vec![
        (clean(&who.name), Paint::new().bold()),
        plain(who.customer.as_str()),
        plain(&roles),
        plain(&format!("speaks {}", who.locale)),
        plain(&who.tz),
    ]
}

fn about(device: &KnownDevice, style: &Style) -> String {
    let attrs = device.attrs.iter().map(|(name, value)| format!("{name} {value}"));
    let what: Vec<String> = [device.kind.clone(), format!("model {}", device.model)].into_iter().chain(attrs).collect();
    let mut out = format!("{}  {}\n", style.bold(&clean(device.device.as_str())), clean(&what.join(", ")));
    if device.open.is_empty() {
        out += "  no open case\n";
    }
    for case in &device.open {
        out += &open(case, style);
    }
    if !device.earlier.is_empty() {
        let rows = device.earlier.iter().map(|case| {
            let cells = [instant(case.opened_at, style), clean(&case.short), clean(&case.title), phase(case)];
            cells.map(|text| (text, Paint::new().dim())).into()
        });
        let _ = write!(out, "\n  {}\n", style.bold("Before"));
        out += &table(&rows.collect::<Vec<Row>>(), "    ", |_| usize::MAX, style);
    }
    out
}

fn open(known: &KnownCase, style: &Style) -> String {
    let case = &known.summary;
    let mut out = format!("\n  {}  {}\n", style.bold(&clean(&case.short)), style.bold(&clean(&case.title)));
    let mut rows: Vec<Row> = Vec::new();
    let mut row = |name: &str, value: String, paint: Paint| {
        rows.push(vec![(name.to_owned(), Paint::new().dim()), (clean(&value), paint)]);
    };
    let (met, total) = case.goals_met;
    row("fault", format!("{} ({})", case.fault, case.severity), severity(case.severity));
    row("phase", format!("{}, {met} of {total} goals met", phase(case)), Paint::new());
    row("opened", instant(case.opened_at, style), Paint::new());
    if let Some(owner) = &known.human_owner {
        row("taken by", owner.clone(), Paint::new());
    }
    if !known.evidence.is_empty() {
        let measured: Vec<String> = known.evidence.iter().map(measured).collect();
        row("measured", measured.join(", "), Paint::new());
    }
    for job in &known.arranged {
        row("arranged", arranged(job, style), Paint::new());
    }
    if let Some(appointment) = &known.appointment {
        row("appointment", kept(appointment, style), Paint::new());
    }
    for told in &known.told {
        row("told", contact(told, style), Paint::new());
    }
    out += &table(&rows, "    ", |used| style.room(used), style);
    out
}

/// Numbers as a person reads them; the exact ones are in the case.
fn measured(e: &Evidence) -> String {
    let value = e.value.as_num().map_or_else(|| e.value.to_string(), |n| format!("{n:.2}"));
    format!("{} = {value} {}", e.name, e.unit).trim_end().to_owned()
}

fn arranged(job: &Arranged, style: &Style) -> String {
    let state = match (job.state.map(|state| json!(state)), &job.waits_for) {
        (Some(state), _) => words(state.as_str().unwrap_or_default()),
        (None, Some(why)) => format!("not asked yet, waits for {why}"),
        (None, None) => "not answered yet".to_owned(),
    };
    let mut out = format!("{} by {}: {state}", job.service, job.provider);
    if let Some(at) = job.eta_at {
        let _ = write!(out, ", there at {}", instant(at, style));
    }
    if let Some(truck) = &job.truck {
        let _ = write!(out, ", {truck}");
    }
    out
}

fn kept(appointment: &Appointment, style: &Style) -> String {
    let at = appointment.start_at.map(|at| format!(", {}", instant(at, style))).unwrap_or_default();
    format!("{}: {}{at}", appointment.workshop, words(&appointment.state))
}

fn contact(told: &Told, style: &Style) -> String {
    let result = if told.result.is_empty() { "no answer yet" } else { &told.result };
    format!("{}  {}  {}  {}", instant(told.at, style), told.whom, told.script, words(result))
}

/// A word of the desk as people write it.
fn words(word: &str) -> String {
    word.replace('_', " ")
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::desk::CaseSummary;
    use crate::domain::{At, JobState, Severity, Value};

    fn at(text: &str) -> At {
        text.parse().unwrap()
    }

    fn style() -> Style {
        Style { colour: false, width: None, zone: TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap() }
    }

    fn summary(digit: &str, title: &str) -> CaseSummary {
        let id: crate::domain::CaseId = digit.repeat(32).parse().unwrap();
        CaseSummary {
            id,
            short: id.short(),
            device: "car-0042".into(),
            fault: "brake.circuit_loss".into(),
            severity: Severity::Critical,
            phase: "engaging".into(),
            title: title.into(),
            event_at: at("2026-11-22T02:11:02Z"),
            opened_at: at("2026-11-22T02:11:04Z"),
            closed_at: None,
            outcome: None,
            goals_met: (1, 4),
        }
    }

    fn found() -> Lookup {
        let done = CaseSummary {
            phase: "closed".into(),
            outcome: Some("served".into()),
            closed_at: Some(at("2026-11-02T08:00:00Z")),
            opened_at: at("2026-11-01T08:00:00Z"),
            ..summary("b", "12 V battery will fail\u{1b}[2J")
        };
        let known = KnownCase {
            summary: summary("a", "Front left brake circuit failed"),
            evidence: vec![Evidence { name: "brake_fl".into(), value: Value::Num(0.0), unit: "bar".into() }],
            arranged: vec![Arranged {
                provider: "roadside".into(),
                service: "tow".into(),
                state: Some(JobState::EnRoute),
                waits_for: None,
                eta_at: Some(at("2026-11-22T02:40:00Z")),
                truck: Some("M-AB 123".into()),
            }],
            appointment: Some(Appointment {
                workshop: "workshop".into(),
                state: "confirmed".into(),
                start_at: Some(at("2026-11-24T09:00:00Z")),
            }),
            told: vec![
                Told {
                    at: at("2026-11-22T02:11:31Z"),
                    whom: "driver".into(),
                    script: "brake-stop-now".into(),
                    result: "human_confirmed(1)".into(),
                },
                Told {
                    at: at("2026-11-22T02:11:05Z"),
                    whom: "driver".into(),
                    script: "brake-stop-now".into(),
                    result: String::new(),
                },
            ],
            human_owner: Some("kim".into()),
        };
        let device = |id: &str, open, earlier| KnownDevice {
            device: id.into(),
            kind: "car".into(),
            model: "sedan".into(),
            attrs: [("plate".to_owned(), "W-123 AB".to_owned())].into(),
            open,
            earlier,
        };
        Lookup {
            people: vec![
                KnownPerson {
                    customer: "c-1".into(),
                    name: "Jane Doe".into(),
                    locale: "de-AT".into(),
                    tz: "Europe/Vienna".into(),
                    roles: vec!["driver".into(), "owner".into()],
                },
                KnownPerson {
                    customer: "c-200".into(),
                    name: "Joe".into(),
                    locale: "en".into(),
                    tz: "Europe/London".into(),
                    roles: Vec::new(),
                },
            ],
            devices: vec![device("car-0042", vec![known], vec![done]), device("car-7", Vec::new(), Vec::new())],
        }
    }

    #[test]
    fn whoever_has_a_caller_on_the_line_reads_it_from_top_to_bottom() {
        insta::assert_snapshot!(render(&found(), &style()), @r"
        Jane Doe  c-1    driver, owner  speaks de-AT  Europe/Vienna
        Joe       c-200  of no device   speaks en     Europe/London

        car-0042  car, model sedan, plate W-123 AB

          aaaaaaaa  Front left brake circuit failed
            fault        brake.circuit_loss (critical)
            phase        engaging, 1 of 4 goals met
            opened       2026-11-22 03:11:04 CET
            taken by     kim
            measured     brake_fl = 0.00 bar
            arranged     tow by roadside: en route, there at 2026-11-22 03:40:00 CET, M-AB 123
            appointment  workshop: confirmed, 2026-11-24 10:00:00 CET
            told         2026-11-22 03:11:31 CET  driver  brake-stop-now  human confirmed(1)
            told         2026-11-22 03:11:05 CET  driver  brake-stop-now  no answer yet

          Before
            2026-11-01 09:00:00 CET  bbbbbbbb  12 V battery will fail�[2J  closed: served

        car-7  car, model sedan, plate W-123 AB
          no open case
        ");
    }

    #[test]
    fn nobody_is_a_sentence_and_nothing_of_the_terminals_language_gets_through() {
        assert_eq!(render(&Lookup::default(), &style()), "Nobody and nothing of the registry.\n");
        let narrow = Style { width: Some(72), ..style() };
        for text in [render(&found(), &style()), render(&found(), &narrow)] {
            assert!(!text.contains('\u{1b}'), "{text:?}");
        }
    }
}
