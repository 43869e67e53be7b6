//! Opt-outs that people enter, and calls that a contact centre reports.

use forewarn::desk::{Input, Reply};
use forewarn::domain::{Channel, Purpose, Sender};
use serde_json::json;

use super::world::{World, code, read};

async fn post(world: &World, token: &str, body: &str) -> (u16, serde_json::Value) {
    let request = world.post("/api/v1/opt-outs").header("content-type", "application/json").body(body.to_owned());
    read(request.bearer_auth(world.token(token)).send().await.unwrap()).await
}

#[tokio::test]
async fn opt_outs_are_entered_lifted_and_listed() {
    let world = World::new().await;
    for (body, purpose, done) in [
        (r#"{"endpoint": "e-1", "channel": "sms"}"#, Some(Purpose::Service), "opted_out"),
        (r#"{"endpoint": "e-1", "channel": "sms", "purpose": "info"}"#, Some(Purpose::Info), "opted_out"),
        (r#"{"endpoint": "e-1", "channel": "sms", "lift": true}"#, None, "lifted"),
    ] {
        let (status, answer) = post(&world, "act", body).await;
        assert_eq!((status, answer), (200, json!({ "endpoint": "e-1", "done": done })), "{body}");
        let actor = "act".to_owned();
        assert_eq!(
            world.desk.told(),
            [Input::OptOut { endpoint: "e-1".into(), channel: Channel::Sms, purpose, actor }],
            "{body}"
        );
    }
    let (status, list) = world.admin("/api/v1/opt-outs").await;
    assert_eq!(status, 200);
    let first = &list["opt_outs"][0];
    assert_eq!((&first["endpoint"], &first["channel"], &first["by"]), (&"e-1".into(), &"sms".into(), &"word".into()));
    assert!(list["at"].is_string() && first["lifted_at"].is_null(), "{list}");
}

#[tokio::test]
async fn an_opt_out_that_cannot_be_is_told_and_changes_nothing() {
    let world = World::new().await;
    for body in [
        "",
        "[]",
        r#"{"endpoint": "e-1"}"#,
        r#"{"endpoint": "e-1", "channel": "fax"}"#,
        r#"{"endpoint": "e-1", "channel": "sms", "purpose": "fun"}"#,
        r#"{"endpoint": "e-1", "channel": "sms", "x": 1}"#,
    ] {
        let (status, answer) = post(&world, "act", body).await;
        assert_eq!((status, code(&answer)), (400, "bad_body"), "{body}");
    }
    assert!(world.desk.told().is_empty());
    world.desk.reply_with(Reply::NotFound);
    let (status, answer) = post(&world, "act", r#"{"endpoint": "nobody", "channel": "sms"}"#).await;
    assert_eq!((status, code(&answer)), (404, "not_found"));
    for token in ["read", "ack"] {
        let (status, _) = post(&world, token, r#"{"endpoint": "e-1", "channel": "sms"}"#).await;
        assert_eq!(status, 403, "{token}");
    }
}

/// The contact centre has somebody on the line: that counts as their call, once for each call.
#[tokio::test]
async fn a_lookup_with_a_contact_says_who_has_called() {
    let world = World::new().await;
    for (query, called) in [
        ("phone=%2B49151&contact=true&call=K1", Some((Sender::Phone("+49151".into()), "K1"))),
        ("email=a@example.com&contact=true&call=K2", Some((Sender::Email("a@example.com".into()), "K2"))),
        ("phone=%2B49151", None),
        // Nobody says who calls about a device.
        ("device=car-1&contact=true&call=K3", None),
    ] {
        let (status, _) = world.admin(&format!("/api/v1/lookup?{query}")).await;
        assert_eq!(status, 200, "{query}");
        let called = called.map(|(from, id)| Input::Called { from, id: id.to_owned(), actor: "admin".to_owned() });
        assert_eq!(world.desk.told(), called.into_iter().collect::<Vec<_>>(), "{query}");
    }
    // Without an id of theirs, each question is a call.
    world.admin("/api/v1/lookup?phone=%2B49151&contact=true").await;
    assert!(matches!(&world.desk.told()[..], [Input::Called { id, .. }] if !id.is_empty()));
}
