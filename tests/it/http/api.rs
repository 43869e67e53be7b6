//! Who may do what, and what it looks like.

use forewarn::desk::{Caller, Input, Reply};
use forewarn::http::{Health, MetricsAccess};
use reqwest::Method;
use serde_json::json;

use super::world::{CASES, EFFECT, Options, World, code, read};

/// Each route against each token.
#[tokio::test]
async fn scopes() {
    let world = World::new().await;
    let show = format!("/api/v1/cases/{}", CASES[0]);
    let (ack, close) = (format!("{show}/ack"), format!("{show}/close"));
    //                              none bad  read ack  act  admin
    for (method, path, expected) in [
        (Method::GET, "/api/v1/cases", [401, 401, 200, 403, 403, 200]),
        (Method::GET, &*show, [401, 401, 200, 403, 403, 200]),
        (Method::GET, "/api/v1/lookup?device=car-1", [401, 401, 403, 403, 403, 200]),
        (Method::GET, "/api/v1/explain?rule=hot&device=car-1", [401, 401, 200, 403, 403, 200]),
        (Method::POST, &*ack, [401, 401, 403, 200, 403, 200]),
        (Method::POST, &*close, [401, 401, 403, 403, 200, 200]),
        (Method::POST, "/api/v1/rules/hot/release", [401, 401, 403, 403, 200, 200]),
        (Method::GET, "/api/v1/rules", [401, 401, 200, 403, 403, 200]),
        (Method::GET, "/api/v1/outcomes?since=2026-11-22T08:00:00Z", [401, 401, 200, 403, 403, 200]),
        (Method::GET, "/api/v1/outcomes?until=x", [401, 401, 400, 403, 403, 400]),
        (Method::POST, "/api/v1/cases/aaaa1111/outcome", [401, 401, 403, 403, 400, 400]),
        (Method::POST, "/outcome/aaaa1111000000000000000000000001", [403; 6]),
        (Method::GET, "/api/v1/customers/c-1", [401, 401, 403, 403, 403, 200]),
        (Method::GET, "/api/v1/customers/c-2", [401, 401, 403, 403, 403, 404]),
        (Method::POST, "/api/v1/customers/c-1/erase", [401, 401, 403, 403, 403, 400]),
        (Method::POST, "/api/v1/customers/c-1/readmit", [401, 401, 403, 403, 403, 200]),
        (Method::GET, "/healthz", [200; 6]),
        (Method::GET, "/readyz", [200; 6]),
        (Method::GET, "/metrics", [200; 6]),
        (Method::GET, "/nothing", [404; 6]),
        (Method::DELETE, &*show, [405; 6]),
        (Method::POST, "/twilio/voice?e=x", [403; 6]),
        (Method::POST, "/twilio/status?e=x", [403; 6]),
        (Method::POST, "/twilio/sms-status?e=x", [403; 6]),
        (Method::POST, "/dispatch/x", [403; 6]),
    ] {
        for (who, status) in ["none", "bad", "read", "ack", "act", "admin"].into_iter().zip(expected) {
            let mut request = world.client.request(method.clone(), format!("{}{path}", world.url));
            request = match who {
                "none" => request,
                "bad" => request.bearer_auth("fwt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
                name => request.bearer_auth(world.token(name)),
            };
            let answer = request.body(r#"{"reason":"r"}"#).send().await.unwrap();
            assert_eq!(answer.status().as_u16(), status, "{method} {path} as {who}");
            if status >= 400 {
                code(&read(answer).await.1);
            }
        }
    }
    let actors: Vec<String> = world
        .desk
        .told()
        .into_iter()
        .map(|input| match input {
            Input::Ack { actor, .. } => format!("ack {actor}"),
            Input::Close { actor, reason, .. } => format!("close {actor} {reason}"),
            Input::Release { rule, actor } => format!("release {rule} {actor}"),
            Input::Readmit { customer, actor } => format!("readmit {customer} {actor}"),
            other => panic!("{other:?}"),
        })
        .collect();
    let released = ["release hot act", "release hot admin"];
    let readmitted = ["readmit c-1 admin"];
    let expected = [&["ack ack", "ack admin", "close act r", "close admin r"][..], &released, &readmitted].concat();
    assert_eq!(actors, expected);
}

/// The answer does not tell what is wrong with a token.
#[tokio::test]
async fn unauthorized_is_uniform() {
    let world = World::new().await;
    let mut bodies = Vec::new();
    for header in ["", "Bearer", "Bearer x", "Basic dTpw", "Bearer fwt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        let answer = world.get("/api/v1/cases").header("authorization", header).send().await.unwrap();
        assert_eq!(answer.headers()["www-authenticate"], "Bearer realm=\"forewarn\"");
        bodies.push(read(answer).await);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1);
    // The token is asked for before anything is looked at: a body too large or a bad query tells a stranger nothing.
    let answer = world.post("/api/v1/cases/zzz/close").body(vec![b'x'; 100_000]).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 401);
}

#[tokio::test]
async fn answers_have_this_shape() {
    let world = World::new().await;
    let summary = json!({
        "id": CASES[2],
        "short": "bbbb1111",
        "device": "car-0042",
        "fault": "brake.circuit_loss",
        "severity": "critical",
        "phase": "closed",
        "title": "Front left brake circuit failed",
        "event_at": "2026-11-21T22:24:40Z",
        "opened_at": "2026-11-21T22:24:40Z",
        "closed_at": "2026-11-21T22:26:40Z",
        "outcome": "served",
        "goals_met": [1, 2],
    });
    let (_, list) = world.admin("/api/v1/cases?closed=true").await;
    assert_eq!(list["cases"][2], summary);
    assert_eq!(list["cases"][0]["closed_at"], json!(null));
    assert_eq!(list.as_object().unwrap().keys().collect::<Vec<_>>(), ["at", "cases"]);

    let mut case = summary;
    for (key, value) in [
        ("key", json!("car-0042/brake")),
        ("playbook", json!("car-breakdown-tow version 7")),
        ("human_owner", json!(null)),
        (
            "goals",
            json!([{
                "name": "driver_told_to_stop",
                "state": "open",
                "met_by": null,
                "deadline_at": "2026-11-21T22:26:40Z",
            }]),
        ),
        (
            "effects",
            json!([{
                "id": EFFECT,
                "step": "warn",
                "kind": "call",
                "adapter": "phone",
                "state": "due",
                "attempts": 0,
                "provider_ref": null,
                "waits_for": "quiet hours",
                "not_before_at": "2026-11-21T22:27:40Z",
                "possible_duplicate": false,
            }]),
        ),
        ("conversation", json!([])),
        ("waits", json!([])),
        ("history", json!({ "customer_since": null, "calls": 0, "earlier": [] })),
        (
            "timeline",
            json!([{
                "at": "2026-11-21T22:24:40Z",
                "kind": "measured",
                "text": "brake_fl 0 bar while brake_pedal 80 %",
                "effect": null,
            }]),
        ),
    ] {
        case[key] = value;
    }
    assert_eq!(world.admin("/api/v1/cases/bbbb").await, (200, case));

    let problem = json!({ "error": {
        "code": "ambiguous_case_id",
        "message": "2 cases begin with 'aaaa'",
        "hint": "give more characters of the id",
    } });
    assert_eq!(world.admin("/api/v1/cases/aaaa").await, (409, problem));
    let answer = world.post("/api/v1/cases/aaaa1/ack").bearer_auth(world.token("ack")).send().await.unwrap();
    assert_eq!(read(answer).await, (200, json!({ "id": CASES[0], "short": "aaaa1111", "done": "ack" })));
}

#[tokio::test]
async fn cases_are_found_by_their_beginning() {
    let world = World::new().await;
    for (id, expected) in [
        (CASES[0], Ok(CASES[0])),
        ("aaaa1111", Ok(CASES[0])),
        ("AAAA2", Ok(CASES[1])),
        ("bbbb", Ok(CASES[2])),
        ("aaaa", Err((409, "ambiguous_case_id"))),
        ("cccc", Err((404, "not_found"))),
        ("cccc0000000000000000000000000000", Err((404, "not_found"))),
        ("aaa", Err((400, "bad_case_id"))),
        ("zzzz", Err((400, "bad_case_id"))),
        ("aaaa11110000000000000000000000010", Err((400, "bad_case_id"))),
        ("%ff%fe%fd%fc", Err((400, "bad_case_id"))),
        ("..%2f..%2fetc", Err((400, "bad_case_id"))),
    ] {
        let (status, body) = world.admin(&format!("/api/v1/cases/{id}")).await;
        match expected {
            Ok(full) => assert_eq!((status, body["id"].as_str()), (200, Some(full)), "{id}"),
            Err(problem) => assert_eq!((status, code(&body)), problem, "{id}"),
        }
    }
}

#[tokio::test]
async fn lists_are_bounded_and_typos_are_told() {
    let world = World::new().await;
    for (query, expected) in [("", 2), ("?closed=true", 3), ("?closed=true&limit=2", 2), ("?limit=1000", 2)] {
        let (status, body) = world.admin(&format!("/api/v1/cases{query}")).await;
        assert_eq!((status, body["cases"].as_array().unwrap().len()), (200, expected), "{query}");
        assert_eq!(body["at"], "2026-11-21T22:26:40Z");
    }
    for query in ["?limit=0", "?limit=1001", "?limit=x", "?limit=-1", "?closed=yes", "?open=true"] {
        let (status, body) = world.admin(&format!("/api/v1/cases{query}")).await;
        assert_eq!((status, code(&body)), (400, "bad_query"), "{query}");
    }
}

#[tokio::test]
async fn closing_wants_a_reason() {
    let world = World::new().await;
    let close =
        |body: String| world.post("/api/v1/cases/aaaa1/close").bearer_auth(world.token("act")).body(body).send();
    let long = |n: usize| json!({ "reason": "ä".repeat(n) }).to_string();
    for (body, expected) in [
        (String::new(), "bad_body"),
        ("{}".to_owned(), "bad_body"),
        (r#"{"reason":1}"#.to_owned(), "bad_body"),
        (r#"{"reason":"r","force":true}"#.to_owned(), "bad_body"),
        (r#"{"reason":"  "}"#.to_owned(), "bad_reason"),
        (r#"{"reason":"a\nb"}"#.to_owned(), "bad_reason"),
        (long(501), "bad_reason"),
    ] {
        let (status, answer) = read(close(body.clone()).await.unwrap()).await;
        assert_eq!((status, code(&answer)), (400, expected), "{body}");
    }
    assert!(world.desk.told().is_empty());
    assert_eq!(close(long(500)).await.unwrap().status().as_u16(), 200);
    for (reply, expected) in [
        (Reply::Refused("the case is closed already".to_owned()), (409, "refused")),
        (Reply::NotFound, (404, "not_found")),
    ] {
        world.desk.reply_with(reply);
        let (status, answer) = read(close(long(1)).await.unwrap()).await;
        assert_eq!((status, code(&answer)), expected);
    }
}

#[tokio::test]
async fn probes_say_why() {
    let world = World::with(Options {
        health: Health { not_live: vec![], not_ready: vec!["broker_disconnected"], notes: vec![] },
        ..Options::default()
    })
    .await;
    let live = read(world.get("/healthz").send().await.unwrap()).await;
    assert_eq!(live, (200, json!({ "status": "ok", "reasons": [] })));
    let ready = read(world.get("/readyz").send().await.unwrap()).await;
    assert_eq!(ready, (503, json!({ "status": "unavailable", "reasons": ["broker_disconnected"] })));
    let world = World::with(Options {
        health: Health { not_live: vec!["journal_failed"], not_ready: vec![], notes: vec![] },
        ..Options::default()
    })
    .await;
    for path in ["/healthz", "/readyz"] {
        let (status, body) = read(world.get(path).send().await.unwrap()).await;
        assert_eq!((status, &body["reasons"]), (503, &json!(["journal_failed"])), "{path}");
    }
}

/// A proxy on this machine makes the whole world look like loopback, so with a public front a token is needed.
#[tokio::test]
async fn metrics_are_not_for_everybody() {
    let public = Some("https://me.example");
    for (metrics_access, public_url, without_token) in [
        (MetricsAccess::Loopback, None, 200),
        (MetricsAccess::Loopback, public, 401),
        (MetricsAccess::Token, None, 401),
        (MetricsAccess::Open, public, 200),
    ] {
        let world = World::with(Options { metrics_access, public_url, ..Options::default() }).await;
        let status = world.get("/metrics").send().await.unwrap().status().as_u16();
        assert_eq!(status, without_token, "{metrics_access:?} {public_url:?}");
        let answer = world.get("/metrics").bearer_auth(world.token("read")).send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
        assert_eq!(answer.status().as_u16(), 200);
        let answer = world.get("/metrics").bearer_auth(world.token("ack")).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), if without_token == 200 { 200 } else { 403 });
    }
}

#[tokio::test]
async fn requests_are_counted_by_pattern_and_status() {
    let world = World::new().await;
    world.admin("/api/v1/cases/cccc").await;
    world.get("/wp-login.php").send().await.unwrap();
    let text = world.get("/metrics").send().await.unwrap().text().await.unwrap();
    for line in [
        r#"forewarn_http_requests_total{route="/api/v1/cases/{id}",status="404"}"#,
        r#"forewarn_http_requests_total{route="unmatched",status="404"}"#,
        r#"forewarn_http_request_seconds_bucket{route="/api/v1/cases/{id}",le="0.001"}"#,
        "# HELP forewarn_http_requests_total HTTP requests answered, by route pattern and status",
        "forewarn_http_connections ",
    ] {
        assert!(text.contains(line), "{line} not in\n{text}");
    }
    assert!(!text.contains("wp-login") && !text.contains("cccc"), "{text}");
}

#[tokio::test]
async fn every_answer_is_guarded() {
    let world = World::new().await;
    for path in ["/healthz", "/api/v1/cases", "/nothing"] {
        let answer = world.get(path).send().await.unwrap();
        let header = |name: &str| answer.headers().get(name).map(|v| v.to_str().unwrap().to_owned());
        assert_eq!(header("x-content-type-options").as_deref(), Some("nosniff"), "{path}");
        assert_eq!(header("cache-control").as_deref(), Some("no-store"), "{path}");
        assert_eq!(header("referrer-policy").as_deref(), Some("no-referrer"), "{path}");
        let policy = header("content-security-policy");
        assert_eq!(policy.as_deref(), Some("default-src 'none'; frame-ancestors 'none'"), "{path}");
        assert_eq!(header("server"), None, "{path}");
    }
    let answer = world.get("/twilio/voice").send().await.unwrap();
    assert_eq!(answer.headers()["allow"], "POST");
    assert_eq!(code(&read(answer).await.1), "method_not_allowed");
}

/// Names are shown to those alone who may look people up, and only one question at a time.
#[tokio::test]
async fn a_lookup_is_one_question() {
    let world = World::new().await;
    for (query, expected) in [
        ("phone=%2B49151", Some(Caller::Phone("+49151".into()))),
        ("email=a@example.com", Some(Caller::Email("a@example.com".into()))),
        ("device=car-1", Some(Caller::Device("car-1".into()))),
        ("", None),
        ("phone=", None),
        ("phone=1&email=a", None),
        ("name=Kim", None),
    ] {
        let path = format!("/api/v1/lookup?{query}");
        let answer = world.get(&path).bearer_auth(world.token("admin")).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), if expected.is_some() { 200 } else { 400 }, "{query}");
        assert_eq!(world.desk.script.lock().unwrap().callers.pop(), expected, "{query}");
    }
}

#[tokio::test]
async fn a_rule_is_explained() {
    let world = World::new().await;
    let (status, told) = world.admin("/api/v1/explain?rule=hot&device=car-1").await;
    assert_eq!((status, &told["state"], &told["rule"]), (200, &json!("never heard"), &json!("hot")));
    assert_eq!(told["desk"], json!(["hot on car-1: None"]), "and what the desk has to say");
    let (status, problem) = world.admin("/api/v1/explain?rule=hott&device=car-1").await;
    assert_eq!((status, code(&problem)), (404, "no_such_rule"));
    assert!(problem["error"]["message"].as_str().unwrap().contains("there is 'hot'"), "{problem}");
    for query in ["", "?rule=hot", "?device=car-1", "?rule=hot&device=car-1&x=1"] {
        let (status, problem) = world.admin(&format!("/api/v1/explain{query}")).await;
        assert_eq!((status, code(&problem)), (400, "bad_query"), "{query}");
    }
}
