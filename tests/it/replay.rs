//! `forewarn replay` against a real mosquitto.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use clap::Parser as _;
use forewarn::cli::replay;
use tokio::time::Instant;

use crate::broker::{Broker, OPEN};
use crate::mqtt::{acks, clock, connected, eventually, filters, payloads, receive, settings, take};

/// `forewarn replay` as the command line gives it.
#[derive(clap::Parser)]
struct Replay {
    #[command(flatten)]
    args: replay::Args,
}

async fn replay(args: &[&str]) -> String {
    let args = Replay::parse_from(std::iter::once("replay").chain(args.iter().copied())).args;
    format!("{:?}", replay::run(args, clock()).await)
}

fn exit_code(code: u8) -> String {
    format!("{:?}", std::process::ExitCode::from(code))
}

fn recording(rows: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut gz = flate2::write::GzEncoder::new(file.reopen().unwrap(), flate2::Compression::default());
    gz.write_all(rows.as_bytes()).unwrap();
    gz.finish().unwrap();
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_recording_arrives_exactly() {
    let broker = Broker::start(OPEN);
    let settings = settings(&[broker.url()]);
    let mut connection = receive(&settings);
    connected(&connection.link).await;
    // Numbers whose decimal digits matter, a gap, a text; more rows than the window holds.
    let values = ["298.1", "0.1", "-0.00070", "1e-5", "", "9007199254740993"];
    let mut rows = String::from("ts,device,type,x\n");
    let mut expected = Vec::new();
    for n in 0..3000 {
        let value = values[n % values.len()];
        let ts = format!("2020-01-01T{:02}:{:02}:00", n / 60 % 24, n % 60);
        rows += &format!("{ts},mill-{},M,{value}\n", n % 3);
        let x = if value.is_empty() { String::new() } else { format!(",\"x\":{value}") };
        expected.push((format!("mills/mill-{}", n % 3), format!("{{\"ts\":\"{ts}Z\",\"type\":\"M\"{x}}}")));
    }
    connection.control.set_filters(filters(&["mills/+"]));
    eventually("SUBSCRIBE", || broker.log().contains("fw-test 1 mills/+")).await;
    let file = recording(&rows);
    let path = file.path().to_str().unwrap().to_owned();
    let url = broker.url();
    let sending =
        tokio::spawn(
            async move { replay(&[&path, "--broker", &url, "--speed", "max", "--topic", "mills/{device}"]).await },
        );
    let mut got = Vec::new();
    while got.len() < 3000 {
        let messages = take(&mut connection, 100).await;
        connection.acks.release(acks(&messages));
        let text = |b: &Bytes| String::from_utf8(b.to_vec()).unwrap();
        got.extend(messages.iter().map(|m| (text(&m.topic), text(&m.payload))));
    }
    assert_eq!(got, expected);
    assert_eq!(sending.await.unwrap(), exit_code(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_keeps_the_pace_of_the_recording_and_its_limit() {
    let broker = Broker::start(OPEN);
    let file = recording("ts,device,x\n2020-01-01T00:00:00,a,1\n2020-01-01T00:01:00,a,2\n2020-01-01T09:00:00,a,3\n");
    let path = file.path().to_str().unwrap();
    let started = Instant::now();
    let code = replay(&[path, "--broker", &broker.url(), "--speed", "60", "--limit", "2"]).await;
    let took = started.elapsed();
    assert_eq!(code, exit_code(0));
    assert!((Duration::from_secs(1)..Duration::from_secs(9)).contains(&took), "one minute at 60 times: {took:?}");
    let published = broker.log().matches("Received PUBLISH from forewarn-replay").count();
    assert_eq!(published, 2, "{}", broker.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_goes_on_after_the_broker_was_away() {
    let mut broker = Broker::start(OPEN);
    let settings = settings(&[broker.url()]);
    let mut connection = receive(&settings);
    connected(&connection.link).await;
    let rows: String = (0..40).map(|n| format!("2020-01-01T00:00:{n:02},a,{n}\n")).collect();
    let file = recording(&format!("ts,device,x\n{rows}"));
    let (path, url) = (file.path().to_str().unwrap().to_owned(), broker.url());
    let sending = tokio::spawn(async move { replay(&[&path, "--broker", &url, "--speed", "20"]).await });
    let first = take(&mut connection, 5).await;
    broker.stop();
    broker.restart();
    let mut seen: BTreeSet<String> = payloads(&first).into_iter().collect();
    while seen.len() < 40 {
        let messages = take(&mut connection, 1).await;
        connection.acks.release(acks(&messages));
        seen.extend(payloads(&messages));
    }
    assert_eq!(sending.await.unwrap(), exit_code(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_says_what_is_wrong_and_sends_nothing_of_a_bad_recording() {
    let broker = Broker::start(OPEN);
    let good = recording("ts,device,x\n2020-01-01T00:00:00,a,1\n");
    let bad = recording("ts,device,x\n2020-01-01T00:00:00,a,1\nnever,a,2\n");
    let (good, bad) = (good.path().to_str().unwrap(), bad.path().to_str().unwrap());
    assert_eq!(replay(&[bad, "--broker", &broker.url(), "--speed", "max"]).await, exit_code(1));
    assert!(!broker.log().contains("Received PUBLISH"));
    let nobody = format!("mqtt://127.0.0.1:{}", crate::broker::free_port());
    assert_eq!(replay(&[good, "--broker", &nobody]).await, exit_code(1));
    assert_eq!(replay(&[good, "--broker", "http://x"]).await, exit_code(64));
    assert_eq!(replay(&["/does/not/exist", "--broker", &broker.url()]).await, exit_code(1));
    for wrong in [["--speed", "0"], ["--speed", "fast"], ["--qos", "2"], ["--topic", "a/b"]] {
        let args = ["replay", good, "--broker", "mqtt://x", wrong[0], wrong[1]];
        assert!(Replay::try_parse_from(args).is_err(), "{wrong:?}");
    }
}
