//! What became of a case, from whoever has seen the device: who is believed, what the desk is told, what is refused.

use forewarn::desk::{Input, Reply};
use forewarn::domain::{At, CaseId, FirstContact, Truth, Verdict};
use forewarn::wire::webhook::{Secret, sign};
use forewarn::wire::zammad;
use reqwest::RequestBuilder;
use serde_json::json;

use super::world::{APP_SECRET, BOOKING_SECRET, DISPATCH_SECRETS, EFFECT, NOW_S, World, code, effect, read};

fn case() -> CaseId {
    CaseId::of(&[b"x"])
}

fn callback(world: &World, case: &str, secret: &str, at_s: i64, body: &str) -> RequestBuilder {
    let signature = sign(&Secret::parse(secret).unwrap(), "msg_1", At::from_secs(at_s), body.as_bytes());
    let request = world.post(&format!("/outcome/{case}")).header("webhook-id", "msg_1");
    request.header("webhook-timestamp", at_s).header("webhook-signature", signature).body(body.to_owned())
}

const FOUND: &str =
    r#"{"truth":"confirmed","part_replaced":"water pump","cost":120.5,"failed_at":"2026-11-22T08:00:00Z"}"#;

fn found() -> Verdict {
    Verdict {
        truth: Some(Truth::Confirmed),
        part_replaced: Some("water pump".into()),
        cost: Some(120.5),
        failed_at: Some("2026-11-22T08:00:00Z".parse().unwrap()),
        ..Verdict::default()
    }
}

#[tokio::test]
async fn a_provider_says_by_a_signed_callback_what_it_found() {
    let world = World::new().await;
    let id = case().to_string();
    let good = |body| callback(&world, &id, DISPATCH_SECRETS[1], NOW_S, body);
    for (what, request, expected) in [
        ("good", good(FOUND), (200, "")),
        ("repeated", good(FOUND), (200, "")),
        ("unsigned", world.post(&format!("/outcome/{id}")).body(FOUND), (403, "bad_signature")),
        ("another secret", callback(&world, &id, APP_SECRET, NOW_S, FOUND), (403, "bad_signature")),
        ("replayed later", callback(&world, &id, DISPATCH_SECRETS[1], NOW_S - 301, FOUND), (403, "bad_signature")),
        ("a changed body", good(FOUND).body(FOUND.replace("120", "1")), (403, "bad_signature")),
        ("a part of an id", callback(&world, &id[..8], DISPATCH_SECRETS[1], NOW_S, FOUND), (404, "not_found")),
        ("not an outcome", good(r#"{"truth":"maybe"}"#), (400, "bad_body")),
        ("a field that is none", good(r#"{"mood":"good"}"#), (400, "bad_body")),
        ("nothing", good("{}"), (400, "bad_outcome")),
        ("no such mark", good(r#"{"csat":6}"#), (400, "bad_outcome")),
        ("no such cost", good(r#"{"cost":-1}"#), (400, "bad_outcome")),
        ("a name", good(r#"{"part_replaced":"pump of jane@example.com"}"#), (400, "bad_outcome")),
    ] {
        let (status, body) = read(request.send().await.unwrap()).await;
        assert_eq!(status, expected.0, "{what}: {body}");
        assert!(expected.1.is_empty() || code(&body) == expected.1, "{what}: {body}");
        let told = world.desk.told();
        if status == 200 {
            let [Input::Judge { case: of, verdict, by, standing: false }] = told.as_slice() else {
                panic!("{what}: {told:?}")
            };
            assert_eq!((*of, verdict, by.as_str()), (case(), &found(), "provider:tow"));
        } else {
            assert!(told.is_empty(), "{what}: {told:?}");
        }
    }
    for (reply, expected) in
        [(Reply::NotFound, (404, "not_found")), (Reply::Refused("no".to_owned()), (409, "refused"))]
    {
        world.desk.reply_with(reply);
        let (status, body) = read(good(FOUND).send().await.unwrap()).await;
        assert_eq!((status, code(&body)), expected);
    }
}

#[tokio::test]
async fn a_workshop_says_it_of_the_booking_that_it_was_asked_for() {
    let world = World::new().await;
    for (secret, by) in [(BOOKING_SECRET, "workshop"), (DISPATCH_SECRETS[0], "tow")] {
        let (status, body) = read(callback(&world, EFFECT, secret, NOW_S, FOUND).send().await.unwrap()).await;
        assert_eq!(status, 200, "{body}");
        let told = Input::Found { effect: effect(), verdict: found(), by: vec![by.into()] };
        assert_eq!(world.desk.told(), [told], "whether it was asked is the desk's to say");
    }
    let whole = callback(&world, &case().to_string(), BOOKING_SECRET, NOW_S, FOUND);
    assert_eq!(whole.send().await.unwrap().status().as_u16(), 200);
    let by = "provider:workshop".to_owned();
    assert_eq!(world.desk.told(), [Input::Judge { case: case(), verdict: found(), by, standing: false }]);
    let (status, body) = read(callback(&world, EFFECT, APP_SECRET, NOW_S, FOUND).send().await.unwrap()).await;
    assert_eq!((status, code(&body)), (403, "bad_signature"));
}

#[tokio::test]
async fn an_agent_says_it_in_the_fields_of_the_ticket() {
    let world = World::new().await;
    let post = |fields: serde_json::Value, article: serde_json::Value| {
        let mut ticket = json!({ "id": 19, "number": "22019", "state": "closed", "case_ref": case().to_string(), "priority": { "id": 2 } });
        ticket.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let body = json!({ "ticket": ticket, "article": article }).to_string();
        let signature = zammad::sign("hook-token", body.as_bytes());
        world.post("/zammad/helpdesk").header(zammad::SIGNATURE, signature).body(body)
    };
    let told = |world: &World| {
        let judged = |input| match input {
            Input::Judge { case, verdict, by, standing: true } => (case, verdict, by),
            other => panic!("{other:?}"),
        };
        world.desk.told().into_iter().map(judged).collect::<Vec<_>>()
    };
    let filled = json!({ "case_truth": "no_fault_found", "case_part_replaced": "", "case_csat": 4, "case_first_contact": "customer" });
    assert_eq!(post(filled.clone(), json!({})).send().await.unwrap().status().as_u16(), 200);
    let verdict = Verdict {
        truth: Some(Truth::NoFaultFound),
        csat: Some(4),
        first_contact_by: Some(FirstContact::Customer),
        ..Verdict::default()
    };
    assert_eq!(told(&world), [(case(), verdict, "ticket:helpdesk".to_owned())]);

    // A ticket whose case has no outcome any more is none of the desk's business; the trigger is not repeated for it.
    world.desk.reply_with(Reply::NotFound);
    assert_eq!(post(filled, json!({})).send().await.unwrap().status().as_u16(), 200);
    world.desk.told();

    for empty in [
        json!({}),
        json!({ "case_truth": "", "case_csat": null }),
        json!({ "case_ref": "", "case_truth": "confirmed" }),
    ] {
        assert_eq!(post(empty.clone(), json!({})).send().await.unwrap().status().as_u16(), 200, "{empty}");
        assert!(world.desk.told().is_empty(), "{empty}");
    }

    // What somebody wrote is not lost because a field is wrong.
    let article = json!({ "id": 3, "body": "We call you.", "sender": "Agent", "internal": false });
    let (status, body) = read(post(json!({ "case_truth": "perhaps" }), article).send().await.unwrap()).await;
    assert_eq!((status, code(&body)), (400, "bad_outcome"), "{body}");
    let told = world.desk.told();
    assert!(matches!(told.as_slice(), [Input::Said(said)] if said.text == "We call you."), "{told:?}");
}
