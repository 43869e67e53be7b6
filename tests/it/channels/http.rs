//! Adapters over HTTP, against a server that checks what it is sent and peers that misbehave.

use std::time::Duration;

use forewarn::channels::CallbackKey;
use forewarn::desk::Input;
use forewarn::domain::{
    CallWork, DispatchWork, JobState, Outcome, ReceiptKind, SmsWork, Span, TicketWork, WebhookWork, Work,
};
use forewarn::wire::webhook;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use wiremock::matchers::{header, method, path, query_param};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::support::*;

fn call() -> Work {
    Work::Call(CallWork { to: "+491700000001".into(), ring: Span::from_secs(25) })
}

fn sms() -> Work {
    Work::Sms(SmsWork { to: "+491700000001".into(), body: "Stop".into(), validity: Span::from_secs(90) })
}

fn create() -> Work {
    Work::Ticket(TicketWork::Create {
        title: "Brake circuit failed".into(),
        body: "Evidence".into(),
        fields: [("priority".into(), "3 high".into()), ("case_ref".into(), "mine".into())].into(),
        customer: Some(("jane@example.com".into(), "Jane".into())),
    })
}

fn note() -> Work {
    Work::Ticket(TicketWork::Note { ticket: "19".into(), body: "Truck is there".into(), reopens: false })
}

fn close() -> Work {
    Work::Ticket(TicketWork::Close { ticket: "19".into(), body: "Done".into() })
}

fn page() -> Work {
    Work::Webhook(WebhookWork { body: json!({"text": "a person is needed"}) })
}

fn request(job: forewarn::domain::Job) -> Work {
    Work::Dispatch(DispatchWork::Request(Box::new(job)))
}

fn signed(kind: &str, url: &str) -> String {
    format!("kind = \"{kind}\"\nurl = \"{url}\"\nsecret = \"{SECRET}\"\n")
}

fn twilio(kind: &str, url: &str) -> String {
    format!("kind = \"{kind}\"\nurl = \"{url}\"\naccount_sid = \"AC1\"\ntoken = \"t\"\nfrom = \"+4989\"\n")
}

fn zammad(url: &str) -> String {
    format!("kind = \"zammad\"\nurl = \"{url}\"\ntoken = \"t\"\ngroup = \"Roadside\"\n")
}

async fn answers(server: &MockServer, verb: &str, at: &str, status: u16, body: Value) {
    let template = ResponseTemplate::new(status).set_body_json(body);
    Mock::given(method(verb)).and(path(at)).respond_with(template).mount(server).await;
}

async fn requests(server: &MockServer) -> Vec<Request> {
    server.received_requests().await.unwrap()
}

fn head<'a>(request: &'a Request, name: &str) -> &'a str {
    request.headers.get(name).map_or("", |v| v.to_str().unwrap())
}

/// Whatever the adapter: a connection that fails is a retry, a request that vanishes is unknown, and a good status
/// with a bad body is not success.
#[tokio::test]
async fn misbehaving_peers() {
    let world = World::new();
    let big = format!("HTTP/1.1 201 Created\r\ncontent-length: 5000000\r\n\r\n{}", "x".repeat(5_000_000));
    let refused = "127.0.0.1:1".to_owned();
    let cases = [
        (refused, "retry"),
        (peer(|s| say(s, "")).await, "unknown"),
        (peer(|s| say(s, "HTTP/1.1 201 Created\r\ncontent-length: 100\r\n\r\n{\"ref\":")).await, "unknown"),
        (peer(|s| say(s, "HTTP/1.1 201 Created\r\ncontent-length: 5\r\n\r\n<ok/>")).await, "unknown"),
        (peer(|s| say(s, "220 mail.example.com ESMTP\r\n")).await, "unknown"),
        (peer(move |s| say(s, big.clone())).await, "unknown"),
        (peer(|s| say(s, "HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n")).await, "unknown"),
        (peer(|s| say(s, "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n")).await, "unknown"),
        (peer(|s| say(s, "HTTP/1.1 503 Busy\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n")).await, "retry"),
        (peer(|s| say(s, "HTTP/1.1 429 Slow\r\ncontent-length: 0\r\n\r\n")).await, "retry"),
        (peer(|s| say(s, "HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n")).await, "rejected"),
        (
            peer(|s| say(s, "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n"))
                .await,
            "rejected",
        ),
        (peer(|_s| tokio::time::sleep(Duration::from_secs(60))).await, "unknown"),
    ];
    for (address, expected) in cases {
        let url = format!("http://{address}");
        for (settings, work) in [
            (signed("ticket-webhook", &url), create()),
            (signed("webhook", &url), page()),
            (signed("dispatch", &url), request(job())),
            (zammad(&url), note()),
            (twilio("twilio-voice", &url), call()),
            (twilio("twilio-sms", &url), sms()),
        ] {
            let channel = world.build(&format!("{settings}timeout = \"300ms\""));
            let outcome = channel.attempt(send(work.clone())).await;
            assert_eq!(word(&outcome), expected, "{address} {settings} {outcome:?}");
            let outcome = channel.attempt(reconcile(work)).await;
            let certain = expected == "rejected" && settings.contains("secret");
            assert_eq!(word(&outcome), if certain { "rejected" } else { "unknown" }, "asking {settings} {outcome:?}");
        }
    }
}

#[tokio::test]
async fn one_byte_a_second_ends_at_the_limit() {
    let address = peer(|mut s| async move {
        use tokio::io::AsyncWriteExt as _;
        while s.write_all(b"H").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let settings = format!("{}timeout = \"200ms\"", signed("webhook", &format!("http://{address}")));
    let outcome = World::new().build(&settings).attempt(send(page())).await;
    assert_eq!(word(&outcome), "unknown");
}

/// The name leads to this machine although the settings speak of another one.
#[tokio::test]
async fn names_that_lead_inside_are_refused() {
    let server = MockServer::start().await;
    let world = World::new();
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let url = format!("http://{}:{}", hostname.trim(), server.address().port());
    let settings = format!("{}insecure = true\n", signed("webhook", &url));
    let outcome = world.build(&settings).attempt(send(page())).await;
    assert_eq!(word(&outcome), "retry", "{outcome:?}");
    assert!(requests(&server).await.is_empty());
}

#[tokio::test]
async fn settings_that_cannot_be_used() {
    let world = World::new();
    for (settings, part) in [
        (signed("webhook", "http://tow.example.com"), "must be https"),
        (signed("webhook", "http://10.0.0.1"), "must be https"),
        (signed("webhook", "ftp://127.0.0.1"), "cannot speak ftp"),
        (signed("webhook", "https://user:pw@tow.example.com"), "user name"),
        (signed("webhook", "tow.example.com"), "not an address"),
        ("kind = \"webhook\"\nurl = \"http://127.0.0.1\"".into(), "secret_file"),
        ("kind = \"webhook\"\nurl = \"http://127.0.0.1\"\nsecret = \"!\"".into(), "base64"),
        ("kind = \"webhook\"\nurl = \"http://127.0.0.1\"\nsecret_file = \"absent\"".into(), "cannot read absent"),
        (format!("{}secret_file = \"s\"", signed("webhook", "http://127.0.0.1")), "not both"),
        ("kind = \"mqtt-command\"\nallow = []".into(), "empty"),
        ("kind = \"mqtt-command\"\nallow = [\"#\"]".into(), "everything"),
        ("kind = \"smtp\"\nhost = \"mx.example.com\"\nfrom = \"a@b.c\"\ntls = \"none\"".into(), "insecure"),
        ("kind = \"smtp\"\nhost = \"127.0.0.1\"\nfrom = \"nobody\"\ntls = \"none\"".into(), "not a mail address"),
    ] {
        let error = world.try_build(&settings).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error.contains(part) && error.starts_with("provider.x."), "{settings}: {error:?}");
    }
}

/// The callback server believes with the same secret that the adapter uses, wherever it stands.
#[tokio::test]
async fn callback_keys() {
    let mut world = World::new();
    world.files.insert("s", format!("{SECRET}\n").into_bytes());
    world.files.insert("t", b" token\n".to_vec());
    let key = |settings: &str| world.callback_key(settings).unwrap();
    let voice = twilio("twilio-voice", "https://x").replace("token = \"t\"", "token_file = \"t\"");
    let Some(CallbackKey::Twilio(token)) = key(&voice) else { panic!() };
    assert_eq!(token.expose_secret(), "token");
    let Some(CallbackKey::Dispatch(secret)) = key("kind = \"dispatch\"\nurl = \"https://x\"\nsecret_file = \"s\"")
    else {
        panic!()
    };
    let inline = webhook::Secret::parse(SECRET).unwrap();
    assert_eq!(webhook::sign(&secret, "id", now(), b"{}"), webhook::sign(&inline, "id", now(), b"{}"));
    assert!(key(&zammad("https://x")).is_none());
}

#[tokio::test]
async fn signed_webhooks() {
    let server = MockServer::start().await;
    answers(&server, "POST", "/hook", 200, json!({"ref": "T-1", "state": "accepted"})).await;
    let world = World::new();
    let channel = world.build(&signed("ticket-webhook", &format!("{}/hook", server.uri())));
    for work in [create(), note(), close()] {
        assert_eq!(channel.attempt(send(work)).await, accepted("T-1"));
    }
    assert_eq!(channel.attempt(reconcile(note())).await, accepted("T-1"));
    let pager = world.build(&signed("webhook", &format!("{}/hook", server.uri())));
    assert_eq!(pager.attempt(send(page())).await, accepted("T-1"));
    let sent = requests(&server).await;
    for request in &sent {
        let headers = webhook::Headers {
            id: head(request, webhook::ID),
            timestamp: head(request, webhook::TIMESTAMP),
            signature: head(request, webhook::SIGNATURE),
        };
        let secret = webhook::Secret::parse(SECRET).unwrap();
        assert_eq!(headers.id, EFFECT, "the same on every attempt");
        assert_eq!(webhook::verify(&secret, headers, &request.body, now()), Ok(()));
    }
    let body: Value = sent[0].body_json().unwrap();
    assert_eq!(body["type"], "ticket.create");
    assert_eq!(body["case"], case().to_string());
    assert_eq!(body["customer"]["mail"], "jane@example.com");
    assert_eq!(sent[1].body_json::<Value>().unwrap()["ticket"], "19");
    assert_eq!(sent[1].body, sent[3].body);
}

#[tokio::test]
async fn answers_of_a_webhook() {
    let world = World::new();
    for (status, body, expected) in [
        (200, "", accepted(EFFECT)),
        (204, "", accepted(EFFECT)),
        (202, r#"{"ref":"T-1"}"#, accepted("T-1")),
        (200, "{}", accepted(EFFECT)),
        (409, "", accepted(EFFECT)),
        (409, r#"{"ref":"T-1"}"#, accepted("T-1")),
    ] {
        let server = MockServer::start().await;
        Mock::given(method("POST"))
            .respond_with(ResponseTemplate::new(status).set_body_string(body))
            .mount(&server)
            .await;
        let channel = world.build(&signed("webhook", &server.uri()));
        assert_eq!(channel.attempt(send(page())).await, expected, "{status} {body}");
    }
    let server = MockServer::start().await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(410)).mount(&server).await;
    let outcome = world.build(&signed("webhook", &server.uri())).attempt(send(page())).await;
    assert!(matches!(outcome, Outcome::Rejected { reason } if reason.contains("settings")));
}

#[tokio::test]
async fn dispatch_asks_with_a_key_and_the_same_bytes() {
    let server = MockServer::start().await;
    answers(&server, "POST", "/v1/jobs", 202, json!({"job": "J-9", "state": "offered"})).await;
    let world = World::new();
    let channel = world.build(&signed("dispatch", &server.uri()));
    assert_eq!(channel.attempt(send(request(job()))).await, accepted("J-9"));
    assert_eq!(channel.attempt(reconcile(request(job()))).await, accepted("J-9"));
    let sent = requests(&server).await;
    assert_eq!(sent[0].body, sent[1].body);
    assert_eq!(head(&sent[0], "idempotency-key"), EFFECT);
    assert_eq!(head(&sent[1], "idempotency-key"), EFFECT);
    let body: Value = sent[0].body_json().unwrap();
    assert_eq!(body["callback"], format!("{PUBLIC_URL}/dispatch/{EFFECT}"));
    // Too late to ask again: nothing is sent.
    let mut late = job();
    late.accept_by = now() - Span::from_secs(1);
    assert_eq!(word(&channel.attempt(reconcile(request(late))).await), "unknown");
    assert_eq!(requests(&server).await.len(), 2);
}

#[tokio::test]
async fn answers_of_a_dispatcher() {
    let world = World::new();
    let job = || request(job());
    let cancel = || Work::Dispatch(DispatchWork::Cancel { job: "J/9".into() });
    let rejected = |reason: &str| Outcome::Rejected { reason: reason.into() };
    for (work, verb, at, status, body, on_send, on_ask) in [
        (job(), "POST", "/v1/jobs", 200, json!({"job":"J-9","state":"accepted"}), accepted("J-9"), "accepted"),
        (
            job(),
            "POST",
            "/v1/jobs",
            422,
            json!({"reason":"out_of_area"}),
            rejected("422 Unprocessable Entity: out_of_area"),
            "rejected",
        ),
        (job(), "POST", "/v1/jobs", 409, json!({"reason":"key"}), rejected("409 Conflict: key"), "unknown"),
        (cancel(), "POST", "/v1/jobs/J%2F9/cancel", 200, json!({}), accepted("J/9"), "unknown"),
        (
            cancel(),
            "POST",
            "/v1/jobs/J%2F9/cancel",
            409,
            json!({"reason":"too_close"}),
            rejected("409 Conflict: too_close"),
            "unknown",
        ),
        (
            cancel(),
            "GET",
            "/v1/jobs/J%2F9",
            200,
            json!({"job":"J/9","state":"cancelled"}),
            rejected("404 Not Found"),
            "accepted",
        ),
        (
            cancel(),
            "GET",
            "/v1/jobs/J%2F9",
            200,
            json!({"job":"J/9","state":"en_route"}),
            rejected("404 Not Found"),
            "not found",
        ),
    ] {
        let server = MockServer::start().await;
        answers(&server, verb, at, status, body.clone()).await;
        let channel = world.build(&signed("dispatch", &server.uri()));
        assert_eq!(channel.attempt(send(work.clone())).await, on_send, "{at} {status}");
        assert_eq!(word(&channel.attempt(reconcile(work)).await), on_ask, "asking {at} {status} {body}");
    }
}

#[tokio::test]
async fn a_dispatcher_is_asked_how_a_job_stands_and_the_desk_is_told() {
    let server = MockServer::start().await;
    let status =
        json!({"job":"J-9","seq":4,"state":"en_route","eta":"2026-11-22T08:24:00Z","truck":{"plate":"M-TW 1"}});
    answers(&server, "GET", "/v1/jobs/J-9", 200, status).await;
    let world = World::new();
    let channel = world.build(&signed("dispatch", &server.uri()));
    let ask = |job: &str| send(Work::Dispatch(DispatchWork::Status { job: job.into() }));
    assert_eq!(channel.attempt(ask("J-9")).await, accepted("J-9"));
    assert_eq!(word(&channel.attempt(ask("J-8")).await), "rejected");
    let told = world.told.lock().unwrap();
    let [Input::Receipt(receipt)] = &told[..] else { panic!("{told:?}") };
    assert_eq!((receipt.effect, receipt.seq, receipt.provider_ref.as_deref()), (effect(), Some(4), Some("J-9")));
    let ReceiptKind::Dispatch { update } = &receipt.what else { panic!() };
    assert_eq!((update.state, update.eta_at), (JobState::EnRoute, Some(now() + Span::from_mins(24))));
}

#[tokio::test]
async fn zammad_creates_notes_and_closes() {
    let server = MockServer::start().await;
    for (verb, at, status) in
        [("POST", "/api/v1/tickets", 201), ("POST", "/api/v1/ticket_articles", 201), ("PUT", "/api/v1/tickets/19", 200)]
    {
        Mock::given(method(verb))
            .and(path(at))
            .and(header("authorization", "Token token=t"))
            .respond_with(
                ResponseTemplate::new(status).set_body_json(json!({"id": 19, "number": "22019", "state_id": 1})),
            )
            .mount(&server)
            .await;
    }
    let channel = World::new().build(&zammad(&server.uri()));
    for work in [create(), note(), close()] {
        assert_eq!(channel.attempt(send(work)).await, accepted("19"));
    }
    let bodies: Vec<Value> = requests(&server).await.iter().map(|r| r.body_json().unwrap()).collect();
    assert_eq!(bodies[0]["case_ref"], case().to_string(), "the playbook cannot change it");
    assert_eq!(bodies[0]["customer_id"], "guess:jane@example.com");
    assert_eq!(bodies[0]["group"], "Roadside");
    assert_eq!(bodies[0]["priority"], "3 high");
    assert_eq!(bodies[1]["ticket_id"], 19);
    assert_eq!(bodies[1]["internal"], true);
    assert_eq!(bodies[2]["state"], "closed");
    assert!(bodies[2]["article"]["subject"].as_str().unwrap().contains(EFFECT));
    let other = send(Work::Ticket(TicketWork::Note { ticket: "T/../1".into(), body: String::new(), reopens: false }));
    assert_eq!(word(&channel.attempt(other).await), "rejected");
}

#[tokio::test]
async fn zammad_is_searched() {
    let ours = json!([{"id": 3, "subject": null}, {"id": 7, "subject": format!("Note [{EFFECT}]")}]);
    let search = "/api/v1/tickets/search";
    let articles = "/api/v1/ticket_articles/by_ticket/19";
    let world = World::new();
    for (work, at, body, expected) in [
        (create(), search, json!({"tickets": [], "tickets_count": 0}), Outcome::NotFound),
        (create(), search, json!({"tickets": [20, 19], "tickets_count": 2}), accepted("19")),
        (note(), articles, ours.clone(), accepted("7")),
        (close(), articles, ours, accepted("7")),
        (note(), articles, json!([{"id": 3, "subject": "something else"}]), Outcome::NotFound),
    ] {
        let server = MockServer::start().await;
        answers(&server, "GET", at, 200, body.clone()).await;
        let channel = world.build(&zammad(&server.uri()));
        assert_eq!(channel.attempt(reconcile(work)).await, expected, "{at} {body}");
        let sent = requests(&server).await;
        assert_eq!(sent.len(), 1, "one order is one search");
        if at == search {
            let query = sent[0].url.query_pairs().find(|(k, _)| k == "query").unwrap().1.into_owned();
            assert_eq!(query, format!("case_ref:\"{}\"", case()));
        }
    }
}

#[tokio::test]
async fn twilio_creates() {
    let server = MockServer::start().await;
    let calls = "/2010-04-01/Accounts/AC1/Calls.json";
    let messages = "/2010-04-01/Accounts/AC1/Messages.json";
    for (at, sid) in [(calls, "CA1"), (messages, "SM1")] {
        Mock::given(method("POST"))
            .and(path(at))
            .and(header("authorization", "Basic QUMxOnQ="))
            .respond_with(ResponseTemplate::new(201).set_body_json(json!({"sid": sid, "status": "queued"})))
            .mount(&server)
            .await;
    }
    let world = World::new();
    let voice = world.build(&twilio("twilio-voice", &server.uri()));
    assert_eq!(voice.attempt(send(call())).await, accepted("CA1"));
    assert_eq!(word(&voice.attempt(send(sms())).await), "rejected");
    let text = world.build(&twilio("twilio-sms", &server.uri()));
    assert_eq!(text.attempt(send(sms())).await, accepted("SM1"));
    let sent = requests(&server).await;
    let form = forewarn::wire::twilio::parse_form(&sent[0].body);
    let field = |name: &str| form.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v.as_str());
    assert_eq!(field("Url"), format!("{PUBLIC_URL}/twilio/voice?e={EFFECT}&n=1"));
    assert_eq!(field("StatusCallback"), format!("{PUBLIC_URL}/twilio/status?e={EFFECT}#rc=5&rp=all"));
    assert_eq!(field("Timeout"), "25");
    assert_eq!(head(&sent[0], "content-type"), "application/x-www-form-urlencoded");

    let server = MockServer::start().await;
    let problem = json!({"code": 21211, "message": "The 'To' number is not a valid phone number", "status": 400});
    answers(&server, "POST", calls, 400, problem).await;
    let outcome = world.build(&twilio("twilio-voice", &server.uri())).attempt(send(call())).await;
    let reason = "400 Bad Request: The 'To' number is not a valid phone number (21211)";
    assert_eq!(outcome, Outcome::Rejected { reason: reason.into() });
}

#[tokio::test]
async fn twilio_is_asked_for_its_list() {
    let line = |sid: &str, at: &str| json!({"sid": sid, "to": "+491700000001", "from": "+4989", "date_created": at});
    let at = |second: u32| format!("Sun, 22 Nov 2026 08:00:{second:02} +0000");
    let old = "Sun, 22 Nov 2026 07:59:00 +0000";
    let elsewhere = json!({"sid": "X", "to": "+4917", "from": "+4989", "date_created": at(3)});
    let world = World::new();
    for (lines, more, expected) in [
        (vec![], None, Outcome::NotFound),
        (vec![line("B", &at(9)), line("A", &at(2)), line("O", old)], None, accepted("A")),
        (vec![line("O", old)], Some("/next"), Outcome::NotFound),
        (vec![elsewhere.clone()], None, Outcome::NotFound),
        (vec![line("A", "Sun, 22 Nov 2026 07:59:57 +0000")], None, accepted("A")),
    ] {
        for (kind, work, resource, list) in
            [("twilio-voice", call(), "Calls.json", "calls"), ("twilio-sms", sms(), "Messages.json", "messages")]
        {
            let server = MockServer::start().await;
            let body = json!({list: lines.clone(), "next_page_uri": more});
            Mock::given(method("GET"))
                .and(path(format!("/2010-04-01/Accounts/AC1/{resource}")))
                .and(query_param("To", "+491700000001"))
                .and(query_param("From", "+4989"))
                .respond_with(ResponseTemplate::new(200).set_body_json(body))
                .mount(&server)
                .await;
            let channel = world.build(&twilio(kind, &server.uri()));
            assert_eq!(channel.attempt(reconcile(work)).await, expected, "{kind} {lines:?}");
        }
    }
    // What cannot be told is unknown.
    for body in [
        json!({"calls": [{"sid": "A", "to": "+491700000001", "from": "+4989"}]}),
        json!({"calls": [{"sid": "X", "to": "+4917", "from": "+4989", "date_created": at(3)}], "next_page_uri": "/n"}),
    ] {
        let server = MockServer::start().await;
        answers(&server, "GET", "/2010-04-01/Accounts/AC1/Calls.json", 200, body.clone()).await;
        let outcome = world.build(&twilio("twilio-voice", &server.uri())).attempt(reconcile(call())).await;
        assert_eq!(word(&outcome), "unknown", "{body}");
    }
}

/// Two effects to one number: the call of the one must not be taken for the call of the other.
#[tokio::test]
async fn a_call_of_another_effect_is_left_out() {
    let server = MockServer::start().await;
    let calls = "/2010-04-01/Accounts/AC1/Calls.json";
    answers(&server, "POST", calls, 201, json!({"sid": "CA1"})).await;
    let line = json!({"sid": "CA1", "to": "+491700000001", "from": "+4989", "date_created": "Sun, 22 Nov 2026 08:00:05 +0000"});
    answers(&server, "GET", calls, 200, json!({"calls": [line]})).await;
    let channel = World::new().build(&twilio("twilio-voice", &server.uri()));
    let mut first = send(call());
    first.effect = "01890a5d-ac96-774b-bcce-000000000000".parse().unwrap();
    assert_eq!(channel.attempt(first.clone()).await, accepted("CA1"));
    assert_eq!(channel.attempt(reconcile(call())).await, Outcome::NotFound);
    first.kind = forewarn::domain::OrderKind::Reconcile;
    assert_eq!(channel.attempt(first).await, accepted("CA1"));
}
