//! Mail over SMTP, command by command, because one thing must be known that a ready-made "send" does not tell: whether
//! the final dot was written.
//!
//! **The rule of the dot.** Until the dot the server has nothing: any failure is safe to repeat. With the dot the
//! server may take the mail at any moment, so a dot without an answer is an unknown outcome and is never repeated
//! blindly. SMTP cannot be asked afterwards either. `Message-ID` is made of the effect id, so that a repetition which is
//! wanted after all (safety) is dropped by most mail stores.
//!
//! A kept connection that answers 4xx, or is gone, is replaced by a new one in the same attempt, as long as the server
//! certainly has nothing: some servers refuse every hundredth mail of a session.

mod chart;
mod connection;
mod message;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use tokio::time::Instant;

use self::connection::{Failure, Server};
use super::settings::SmtpSettings;
use super::{Attempt, Error, Site, wrong_kind};
use crate::domain::{Order, OrderKind, Outcome, Span, Work};
use crate::runtime::{Channel, Clock};

/// A connection unused for longer is not used again: servers close them after minutes, without a word.
const IDLE: Duration = Duration::from_secs(30);

/// A mail server.
pub(super) struct Mail {
    server: Server,
    from: Mailbox,
    reply_to: Option<Mailbox>,
    clock: Clock,
    /// Connections that are logged in and between two mails.
    idle: Mutex<Vec<(AsyncSmtpConnection, Instant)>>,
    idle_max: usize,
}

impl Mail {
    pub(super) fn new(s: &SmtpSettings, site: &Site<'_>) -> Result<Self, Error> {
        let mailbox = |key, text: &str| {
            text.parse::<Mailbox>().map_err(|e| site.error(key, format!("'{text}' is not a mail address: {e}")))
        };
        let from = mailbox("from", &s.from)?;
        Ok(Self {
            server: Server::new(s, from.email.domain(), site)?,
            reply_to: s.reply_to.as_deref().map(|text| mailbox("reply_to", text)).transpose()?,
            from,
            clock: site.deps.clock.clone(),
            idle: Mutex::default(),
            idle_max: s.connections.unwrap_or(4).min(64),
        })
    }

    async fn run(&self, order: Order) -> Outcome {
        let Work::Mail(work) = &order.work else { return wrong_kind("mail") };
        if order.kind == OrderKind::Reconcile {
            return Outcome::Unknown { reason: "a mail server cannot be asked what became of a mail".into() };
        }
        let head = message::Head {
            effect: order.effect,
            case: order.case,
            from: &self.from,
            reply_to: self.reply_to.as_ref(),
            at: (self.clock)(),
        };
        let mail = match message::compose(&head, work) {
            Ok(mail) => mail,
            Err(reason) => return Outcome::Rejected { reason },
        };
        let accepted = Outcome::Accepted { provider_ref: message::id(&order.effect, &self.from) };
        if let Some(mut connection) = self.take_idle() {
            match self.server.transmit(&mut connection, &mail).await {
                Ok(()) => {
                    self.keep(connection);
                    return accepted;
                }
                Err(failure) if failure.worth_a_new_connection() => {}
                Err(failure) => return outcome(failure),
            }
        }
        let mut connection = match self.server.connect().await {
            Ok(connection) => connection,
            Err(failure) => return outcome(failure),
        };
        match self.server.transmit(&mut connection, &mail).await {
            Ok(()) => {
                self.keep(connection);
                accepted
            }
            Err(failure) => outcome(failure),
        }
    }

    fn take_idle(&self) -> Option<AsyncSmtpConnection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(_, since)| since.elapsed() < IDLE);
        idle.pop().map(|(connection, _)| connection)
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.idle_max {
            idle.push((connection, Instant::now()));
        }
    }
}

impl Channel for Mail {
    fn attempt(&self, order: Order) -> Attempt<'_> {
        Box::pin(self.run(order))
    }
}

/// What a failure means.
fn outcome(failure: Failure) -> Outcome {
    match failure {
        Failure::NotNow(reason) | Failure::Broken(reason) => Outcome::Retry { after: None::<Span>, reason },
        Failure::Never(reason) => Outcome::Rejected { reason },
        Failure::AfterTheDot(reason) => Outcome::Unknown { reason },
    }
}
