//! Signed JSON posts (Standard Webhooks): tickets for a desk that we have no adapter for, the pager, and the back end of
//! the customers' own app.
//!
//! `webhook-id` is the effect id on every attempt, and a receiver of this protocol takes an id in once. So posting
//! again is how an unknown outcome is cleared: the answer is that of the first time, or 409.

use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;

use super::http::{Http, HttpSettings, Reply, json, reconciled};
use super::settings::SignedSettings;
use super::{Attempt, Error, Site, wrong_kind};
use crate::domain::{EffectId, Order, OrderKind, Outcome, Span, TicketWork, Work};
use crate::runtime::{Channel, Clock};
use crate::wire::app::Push;
use crate::wire::ticket::{Answer, Customer, Request};
use crate::wire::{callback, webhook};

/// Tickets over a signed webhook.
pub(super) struct Tickets(Signed);

/// A pager: one signed post.
pub(super) struct Pager(Signed);

/// The back end of an app: a signed post, and signed callbacks (see [`crate::wire::app`]).
pub(super) struct App {
    signed: Signed,
    public_url: String,
}

struct Signed {
    http: Http,
    secret: webhook::Secret,
    clock: Clock,
}

impl Tickets {
    pub(super) fn new(settings: &SignedSettings, site: &Site<'_>) -> Result<Self, Error> {
        Signed::new(settings, Span::from_secs(20), site).map(Self)
    }

    async fn run(&self, order: Order) -> Outcome {
        let Work::Ticket(work) = &order.work else { return wrong_kind("tickets") };
        self.0.post(&order, serde_json::to_vec(&request(&order, work))).await
    }
}

impl Pager {
    pub(super) fn new(settings: &SignedSettings, site: &Site<'_>) -> Result<Self, Error> {
        Signed::new(settings, Span::from_secs(10), site).map(Self)
    }

    async fn run(&self, order: Order) -> Outcome {
        let Work::Webhook(work) = &order.work else { return wrong_kind("webhooks") };
        self.0.post(&order, serde_json::to_vec(&work.body)).await
    }
}

impl App {
    pub(super) fn new(settings: &SignedSettings, site: &Site<'_>) -> Result<Self, Error> {
        let signed = Signed::new(settings, Span::from_secs(10), site)?;
        Ok(Self { signed, public_url: site.deps.public_url.to_owned() })
    }

    async fn run(&self, order: Order) -> Outcome {
        let Work::App(work) = &order.work else { return wrong_kind("messages in the app") };
        let body = Push::new(work, callback::app(&self.public_url, &order.effect));
        self.signed.post(&order, serde_json::to_vec(&body)).await
    }
}

impl Channel for Tickets {
    fn attempt(&self, order: Order) -> Attempt<'_> {
        Box::pin(self.run(order))
    }
}

impl Channel for App {
    fn attempt(&self, order: Order) -> Attempt<'_> {
        Box::pin(self.run(order))
    }
}

impl Channel for Pager {
    fn attempt(&self, order: Order) -> Attempt<'_> {
        Box::pin(self.run(order))
    }
}

fn request(order: &Order, work: &TicketWork) -> Request {
    let (effect, case) = (order.effect.to_string(), order.case.to_string());
    match work.clone() {
        TicketWork::Create { title, body, fields, customer } => {
            let customer = customer.map(|(mail, name)| Customer { mail, name });
            Request::Create { effect, case, title, body, fields, customer }
        }
        TicketWork::Note { ticket, body, reopens } => Request::Note { effect, case, ticket, body, reopens },
        TicketWork::Close { ticket, body } => Request::Close { effect, case, ticket, body },
    }
}

impl Signed {
    fn new(settings: &SignedSettings, timeout: Span, site: &Site<'_>) -> Result<Self, Error> {
        let http = Http::new(&http_settings(settings, timeout), site)?;
        Ok(Self { http, secret: site.webhook_secret(settings)?, clock: site.deps.clock.clone() })
    }

    async fn post(&self, order: &Order, body: serde_json::Result<Vec<u8>>) -> Outcome {
        let body = match body {
            Ok(body) => body,
            Err(e) => return Outcome::Rejected { reason: format!("the body cannot be written as JSON: {e}") },
        };
        let now = (self.clock)();
        let id = order.effect.to_string();
        let request = self
            .http
            .post(self.http.base().clone())
            .header(CONTENT_TYPE, "application/json")
            .header(webhook::ID, &id)
            .header(webhook::TIMESTAMP, now.as_secs())
            .header(webhook::SIGNATURE, webhook::sign(&self.secret, &id, now, &body))
            .body(body);
        let outcome = read(self.http.send(request).await, &order.effect);
        if order.kind == OrderKind::Reconcile { reconciled(outcome) } else { outcome }
    }
}

fn read(reply: Reply, effect: &EffectId) -> Outcome {
    match reply {
        // They have it already: the answer to an earlier attempt was lost.
        Reply::Refused { status: StatusCode::CONFLICT, body } => {
            let answer: Answer = json(&body).unwrap_or_default();
            Outcome::Accepted { provider_ref: or_effect(answer, effect) }
        }
        Reply::Refused { status: StatusCode::GONE, .. } => Outcome::Rejected {
            reason: "410 Gone: this address takes no more; it must be changed in the settings".into(),
        },
        other => other.outcome(|body| match body.trim_ascii() {
            [] => Ok(effect.to_string()),
            body => json(body).map(|answer| or_effect(answer, effect)),
        }),
    }
}

/// Their id, or ours where they have none.
fn or_effect(answer: Answer, effect: &EffectId) -> String {
    if answer.reference.is_empty() { effect.to_string() } else { answer.reference }
}

pub(super) fn http_settings(s: &SignedSettings, timeout: Span) -> HttpSettings<'_> {
    HttpSettings {
        url: &s.url,
        ca_file: s.ca_file.as_deref(),
        allow_private: s.allow_private == Some(true),
        insecure: s.insecure == Some(true),
        timeout: s.timeout.unwrap_or(timeout),
    }
}
