//! The ticket desk of the sandbox, over HTTP.

use std::time::Duration;

use forewarn::demo::sandbox::{DeskFault, TicketDesk};
use serde_json::{Value, json};

use super::{http, stage};

async fn send(desk: &TicketDesk, method: reqwest::Method, path: &str, body: Value) -> reqwest::Result<(u16, Value)> {
    let url = format!("{}/api/v1/{path}", desk.url());
    let request = http().request(method, url).header("authorization", "Token token=t0ken");
    let request = if body.is_null() { request } else { request.json(&body) };
    let response = request.timeout(Duration::from_secs(2)).send().await?;
    let status = response.status().as_u16();
    Ok((status, response.json().await.unwrap_or(Value::Null)))
}

async fn ok(desk: &TicketDesk, method: reqwest::Method, path: &str, body: Value) -> (u16, Value) {
    send(desk, method, path, body).await.unwrap()
}

fn ticket(case: &str) -> Value {
    json!({
        "title": "Front left brake circuit failed", "group": "Roadside", "priority": "3 high",
        "customer_id": "guess:jane@example.com", "case_ref": case,
        "article": {"subject": "Opened", "body": "fl 3 bar", "content_type": "text/plain", "type": "note", "internal": true},
    })
}

use reqwest::Method;

#[tokio::test]
async fn desk_keeps_tickets_articles_and_states() {
    let desk = TicketDesk::start("t0ken", stage()).await.unwrap();
    let (status, made) = ok(&desk, Method::POST, "tickets", ticket("case-1")).await;
    assert_eq!((status, &made["id"], &made["number"]), (201, &json!(1), &json!("22001")));
    let note = json!({"ticket_id": 1, "subject": "told", "body": "driver confirmed", "type": "note", "internal": true});
    assert_eq!(ok(&desk, Method::POST, "ticket_articles", note).await.0, 201);
    let close = json!({"state": "closed", "article": {"subject": "Done", "body": "towed"}});
    let (status, closed) = ok(&desk, Method::PUT, "tickets/1", close).await;
    assert_eq!((status, &closed["state"], &closed["article_count"]), (200, &json!("closed"), &json!(3)));
    let found = ok(&desk, Method::GET, "tickets/search?query=case_ref:%22case-1%22&limit=2", Value::Null).await.1;
    assert_eq!((&found["tickets"], &found["tickets_count"]), (&json!([1]), &json!(1)));
    let articles = ok(&desk, Method::GET, "ticket_articles/by_ticket/1", Value::Null).await.1;
    assert_eq!(articles[1]["subject"], "told");
    let kept = &desk.accepted()[0];
    assert_eq!((kept.state.as_str(), kept.customer.as_deref()), ("closed", Some("guess:jane@example.com")));
    assert_eq!((desk.count("case-1"), desk.count("case-2")), (1, 0));
}

#[tokio::test]
async fn desk_refuses_what_it_does_not_know() {
    let desk = TicketDesk::start("t0ken", stage()).await.unwrap();
    let wrong = http().post(format!("{}/api/v1/tickets", desk.url())).header("authorization", "Bearer t0ken");
    assert_eq!(wrong.json(&ticket("c")).send().await.unwrap().status(), 401);
    for (pointer, value) in [
        ("/titel", json!("x")),
        ("/group", json!("Nobody")),
        ("/priority", json!("high")),
        ("/state", json!("done")),
        ("/title", json!("")),
        ("/customer_id", json!([1])),
        ("/article/type", json!("letter")),
        ("/article/body", json!(" ")),
        ("/article/content_type", json!("text/rtf")),
        ("/article/attachments", json!([{"filename": "a", "data": "%%%", "mime-type": "text/plain"}])),
    ] {
        let mut body = ticket("c");
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[key] = value;
        assert_eq!(ok(&desk, Method::POST, "tickets", body).await.0, 422, "{pointer}");
    }
    assert_eq!(ok(&desk, Method::PUT, "tickets/9", json!({"state": "closed"})).await.0, 404);
    assert_eq!(ok(&desk, Method::GET, "tickets/search?query=title:x", Value::Null).await.0, 422);
    assert_eq!(desk.accepted(), []);
}

#[tokio::test]
async fn desk_faults_happen_once_and_only_the_right_ones_keep_the_ticket() {
    let desk = TicketDesk::start("t0ken", stage()).await.unwrap();
    for (n, (fault, kept, status)) in [
        (DeskFault::CutBefore, 0, None),
        (DeskFault::CutAfterAccept, 1, None),
        (DeskFault::Unavailable(7), 0, Some(503)),
        (DeskFault::TooMany(7), 0, Some(429)),
        (DeskFault::ErrorAfterAccept, 1, Some(500)),
        (DeskFault::Garbled, 1, Some(201)),
        (DeskFault::Slow(Duration::from_secs(4)), 1, None),
    ]
    .into_iter()
    .enumerate()
    {
        let case = format!("case-{n}");
        desk.script([fault.clone()]);
        let answer = send(&desk, Method::POST, "tickets", ticket(&case)).await.ok().map(|(s, _)| s);
        assert_eq!((answer, desk.count(&case)), (status, kept), "{fault:?}");
        assert_eq!(ok(&desk, Method::POST, "tickets", ticket(&case)).await.0, 201, "after {fault:?}");
        assert_eq!(desk.count(&case), kept + 1, "after {fault:?}");
    }
}

#[tokio::test]
async fn desk_finds_a_new_ticket_only_after_the_index_has_it() {
    let desk = TicketDesk::start("t0ken", stage()).await.unwrap();
    desk.index_lag(Duration::from_millis(300));
    ok(&desk, Method::POST, "tickets", ticket("case-1")).await;
    let search = || ok(&desk, Method::GET, "tickets/search?query=case_ref:%22case-1%22&limit=2", Value::Null);
    assert_eq!(search().await.1["tickets"], json!([]));
    tokio::time::sleep(Duration::from_millis(350)).await;
    assert_eq!(search().await.1["tickets"], json!([1]));
}
