//! What became of cases in truth: taken, corrected, counted, and what follows for rules and engineers.

use std::collections::BTreeMap;
use std::sync::Arc;

use forewarn::desk::{Config, Desk, Input, OutcomeView, Reply, RuleQuality};
use forewarn::domain::{
    At, Author, CaseId, Change, Channel, Device, DeviceId, EpisodeId, FirstContact, Said, Sender, Severity, Span,
    TicketWork, Truth, Verdict, Work,
};

use super::desk_world::{DEVICE, Odds, World, brake, config, config_with, detection, start};

const BOOK: &str = "schema = \"playbook/1\"\nid = \"test\"\nversion = 1\n[match]\nfault = [\"a.b\"]\n[case]\nreopen = \"1h\"\n\
    goals = [\"ticket_open\"]\n[policy]\npurpose = \"service\"\n[[step]]\nid = \"ticket\"\ndo = \"ticket\"\ndesk = \"helpdesk\"\n\
    goal = \"ticket_open\"\nfields = { title = \"{{ case.title }}\" }\n";

fn name(n: usize) -> DeviceId {
    format!("car-{n}").into()
}

/// `n` cars; the first `old` of them have firmware 1, the others firmware 2.
fn fleet(n: usize, old: usize, change: impl FnOnce(&mut Config)) -> Arc<Config> {
    config_with(BOOK, |config| {
        let mut registry = (*config.registry).clone();
        let car = registry.devices[&DeviceId::from(DEVICE)].clone();
        registry.devices = (0..n)
            .map(|n| {
                let mut attrs = car.attrs.clone();
                attrs.insert("firmware".into(), if n < old { "1" } else { "2" }.into());
                (name(n), Device { id: name(n), attrs, ..car.clone() })
            })
            .collect();
        config.registry = registry.into();
        change(config);
    })
}

/// Opens a case of car `n`.
fn open(world: &mut World, n: usize, rev: u64) -> Option<CaseId> {
    let mut d = detection("a.b", Severity::Major, 0, 1, Change::Raised, world.now);
    d.device = name(n);
    d.rule_rev = rev;
    d.episode = EpisodeId::of(&[d.device.as_str().as_bytes(), &rev.to_le_bytes(), world.now.to_string().as_bytes()]);
    world.tell(Input::Detection(Box::new(d)));
    let cases = world.desk.list(false, 1_000);
    cases.into_iter().find(|c| c.device == name(n).as_str()).map(|c| c.id)
}

fn truth(truth: Truth) -> Verdict {
    Verdict { truth: Some(truth), ..Verdict::default() }
}

fn judge(world: &mut World, case: CaseId, verdict: Verdict) -> Reply {
    world.tell(Input::Judge { case, verdict, by: "api:agent".into(), standing: false }).unwrap()
}

fn outcome(desk: &Desk, case: CaseId) -> OutcomeView {
    desk.outcomes(At::MIN, None, 9_999).into_iter().find(|o| o.case == case).unwrap()
}

fn quality(world: &World, rev: u64) -> RuleQuality {
    world.desk.rules().into_iter().find(|r| r.rev == format!("{rev:016x}")).unwrap()
}

#[test]
fn an_outcome_is_taken_completed_and_corrected_and_every_word_is_on_record() {
    let mut w = World::new(fleet(3, 1, |_| {}), Odds::friendly(), 1);
    let case = open(&mut w, 0, 7).unwrap();
    let first = outcome(&w.desk, case);
    assert_eq!((first.family.as_str(), first.part.as_str(), first.confidence), ("a", "b", 1.0));
    let attributes = [("climate", "temperate"), ("firmware", "1")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    assert_eq!(first.attributes, BTreeMap::from(attributes));
    assert_eq!(first.verdict, Verdict::default());

    assert_eq!(judge(&mut w, CaseId::of(&[b"none"]), truth(Truth::Confirmed)), Reply::NotFound);
    for bad in [
        Verdict::default(),
        Verdict { csat: Some(6), ..Verdict::default() },
        Verdict { cost: Some(f64::NAN), ..Verdict::default() },
        Verdict { part_replaced: Some(" ".into()), ..Verdict::default() },
    ] {
        assert!(matches!(judge(&mut w, case, bad), Reply::Refused(_)));
    }
    assert_eq!(judge(&mut w, case, truth(Truth::NoFaultFound)), Reply::Done);
    let failed_at = Some(w.now + Span::from_hours(48));
    let later =
        Verdict { truth: Some(Truth::Confirmed), part_replaced: Some("pump".into()), failed_at, ..Verdict::default() };
    assert_eq!(judge(&mut w, case, later.clone()), Reply::Done);
    let records = w.log.len();
    assert_eq!(judge(&mut w, case, later), Reply::Done);
    assert_eq!(w.log.len(), records, "the same again is nothing new");
    assert_eq!(judge(&mut w, case, Verdict { csat: Some(4), ..Verdict::default() }), Reply::Done);
    let now = outcome(&w.desk, case);
    assert_eq!((now.verdict.truth, now.verdict.csat, now.corrections), (Some(Truth::Confirmed), Some(4), 2));
    assert_eq!(now.time_to_failure_s, Some(48.0 * 3_600.0));
    assert_eq!(w.log.iter().filter(|r| r.what == format!("outcome of case {}", case.short())).count(), 3);

    let q = quality(&w, 7);
    assert_eq!((q.opened, q.precision, q.csat), (1, Some(1.0), Some(4.0)));
    let [p10, p50, p90] = q.lead_s.unwrap();
    assert!(p10 == p50 && p50 == p90 && p50 <= 172_800.0 && p50 > 140_000.0, "{p50}");
    assert!(w.loaded().same_state(&w.desk));
}

#[test]
fn the_customer_denies_with_key_9_and_who_spoke_first_is_derived() {
    let mut w = World::new(config(|_| {}), Odds { keys: vec!['9'], ..Odds::friendly() }, 1);
    w.tell(Input::Detection(Box::new(brake(1, Change::Raised, start()))));
    w.run(start() + Span::from_hours(2));
    let case = w.desk.list(true, 1)[0].id;
    let found = outcome(&w.desk, case);
    assert_eq!(found.verdict.truth, Some(Truth::CustomerDenied), "{}", w.timeline());
    assert_eq!(found.verdict.first_contact_by, Some(FirstContact::Us));
    assert_eq!((found.judged_by.as_deref(), found.ended.as_deref()), (Some("customer"), Some("false_alarm")));
    judge(&mut w, case, truth(Truth::Confirmed));
    assert_eq!(outcome(&w.desk, case).verdict.truth, Some(Truth::Confirmed), "whoever has looked knows better");
}

#[test]
fn what_stands_in_a_ticket_is_said_once_and_does_not_undo_what_came_later() {
    let mut w = World::new(fleet(2, 1, |_| {}), Odds::friendly(), 1);
    let case = open(&mut w, 0, 7).unwrap();
    let ticket = |w: &mut World, verdict: Verdict| {
        let input = Input::Judge { case, verdict, by: "ticket:helpdesk".into(), standing: true };
        assert_eq!(w.tell(input), Some(Reply::Done));
    };
    let filled = Verdict { csat: Some(4), ..truth(Truth::NoFaultFound) };
    ticket(&mut w, filled.clone());
    judge(&mut w, case, truth(Truth::Confirmed));
    let records = w.log.len();
    // Somebody comments on the ticket: its fields come along as they were.
    ticket(&mut w, filled.clone());
    assert_eq!(w.log.len(), records, "nothing new");
    assert_eq!(outcome(&w.desk, case).verdict.truth, Some(Truth::Confirmed));
    // The agent changes one of them.
    ticket(&mut w, Verdict { csat: Some(2), ..filled });
    let now = outcome(&w.desk, case).verdict;
    assert_eq!((now.truth, now.csat), (Some(Truth::Confirmed), Some(2)));
    assert!(w.loaded().same_state(&w.desk));
}

#[test]
fn whoever_wrote_before_we_did_has_made_the_first_contact() {
    let tell = "[[step]]\nid = \"tell\"\ndo = \"reach\"\nwho = [\"driver\"]\nuntil = \"accepted\"\nscript = \"brake-stop-now\"\n\
        ladder = [{ via = \"sms\", at = \"10m\" }, { via = \"human\", at = \"2h\", queue = \"service-desk\" }]\n";
    let book = format!("{BOOK}{tell}goal = \"told\"\n").replace("\"ticket_open\"]", "\"ticket_open\", \"told\"]");
    let sms = |text: &str| Said {
        channel: Channel::Sms,
        external_id: text.into(),
        from: Sender::Phone("+43111".into()),
        case: None,
        text: text.into(),
        calendar: None,
        answered: true,
    };
    for (what, wrote_at, ticket, expected) in [
        ("nobody", None, false, Some(FirstContact::Us)),
        ("after us", Some(900), false, Some(FirstContact::Us)),
        ("before us", Some(60), false, Some(FirstContact::Customer)),
        ("before us, in the ticket", Some(60), true, Some(FirstContact::Customer)),
    ] {
        let mut w = World::new(config_with(&book, |_| {}), Odds::friendly(), 1);
        w.tell(Input::Detection(Box::new(detection("a.b", Severity::Major, 0, 1, Change::Raised, w.now))));
        if let Some(secs) = wrote_at {
            w.run(start() + Span::from_secs(secs));
            let of = w.orders.iter().find_map(|(_, o)| matches!(o.work, Work::Ticket(_)).then_some(o.effect)).unwrap();
            let desk = Sender::Desk { desk: "helpdesk".into(), ticket: format!("T-{of}"), author: Author::Customer };
            let said = sms("My car says that something is wrong");
            let said = if ticket { Said { channel: Channel::Ticket, from: desk, ..said } } else { said };
            assert_eq!(w.tell(Input::Said(said)), Some(Reply::Done), "{what}");
        }
        w.run(start() + Span::from_mins(30));
        let case = w.desk.list(true, 1)[0].id;
        w.tell(Input::Close { case, actor: "kim".into(), reason: "done".into() });
        assert_eq!(outcome(&w.desk, case).verdict.first_contact_by, expected, "{what}: {}", w.timeline());
    }
    let mut w = World::new(config_with(BOOK, |_| {}), Odds::friendly(), 1);
    w.tell(Input::Detection(Box::new(detection("a.b", Severity::Major, 0, 1, Change::Raised, w.now))));
    w.run(start() + Span::from_mins(30));
    let case = w.desk.list(true, 1)[0].id;
    assert_eq!(outcome(&w.desk, case).verdict.first_contact_by, None, "nobody was in touch with anybody");
}

#[test]
fn an_outcome_outlives_its_case_and_its_customer_and_says_nothing_of_them() {
    let mut w = World::new(fleet(2, 1, |c| c.settings.retention = Span::from_hours(24)), Odds::friendly(), 1);
    let case = open(&mut w, 0, 1).unwrap();
    let other = open(&mut w, 1, 1).unwrap();
    w.tell(Input::Close { case, actor: "agent".into(), reason: "done".into() });
    w.tell(Input::Close { case: other, actor: "agent".into(), reason: "done".into() });
    w.run(start() + Span::from_hours(72));
    assert!(w.desk.list(true, 9).is_empty(), "forgotten");
    assert_eq!(judge(&mut w, case, truth(Truth::Confirmed)), Reply::Done);
    w.tell(Input::Erase { customer: "c-1".into(), force: false, actor: "officer".into() });
    let found = outcome(&w.desk, case);
    assert_eq!(found.verdict.truth, Some(Truth::Confirmed));
    assert!(found.subject.is_some() && found.subject == outcome(&w.desk, other).subject, "the same customer");
    assert_ne!(found.unit, outcome(&w.desk, other).unit, "another device");
    let text = serde_json::to_string(&found).unwrap();
    for personal in ["c-1", "car-0", "Jane", "W-123", "WVW"] {
        assert!(!text.contains(personal), "{personal}: {text}");
    }
}

#[test]
fn outcomes_are_kept_for_their_time() {
    let mut w = World::new(fleet(9, 1, |c| c.outcomes.keep = Span::from_hours(100)), Odds::friendly(), 1);
    for n in 0..4 {
        open(&mut w, n, 1);
    }
    w.run(start() + Span::from_hours(101));
    open(&mut w, 5, 1);
    assert_eq!(w.desk.outcomes(At::MIN, None, 99).len(), 1);
    let page = |after| w.desk.outcomes(At::MIN, after, 1).into_iter().map(|o| o.case).collect::<Vec<_>>();
    let first = page(None);
    assert_eq!(page(Some(first[0])), [], "behind the last one");
    assert_eq!(w.desk.outcomes(w.now + Span::from_secs(1), None, 99).len(), 0);
}

/// Opens and judges `n` cases, `good` of them confirmed.
fn run_of(w: &mut World, n: usize, good: usize, rev: u64) {
    for i in 0..n {
        w.now = w.now + Span::from_hours(2);
        let case = open(w, i, rev).unwrap();
        judge(w, case, truth(if i < good { Truth::Confirmed } else { Truth::NoFaultFound }));
        w.tell(Input::Close { case, actor: "agent".into(), reason: "done".into() });
    }
}

#[test]
fn a_rule_under_its_floor_goes_into_shadow_and_a_person_brings_it_back() {
    //  cases, confirmed, floor, into shadow: the upper bound of the Wilson interval decides
    for (n, good, floor, dark) in [
        (19, 0, 0.5, false),
        (20, 0, 0.5, true),
        (20, 0, 0.0, false),
        (20, 6, 0.5, false), // 30 %, at most 51.9 %
        (20, 5, 0.5, true),  // 25 %, at most 46.9 %
        (20, 20, 0.5, false),
    ] {
        let mut w = World::new(fleet(40, 20, |c| c.outcomes.min_precision = floor), Odds::friendly(), 1);
        run_of(&mut w, n, good, 1);
        assert_eq!(quality(&w, 1).shadow.is_some(), dark, "{good} of {n}, floor {floor}: {:?}", quality(&w, 1));
    }

    let mut w = World::new(fleet(40, 20, |c| c.outcomes.min_precision = 0.5), Odds::friendly(), 1);
    run_of(&mut w, 20, 2, 1);
    w.run(w.now + Span::from_mins(5));
    let told = w.orders.iter().filter(|(_, o)| matches!(&o.work, Work::Call(c) if c.to == "+4930111"));
    assert!(told.count() >= 1, "a person is told");
    w.desk = w.loaded();
    w.now = w.now + Span::from_hours(2);
    assert_eq!(open(&mut w, 30, 1), None, "it records and does not act");
    let newer = open(&mut w, 31, 2);
    assert!(newer.is_some(), "another version begins anew");

    let release = || Input::Release { rule: "rule".into(), actor: "kim".into() };
    assert_eq!(w.tell(release()), Some(Reply::Done));
    assert!(matches!(w.tell(release()), Some(Reply::Refused(_))), "once");
    w.now = w.now + Span::from_hours(2);
    let again = open(&mut w, 32, 1).unwrap();
    judge(&mut w, again, truth(Truth::NoFaultFound));
    assert_eq!(quality(&w, 1).shadow, None, "judged by new outcomes");
    run_of(&mut w, 19, 0, 1);
    assert!(quality(&w, 1).shadow.is_some());
    assert!(w.loaded().same_state(&w.desk));
}

#[test]
fn counts_follow_every_outcome_and_correction() {
    for seed in 0..16 {
        let mut w =
            World::new(fleet(12, 6, |c| c.outcomes.min_precision = 0.0), Odds { crash: 10, ..Odds::friendly() }, seed);
        let cases: Vec<CaseId> = (0..12).filter_map(|n| open(&mut w, n, n as u64 % 2)).collect();
        for _ in 0..60 {
            let case = cases[usize::try_from(w.rng.below(cases.len() as u64)).unwrap()];
            let which = usize::try_from(w.rng.below(4)).unwrap();
            let failed_at = w.rng.percent(50).then(|| w.now + Span::from_mins(w.rng.between(-50, 5_000)));
            let csat = w.rng.percent(30).then(|| u8::try_from(w.rng.between(1, 5)).unwrap());
            let verdict = Verdict { failed_at, csat, ..truth(Truth::ALL[which]) };
            w.tell(Input::Judge { case, verdict, by: "api:agent".into(), standing: false });
        }
        for rule in w.desk.rules() {
            let of_rule: Vec<OutcomeView> =
                w.desk.outcomes(At::MIN, None, 99).into_iter().filter(|o| o.rule_rev == rule.rev).collect();
            for t in Truth::ALL {
                let n = of_rule.iter().filter(|o| o.verdict.truth == Some(t)).count();
                assert_eq!(rule.outcomes[t.as_str()] as usize, n, "seed {seed}: {t}");
            }
            let late = of_rule.iter().filter(|o| o.time_to_failure_s.is_some_and(|s| s < 0.0)).count();
            assert_eq!(rule.late as usize, late, "seed {seed}");
            let marks: Vec<f64> = of_rule.iter().filter_map(|o| o.verdict.csat).map(f64::from).collect();
            let mean = (!marks.is_empty()).then(|| marks.iter().sum::<f64>() / marks.len() as f64);
            assert_eq!(rule.csat, mean, "seed {seed}");
        }
        assert!(w.loaded().same_state(&w.desk), "seed {seed}");
    }
}

#[test]
fn a_fault_that_recurs_with_one_firmware_is_told_once() {
    let problems = |w: &World| {
        w.log
            .iter()
            .flat_map(|r| &r.changes)
            .filter(|(_, row)| {
                row.as_ref()
                    .is_some_and(|row| String::from_utf8_lossy(row).contains("recurring fault: a.b was confirmed"))
            })
            .count()
    };
    //  of 60 with firmware 1 and 60 with firmware 2: confirmed in so many of each; told
    for (old, new, told) in [(19, 0, false), (20, 0, true), (21, 6, true), (21, 7, false), (25, 20, false)] {
        let mut w = World::new(fleet(120, 60, |_| {}), Odds::friendly(), 1);
        let turns = (0..60).flat_map(|n| [(n < new).then_some(60 + n), (n < old).then_some(n)]);
        for n in turns.flatten() {
            let case = open(&mut w, n, 1).unwrap();
            judge(&mut w, case, truth(Truth::Confirmed));
        }
        assert_eq!(problems(&w) > 0, told, "{old} and {new}");
        if told {
            let before = problems(&w);
            let case = open(&mut w, 59, 1).unwrap();
            judge(&mut w, case, truth(Truth::Confirmed));
            assert_eq!(problems(&w), before, "once");
        }
    }
}

#[test]
fn the_same_cases_are_one_problem_whatever_they_have_in_common() {
    let config = fleet(120, 60, |config| {
        let mut registry = (*config.registry).clone();
        for (n, device) in registry.devices.values_mut().enumerate() {
            let old = device.attrs["firmware"].as_ref() == "1";
            device.attrs.insert("lot".into(), if old { "L7" } else { "L8" }.into());
            // Every third car of the lot is of the north, where nothing else is.
            device.attrs.insert("region".into(), if old && n % 3 == 0 { "north" } else { "south" }.into());
        }
        config.registry = registry.into();
    });
    let mut w = World::new(config, Odds::friendly(), 1);
    for n in 0..60 {
        let case = open(&mut w, n, 1).unwrap();
        judge(&mut w, case, truth(Truth::Confirmed));
    }
    let told: Vec<String> =
        w.desk.list(true, 999).iter().flat_map(|c| w.desk.show(&c.id).unwrap().timeline).map(|l| l.text).collect();
    let told: Vec<&String> = told.iter().filter(|line| line.starts_with("recurring fault:")).collect();
    assert_eq!(told.len(), 1, "firmware and lot are the same sixty cars: {told:?}");
    assert!(told[0].contains("20 of 60 devices with firmware 1"), "{told:?}");
}

#[test]
fn a_recurring_fault_becomes_one_ticket_with_its_cases_and_somebody_is_asked() {
    let config = config(|config| {
        let mut registry = (*config.registry).clone();
        let car = registry.devices[&DeviceId::from(DEVICE)].clone();
        registry.devices = (0..120)
            .map(|n| {
                let mut attrs = car.attrs.clone();
                attrs.insert("lot".into(), if n < 60 { "L7" } else { "L8" }.into());
                (name(n), Device { id: name(n), attrs, ..car.clone() })
            })
            .collect();
        config.registry = registry.into();
    });
    let mut w = World::new(config, Odds::friendly(), 1);
    let mut cases = Vec::new();
    for n in 0..22 {
        let mut d = detection("battery_12v.weak", Severity::Warning, 1, 1, Change::Raised, w.now);
        d.device = name(n);
        d.episode = EpisodeId::of(&[d.device.as_str().as_bytes()]);
        w.tell(Input::Detection(Box::new(d)));
        let case = w.desk.list(false, 1_000).into_iter().find(|c| c.device == name(n).as_str()).unwrap().id;
        judge(&mut w, case, truth(Truth::Confirmed));
        cases.push(case);
    }
    w.run(w.now + Span::from_mins(10));
    let own = w.desk.list(true, 1_000).into_iter().filter(|c| c.fault == "desk.recurring_fault").collect::<Vec<_>>();
    assert_eq!(own.len(), 1, "{own:?}");
    assert_eq!(own[0].device, "battery_12v.weak with lot L7");
    let problems = w.orders.iter().filter_map(|(_, order)| match &order.work {
        Work::Ticket(TicketWork::Create { title, body, .. }) if order.case == own[0].id => Some((title, body)),
        _ => None,
    });
    let problems: Vec<_> = problems.collect();
    assert_eq!(problems.len(), 1);
    let (title, body) = problems[0];
    assert!(
        title.contains("recurring fault: battery_12v.weak was confirmed in 20 of 60 devices with lot L7"),
        "{title}"
    );
    assert!(cases[..20].iter().all(|case| body.contains(&case.short())), "{body}");
    assert!(!body.contains("car-") && !body.contains("Jane"), "{body}");
    let asked = w.orders.iter().any(|(_, o)| o.case == own[0].id && matches!(o.work, Work::Mail(_)));
    assert!(asked, "somebody of the queue is asked");
    assert!(w.desk.outcomes(At::MIN, None, 999).iter().all(|o| o.case != own[0].id), "a finding has no outcome");
    w.tell(Input::Ack { case: own[0].id, actor: "kim".into() });
    w.run(w.now + Span::from_mins(10));
    assert!(w.desk.show(&own[0].id).unwrap().summary.closed_at.is_some(), "{}", w.timeline());
}

/// What a command of the program prints.
fn forewarn(world: &super::world::World, line: &str) -> String {
    let token = world.space.token_file();
    let mut command = world.command();
    command.args(line.split(' ')).args(["--url", &world.url(), "--token-file"]).arg(token);
    let output = command.output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{line}: {text}");
    text
}

/// What was published, the last word of each kind.
fn heard(ears: &mut super::world::Ears) -> Vec<serde_json::Value> {
    let all = ears.hear(std::time::Duration::from_secs(1));
    all.iter().map(|(_, payload)| serde_json::from_slice(payload).unwrap()).collect()
}

fn rows(csv: &str) -> Vec<BTreeMap<String, String>> {
    csv::Reader::from_reader(csv.as_bytes()).deserialize().map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_and_providers_say_what_became_of_a_case_and_engineers_hear_and_read_it() {
    let mut world = super::world::World::build(1).await;
    world.set("[outcomes]\n", "[outcomes]\ntopic = \"forewarn/outcomes\"\ndir = \"outcomes\"\n");
    let mut ears = super::world::Ears::open(&world, "engineers", "forewarn/outcomes");
    world.start("");
    world.ready().await;
    let fleet = super::world::Fleet::connect(&world);
    let car = forewarn::demo::fleet::car_id(0);
    fleet.say(&car, true, 60.0).await;
    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    fleet.say(&car, true, 55.0).await;
    let cases = world.all_served(&[car], "brake.circuit_loss", std::time::Duration::from_secs(60)).await;
    let id = &cases[0].id;
    assert_eq!(heard(&mut ears).len(), 0, "nobody has said anything yet");
    let said = forewarn(
        &world,
        &format!("case outcome {} --truth confirmed --part-replaced hose --csat 5 --cost 120.5", &id[..8]),
    );
    assert!(said.contains("taken"), "{said}");
    let news = heard(&mut ears);
    let [ref first] = news[..] else { panic!("{news:?}") };
    assert_eq!((first["case"].as_str(), first["truth"].as_str()), (Some(id.as_str()), Some("confirmed")));

    // The tow company corrects it: it saw when the circuit failed.
    let body = r#"{"truth":"confirmed","failed_at":"2036-11-22T08:00:00Z"}"#;
    let secret = forewarn::wire::webhook::Secret::parse(&world.secrets().tow).unwrap();
    let now = forewarn::app::clock()();
    let signature = forewarn::wire::webhook::sign(&secret, "m-1", now, body.as_bytes());
    let request = reqwest::Client::new().post(format!("{}/outcome/{id}", world.url())).header("webhook-id", "m-1");
    let request = request.header("webhook-timestamp", now.as_secs()).header("webhook-signature", signature);
    assert_eq!(request.body(body).send().await.unwrap().status().as_u16(), 200, "{}", world.log());
    let news = heard(&mut ears);
    let [ref last] = news[..] else { panic!("{news:?}") };
    assert_eq!((last["corrections"].as_u64(), last["judged_by"].as_str()), (Some(1), Some("provider:tow")));
    assert!(last["time_to_failure_s"].as_f64().unwrap() > 86_400.0, "{last}");
    // What section 7 of the design asks for.
    assert_eq!((last["family"].as_str(), last["part"].as_str()), (Some("brake"), Some("circuit_loss")));
    let (attributes, usage) = (&last["attributes"], &last["usage"]);
    assert_eq!(
        (attributes["year"].as_str(), attributes["climate"].as_str()),
        (Some("2018"), Some("temperate")),
        "{last}"
    );
    assert_eq!((usage["odometer"].as_f64(), last["confidence"].as_f64()), (Some(41_200.0), Some(0.97)), "{last}");
    assert_eq!((last["csat"].as_u64(), last["cost"].as_f64()), (Some(5), Some(120.5)), "said before, and still so");

    let csv = forewarn(&world, "outcomes export");
    let table = rows(&csv);
    assert_eq!(table.len(), 1, "{csv}");
    let cell = |name: &str| table[0][name].as_str();
    assert_eq!((cell("case"), cell("truth"), cell("part_replaced")), (id.as_str(), "confirmed", "hose"));
    assert_eq!((cell("csat"), cell("cost"), cell("first_contact_by"), cell("family")), ("5", "120.5", "us", "brake"));
    assert_eq!((cell("year"), cell("climate"), cell("mileage"), cell("lot")), ("2018", "temperate", "41200.0", ""));
    let lines = forewarn(&world, "outcomes export --format jsonl --since 2020-01-01T00:00:00Z");
    let json: serde_json::Value = serde_json::from_str(&lines).unwrap();
    assert_eq!(json, *last, "the same by every way out");
    for personal in ["Jana", "c-0001", "car-0001", "M-FW"] {
        assert!(!csv.contains(personal) && !lines.contains(personal), "{personal}");
    }
    let table = forewarn(&world, "rules");
    assert!(table.contains("100 %") && table.contains("may act"), "{table}");
    let shown = forewarn(&world, &format!("case show {id}"));
    assert!(shown.contains("outcome by api:demo: confirmed, mark 5 of 5"), "{shown}");

    // Every day, and at a start, all of them anew.
    let daily = world.space.dir().join("config/outcomes");
    let read = |name: &str| std::fs::read_to_string(daily.join(name)).unwrap_or_default();
    let first = read("outcomes.csv");
    assert!(first.starts_with("case,") && first != csv, "at the first start, before anything was judged: {first}");
    assert_eq!(world.stop(), Some(0), "{}", world.log());
    world.start("");
    world.ready().await;
    let until = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    // One file after the other.
    while (read("outcomes.csv"), read("outcomes.jsonl")) != (csv.clone(), lines.clone()) {
        assert!(tokio::time::Instant::now() < until, "{}\n{}", read("outcomes.csv"), world.log());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(world.stop(), Some(0), "{}", world.log());
}
