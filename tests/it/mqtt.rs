//! The broker connections against a real mosquitto.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use forewarn::domain::{At, Outcome, Span};
use forewarn::mqtt::{self, Ack, Connection, Link, Message, Publisher, QueueLimits, Role, Settings};
use forewarn::runtime::{Clock, Incoming, Publisher as _};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::{AsyncClient, Event, MqttOptions, mqttbytes::v5::Packet};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use crate::broker::{Broker, OPEN};

/// Nothing here takes longer unless it is broken.
const DEADLINE: Duration = Duration::from_secs(20);
const FILTER: &str = "fleet/+/telemetry";

pub(crate) fn clock() -> Clock {
    Arc::new(|| At::from_micros(jiff::Timestamp::now().as_microsecond()))
}

pub(crate) fn settings(urls: &[String]) -> Settings {
    Settings { urls: urls.to_vec(), client_id: "fw-test".into(), ..Settings::default() }
}

pub(crate) fn filters(list: &[&str]) -> Vec<Arc<str>> {
    list.iter().map(|f| Arc::from(*f)).collect()
}

pub(crate) fn receive(settings: &Settings) -> Connection {
    mqtt::connect(settings, filters(&[FILTER]), clock(), settings.queue_limits()).unwrap()
}

fn publisher(settings: &Settings, id: &str) -> Publisher {
    let role = Role { client_id: id.into(), status_topic: None, in_flight: 100 };
    Publisher::connect(settings, role, clock()).unwrap()
}

/// Waits until the link is as asked; panics with the last state otherwise.
async fn link_is(link: &tokio::sync::watch::Receiver<Link>, what: impl FnMut(&Link) -> bool) -> Link {
    let mut watch = link.clone();
    let found = tokio::time::timeout(DEADLINE, watch.wait_for(what)).await.map(|l| Link::clone(&l.unwrap()));
    found.unwrap_or_else(|_| panic!("the link stays {:?}", *link.borrow()))
}

pub(crate) async fn connected(link: &tokio::sync::watch::Receiver<Link>) -> u64 {
    match link_is(link, Link::is_connected).await {
        Link::Connected { generation, .. } => generation,
        Link::Disconnected { .. } => unreachable!(),
    }
}

/// Takes exactly `n` messages out of the queue, off the async threads.
pub(crate) async fn take(connection: &mut Connection, n: usize) -> Vec<Incoming<Ack>> {
    tokio::task::block_in_place(|| {
        let mut out = Vec::new();
        let deadline = Instant::now() + DEADLINE;
        while out.len() < n {
            connection.incoming.recv_batch(n - out.len(), Duration::from_millis(50), &mut out).unwrap();
            assert!(Instant::now() < deadline, "{} of {n} messages arrived", out.len());
        }
        out
    })
}

pub(crate) fn payloads(messages: &[Incoming<Ack>]) -> Vec<String> {
    messages.iter().map(|m| String::from_utf8_lossy(&m.payload).into_owned()).collect()
}

pub(crate) fn acks(messages: &[Incoming<Ack>]) -> Vec<Ack> {
    messages.iter().filter_map(|m| m.ack).collect()
}

async fn say(publisher: &Publisher, payload: impl Into<Bytes>) {
    let outcome = publisher.publish("fleet/car-1/telemetry".into(), payload.into(), None, false).await;
    assert_eq!(outcome, Outcome::Accepted { provider_ref: String::new() });
}

/// Both connected.
async fn receiver_and_sender(settings: &Settings) -> (Connection, Publisher) {
    let connection = receive(settings);
    let sender = publisher(settings, "sender");
    connected(&connection.link).await;
    connected(&sender.link()).await;
    (connection, sender)
}

/// Waits until `check` holds.
pub(crate) async fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !check() {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribes_again_after_a_broker_restart_and_what_was_not_acked_comes_again() {
    let mut broker = Broker::start(OPEN);
    let settings = settings(&[broker.url()]);
    let mut connection = receive(&settings);
    let sender = publisher(&settings, "sender");
    assert_eq!(connected(&connection.link).await, 1);
    connected(&sender.link()).await;
    for payload in ["1", "2"] {
        say(&sender, payload).await;
    }
    let first = take(&mut connection, 2).await;
    assert_eq!(payloads(&first), ["1", "2"]);
    assert!(first.iter().all(|m| !m.ack.unwrap().redelivered() && !m.retained));
    assert_eq!(first[0].topic, "fleet/car-1/telemetry");
    connection.acks.release(acks(&first[..1]));
    eventually("one PUBACK at the broker", || broker.log().contains("Received PUBACK from fw-test")).await;

    broker.stop();
    link_is(&connection.link, |l| !l.is_connected()).await;
    broker.restart();
    assert_eq!(connected(&connection.link).await, 2);
    connected(&sender.link()).await;
    // The old ack is worthless now: it must not confirm another message that has got its packet id.
    connection.acks.release(acks(&first[1..]));
    let again = take(&mut connection, 1).await;
    assert_eq!(payloads(&again), ["2"]);
    assert!(again[0].ack.unwrap().redelivered(), "the broker sends it with DUP");
    assert_eq!(again[0].ack.unwrap().generation(), 2);
    say(&sender, "3").await;
    assert_eq!(payloads(&take(&mut connection, 1).await), ["3"], "subscribed again");
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribes_anew_when_the_broker_has_lost_the_session() {
    let mut broker = Broker::start(&format!("{OPEN}persistence false\n"));
    let settings = settings(&[broker.url()]);
    let mut connection = receive(&settings);
    connected(&connection.link).await;
    broker.restart();
    let lost = |l: &Link| matches!(l, Link::Connected { generation: 2.., session_present: false, .. });
    link_is(&connection.link, lost).await;
    let sender = publisher(&settings, "sender");
    connected(&sender.link()).await;
    say(&sender, "heard").await;
    assert_eq!(payloads(&take(&mut connection, 1).await), ["heard"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn d1_acks_reach_the_broker_only_after_release_and_in_the_order_of_receipt() {
    let broker = Broker::start(OPEN);
    let settings = settings(&[broker.url()]);
    let (mut connection, sender) = receiver_and_sender(&settings).await;
    for n in 0..10 {
        say(&sender, n.to_string()).await;
    }
    let messages = take(&mut connection, 10).await;
    let acked = |log: &str| -> Vec<u16> {
        let lines = log.lines().filter_map(|l| l.split_once("Received PUBACK from fw-test (Mid: "));
        lines.map(|(_, rest)| rest[..rest.find([',', ')']).unwrap()].parse().unwrap()).collect()
    };
    assert_eq!(acked(&broker.log()), [0; 0], "nothing is acked before it is released");
    let mut list = acks(&messages);
    list.reverse();
    for ack in list {
        connection.acks.release(vec![ack]);
    }
    eventually("ten PUBACKs", || acked(&broker.log()).len() == 10).await;
    assert_eq!(acked(&broker.log()), (1..=10).collect::<Vec<u16>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_left_in_good_order_is_taken_up_by_the_next_process() {
    let broker = Broker::start(OPEN);
    let settings = settings(&[broker.url()]);
    let (mut first, sender) = receiver_and_sender(&settings).await;
    say(&sender, "1").await;
    say(&sender, "2").await;
    let messages = take(&mut first, 2).await;
    first.acks.release(acks(&messages[..1]));
    first.control.stop().await;
    eventually("our DISCONNECT", || broker.log().contains("Received DISCONNECT from fw-test")).await;
    say(&sender, "3").await;

    let mut second = receive(&settings);
    let mut came = payloads(&take(&mut second, 2).await);
    came.sort();
    assert_eq!(came, ["2", "3"], "acked before the end: gone; not acked: again; sent meanwhile: kept");
    let present = |l: &Link| matches!(l, Link::Connected { session_present: true, .. });
    link_is(&second.link, present).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_packets_neither_wedge_nor_break_the_connection() {
    let broker = Broker::start(OPEN);
    let settings = settings(&[broker.url()]);
    let (mut connection, sender) = receiver_and_sender(&settings).await;
    say(&sender, vec![b'x'; 20_000]).await;
    say(&sender, vec![b'y'; 2_000_000]).await;
    say(&sender, "after").await;
    let messages = take(&mut connection, 2).await;
    assert_eq!(messages[0].payload.len(), 20_000);
    assert_eq!(messages[1].payload, "after", "2 MB is above the announced limit: the broker does not send it");
    assert_eq!(connected(&connection.link).await, 1, "still the first connection");
}

#[tokio::test(flavor = "multi_thread")]
async fn d3_a_full_queue_slows_the_broker_down_and_loses_nothing() {
    let broker = Broker::start(OPEN);
    let settings = Settings { keep_alive: Span::from_secs(5), ..settings(&[broker.url()]) };
    let limits = QueueLimits { messages: 20, bytes: 1 << 20 };
    let mut connection = mqtt::connect(&settings, filters(&[FILTER]), clock(), limits).unwrap();
    let sender = publisher(&settings, "sender");
    connected(&connection.link).await;
    connected(&sender.link()).await;
    let mut answers = Vec::new();
    for n in 0..500 {
        let message = Message {
            topic: "fleet/car-1/telemetry".into(),
            payload: n.to_string().into(),
            expiry: None,
            retain: false,
            at_least_once: true,
        };
        answers.push(sender.begin(message).await.unwrap());
    }
    for answer in answers {
        assert_eq!(answer.await.unwrap(), Outcome::Accepted { provider_ref: String::new() });
    }
    eventually("the queue fills", || connection.incoming.depth().0 == 20).await;
    // Nobody takes anything out: the connection is let go (a third of the keep-alive) and not made again.
    link_is(&connection.link, |l| matches!(l, Link::Disconnected { reason, .. } if reason.contains("full"))).await;
    assert_eq!(connection.incoming.depth().0, 20);
    // Now it is emptied, slowly: everything comes, redelivered or not.
    let mut seen = BTreeSet::new();
    let deadline = Instant::now() + DEADLINE;
    while seen.len() < 500 {
        assert!(Instant::now() < deadline, "{} of 500", seen.len());
        let messages = take(&mut connection, 1).await;
        seen.extend(payloads(&messages));
        connection.acks.release(acks(&messages));
    }
    link_is(&connection.link, |l| matches!(l, Link::Connected { generation: 2, session_present: true, .. })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d2_d3_a_full_queue_drops_qos_0_and_stays_connected() {
    let broker = Broker::start(OPEN);
    let settings = settings(&[broker.url()]);
    let limits = QueueLimits { messages: 5, bytes: 1 << 20 };
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let counters = recorder.handle();
    let connect = || mqtt::connect(&settings, filters(&[FILTER]), clock(), limits).unwrap();
    let mut connection = metrics::with_local_recorder(&recorder, connect);
    let sender = publisher(&settings, "sender");
    connected(&connection.link).await;
    connected(&sender.link()).await;
    let message = |payload: String, at_least_once| Message {
        topic: "fleet/car-1/telemetry".into(),
        payload: payload.into(),
        expiry: None,
        retain: false,
        at_least_once,
    };
    for n in 0..50 {
        assert!(matches!(sender.send(message(n.to_string(), false)).await, Outcome::Accepted { .. }));
    }
    let dropped = "forewarn_mqtt_dropped_total 45";
    eventually("all but five are dropped and counted", || counters.render().contains(dropped)).await;
    sender.send(message("kept".to_owned(), true)).await;
    let messages = take(&mut connection, 6).await;
    let expected = ["45", "46", "47", "48", "49", "kept"];
    assert_eq!(payloads(&messages), expected, "the newest five are left; QoS 1 waits for room instead");
    assert!(messages[..5].iter().all(|m| m.ack.is_none()));
    assert_eq!(connected(&connection.link).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_messages_arrive_once_each_and_in_order() {
    let broker = Broker::start(OPEN);
    let settings = settings(&[broker.url()]);
    let (mut connection, sender) = receiver_and_sender(&settings).await;
    let sending = tokio::spawn(async move {
        for n in 0..10_000 {
            let message = Message {
                topic: format!("fleet/car-{}/telemetry", n % 100),
                payload: n.to_string().into(),
                expiry: None,
                retain: false,
                at_least_once: true,
            };
            drop(sender.begin(message).await.unwrap());
        }
        sender
    });
    let mut seen = Vec::new();
    while seen.len() < 10_000 {
        let messages = take(&mut connection, 1).await;
        let mut more = Vec::new();
        connection.incoming.recv_batch(500, Duration::ZERO, &mut more).unwrap();
        for batch in [messages, more] {
            connection.acks.release(acks(&batch));
            seen.extend(payloads(&batch));
        }
    }
    assert_eq!(seen, (0..10_000).map(|n| n.to_string()).collect::<Vec<_>>());
    sending.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_broker_is_tried_and_a_lost_one_comes_back() {
    let mut first = Broker::start(OPEN);
    let second = Broker::start(OPEN);
    let settings = settings(&[first.url(), second.url()]);
    let mut connection = receive(&settings);
    connected(&connection.link).await;
    assert!(first.log().contains("as fw-test"), "the first of the list is preferred");
    first.kill();
    link_is(&connection.link, |l| matches!(l, Link::Connected { generation: 2, .. })).await;
    assert!(second.log().contains("as fw-test"));
    let sender = publisher(&Settings { urls: vec![second.url()], ..settings }, "sender");
    connected(&sender.link()).await;
    say(&sender, "here").await;
    assert_eq!(payloads(&take(&mut connection, 1).await), ["here"]);
}

/// Lets clients in and says `after` to each once it has subscribed; how often somebody connected can be asked.
async fn fake_broker(after: &'static [u8]) -> (String, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("mqtt://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let connects = Arc::clone(&count);
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            connects.fetch_add(1, Ordering::SeqCst);
            let mut buffer = [0; 4096];
            assert!(socket.read(&mut buffer).await.unwrap() > 0);
            socket.write_all(&[0x20, 3, 0, 0, 0]).await.unwrap();
            assert!(socket.read(&mut buffer).await.unwrap() > 0);
            socket.write_all(after).await.unwrap();
            while socket.read(&mut buffer).await.is_ok_and(|n| n > 0) {}
        }
    });
    (url, count)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_session_is_not_fought_over() {
    // DISCONNECT, session taken over. (mosquitto 2.0 closes without saying so.)
    let (url, connects) = fake_broker(&[0xE0, 2, 0x8E, 0]).await;
    let connection = receive(&settings(&[url]));
    let told = |l: &Link| matches!(l, Link::Disconnected { reason, .. } if reason.contains("another client"));
    link_is(&connection.link, told).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(connects.load(Ordering::SeqCst), 1, "it does not come back within 15 s and more");
}

#[tokio::test(flavor = "multi_thread")]
async fn retained_messages_come_once_and_are_marked() {
    let mut broker = Broker::start(OPEN);
    let settings = settings(&[broker.url()]);
    let sender = publisher(&settings, "sender");
    connected(&sender.link()).await;
    let outcome = sender.publish("fleet/car-1/telemetry".into(), "old".into(), None, true).await;
    assert!(matches!(outcome, Outcome::Accepted { .. }));
    let mut connection = receive(&settings);
    let messages = take(&mut connection, 1).await;
    assert!(messages[0].retained);
    connection.acks.release(acks(&messages));
    eventually("the PUBACK", || broker.log().contains("Received PUBACK from fw-test")).await;
    broker.stop();
    broker.restart();
    link_is(&connection.link, |l| matches!(l, Link::Connected { generation: 2, session_present: true, .. })).await;
    connected(&sender.link()).await;
    say(&sender, "new").await;
    let messages = take(&mut connection, 1).await;
    assert_eq!(payloads(&messages), ["new"], "the retained one is not replayed by a reconnect");
    assert!(!messages[0].retained);
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_follow_a_reload() {
    let broker = Broker::start(OPEN);
    let settings = settings(&[broker.url()]);
    let (mut connection, sender) = receiver_and_sender(&settings).await;
    connection.control.set_filters(filters(&["lift/+/state"]));
    eventually("UNSUBSCRIBE and SUBSCRIBE", || {
        let log = broker.log();
        log.contains("Received UNSUBSCRIBE from fw-test") && log.contains("fw-test 1 lift/+/state")
    })
    .await;
    say(&sender, "no longer wanted").await;
    sender.publish("lift/7/state".into(), "wanted".into(), None, false).await;
    assert_eq!(payloads(&take(&mut connection, 1).await), ["wanted"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_subscription_is_named() {
    // SUBACK to the first packet id: granted, not authorised. (mosquitto's access lists refuse messages, not filters.)
    let (url, _) = fake_broker(&[0x90, 5, 0, 1, 0, 1, 0x87]).await;
    let settings = settings(&[url]);
    let list = filters(&["fleet/+/telemetry", "secret/#"]);
    let connection = mqtt::connect(&settings, list, clock(), settings.queue_limits()).unwrap();
    match link_is(&connection.link, Link::is_connected).await {
        Link::Connected { refused, .. } => assert_eq!(refused, filters(&["secret/#"])),
        Link::Disconnected { .. } => unreachable!(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_logins_and_publishes_are_said() {
    let conf = "allow_anonymous false\npassword_file {dir}/passwd\nacl_file {dir}/acl\n";
    let broker = Broker::start_with(conf, |dir| {
        passwords(&dir.join("passwd"), &["fw"]);
        std::fs::write(dir.join("acl"), "user fw\ntopic read other/#\ntopic write fleet/+/cmd\n").unwrap();
    });
    let wrong = Settings {
        username: "fw".into(),
        password: Some("guess".to_owned().into()),
        client_id: "wrong".into(),
        ..settings(&[broker.url()])
    };
    let refused = receive(&wrong);
    link_is(&refused.link, |l| matches!(l, Link::Disconnected { reason, .. } if reason.contains("not authorised")))
        .await;

    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("password"), "secret\n").unwrap();
    let right =
        Settings { username: "fw".into(), password_file: dir.path().join("password"), ..settings(&[broker.url()]) };
    let out = publisher(&right, "fw-test-out");
    connected(&out.link()).await;
    let outcome = out.publish("fleet/car-1/cmd".into(), "{}".into(), None, false).await;
    assert!(matches!(outcome, Outcome::Accepted { .. }), "{outcome:?}");
    let outcome = out.publish("fleet/car-1/telemetry".into(), "{}".into(), None, false).await;
    assert!(matches!(outcome, Outcome::Rejected { .. }), "the ACL forbids it: {outcome:?}");
    let connection = receive(&right);
    connected(&connection.link).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn publishing_answers_clearly_whatever_the_broker_does() {
    let mut broker = Broker::start(OPEN);
    let settings = settings(&[broker.url()]);
    let publisher = Publisher::connect(&settings, Role::of_daemon(&settings), clock()).unwrap();
    connected(&publisher.link()).await;
    // Expiry: the queue of an absent subscriber drops it, a lasting one gets it.
    let mut absent = receive(&settings);
    connected(&absent.link).await;
    absent.control.stop().await;
    let topic = || "fleet/car-1/telemetry".to_owned();
    let brief = publisher.publish(topic(), "brief".into(), Some(Span::from_secs(1)), false).await;
    let lasting = publisher.publish(topic(), "lasting".into(), Some(Span::from_mins(5)), false).await;
    assert!(matches!((brief, lasting), (Outcome::Accepted { .. }, Outcome::Accepted { .. })));
    tokio::time::sleep(Duration::from_millis(2100)).await;
    absent = receive(&settings);
    assert_eq!(payloads(&take(&mut absent, 1).await), ["lasting"], "the other has expired at the broker");

    broker.kill();
    link_is(&publisher.link(), |l| !l.is_connected()).await;
    let offline = publisher.publish(topic(), "x".into(), None, false).await;
    assert!(matches!(offline, Outcome::Retry { .. }), "certainly not sent: {offline:?}");
    broker.restart();
    connected(&publisher.link()).await;
    assert!(matches!(publisher.publish(topic(), "x".into(), None, false).await, Outcome::Accepted { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_lost_before_the_puback_leaves_the_outcome_unknown() {
    // A broker that lets everybody in and never acknowledges anything.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("mqtt://{}", listener.local_addr().unwrap());
    let deaf = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 4096];
        assert!(socket.read(&mut buffer).await.unwrap() > 0);
        socket.write_all(&[0x20, 3, 0, 0, 0]).await.unwrap();
        let mut seen = Vec::new();
        while !seen.windows(5).any(|w| w == b"hello") {
            let n = socket.read(&mut buffer).await.unwrap();
            seen.extend_from_slice(&buffer[..n]);
        }
    });
    let publisher = publisher(&settings(&[url]), "out");
    connected(&publisher.link()).await;
    let outcome = publisher.publish("a/b".into(), "hello".into(), None, false).await;
    assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
    deaf.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_topic_tells_whether_the_daemon_is_there() {
    let broker = Broker::start(OPEN);
    let settings = settings(&[broker.url()]);
    let publisher = Publisher::connect(&settings, Role::of_daemon(&settings), clock()).unwrap();
    connected(&publisher.link()).await;
    let mut options = MqttOptions::new("watcher", "127.0.0.1", broker.port());
    options.set_keep_alive(Duration::from_secs(5));
    let (client, mut events) = AsyncClient::new(options, 10);
    client.subscribe("forewarn/fw-test/status", QoS::AtLeastOnce).await.unwrap();
    let mut seen = Vec::new();
    let mut stopping = None;
    let deadline = Instant::now() + DEADLINE;
    while seen.len() < 2 {
        let event = tokio::time::timeout_at(deadline, events.poll()).await.expect("two status messages").unwrap();
        if let Event::Incoming(Packet::Publish(publish)) = event {
            seen.push(String::from_utf8(publish.payload.to_vec()).unwrap());
            let publisher = publisher.clone();
            stopping.get_or_insert_with(|| tokio::spawn(async move { publisher.stop().await }));
        }
    }
    assert_eq!(seen, ["online", "offline"]);
    stopping.unwrap().await.unwrap();
}

/// A CA, and certificates signed by it, as PEM files in `dir`.
fn certificates(dir: &Path) {
    let key = || KeyPair::generate().unwrap();
    let ca = |name: &str| {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        CertifiedIssuer::self_signed(params, key()).unwrap()
    };
    let (ours, other) = (ca("our CA"), ca("another CA"));
    std::fs::write(dir.join("ca.pem"), ours.pem()).unwrap();
    std::fs::write(dir.join("other-ca.pem"), other.pem()).unwrap();
    for (name, usage, issuer) in [
        ("server", ExtendedKeyUsagePurpose::ServerAuth, &ours),
        ("client", ExtendedKeyUsagePurpose::ClientAuth, &ours),
        ("stranger", ExtendedKeyUsagePurpose::ClientAuth, &other),
    ] {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.extended_key_usages = vec![usage];
        let key = key();
        let certificate = params.signed_by(&key, issuer).unwrap();
        std::fs::write(dir.join(format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

const TLS: &str = "allow_anonymous true\ncafile {dir}/ca.pem\ncertfile {dir}/server.pem\nkeyfile {dir}/server.key\n";

fn tls_settings(broker: &Broker, host: &str, ca: &str) -> Settings {
    let url = format!("mqtts://{host}:{}", broker.port());
    Settings { ca_file: broker.dir().join(ca), ..settings(&[url]) }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_carries_messages_and_trusts_only_the_given_ca() {
    let broker = Broker::start_with(TLS, certificates);
    for host in ["localhost", "127.0.0.1"] {
        let good = tls_settings(&broker, host, "ca.pem");
        let mut connection = receive(&good);
        let sender = publisher(&good, "sender");
        connected(&connection.link).await;
        connected(&sender.link()).await;
        say(&sender, vec![b'x'; 300_000]).await;
        let messages = take(&mut connection, 1).await;
        assert_eq!(messages[0].payload, vec![b'x'; 300_000]);
        connection.acks.release(acks(&messages));
        connection.control.stop().await;
        sender.stop().await;
    }
    let bad = receive(&tls_settings(&broker, "localhost", "other-ca.pem"));
    link_is(&bad.link, |l| matches!(l, Link::Disconnected { reason, .. } if reason.contains("UnknownIssuer"))).await;
    // Without ca_file the system's CAs decide: this one is not among them.
    let system = Settings { ca_file: "".into(), ..tls_settings(&broker, "localhost", "ca.pem") };
    let bad = receive(&system);
    link_is(&bad.link, |l| matches!(l, Link::Disconnected { reason, .. } if reason.contains("TLS"))).await;
    // The right CA, but another host than the certificate names.
    let bad = receive(&tls_settings(&broker, "127.0.0.2", "ca.pem"));
    link_is(
        &bad.link,
        |l| matches!(l, Link::Disconnected { reason, .. } if reason.contains("TLS") || reason.contains("reach")),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mutual_tls_lets_in_whoever_has_a_certificate_of_the_ca() {
    let broker = Broker::start_with(&format!("{TLS}require_certificate true\n"), certificates);
    let base = tls_settings(&broker, "localhost", "ca.pem");
    let with = |name: &str| Settings {
        cert_file: broker.dir().join(format!("{name}.pem")),
        key_file: broker.dir().join(format!("{name}.key")),
        client_id: format!("fw-{name}"),
        ..base.clone()
    };
    let connection = receive(&with("client"));
    connected(&connection.link).await;
    for bad in [with("stranger"), base.clone()] {
        let refused = receive(&bad);
        let tls = |l: &Link| matches!(l, Link::Disconnected { reason, .. } if reason.starts_with("TLS"));
        link_is(&refused.link, tls).await;
    }
    let missing = Settings { key_file: broker.dir().join("nothing"), ..with("client") };
    let refused = receive(&missing);
    link_is(&refused.link, |l| matches!(l, Link::Disconnected { reason, .. } if reason.contains("cannot read"))).await;
}

/// A file for mosquitto with the password `secret` for each user.
fn passwords(file: &Path, users: &[&str]) {
    std::fs::write(file, "").unwrap();
    for user in users {
        let made = std::process::Command::new("mosquitto_passwd").arg("-b").arg(file).args([user, "secret"]).status();
        assert!(made.unwrap().success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shipped_broker_configuration_keeps_messages_and_devices_apart() {
    let conf = include_str!("../../config/mosquitto/forewarn.conf")
        .replace("/etc/mosquitto/", "{dir}/")
        .replace("listener 1883 127.0.0.1\n", "");
    let mut broker = Broker::start_with(&conf, |dir| {
        passwords(&dir.join("forewarn.passwd"), &["forewarn", "car-1"]);
        std::fs::write(dir.join("forewarn.acl"), include_str!("../../config/mosquitto/acl")).unwrap();
    });
    let user = |name: &str| Settings {
        username: name.into(),
        password: Some("secret".to_owned().into()),
        client_id: name.into(),
        ..settings(&[broker.url()])
    };
    let ours = user("forewarn");
    let device = publisher(&user("car-1"), "car-1");
    connected(&device.link()).await;
    let mut connection =
        mqtt::connect(&ours, filters(&[FILTER, "fleet/+/cmd/ack"]), clock(), ours.queue_limits()).unwrap();
    let all = |l: &Link| matches!(l, Link::Connected { refused, .. } if refused.is_empty());
    link_is(&connection.link, all).await;
    let foreign = device.publish("fleet/car-2/telemetry".into(), "not me".into(), None, false).await;
    assert!(matches!(foreign, Outcome::Rejected { .. }), "{foreign:?}");
    say(&device, "me").await;
    assert_eq!(payloads(&take(&mut connection, 1).await), ["me"]);
    let out = Publisher::connect(&ours, Role::of_daemon(&ours), clock()).unwrap();
    connected(&out.link()).await;
    let command = out.publish("fleet/car-1/cmd".into(), "{}".into(), None, false).await;
    assert!(matches!(command, Outcome::Accepted { .. }), "{command:?}");

    // The daemon is away, 3,000 messages are confirmed to the device, the broker is killed.
    connection.control.stop().await;
    for n in 0..3000 {
        let message = Message {
            topic: "fleet/car-1/telemetry".into(),
            payload: n.to_string().into(),
            expiry: None,
            retain: false,
            at_least_once: true,
        };
        drop(device.begin(message).await.unwrap());
    }
    say(&device, "last").await;
    let confirmed = broker.dir().join("confirmed");
    std::fs::write(&confirmed, "").unwrap();
    let written_at = |path: &Path| std::fs::metadata(path).and_then(|m| m.modified()).ok();
    let store = broker.dir().join("mosquitto.db");
    eventually("the broker saves its store", || written_at(&store) > written_at(&confirmed)).await;
    broker.kill();
    broker.restart();
    let mut connection = receive(&ours);
    let mut came = Vec::new();
    while came.len() < 3002 {
        let messages = take(&mut connection, 1).await;
        connection.acks.release(acks(&messages));
        came.extend(payloads(&messages));
    }
    let expected = (0..3000).map(|n| n.to_string());
    let me = ["me".to_owned()].into_iter();
    assert_eq!(came, me.chain(expected).chain(["last".to_owned()]).collect::<Vec<_>>(), "not one is lost");
}
