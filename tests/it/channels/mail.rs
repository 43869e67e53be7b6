//! Mail over SMTP, against a server that fails at every point.

use forewarn::domain::{Outcome, Work};

use super::smtpd::{Fault, Protection, Smtpd};
use super::support::*;

fn settings(server: &Smtpd) -> String {
    format!(
        "kind = \"smtp\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nanswer_timeout = \"300ms\"\n\
         from = \"Example Roadside <service@example.com>\"\nusername = \"u\"\npassword = \"p\"\n",
        server.address.port()
    )
}

#[tokio::test]
async fn a_mail_arrives_once_with_its_headers() {
    let server = Smtpd::start(Fault::None, Protection::None).await;
    let channel = World::new().build(&settings(&server));
    let outcome = channel.attempt(send(mail("one\n.\n..two\n.three"))).await;
    assert_eq!(outcome, accepted(&format!("<{EFFECT}@example.com>")));
    let got = server.got();
    let [got] = &got[..] else { panic!("{got:?}") };
    assert_eq!(got.from, "MAIL FROM:<service@example.com>");
    assert_eq!(got.to, "RCPT TO:<jane@example.com>");
    assert_eq!(got.login, "AUTH PLAIN AHUAcA==");
    assert!(got.text.contains(&format!("Message-ID: <{EFFECT}@example.com>")));
    assert!(got.text.contains("Date: Sun, 22 Nov 2026 08:00:00 +0000"));
    assert!(got.text.contains("one\r\n.\r\n..two\r\n.three"), "dots at the start of a line survive: {}", got.text);
}

/// The report of a server that cannot deliver it finds the mail that it is about.
#[tokio::test]
async fn a_mail_is_sent_from_the_address_that_it_comes_back_to() {
    let server = Smtpd::start(Fault::None, Protection::None).await;
    let Work::Mail(mut work) = mail("one") else { panic!() };
    work.comes_back_to = Some("bounce+x.y@mail.example.com".into());
    World::new().build(&settings(&server)).attempt(send(Work::Mail(work))).await;
    let got = server.got().remove(0);
    assert_eq!(
        (got.from.as_str(), got.to.as_str()),
        ("MAIL FROM:<bounce+x.y@mail.example.com>", "RCPT TO:<jane@example.com>")
    );
    assert!(got.text.contains("From: \"Example Roadside\" <service@example.com>"), "{}", got.text);
}

/// Before the dot a failure is a retry or a refusal; with the dot and no clear answer it is unknown.
#[tokio::test]
async fn the_rule_of_the_dot() {
    let world = World::new();
    for (fault, expected, whole_mails) in [
        (Fault::Greeting("421 not now"), "retry", 0),
        (Fault::Greeting("554 never"), "rejected", 0),
        (Fault::Greeting("HTTP/1.1 400 Bad Request"), "retry", 0),
        (Fault::Auth("454 later"), "retry", 0),
        (Fault::Auth("535 wrong password"), "rejected", 0),
        (Fault::Rcpt("450 greylisted"), "retry", 0),
        (Fault::Rcpt("550 no such person"), "rejected", 0),
        (Fault::Data("451 later"), "retry", 0),
        (Fault::Data("554 no"), "rejected", 0),
        (Fault::CutAtData, "retry", 0),
        (Fault::Dot("451 later"), "retry", 1),
        (Fault::Dot("554 spam"), "rejected", 1),
        (Fault::Dot("what?"), "unknown", 1),
        (Fault::CutAfterDot, "unknown", 1),
        (Fault::SilentAfterDot, "unknown", 1),
    ] {
        let server = Smtpd::start(fault, Protection::None).await;
        let outcome = world.build(&settings(&server)).attempt(send(mail("x"))).await;
        assert_eq!(word(&outcome), expected, "{fault:?} {outcome:?}");
        assert_eq!(server.got().len(), whole_mails, "{fault:?}");
        assert_eq!(*server.sessions.lock().unwrap(), 1, "one attempt on a new connection is one: {fault:?}");
    }
}

#[tokio::test]
async fn nobody_listens_or_nobody_answers() {
    let server = Smtpd::start(Fault::None, Protection::None).await;
    let world = World::new();
    let closed = settings(&server).replace(&server.address.port().to_string(), "1");
    assert_eq!(word(&world.build(&closed).attempt(send(mail("x"))).await), "retry");
    let unknown_host = settings(&server).replace("\"127.0.0.1\"", "\"mx.invalid\"") + "insecure = true\n";
    assert_eq!(word(&world.build(&unknown_host).attempt(send(mail("x"))).await), "retry");
    let asked = world.build(&settings(&server)).attempt(reconcile(mail("x"))).await;
    assert_eq!(word(&asked), "unknown");
    assert_eq!(*server.sessions.lock().unwrap(), 0, "asking sends nothing");
}

#[tokio::test]
async fn connections_are_kept_and_replaced() {
    for (fault, sessions) in [
        (Fault::None, 1),
        // The third mail meets 4xx on the old connection and goes over a new one, in the same attempt.
        (Fault::PerSession(2), 2),
        (Fault::OneAndClose, 3),
    ] {
        let server = Smtpd::start(fault, Protection::None).await;
        let channel = World::new().build(&settings(&server));
        for _ in 0..3 {
            assert_eq!(word(&channel.attempt(send(mail("x"))).await), "accepted", "{fault:?}");
        }
        assert_eq!(server.got().len(), 3, "{fault:?}");
        assert_eq!(*server.sessions.lock().unwrap(), sessions, "{fault:?}");
    }
}

/// An old connection that dies *after* the dot is not replaced: the mail may be out.
#[tokio::test]
async fn an_old_connection_lost_after_the_dot_is_unknown() {
    let server = Smtpd::start(Fault::None, Protection::None).await;
    let channel = World::new().build(&settings(&server));
    assert_eq!(word(&channel.attempt(send(mail("x"))).await), "accepted");
    *server.fault.lock().unwrap() = Fault::CutAfterDot;
    assert_eq!(word(&channel.attempt(send(mail("x"))).await), "unknown");
    assert_eq!(server.got().len(), 2);
    assert_eq!(*server.sessions.lock().unwrap(), 1);
}

#[tokio::test]
async fn hostile_text_never_reaches_the_server() {
    let server = Smtpd::start(Fault::None, Protection::None).await;
    let channel = World::new().build(&settings(&server));
    let forewarn::domain::Work::Mail(mut work) = mail("x") else { unreachable!() };
    work.subject = "x\r\nBcc: everybody@example.com".into();
    let outcome = channel.attempt(send(forewarn::domain::Work::Mail(work))).await;
    assert!(matches!(outcome, Outcome::Rejected { .. }));
    assert_eq!(*server.sessions.lock().unwrap(), 0);
}

/// Several hundred mails a second to a local server, over the kept connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_mail_is_not_slowed_by_the_wire() {
    let server = Smtpd::start(Fault::None, Protection::None).await;
    let channel = World::new().build(&settings(&server).replace("300ms", "10s"));
    let started = tokio::time::Instant::now();
    for _ in 0..100 {
        assert_eq!(word(&channel.attempt(send(mail("x"))).await), "accepted");
    }
    // With Nagle's algorithm one connection does 23 a second, which would be over four seconds.
    assert!(started.elapsed().as_secs() < 3, "{:?}", started.elapsed());
    assert_eq!(*server.sessions.lock().unwrap(), 1);
}
