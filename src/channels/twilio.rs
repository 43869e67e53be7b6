//! Phone calls and text messages in the Twilio shape.
//!
//! There is no idempotency key. When the answer to a request was lost, the provider's own list of calls (or messages) to
//! this number is searched for one made since the first attempt. The list can't tell two of our effects to one number
//! apart, so the ids that *other* effects were given are remembered and left out. The list is not filtered by
//! `StartTime`: a call that still waits in the provider's queue has none, and must be found above all.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::CONTENT_TYPE;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::http::{Http, HttpSettings, Reply, json, still_unknown};
use super::settings::TwilioSettings;
use super::{Attempt, Error, Site, wrong_kind};
use crate::domain::{At, CallWork, EffectId, Order, OrderKind, Outcome, SmsWork, Span, Work};
use crate::runtime::Channel;
use crate::wire::twilio::{self, CallList, CallRecord, Form, MessageList, MessageRecord, Problem};

/// How far the provider's clock may be behind ours.
const SKEW: Span = Span::from_secs(5);
/// So many of the newest calls to a number are searched.
const PAGE: &str = "50";
/// So many ids are remembered.
const REMEMBERED: usize = 4_096;

/// Phone calls.
pub(super) struct Voice(Account);

/// Text messages.
pub(super) struct Sms(Account);

struct Account {
    http: Http,
    sid: String,
    token: SecretString,
    from: String,
    public_url: String,
    /// Their ids of the newest things accepted, each with its effect; oldest first.
    known: Mutex<VecDeque<(String, EffectId)>>,
}

/// A line of the provider's list.
struct Listed {
    sid: String,
    created_at: Option<At>,
}

impl Voice {
    pub(super) fn new(settings: &TwilioSettings, site: &Site<'_>) -> Result<Self, Error> {
        Account::new(settings, site).map(Self)
    }

    async fn run(&self, order: Order) -> Outcome {
        let Work::Call(work) = &order.work else { return wrong_kind("phone calls") };
        match order.kind {
            OrderKind::Send => self.send(&order, work).await,
            OrderKind::Reconcile => self.find(&order, work).await,
        }
    }

    async fn send(&self, order: &Order, work: &CallWork) -> Outcome {
        let form = twilio::call_form(work, &self.0.from, &self.0.public_url, &order.effect);
        self.0.create("Calls.json", order, &form, |body| json::<CallRecord>(body).map(|call| call.sid)).await
    }

    async fn find(&self, order: &Order, work: &CallWork) -> Outcome {
        let calls: CallList = match self.0.list("Calls.json", &work.to).await {
            Ok(calls) => calls,
            Err(unknown) => return unknown,
        };
        let more = calls.next_page_uri.is_some();
        let ours = calls.calls.into_iter().filter(|c| same(&c.to, &work.to) && same(&c.from, &self.0.from));
        let listed = ours.map(|c| Listed { created_at: date(c.date_created.or(c.start_time)), sid: c.sid });
        self.0.pick(order, listed.collect(), more)
    }
}

impl Sms {
    pub(super) fn new(settings: &TwilioSettings, site: &Site<'_>) -> Result<Self, Error> {
        Account::new(settings, site).map(Self)
    }

    async fn run(&self, order: Order) -> Outcome {
        let Work::Sms(work) = &order.work else { return wrong_kind("text messages") };
        match order.kind {
            OrderKind::Send => self.send(&order, work).await,
            OrderKind::Reconcile => self.find(&order, work).await,
        }
    }

    async fn send(&self, order: &Order, work: &SmsWork) -> Outcome {
        let form = twilio::sms_form(work, &self.0.from, &self.0.public_url, &order.effect);
        self.0.create("Messages.json", order, &form, |body| json::<MessageRecord>(body).map(|sms| sms.sid)).await
    }

    /// The text is no help in the search: it is rendered anew with the present truth.
    async fn find(&self, order: &Order, work: &SmsWork) -> Outcome {
        let list: MessageList = match self.0.list("Messages.json", &work.to).await {
            Ok(list) => list,
            Err(unknown) => return unknown,
        };
        let more = list.next_page_uri.is_some();
        let sender =
            |m: &MessageRecord| self.0.is_service() || m.from.as_deref().is_some_and(|f| same(f, &self.0.from));
        let ours = list.messages.into_iter().filter(|m| same(&m.to, &work.to) && sender(m));
        let listed = ours.map(|m| Listed { created_at: date(m.date_created), sid: m.sid });
        self.0.pick(order, listed.collect(), more)
    }
}

impl Channel for Voice {
    fn attempt(&self, order: Order) -> Attempt<'_> {
        Box::pin(self.run(order))
    }
}

impl Channel for Sms {
    fn attempt(&self, order: Order) -> Attempt<'_> {
        Box::pin(self.run(order))
    }
}

impl Account {
    fn new(s: &TwilioSettings, site: &Site<'_>) -> Result<Self, Error> {
        let http = HttpSettings {
            url: &s.url,
            ca_file: s.ca_file.as_deref(),
            allow_private: s.allow_private == Some(true),
            insecure: s.insecure == Some(true),
            timeout: s.timeout.unwrap_or(Span::from_secs(10)),
        };
        if s.account_sid.is_empty() {
            return Err(site.error("account_sid", "is empty"));
        }
        Ok(Self {
            http: Http::new(&http, site)?,
            sid: s.account_sid.clone(),
            token: site.secret("token", s.token.as_ref(), s.token_file.as_deref())?,
            from: s.from.clone(),
            public_url: site.deps.public_url.to_owned(),
            known: Mutex::default(),
        })
    }

    fn is_service(&self) -> bool {
        self.from.starts_with("MG")
    }

    fn at(&self, resource: &str) -> Url {
        self.http.at(&["2010-04-01", "Accounts", &self.sid, resource])
    }

    async fn create(
        &self,
        resource: &str,
        order: &Order,
        form: &Form,
        sid: impl FnOnce(&[u8]) -> Result<String, String>,
    ) -> Outcome {
        let request = self
            .http
            .post(self.at(resource))
            .basic_auth(&self.sid, Some(self.token.expose_secret()))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(twilio::form_body(form));
        let outcome = problem(self.http.send(request).await).outcome(sid);
        if let Outcome::Accepted { provider_ref } = &outcome {
            self.remember(provider_ref, order.effect);
        }
        outcome
    }

    async fn list<T: serde::de::DeserializeOwned>(&self, resource: &str, to: &str) -> Result<T, Outcome> {
        let mut query = vec![("To", to), ("PageSize", PAGE)];
        if !self.is_service() {
            query.push(("From", &self.from));
        }
        let request =
            self.http.get(self.at(resource)).basic_auth(&self.sid, Some(self.token.expose_secret())).query(&query);
        problem(self.http.send(request).await).answer()
    }

    /// The oldest one in the window that no other effect is known to have made.
    fn pick(&self, order: &Order, listed: Vec<Listed>, more: bool) -> Outcome {
        let window_starts_at = order.first_sent_at - SKEW;
        let full = more && listed.iter().all(|l| l.created_at.is_some_and(|at| at >= window_starts_at));
        let others: Vec<Listed> = listed.into_iter().filter(|l| !self.is_of_another(&l.sid, order.effect)).collect();
        if others.iter().any(|l| l.created_at.is_none()) {
            return still_unknown("the provider lists one without saying when it was made");
        }
        let since = others.into_iter().filter(|l| l.created_at.is_some_and(|at| at >= window_starts_at));
        match since.min_by_key(|l| l.created_at) {
            Some(found) => {
                self.remember(&found.sid, order.effect);
                Outcome::Accepted { provider_ref: found.sid }
            }
            None if full => still_unknown("the provider's list is longer than one page"),
            None => Outcome::NotFound,
        }
    }

    fn remember(&self, sid: &str, effect: EffectId) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() == REMEMBERED {
            known.pop_front();
        }
        known.push_back((sid.to_owned(), effect));
    }

    fn is_of_another(&self, sid: &str, effect: EffectId) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().any(|(s, e)| s == sid && *e != effect)
    }
}

/// RFC 2822, as the lists have it.
fn date(text: Option<String>) -> Option<At> {
    let at = DateTimeParser::new().parse_timestamp(text?).ok()?;
    Some(At::from_micros(at.as_microsecond()))
}

/// The same number, however it is spaced.
fn same(a: &str, b: &str) -> bool {
    let digits = |s: &str| s.chars().filter(char::is_ascii_digit).collect::<String>();
    digits(a) == digits(b)
}

/// A refusal in the provider's words and with its number for them.
fn problem(reply: Reply) -> Reply {
    match reply {
        Reply::Refused { status, body } => {
            let words = |p: Problem| format!("{} ({})", p.message, p.code).into_bytes();
            Reply::Refused { status, body: json::<Problem>(&body).map_or(body, words) }
        }
        other => other,
    }
}
