//! `forewarn case` against the real server.

use forewarn::cli::case::{Args, Command, Error, Style, answer};
use forewarn::desk::{Input, Reply};
use forewarn::domain::Purpose;
use jiff::tz::TimeZone;

use super::world::{CASES, Options, World};

fn args(url: &str, command: Command) -> Args {
    Args { url: url.to_owned(), token_file: None, json: false, command }
}

async fn ask(world: &World, token: &str, command: Command) -> Result<String, Error> {
    let style = Style { colour: false, width: None, zone: TimeZone::UTC };
    answer(&args(&world.url, command), world.token(token).into(), &style).await
}

fn show(id: &str) -> Command {
    Command::Show { id: id.to_owned() }
}

#[tokio::test]
async fn cases_on_the_terminal() {
    let world = World::new().await;
    let list = ask(&world, "read", Command::List { closed: true, limit: 100 }).await.unwrap();
    insta::assert_snapshot!(list, @r"
    CASE      PHASE           SEVERITY  DEVICE    FAULT               GOALS  AGE  TITLE
    aaaa1111  engaging        critical  car-0042  brake.circuit_loss  1/2    2m   Front left brake circuit failed
    aaaa2222  engaging        critical  car-0042  brake.circuit_loss  1/2    2m   Front left brake circuit failed
    bbbb1111  closed: served  critical  car-0042  brake.circuit_loss  1/2    2m   Front left brake circuit failed
    ");
    let case = ask(&world, "read", show("bbbb")).await.unwrap();
    insta::assert_snapshot!(case, @r"
    bbbb1111  Front left brake circuit failed
      id        bbbb1111000000000000000000000003
      device    car-0042
      fault     brake.circuit_loss (critical)
      phase     closed: served
      opened    2026-11-21 22:24:40 UTC
      closed    2026-11-21 22:26:40 UTC, after 2m
      playbook  car-breakdown-tow version 7

    Goals 1 of 2 met
      ○  driver_told_to_stop  open  until 2026-11-21 22:26:40 UTC

    Effects
      warn  call  phone  due    waits for quiet hours, until 2026-11-21 22:27:40 UTC

    Timeline
      Sat 2026-11-21 UTC
      22:24:40  ◆ measured  brake_fl 0 bar while brake_pedal 80 %
    ");
    let ack = ask(&world, "ack", Command::Ack { id: "aaaa1".to_owned() }).await.unwrap();
    assert_eq!(ack, "Case aaaa1111 acknowledged.\n");
    let reason = "driver called".to_owned();
    let close =
        ask(&world, "act", Command::Close { id: "aaaa1".to_owned(), reason: reason.clone(), false_alarm: false })
            .await
            .unwrap();
    assert_eq!(close, "Case aaaa1111 closed.\n");
    let rule = Command::ReleaseRule { rule: "hot".to_owned() };
    assert_eq!(ask(&world, "act", rule).await.unwrap(), "Rule hot may act; what it holds goes on.\n");
    let release = Input::Release { rule: "hot".into(), actor: "act".to_owned() };
    let case = CASES[0].parse().unwrap();
    let ack = Input::Ack { case, actor: "ack".to_owned() };
    assert_eq!(world.desk.told(), [ack, Input::Close { case, actor: "act".to_owned(), reason }, release]);
}

#[tokio::test]
async fn json_is_the_answer_as_it_came() {
    let world = World::new().await;
    let style = Style { colour: true, width: Some(80), zone: TimeZone::UTC };
    let json = Args { json: true, ..args(&world.url, show("bbbb")) };
    let text = answer(&json, world.token("read").into(), &style).await.unwrap();
    let same = world.get("/api/v1/cases/bbbb").bearer_auth(world.token("read")).send().await.unwrap();
    assert_eq!(text, same.text().await.unwrap() + "\n");
}

#[tokio::test]
async fn failures_say_what_to_do() {
    let world = World::new().await;
    world.desk.reply_with(Reply::Refused("the case is closed already".to_owned()));
    let ack = Command::Ack { id: "aaaa1".to_owned() };
    for (token, command, message, hint, exit) in [
        ("ack", ack, "the case is closed already", "look at the case first", 1),
        ("read", show("cccc"), "there is no such case", "forewarn case list --closed", 1),
        ("read", show("aaaa"), "2 cases begin with 'aaaa'", "more characters", 64),
        ("read", show("xyz"), "a case id is 32 hexadecimal digits", "forewarn case list", 64),
        ("read", show("../../healthz"), "a case id is 32 hexadecimal digits", "forewarn case list", 64),
        ("ack", show("bbbb"), "this token lacks the scope 'read'", "[[http.token]]", 1),
    ] {
        let error = ask(&world, token, command).await.unwrap_err();
        assert!(error.to_string().starts_with(message), "{error}");
        assert!(error.hint().unwrap().contains(hint), "{error}: {:?}", error.hint());
        assert_eq!(error.exit_code(), exit, "{error}");
    }
    let style = Style { colour: false, width: None, zone: TimeZone::UTC };
    let error = answer(&args(&world.url, show("bbbb")), "fwt_wrong".into(), &style).await.unwrap_err();
    assert!(error.hint().unwrap().contains("does not know this token"), "{error}");

    // A port that nobody listens on: one that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = answer(&args(&format!("http://{free}"), show("bbbb")), "x".into(), &style).await.unwrap_err();
    assert_eq!(error.to_string(), format!("no daemon answers at http://{free}/: Connection refused (os error 111)"));
    assert!(error.hint().unwrap().contains("forewarn run"));
    assert_eq!(error.exit_code(), 1);

    let busy = World::with(Options { desk: false, ..Options::default() }).await;
    let error = ask(&busy, "read", show("bbbb")).await.unwrap_err();
    assert_eq!(error.to_string(), "too much to do just now; nothing was taken in");
}

/// A limiter that nobody can see looks like a fault.
#[tokio::test]
async fn what_waits_is_on_the_terminal() {
    let world = World::new().await;
    let case = ask(&world, "read", show("aaaa1")).await.unwrap();
    for part in [
        "sms (step tell)",
        "the cap of 12 contacts in 7d of a customer",
        "2026-11-21 23:26:40 UTC",
        "somebody who takes the case",
    ] {
        assert!(case.contains(part), "no {part} in {case}");
    }
}

#[tokio::test]
async fn opt_outs_on_the_terminal() {
    let world = World::new().await;
    let list = ask(&world, "read", Command::OptOuts).await.unwrap();
    assert!(list.contains("c-1") && list.contains("e-1") && list.contains("word"), "{list}");
    let (endpoint, channel) = ("e-1".to_owned(), "sms".to_owned());
    let out = Command::OptOut { endpoint: endpoint.clone(), channel: channel.clone(), purpose: "info".to_owned() };
    assert_eq!(ask(&world, "act", out).await.unwrap(), "e-1 is not contacted by sms any more.\n");
    ask(&world, "act", Command::OptIn { endpoint, channel }).await.unwrap();
    let told = world.desk.told();
    assert!(
        matches!(&told[..], [Input::OptOut { purpose: Some(Purpose::Info), .. }, Input::OptOut { purpose: None, .. }]),
        "{told:?}"
    );
}

#[tokio::test]
async fn whoever_calls_is_looked_up() {
    use clap::Parser as _;
    use forewarn::cli::lookup;
    use forewarn::desk::Caller;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: lookup::Args,
    }
    let world = World::new().await;
    let style = Style { colour: false, width: None, zone: TimeZone::UTC };
    let parsed = |words: &[&str]| Line::try_parse_from(["lookup", "--url", &world.url].iter().chain(words));
    for (words, asked) in [
        (["--phone", "+49 151-1"], Caller::Phone("+49 151-1".into())),
        (["--email", "a@example.com"], Caller::Email("a@example.com".into())),
        (["--device", "car-1"], Caller::Device("car-1".into())),
    ] {
        let Line { args } = parsed(&words).unwrap_or_else(|error| panic!("{error}"));
        let text = lookup::answer(&args, world.token("admin").into(), &style).await.unwrap();
        assert_eq!(text, "Nobody and nothing of the registry.\n");
        assert_eq!(world.desk.script.lock().unwrap().callers.pop(), Some(asked));
    }
    let Line { args } = parsed(&["--device", "car-1", "--json"]).unwrap_or_else(|error| panic!("{error}"));
    let text = lookup::answer(&args, world.token("admin").into(), &style).await.unwrap();
    assert_eq!(text, "{\"people\":[],\"devices\":[]}\n", "as it came");
    let error = lookup::answer(&args, world.token("read").into(), &style).await.unwrap_err();
    assert_eq!(
        (error.exit_code(), error.hint()),
        (1, Some("use a token with that scope; scopes stand in the settings under [[http.token]]")),
        "{error}"
    );
    for wrong in [&[][..], &["--phone", ""], &["--phone", "1", "--email", "a"], &["car-1"]] {
        assert!(parsed(wrong).is_err(), "{wrong:?}");
    }
}
