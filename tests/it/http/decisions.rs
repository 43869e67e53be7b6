//! What people decide over the API: stop switches, storms, merged cases.

use forewarn::desk::{Act, Input, Reply};
use serde_json::{Value, json};

use super::world::{CASES, World, code, read};

async fn post(world: &World, path: &str, who: &str, body: &Value) -> (u16, Value) {
    let mut request = world.post(path);
    if who != "nobody" {
        request = request.bearer_auth(world.token(who));
    }
    read(request.body(body.to_string()).send().await.unwrap()).await
}

/// Each decision, its body, and what the desk is told; only whoever may act or everything decides.
#[tokio::test]
async fn decisions_need_the_scope_to_act_and_reach_the_desk() {
    let world = World::new().await;
    let case = Some(CASES[0].parse().unwrap());
    let into = CASES[1].parse().unwrap();
    let tier = |tier: Option<&str>| Act::Approve { tier: tier.map(str::to_owned) };
    let stop = |stop: &str, reason: &str| {
        let stop = serde_json::from_value(json!(stop)).unwrap();
        Act::Stop { stop, reason: reason.into() }
    };
    for (path, body, of, act) in [
        ("stop", json!({ "stop": "on", "reason": " a drill " }), None, stop("on", "a drill")),
        ("stop", json!({ "stop": "all" }), None, stop("all", "")),
        ("stop", json!({ "stop": "off" }), None, stop("off", "")),
        ("cases/aaaa1/stop", json!({ "stop": "on" }), case, stop("on", "")),
        ("cases/aaaa1/approve", json!({ "tier": "2-standing" }), case, tier(Some("2-standing"))),
        ("cases/aaaa1/approve", json!({}), case, tier(None)),
        ("cases/aaaa1/release", json!(null), case, Act::Release),
        ("cases/aaaa1/merge", json!({ "into": "aaaa2" }), case, Act::Merge { into }),
        ("cases/aaaa1/split", json!(null), case, Act::Split),
        (
            "cases/aaaa1/close",
            json!({ "reason": " a sensor ", "false_alarm": true }),
            case,
            Act::FalseAlarm { reason: "a sensor".into() },
        ),
    ] {
        let path = format!("/api/v1/{path}");
        for (who, status) in [("nobody", 401), ("read", 403), ("ack", 403), ("act", 200), ("admin", 200)] {
            // Twice is once: the desk decides, and the answer is the same.
            let answers = [post(&world, &path, who, &body).await, post(&world, &path, who, &body).await];
            assert_eq!(answers[0], answers[1], "{path} as {who}");
            assert_eq!(answers[0].0, status, "{path} as {who}: {}", answers[0].1);
            let told = world.desk.told();
            assert_eq!(told.len(), if status == 200 { 2 } else { 0 }, "{path} as {who}");
            for input in told {
                let Input::Act { case, actor, act: told } = input else { panic!("{path}: {input:?}") };
                assert_eq!((case, actor.as_str(), &told), (of, who, &act), "{path}");
            }
        }
        let done = &post(&world, &path, "act", &body).await.1["done"];
        assert_eq!(done, path.rsplit('/').next().unwrap());
        world.desk.told();
        // What the desk does not do, with its reason.
        world.desk.reply_with(Reply::Refused("not so".into()));
        let (status, refused) = post(&world, &path, "act", &body).await;
        assert_eq!((status, code(&refused), refused["error"]["message"].as_str()), (409, "refused", Some("not so")));
        world.desk.told();
        if of.is_some() {
            world.desk.reply_with(Reply::NotFound);
            assert_eq!(post(&world, &path, "act", &body).await.0, 404, "{path}");
            let gone = path.replace("aaaa1", "cccc1");
            assert_eq!(post(&world, &gone, "act", &body).await.0, 404, "{gone}");
        }
        world.desk.told();
    }
}

#[tokio::test]
async fn decisions_with_a_mistake_are_told_and_change_nothing() {
    let world = World::new().await;
    let long = "ä".repeat(501);
    for (path, body, expected) in [
        ("stop", json!({}), "bad_body"),
        ("stop", json!({ "stop": "maybe" }), "bad_body"),
        ("stop", json!({ "stop": "on", "force": true }), "bad_body"),
        ("stop", json!({ "stop": "on", "reason": long }), "bad_reason"),
        ("cases/aaaa1/stop", json!({ "stop": "on", "reason": "a\nb" }), "bad_reason"),
        ("cases/zzz/stop", json!({ "stop": "on" }), "bad_case_id"),
        ("cases/aaaa1/approve", json!({ "teir": "x" }), "bad_body"),
        ("cases/aaaa1/approve", json!(null), "bad_body"),
        ("cases/aaaa1/merge", json!({}), "bad_body"),
        ("cases/aaaa1/merge", json!({ "into": "zz" }), "bad_case_id"),
        ("cases/zzzz/release", json!(null), "bad_case_id"),
    ] {
        let (status, answer) = post(&world, &format!("/api/v1/{path}"), "act", &body).await;
        assert_eq!((status, code(&answer)), (400, expected), "{path} {body}");
    }
    // Two cases begin like that.
    let (status, answer) = post(&world, "/api/v1/cases/aaaa/release", "act", &json!(null)).await;
    assert_eq!((status, code(&answer)), (409, "ambiguous_case_id"));
    assert!(world.desk.told().is_empty());
}

#[tokio::test]
async fn switches_are_for_readers() {
    let world = World::new().await;
    for (who, status) in [("read", 200), ("admin", 200), ("ack", 403), ("act", 403)] {
        let answer = world.get("/api/v1/stop").bearer_auth(world.token(who)).send().await.unwrap();
        let (was, body) = read(answer).await;
        assert_eq!(was, status, "{who}");
        if status == 200 {
            assert_eq!(body, json!({ "switches": [] }));
        }
    }
    assert_eq!(world.get("/api/v1/stop").send().await.unwrap().status().as_u16(), 401);
}
