//! `[provider.<name>]` of the settings, one shape for each `kind`.
//!
//! Secrets stand in the settings or, better, in a file of their own (`token_file = "…"`), which the program reads once
//! at start. A setting that is not known is refused, so that a slip of the pen cannot switch off a limit.

use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::str::FromStr;

use secrecy::SecretString;
use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, de};

use crate::domain::Span;

/// A configured provider.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ProviderSettings {
    /// Mail over SMTP.
    Smtp(SmtpSettings),
    /// Tickets in Zammad.
    Zammad(ZammadSettings),
    /// Tickets over a signed webhook.
    TicketWebhook(SignedSettings),
    /// Trucks and technicians over the dispatch protocol.
    Dispatch(SignedSettings),
    /// Phone calls in the Twilio shape.
    TwilioVoice(TwilioSettings),
    /// Text messages in the Twilio shape.
    TwilioSms(TwilioSettings),
    /// Commands to devices over the broker.
    MqttCommand(CommandSettings),
    /// A signed JSON POST, for a pager.
    Webhook(SignedSettings),
    /// Appointments at a workshop with a booking server in the Google shape.
    BookingServer(BookingSettings),
    /// Appointments at a workshop that has nothing but a mailbox.
    IcalWorkshop(IcalSettings),
    /// Messages to the back end of the customers' own app.
    App(SignedSettings),
}

/// How much a provider is asked at most. The queue is kept on our side: the desk holds the budgets, the dispatcher the
/// concurrency.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Jobs that it can have under way at once; `None`: not known, so nobody relies on it.
    pub capacity: Option<u32>,
    /// Effects in 24 hours: `money_per_day` by `price`; `None`: no limit.
    pub per_day: Option<u32>,
    /// Effects a second (`0.5` is one every two seconds); `None`: no limit.
    pub per_second: Option<u32>,
    /// Effects an hour; `None`: no limit.
    pub per_hour: Option<u32>,
    /// Attempts under way at once; 1 to 64, 4 unless stated.
    pub concurrency: u32,
}

/// Declares a settings table with the limits that all of them have (serde can't both flatten and refuse unknown keys).
macro_rules! provider_table {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
            /// See [`Limits`].
            #[serde(default, deserialize_with = "text_or_value")]
            pub per_second: Option<u32>,
            /// See [`Limits`].
            #[serde(default, deserialize_with = "text_or_value")]
            pub per_hour: Option<u32>,
            /// See [`Limits`].
            #[serde(default, deserialize_with = "text_or_value")]
            pub concurrency: Option<u32>,
            /// Jobs that it can have under way at once.
            #[serde(default, deserialize_with = "text_or_value")]
            pub capacity: Option<u32>,
            /// What one attempt costs, in any unit of money.
            #[serde(default, deserialize_with = "text_or_value")]
            pub price: Option<f64>,
            /// What all attempts of 24 hours may cost.
            #[serde(default, deserialize_with = "text_or_value")]
            pub money_per_day: Option<f64>,
        }

        impl $name {
            fn limits(&self) -> Limits {
                let concurrency = self.concurrency.unwrap_or(4).clamp(1, 64);
                let per_day = paid(self.price, self.money_per_day);
                Limits { per_second: self.per_second, per_hour: self.per_hour, per_day, capacity: self.capacity, concurrency }
            }
        }
    };
}

/// Declares the settings table of a provider that is reached over HTTP.
macro_rules! web_table {
    ($(#[$doc:meta])* $name:ident { $($fields:tt)* }) => {
        provider_table! {
            $(#[$doc])*
            $name {
                $($fields)*
                /// PEM file, see [`SmtpSettings::ca_file`].
                #[serde(default)]
                ca_file: Option<PathBuf>,
                /// Allows private and loopback addresses behind a host name.
                #[serde(default, deserialize_with = "text_or_value")]
                allow_private: Option<bool>,
                /// Allows `http://` to another machine.
                #[serde(default, deserialize_with = "text_or_value")]
                insecure: Option<bool>,
                /// For the whole exchange; `10s`, with a ticket desk `20s`, unless stated.
                #[serde(default)]
                timeout: Option<Span>,
            }
        }
    };
}

/// How many attempts the money for a day pays for. Money without a price pays for nothing: better a call too few than a
/// bill without an end.
fn paid(price: Option<f64>, money: Option<f64>) -> Option<u32> {
    let money = money?;
    let attempts = price.filter(|price| *price > 0.0).map_or(0.0, |price| (money / price).floor());
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "kept in range first")]
    let attempts = attempts.clamp(0.0, f64::from(u32::MAX)) as u32;
    Some(attempts)
}

/// How the connection to an SMTP server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MailTls {
    /// Plain first, then TLS before anything else; without it nothing is sent. Port 587.
    #[default]
    Starttls,
    /// TLS from the first byte. Port 465.
    Tls,
    /// None: only to a loopback address, or with `insecure = true`. Port 25.
    None,
}

provider_table! {
    /// `kind = "smtp"`
    SmtpSettings {
        /// Name or address of the server.
        host: String,
        /// Its port; the usual one of `tls` unless stated.
        #[serde(default, deserialize_with = "text_or_value")]
        port: Option<u16>,
        /// `starttls` unless stated.
        #[serde(default)]
        tls: MailTls,
        /// Allows `tls = "none"` to a server that is not on this machine.
        #[serde(default, deserialize_with = "text_or_value")]
        insecure: Option<bool>,
        /// PEM file: only certificates signed by one of these are believed, instead of the system's.
        #[serde(default)]
        ca_file: Option<PathBuf>,
        /// For AUTH; none unless stated.
        #[serde(default)]
        username: Option<String>,
        /// For AUTH.
        #[serde(default)]
        password: Option<SecretString>,
        /// For AUTH.
        #[serde(default)]
        password_file: Option<PathBuf>,
        /// Sender: `Example Roadside <service@example.com>`. Its domain is the one of message ids.
        from: String,
        /// Where answers go, if not to the sender; with `contact.reply_domain`, to an address of the case.
        #[serde(default)]
        reply_to: Option<String>,
        /// Password with which mail that comes in is posted to `/mail/inbound`.
        #[serde(default)]
        inbound_password: Option<SecretString>,
        /// File with that password.
        #[serde(default)]
        inbound_password_file: Option<PathBuf>,
        /// What we call ourselves in EHLO; the domain of `from` unless stated.
        #[serde(default)]
        hello: Option<String>,
        /// Connections kept for the next mail; 4 unless stated, at most 64.
        #[serde(default, deserialize_with = "text_or_value")]
        connections: Option<usize>,
        /// How long to wait for the answer to a whole mail, `60s` at most and unless stated. Then its outcome is unknown.
        #[serde(default)]
        answer_timeout: Option<Span>,
    }
}

web_table! {
    /// `kind = "zammad"`
    ZammadSettings {
        /// `https://desk.example.com`
        url: String,
        /// API token of an agent.
        #[serde(default)]
        token: Option<SecretString>,
        /// API token of an agent.
        #[serde(default)]
        token_file: Option<PathBuf>,
        /// Token of the desk's webhook to `/zammad/<name of the provider>`, by which comments come in.
        #[serde(default)]
        webhook_token: Option<SecretString>,
        /// File with that token.
        #[serde(default)]
        webhook_token_file: Option<PathBuf>,
        /// Group of new tickets whose step names none.
        #[serde(default)]
        group: Option<String>,
        /// Customer (mailbox) of new tickets that may not name the real one.
        #[serde(default)]
        customer: Option<String>,
    }
}

web_table! {
    /// `kind = "ticket-webhook"`, `"dispatch"`, `"webhook"` and `"app"`
    SignedSettings {
        /// Where to post; for `dispatch` the address below which `/v1/jobs` lies.
        url: String,
        /// `whsec_…`, shared with the provider. For `dispatch` and `app` it signs their callbacks, too.
        #[serde(default)]
        secret: Option<SecretString>,
        /// File with the secret.
        #[serde(default)]
        secret_file: Option<PathBuf>,
    }
}

web_table! {
    /// `kind = "twilio-voice"` and `"twilio-sms"`
    TwilioSettings {
        /// `https://api.twilio.com`
        url: String,
        /// `AC…`
        account_sid: String,
        /// Auth token: authenticates us, and signs their callbacks.
        #[serde(default)]
        token: Option<SecretString>,
        /// File with the auth token.
        #[serde(default)]
        token_file: Option<PathBuf>,
        /// Our number (E.164), or for text messages a messaging service (`MG…`).
        from: String,
    }
}

provider_table! {
    /// `kind = "mqtt-command"`
    CommandSettings {
        /// Topics that may be published to, as MQTT filters (`fleet/+/cmd`). Nothing else is, whatever a playbook says.
        allow: Vec<String>,
    }
}

/// Declares the settings of a workshop: its own and those that every workshop has.
macro_rules! workshop_table {
    ($table:ident: $(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $table! {
            $(#[$doc])*
            $name {
                $($(#[$field_doc])* $field: $type,)*
                /// As customers are told.
                name: String,
                /// Its address, as customers are told.
                place: String,
                /// Places that it serves: customers from there are sent to it first.
                #[serde(default)]
                near: Vec<String>,
                /// When it works: `08:00-17:00`.
                hours: String,
                /// On which days; `mon` to `fri` unless stated.
                #[serde(default)]
                days: Option<Vec<String>>,
                /// How long an appointment takes; `1h` unless stated.
                #[serde(default)]
                slot: Option<Span>,
                /// Its time zone: `Europe/Berlin`.
                tz: String,
            }
        }

        impl $name {
            fn office(&self) -> Office<'_> {
                let Self { name, place, near, hours, days, slot, tz, .. } = self;
                Office { name, place, near, hours, days: days.as_deref(), slot: *slot, tz }
            }
        }
    };
}

/// What the settings of every workshop say.
#[derive(Debug, Clone, Copy)]
pub struct Office<'a> {
    /// As customers are told.
    pub name: &'a str,
    /// Its address, as customers are told.
    pub place: &'a str,
    /// Places that it serves.
    pub near: &'a [String],
    /// When it works.
    pub hours: &'a str,
    /// On which days.
    pub days: Option<&'a [String]>,
    /// How long an appointment takes.
    pub slot: Option<Span>,
    /// Its time zone.
    pub tz: &'a str,
}

workshop_table! {
    web_table:
    /// `kind = "booking-server"`
    BookingSettings {
        /// The address below which `/v3/CreateBooking/` lies.
        url: String,
        /// As the workshop names itself in the protocol.
        merchant: String,
        /// For basic authentication.
        username: String,
        /// For basic authentication.
        #[serde(default)]
        password: Option<SecretString>,
        /// File with the password.
        #[serde(default)]
        password_file: Option<PathBuf>,
        /// `whsec_…`: signs what the workshop posts to `/booking/…`; without it nothing is believed there.
        #[serde(default)]
        secret: Option<SecretString>,
        /// File with that secret.
        #[serde(default)]
        secret_file: Option<PathBuf>,
    }
}

workshop_table! {
    provider_table:
    /// `kind = "ical-workshop"`: asked by mail, through the provider of kind `smtp`.
    IcalSettings {
        /// Where it reads its mails, and writes from.
        mailbox: String,
        /// BCP 47, of what it reads; `en` unless stated.
        #[serde(default)]
        locale: Option<String>,
        /// So long it has to answer, `24h` unless stated; then another workshop is asked.
        #[serde(default)]
        answer_within: Option<Span>,
    }
}

impl ProviderSettings {
    /// How much it is asked at most.
    #[must_use]
    pub fn limits(&self) -> Limits {
        match self {
            Self::Smtp(s) => s.limits(),
            Self::Zammad(s) => s.limits(),
            Self::TicketWebhook(s) | Self::Dispatch(s) | Self::Webhook(s) | Self::App(s) => s.limits(),
            Self::TwilioVoice(s) | Self::TwilioSms(s) => s.limits(),
            Self::MqttCommand(s) => s.limits(),
            Self::BookingServer(s) => s.limits(),
            Self::IcalWorkshop(s) => s.limits(),
        }
    }

    /// The workshop that it is, if it is one.
    #[must_use]
    pub fn office(&self) -> Option<Office<'_>> {
        match self {
            Self::BookingServer(s) => Some(s.office()),
            Self::IcalWorkshop(s) => Some(s.office()),
            _ => None,
        }
    }

    /// Whether it is allowed to speak without TLS to another machine: to be warned of, again and again.
    #[must_use]
    pub fn insecure(&self) -> bool {
        let flag = match self {
            Self::Smtp(s) => s.insecure,
            Self::Zammad(s) => s.insecure,
            Self::TicketWebhook(s) | Self::Dispatch(s) | Self::Webhook(s) | Self::App(s) => s.insecure,
            Self::TwilioVoice(s) | Self::TwilioSms(s) => s.insecure,
            Self::BookingServer(s) => s.insecure,
            Self::MqttCommand(_) | Self::IcalWorkshop(_) => None,
        };
        flag == Some(true)
    }

    /// The word of `kind`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Smtp(_) => "smtp",
            Self::Zammad(_) => "zammad",
            Self::TicketWebhook(_) => "ticket-webhook",
            Self::Dispatch(_) => "dispatch",
            Self::TwilioVoice(_) => "twilio-voice",
            Self::TwilioSms(_) => "twilio-sms",
            Self::MqttCommand(_) => "mqtt-command",
            Self::BookingServer(_) => "booking-server",
            Self::IcalWorkshop(_) => "ical-workshop",
            Self::Webhook(_) => "webhook",
            Self::App(_) => "app",
        }
    }
}

/// Reads `25` and `"25"` alike: what comes from the environment is text, and the `kind` of the table has to be known
/// before anybody can say what a text should become.
fn text_or_value<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: FromStr,
    T::Err: fmt::Display,
    D: Deserializer<'de>,
{
    struct Reader<T>(PhantomData<T>);
    impl<T: FromStr> Visitor<'_> for Reader<T>
    where
        T::Err: fmt::Display,
    {
        type Value = Option<T>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number or a switch")
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            text.trim().parse().map(Some).map_err(|e| E::custom(format!("{text:?}: {e}")))
        }
        fn visit_bool<E: de::Error>(self, v: bool) -> Result<Self::Value, E> {
            self.visit_str(&v.to_string())
        }
        fn visit_i64<E: de::Error>(self, v: i64) -> Result<Self::Value, E> {
            self.visit_str(&v.to_string())
        }
        fn visit_u64<E: de::Error>(self, v: u64) -> Result<Self::Value, E> {
            self.visit_str(&v.to_string())
        }
        fn visit_f64<E: de::Error>(self, v: f64) -> Result<Self::Value, E> {
            self.visit_str(&v.to_string())
        }
    }
    deserializer.deserialize_any(Reader(PhantomData))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ProviderSettings, String> {
        toml::from_str(text).map_err(|e| e.message().to_owned())
    }

    #[test]
    fn every_kind_reads() {
        for (kind, rest) in [
            ("smtp", "host = \"mx\"\nfrom = \"a@b.c\"\nport = 2525\ntls = \"none\"\nanswer_timeout = \"5s\""),
            ("zammad", "url = \"https://desk\"\ntoken_file = \"t\""),
            ("ticket-webhook", "url = \"https://desk\"\nsecret = \"whsec_AAAA\""),
            ("dispatch", "url = \"https://tow\"\nsecret_file = \"s\"\nper_hour = 60"),
            (
                "twilio-voice",
                "url = \"https://x\"\naccount_sid = \"AC1\"\ntoken = \"t\"\nfrom = \"+49\"\nper_second = 1",
            ),
            (
                "twilio-sms",
                "url = \"https://x\"\naccount_sid = \"AC1\"\ntoken = \"t\"\nfrom = \"MG1\"\nper_second = \"2\"",
            ),
            (
                "booking-server",
                "url = \"https://b\"\nmerchant = \"m\"\nusername = \"u\"\npassword = \"p\"\nname = \"n\"\nplace = \"p\"\nhours = \"08:00-17:00\"\ntz = \"UTC\"",
            ),
            (
                "ical-workshop",
                "mailbox = \"w@x.y\"\nname = \"n\"\nplace = \"p\"\nhours = \"08:00-17:00\"\ntz = \"UTC\"\nanswer_within = \"8h\"",
            ),
            ("mqtt-command", "allow = [\"fleet/+/cmd\"]\nconcurrency = 1000"),
            ("webhook", "url = \"https://pager\"\nsecret = \"whsec_AAAA\"\ninsecure = \"true\""),
            ("app", "url = \"https://app\"\nsecret = \"whsec_AAAA\""),
        ] {
            let settings = read(&format!("kind = \"{kind}\"\n{rest}")).unwrap();
            assert_eq!(settings.kind(), kind);
            assert_eq!(settings.insecure(), kind == "webhook");
            let limits = settings.limits();
            assert_eq!(limits.concurrency, if kind == "mqtt-command" { 64 } else { 4 });
            assert_eq!(limits.per_hour, (kind == "dispatch").then_some(60));
            let per_second = match kind {
                "twilio-voice" => Some(1),
                "twilio-sms" => Some(2),
                _ => None,
            };
            assert_eq!(limits.per_second, per_second);
            assert!(read(&format!("kind = \"{kind}\"\n{rest}\nper_secnd = 1")).unwrap_err().contains("per_secnd"));
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (text, part) in [
            ("host = \"mx\"", "kind"),
            ("kind = \"fax\"", "fax"),
            ("kind = \"smtp\"\nfrom = \"a@b.c\"", "host"),
            ("kind = \"smtp\"\nhost = \"mx\"\nfrom = \"a@b.c\"\nport = \"smtp\"", "smtp"),
            ("kind = \"smtp\"\nhost = \"mx\"\nfrom = \"a@b.c\"\nport = 70000", "70000"),
            ("kind = \"smtp\"\nhost = \"mx\"\nfrom = \"a@b.c\"\ntls = \"maybe\"", "maybe"),
            ("kind = \"dispatch\"\nurl = \"https://x\"\ntimeout = \"soon\"", "soon"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn money_pays_for_whole_attempts() {
        for (price, money, attempts) in [
            (Some(0.05), Some(1.01), Some(20)),
            (Some(3.0), Some(2.0), Some(0)),
            (None, Some(100.0), Some(0)),
            (Some(0.0), Some(100.0), Some(0)),
            (Some(0.05), None, None),
            (Some(1e-9), Some(1e9), Some(u32::MAX)),
        ] {
            assert_eq!(paid(price, money), attempts, "{price:?} {money:?}");
        }
    }

    #[test]
    fn secrets_hide() {
        let settings = read("kind = \"webhook\"\nurl = \"https://x\"\nsecret = \"whsec_hush\"").unwrap();
        assert!(!format!("{settings:?}").contains("hush"));
    }
}
