//! Golden texts of the case commands.

use super::*;
use crate::domain::EffectId;

fn at(text: &str) -> At {
    text.parse().unwrap()
}

fn style() -> Style {
    Style { colour: false, width: None, zone: TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap() }
}

fn summary(digit: &str, device: &str, fault: &str, severity: Severity, title: &str) -> CaseSummary {
    let id: crate::domain::CaseId = digit.repeat(32).parse().unwrap();
    CaseSummary {
        id,
        short: id.short(),
        device: device.to_owned(),
        fault: fault.to_owned(),
        severity,
        phase: "engaging".to_owned(),
        title: title.to_owned(),
        event_at: at("2026-11-22T02:11:02Z"),
        opened_at: at("2026-11-22T02:11:04Z"),
        closed_at: None,
        outcome: None,
        goals_met: (1, 4),
    }
}

fn brake() -> CaseSummary {
    summary("a", "car-0042", "brake.circuit_loss", Severity::Critical, "Front left brake circuit failed")
}

fn list() -> CaseList {
    let mut weak = summary("b", "car-7", "battery_12v.weak", Severity::Major, "12 V battery will fail in 4 days");
    weak.opened_at = at("2026-11-20T00:00:00Z");
    let mut done = summary("c", "lkw-münchen", "coolant.hot", Severity::Minor, "Kühlmittel heiß\u{1b}[31m\u{202e}");
    (done.phase, done.outcome, done.closed_at) =
        ("closed".to_owned(), Some("served".to_owned()), Some(at("2026-11-22T02:12:00Z")));
    CaseList { at: at("2026-11-22T02:14:10Z"), cases: vec![brake(), weak, done] }
}

fn view() -> CaseView {
    let effect = |step: &str, kind: &str, adapter: &str, state: &str| EffectView {
        id: EffectId::of(at("2026-11-22T02:11:05Z"), &[step.as_bytes()]),
        step: step.to_owned(),
        kind: kind.to_owned(),
        adapter: adapter.to_owned(),
        state: state.to_owned(),
        attempts: 1,
        provider_ref: None,
        waits_for: None,
        not_before_at: None,
        possible_duplicate: false,
    };
    let goal = |name: &str, state: &str, met_by: Option<&str>, deadline: Option<&str>| GoalView {
        name: name.to_owned(),
        state: state.to_owned(),
        met_by: met_by.map(str::to_owned),
        deadline_at: deadline.map(at),
    };
    let line = |time: &str, kind, text: &str| TimelineEntry { at: at(time), kind, text: text.to_owned(), effect: None };
    CaseView {
        summary: brake(),
        key: "car-0042/brake".to_owned(),
        playbook: "car-breakdown-tow version 7".to_owned(),
        human_owner: Some("ops".to_owned()),
        waits_for: None,
        goals: vec![
            goal("driver_told_to_stop", "met", Some("human_confirmed"), None),
            goal("tow_accepted", "open", None, Some("2026-11-22T02:20:00Z")),
            goal("ticket_open", "missed", None, None),
            goal("vehicle_safe", "waived", None, None),
        ],
        effects: vec![
            EffectView { provider_ref: Some("CA1".to_owned()), ..effect("warn", "call", "phone", "confirmed") },
            EffectView {
                attempts: 0,
                waits_for: Some("the provider's budget".to_owned()),
                not_before_at: Some(at("2026-11-22T02:16:00Z")),
                ..effect("tow", "dispatch", "tow", "due")
            },
            EffectView { attempts: 2, possible_duplicate: true, ..effect("desk", "ticket", "helpdesk", "unknown") },
        ],
        waits: Vec::new(),
        history: crate::desk::History::default(),
        conversation: Vec::new(),
        timeline: vec![
            line("2026-11-21T22:59:58Z", TimelineKind::Measured, "brake_fl 0 bar while brake_pedal 80 %"),
            line("2026-11-22T02:11:04Z", TimelineKind::Decided, "case opened with car-breakdown-tow"),
            line("2026-11-22T02:11:05Z", TimelineKind::Sent, "call to the driver (endpoint drv-1), attempt 1"),
            line("2026-11-22T02:11:19Z", TimelineKind::Said, "brake-stop-now in German"),
            line("2026-11-22T02:11:31Z", TimelineKind::Answered, "the driver pressed 1"),
            line("2026-11-22T02:11:40Z", TimelineKind::Trouble, "ticket desk: no answer\r\u{1b}[2J, outcome unknown"),
        ],
    }
}

#[test]
fn a_list_is_an_aligned_table() {
    insta::assert_snapshot!(render_list(&list(), &style()), @r"
    CASE      PHASE           SEVERITY  DEVICE       FAULT               GOALS  AGE    TITLE
    aaaaaaaa  engaging        critical  car-0042     brake.circuit_loss  1/4    3m     Front left brake circuit failed
    bbbbbbbb  engaging        major     car-7        battery_12v.weak    1/4    2d02h  12 V battery will fail in 4 days
    cccccccc  closed: served  minor     lkw-münchen  coolant.hot         1/4    3m     Kühlmittel heiß�[31m�
    ");
    assert_eq!(render_list(&CaseList { cases: Vec::new(), ..list() }, &style()), "No cases.\n");
}

#[test]
fn a_case_reads_from_top_to_bottom() {
    insta::assert_snapshot!(render_case(&view(), &style()), @r"
    aaaaaaaa  Front left brake circuit failed
      id        aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
      device    car-0042
      fault     brake.circuit_loss (critical)
      phase     engaging
      opened    2026-11-22 03:11:04 CET
      playbook  car-breakdown-tow version 7
      taken by  ops

    Goals 1 of 4 met
      ✔  driver_told_to_stop  met     by human_confirmed
      ○  tow_accepted         open    until 2026-11-22 03:20:00 CET
      ✘  ticket_open          missed
      –  vehicle_safe         waived

    Effects
      warn  call      phone     confirmed  1 attempt   their id CA1
      tow   dispatch  tow       due                    waits for the provider's budget, until 2026-11-22 03:16:00 CET
      desk  ticket    helpdesk  unknown    2 attempts  may be a duplicate

    Timeline
      Sat 2026-11-21 CET
      23:59:58  ◆ measured  brake_fl 0 bar while brake_pedal 80 %
      Sun 2026-11-22 CET
      03:11:04  ● decided   case opened with car-breakdown-tow
      03:11:05  → sent      call to the driver (endpoint drv-1), attempt 1
      03:11:19  » said      brake-stop-now in German
      03:11:31  ← answered  the driver pressed 1
      03:11:40  ✘ trouble   ticket desk: no answer��[2J, outcome unknown
    ");
}

#[test]
fn a_narrow_terminal_cuts_titles_and_wraps_the_timeline() {
    let narrow = Style { width: Some(72), ..style() };
    let mut long = view();
    long.timeline.truncate(1);
    long.timeline[0].text = "word ".repeat(30).trim_end().to_owned();
    insta::assert_snapshot!(render_case(&long, &narrow).split("Timeline\n").nth(1).unwrap(), @r"
    Sat 2026-11-21 CET
    23:59:58  ◆ measured  word word word word word word word word word
                          word word word word word word word word word
                          word word word word word word word word word
                          word word word
    ");
    for (width, last) in [(115, "fail in 4 days"), (114, "fail in 4 da…"), (80, "  12 V battery wi…")] {
        let list = render_list(&list(), &Style { width: Some(width), ..style() });
        assert!(list.lines().nth(2).unwrap().ends_with(last), "{width}: {list}");
    }
}

#[test]
fn colours_only_when_asked_and_only_ours() {
    let colour = Style { colour: true, ..style() };
    let painted = render_list(&list(), &colour);
    assert!(painted.contains("\u{1b}[31m\u{1b}[1mcritical\u{1b}[0m"), "{painted:?}");
    let plain = render_list(&list(), &style()) + &render_case(&view(), &style());
    assert!(!plain.contains('\u{1b}') && !plain.contains('\r') && !plain.contains('\u{202e}'));
    // Nothing of the terminal's language survives in what came from elsewhere.
    assert!(render_case(&view(), &colour).contains("no answer\u{fffd}\u{fffd}[2J"));
}

#[test]
fn ages() {
    for (seconds, text) in [(0, "0s"), (59, "59s"), (60, "1m"), (3_599, "59m"), (3_660, "1h01m"), (90_000, "1d01h")] {
        assert_eq!(age(Span::from_secs(seconds)), text);
    }
}
