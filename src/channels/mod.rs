//! The ways out: mail, ticket desks, dispatch, phone, commands. One attempt is one short function.
//!
//! Each adapter makes one attempt and says what came of it; it never retries, and it never guesses: once bytes may have
//! reached a provider and no clear answer came back, the outcome is `Unknown`. What a transport failure or a status
//! means is decided in one place for all of them (`channels/http.rs`). When to try again, and whether at all, is the desk's.
//!
//! `Reconcile` asks the provider what became of an earlier attempt:
//!
//! | kind | how |
//! |---|---|
//! | `smtp` | cannot be asked: stays unknown |
//! | `zammad` | search by `case_ref`; notes and closings by the effect id in the article's subject |
//! | `ticket-webhook`, `webhook`, `app` | posted again with the same `webhook-id`, which by the protocol is taken in once |
//! | `dispatch` | posted again with the same `idempotency-key` and body, which by the protocol gives the same job; a cancellation by the job's state |
//! | `twilio-voice`, `twilio-sms` | list of calls or messages to this number since the first attempt |
//! | `booking-server` | the bookings of the effect's own user; holds cannot be asked for and end by themselves |
//! | `ical-workshop` | has no adapter of its own: it is asked through `smtp`, and answers by a link or a mail |
//! | `mqtt-command` | cannot be asked; the device answers on its own |

mod booking;
mod command;
mod dispatch;
mod http;
mod mail;
mod settings;
mod signed;
mod tls;
mod twilio;
mod zammad;

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};

pub use settings::{
    BookingSettings, CommandSettings, IcalSettings, Limits, MailTls, Office, ProviderSettings, SignedSettings,
    SmtpSettings, TwilioSettings, ZammadSettings,
};

use crate::domain::Outcome;
use crate::runtime::{Channel, Clock, DeskHandle, Publisher};
use crate::wire::webhook;

/// How an adapter's answer comes.
type Attempt<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// What is wrong with the settings of a provider.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting that cannot be used as it is.
    #[error("provider.{provider}.{key}: {what}")]
    Setting {
        /// The provider's name.
        provider: String,
        /// The setting.
        key: &'static str,
        /// What is wrong with it, and what would be right.
        what: String,
    },
    /// A file named in the settings that cannot be read.
    #[error("provider.{provider}.{key}: cannot read {path}")]
    Read {
        /// The provider's name.
        provider: String,
        /// The setting.
        key: &'static str,
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

/// What adapters are given.
pub struct Deps<'a> {
    /// To the broker.
    pub publisher: Arc<dyn Publisher>,
    /// To the desk, for what a provider says in answer to a question about a job.
    pub desk: DeskHandle,
    /// Where we are reachable from outside (`https://forewarn.example.com`), without a slash at the end.
    pub public_url: &'a str,
    /// The time, for headers and signatures.
    pub clock: Clock,
    /// Reads a file named in the settings (secrets, certificates); the program resolves the path and checks who else
    /// may read it.
    pub read: &'a dyn Fn(&Path) -> std::io::Result<Vec<u8>>,
}

/// Builds the adapter of provider `name`; `None` if it is reached through another one.
pub fn build(name: &str, settings: &ProviderSettings, deps: &Deps<'_>) -> Result<Option<Arc<dyn Channel>>, Error> {
    let site = Site { name, deps };
    Ok(Some(match settings {
        ProviderSettings::Smtp(s) => Arc::new(mail::Mail::new(s, &site)?),
        ProviderSettings::Zammad(s) => Arc::new(zammad::Zammad::new(s, &site)?),
        ProviderSettings::TicketWebhook(s) => Arc::new(signed::Tickets::new(s, &site)?),
        ProviderSettings::Webhook(s) => Arc::new(signed::Pager::new(s, &site)?),
        ProviderSettings::App(s) => Arc::new(signed::App::new(s, &site)?),
        ProviderSettings::Dispatch(s) => Arc::new(dispatch::Dispatch::new(s, &site)?),
        ProviderSettings::TwilioVoice(s) => Arc::new(twilio::Voice::new(s, &site)?),
        ProviderSettings::TwilioSms(s) => Arc::new(twilio::Sms::new(s, &site)?),
        ProviderSettings::MqttCommand(s) => Arc::new(command::Commands::new(s, &site)?),
        ProviderSettings::BookingServer(s) => Arc::new(booking::Workshop::new(s, &site)?),
        ProviderSettings::IcalWorkshop(_) => return Ok(None),
    }))
}

/// By what the callbacks of a provider are believed.
#[derive(Debug, Clone)]
pub enum CallbackKey {
    /// Twilio's signature with this auth token.
    Twilio(SecretString),
    /// The password with which mail that comes in is posted to us.
    Mail(SecretString),
    /// The token of a ticket desk's webhook.
    Zammad(SecretString),
    /// Standard Webhooks with this secret, of a dispatch provider.
    Dispatch(webhook::Secret),
    /// The same, of the back end of an app.
    App(webhook::Secret),
    /// The same, of a workshop with a booking server.
    Booking(webhook::Secret),
}

/// The key of a provider's callbacks, for the callback server; `None` if its kind calls nobody back.
pub fn callback_key(name: &str, settings: &ProviderSettings, deps: &Deps<'_>) -> Result<Option<CallbackKey>, Error> {
    let site = Site { name, deps };
    Ok(match settings {
        ProviderSettings::TwilioVoice(s) | ProviderSettings::TwilioSms(s) => {
            Some(CallbackKey::Twilio(site.secret("token", s.token.as_ref(), s.token_file.as_deref())?))
        }
        ProviderSettings::Smtp(s) if s.inbound_password.is_some() || s.inbound_password_file.is_some() => {
            let file = s.inbound_password_file.as_deref();
            Some(CallbackKey::Mail(site.secret("inbound_password", s.inbound_password.as_ref(), file)?))
        }
        ProviderSettings::Zammad(s) if s.webhook_token.is_some() || s.webhook_token_file.is_some() => {
            let file = s.webhook_token_file.as_deref();
            Some(CallbackKey::Zammad(site.secret("webhook_token", s.webhook_token.as_ref(), file)?))
        }
        ProviderSettings::Dispatch(s) => Some(CallbackKey::Dispatch(site.webhook_secret(s)?)),
        ProviderSettings::App(s) => Some(CallbackKey::App(site.webhook_secret(s)?)),
        ProviderSettings::BookingServer(s) if s.secret.is_some() || s.secret_file.is_some() => {
            Some(CallbackKey::Booking(site.webhook_key(s.secret.as_ref(), s.secret_file.as_deref())?))
        }
        _ => None,
    })
}

/// Where an adapter is being built: names the provider in errors.
struct Site<'a> {
    name: &'a str,
    deps: &'a Deps<'a>,
}

impl Site<'_> {
    fn error(&self, key: &'static str, what: impl Into<String>) -> Error {
        Error::Setting { provider: self.name.to_owned(), key, what: what.into() }
    }

    fn read(&self, key: &'static str, path: &Path) -> Result<Vec<u8>, Error> {
        (self.deps.read)(path).map_err(|source| Error::Read {
            provider: self.name.to_owned(),
            key,
            path: path.display().to_string(),
            source,
        })
    }

    /// The secret itself or the one in the file, without the blanks around it; exactly one must be given.
    fn secret(
        &self,
        key: &'static str,
        inline: Option<&SecretString>,
        file: Option<&Path>,
    ) -> Result<SecretString, Error> {
        let text = match (inline, file) {
            (Some(secret), None) => secret.expose_secret().to_owned(),
            (None, Some(path)) => String::from_utf8(self.read(key, path)?)
                .map_err(|_| self.error(key, "the file holds something other than text"))?,
            (None, None) => return Err(self.error(key, format!("is missing; give `{key}_file` (or `{key}`)"))),
            (Some(_), Some(_)) => return Err(self.error(key, format!("give `{key}` or `{key}_file`, not both"))),
        };
        match text.trim() {
            "" => Err(self.error(key, "is empty")),
            text => Ok(text.to_owned().into()),
        }
    }

    fn webhook_secret(&self, s: &SignedSettings) -> Result<webhook::Secret, Error> {
        self.webhook_key(s.secret.as_ref(), s.secret_file.as_deref())
    }

    fn webhook_key(&self, inline: Option<&SecretString>, file: Option<&Path>) -> Result<webhook::Secret, Error> {
        let text = self.secret("secret", inline, file)?;
        webhook::Secret::parse(text.expose_secret()).map_err(|e| self.error("secret", e.to_string()))
    }
}

/// An order came to an adapter that can't do such work: a playbook names the wrong provider.
fn wrong_kind(expected: &str) -> Outcome {
    Outcome::Rejected { reason: format!("this provider does {expected} and nothing else") }
}
