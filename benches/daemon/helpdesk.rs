//! A ticket desk that takes every ticket at once and notes when its first byte came.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::time::Instant;

type Tickets = Arc<Mutex<Vec<(String, Instant)>>>;

/// A running desk. Its threads end with the process.
pub(crate) struct Helpdesk {
    pub(crate) port: u16,
    tickets: Tickets,
}

impl Helpdesk {
    pub(crate) fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        let tickets = Tickets::default();
        let shared = tickets.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let tickets = shared.clone();
                // A broken connection is the daemon's to repeat.
                thread::spawn(move || drop(serve(stream, &tickets)));
            }
        });
        Ok(Self { port, tickets })
    }

    /// Titles of the tickets so far, each with the instant of the first byte of its request.
    pub(crate) fn tickets(&self) -> Vec<(String, Instant)> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Answers requests on one kept-alive connection until it closes.
fn serve(mut stream: TcpStream, tickets: &Tickets) -> io::Result<()> {
    let mut buffer = Vec::new();
    let mut first_byte = None;
    let mut chunk = [0; 16 * 1024];
    loop {
        if let Some(end) = request_end(&buffer) {
            let request: Vec<u8> = buffer.drain(..end).collect();
            let body = request.windows(4).position(|w| w == b"\r\n\r\n").map_or(&[][..], |at| &request[at + 4..]);
            let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
            if let (Some("ticket.create"), Some(title), Some(at)) =
                (json["type"].as_str(), json["title"].as_str(), first_byte)
            {
                tickets.lock().unwrap_or_else(PoisonError::into_inner).push((title.to_owned(), at));
            }
            let answer = r#"{"ref":"T-1"}"#;
            write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{answer}",
                answer.len()
            )?;
            first_byte = None;
            continue;
        }
        let n = stream.read(&mut chunk)?;
        if n == 0 {
            return Ok(());
        }
        first_byte.get_or_insert_with(Instant::now);
        buffer.extend_from_slice(&chunk[..n]);
    }
}

/// Where the first request ends, once all of it is there.
fn request_end(buffer: &[u8]) -> Option<usize> {
    let head = buffer.windows(4).position(|w| w == b"\r\n\r\n")?;
    let text = String::from_utf8_lossy(&buffer[..head]).to_lowercase();
    let length =
        text.lines().find_map(|l| l.strip_prefix("content-length:")).and_then(|n| n.trim().parse::<usize>().ok());
    let end = head + 4 + length.unwrap_or(0);
    (buffer.len() >= end).then_some(end)
}
