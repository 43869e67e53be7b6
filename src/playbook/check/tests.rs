//! The checks one by one: a sound playbook, and each way to make it unsound.

use std::sync::Arc;

use crate::domain::{Agreed, Purpose};
use crate::playbook::{FleetFacts, Messages, ProviderKind, Surroundings, load};
use crate::source::Diagnostics;

const GOOD: &str = r#"
schema = "playbook/1"
id = "p"
version = 1
[match]
fault = ["a.b", "a.c"]
device_kind = "car"
[case]
goals = ["told", "fixed"]
[policy]
purpose = "service"
contact_max = { calls = 2, emails = 1, per = "1h" }
[[step]]
id = "warn"
do = "reach"
who = ["driver"]
goal = "told"
until = "human_confirmed"
script = "hello"
ladder = [{ via = "call", at = "0s", attempts = 2 }, { via = "email", at = "1m" }]
[[step]]
id = "fix"
do = "command"
provider = "bus"
topic = "dev/{{ device.id }}/cmd"
payload = '{"id":"{{ action.id }}","op":"reset"}'
allow = ["reset"]
guard = ["device.speed == 0"]
reply = { topic = "dev/+/ack", within = "30s" }
verify = { expect = "fault.cleared for 10m", within = "30m" }
goal = "fixed"
on = { refused = "goto:visit" }
[[step]]
id = "visit"
do = "dispatch"
when = "goto"
service = "technician"
provider = ["tow-a"]
deadline = { accept = "90s" }
[[step]]
id = "ticket"
do = "ticket"
desk = "zammad"
after = ["visit"]
fields = { title = "{{ device.plate }}" }
"#;

/// The findings for `playbook`, with texts, rules and a registry around it.
fn findings(playbook: &str, voice: &str, mail: &str) -> String {
    let mut diags = Diagnostics::default();
    let files = [
        diags.add_file("m/en/hello.voice.txt", voice),
        diags.add_file("m/en/hello.email.txt", mail),
        diags.add_file("m/en/hello.email.subject.txt", "x"),
        diags.add_file("m/en/hello.email.html", "x"),
    ];
    let names = ["plate", "speed"].map(Arc::from);
    let around = Surroundings {
        queues: ["desk".into()].into(),
        providers: [
            ("bus".into(), ProviderKind::Command),
            ("tow-a".into(), ProviderKind::Dispatch),
            ("zammad".into(), ProviderKind::Ticket),
            ("phone".into(), ProviderKind::Voice),
            ("mail".into(), ProviderKind::Smtp),
            ("workshop".into(), ProviderKind::Booking),
        ]
        .into(),
        per_second: [("phone".into(), 2), ("mail".into(), 10)].into(),
        messages: Messages::load(&mut diags, &files),
        fleet: Some(FleetFacts {
            roles: ["driver".into()].into(),
            kinds: [("car".into(), names.into())].into(),
            consents: [Agreed::Contact(Purpose::Service)].into(),
        }),
    };
    let file = diags.add_file("p.toml", playbook);
    load(&mut diags, &[file], &around);
    diags.render(false)
}

#[test]
fn a_sound_playbook_has_no_findings() {
    assert_eq!(findings(GOOD, "Hello {{ device.plate }}", "Hello"), "");
}

/// The lifts come later than their playbook: the cars that are there say nothing of who looks after a lift.
#[test]
fn the_fleet_proves_nothing_of_kinds_that_it_does_not_have() {
    let lifts = GOOD.replace("\"car\"", "\"elevator\"").replace("driver", "rescue_service").replace("speed", "load");
    assert_eq!(findings(&lifts, "Hello {{ device.house }}", "Hello"), "");
}

#[test]
fn every_mistake_is_told_with_its_place() {
    let cases = [
        ("goto:visit", "human:desk", "P030", "nobody starts the step `visit`"),
        ("goto:visit", "human:desk", "P030", "it waits for `visit`, which never starts"),
        ("via = \"email\"", "via = \"human\", queue = \"desk\"", "", ""),
        ("calls = 2", "calls = 0", "P033", "`contact_max` has calls = 0"),
        ("at = \"1m\" }", "at = \"1m\", attempts = 1 }, { via = \"email\", at = \"1m\" }", "P033", "the same way"),
        ("within = \"30m\" }", "within = \"10m\" }", "P034", "it has to hold for 10m first"),
        ("within = \"30s\"", "within = \"5m\"", "P034", "the command is void after 2m"),
        ("purpose = \"service\"", "purpose = \"info\"", "P035", "so nobody may be told"),
        (
            "purpose = \"service\"",
            "purpose = \"service\"\nconsent = [\"data_use\"]",
            "P035",
            "has agreed to 'data_use'",
        ),
        ("purpose = \"service\"", "purpose = \"safety\"\nconsent = [\"data_use\"]", "P038", "would not be warned"),
        ("who = [\"driver\"]", "who = [\"drivr\"]", "P036", "did you mean `driver`?"),
        ("who = [\"driver\"]", "who = [\"oncall:desk\"]", "", ""),
        ("who = [\"driver\"]", "who = [\"oncall:dsk\"]", "P006", "did you mean `desk`?"),
        ("via = \"email\", at", "via = \"call\", at", "", ""),
        ("device.plate", "device.plat", "P032", "did you mean `device.plate`?"),
        ("device.speed == 0", "device.sped == 0", "P032", "did you mean `device.speed`?"),
        ("device.speed == 0", "device.last.speed == 0", "", ""),
    ];
    for (from, to, code, part) in cases {
        assert!(GOOD.contains(from), "{from}");
        let shown = findings(&GOOD.replacen(from, to, 1), "Hello", "Hello");
        let fits = if code.is_empty() { shown.is_empty() } else { shown.contains(code) && shown.contains(part) };
        assert!(fits && (code.is_empty() || shown.contains("p.toml:")), "{from} -> {to}: {code} {part}\n{shown}");
    }
}

#[test]
fn a_warning_of_danger_in_an_everyday_playbook_ends_with_a_person_too() {
    let policy = "do = \"reach\"\npolicy = { purpose = \"safety\", quiet_hours = \"ignore\" }";
    let alone = GOOD.replacen("do = \"reach\"", policy, 1);
    let shown = findings(&alone, "x", "Hello");
    assert!(shown.contains("P009") && shown.contains("nobody is asked when nobody answers"), "{shown}");
    let human = "{ via = \"email\", at = \"1m\" }, { via = \"human\", at = \"3m\", queue = \"desk\" }";
    assert_eq!(findings(&alone.replace("{ via = \"email\", at = \"1m\" }", human), "x", "Hello"), "");
}

#[test]
fn a_mistake_within_a_value_hides_none_in_the_plan() {
    for (from, to, code) in [
        ("\"op\":\"reset\"", "\"op\":\"explode\"", "P011"),
        ("{{ device.plate }}", "{{ device.plate", "P012"),
        ("fault.cleared for 10m", "fault.cleared fro 10m", "P013"),
        ("device.speed == 0", "dispach.state == 'done'", "P014"),
    ] {
        assert!(GOOD.contains(from), "{from}");
        let text = GOOD.replacen(from, to, 1).replace("goto:visit", "human:desk");
        let shown = findings(&text, "x", "Hello");
        assert!(shown.contains(code) && shown.contains("nobody starts the step `visit`"), "{from}\n{shown}");
    }
}

#[test]
fn a_consent_that_may_be_missing_needs_a_ticket_desk() {
    let asks = GOOD.replace("purpose = \"service\"", "purpose = \"service\"\nconsent = [\"data_use\"]");
    assert!(!findings(&asks, "x", "x").contains("P038"), "there is a ticket step");
    let none = asks.split_once("[[step]]\nid = \"ticket\"").unwrap().0;
    let shown = findings(none, "x", "x");
    assert!(shown.contains("P038") && shown.contains("add a step with `do = \"ticket\"`"), "{shown}");
}

#[test]
fn a_customer_can_answer_a_mail_but_not_a_page_to_our_own_people() {
    let mails_only = GOOD.replace("{ via = \"call\", at = \"0s\", attempts = 2 }, ", "");
    assert_eq!(findings(&mails_only, "x", "Hello"), "");
    let nobody = mails_only.replace("via = \"email\"", "via = \"human\", queue = \"desk\"");
    let shown = findings(&nobody, "x", "Hello");
    assert!(shown.contains("P031") && shown.contains("no rung brings an answer"), "{shown}");
}

#[test]
fn texts_speak_of_what_their_playbook_provides() {
    for (voice, part) in [
        ("In {{ dispatch.eta_minutes }} minutes", "it would be said before it is so"),
        ("{{ ticket.id }}", "ask first: {% if ticket.open %}"),
        ("{% if ticket.open %}{{ ticket.id }}{% endif %}", ""),
        ("{% if dispatch.accepted and dispatch.eta_minutes %}{{ dispatch.eta_minutes }}{% endif %}", ""),
        ("{{ page.reason }}", "only people of a queue are paged"),
        ("{{ device.colour }}", "a column of devices.csv, or a signal in `facts` of the model"),
    ] {
        let shown = findings(GOOD, voice, "Hello");
        assert!(
            if part.is_empty() { shown.is_empty() } else { shown.contains("P032") && shown.contains(part) },
            "{voice}\n{shown}"
        );
    }
    let no_truck =
        GOOD.replace("goto:visit", "human:desk").replace("do = \"dispatch\"", "do = \"human\"\nqueue = \"desk\"");
    let cut =
        no_truck.replace("service = \"technician\"\nprovider = [\"tow-a\"]\ndeadline = { accept = \"90s\" }\n", "");
    let shown = findings(&cut.replace("when = \"goto\"\n", ""), "In {{ dispatch.eta_minutes }}", "Hello");
    assert!(shown.contains("no step of this playbook dispatches anybody"), "{shown}");
}

#[test]
fn budget_above_the_rate_of_its_provider_is_told_with_its_place() {
    let storm = |budget: &str| {
        let head = GOOD.replace("fault = [\"a.b\", \"a.c\"]\ndevice_kind = \"car\"", SURGE);
        format!("{head}[[tier]]\nid = \"1\"\nwhen = \"true\"\nvia = [\"call\"]\nbudget = {{ {budget} }}\n")
    };
    const SURGE: &str = "storm = { same = [\"fault.family\"], min = 25, window = \"10m\" }";
    for (budget, place, part) in [
        ("call = \"2/s\"", "", ""),
        ("call = \"120/m\"", "", ""),
        ("call = \"3/s\"", "\"3/s\"", "`provider.phone` takes 2 a second"),
        ("call = \"121/m\"", "\"121/m\"", "above the rate of its provider"),
        ("email = \"11/s\"", "\"11/s\"", "`provider.mail` takes 10 a second"),
        // Nothing is known of it, or there is none.
        ("app_push = \"900/s\"", "", ""),
    ] {
        let shown = findings(&storm(budget), "Hello", "Hello");
        assert_eq!(shown.contains("P052"), !part.is_empty(), "{budget}\n{shown}");
        assert!(shown.contains(part) && shown.contains(place), "{budget}\n{shown}");
    }
}

const BOOKING: &str = r#"
schema = "playbook/1"
id = "p"
version = 1
[match]
fault = ["a.b"]
device_kind = "car"
[case]
goals = ["booked"]
[policy]
purpose = "service"
contact_max = { calls = 2, per = "1h" }
[[step]]
id = "slots"
do = "book"
mode = "hold"
service = "x"
window = { from = "now", to = "now + 5d" }
hold_for = "48h"
provider = ["workshop"]
[[step]]
id = "propose"
do = "reach"
after = ["slots"]
who = ["driver"]
until = "answered_choice"
script = "hello"
ladder = [{ via = "call", at = "0s", hours = "10:00-18:00" }, { via = "human", at = "8d", queue = "desk" }]
[[step]]
id = "confirm"
do = "book"
mode = "confirm"
after = ["propose"]
goal = "booked"
"#;

#[test]
fn what_is_booked_was_found_before_and_is_kept_as_long_as_somebody_is_asked() {
    for (from, to, code, part) in [
        ("", "", "", ""),
        ("after = [\"propose\"]", "", "P040", "no `hold` comes before it"),
        ("hold_for = \"48h\"", "hold_for = \"12h\"", "P040", "8 x 12h is less than 8d"),
        ("provider = [\"workshop\"]", "provider = [\"workshp\"]", "P007", "did you mean `workshop`?"),
        ("provider = [\"workshop\"]", "provider = [\"tow-a\"]", "P007", "cannot do this"),
        ("10:00-18:00", "18:00-10:00", "P0", "is not hours of a day such as 10:00-18:00"),
        ("10:00-18:00", "mornings", "P0", "is not hours of a day such as 10:00-18:00"),
        ("purpose = \"service\"", "purpose = \"safety\"", "P033", "danger is told of at any hour"),
    ] {
        let shown = findings(&BOOKING.replacen(from, to, 1), "Hello", "Hello");
        let fits = if code.is_empty() { shown.is_empty() } else { shown.contains(code) && shown.contains(part) };
        assert!(fits, "{from} -> {to}: {code} {part}\n{shown}");
    }
}
