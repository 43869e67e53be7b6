//! The phone network of the sandbox, over HTTP with signatures computed here.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use forewarn::demo::sandbox::{Delivery, Driver, PhoneFault, PhoneNetwork, PhoneSettings};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;

use super::{Receiver, Seen, eventually, http, stage};

const ACCOUNT: &str = "AC00000000000000000000000000000001";
const TOKEN: &str = "t0ken";

async fn network() -> PhoneNetwork {
    let settings = PhoneSettings {
        account_sid: ACCOUNT.to_owned(),
        token: TOKEN.to_owned(),
        ring: Duration::from_millis(20),
        rings: 2,
        per_char: Duration::ZERO,
        hurry: 0.01,
    };
    PhoneNetwork::start(settings, stage()).await.unwrap()
}

/// Says something, takes a key, asks once more without one, says good-bye.
async fn desk() -> Receiver {
    Receiver::start(|seen, _| {
        let text = match seen.form("Digits") {
            Some(digit) => format!("<Response><Say language=\"de-DE\">{digit} gedrückt.</Say><Hangup/></Response>"),
            None if seen.uri.ends_with("n=2") => "<Response><Say>bye</Say></Response>".to_owned(),
            None => "<Response><Gather numDigits=\"1\" timeout=\"8\" action=\"/twilio/voice?e=key-1&amp;n=1\">\
                     <Say language=\"de-DE\">Drücken Sie 1.</Say></Gather><Redirect>/twilio/voice?e=key-1&amp;n=2</Redirect>\
                     </Response>"
                .to_owned(),
        };
        (StatusCode::OK, text)
    })
    .await
}

async fn call(network: &PhoneNetwork, desk: &str, more: &[(&str, &str)]) -> reqwest::Result<(u16, Value)> {
    let voice = format!("{desk}/twilio/voice?e=key-1&n=1");
    let status = format!("{desk}/twilio/status?e=key-1#rc=5&rp=all");
    let mut form = BTreeMap::from([
        ("To", "+493023125007"),
        ("From", "+493023125999"),
        ("Url", voice.as_str()),
        ("StatusCallback", status.as_str()),
        ("Timeout", "25"),
    ]);
    form.extend(more.iter().copied());
    let mut pairs: Vec<(&str, &str)> = form.into_iter().filter(|(_, v)| !v.is_empty()).collect();
    pairs.extend(["initiated", "ringing", "answered", "completed"].map(|e| ("StatusCallbackEvent", e)));
    post(network, "Calls", &pairs).await
}

async fn post(network: &PhoneNetwork, what: &str, form: &[(&str, &str)]) -> reqwest::Result<(u16, Value)> {
    let url = format!("{}/2010-04-01/Accounts/{ACCOUNT}/{what}.json", network.url());
    let request = http().post(url).basic_auth(ACCOUNT, Some(TOKEN)).form(form).timeout(Duration::from_secs(2));
    let response = request.send().await?;
    let status = response.status().as_u16();
    Ok((status, response.json().await?))
}

async fn get(network: &PhoneNetwork, path: &str) -> (u16, Value) {
    let url = format!("{}/2010-04-01/Accounts/{ACCOUNT}/{path}", network.url());
    let response = http().get(url).basic_auth(ACCOUNT, Some(TOKEN)).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

/// The documented signature, computed here from its description.
fn genuine(desk: &Receiver, seen: &Seen) -> bool {
    let mut fields: Vec<_> = url::form_urlencoded::parse(&seen.body).into_owned().collect();
    fields.sort();
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(TOKEN.as_bytes()).unwrap();
    mac.update(format!("{}{}", desk.url, seen.uri).as_bytes());
    for (name, value) in fields {
        mac.update(format!("{name}{value}").as_bytes());
    }
    seen.header("x-twilio-signature") == STANDARD.encode(mac.finalize().into_bytes())
}

fn ended(network: &PhoneNetwork, status: &str) -> bool {
    network.accepted().last().is_some_and(|c| c.status == status)
}

/// Sequence numbers and states of the status callbacks, in order of arrival.
fn progress(desk: &Receiver) -> Vec<(u64, String)> {
    let seen = desk.seen();
    let news = seen.iter().filter(|s| s.uri.starts_with("/twilio/status"));
    news.map(|s| (s.form("SequenceNumber").unwrap().parse().unwrap(), s.form("CallStatus").unwrap())).collect()
}

#[tokio::test]
async fn phone_driver_listens_and_presses_one() {
    let (desk, network) = (desk().await, network().await);
    let (status, made) = call(&network, &desk.url, &[]).await.unwrap();
    assert_eq!((status, made["status"].as_str()), (201, Some("queued")));
    eventually("completed", || ended(&network, "completed") && progress(&desk).len() == 4).await;
    let call = &network.accepted()[0];
    assert_eq!(call.heard, ["Drücken Sie 1.", "1 gedrückt."]);
    assert_eq!((call.pressed.as_slice(), call.error.as_deref()), (&['1'][..], None));
    assert_eq!((network.count("key-1"), network.count("key-2")), (1, 0));
    let mut news = progress(&desk);
    news.sort();
    let words: Vec<&str> = news.iter().map(|(_, s)| s.as_str()).collect();
    assert_eq!(words, ["initiated", "ringing", "in-progress", "completed"]);
    assert!(desk.seen().iter().all(|s| genuine(&desk, s)), "every request is signed");
}

#[tokio::test]
async fn phone_drivers_differ() {
    for (driver, status, heard) in [
        (Driver::Busy, "busy", 0),
        (Driver::Absent, "no-answer", 0),
        (Driver::Unreachable, "failed", 0),
        (Driver::HangsUp, "completed", 0),
        (Driver::Voicemail, "completed", 2),
        (Driver::Presses(vec![None]), "completed", 2),
        (Driver::Presses(vec![Some('9')]), "completed", 2),
    ] {
        let (desk, network) = (desk().await, network().await);
        network.drivers([driver.clone()]);
        call(&network, &desk.url, &[]).await.unwrap();
        eventually("ended", || ended(&network, status)).await;
        let call = &network.accepted()[0];
        let keys: Vec<char> = if driver == Driver::Presses(vec![Some('9')]) { vec!['9'] } else { vec![] };
        assert_eq!((call.heard.len(), &call.pressed), (heard, &keys), "{driver:?}");
    }
}

#[tokio::test]
async fn phone_faults_happen_once_and_only_the_right_ones_place_the_call() {
    let (desk, network) = (desk().await, network().await);
    let mut placed = 0;
    for (fault, kept, status) in [
        (PhoneFault::CutBefore, 0, None),
        (PhoneFault::CutAfterAccept, 1, None),
        (PhoneFault::Unavailable(2), 0, Some(503)),
        (PhoneFault::TooMany(2), 0, Some(429)),
        (PhoneFault::Refuse, 0, Some(400)),
        (PhoneFault::ErrorAfterAccept, 1, Some(500)),
        (PhoneFault::Slow(Duration::from_secs(4)), 1, None),
    ] {
        network.script([fault.clone()]);
        let answer = call(&network, &desk.url, &[]).await.ok().map(|(s, _)| s);
        placed += kept;
        assert_eq!((answer, network.count("key-1")), (status, placed), "{fault:?}");
    }
    assert_eq!(call(&network, &desk.url, &[]).await.unwrap().0, 201);
    let (_, list) = get(&network, "Calls.json?To=%2B493023125007&PageSize=2").await;
    let sids: Vec<&str> = list["calls"].as_array().unwrap().iter().map(|c| c["sid"].as_str().unwrap()).collect();
    assert_eq!(sids.len(), 2);
    assert!(sids[0] > sids[1], "newest first: {sids:?}");
    let day = |offset: i64| {
        let now = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * offset);
        now.to_string()[..10].to_owned()
    };
    for (filter, found) in [
        (format!("StartTime%3E={}", day(0)), true),
        (format!("StartTime%3E={}", day(1)), false),
        ("To=%2B4930".to_owned(), false),
        ("From=%2B493023125999".to_owned(), true),
    ] {
        let (_, list) = get(&network, &format!("Calls.json?{filter}")).await;
        assert_eq!(!list["calls"].as_array().unwrap().is_empty(), found, "{filter}");
    }
    assert_eq!(get(&network, "Calls.json?Since=x").await.0, 400);
    assert_eq!(get(&network, &format!("Calls/{}.json", sids[0])).await.1["to"], "+493023125007");
    assert_eq!(get(&network, "Calls/CAnone.json").await.0, 404);
}

#[tokio::test]
async fn phone_refuses_what_the_real_one_refuses() {
    let (desk, network) = (desk().await, network().await);
    for (field, value, code) in [
        ("To", "030 23125007", 21211),
        ("From", "", 21212),
        ("Url", "", 21205),
        ("Url", "somewhere", 21205),
        ("StatusCallback", "ftp://x", 21609),
        ("Timeout", "1", 21216),
        ("Tweeml", "x", 20001),
    ] {
        let (status, problem) = call(&network, &desk.url, &[(field, value)]).await.unwrap();
        assert_eq!((status, problem["code"].as_i64()), (400, Some(code)), "{field}={value}");
    }
    let url = format!("{}/2010-04-01/Accounts/{ACCOUNT}/Calls.json", network.url());
    assert_eq!(http().get(&url).basic_auth(ACCOUNT, Some("x")).send().await.unwrap().status(), 401);
    let other = url.replace(ACCOUNT, "AC2");
    assert_eq!(http().get(other).basic_auth(ACCOUNT, Some(TOKEN)).send().await.unwrap().status(), 404);
    assert_eq!(network.accepted(), []);
}

#[tokio::test]
async fn phone_callbacks_can_be_doubled_disordered_and_lost() {
    for (how, expected) in [
        (Delivery::Doubled, vec![0, 0, 1, 1, 2, 2]),
        (Delivery::Disordered, vec![0, 0, 0, 1, 1, 1, 2, 2]),
        (Delivery::Lost, vec![]),
    ] {
        let (desk, network) = (desk().await, network().await);
        network.delivery(how);
        network.drivers([Driver::Absent]);
        call(&network, &desk.url, &[]).await.unwrap();
        eventually("ended", || ended(&network, "no-answer")).await;
        eventually("callbacks", || progress(&desk).len() == expected.len()).await;
        let mut counts: Vec<u64> = progress(&desk).into_iter().map(|(seq, _)| seq).collect();
        counts.sort_unstable();
        assert_eq!(counts, expected, "{how:?}");
    }
}

#[tokio::test]
async fn phone_repeats_callbacks_that_nobody_took() {
    let network = network().await;
    let desk =
        Receiver::start(|_, n| (if n < 2 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }, String::new()))
            .await;
    network.drivers([Driver::Unreachable]);
    call(&network, &desk.url, &[]).await.unwrap();
    eventually("initiated and failed arrived", || {
        let words: Vec<String> = progress(&desk).into_iter().map(|(_, s)| s).collect();
        words.len() == 4 && words.iter().any(|w| w == "failed")
    })
    .await;
}

#[tokio::test]
async fn phone_uses_the_fallback_and_names_what_it_could_not_follow() {
    let network = network().await;
    let desk = Receiver::start(|seen, _| match seen.uri.as_str() {
        "/down" => (StatusCode::INTERNAL_SERVER_ERROR, String::new()),
        "/sing" => (StatusCode::OK, "<Response><Sing/></Response>".to_owned()),
        _ => (StatusCode::OK, "<Response><Dial>+4930231250</Dial></Response>".to_owned()),
    })
    .await;
    let at = |path: &str| format!("{}{path}", desk.url);
    call(&network, &desk.url, &[("Url", &at("/down")), ("FallbackUrl", &at("/fallback"))]).await.unwrap();
    eventually("connected", || network.accepted()[0].connected_to.is_some()).await;
    call(&network, &desk.url, &[("Url", &at("/sing"))]).await.unwrap();
    eventually("gave up", || network.accepted()[1].error.as_deref() == Some("unknown verb <Sing>")).await;
}

#[tokio::test]
async fn phone_takes_a_ringing_call_back() {
    let (desk, network) = (desk().await, network().await);
    network.drivers([Driver::Absent]);
    let (_, made) = call(&network, &desk.url, &[]).await.unwrap();
    let path = format!("Calls/{}", made["sid"].as_str().unwrap());
    assert_eq!(post(&network, &path, &[("Status", "canceled")]).await.unwrap().0, 200);
    eventually("told", || progress(&desk).iter().any(|(_, s)| s == "canceled")).await;
    assert_eq!(network.accepted()[0].heard, [""; 0]);
}

#[tokio::test]
async fn phone_delivers_texts() {
    let (desk, network) = (desk().await, network().await);
    let status = format!("{}/twilio/sms-status?e=key-7#rc=5&rp=all", desk.url);
    let form = [
        ("To", "+493023125007"),
        ("From", "+493023125999"),
        ("Body", "Bitte halten Sie an."),
        ("StatusCallback", status.as_str()),
        ("ValidityPeriod", "600"),
    ];
    network.lose_texts(1);
    for expected in ["undelivered", "delivered"] {
        assert_eq!(post(&network, "Messages", &form).await.unwrap().0, 201);
        eventually("delivered", || network.texts().last().unwrap().status == expected).await;
    }
    eventually("reported", || desk.seen().len() == 4).await;
    let words: Vec<String> = desk.seen().iter().map(|s| s.form("MessageStatus").unwrap()).collect();
    assert_eq!(words, ["sent", "undelivered", "sent", "delivered"]);
    assert!(desk.seen().iter().all(|s| genuine(&desk, s)));
    assert_eq!(network.count_texts("key-7"), 2);
    let (_, list) = get(&network, "Messages.json?To=%2B493023125007").await;
    assert_eq!(list["messages"].as_array().unwrap().len(), 2);
    assert_eq!(post(&network, "Messages", &form[..2]).await.unwrap().0, 400, "without a body");
}

#[tokio::test]
async fn phone_people_write_back_and_get_an_answer() {
    let desk = Receiver::start(|seen, _| {
        let words = match seen.form("Body").as_deref() {
            Some("STOP") => "<Response><Message>No more &amp; bye</Message></Response>",
            Some(_) => "<Response></Response>",
            None => "",
        };
        (StatusCode::OK, words.to_owned())
    })
    .await;
    let network = network().await;
    network.inbound(&format!("{}/twilio/sms", desk.url));
    network.replies([Some("STOP".to_owned()), None]);
    let form = [("To", "+493023125007"), ("From", "+493023125999"), ("Body", "Bitte halten Sie an.")];
    for _ in 0..2 {
        assert_eq!(post(&network, "Messages", &form).await.unwrap().0, 201);
    }
    eventually("answered", || network.written().iter().any(|w| w.status.is_some())).await;
    network.write("+493023125008", "+493023125999", "Who are you?").await;
    let written = network.written();
    let told: Vec<_> = written.iter().map(|w| (w.from.as_str(), w.body.as_str(), w.answer.as_deref())).collect();
    assert_eq!(
        told,
        [("+493023125007", "STOP", Some("No more & bye")), ("+493023125008", "Who are you?", None)],
        "the second text message is read and not answered"
    );
    assert!(desk.seen().iter().all(|s| genuine(&desk, s) && s.form("To").as_deref() == Some("+493023125999")));
}
