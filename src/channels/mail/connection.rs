//! One SMTP connection: reaching a server that we may hand mail to, and handing over one mail.

use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use std::{fmt, io};

use lettre::Message;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, AsyncTokioStream, Certificate, CertificateStore, TlsParameters,
};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use rustls::pki_types::ServerName;
use secrecy::ExposeSecret as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::channels::settings::{MailTls, SmtpSettings};
use crate::channels::{Error, Site, tls};

/// To connect.
const CONNECT: Duration = Duration::from_secs(3);
/// From the greeting to the login; and again from MAIL to the go-ahead for the text. A server may be slow (it looks us
/// up, it runs a greylist), but not for ever.
const DIALOGUE: Duration = Duration::from_secs(10);
/// Longest wait for the answer to a whole mail.
const ANSWER: Duration = Duration::from_secs(60);

/// Why a mail did not go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// 4xx: the server does not have it, and says so.
    NotNow(String),
    /// The connection failed, and the server does not have it.
    Broken(String),
    /// 5xx, or nothing that SMTP could carry.
    Never(String),
    /// The dot was written and no answer came.
    AfterTheDot(String),
}

impl Failure {
    /// Whether the trouble may lie in the connection being an old one.
    pub(super) fn worth_a_new_connection(&self) -> bool {
        matches!(self, Self::NotNow(_) | Self::Broken(_))
    }

    /// Before the dot.
    fn before(e: &lettre::transport::smtp::Error) -> Self {
        match e {
            e if e.is_permanent() => Self::Never(words(e)),
            e if e.is_transient() => Self::NotNow(words(e)),
            e => Self::Broken(words(e)),
        }
    }

    /// With the dot: only a clear answer is one.
    fn after(e: &lettre::transport::smtp::Error) -> Self {
        match e {
            e if e.is_permanent() => Self::Never(words(e)),
            e if e.is_transient() => Self::NotNow(words(e)),
            e => Self::AfterTheDot(format!("the whole mail was handed over, then: {}", words(e))),
        }
    }

    fn slow(_: tokio::time::error::Elapsed) -> Self {
        Self::Broken("the mail server did not answer in time".into())
    }
}

/// A mail server that we may hand mail to.
pub(super) struct Server {
    host: String,
    port: u16,
    hello: ClientId,
    security: Security,
    credentials: Option<Credentials>,
    answer_timeout: Duration,
}

enum Security {
    None,
    Starttls(Box<TlsParameters>),
    Tls(TlsConnector, ServerName<'static>),
}

impl Server {
    pub(super) fn new(s: &SmtpSettings, domain: &str, site: &Site<'_>) -> Result<Self, Error> {
        let port = match s.tls {
            MailTls::Starttls => 587,
            MailTls::Tls => 465,
            MailTls::None => 25,
        };
        Ok(Self {
            host: s.host.clone(),
            port: s.port.unwrap_or(port),
            hello: ClientId::Domain(s.hello.clone().unwrap_or_else(|| domain.to_owned())),
            security: security(s, site)?,
            credentials: credentials(s, site)?,
            answer_timeout: s.answer_timeout.map_or(ANSWER, |span| span.to_std().min(ANSWER)),
        })
    }

    /// Connects, protects the connection and logs in.
    pub(super) async fn connect(&self) -> Result<AsyncSmtpConnection, Failure> {
        let stream = match timeout(CONNECT, TcpStream::connect((self.host.as_str(), self.port))).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(e)) => return Err(Failure::Broken(format!("cannot connect to the mail server: {e}"))),
            Err(_) => return Err(Failure::Broken("cannot connect to the mail server in time".into())),
        };
        // Without it each small command waits for the acknowledgement of the one before: 23 mails a second instead of
        // hundreds on one connection.
        let _ = stream.set_nodelay(true);
        timeout(DIALOGUE, self.greet(stream)).await.map_err(Failure::slow)?
    }

    async fn greet(&self, stream: TcpStream) -> Result<AsyncSmtpConnection, Failure> {
        let stream: Box<dyn AsyncTokioStream> = match &self.security {
            Security::Tls(connector, name) => match connector.connect(name.clone(), stream).await {
                Ok(stream) => Box::new(Encrypted(stream)),
                Err(e) => return Err(Failure::Broken(format!("no TLS with the mail server: {e}"))),
            },
            Security::None | Security::Starttls(_) => Box::new(stream),
        };
        let smtp = |e: lettre::transport::smtp::Error| Failure::before(&e);
        let mut connection = AsyncSmtpConnection::connect_with_transport(stream, &self.hello).await.map_err(smtp)?;
        if let Security::Starttls(parameters) = &self.security {
            connection.starttls((**parameters).clone(), &self.hello).await.map_err(smtp)?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(&[Mechanism::Plain, Mechanism::Login], credentials).await.map_err(smtp)?;
        }
        Ok(connection)
    }

    /// Hands over one mail.
    pub(super) async fn transmit(&self, connection: &mut AsyncSmtpConnection, mail: &Message) -> Result<(), Failure> {
        timeout(DIALOGUE, envelope(connection, mail)).await.map_err(Failure::slow)??;
        let text = mail.formatted();
        let dot = AtomicBool::new(false);
        let parts = UntilTheDot { text: Some(&text), dot: &dot };
        let answer = timeout(self.answer_timeout, connection.message_iter(parts)).await;
        match (answer, dot.load(Ordering::Relaxed)) {
            (Ok(Ok(_)), _) => Ok(()),
            (Ok(Err(e)), true) => Err(Failure::after(&e)),
            (Ok(Err(e)), false) => Err(Failure::before(&e)),
            (Err(_), true) => {
                Err(Failure::AfterTheDot("the whole mail was handed over and no answer came in time".into()))
            }
            (Err(elapsed), false) => Err(Failure::slow(elapsed)),
        }
    }
}

/// MAIL, RCPT, DATA.
async fn envelope(connection: &mut AsyncSmtpConnection, mail: &Message) -> Result<(), Failure> {
    let envelope = mail.envelope();
    let addresses = || envelope.from().into_iter().chain(envelope.to());
    let mut parameters = Vec::new();
    if addresses().any(|a| !AsRef::<str>::as_ref(a).is_ascii()) {
        if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            return Err(Failure::Never("the mail server cannot do addresses outside ASCII (SMTPUTF8)".into()));
        }
        parameters.push(MailParameter::SmtpUtfEight);
    }
    let smtp = |e: lettre::transport::smtp::Error| Failure::before(&e);
    connection.command(Mail::new(envelope.from().cloned(), parameters)).await.map_err(smtp)?;
    for to in envelope.to() {
        connection.command(Rcpt::new(to.clone(), Vec::new())).await.map_err(smtp)?;
    }
    connection.command(Data).await.map_err(smtp)?;
    Ok(())
}

/// The text of a mail in one part. The client asks for a next part only after the text is written, and writes the dot
/// when there is none: so being asked twice is the last moment at which the server certainly has nothing.
struct UntilTheDot<'a> {
    text: Option<&'a [u8]>,
    dot: &'a AtomicBool,
}

impl<'a> Iterator for UntilTheDot<'a> {
    type Item = &'a [u8];
    fn next(&mut self) -> Option<&'a [u8]> {
        let part = self.text.take();
        if part.is_none() {
            self.dot.store(true, Ordering::Relaxed);
        }
        part
    }
}

fn security(s: &SmtpSettings, site: &Site<'_>) -> Result<Security, Error> {
    let ca_file = s.ca_file.as_deref();
    match s.tls {
        MailTls::None if s.insecure == Some(true) || is_this_machine(&s.host) => Ok(Security::None),
        MailTls::None => Err(site.error("tls", "'none' is for this machine only (or say `insecure = true`)")),
        MailTls::Starttls => starttls(&s.host, ca_file, site).map(|p| Security::Starttls(Box::new(p))),
        MailTls::Tls => {
            let name = ServerName::try_from(s.host.clone()).map_err(|e| site.error("host", e.to_string()))?;
            Ok(Security::Tls(TlsConnector::from(Arc::new(tls::verifying(site, ca_file)?)), name))
        }
    }
}

/// The client upgrades its own stream, with its own parameters; they say the same as [`tls::verifying`].
fn starttls(host: &str, ca_file: Option<&Path>, site: &Site<'_>) -> Result<TlsParameters, Error> {
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(path) = ca_file {
        let wrong = |e| site.error("ca_file", format!("not usable: {e}"));
        let certificate = Certificate::from_pem(&site.read("ca_file", path)?).map_err(wrong)?;
        builder = builder.certificate_store(CertificateStore::None).add_root_certificate(certificate);
    }
    builder.build().map_err(|e| site.error("tls", e.to_string()))
}

fn credentials(s: &SmtpSettings, site: &Site<'_>) -> Result<Option<Credentials>, Error> {
    let Some(username) = s.username.clone().filter(|u| !u.is_empty()) else { return Ok(None) };
    let password = site.secret("password", s.password.as_ref(), s.password_file.as_deref())?;
    Ok(Some(Credentials::new(username, password.expose_secret().to_owned())))
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

/// The server's words on one line, with their code.
fn words(e: &lettre::transport::smtp::Error) -> String {
    let mut text = e.to_string();
    let mut cause = std::error::Error::source(e);
    while let Some(e) = cause {
        let next = e.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = e.source();
    }
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}

/// A stream with TLS from the first byte. The client wants to know the peer.
struct Encrypted(TlsStream<TcpStream>);

impl AsyncTokioStream for Encrypted {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().0.peer_addr()
    }
}

impl fmt::Debug for Encrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Encrypted(..)")
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    /// A wire that holds little, so that a text cannot vanish into it.
    #[derive(Debug)]
    struct Wire(DuplexStream);

    impl AsyncTokioStream for Wire {
        fn peer_addr(&self) -> io::Result<SocketAddr> {
            Err(io::ErrorKind::NotConnected.into())
        }
    }
    impl AsyncRead for Wire {
        fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_read(cx, buf)
        }
    }
    impl AsyncWrite for Wire {
        fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.0).poll_write(cx, buf)
        }
        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(cx)
        }
        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(cx)
        }
    }

    /// Hands over a mail of 100 kB to a server that answers each of `replies` to one read, and then reads `part` bytes
    /// of the text (`None`: all, with the dot), and then hangs up or (`hang`) stays silent.
    async fn lose(replies: &[&str], part: Option<usize>, hang: bool) -> Failure {
        let (ours, mut theirs) = duplex(4_096);
        let replies: Vec<String> = replies.iter().map(|r| format!("{r}\r\n")).collect();
        let far_end = tokio::spawn(async move {
            theirs.write_all(b"220 mx\r\n").await.unwrap();
            for reply in replies {
                let mut command = [0; 1_024];
                assert_ne!(theirs.read(&mut command).await.unwrap(), 0);
                theirs.write_all(reply.as_bytes()).await.unwrap();
            }
            let mut text = Vec::new();
            while part.map_or(!text.ends_with(b"\r\n.\r\n"), |part| text.len() < part) {
                text.push(theirs.read_u8().await.unwrap());
            }
            if hang {
                tokio::time::sleep(Duration::from_secs(3_600)).await;
            }
        });
        let server = Server {
            host: String::new(),
            port: 0,
            hello: ClientId::Domain("me".into()),
            security: Security::None,
            credentials: None,
            answer_timeout: Duration::from_millis(200),
        };
        let body = "x".repeat(70) + "\r\n";
        let mail = Message::builder()
            .from("a@example.com".parse().unwrap())
            .to("b@example.com".parse().unwrap())
            .body(body.repeat(1_400))
            .unwrap();
        let mut connection =
            AsyncSmtpConnection::connect_with_transport(Box::new(Wire(ours)), &server.hello).await.unwrap();
        let failure = server.transmit(&mut connection, &mail).await.unwrap_err();
        far_end.abort();
        failure
    }

    #[tokio::test]
    async fn the_dot_divides_what_is_broken_from_what_is_unknown() {
        let all = ["250 mx", "250 ok", "250 ok", "354 go on"];
        assert!(matches!(lose(&all[..3], Some(0), false).await, Failure::Broken(_)), "gone at DATA");
        assert!(matches!(lose(&all, Some(50_000), false).await, Failure::Broken(_)), "gone in the text");
        assert!(matches!(lose(&all, Some(50_000), true).await, Failure::Broken(_)), "stuck in the text");
        assert!(matches!(lose(&all, None, false).await, Failure::AfterTheDot(_)), "gone with the dot");
        assert!(matches!(lose(&all, None, true).await, Failure::AfterTheDot(_)), "silent after the dot");
    }
}
