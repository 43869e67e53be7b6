//! A sender that is never the bottleneck: it has all packets ready and speaks just enough MQTT v5 to send them to a
//! broker as its client, or to a subscriber as its broker.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use forewarn::mqtt::BrokerUrl;

use crate::fleet::Message;

/// Messages under way: the receive maximum that the daemon asks for.
const WINDOW: usize = 1000;
/// Packet ids run from 1 to this and around.
const IDS: usize = 60_000;

/// PUBLISH packets, one behind the other, and where each ends.
pub(crate) struct Packets {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Packets {
    /// Of `count` messages made by `message`.
    pub(crate) fn new(count: u64, message: impl Fn(u64) -> Message) -> io::Result<Arc<Self>> {
        let mut packets = Self { bytes: Vec::new(), ends: vec![0] };
        for n in 0..count {
            packets.push(&message(n))?;
        }
        Ok(Arc::new(packets))
    }

    fn push(&mut self, message: &Message) -> io::Result<()> {
        let (topic, payload) = (message.topic(), message.payload());
        let id = u16::try_from((self.ends.len() - 1) % IDS + 1).map_err(io::Error::other)?;
        let topic_length = u16::try_from(topic.len()).map_err(io::Error::other)?;
        let length = 2 + topic.len() + 2 + 1 + payload.len();
        // 128 to 16,383 bytes: a length of two bytes, lower seven bits first.
        let low = u8::try_from(length % 128).map_err(io::Error::other)? | 0x80;
        let high = u8::try_from(length / 128).map_err(io::Error::other)?;
        self.bytes.extend([0x32, low, high]);
        self.bytes.extend(topic_length.to_be_bytes());
        self.bytes.extend(topic.as_bytes());
        self.bytes.extend(id.to_be_bytes());
        self.bytes.push(0);
        self.bytes.extend(payload.as_bytes());
        self.ends.push(self.bytes.len());
        Ok(())
    }

    pub(crate) fn count(&self) -> usize {
        self.ends.len() - 1
    }
}

/// Listens, and sends all packets to everybody who subscribes. Its threads end with the process.
pub(crate) fn listen(packets: Arc<Packets>) -> io::Result<BrokerUrl> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let packets = packets.clone();
            // A lost connection shows as a daemon that does not get on.
            thread::spawn(move || drop(exchange(stream, &packets)));
        }
    });
    format!("mqtt://127.0.0.1:{port}").parse().map_err(io::Error::other)
}

/// Sends all packets to the broker, and returns once it has acknowledged the last.
pub(crate) fn send(broker: &BrokerUrl, packets: &Packets) -> io::Result<()> {
    let mut stream = TcpStream::connect((broker.host.as_str(), broker.port))?;
    // CONNECT: clean start, no keep-alive, no properties, client id "src".
    stream.write_all(&[0x10, 16, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 0, 0, 0, 3, b's', b'r', b'c'])?;
    exchange(stream, packets)
}

/// The same from a thread of its own, while the caller goes on.
pub(crate) fn send_meanwhile(broker: &BrokerUrl, packets: &Arc<Packets>) {
    let (broker, packets) = (broker.clone(), packets.clone());
    // What goes wrong shows as a subscriber that does not get on.
    thread::spawn(move || drop(send(&broker, &packets)));
}

/// Talks until the other end closes, or has acknowledged everything.
fn exchange(mut stream: TcpStream, packets: &Packets) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut buffer, mut chunk) = (Vec::new(), [0; 64 * 1024]);
    let (mut sent, mut acked, mut open, mut client) = (0, 0, false, false);
    loop {
        let mut at = 0;
        while let Some((kind, body)) = packet(&buffer[at..]) {
            match (kind >> 4, body) {
                (1, _) => stream.write_all(&[0x20, 3, 0, 0, 0])?,
                // CONNACK: as a client we may send from here on.
                (2, _) => (open, client) = (true, true),
                (3, _) if kind & 0b110 != 0 => stream.write_all(&puback(body))?,
                (4, _) => acked += 1,
                (8, [high, low, ..]) => {
                    stream.write_all(&[0x90, 4, *high, *low, 0, 1])?;
                    open = true;
                }
                (12, _) => stream.write_all(&[0xD0, 0])?,
                (14, _) => return Ok(()),
                _ => {}
            }
            at = body.as_ptr_range().end.addr() - buffer.as_ptr().addr();
        }
        buffer.drain(..at);
        if client && acked == packets.count() {
            return stream.write_all(&[0xE0, 0]);
        }
        let until = (acked + WINDOW).min(packets.count());
        if open && until > sent {
            stream.write_all(&packets.bytes[packets.ends[sent]..packets.ends[until]])?;
            sent = until;
        }
        let n = stream.read(&mut chunk)?;
        if n == 0 {
            return Ok(());
        }
        buffer.extend_from_slice(&chunk[..n]);
    }
}

/// The first packet: its first byte and its body, once it is complete.
fn packet(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (kind, mut rest) = bytes.split_first()?;
    let (mut length, mut shift) = (0, 0);
    loop {
        let (byte, behind) = rest.split_first()?;
        length |= usize::from(byte & 0x7f) << shift;
        (rest, shift) = (behind, shift + 7);
        if byte & 0x80 == 0 {
            return Some((*kind, rest.get(..length)?));
        }
    }
}

/// The answer to a PUBLISH at QoS 1: its packet id stands behind the topic.
fn puback(publish: &[u8]) -> [u8; 4] {
    let id = publish
        .split_first_chunk()
        .and_then(|(length, rest)| rest.get(usize::from(u16::from_be_bytes(*length))..)?.first_chunk());
    let [high, low] = id.copied().unwrap_or([0, 0]);
    [0x40, 2, high, low]
}
