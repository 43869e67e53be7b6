//! A mail server that does what a test tells it to, over real sockets.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Where it goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// Answers this instead of its greeting.
    Greeting(&'static str),
    /// Answers this to AUTH.
    Auth(&'static str),
    /// Answers this to RCPT.
    Rcpt(&'static str),
    /// Answers this to DATA.
    Data(&'static str),
    /// Ends the connection when asked for DATA.
    CutAtData,
    /// Reads the whole mail and answers this.
    Dot(&'static str),
    /// Reads the whole mail and ends the connection.
    CutAfterDot,
    /// Reads the whole mail and says nothing more.
    SilentAfterDot,
    /// Takes so many mails in a session, then answers 4xx to MAIL.
    PerSession(usize),
    /// Takes one mail in a session, then closes it without a word.
    OneAndClose,
    /// Does not offer STARTTLS.
    NoStarttls,
}

/// A mail as it came.
#[derive(Debug, Clone, Default)]
pub(super) struct Got {
    pub(super) encrypted: bool,
    pub(super) login: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) text: String,
}

#[derive(Clone)]
pub(super) struct Smtpd {
    pub(super) address: SocketAddr,
    pub(super) fault: Arc<Mutex<Fault>>,
    /// Mails whose dot arrived, whatever was answered.
    pub(super) got: Arc<Mutex<Vec<Got>>>,
    pub(super) sessions: Arc<Mutex<usize>>,
}

/// How it protects itself.
#[derive(Clone)]
pub(super) enum Protection {
    None,
    Starttls(TlsAcceptor),
    Tls(TlsAcceptor),
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}
type Stream = BufReader<Box<dyn Io>>;

impl Smtpd {
    pub(super) async fn start(fault: Fault, protection: Protection) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            fault: Arc::new(Mutex::new(fault)),
            got: Arc::default(),
            sessions: Arc::default(),
        };
        let this = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *this.sessions.lock().unwrap() += 1;
                let (this, protection) = (this.clone(), protection.clone());
                tokio::spawn(async move {
                    let mut got = Got::default();
                    let stream: Box<dyn Io> = match &protection {
                        Protection::Tls(acceptor) => {
                            let Ok(stream) = acceptor.accept(stream).await else { return };
                            got.encrypted = true;
                            Box::new(stream)
                        }
                        _ => Box::new(stream),
                    };
                    this.talk(BufReader::new(stream), got, &protection).await;
                });
            }
        });
        server
    }

    pub(super) fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    async fn talk(&self, mut io: Stream, mut got: Got, protection: &Protection) -> Option<()> {
        let mut mails = 0;
        let fault = || *self.fault.lock().unwrap();
        match fault() {
            Fault::Greeting(text) => say(&mut io, text).await?,
            _ => say(&mut io, "220 mx.example.com ESMTP").await?,
        }
        loop {
            let line = line(&mut io).await?;
            let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
            match verb.as_str() {
                "EHLO" => {
                    let offers = matches!(protection, Protection::Starttls(_)) && !got.encrypted;
                    if offers && fault() != Fault::NoStarttls {
                        say(&mut io, "250-mx.example.com").await?;
                        say(&mut io, "250 STARTTLS").await?;
                    } else {
                        say(&mut io, "250-mx.example.com").await?;
                        say(&mut io, "250 AUTH PLAIN LOGIN").await?;
                    }
                }
                "STARTTLS" => {
                    let Protection::Starttls(acceptor) = protection else { return None };
                    say(&mut io, "220 go on").await?;
                    let stream = acceptor.accept(io.into_inner()).await.ok()?;
                    io = BufReader::new(Box::new(stream));
                    got.encrypted = true;
                }
                "AUTH" => match fault() {
                    Fault::Auth(text) => say(&mut io, text).await?,
                    _ => {
                        got.login = line;
                        say(&mut io, "235 ok").await?;
                    }
                },
                "MAIL" => {
                    if matches!(fault(), Fault::PerSession(n) if mails >= n) {
                        say(&mut io, "452 too many mails in this session").await?;
                    } else {
                        got.from = line;
                        say(&mut io, "250 ok").await?;
                    }
                }
                "RCPT" => match fault() {
                    Fault::Rcpt(text) => say(&mut io, text).await?,
                    _ => {
                        got.to = line;
                        say(&mut io, "250 ok").await?;
                    }
                },
                "DATA" => {
                    match fault() {
                        Fault::CutAtData => return None,
                        Fault::Data(text) => {
                            say(&mut io, text).await?;
                            continue;
                        }
                        _ => say(&mut io, "354 go on").await?,
                    }
                    got.text = text(&mut io).await?;
                    self.got.lock().unwrap().push(got.clone());
                    mails += 1;
                    match fault() {
                        Fault::CutAfterDot => return None,
                        Fault::SilentAfterDot => tokio::time::sleep(Duration::from_secs(60)).await,
                        Fault::Dot(text) => say(&mut io, text).await?,
                        _ => say(&mut io, "250 queued").await?,
                    }
                    if fault() == Fault::OneAndClose {
                        return None;
                    }
                }
                "QUIT" => {
                    say(&mut io, "221 bye").await?;
                    return None;
                }
                _ => say(&mut io, "250 ok").await?,
            }
        }
    }
}

async fn text(io: &mut Stream) -> Option<String> {
    let mut text = String::new();
    loop {
        let line = line(io).await?;
        if line == "." {
            return Some(text);
        }
        text.push_str(line.strip_prefix('.').unwrap_or(&line));
        text.push_str("\r\n");
    }
}

async fn line(io: &mut (impl AsyncBufRead + Unpin)) -> Option<String> {
    let mut line = String::new();
    match io.read_line(&mut line).await {
        Ok(n) if n > 0 => Some(line.trim_end_matches(['\r', '\n']).to_owned()),
        _ => None,
    }
}

async fn say(io: &mut Stream, text: &str) -> Option<()> {
    io.get_mut().write_all(format!("{text}\r\n").as_bytes()).await.ok()?;
    io.get_mut().flush().await.ok()
}
