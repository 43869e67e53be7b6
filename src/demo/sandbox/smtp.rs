//! A mail server: RFC 5321 as far as a submission client goes, keeping what it accepts.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::{Script, Sighting, Stage, lock};
use crate::demo::Error;
use crate::domain::At;

/// Longest command line and longest line of a message, in bytes.
const LINE: u64 = 4096;
/// Largest message, in bytes.
const MESSAGE: usize = 4 << 20;
/// Most recipients of one message.
const RECIPIENTS: usize = 100;

/// A mail that was accepted: 250 was decided after the final dot, whether or not the client heard it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Envelope sender, empty for bounces.
    pub from: String,
    /// Envelope recipients.
    pub to: Vec<String>,
    /// The message, dots unstuffed, line ends CRLF.
    pub data: String,
    /// When it was accepted.
    pub at: At,
}

impl Mail {
    /// A header, unfolded, `None` if absent. Names are matched without case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        let head = self.data.split("\r\n\r\n").next().unwrap_or("");
        let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
        unfolded.split("\r\n").find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }

    /// The idempotency key: Message-ID without its angle brackets.
    #[must_use]
    pub fn message_id(&self) -> Option<String> {
        self.header("message-id").map(|id| id.trim_matches(['<', '>']).to_owned())
    }

    /// The first plain text in it, decoded.
    #[must_use]
    pub fn text(&self) -> String {
        let Some((_, part)) = self.data.split_once("Content-Type: text/plain") else { return String::new() };
        let (head, body) = part.split_once("\r\n\r\n").unwrap_or(("", part));
        let body = body.split("\r\n--").next().unwrap_or(body);
        let bytes = match head.to_ascii_lowercase() {
            head if head.contains("base64") => STANDARD.decode(body.replace("\r\n", "")).ok(),
            head if head.contains("quoted-printable") => quoted(&body.replace("=\r\n", "").replace('_', "=5F")),
            _ => Some(body.as_bytes().to_vec()),
        };
        String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
    }

    /// The subject, RFC 2047 words decoded.
    #[must_use]
    pub fn subject(&self) -> String {
        decode_words(&self.header("subject").unwrap_or_default())
    }
}

/// What the server does to the next message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailFault {
    /// `451` instead of `354` to DATA: provably not accepted.
    BusyBeforeData,
    /// `452` after the final dot: not accepted, said clearly.
    RefuseAfterDot,
    /// `550` to RCPT: no such mailbox.
    NoSuchMailbox,
    /// Accepts the message, then cuts the connection without an answer.
    CutAfterDot,
    /// Cuts the connection after DATA without accepting anything.
    CutInData,
    /// Accepts, but answers the final dot only after this time.
    Slow(Duration),
}

#[derive(Debug)]
struct State {
    mails: Mutex<Vec<Mail>>,
    script: Script<MailFault>,
    login: Option<(String, String)>,
    stage: Stage,
}

/// A running mail server; ends when dropped.
#[derive(Debug)]
pub struct MailServer {
    addr: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

impl MailServer {
    /// Listens on a free loopback port. With a `login` (user, password) nothing is accepted before AUTH PLAIN.
    ///
    /// # Errors
    /// [`Error::Listen`].
    pub async fn start(login: Option<(&str, &str)>, stage: Stage) -> Result<Self, Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(Error::Listen)?;
        let addr = listener.local_addr().map_err(Error::Listen)?;
        let login = login.map(|(u, p)| (u.to_owned(), p.to_owned()));
        let state = Arc::new(State { mails: Mutex::default(), script: Script::default(), login, stage });
        let shared = state.clone();
        let task = tokio::spawn(async move {
            let mut sessions = tokio::task::JoinSet::new();
            loop {
                tokio::select! {
                    Ok((stream, _)) = listener.accept() => {
                        stream.set_nodelay(true).ok();
                        let state = shared.clone();
                        // A session that fails is the client's business; it sees the closed connection.
                        sessions.spawn(async move { Session::new(stream, state).run().await.ok() });
                    }
                    Some(_) = sessions.join_next() => {}
                }
            }
        });
        Ok(Self { addr, state, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What happens to the next messages, one entry each.
    pub fn script(&self, faults: impl IntoIterator<Item = MailFault>) {
        self.state.script.add(faults);
    }

    /// Everything accepted, in order.
    #[must_use]
    pub fn accepted(&self) -> Vec<Mail> {
        lock(&self.state.mails).clone()
    }

    /// How often a message with this text in its Message-ID was accepted.
    #[must_use]
    pub fn count(&self, key: &str) -> usize {
        lock(&self.state.mails).iter().filter(|m| m.message_id().is_some_and(|id| id.contains(key))).count()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Session {
    io: BufReader<TcpStream>,
    state: Arc<State>,
    greeted: bool,
    logged_in: bool,
    from: Option<String>,
    to: Vec<String>,
    fault: Option<MailFault>,
}

impl Session {
    fn new(stream: TcpStream, state: Arc<State>) -> Self {
        let logged_in = state.login.is_none();
        Self { io: BufReader::new(stream), state, greeted: false, logged_in, from: None, to: Vec::new(), fault: None }
    }

    async fn run(mut self) -> std::io::Result<()> {
        self.say("220 sandbox.example ESMTP").await?;
        while let Some(line) = self.line().await? {
            let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
            let reply = match verb.to_ascii_uppercase().as_str() {
                "EHLO" | "HELO" if rest.trim().is_empty() => "501 5.5.4 who are you?".to_owned(),
                "EHLO" => {
                    self.greeted = true;
                    self.reset();
                    let auth = if self.state.login.is_some() { "250-AUTH PLAIN\r\n" } else { "" };
                    format!("250-sandbox.example\r\n{auth}250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE {MESSAGE}")
                }
                "HELO" => {
                    self.greeted = true;
                    self.reset();
                    "250 sandbox.example".to_owned()
                }
                "AUTH" => self.auth(rest).await?,
                "MAIL" => self.mail(rest),
                "RCPT" => self.rcpt(rest),
                "DATA" => match self.data().await? {
                    Some(reply) => reply,
                    None => return Ok(()),
                },
                "RSET" => {
                    self.reset();
                    "250 2.0.0 ok".to_owned()
                }
                "NOOP" => "250 2.0.0 ok".to_owned(),
                "QUIT" => {
                    self.say("221 2.0.0 bye").await?;
                    return Ok(());
                }
                _ => "500 5.5.2 what?".to_owned(),
            };
            self.say(&reply).await?;
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.from = None;
        self.to.clear();
        self.fault = None;
    }

    async fn auth(&mut self, rest: &str) -> std::io::Result<String> {
        let Some((user, password)) = self.state.login.clone() else { return Ok("503 5.5.1 no AUTH here".to_owned()) };
        let mut words = rest.split_whitespace();
        if !words.next().is_some_and(|m| m.eq_ignore_ascii_case("PLAIN")) {
            return Ok("504 5.5.4 AUTH PLAIN only".to_owned());
        }
        let token = match words.next() {
            Some(token) => token.to_owned(),
            None => {
                self.say("334 ").await?;
                self.line().await?.unwrap_or_default()
            }
        };
        let plain = STANDARD.decode(token).unwrap_or_default();
        // authorisation identity (may be empty), user, password
        let mut parts = plain.splitn(3, |b| *b == 0).skip(1);
        self.logged_in = parts.next() == Some(user.as_bytes()) && parts.next() == Some(password.as_bytes());
        Ok(if self.logged_in { "235 2.7.0 welcome" } else { "535 5.7.8 wrong user or password" }.to_owned())
    }

    fn mail(&mut self, rest: &str) -> String {
        if !self.greeted {
            return "503 5.5.1 EHLO first".to_owned();
        }
        if !self.logged_in {
            return "530 5.7.0 AUTH first".to_owned();
        }
        if self.from.is_some() {
            return "503 5.5.1 one sender a message".to_owned();
        }
        let Some(from) = mailbox(rest, "FROM:") else { return "501 5.5.4 MAIL FROM:<…>".to_owned() };
        self.from = Some(from);
        self.fault = self.state.script.next();
        "250 2.1.0 ok".to_owned()
    }

    fn rcpt(&mut self, rest: &str) -> String {
        if self.from.is_none() {
            return "503 5.5.1 MAIL first".to_owned();
        }
        if self.to.len() >= RECIPIENTS {
            return "452 4.5.3 too many recipients".to_owned();
        }
        match mailbox(rest, "TO:").filter(|to| to.contains('@')) {
            _ if self.fault == Some(MailFault::NoSuchMailbox) => "550 5.1.1 no such mailbox".to_owned(),
            Some(to) => {
                self.to.push(to);
                "250 2.1.5 ok".to_owned()
            }
            None => "501 5.1.3 RCPT TO:<mailbox@domain>".to_owned(),
        }
    }

    /// `None`: the connection is to be cut.
    async fn data(&mut self) -> std::io::Result<Option<String>> {
        let Some(from) = self.from.clone().filter(|_| !self.to.is_empty()) else {
            return Ok(Some("503 5.5.1 RCPT first".to_owned()));
        };
        if self.fault == Some(MailFault::BusyBeforeData) {
            self.reset();
            return Ok(Some("451 4.3.0 try again later".to_owned()));
        }
        self.say("354 end with a dot").await?;
        if self.fault == Some(MailFault::CutInData) {
            return Ok(None);
        }
        let mut data = String::new();
        loop {
            let Some(line) = self.line().await? else { return Ok(None) };
            if line == "." {
                break;
            }
            if data.len() + line.len() > MESSAGE {
                return Ok(Some("552 5.3.4 too large".to_owned()));
            }
            // RFC 5321 4.5.2: a leading dot was doubled by the client.
            data.push_str(line.strip_prefix('.').unwrap_or(&line));
            data.push_str("\r\n");
        }
        let fault = self.fault.take();
        if fault == Some(MailFault::RefuseAfterDot) {
            self.reset();
            return Ok(Some("452 4.2.2 mailbox full".to_owned()));
        }
        let mail = Mail { from, to: self.to.clone(), data, at: (self.state.stage.clock)() };
        if mail.message_id().is_none() || mail.header("from").is_none() || mail.header("date").is_none() {
            self.reset();
            return Ok(Some("550 5.6.0 a message needs From, Date and Message-ID".to_owned()));
        }
        let subject = mail.subject();
        for to in &mail.to {
            self.state.stage.sightings.saw(Sighting::Mail { to: to.clone(), subject: subject.clone() });
        }
        let number = {
            let mut mails = lock(&self.state.mails);
            mails.push(mail);
            mails.len()
        };
        self.reset();
        match fault {
            Some(MailFault::CutAfterDot) => return Ok(None),
            Some(MailFault::Slow(pause)) => tokio::time::sleep(pause).await,
            _ => {}
        }
        Ok(Some(format!("250 2.0.0 kept as {number}")))
    }

    async fn say(&mut self, text: &str) -> std::io::Result<()> {
        self.io.write_all(format!("{text}\r\n").as_bytes()).await
    }

    /// The next line without its CRLF; `None` at the end of the stream. A line that is too long ends the session.
    async fn line(&mut self) -> std::io::Result<Option<String>> {
        let mut raw = Vec::new();
        (&mut self.io).take(LINE).read_until(b'\n', &mut raw).await?;
        if raw.last() != Some(&b'\n') {
            return Ok(None);
        }
        raw.pop();
        if raw.last() == Some(&b'\r') {
            raw.pop();
        }
        Ok(Some(String::from_utf8_lossy(&raw).into_owned()))
    }
}

/// `FROM:<a@b> SIZE=…` -> `a@b`.
fn mailbox(text: &str, prefix: &str) -> Option<String> {
    let rest = text.trim_start();
    let head = rest.get(..prefix.len()).filter(|h| h.eq_ignore_ascii_case(prefix))?;
    let inner = rest[head.len()..].trim_start().strip_prefix('<')?;
    let (address, _) = inner.split_once('>')?;
    Some(address.to_owned())
}

/// RFC 2047 encoded words in UTF-8; anything else stays as it is.
fn decode_words(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    let mut after_word = false;
    while let Some((before, word, after)) = encoded_word(rest) {
        // White space between two encoded words is not part of the text.
        if !(after_word && before.trim().is_empty()) {
            out.push_str(before);
        }
        out.push_str(&word);
        after_word = true;
        rest = after;
    }
    out.push_str(rest);
    out
}

fn encoded_word(text: &str) -> Option<(&str, String, &str)> {
    let start = text.find("=?")?;
    let mut parts = text[start + 2..].splitn(3, '?');
    let (charset, encoding, tail) = (parts.next()?, parts.next()?, parts.next()?);
    let (body, after) = tail.split_once("?=")?;
    if !charset.eq_ignore_ascii_case("utf-8") {
        return None;
    }
    let bytes = match encoding {
        "b" | "B" => STANDARD.decode(body).ok()?,
        "q" | "Q" => quoted(body)?,
        _ => return None,
    };
    Some((&text[..start], String::from_utf8(bytes).ok()?, after))
}

fn quoted(body: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut bytes = body.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'_' => b' ',
            b'=' => {
                let hex = [bytes.next()?, bytes.next()?];
                u8::from_str_radix(std::str::from_utf8(&hex).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_words_are_read() {
        for (raw, text) in [
            ("plain", "plain"),
            ("=?utf-8?b?QnJlbXNrcmVpcyDDvA==?= x", "Bremskreis ü x"),
            ("=?utf-8?b?w7w=?= =?utf-8?b?w6Q=?=", "üä"),
            ("=?utf-8?q?=C3=BC_a?=", "ü a"),
            ("=?koi8-r?b?xx?=", "=?koi8-r?b?xx?="),
        ] {
            assert_eq!(decode_words(raw), text, "{raw}");
        }
    }
}
