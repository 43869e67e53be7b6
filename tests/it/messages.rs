//! The shipped messages as people get them: every text in every language, with nothing missing, and golden files to read
//! them by. `FOREWARN_LOOK=DIR` writes the mails and pages there, to be looked at in a browser.

use std::collections::BTreeSet;

use forewarn::playbook::{Messages, Part};
use forewarn::source::Diagnostics;
use serde_json::{Value, json};

use crate::desk_world::add_files;
use crate::mime::look;

const LOCALES: [&str; 5] = ["en", "de", "pl", "uk", "ru"];
const PARTS: [Part; 9] =
    [Part::Voice, Part::Sms, Part::Subject, Part::Text, Part::Html, Part::AppTitle, Part::App, Part::Page, Part::Item];

fn messages() -> Messages {
    let mut diags = Diagnostics::default();
    let dirs = LOCALES.iter().copied().chain(["layout", "instructions"]);
    let files: Vec<_> = dirs.flat_map(|dir| add_files(&mut diags, &format!("config/messages/{dir}"))).collect();
    let messages = Messages::load(&mut diags, &files);
    assert_eq!(diags.render(false), "", "the shipped messages have no findings, no gap in any language among them");
    messages
}

/// Everything that a text may speak of.
fn facts() -> Value {
    let offer = |n: u8, date: &str| json!({ "n": n, "date": date, "time": "09:00", "until": "10:00", "start": "x" });
    let link = |name: &str| format!("https://fw.example/l/{name}-AQGJClutrJd0u86zAgmagFc");
    json!({
        "case": { "id": "9F3A21", "full_id": "9f3a21", "title": "Front brake circuit lost: 2.9 bar left", "opened": "14:05",
            "url": "https://fw.example/api/v1/cases/9f3a21", "run": 1, "silent_for": "12m" },
        "device": { "id": "car-0007", "kind": "car", "plate": "M-FW 1006" },
        "fault": { "name": "brake.pad_wear", "family": "brake", "title": "Front brake pads: 6 mm left, for about 30d", "severity": "warning",
            "level": "warning", "confidence": 0.8, "cleared": false, "event_at": "2026-11-22T10:00:00Z", "evidence": [],
            "part": { "id": "pad_wear", "name": "pad wear" } },
        "chart": { "cid": "chart@1", "text": "CHART", "signal": "SIGNAL", "first": "9.0 mm", "first_on": "1 Nov", "last": "6.0 mm",
            "last_on": "20 Nov", "limit": "LIMIT 3 mm" },
        "dispatch": { "state": "accepted", "accepted": true, "on_site": false, "eta_minutes": 21, "eta_clock": "14:27",
            "truck": "M-TOW 1" },
        "storm": { "count": 5000, "family": "brake", "started": "14:05", "started_day": "2026-11-22", "cause": "firmware = 4.2.1",
            "share": "96 % of the cases and 31 % of the fleet", "devices": ["M-FW 1006", "B-FW 1007"], "more": 3 },
        "booking": { "state": "confirmed", "confirmed": true, "again": false, "round": 1, "id": "B-1", "start": "x",
            "offers": [offer(1, "2026-11-24"), offer(2, "2026-11-25"), offer(3, "2026-11-27")], "date": "2026-11-24",
            "time": "09:00", "until": "10:00", "workshop": "Nordwind Service Centre", "place": "Beispielstr. 1, 80331 Munich" },
        "ticket": { "open": true, "id": "22019" },
        "customer": { "name": "Jürgen Groß", "locale": "de-DE" },
        "link": { "answer": link("a"), "choose": link("c"), "unsubscribe": link("u"), "where": link("w"), "survey": link("s"),
            "request": link("q") },
        "request": { "service": "pad_wear", "customer": "Jürgen Groß", "phone": "+4930111" },
        "items": ["M-FW 1006: FIRST.", "hvac-0001: SECOND."],
        "opt_out": { "url": link("u"), "text": "OPT OUT" },
        "view": { "state": "open", "answer": null, "open": true, "begun": true },
        "page": { "queue": "service-desk", "reason": "nobody has been told anything yet" },
    })
}

/// What is said when less is known, or other things have happened.
fn cases() -> Vec<(&'static str, Value)> {
    let with = |changes: &[(&str, Value)]| {
        let mut facts = facts();
        for (path, value) in changes {
            *facts.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = value.clone();
        }
        facts
    };
    let nobody = json!({ "state": "none", "accepted": false, "on_site": false, "eta_minutes": null, "eta_clock": null, "truck": null });
    vec![
        ("", facts()),
        (
            "bare",
            with(&[
                ("/dispatch", nobody),
                ("/ticket", json!({ "open": false, "id": null })),
                ("/chart", Value::Null),
                ("/storm/cause", Value::Null),
                ("/storm/more", 0.into()),
            ]),
        ),
        (
            "one",
            with(&[
                ("/dispatch/eta_minutes", 1.into()),
                ("/booking/again", true.into()),
                ("/booking/confirmed", false.into()),
            ]),
        ),
        (
            "few",
            with(&[
                ("/dispatch/eta_minutes", 3.into()),
                ("/booking/state", "cancelled".into()),
                ("/view/state", "over".into()),
            ]),
        ),
        (
            "soon",
            with(&[
                ("/dispatch/eta_clock", Value::Null),
                ("/dispatch/eta_minutes", Value::Null),
                ("/booking/state", "changed_by_provider".into()),
                ("/view/state", "vague".into()),
            ]),
        ),
        (
            "there",
            with(&[
                ("/dispatch/on_site", true.into()),
                ("/view/state", "done".into()),
                ("/view/answer", "2".into()),
                ("/booking/confirmed", false.into()),
            ]),
        ),
        ("begun", with(&[("/view/state", "confirmed".into())])),
    ]
}

/// What is to be read in HTML.
fn visible(html: &str) -> String {
    let body = html.split("<body").nth(1).unwrap_or(html);
    let mut text = String::new();
    let mut rest = body.split_once('>').map_or(body, |(_, rest)| rest);
    while let Some((before, tag)) = rest.split_once('<') {
        text.push_str(before);
        let (tag, after) = tag.split_once('>').unwrap();
        if !matches!(tag.trim_start_matches('/'), "strong" | "code" | "em") {
            text.push(' ');
        }
        rest = after;
    }
    text.push_str(rest);
    let text = text.replace("&lt;", "<").replace("&#x27;", "'").replace("&amp;", "&").replace("&#x2f;", "/");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn every_text_is_there_in_every_language_and_needs_nothing_that_nobody_provides() {
    let messages = messages();
    for locale in LOCALES {
        let mut golden = String::new();
        for (script, part) in messages.scripts().flat_map(|s| PARTS.map(|p| (s, p))) {
            if !messages.has(script, part) {
                continue;
            }
            let mut said = BTreeSet::new();
            // What a picture shows is asked of it only if there is one.
            for (name, facts) in cases().into_iter().filter(|(_, f)| script != "chart" || !f["chart"].is_null()) {
                let (used, text) = messages
                    .render(script, part, locale, &facts)
                    .unwrap_or_else(|e| panic!("{locale}/{script}.{} {name}: {e}", part.suffix()));
                assert_eq!(used, locale, "{script}.{} in another language", part.suffix());
                assert!(!text.contains("undefined") && !text.contains("{{"), "{text}");
                if matches!(part, Part::Html | Part::Page) {
                    let file = format!("{locale}-{script}-{}.html", if name.is_empty() { "full" } else { name });
                    look(&file, text.as_bytes());
                }
                if matches!(part, Part::Html | Part::Page) || !said.insert(text.clone()) {
                    continue;
                }
                golden.push_str(&format!(
                    "── {script}.{}{}{name}\n{text}\n",
                    part.suffix(),
                    if name.is_empty() { "" } else { " " }
                ));
            }
        }
        insta::with_settings!({ snapshot_path => "golden/messages", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(locale, golden);
        });
    }
}

/// Whoever reads the text part is told what the others see.
#[test]
fn the_plain_part_of_a_mail_says_what_its_html_says() {
    let messages = messages();
    for script in messages.scripts().filter(|s| messages.has(s, Part::Html)) {
        for (locale, (name, facts)) in LOCALES.iter().flat_map(|l| cases().into_iter().map(move |c| (l, c))) {
            let html = messages.render(script, Part::Html, locale, &facts).unwrap().1;
            let text = messages.render(script, Part::Text, locale, &facts).unwrap().1;
            let seen = visible(&html);
            for line in text.lines().map(|l| l.trim_start_matches("- ").trim()).filter(|l| !l.is_empty()) {
                // Links are behind words there, and a picture is in the place of its words.
                let other = line.contains("https://") || line == "CHART" || line.ends_with(':');
                assert!(
                    other || seen.contains(line),
                    "{locale}/{script} {name}: the HTML does not say\n{line}\n\n{seen}"
                );
            }
            assert_eq!(html.contains("src=\"cid:chart@1\""), text.contains("CHART"), "{locale}/{script} {name}");
            assert!(html.contains("<html lang=\"") && html.contains("charset"), "{html}");
        }
    }
}

/// One segment of a text message holds 67 letters beyond Latin; more than five segments are a letter.
#[test]
fn text_messages_and_pushes_are_as_short_as_they_have_to_be() {
    let messages = messages();
    for script in messages.scripts() {
        for (locale, (name, facts)) in LOCALES.iter().flat_map(|l| cases().into_iter().map(move |c| (l, c))) {
            for (part, most) in [(Part::Sms, 335), (Part::AppTitle, 65), (Part::App, 240), (Part::Subject, 90)] {
                if messages.has(script, part) {
                    let text = messages.render(script, part, locale, &facts).unwrap().1;
                    let letters = text.chars().count();
                    assert!(letters <= most, "{locale}/{script}.{} {name}: {letters}\n{text}", part.suffix());
                }
            }
        }
    }
}
