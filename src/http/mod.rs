//! The ways in over HTTP/1.1: probes, metrics, callbacks of providers, and the API of people.
//!
//! This layer only translates. A callback becomes an [`Input`](crate::desk::Input) once its signature is verified, and
//! is answered with success only after the desk has made it durable, so that a provider who repeats until it sees a 200
//! never loses news on us. Everything that comes from outside has a limit: connections, header time, body, request
//! time. There is no TLS here; a proxy in front terminates it and forwards to the loopback address (see
//! [`Settings::listen`]).
//!
//! | route | who may | answered |
//! |---|---|---|
//! | `GET /healthz`, `GET /readyz` | everybody | 200, or 503 with reasons |
//! | `GET /metrics` | see [`MetricsAccess`] | Prometheus text |
//! | `POST /twilio/voice?e=&n=` | signed | TwiML within 5 s |
//! | `POST /twilio/status?e=`, `POST /twilio/sms-status?e=` | signed | 204 once durable |
//! | `POST /mail/inbound` | password | 200 once durable |
//! | `POST /zammad/{provider}` | signed | 200 once durable |
//! | `POST /dispatch/{effect}`, `POST /app/{effect}`, `POST /booking/{effect}` | signed (Standard Webhooks) | 200 once durable |
//! | `POST /twilio/sms` | signed | TwiML: what to answer, if anything |
//! | `GET /l/{token}`, `POST /l/{token}` | whoever has the link | the page of a message; only `POST` acts |
//! | `GET /api/v1/cases?closed=&limit=` | token, scope `read` | the list |
//! | `GET /api/v1/cases/{id}` | token, scope `read` | one case; `id` is the full id or its first 4 or more characters |
//! | `GET /api/v1/opt-outs` | token, scope `read` | who does not want to be contacted, over what |
//! | `POST /api/v1/opt-outs` | token, scope `act` | enters or lifts one |
//! | `POST /api/v1/cases/{id}/ack` | token, scope `ack` | done |
//! | `POST /api/v1/cases/{id}/outcome` | token, scope `act` | done; body as [`Verdict`](crate::domain::Verdict) |
//! | `POST /outcome/{case}` | signed (Standard Webhooks) | 200 once durable; the same body |
//! | `GET /api/v1/outcomes?since=&after=&limit=`, `GET /api/v1/rules` | token, scope `read` | outcomes; how good rules are |
//! | `GET /api/v1/customers/{id}`, `POST …/erase`, `POST …/readmit` | token, scope `privacy` | everything stored of a person; done |
//! | `POST /api/v1/reload`, `GET /api/v1/reload` | token, scope `act` | what a reload has changed, or why it was refused |
//! | `POST /api/v1/cases/{id}/close` | token, scope `act` | done; body `{"reason": "…"}` |
//!
//! Every error is `{"error":{"code","message","hint"}}`.

mod act;
mod api;
mod auth;
mod callback;
mod customer;
mod explain;
mod inbound;
mod link;
mod lookup;
mod metrics;
mod news;
mod opt_outs;
mod outcome;
mod probes;
mod problem;
mod reload;
mod router;
mod server;
mod settings;
mod twilio;

pub use auth::{Scope, Token, Tokens, new_token};
pub use explain::Explained;
pub use metrics::{MetricsError, install_metrics};
pub use probes::Health;
pub use server::{CallbackSecrets, Deps, Error, Limits, serve};
pub(crate) use settings::is_loopback;
pub use settings::{
    MetricsAccess, PleaseWait, Settings, SettingsError, TokenSettings, check_public_url, is_token_name,
};
