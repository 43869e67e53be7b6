//! Trucks and technicians over the dispatch protocol (see [`crate::wire::dispatch`]).
//!
//! **Unknown outcome of a request.** The protocol has no search by our reference, but it has something better: the same
//! `idempotency-key` with the same body gives the same job, so asking again can never send a second truck. The facts of
//! a job are frozen when it is planned, so the body is the same byte for byte. `Reconcile` therefore posts again, and
//! either finds the job or makes the one that is wanted anyway; an answer with a job that is no longer wanted can be
//! cancelled, an unknown one cannot. Once `accept_by` has passed nothing is posted: the offer would be void.

use reqwest::header::CONTENT_TYPE;
use reqwest::{RequestBuilder, StatusCode};

use super::http::{Http, Reply, json, reconciled, still_unknown};
use super::settings::SignedSettings;
use super::signed::http_settings;
use super::{Attempt, Error, Site, wrong_kind};
use crate::desk::Input;
use crate::domain::{DispatchWork, Job, JobState, Order, OrderKind, Outcome, Span, Work};
use crate::runtime::{Channel, Clock, DeskHandle};
use crate::wire::dispatch::{IDEMPOTENCY_KEY, JobRequest, JobStatus, Refusal};
use crate::wire::{callback, webhook};

/// A roadside company.
pub(super) struct Dispatch {
    http: Http,
    secret: webhook::Secret,
    desk: DeskHandle,
    clock: Clock,
    public_url: String,
}

impl Dispatch {
    pub(super) fn new(settings: &SignedSettings, site: &Site<'_>) -> Result<Self, Error> {
        Ok(Self {
            secret: site.webhook_secret(settings)?,
            http: Http::new(&http_settings(settings, Span::from_secs(10)), site)?,
            desk: site.deps.desk.clone(),
            clock: site.deps.clock.clone(),
            public_url: site.deps.public_url.to_owned(),
        })
    }

    async fn run(&self, order: Order) -> Outcome {
        let Work::Dispatch(work) = &order.work else { return wrong_kind("dispatch jobs") };
        match (work, order.kind) {
            (DispatchWork::Request(job), OrderKind::Send) => self.request(&order, job).await,
            (DispatchWork::Request(job), OrderKind::Reconcile) if (self.clock)() > job.accept_by => {
                still_unknown("accept_by has passed, so asking again could only make a void offer")
            }
            (DispatchWork::Request(job), OrderKind::Reconcile) => reconciled(self.request(&order, job).await),
            (DispatchWork::Cancel { job }, OrderKind::Send) => self.cancel(&order, job).await,
            (DispatchWork::Cancel { job }, OrderKind::Reconcile) => self.was_cancelled(&order, job).await,
            (DispatchWork::Status { job }, _) => self.status(&order, job).await,
        }
    }

    async fn request(&self, order: &Order, job: &Job) -> Outcome {
        let body = JobRequest::new(job, order.effect, callback::dispatch(&self.public_url, &order.effect));
        let body = match serde_json::to_vec(&body) {
            Ok(body) => body,
            Err(e) => return Outcome::Rejected { reason: format!("the job cannot be written as JSON: {e}") },
        };
        let request = self.http.post(self.http.at(&["v1", "jobs"])).header(CONTENT_TYPE, "application/json");
        match self.http.send(self.signed(request, order, body)).await {
            // When asking again, it says that there *is* a job under this key, of which we don't know the id.
            Reply::Refused { status: StatusCode::CONFLICT, .. } if order.kind == OrderKind::Reconcile => {
                still_unknown("409: they have a job under this key that was asked for with another body")
            }
            reply => refusal(reply).outcome(job_id),
        }
    }

    /// With the key, and signed as callbacks are, so that the company can tell that it is us who asks for trucks.
    fn signed(&self, request: RequestBuilder, order: &Order, body: Vec<u8>) -> RequestBuilder {
        let (now, id) = ((self.clock)(), order.effect.to_string());
        request
            .header(webhook::ID, &id)
            .header(webhook::TIMESTAMP, now.as_secs())
            .header(webhook::SIGNATURE, webhook::sign(&self.secret, &id, now, &body))
            .header(IDEMPOTENCY_KEY, id)
            .body(body)
    }

    async fn look_up(&self, order: &Order, job: &str) -> Reply {
        let request = self.http.get(self.http.at(&["v1", "jobs", job]));
        self.http.send(self.signed(request, order, Vec::new())).await
    }

    async fn cancel(&self, order: &Order, job: &str) -> Outcome {
        let request = self.http.post(self.http.at(&["v1", "jobs", job, "cancel"]));
        refusal(self.http.send(self.signed(request, order, Vec::new())).await).outcome(|_| Ok(job.to_owned()))
    }

    async fn was_cancelled(&self, order: &Order, job: &str) -> Outcome {
        match self.look_up(order, job).await.answer::<JobStatus>() {
            Ok(status) if status.state == JobState::Cancelled => Outcome::Accepted { provider_ref: status.job },
            Ok(_) => Outcome::NotFound,
            Err(unknown) => unknown,
        }
    }

    /// Asks how a job stands and tells the desk as it would be told by a callback, so that a lost callback is made up
    /// for. The news is about `order.effect`, the question; the desk knows which request that one is about.
    async fn status(&self, order: &Order, job: &str) -> Outcome {
        let status = match self.look_up(order, job).await {
            Reply::Done { status, body } => match json::<JobStatus>(&body) {
                Ok(job) => job,
                Err(e) => {
                    return Outcome::Unknown { reason: format!("{status}, but the answer cannot be used: {e}") };
                }
            },
            other => return other.outcome(|_| Ok(job.to_owned())),
        };
        match self.desk.tell(Input::Receipt(status.receipt(order.effect))).await {
            Ok(_) => Outcome::Accepted { provider_ref: status.job },
            Err(busy) => Outcome::Retry { after: None, reason: busy.to_string() },
        }
    }
}

impl Channel for Dispatch {
    fn attempt(&self, order: Order) -> Attempt<'_> {
        Box::pin(self.run(order))
    }
}

fn job_id(body: &[u8]) -> Result<String, String> {
    let status: JobStatus = json(body)?;
    if status.job.is_empty() { Err("the job has no id".into()) } else { Ok(status.job) }
}

/// A refusal in the words of the protocol (`out_of_area`, `too_close`) instead of the raw body.
fn refusal(reply: Reply) -> Reply {
    match reply {
        Reply::Refused { status, body } => {
            let body = json::<Refusal>(&body).map_or(body, |refusal| refusal.reason.into_bytes());
            Reply::Refused { status, body }
        }
        other => other,
    }
}
