//! The tow company of the sandbox, over HTTP with signatures computed here.

use std::time::Duration;

use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use forewarn::demo::sandbox::{Callbacks, Crew, TowCompany, TowFault, TowSettings};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};

use super::{Receiver, Seen, eventually, http, stage};

const KEY: &str = "forewarn-test-secret-of-the-tow-company";

async fn company() -> TowCompany {
    let secret = format!("whsec_{}", STANDARD.encode(KEY));
    let pace = Duration::from_millis(20);
    TowCompany::start(TowSettings { secret, eta_min: 24, slip_min: 5, pace }, stage()).await.unwrap()
}

fn effect(n: u32) -> String {
    format!("01890a5d-ac96-774b-bcce-{n:012x}")
}

fn job(n: u32, callback: &str) -> Value {
    json!({
        "ref": effect(n), "service": "tow", "priority": "safety", "requested_at": "2026-11-21T22:26:40Z",
        "where": {"lat": 48.1, "lon": 11.5, "age_s": 1.0}, "vehicle": {"plate": "M-FW 1007"},
        "fault": {"part": "front left brake circuit", "drivable": false},
        "people": {"contact": {"name": "Jana", "phone": "+493023125007", "locale": "de-DE"}},
        "accept_by": "2026-11-21T22:28:10Z", "callback": format!("{callback}/dispatch/{}", effect(n)),
    })
}

async fn ask(company: &TowCompany, n: u32, body: &Value) -> reqwest::Result<(u16, Value)> {
    let request = http().post(format!("{}/v1/jobs", company.url())).header("idempotency-key", effect(n)).json(body);
    let response = request.timeout(Duration::from_secs(2)).send().await?;
    let status = response.status().as_u16();
    Ok((status, response.json().await?))
}

fn states(seen: &[Seen]) -> Vec<(u64, String)> {
    let read = |s: &Seen| serde_json::from_slice::<Value>(&s.body).unwrap();
    seen.iter().map(read).map(|b| (b["seq"].as_u64().unwrap(), b["state"].as_str().unwrap().to_owned())).collect()
}

/// Standard Webhooks, computed here from its description.
fn genuine(seen: &Seen) -> bool {
    let signed = [seen.header("webhook-id"), seen.header("webhook-timestamp"), ""].join(".");
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
    mac.update(signed.as_bytes());
    mac.update(&seen.body);
    seen.header("webhook-signature") == format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[tokio::test]
async fn tow_takes_a_job_once_and_tells_how_it_goes() {
    // The client is down for the first callback, which must come again.
    let desk =
        Receiver::start(|_, n| (if n == 0 { StatusCode::BAD_GATEWAY } else { StatusCode::OK }, String::new())).await;
    let company = company().await;
    let body = job(1, &desk.url);
    let (status, first) = ask(&company, 1, &body).await.unwrap();
    assert_eq!((status, &first["state"]), (202, &json!("offered")));
    let (status, again) = ask(&company, 1, &body).await.unwrap();
    assert_eq!((status, &again["job"]), (200, &first["job"]));
    let mut other = body.clone();
    other["priority"] = json!("normal");
    assert_eq!(ask(&company, 1, &other).await.unwrap().0, 409);
    assert_eq!(ask(&company, 2, &body).await.unwrap().0, 400, "ref is not the key");

    eventually("seven callbacks", || desk.seen().len() >= 7).await;
    let seen = desk.seen();
    assert!(seen.iter().all(genuine));
    assert!(seen.iter().all(|s| s.uri == format!("/dispatch/{}", effect(1))));
    let mut news = states(&seen[1..]);
    news.sort();
    let words: Vec<&str> = news.iter().map(|(_, s)| s.as_str()).collect();
    assert_eq!(words, ["accepted", "en_route", "en_route", "on_site", "towing", "done"]);
    assert_eq!(company.count(&effect(1)), 1);
    let url = format!("{}/v1/jobs/{}", company.url(), first["job"].as_str().unwrap());
    let now: Value = http().get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!((&now["state"], &now["seq"]), (&json!("done"), &json!(7)));
    let history = &company.accepted()[0].history;
    let slip = history[3].eta.unwrap() - history[1].eta.unwrap();
    assert_eq!(slip, forewarn::domain::Span::from_mins(5));
}

#[tokio::test]
async fn tow_crews_differ() {
    let desk = Receiver::start(|_, _| (StatusCode::OK, String::new())).await;
    let company = company().await;
    let crews = [Crew::Declines, Crew::FindsNobody, Crew::Silent, Crew::GoneOnArrival, Crew::Unsuccessful];
    company.crews(crews);
    for n in 0..5 {
        assert_eq!(ask(&company, n, &job(n, &desk.url)).await.unwrap().0, 202);
    }
    let last = |n: usize| {
        let word = serde_json::to_value(company.accepted()[n].history.last().unwrap().state).unwrap();
        word.as_str().unwrap().to_owned()
    };
    eventually("the last one is done", || last(4) == "unsuccessful" && last(3) == "gone_on_arrival").await;
    assert_eq!([last(0), last(1), last(2)], ["declined", "no_provider", "offered"]);
}

#[tokio::test]
async fn tow_cancels_unless_it_is_too_close() {
    let desk = Receiver::start(|_, _| (StatusCode::OK, String::new())).await;
    let company = company().await;
    company.crews([Crew::Silent, Crew::Silent, Crew::Comes]);
    let cancel = |job: &str| {
        let url = format!("{}/v1/jobs/{job}/cancel", company.url());
        async move {
            let response = http().post(url).send().await.unwrap();
            (response.status().as_u16(), response.json::<Value>().await.unwrap())
        }
    };
    for n in 0..3 {
        ask(&company, n, &job(n, &desk.url)).await.unwrap();
    }
    assert_eq!(cancel("J-1").await.1["state"], "cancelled");
    assert_eq!(cancel("J-1").await.0, 200, "again is no error");
    company.refuse_cancel(true);
    assert_eq!(cancel("J-2").await, (409, json!({"reason": "too_close"})));
    company.refuse_cancel(false);
    eventually("the third is done", || company.accepted()[2].history.len() == 7).await;
    assert_eq!(cancel("J-3").await.0, 409);
    assert_eq!(cancel("J-9").await.0, 404);
}

#[tokio::test]
async fn tow_faults_happen_once_and_only_the_right_ones_take_the_job() {
    let company = company().await;
    for (n, (fault, kept, status)) in (0..).zip([
        (TowFault::CutBefore, 0, None),
        (TowFault::CutAfterAccept, 1, None),
        (TowFault::Unavailable(3), 0, Some(503)),
        (TowFault::ErrorAfterAccept, 1, Some(500)),
        (TowFault::Refuse("out_of_area".into()), 0, Some(422)),
        (TowFault::Slow(Duration::from_secs(4)), 1, None),
    ]) {
        company.script([fault.clone()]);
        let body = job(n, "http://127.0.0.1:9");
        let answer = ask(&company, n, &body).await.ok().map(|(s, _)| s);
        assert_eq!((answer, company.count(&effect(n))), (status, kept), "{fault:?}");
        let again = ask(&company, n, &body).await.unwrap().0;
        assert_eq!((again, company.count(&effect(n))), (if kept == 1 { 200 } else { 202 }, 1), "after {fault:?}");
    }
}

#[tokio::test]
async fn tow_callbacks_can_be_doubled_disordered_and_lost() {
    for (how, expected) in
        [(Callbacks::Doubled, vec![2, 2]), (Callbacks::Disordered, vec![2, 2, 1]), (Callbacks::Lost, vec![])]
    {
        let desk = Receiver::start(|_, _| (StatusCode::OK, String::new())).await;
        let company = company().await;
        company.crews([Crew::Declines]);
        company.callbacks(how);
        ask(&company, 1, &job(1, &desk.url)).await.unwrap();
        eventually("declined", || company.accepted()[0].history.len() == 2).await;
        eventually("all callbacks", || desk.seen().len() == expected.len()).await;
        let counts: Vec<u64> = states(&desk.seen()).into_iter().map(|(seq, _)| seq).collect();
        assert_eq!(counts, expected, "{how:?}");
    }
}

#[tokio::test]
async fn tow_refuses_a_request_signed_by_somebody_else() {
    let company = company().await;
    let request = http().post(format!("{}/v1/jobs", company.url())).header("idempotency-key", effect(1));
    let request =
        request.header("webhook-id", "x").header("webhook-timestamp", "1").header("webhook-signature", "v1,AA==");
    assert_eq!(request.json(&job(1, "http://127.0.0.1:9")).send().await.unwrap().status(), 401);
    assert_eq!(company.accepted().len(), 0);
}
