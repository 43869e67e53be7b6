//! Nobody can hold the server up: bodies, time, connections, shutdown.

use std::time::Duration;

use forewarn::http::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::callbacks::phone;
use super::world::{EFFECT, Mood, Options, World, code, read};

async fn limited(limits: Limits) -> World {
    World::with(Options { limits, ..Options::default() }).await
}

/// A connection without a client library.
async fn raw(world: &World) -> TcpStream {
    TcpStream::connect(world.url.strip_prefix("http://").unwrap()).await.unwrap()
}

/// What comes until the server closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = timeout(Duration::from_secs(10), stream.read_to_end(&mut bytes)).await.expect("not closed");
    // A reset ends it as well.
    let _ = read;
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn bodies_have_a_limit() {
    let world = World::new().await;
    let close = |n: usize| {
        let body = vec![b'x'; n];
        world.post("/api/v1/cases/aaaa1/close").bearer_auth(world.token("act")).body(body).send()
    };
    assert_eq!(read(close(65_536).await.unwrap()).await.0, 400);
    let (status, body) = read(close(65_537).await.unwrap()).await;
    assert_eq!((status, code(&body)), (413, "too_large"));
    for path in ["/twilio/voice", "/twilio/status", "/twilio/sms-status", "/dispatch/x"] {
        let (status, body) = read(world.post(path).body(vec![b'x'; 70_000]).send().await.unwrap()).await;
        assert_eq!((status, code(&body)), (413, "too_large"), "{path}");
    }
    // Without a stated length, the limit holds while reading.
    let mut stream = raw(&world).await;
    let head = "POST /dispatch/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..3 {
        let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
        let _ = stream.write_all(chunk.as_bytes()).await;
    }
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 413"));
}

#[tokio::test]
async fn a_desk_that_does_not_answer_is_not_waited_for() {
    let world = limited(Limits { request_time: Duration::from_millis(200), ..Limits::default() }).await;
    world.desk.set_mood(Mood::Silent);
    for request in [
        world.get("/api/v1/cases").bearer_auth(world.token("read")),
        world.post("/api/v1/cases/aaaa1111000000000000000000000001/ack").bearer_auth(world.token("ack")),
        phone(&world, &format!("/twilio/status?e={EFFECT}"), "CallSid=CA1&CallStatus=ringing"),
    ] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["retry-after"], "2");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
        let (status, body) = read(answer).await;
        assert_eq!((status, code(&body)), (503, "timed_out"));
    }
    // Probes do not need the desk.
    let began = Instant::now();
    assert_eq!(world.get("/healthz").send().await.unwrap().status().as_u16(), 200);
    assert!(began.elapsed() < Duration::from_millis(200));
}

#[tokio::test]
async fn slow_senders_are_cut_off() {
    let limits =
        Limits { head_time: Duration::from_secs(1), request_time: Duration::from_millis(300), ..Limits::default() };
    let world = limited(limits).await;
    // Half a head, for ever.
    let mut stream = raw(&world).await;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost:").await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    // A body that never comes.
    let mut stream = raw(&world).await;
    let head = "POST /dispatch/x HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 503"));
    // A connection that asks for nothing more.
    let mut stream = raw(&world).await;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn connections_are_counted() {
    let world = limited(Limits { connections: 2, ..Limits::default() }).await;
    let first = raw(&world).await;
    let mut second = raw(&world).await;
    second.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut begin = [0; 12];
    second.read_exact(&mut begin).await.unwrap();
    // The third waits in the backlog until one of them goes.
    let mut third = raw(&world).await;
    third.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    assert!(timeout(Duration::from_millis(300), third.read_exact(&mut begin)).await.is_err());
    drop(first);
    assert!(rest(&mut third).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn heads_have_a_limit() {
    let world = World::new().await;
    let mut stream = raw(&world).await;
    let head = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "x".repeat(200_000));
    let _ = stream.write_all(head.as_bytes()).await;
    let answer = rest(&mut stream).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn shutting_down_finishes_what_was_begun() {
    let mut world = World::new().await;
    let idle = raw(&world).await;
    world.desk.set_mood(Mood::Hesitates);
    let open = tokio::spawn(world.get("/api/v1/cases").bearer_auth(world.token("read")).send());
    world.desk.taken(1).await;
    world.begin_stop();
    // New ones are refused soon; the open one is served.
    while TcpStream::connect(world.url.strip_prefix("http://").unwrap()).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    world.desk.set_mood(Mood::Answers);
    assert_eq!(open.await.unwrap().unwrap().status().as_u16(), 200);
    world.stop().await;
    drop(idle);
}

#[tokio::test]
async fn shutting_down_does_not_wait_for_ever() {
    let mut world = limited(Limits { drain_time: Duration::from_millis(200), ..Limits::default() }).await;
    world.desk.set_mood(Mood::Silent);
    let open = tokio::spawn(world.get("/api/v1/cases").bearer_auth(world.token("read")).send());
    world.desk.taken(1).await;
    let began = Instant::now();
    world.stop().await;
    assert!(began.elapsed() < Duration::from_secs(2));
    assert!(open.await.unwrap().is_err());
}
