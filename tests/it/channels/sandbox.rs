//! The adapters against the sandbox of `forewarn demo`: two sides of each protocol that were written apart, and a
//! provider that counts. However the answer is lost, asking finds out what is so, and one key is one effect.

use std::sync::Arc;
use std::time::Duration;

use forewarn::demo::sandbox::{
    AppBackend, AppFault, DeskFault, MailFault, MailServer, PhoneFault, PhoneNetwork, PhoneSettings, Sightings, Stage,
    TicketDesk, TowCompany, TowFault, TowSettings,
};
use forewarn::domain::{AppWork, CallWork, DispatchWork, Outcome, Purpose, SmsWork, Span, TicketWork, Work};
use forewarn::runtime::Channel;

use super::support::*;

const SLOW: Duration = Duration::from_secs(2);

fn stage() -> Stage {
    Stage { clock: Arc::new(now), sightings: Sightings::default() }
}

/// Sends, then asks; the two outcomes in words, and the reference that was told last.
async fn send_and_ask(channel: &Arc<dyn Channel>, work: &Work) -> (&'static str, &'static str) {
    let sent = channel.attempt(send(work.clone())).await;
    let asked = channel.attempt(reconcile(work.clone())).await;
    if let (Outcome::Accepted { provider_ref: a }, Outcome::Accepted { provider_ref: b }) = (&sent, &asked) {
        assert_eq!(a, b, "asking must find what was made");
    }
    (word(&sent), word(&asked))
}

#[tokio::test]
async fn tickets() {
    let create = Work::Ticket(TicketWork::Create {
        title: "Brake circuit failed".into(),
        body: "Evidence".into(),
        fields: [("group".into(), "Roadside".into()), ("priority".into(), "3 high".into())].into(),
        customer: Some(("jane@example.com".into(), "Jane".into())),
    });
    for (fault, expected, made) in [
        (None, ("accepted", "accepted"), 1),
        (Some(DeskFault::CutAfterAccept), ("unknown", "accepted"), 1),
        (Some(DeskFault::ErrorAfterAccept), ("unknown", "accepted"), 1),
        (Some(DeskFault::Garbled), ("unknown", "accepted"), 1),
        (Some(DeskFault::Slow(SLOW)), ("unknown", "accepted"), 1),
        (Some(DeskFault::CutBefore), ("unknown", "not found"), 0),
        (Some(DeskFault::Unavailable(7)), ("retry", "not found"), 0),
        (Some(DeskFault::TooMany(7)), ("retry", "not found"), 0),
    ] {
        let desk = TicketDesk::start("t", stage()).await.unwrap();
        desk.script(fault.clone());
        let settings = format!("kind = \"zammad\"\nurl = \"{}\"\ntoken = \"t\"\ntimeout = \"300ms\"", desk.url());
        let channel = World::new().build(&settings);
        assert_eq!(send_and_ask(&channel, &create).await, expected, "{fault:?}");
        assert_eq!(desk.count(&case().to_string()), made, "{fault:?}");
    }
}

#[tokio::test]
async fn notes_and_closings() {
    for (fault, expected) in [
        (None, ("accepted", "accepted")),
        (Some(DeskFault::CutAfterAccept), ("unknown", "accepted")),
        (Some(DeskFault::CutBefore), ("unknown", "not found")),
    ] {
        let desk = TicketDesk::start("t", stage()).await.unwrap();
        let settings = format!("kind = \"zammad\"\nurl = \"{}\"\ntoken = \"t\"\ngroup = \"Roadside\"", desk.url());
        let channel = World::new().build(&settings);
        let create = Work::Ticket(TicketWork::Create {
            title: "x".into(),
            body: "y".into(),
            fields: [].into(),
            customer: Some(("jane@example.com".into(), "Jane".into())),
        });
        let mut first = send(create);
        first.effect = "01890a5d-ac96-774b-bcce-000000000000".parse().unwrap();
        let Outcome::Accepted { provider_ref: ticket } = channel.attempt(first).await else { panic!() };
        desk.script_updates(fault.clone());
        let note = Work::Ticket(TicketWork::Note { ticket: ticket.clone(), body: "there".into(), reopens: false });
        assert_eq!(send_and_ask(&channel, &note).await, expected, "{fault:?}");
        let close = Work::Ticket(TicketWork::Close { ticket: ticket.clone(), body: "done".into() });
        let again = Work::Ticket(TicketWork::Note { ticket, body: "again".into(), reopens: true });
        for (work, state) in [(close, "closed"), (again, "open")] {
            assert_eq!(word(&channel.attempt(send(work)).await), "accepted");
            assert_eq!(desk.accepted()[0].state, state);
        }
        assert_eq!(desk.accepted().len(), 1);
    }
}

#[tokio::test]
async fn trucks() {
    let request = || Work::Dispatch(DispatchWork::Request(Box::new(job())));
    for (fault, expected) in [
        (None, ("accepted", "accepted")),
        (Some(TowFault::CutAfterAccept), ("unknown", "accepted")),
        (Some(TowFault::ErrorAfterAccept), ("unknown", "accepted")),
        (Some(TowFault::Slow(SLOW)), ("unknown", "accepted")),
        // They never had it: asking with the same key makes the one job that is wanted.
        (Some(TowFault::CutBefore), ("unknown", "accepted")),
        (Some(TowFault::Unavailable(7)), ("retry", "accepted")),
    ] {
        let tow = TowSettings { secret: SECRET.into(), eta_min: 24, slip_min: 5, pace: Duration::from_secs(60) };
        let company = TowCompany::start(tow, stage()).await.unwrap();
        company.script(fault.clone());
        let settings =
            format!("kind = \"dispatch\"\nurl = \"{}\"\nsecret = \"{SECRET}\"\ntimeout = \"300ms\"", company.url());
        let channel = World::new().build(&settings);
        assert_eq!(send_and_ask(&channel, &request()).await, expected, "{fault:?}");
        assert_eq!(company.count(EFFECT), 1, "one key is one truck: {fault:?}");
    }
    let tow = TowSettings { secret: SECRET.into(), eta_min: 24, slip_min: 5, pace: Duration::from_secs(60) };
    let company = TowCompany::start(tow, stage()).await.unwrap();
    let world = World::new();
    let settings = format!("kind = \"dispatch\"\nurl = \"{}\"\nsecret = \"{SECRET}\"", company.url());
    let channel = world.build(&settings);
    company.script([TowFault::Refuse("out_of_area".into())]);
    assert_eq!(word(&channel.attempt(send(request())).await), "rejected");
    let Outcome::Accepted { provider_ref: job } = channel.attempt(send(request())).await else { panic!() };
    let status = Work::Dispatch(DispatchWork::Status { job: job.clone() });
    assert_eq!(channel.attempt(send(status)).await, accepted(&job));
    assert_eq!(world.told.lock().unwrap().len(), 1);
    company.refuse_cancel(true);
    let cancel = Work::Dispatch(DispatchWork::Cancel { job: job.clone() });
    assert_eq!(word(&channel.attempt(send(cancel.clone())).await), "rejected");
    assert_eq!(channel.attempt(reconcile(cancel.clone())).await, Outcome::NotFound);
    company.refuse_cancel(false);
    assert_eq!(send_and_ask(&channel, &cancel).await, ("accepted", "accepted"));
    // Another secret: the company does not believe that it is us.
    let stranger = settings.replace(SECRET, "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD");
    assert_eq!(word(&world.build(&stranger).attempt(send(request())).await), "rejected");
}

#[tokio::test]
async fn messages_in_the_app() {
    let push = Work::App(AppWork {
        user: "u-1".into(),
        locale: "de".into(),
        purpose: Purpose::Safety,
        title: "Bitte anhalten: W-1".into(),
        text: "Bremse".into(),
        case: ("SA01".into(), "https://me.example/api/v1/cases/1".into()),
        choices: vec![('1', "Verstanden".into())],
        valid_until: now(),
    });
    for (fault, expected, made) in [
        (None, ("accepted", "accepted"), 1),
        (Some(AppFault::CutAfterAccept), ("unknown", "accepted"), 1),
        (Some(AppFault::ErrorAfterAccept), ("unknown", "accepted"), 1),
        (Some(AppFault::Slow(SLOW)), ("unknown", "accepted"), 1),
        // They never had it: posting again with the same id shows it, once.
        (Some(AppFault::CutBefore), ("unknown", "accepted"), 1),
        (Some(AppFault::Unavailable(7)), ("retry", "accepted"), 1),
        (Some(AppFault::UnknownUser), ("rejected", "accepted"), 1),
        (Some(AppFault::Gone), ("rejected", "accepted"), 1),
    ] {
        let backend = AppBackend::start(SECRET, Duration::from_secs(60), stage()).await.unwrap();
        backend.script(fault);
        let settings =
            format!("kind = \"app\"\nurl = \"{}\"\nsecret = \"{SECRET}\"\ntimeout = \"300ms\"", backend.url());
        let world = World::new();
        assert_eq!(send_and_ask(&world.build(&settings), &push).await, expected, "{fault:?}");
        assert_eq!(backend.count(EFFECT), made, "{fault:?}");
        let shown = &backend.accepted()[0].push;
        assert_eq!(shown.callback, format!("{PUBLIC_URL}/app/{EFFECT}"));
        assert_eq!((shown.actions[0].choice, &*shown.actions[0].label), ('1', "Verstanden"));
        // Another secret: the back end does not believe that it is us.
        let stranger = settings.replace(SECRET, "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD");
        assert_eq!(word(&world.build(&stranger).attempt(send(push.clone())).await), "rejected");
    }
}

#[tokio::test]
async fn calls_and_texts() {
    let call = Work::Call(CallWork { to: "+491700000001".into(), ring: Span::from_secs(25) });
    let text = Work::Sms(SmsWork { to: "+491700000001".into(), body: "Stop".into(), validity: Span::from_secs(90) });
    for (fault, expected, made) in [
        (None, ("accepted", "accepted"), 1),
        (Some(PhoneFault::CutAfterAccept), ("unknown", "accepted"), 1),
        (Some(PhoneFault::ErrorAfterAccept), ("unknown", "accepted"), 1),
        (Some(PhoneFault::Slow(SLOW)), ("unknown", "accepted"), 1),
        (Some(PhoneFault::CutBefore), ("unknown", "not found"), 0),
        (Some(PhoneFault::Unavailable(7)), ("retry", "not found"), 0),
        (Some(PhoneFault::TooMany(7)), ("retry", "not found"), 0),
        (Some(PhoneFault::Refuse), ("rejected", "not found"), 0),
    ] {
        let account_sid = format!("AC{}", "1".repeat(32));
        let phone = PhoneSettings {
            account_sid: account_sid.clone(),
            token: "t".into(),
            ring: Duration::from_secs(60),
            rings: 1,
            per_char: Duration::ZERO,
            hurry: 1.0,
        };
        let network = PhoneNetwork::start(phone, stage()).await.unwrap();
        let settings = |kind: &str| {
            format!(
                "kind = \"{kind}\"\nurl = \"{}\"\naccount_sid = \"{account_sid}\"\ntoken = \"t\"\nfrom = \"+4989123456\"\n\
                 timeout = \"300ms\"",
                network.url()
            )
        };
        let world = World::new();
        network.script(fault.clone());
        let voice = world.build(&settings("twilio-voice"));
        assert_eq!(send_and_ask(&voice, &call).await, expected, "{fault:?}");
        assert_eq!(network.count(EFFECT), made, "{fault:?}");
        network.script(fault.clone());
        let sms = world.build(&settings("twilio-sms"));
        assert_eq!(send_and_ask(&sms, &text).await, expected, "{fault:?}");
        assert_eq!(network.count_texts(EFFECT), made, "{fault:?}");
    }
}

#[tokio::test]
async fn mails() {
    for (fault, expected, made) in [
        (None, "accepted", 1),
        (Some(MailFault::BusyBeforeData), "retry", 0),
        (Some(MailFault::RefuseAfterDot), "retry", 0),
        (Some(MailFault::NoSuchMailbox), "rejected", 0),
        (Some(MailFault::CutAfterDot), "unknown", 1),
        (Some(MailFault::Slow(SLOW)), "unknown", 1),
    ] {
        let server = MailServer::start(Some(("u", "p")), stage()).await.unwrap();
        server.script(fault.clone());
        let settings = format!(
            "kind = \"smtp\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nusername = \"u\"\npassword = \"p\"\n\
             from = \"service@example.com\"\nanswer_timeout = \"300ms\"",
            server.addr().port()
        );
        let outcome = World::new().build(&settings).attempt(send(mail("x"))).await;
        assert_eq!(word(&outcome), expected, "{fault:?} {outcome:?}");
        assert_eq!(server.count(EFFECT), made, "{fault:?}");
    }
}
