use super::*;
use crate::domain::{AdapterName, QueueName, Span};
use crate::source::Diagnostics;

const GOOD: &str = r#"
schema = "playbook/1"
id = "p"
version = 1
[match]
fault = ["a.b"]
severity = "critical"
[case]
goals = ["told"]
[policy]
purpose = "safety"
quiet_hours = "ignore"
[[step]]
id = "warn"
do = "reach"
who = ["driver"]
goal = "told"
until = "human_confirmed"
script = "hello"
ladder = [{ via = "call", at = "0s", attempts = 2 }, { via = "human", at = "3m", queue = "desk" }]
[[step]]
id = "tow"
do = "dispatch"
service = "tow"
needs = ["position_age < 10m"]
provider = ["tow-a"]
deadline = { accept = "90s", arrive = "eta + 15m" }
on = { declined = "next_provider", no_provider = "human:desk" }
[[step]]
id = "verify"
do = "wait_for"
expect = "device.speed == 0 for 2m"
within = "20m"
else = "human:desk"
[[cancel]]
when = "fault.cleared for 60s && ! confirmed('warn')"
do = ["dispatch.cancel(tow)", "ticket.note('gone')"]
"#;

fn surroundings(diags: &mut Diagnostics) -> Surroundings {
    let voice = diags.add_file("messages/en/hello.voice.txt", "Hello {{ device.plate }}\n");
    Surroundings {
        queues: [QueueName::from("desk")].into(),
        providers: [
            (AdapterName::from("tow-a"), ProviderKind::Dispatch),
            ("zammad".into(), ProviderKind::Ticket),
            ("phone".into(), ProviderKind::Voice),
            ("text".into(), ProviderKind::Sms),
        ]
        .into(),
        messages: Messages::load(diags, &[voice]),
        fleet: None,
    }
}

fn load_text(text: &str) -> (Vec<std::sync::Arc<Playbook>>, Diagnostics) {
    let mut diags = Diagnostics::default();
    let around = surroundings(&mut diags);
    let file = diags.add_file("playbooks/p.toml", text);
    let books = load(&mut diags, &[file], &around);
    (books, diags)
}

#[test]
fn a_sound_playbook_loads() {
    let (books, diags) = load_text(GOOD);
    assert!(diags.list().is_empty(), "{}", diags.render(false));
    let Verb::Dispatch(tow) = &books[0].steps[1].verb else { panic!("a dispatch step") };
    assert_eq!(tow.deadline.accept, Span::from_secs(90));
    assert_eq!(compile_stored(&books[0].source).as_ref(), Some(&*books[0]), "the stored text gives the same plan");
}

/// Replaces one piece of the sound playbook and looks for the finding.
#[test]
fn every_mistake_has_its_code_and_place() {
    for (from, to, code, label) in [
        ("schema = \"playbook/1\"", "schema = \"playbook/9\"", "P002", "playbook/9"),
        ("do = \"reach\"", "do = \"raech\"", "P003", "did you mean 'reach'?"),
        ("confirmed('warn')", "confirmed('wran')", "P004", "did you mean `warn`?"),
        ("dispatch.cancel(tow)", "dispatch.cancel(two)", "P004", "did you mean `tow`?"),
        ("goal = \"told\"", "goal = \"tolt\"", "P005", "did you mean `told`?"),
        ("goal = \"told\"", "", "P005", "nobody can meet the goal `told`"),
        ("queue = \"desk\"", "queue = \"dexk\"", "P006", "did you mean `desk`?"),
        ("else = \"human:desk\"", "else = \"human:safety\"", "P006", "there is no queue `safety`"),
        ("[\"tow-a\"]", "[\"tow-b\"]", "P007", "did you mean `tow-a`?"),
        ("[\"tow-a\"]", "[\"zammad\"]", "P007", "is of kind Ticket"),
        ("script = \"hello\"", "script = \"helo\"", "P008", "did you mean `hello`?"),
        ("{ via = \"call\", at = \"0s\", attempts = 2 }", "{ via = \"sms\", at = \"0s\" }", "P008", "en/hello.sms.txt"),
        (", { via = \"human\", at = \"3m\", queue = \"desk\" }", "", "P009", "has no human rung"),
        ("purpose = \"safety\"", "purpose = \"service\"", "P010", "safety"),
        ("device.speed == 0 for 2m", "device.speed == 0 for", "P013", "a duration such as 2m"),
        ("position_age < 10m", "positionage < 10m", "P014", "did you mean `position_age`?"),
        ("until = \"human_confirmed\"", "until = \"answered\"", "P015", "expected human_confirmed"),
        ("arrive = \"eta + 15m\"", "arrive = \"soon\"", "P015", "expected `eta + 15m`"),
        ("ticket.note('gone')", "ticket.close('gone')", "P015", "undoes nothing"),
        ("id = \"warn\"\n", "id = \"warn\"\nafter = [\"warn\"]\n", "P016", "waits for itself"),
        ("id = \"verify\"", "id = \"tow\"", "P017", "the first one"),
        ("within = \"20m\"", "", "P001", "`within` is missing"),
        ("within = \"20m\"", "within = \"20m\"\nwithn = 2", "P001", "did you mean `within`?"),
        ("goals = [\"told\"]", "goals = [\"told\"]\nkey = \"{{ device.id \"", "P012", "in this template"),
        ("goals = [\"told\"]", "goals = [\"told\"]\nkey = \"{{ devise.id }}\"", "P014", "did you mean `device.id`?"),
    ] {
        let text = GOOD.replace(from, to);
        assert_ne!(text, GOOD, "{from} is in the playbook");
        let (books, diags) = load_text(&text);
        let shown = diags.render(false);
        assert!(diags.list().iter().any(|d| d.code == code), "{from} -> {to}: no {code} in\n{shown}");
        assert!(shown.contains(label), "{from} -> {to}: no '{label}' in\n{shown}");
        assert!(books.is_empty(), "a playbook with a mistake is not loaded");
    }
}

#[test]
fn all_mistakes_at_once() {
    let text = GOOD.replace("queue = \"desk\"", "queue = \"x\"").replace("\"tow-a\"", "\"y\"").replace("'hello'", "z");
    let (_, diags) = load_text(&text.replace("script = \"hello\"", "script = \"z\""));
    let codes: Vec<&str> = diags.list().iter().map(|d| d.code).collect();
    assert_eq!(codes, ["P008", "P006", "P007"], "in the order of the file");
}

#[test]
fn commands_are_held_to_their_list() {
    let step = r#"
[[step]]
id = "fix"
do = "command"
provider = "bus"
topic = "dev/{{ device.id }}/cmd"
payload = '{"id":"{{ action.id }}","op":"OP","until":"{{ action.expires }}"}'
allow = ["soft_reset"]
"#;
    let with = |op: &str| {
        let mut diags = Diagnostics::default();
        let mut around = surroundings(&mut diags);
        around.providers.insert("bus".into(), ProviderKind::Command);
        let file =
            diags.add_file("p.toml", GOOD.replace("[[cancel]]", &format!("{}\n[[cancel]]", step.replace("OP", op))));
        load(&mut diags, &[file], &around);
        diags
    };
    assert!(with("soft_reset").list().is_empty(), "{}", with("soft_reset").render(false));
    let shown = with("soft_rest").render(false);
    assert!(shown.contains("P011") && shown.contains("did you mean 'soft_reset'?"), "{shown}");
}

#[test]
fn texts_speak_of_what_the_desk_provides() {
    for (text, code, hint) in [
        ("{{ dispatch.eta_minuts }}", "P022", "did you mean `dispatch.eta_minutes`?"),
        (
            "{% for e in fault.evidence %}{{ e.name }}{% endfor %}{% if ticket.opn %}x{% endif %}",
            "P022",
            "`ticket.open`",
        ),
        ("{{ weather }}", "P022", "nobody provides this"),
        ("{{ action.id }}", "P022", "nobody provides this"),
    ] {
        let mut diags = Diagnostics::default();
        let file = diags.add_file("m/en/x.sms.txt", text);
        Messages::load(&mut diags, &[file]);
        let shown = diags.render(false);
        assert!(diags.list().len() == 1 && shown.contains(code) && shown.contains(hint), "{text}:\n{shown}");
    }
    let with = |name: &str| {
        load_text(&GOOD.replace("goals = [\"told\"]", &format!("key = \"{{{{ {name} }}}}\"\ngoals = [\"told\"]"))).1
    };
    assert!(with("device.anything").list().is_empty());
    for (name, hint) in [("fault.famly", "did you mean `fault.family`?"), ("customer.name", "nobody provides this")] {
        let shown = with(name).render(false);
        assert!(shown.contains("P014") && shown.contains(hint), "{shown}");
    }
}

#[test]
fn messages_fall_back_and_stay_strict() {
    let mut diags = Diagnostics::default();
    let files = [
        diags.add_file("m/en/x.voice.txt", "In {{ device.n }}\nminutes.\n"),
        diags.add_file("m/de/x.voice.txt", "In {{ device.n }} Minuten."),
        diags.add_file("m/en/x.email.html", "<b>{{ device.name }}</b>"),
        diags.add_file("m/en/x.pdf", ""),
        diags.add_file("m/en/y.sms.txt", "{% if %}"),
        diags.add_file("m/layout/mail.email.html", "<html lang={{ locale }}>{% block body %}{% endblock %}"),
        diags.add_file(
            "m/de/x.email.html",
            "{% extends \"layout/mail.email.html\" %}{% block body %}Guten Tag{% endblock %}",
        ),
        diags.add_file("m/de/x.email.txt", "{% extends \"layout/male.email.html\" %}"),
        diags.add_file("m/de-CH/x.voice.txt", "Velo"),
        diags.add_file("m/en/x.sms.txt", "x"),
    ];
    let messages = Messages::load(&mut diags, &files);
    let found: Vec<String> = diags.list().iter().map(|d| format!("{} {}", d.code, d.message)).collect();
    assert_eq!(found[0], "P020 `m/en/x.pdf` is not a message file");
    assert!(found[1].starts_with("P021"), "{found:?}");
    assert_eq!(found[2..], ["P021 there is no layout `layout/male.email.html`", "P023 `x.sms.txt` is missing in `de`"]);
    assert_eq!(messages.render("x", Part::Html, "de", &serde_json::json!({})).unwrap().1, "<html lang=de>Guten Tag");
    let facts = serde_json::json!({ "device": { "n": 24, "name": "<i>" } });
    let say = |locale: &str| messages.render("x", Part::Voice, locale, &facts).unwrap();
    assert_eq!(say("de-AT"), ("de".to_owned(), "In 24 Minuten.".to_owned()));
    assert_eq!(say("fr"), ("en".to_owned(), "In 24 minutes.".to_owned()));
    assert_eq!(messages.render("x", Part::Html, "en", &facts).unwrap().1, "<b>&lt;i&gt;</b>");
    let unknown = messages.render("x", Part::Voice, "en", &serde_json::json!({})).unwrap_err();
    assert!(unknown.message.contains("undefined"), "{unknown}");
}
