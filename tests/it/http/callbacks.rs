//! News from providers: who is believed, what the desk is told, and when success is answered.

use std::sync::atomic::Ordering;
use std::time::Duration;

use forewarn::desk::{Input, Reply};
use forewarn::domain::{
    AppProgress, At, BookingNews, BookingProgress, CallProgress, CaseId, JobState, JobUpdate, Receipt, ReceiptKind,
    Sender, Slot, SmsProgress,
};
use forewarn::wire::webhook::{Secret, sign};
use forewarn::wire::{link, reply, twilio, zammad};

use super::world::{
    APP_SECRET, BOOKING_SECRET, DISPATCH_SECRETS, EFFECT, LINK_SECRET, Mood, NOW_S, Options, TWILIO_TOKENS, World,
    code, effect, read,
};

/// A callback of the phone provider to `path`, signed for `signed_url` (or for the public address of `path`).
pub(super) fn phone(world: &World, path: &str, form: &str) -> reqwest::RequestBuilder {
    phone_signed(world, path, form, TWILIO_TOKENS[0], &format!("{}{path}", world.public_url))
}

fn phone_signed(world: &World, path: &str, form: &str, token: &str, signed_url: &str) -> reqwest::RequestBuilder {
    let signature = twilio::sign(token, signed_url, &twilio::parse_form(form.as_bytes()));
    world
        .post(path)
        .header("content-type", "application/x-www-form-urlencoded")
        .header(twilio::HEADER, signature)
        .body(form.to_owned())
}

#[tokio::test]
async fn only_the_phone_provider_is_believed() {
    let public = "https://me.example/front";
    let world = World::with(Options { public_url: Some(public), ..Options::default() }).await;
    let path = format!("/twilio/status?e={EFFECT}");
    let url = format!("{public}{path}");
    let form = "CallSid=CA1&CallStatus=ringing&SequenceNumber=1&Caller=J%C3%BCrgen";
    let signed = |token: &str, url: &str| phone_signed(&world, &path, form, token, url);
    let good = signed(TWILIO_TOKENS[0], &url);
    for (what, request, expected) in [
        ("good", good.try_clone().unwrap(), 204),
        ("repeated", good.try_clone().unwrap(), 204),
        ("the other account", signed(TWILIO_TOKENS[1], &url), 204),
        ("a forged Host header does not matter", good.try_clone().unwrap().header("host", "evil.example"), 204),
        ("with the default port", signed(TWILIO_TOKENS[0], &url.replace("example/", "example:443/")), 204),
        ("another token", signed("12346", &url), 403),
        ("an empty token", signed("", &url), 403),
        ("what the socket sees", signed(TWILIO_TOKENS[0], &format!("{}{path}", world.url)), 403),
        ("plain http", signed(TWILIO_TOKENS[0], &url.replace("https", "http")), 403),
        ("another effect", signed(TWILIO_TOKENS[0], &url.replace("8057", "8058")), 403),
        ("a changed form", good.try_clone().unwrap().body(form.replace("ringing", "completed")), 403),
        ("an added field", good.try_clone().unwrap().body(format!("{form}&Digits=1")), 403),
    ] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), expected, "{what}");
        let told = world.desk.told();
        assert_eq!(told.len(), usize::from(expected == 204), "{what}: {told:?}");
        if expected == 403 {
            assert_eq!(code(&read(answer).await.1), "bad_signature", "{what}");
        }
    }
    let unsigned = world.post(&path).body(form).send().await.unwrap();
    assert_eq!(unsigned.status().as_u16(), 403);
}

#[tokio::test]
async fn call_states_become_receipts() {
    let world = World::new().await;
    let path = format!("/twilio/status?e={EFFECT}");
    for (form, progress, seq) in [
        ("CallStatus=initiated&SequenceNumber=0", CallProgress::Initiated, Some(0)),
        ("CallStatus=ringing&SequenceNumber=1", CallProgress::Ringing, Some(1)),
        ("CallStatus=in-progress&SequenceNumber=2", CallProgress::InProgress, Some(2)),
        ("CallStatus=completed&SequenceNumber=3", CallProgress::Completed, Some(3)),
        ("CallStatus=busy", CallProgress::Busy, None),
        ("CallStatus=no-answer", CallProgress::NoAnswer, None),
        ("CallStatus=canceled", CallProgress::Canceled, None),
        ("CallStatus=failed", CallProgress::Failed, None),
        ("CallStatus=failed&SipResponseCode=404", CallProgress::Failed, None),
        ("CallStatus=failed&SipResponseCode=480", CallProgress::NoAnswer, None),
    ] {
        let answer = phone(&world, &path, &format!("CallSid=CA1&{form}")).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 204, "{form}");
        let what = ReceiptKind::Call { progress };
        let receipt = Receipt { effect: effect(), provider_ref: Some("CA1".to_owned()), seq, what };
        assert_eq!(world.desk.told(), [Input::Receipt(receipt)], "{form}");
    }
    for (path, form, expected) in [
        (&*path, "CallSid=CA1&CallStatus=levitating", (400, "bad_body")),
        (&*path, "CallStatus=ringing", (400, "bad_body")),
        ("/twilio/status?e=x", "CallSid=CA1&CallStatus=ringing", (404, "not_found")),
        ("/twilio/status", "CallSid=CA1&CallStatus=ringing", (404, "not_found")),
    ] {
        let (status, body) = read(phone(&world, path, form).send().await.unwrap()).await;
        assert_eq!((status, code(&body)), expected, "{path} {form}");
    }
    assert!(world.desk.told().is_empty());
}

#[tokio::test]
async fn text_message_states_become_receipts() {
    let world = World::new().await;
    let path = format!("/twilio/sms-status?e={EFFECT}");
    for (word, progress) in [
        ("queued", None),
        ("sending", None),
        ("sent", Some(SmsProgress::Sent)),
        ("delivered", Some(SmsProgress::Delivered)),
        ("undelivered", Some(SmsProgress::Undelivered)),
        ("failed", Some(SmsProgress::Failed)),
    ] {
        let answer = phone(&world, &path, &format!("MessageSid=SM1&MessageStatus={word}")).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 204, "{word}");
        let told: Vec<ReceiptKind> = world
            .desk
            .told()
            .into_iter()
            .map(|input| match input {
                Input::Receipt(receipt) => receipt.what,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(told, progress.map(|progress| ReceiptKind::Sms { progress }).into_iter().collect::<Vec<_>>());
    }
}

/// News of a job, signed at `at_s` with `secret`.
fn job(world: &World, secret: &str, at_s: i64, body: &str) -> reqwest::RequestBuilder {
    signed(world, "dispatch", secret, at_s, body)
}

fn signed(world: &World, kind: &str, secret: &str, at_s: i64, body: &str) -> reqwest::RequestBuilder {
    let secret = Secret::parse(secret).unwrap();
    let signature = sign(&secret, "msg_1", At::from_secs(at_s), body.as_bytes());
    world
        .post(&format!("/{kind}/{EFFECT}"))
        .header("webhook-id", "msg_1")
        .header("webhook-timestamp", at_s)
        .header("webhook-signature", signature)
        .body(body.to_owned())
}

const EN_ROUTE: &str =
    r#"{"job":"J-9","seq":4,"state":"en_route","eta":"2026-11-21T22:50:40Z","truck":{"plate":"M-TW 1"}}"#;

#[tokio::test]
async fn only_dispatch_providers_are_believed_and_only_for_five_minutes() {
    let world = World::new().await;
    let good = || job(&world, DISPATCH_SECRETS[0], NOW_S, EN_ROUTE);
    for (what, clock_s, request, expected) in [
        ("good", NOW_S, good(), 200),
        ("repeated: the desk sees that it is the same", NOW_S + 1, good(), 200),
        ("the other provider", NOW_S, job(&world, DISPATCH_SECRETS[1], NOW_S, EN_ROUTE), 200),
        ("at the edge of the window", NOW_S + 300, good(), 200),
        ("replayed later", NOW_S + 301, good(), 403),
        ("from the future", NOW_S - 301, good(), 403),
        ("another secret", NOW_S, job(&world, "whsec_AAAA", NOW_S, EN_ROUTE), 403),
        ("a changed body", NOW_S, good().body(EN_ROUTE.replace("en_route", "done")), 403),
    ] {
        world.clock_s.store(clock_s, Ordering::Relaxed);
        let (status, body) = read(request.send().await.unwrap()).await;
        assert_eq!(status, expected, "{what}: {body}");
        let told = world.desk.told();
        if expected == 200 {
            let update = JobUpdate {
                job: "J-9".to_owned(),
                state: JobState::EnRoute,
                eta_at: Some(At::from_secs(1_795_301_440)),
                truck: Some("M-TW 1".to_owned()),
            };
            let what = ReceiptKind::Dispatch { update };
            let receipt = Receipt { effect: effect(), provider_ref: Some("J-9".to_owned()), seq: Some(4), what };
            assert_eq!(told, [Input::Signed { by: vec!["tow".into()], receipt }]);
        } else {
            assert_eq!((code(&body), told.len()), ("bad_signature", 0), "{what}");
        }
    }
    world.clock_s.store(NOW_S, Ordering::Relaxed);
    let unsigned = world.post(&format!("/dispatch/{EFFECT}")).body(EN_ROUTE).send().await.unwrap();
    assert_eq!(unsigned.status().as_u16(), 403);
    let (status, body) = read(job(&world, DISPATCH_SECRETS[0], NOW_S, r#"{"job":"J-9"}"#).send().await.unwrap()).await;
    assert_eq!((status, code(&body)), (400, "bad_body"));
}

#[tokio::test]
async fn the_app_tells_what_became_of_a_message_and_only_the_app_is_believed() {
    let world = World::new().await;
    let delivered = ReceiptKind::App { progress: AppProgress::Delivered };
    for (secret, body, expected, told) in [
        (APP_SECRET, r#"{"seq":1,"state":"delivered"}"#, (200, ""), Some((1, delivered))),
        (
            APP_SECRET,
            r#"{"seq":3,"state":"confirmed","choice":"1"}"#,
            (200, ""),
            Some((3, ReceiptKind::Key { digit: '1' })),
        ),
        (APP_SECRET, r#"{"seq":3,"state":"confirmed"}"#, (400, "bad_body"), None),
        (DISPATCH_SECRETS[0], r#"{"seq":1,"state":"delivered"}"#, (403, "bad_signature"), None),
    ] {
        let (status, answer) = read(signed(&world, "app", secret, NOW_S, body).send().await.unwrap()).await;
        assert_eq!(status, expected.0, "{body}: {answer}");
        assert!(expected.1.is_empty() || code(&answer) == expected.1, "{answer}");
        let receipt = |(seq, what)| Receipt { effect: effect(), provider_ref: None, seq: Some(seq), what };
        let told = told.map(|t| Input::Signed { by: vec!["app".into()], receipt: receipt(t) });
        assert_eq!(world.desk.told(), told.into_iter().collect::<Vec<_>>());
    }
    // And the app's secret opens nothing else.
    let status = job(&world, APP_SECRET, NOW_S, EN_ROUTE).send().await.unwrap().status();
    assert_eq!(status.as_u16(), 403);
}

/// Success is a promise: it must not be given before the desk has made the news durable.
#[tokio::test]
async fn success_is_answered_only_after_the_desk_has_committed() {
    let world = World::new().await;
    world.desk.set_mood(Mood::Hesitates);
    let mut answer = tokio::spawn(job(&world, DISPATCH_SECRETS[0], NOW_S, EN_ROUTE).send());
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut answer).await.is_err(), "answered too early");
    world.desk.set_mood(Mood::Answers);
    assert_eq!(answer.await.unwrap().unwrap().status().as_u16(), 200);
    assert_eq!(world.desk.told().len(), 1);
}

#[tokio::test]
async fn what_the_desk_does_not_take_is_told() {
    let world = World::new().await;
    for (reply, expected) in
        [(Reply::NotFound, (404, "not_found")), (Reply::Refused("not a job".to_owned()), (409, "refused"))]
    {
        world.desk.reply_with(reply);
        let (status, body) = read(job(&world, DISPATCH_SECRETS[0], NOW_S, EN_ROUTE).send().await.unwrap()).await;
        assert_eq!((status, code(&body)), expected);
    }
    let world = World::with(Options { desk: false, ..Options::default() }).await;
    let status = phone(&world, &format!("/twilio/status?e={EFFECT}"), "CallSid=CA1&CallStatus=ringing");
    for request in [job(&world, DISPATCH_SECRETS[0], NOW_S, EN_ROUTE), status] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["retry-after"], "2");
        let (status, body) = read(answer).await;
        assert_eq!((status, code(&body)), (503, "busy"));
    }
}

#[tokio::test]
async fn text_messages_of_people_reach_the_desk_and_its_answer_goes_back_at_once() {
    let world = World::new().await;
    let path = "/twilio/sms";
    let form = "MessageSid=SM7&From=%2B43111&To=%2B4930&Body=St%C3%B6rt+mich+nicht";
    world.desk.reply_with(Reply::Text("Erledigt <gern>".to_owned()));
    let answer = phone(&world, path, form).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    let xml = answer.text().await.unwrap();
    assert!(xml.contains("<Response><Message>Erledigt &lt;gern&gt;</Message></Response>"), "{xml}");
    let told = world.desk.told();
    let [Input::Said(said)] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((said.external_id.as_str(), said.text.as_str(), said.answered), ("SM7", "Stört mich nicht", false));
    assert_eq!(said.from, Sender::Phone("+43111".to_owned()));
    // Unknown senders see the same as everybody else to whom nothing is said.
    for reply in [Reply::Done, Reply::NotFound] {
        world.desk.reply_with(reply);
        let answer = phone(&world, path, &format!("{form}&OptOutType=STOP")).send().await.unwrap();
        assert!(answer.text().await.unwrap().contains("<Response></Response>"));
    }
    assert!(matches!(&world.desk.told()[0], Input::Said(said) if said.answered), "the provider has answered itself");
    let unsigned = world.post(path).body(form).send().await.unwrap();
    assert_eq!(unsigned.status().as_u16(), 403);
    assert!(world.desk.told().is_empty());
}

#[tokio::test]
async fn mail_and_comments_of_the_ticket_desk_reach_the_desk_from_whoever_may_post_them() {
    let world = World::new().await;
    let case = CaseId::of(&[b"x"]);
    let to = reply::address(&link::Key::parse(LINK_SECRET).unwrap(), &case, "reply.example.com");
    let mail = serde_json::json!({ "From": "jane@example.com", "To": to, "MessageID": "m1", "TextBody": "Thanks!" })
        .to_string();
    let post = |password: &str| world.post("/mail/inbound").basic_auth("forewarn", Some(password)).body(mail.clone());
    for (password, expected) in [("inbound-secret", 200), ("", 403), ("inbound-secre", 403)] {
        assert_eq!(post(password).send().await.unwrap().status().as_u16(), expected, "{password}");
    }
    let told = world.desk.told();
    let [Input::Said(said)] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((said.case, said.text.as_str()), (Some(case), "Thanks!"));
    let trigger = r#"{"ticket":{"id":19},"article":{"id":3,"body":"We call you.","sender":"Agent","internal":false}}"#;
    let signed = |desk: &str, token: &str| {
        let signature = zammad::sign(token, trigger.as_bytes());
        world.post(&format!("/zammad/{desk}")).header(zammad::SIGNATURE, signature).body(trigger)
    };
    for (desk, token, expected) in
        [("helpdesk", "hook-token", 200), ("helpdesk", "other", 403), ("other", "hook-token", 403)]
    {
        assert_eq!(signed(desk, token).send().await.unwrap().status().as_u16(), expected, "{desk} {token}");
    }
    let told = world.desk.told();
    let [Input::Said(said)] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(said.external_id, "helpdesk/3");
    let bare = world.post("/zammad/helpdesk").body(trigger).send().await.unwrap();
    assert_eq!(bare.status().as_u16(), 403, "a desk without a token is not believed");
}

#[tokio::test]
async fn a_mail_that_comes_back_is_told_and_what_else_comes_to_its_address_is_nobodys_words() {
    let world = World::new().await;
    let to = reply::bounce(&link::Key::parse(LINK_SECRET).unwrap(), &effect(), "mail.example.com");
    for (text, failed) in [("Action: failed\nStatus: 5.1.1", true), ("Action: delayed", false), ("On vacation", false)]
    {
        let mail = serde_json::json!({ "From": "jane@example.com", "To": to, "MessageID": text, "TextBody": text });
        let post = world.post("/mail/inbound").basic_auth("forewarn", Some("inbound-secret")).body(mail.to_string());
        assert_eq!(post.send().await.unwrap().status().as_u16(), 200);
        let receipt = Receipt { effect: effect(), provider_ref: None, seq: None, what: ReceiptKind::Returned };
        let told: Vec<Input> = failed.then_some(Input::Receipt(receipt)).into_iter().collect();
        assert_eq!(world.desk.told(), told, "{text}");
    }
}

#[tokio::test]
async fn a_workshop_says_how_a_booking_stands() {
    let world = World::new().await;
    let body = |status: &str| {
        let slot = r#""slot":{"merchant_id":"m","service_id":"s","start_sec":"3600","duration_sec":"3600"}"#;
        format!(r#"{{"booking":{{"booking_id":"B-1",{slot},"status":"{status}"}},"seq":4}}"#)
    };
    let post = |secret: &str, body: &str| signed(&world, "booking", secret, NOW_S, body);
    for (status, progress) in [
        ("CONFIRMED", BookingProgress::Confirmed),
        ("CHECKED_IN", BookingProgress::CheckedIn),
        ("COMPLETED", BookingProgress::Done),
        ("NO_SHOW", BookingProgress::NoShow),
        ("CANCELED", BookingProgress::Cancelled),
    ] {
        let answer = post(BOOKING_SECRET, &body(status)).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{status}");
        let start_at = At::from_secs(3_600);
        let slot = Some(Slot { start_at, end_at: At::from_secs(7_200) });
        let news = BookingNews::Stands { booking: "B-1".into(), progress, slot };
        let what = ReceiptKind::Booking { news };
        let receipt = Receipt { effect: effect(), provider_ref: Some("B-1".into()), seq: Some(4), what };
        assert_eq!(world.desk.told(), [Input::Signed { by: vec!["workshop".into()], receipt }], "{status}");
    }
    for (secret, body, expected) in [
        (DISPATCH_SECRETS[0], body("CONFIRMED"), (403, "bad_signature")),
        (BOOKING_SECRET, body("LEVITATING"), (400, "bad_body")),
        (BOOKING_SECRET, r#"{"booking":{"booking_id":"B-1"},"seq":4}"#.to_owned(), (400, "bad_body")),
        (BOOKING_SECRET, r#"{"booking":{"booking_id":"B-1","status":"CONFIRMED"}}"#.to_owned(), (400, "bad_body")),
    ] {
        let (status, answer) = read(post(secret, &body).send().await.unwrap()).await;
        assert_eq!((status, code(&answer)), expected, "{body}");
    }
    assert!(world.desk.told().is_empty());
}
