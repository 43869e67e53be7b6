//! The mail server of the sandbox, over SMTP.

use std::time::Duration;

use forewarn::demo::sandbox::{MailFault, MailServer, Sighting};
use lettre::message::{MultiPart, header};
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::stage;

type Relay = AsyncSmtpTransport<Tokio1Executor>;

fn relay(server: &MailServer) -> Relay {
    Relay::builder_dangerous("127.0.0.1").port(server.addr().port()).timeout(Some(Duration::from_secs(2))).build()
}

fn mail(key: &str) -> Message {
    Message::builder()
        .from("forewarn <service@example.com>".parse().unwrap())
        .to("Jürgen <owner@example.com>".parse().unwrap())
        .subject("Ihre Batterie wird schwächer")
        .header(header::MessageId::from(format!("<{key}@example.com>")))
        .multipart(MultiPart::alternative_plain_html(".first line\n..second".to_owned(), "<p>x</p>".to_owned()))
        .unwrap()
}

#[tokio::test]
async fn mail_arrives_whole_and_is_counted_by_its_key() {
    let stage = stage();
    let mut seen = stage.sightings.watch();
    let server = MailServer::start(None, stage).await.unwrap();
    relay(&server).send(mail("e-1")).await.unwrap();
    assert_eq!((server.count("e-1"), server.count("e-2")), (1, 0));
    let kept = &server.accepted()[0];
    assert_eq!(
        (kept.from.as_str(), kept.to.as_slice()),
        ("service@example.com", &["owner@example.com".to_owned()][..])
    );
    assert_eq!(kept.subject(), "Ihre Batterie wird schwächer");
    assert_eq!(kept.message_id().unwrap(), "e-1@example.com");
    assert!(kept.data.contains("\r\n.first line\r\n..second\r\n"), "{}", kept.data);
    assert!(matches!(seen.recv().await.unwrap(), Sighting::Mail { to, .. } if to == "owner@example.com"));
}

#[tokio::test]
async fn mail_faults_happen_once_and_only_the_right_ones_keep_the_mail() {
    let server = MailServer::start(None, stage()).await.unwrap();
    for (n, (fault, kept, code)) in [
        (MailFault::BusyBeforeData, 0, Some(451)),
        (MailFault::NoSuchMailbox, 0, Some(550)),
        (MailFault::RefuseAfterDot, 0, Some(452)),
        (MailFault::CutInData, 0, None),
        (MailFault::CutAfterDot, 1, None),
    ]
    .into_iter()
    .enumerate()
    {
        let key = format!("f-{n}");
        server.script([fault.clone()]);
        let error = relay(&server).send(mail(&key)).await.unwrap_err();
        assert_eq!(error.status().map(|c| c.to_string().parse::<u16>().unwrap()), code, "{fault:?}: {error}");
        assert_eq!(server.count(&key), kept, "{fault:?}");
        relay(&server).send(mail(&key)).await.unwrap();
        assert_eq!(server.count(&key), kept + 1, "after {fault:?}");
    }
}

#[tokio::test]
async fn mail_answer_can_be_slow() {
    let server = MailServer::start(None, stage()).await.unwrap();
    server.script([MailFault::Slow(Duration::from_secs(60))]);
    // lettre's own timeout covers connecting only; a caller must bring one for the answer.
    let answer = tokio::time::timeout(Duration::from_millis(500), relay(&server).send(mail("s-1"))).await;
    assert!(answer.is_err(), "no answer within half a second");
    assert_eq!(server.count("s-1"), 1);
}

#[tokio::test]
async fn mail_needs_the_password_where_there_is_one() {
    let server = MailServer::start(Some(("forewarn", "s3cret")), stage()).await.unwrap();
    let with = |password: &str| {
        Relay::builder_dangerous("127.0.0.1")
            .port(server.addr().port())
            .authentication(vec![Mechanism::Plain])
            .credentials(Credentials::new("forewarn".into(), password.into()))
            .build()
    };
    assert!(relay(&server).send(mail("a")).await.is_err());
    assert!(with("wrong").send(mail("a")).await.is_err());
    with("s3cret").send(mail("a")).await.unwrap();
    assert_eq!(server.accepted().len(), 1);
}

#[tokio::test]
async fn mail_commands_out_of_order_are_refused() {
    let server = MailServer::start(None, stage()).await.unwrap();
    let mut io = BufReader::new(TcpStream::connect(server.addr()).await.unwrap());
    let mut line = String::new();
    io.read_line(&mut line).await.unwrap();
    for (command, code) in [
        ("MAIL FROM:<a@example.com>", "503"),
        ("EHLO", "501"),
        ("HELO me", "250"),
        ("RCPT TO:<b@example.com>", "503"),
        ("MAIL FROM:a@example.com", "501"),
        ("MAIL FROM:<a@example.com> SIZE=10", "250"),
        ("MAIL FROM:<a@example.com>", "503"),
        ("DATA", "503"),
        ("RCPT TO:<nobody>", "501"),
        ("RCPT TO:<b@example.com>", "250"),
        ("RSET", "250"),
        ("DATA", "503"),
        ("VRFY b", "500"),
        ("MAIL FROM:<a@example.com>", "250"),
        ("RCPT TO:<b@example.com>", "250"),
        ("DATA", "354"),
        ("Subject: without the headers a mail needs\r\n\r\nx\r\n.", "550"),
        ("QUIT", "221"),
    ] {
        io.write_all(format!("{command}\r\n").as_bytes()).await.unwrap();
        line.clear();
        io.read_line(&mut line).await.unwrap();
        assert!(line.starts_with(code), "{command}: {line}");
    }
    let mut rest = String::new();
    io.read_to_string(&mut rest).await.unwrap();
    assert_eq!((rest.as_str(), server.accepted().len()), ("", 0));
}
