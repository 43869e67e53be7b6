//! What a called person hears.

use std::time::Duration;

use forewarn::desk::{Input, Reply, Speech, SpeechThen};
use forewarn::domain::{Receipt, ReceiptKind};
use forewarn::http::Limits;
use tokio::time::Instant;

use super::callbacks::phone;
use super::world::{EFFECT, Mood, Options, World, effect};

const ANSWERED: &str = "CallSid=CA1&CallStatus=in-progress&From=%2B4989&To=%2B49170";

/// What is said on this path: status 200, TwiML, without the XML head and with our own address as `ME`.
async fn said(world: &World, query: &str, form: &str) -> String {
    let answer = phone(world, &format!("/twilio/voice?e={EFFECT}{query}"), form).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200, "{query}");
    assert_eq!(answer.headers()["content-type"], "text/xml; charset=utf-8");
    let xml = answer.text().await.unwrap();
    let head = r#"<?xml version="1.0" encoding="UTF-8"?><Response>"#;
    let inner = xml.strip_prefix(head).unwrap().strip_suffix("</Response>").unwrap();
    inner.replace(&format!("{}/twilio/voice?e={EFFECT}", world.public_url), "ME")
}

fn answered(turn: u32) -> Input {
    Input::Answered { effect: effect(), turn, provider_ref: "CA1".to_owned() }
}

fn key(digit: char) -> Input {
    let what = ReceiptKind::Key { digit };
    Input::Receipt(Receipt { effect: effect(), provider_ref: Some("CA1".to_owned()), seq: None, what })
}

fn speech(then: SpeechThen) -> Reply {
    Reply::Speech(Speech { locale: "de-DE".to_owned(), text: "Danke & gute <Fahrt>.".to_owned(), then })
}

#[tokio::test]
async fn a_call_from_answer_to_goodbye() {
    let world = World::new().await;
    let listen = |turn: u32| {
        format!(
            concat!(
                r#"<Gather action="ME&amp;n={0}" method="POST" numDigits="1" timeout="8">"#,
                r#"<Say language="de-DE">Bitte halten Sie an, Runde {0}.</Say></Gather>"#,
                r#"<Redirect method="POST">ME&amp;n={1}</Redirect>"#
            ),
            turn,
            turn + 1
        )
    };
    assert_eq!(said(&world, "&n=1", ANSWERED).await, listen(1));
    assert_eq!(world.desk.told(), [answered(1)]);
    // No key: the redirect asks for the next turn.
    assert_eq!(said(&world, "&n=2", ANSWERED).await, listen(2));
    assert_eq!(world.desk.told(), [answered(2)]);
    // A key: the desk hears of it before it is asked what to say.
    world.desk.reply_with(Reply::Done);
    world.desk.reply_with(speech(SpeechThen::HangUp));
    let goodbye = r#"<Say language="de-DE">Danke &amp; gute &lt;Fahrt&gt;.</Say><Hangup/>"#;
    assert_eq!(said(&world, "&n=2", &format!("{ANSWERED}&Digits=1")).await, goodbye);
    assert_eq!(world.desk.told(), [key('1'), answered(3)]);
    // To a person.
    world.desk.reply_with(Reply::Done);
    world.desk.reply_with(speech(SpeechThen::Connect("+4989123".to_owned())));
    assert!(said(&world, "&n=2", &format!("{ANSWERED}&Digits=2")).await.ends_with("<Dial>+4989123</Dial>"));
    // A key that means nothing, and one whose reply is the speech itself.
    world.desk.reply_with(Reply::Refused("no such choice".to_owned()));
    assert_eq!(said(&world, "&n=2", &format!("{ANSWERED}&Digits=%23")).await, listen(3));
    world.desk.told();
    world.desk.reply_with(speech(SpeechThen::HangUp));
    assert_eq!(said(&world, "&n=2", &format!("{ANSWERED}&Digits=9")).await, goodbye);
    assert_eq!(world.desk.told(), [key('9')]);
}

#[tokio::test]
async fn nobody_hears_an_error() {
    let world = World::new().await;
    for reply in [Reply::NotFound, Reply::Done, Reply::Refused("the case is closed".to_owned())] {
        world.desk.reply_with(reply);
        assert_eq!(said(&world, "&n=1", ANSWERED).await, "<Hangup/>");
    }
    world.desk.told();
    // Odd addresses and forms that are signed: the first turn, and no key.
    for (query, form) in [("", ANSWERED), ("&n=0", ANSWERED), ("&n=x", ANSWERED), ("&n=1", "CallSid=CA1")] {
        assert!(said(&world, query, form).await.contains("Runde 1."), "{query} {form}");
        assert_eq!(world.desk.told(), [answered(1)]);
    }
    assert!(said(&world, "&n=1", &format!("{ANSWERED}&Digits=hangup")).await.contains("Runde 1."));
    // Nobody listens for ever.
    assert!(said(&world, "&n=20", ANSWERED).await.contains("Runde 20."));
    world.desk.told();
    for query in ["&n=21", "&n=4294967295"] {
        assert_eq!(said(&world, query, ANSWERED).await, "<Hangup/>");
    }
    assert_eq!(said(&world, "&n=20", &format!("{ANSWERED}&Digits=1")).await, "<Hangup/>");
    assert_eq!(world.desk.told(), [key('1')]);
    // Not signed for: no TwiML at all.
    let forged = world.post(&format!("/twilio/voice?e={EFFECT}&n=1")).body(ANSWERED).send().await.unwrap();
    assert_eq!(forged.status().as_u16(), 403);
}

fn wait(rest: &str) -> String {
    let say = r#"<Say language="de-DE">Einen Moment bitte.</Say><Pause length="2"/>"#;
    format!(r#"{say}<Redirect method="POST">ME&amp;{rest}</Redirect>"#)
}

/// The phone provider gives up after some seconds; then the person would hear its "application error".
#[tokio::test]
async fn a_slow_desk_is_one_moment_please() {
    let limits = Limits { speech_time: Duration::from_millis(200), ..Limits::default() };
    let world = World::with(Options { limits, ..Options::default() }).await;
    world.desk.set_mood(Mood::Silent);
    let began = Instant::now();
    assert_eq!(said(&world, "&n=1", ANSWERED).await, wait("n=1&amp;w=1"));
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(said(&world, "&n=3&w=1", ANSWERED).await, wait("n=3&amp;w=2"));
    // A redirect does not repeat the form, so a key that may be lost rides in the address.
    assert_eq!(said(&world, "&n=1", &format!("{ANSWERED}&Digits=1")).await, wait("n=1&amp;d=1&amp;w=1"));
    assert_eq!(said(&world, "&n=1&d=%23", ANSWERED).await, wait("n=1&amp;d=%23&amp;w=1"));
    assert_eq!(said(&world, "&n=1&w=8", ANSWERED).await, "<Hangup/>");
    world.desk.told();
    // The desk is back: the key is told first, and the call goes on with the next turn.
    world.desk.set_mood(Mood::Answers);
    assert!(said(&world, "&n=1&d=1&w=1", ANSWERED).await.contains("Runde 2."));
    assert_eq!(world.desk.told(), [key('1'), answered(2)]);
}

/// The desk takes the key and is slow afterwards: the key is not told again.
#[tokio::test]
async fn a_taken_key_is_not_told_again() {
    let limits = Limits { speech_time: Duration::from_secs(2), ..Limits::default() };
    let world = World::with(Options { limits, ..Options::default() }).await;
    let path = format!("/twilio/voice?e={EFFECT}&n=1");
    world.desk.set_mood(Mood::Hesitates);
    let answer = tokio::spawn(phone(&world, &path, &format!("{ANSWERED}&Digits=1")).send());
    world.desk.taken(1).await;
    // The key is answered now; what follows is not.
    world.desk.set_mood(Mood::AnswersOnce);
    let xml = answer.await.unwrap().unwrap().text().await.unwrap();
    assert!(xml.contains("&amp;n=2&amp;w=1</Redirect>") && !xml.contains("d=1"), "{xml}");
    assert_eq!(world.desk.told(), [key('1')]);
    world.desk.set_mood(Mood::Answers);
}

#[tokio::test]
async fn a_busy_desk_is_one_moment_please() {
    let world = World::with(Options { desk: false, ..Options::default() }).await;
    assert_eq!(said(&world, "&n=1", ANSWERED).await, wait("n=1&amp;w=1"));
    assert_eq!(said(&world, "&n=1", &format!("{ANSWERED}&Digits=2")).await, wait("n=1&amp;d=2&amp;w=1"));
}
