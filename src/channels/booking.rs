//! Appointments at a workshop with a booking server (see [`crate::wire::booking`]).
//!
//! What the server says goes to the desk as news before the outcome of the attempt, so that an answer which is lost on the
//! way to the desk is an unknown outcome and not a silent success. An unknown booking is looked for among those of its own
//! user: that list says for certain whether there is one, so a second one is never made.

use reqwest::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::http::{Http, HttpSettings, Reply, json};
use super::settings::BookingSettings;
use super::{Attempt, Error, Site, wrong_kind};
use crate::desk::Input;
use crate::domain::{BookWork, BookingNews, EffectId, Order, OrderKind, Outcome, Receipt, ReceiptKind, Span, Work};
use crate::runtime::{Channel, DeskHandle};
use crate::wire::booking::{
    Booking, BookingResponse, CreateRequest, Failure, Lease, LeaseRef, LeaseRequest, LeaseResponse, ListRequest,
    ListResponse, LookupRequest, LookupResponse, Slot, UpdateRequest, User,
};

/// A workshop.
pub(super) struct Workshop {
    http: Http,
    merchant: String,
    username: String,
    password: SecretString,
    desk: DeskHandle,
}

/// An answer that ends the attempt without news.
type Ended<T> = Result<T, Outcome>;

impl Workshop {
    pub(super) fn new(s: &BookingSettings, site: &Site<'_>) -> Result<Self, Error> {
        let settings = HttpSettings {
            url: &s.url,
            ca_file: s.ca_file.as_deref(),
            allow_private: s.allow_private == Some(true),
            insecure: s.insecure == Some(true),
            timeout: s.timeout.unwrap_or(Span::from_secs(10)),
        };
        Ok(Self {
            http: Http::new(&settings, site)?,
            merchant: s.merchant.clone(),
            username: s.username.clone(),
            password: site.secret("password", s.password.as_ref(), s.password_file.as_deref())?,
            desk: site.deps.desk.clone(),
        })
    }

    async fn run(&self, order: Order) -> Outcome {
        let Work::Book(work) = &order.work else { return wrong_kind("appointments") };
        let done = match (work, order.kind) {
            (BookWork::Search { service, slots }, _) => self.search(&order, service, slots).await,
            (BookWork::Hold { .. }, OrderKind::Reconcile) => {
                Err(Outcome::Unknown { reason: "holds cannot be asked for; they end by themselves".into() })
            }
            (BookWork::Hold { service, slot, until_at }, OrderKind::Send) => {
                let lease = Lease {
                    lease_id: String::new(),
                    slot: Slot::new(&self.merchant, service, *slot),
                    lease_expiration_time_sec: until_at.as_secs(),
                };
                self.hold(&order, lease).await
            }
            (BookWork::Create { .. }, OrderKind::Reconcile) => self.find(&order, order.effect).await,
            (BookWork::Create { .. }, OrderKind::Send) => self.create(&order, work).await,
            (BookWork::Cancel { booking }, _) => self.cancel(&order, booking).await,
            (BookWork::Status { created_by, .. }, _) => self.find(&order, *created_by).await,
        };
        done.map_or_else(|ended| ended, |provider_ref| Outcome::Accepted { provider_ref })
    }

    /// Posts `body` to a method and reads the answer.
    async fn ask<T: DeserializeOwned>(&self, method: &str, body: &impl Serialize) -> Ended<T> {
        match self.post(method, body).await {
            Reply::Done { status, body } => json(&body)
                .map_err(|e| Outcome::Unknown { reason: format!("{status}, but the answer cannot be used: {e}") }),
            other => Err(other.outcome(|_| Ok(String::new()))),
        }
    }

    async fn post(&self, method: &str, body: &impl Serialize) -> Reply {
        let url = self.http.at(&["v3", method, ""]);
        let request = self.http.post(url).basic_auth(&self.username, Some(self.password.expose_secret()));
        self.http.send(request.json(body)).await
    }

    async fn tell(&self, order: &Order, news: BookingNews) -> Ended<()> {
        let what = ReceiptKind::Booking { news };
        let receipt = Receipt { effect: order.effect, provider_ref: None, seq: None, what };
        let told = self.desk.report(Input::Receipt(receipt)).await;
        told.map(|_| ()).map_err(|busy| Outcome::Unknown { reason: busy.to_string() })
    }

    /// What a refusal in the words of the protocol leads to.
    async fn refused(&self, order: &Order, failure: &Failure) -> Outcome {
        if failure.is_gone()
            && let Err(unknown) = self.tell(order, BookingNews::Gone).await
        {
            return unknown;
        }
        Outcome::Rejected { reason: format!("{} {}", failure.cause, failure.description).trim().to_owned() }
    }

    async fn search(&self, order: &Order, service: &str, slots: &[crate::domain::Slot]) -> Ended<String> {
        let request = LookupRequest::new(&self.merchant, service, slots);
        let answer: LookupResponse = self.ask("BatchAvailabilityLookup", &request).await?;
        self.tell(order, BookingNews::Free { slots: answer.free(slots) }).await?;
        Ok(String::new())
    }

    async fn hold(&self, order: &Order, lease: Lease) -> Ended<String> {
        let answer: LeaseResponse = match self.post("CreateLease", &LeaseRequest { lease }).await {
            // Leases are optional: then nothing is kept, and the first to book has the time.
            Reply::Refused { status: StatusCode::NOT_FOUND | StatusCode::NOT_IMPLEMENTED, .. } => {
                self.tell(order, BookingNews::Held { lease: None, until_at: None }).await?;
                return Ok(String::new());
            }
            Reply::Done { status, body } => json(&body)
                .map_err(|e| Outcome::Unknown { reason: format!("{status}, but the answer cannot be used: {e}") })?,
            other => return Err(other.outcome(|_| Ok(String::new()))),
        };
        match (answer.booking_failure, answer.lease) {
            (Some(failure), _) => Err(self.refused(order, &failure).await),
            (None, Some(lease)) => {
                let until_at = Some(crate::domain::At::from_secs(lease.lease_expiration_time_sec));
                self.tell(order, BookingNews::Held { lease: Some(lease.lease_id.clone()), until_at }).await?;
                Ok(lease.lease_id)
            }
            (None, None) => Err(Outcome::Unknown { reason: "neither a lease nor a failure".into() }),
        }
    }

    async fn create(&self, order: &Order, work: &BookWork) -> Ended<String> {
        let BookWork::Create { service, slot, lease, who, note } = work else { return Err(wrong_kind("bookings")) };
        let text = |key: &str| who.get(key).cloned().unwrap_or_default();
        let name = text("name");
        let (given, family) = name.rsplit_once(' ').unwrap_or(("", &name));
        let token = order.effect.to_string();
        let request = CreateRequest {
            slot: Slot::new(&self.merchant, service, *slot),
            lease_ref: lease.clone().map(|lease_id| LeaseRef { lease_id }),
            user_information: User {
                user_id: token.clone(),
                given_name: given.to_owned(),
                family_name: family.to_owned(),
                telephone: text("phone"),
                email: text("email"),
                language_code: text("locale"),
            },
            idempotency_token: token,
            additional_request: note.clone(),
        };
        let answer = self.ask("CreateBooking", &request).await?;
        self.stands(order, answer).await
    }

    async fn cancel(&self, order: &Order, booking: &str) -> Ended<String> {
        let status = Some("CANCELED".to_owned());
        let booking = Booking { booking_id: booking.to_owned(), slot: None, status };
        let answer = self.ask("UpdateBooking", &UpdateRequest { booking }).await?;
        self.stands(order, answer).await
    }

    async fn stands(&self, order: &Order, answer: BookingResponse) -> Ended<String> {
        match (answer.booking_failure, answer.booking) {
            (Some(failure), _) => Err(self.refused(order, &failure).await),
            (None, Some(booking)) => {
                self.pass_on(order, &booking).await?;
                Ok(booking.booking_id)
            }
            (None, None) => Err(Outcome::Unknown { reason: "neither a booking nor a failure".into() }),
        }
    }

    /// The booking that the effect `created_by` has made, if there is one.
    async fn find(&self, order: &Order, created_by: EffectId) -> Ended<String> {
        let request = ListRequest { user_id: created_by.to_string() };
        let list: ListResponse = self.ask("ListBookings", &request).await?;
        match list.bookings.first() {
            Some(booking) => {
                self.pass_on(order, booking).await?;
                Ok(booking.booking_id.clone())
            }
            None if order.kind == OrderKind::Reconcile => Err(Outcome::NotFound),
            None => Err(Outcome::Rejected { reason: "they do not have the booking any more".into() }),
        }
    }

    async fn pass_on(&self, order: &Order, booking: &Booking) -> Ended<()> {
        match booking.news() {
            Some(news) => self.tell(order, news).await,
            None => Err(Outcome::Unknown { reason: format!("a status that is not known: {:?}", booking.status) }),
        }
    }
}

impl Channel for Workshop {
    fn attempt(&self, order: Order) -> Attempt<'_> {
        Box::pin(self.run(order))
    }
}
