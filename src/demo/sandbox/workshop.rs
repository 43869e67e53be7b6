//! A workshop with a booking server: one bay, so one customer a time. It keeps leases until they run out, takes a booking
//! once for each idempotency token, and can be told to be full, slow, silent, or to change its mind. Given somebody to tell,
//! it says by signed callbacks how its work goes and what it found.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::teller::Teller;
use super::web::{Refusal, Scissors, Server};
use super::{Script, Sighting, Stage, lock};
use crate::demo::Error;
use crate::domain::{At, Span, Verdict};
use crate::wire::booking::{
    Booking, BookingResponse, Callback, CreateRequest, Failure, LeaseRequest, LeaseResponse, ListRequest, ListResponse,
    LookupRequest, LookupResponse, Slot, SlotTimeAvailability, UpdateRequest,
};

/// The merchant that it is.
pub const MERCHANT: &str = "workshop-1";
/// Who may ask.
pub const USER: &str = "forewarn";

/// What happens to the next request for a booking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkshopFault {
    /// Somebody at the counter has taken the time a moment ago.
    SlotGone,
    /// Declines for a reason of its own.
    Declines,
    /// Books, then cuts the connection before one byte of the answer leaves.
    CutAfterAccept,
    /// Cuts the connection without booking.
    CutBefore,
    /// Books, and answers `500`.
    ErrorAfterAccept,
    /// `503` with `Retry-After` in seconds.
    Unavailable(u32),
    /// Books, and answers only after this time.
    Slow(Duration),
}

/// A booking that was made, whether or not the client heard of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appointment {
    /// The idempotency token.
    pub token: String,
    /// Whose.
    pub user: String,
    /// As the workshop knows it.
    pub booking: Booking,
    /// How often its client was told of it.
    pub told: u64,
}

/// Whom it tells of its work.
#[derive(Debug)]
struct Client {
    url: String,
    teller: Teller,
}

#[derive(Debug)]
struct Office {
    stage: Stage,
    password: String,
    requests: Script<WorkshopFault>,
    /// Times that are taken by others, Unix seconds.
    full: Mutex<Vec<i64>>,
    /// Leases by id, with their ends.
    leases: Mutex<BTreeMap<String, (Slot, At)>>,
    booked: Mutex<Vec<Appointment>>,
    /// Whether leases are given at all.
    leasing: Mutex<bool>,
    client: Mutex<Option<Arc<Client>>>,
}

/// A running workshop; ends when dropped.
#[derive(Debug)]
pub struct WorkshopServer {
    server: Server,
    office: Arc<Office>,
}

impl WorkshopServer {
    /// Listens on a free loopback port.
    ///
    /// # Errors
    /// [`Error::Listen`].
    pub async fn start(password: &str, stage: Stage) -> Result<Self, Error> {
        let office = Arc::new(Office {
            stage,
            password: password.to_owned(),
            requests: Script::default(),
            full: Mutex::default(),
            leases: Mutex::default(),
            booked: Mutex::default(),
            leasing: Mutex::new(true),
            client: Mutex::default(),
        });
        let routes = Router::new()
            .route("/v3/{method}/", post(take))
            .layer(axum::extract::DefaultBodyLimit::max(64 << 10))
            .with_state(office.clone());
        Ok(Self { server: Server::start(routes).await?, office })
    }

    /// Base URL for the settings.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// What happens to the next requests for a booking, one entry each.
    pub fn script(&self, faults: impl IntoIterator<Item = WorkshopFault>) {
        self.office.requests.add(faults);
    }

    /// Whether it keeps times (leases are optional in the protocol).
    pub fn leasing(&self, gives: bool) {
        *lock(&self.office.leasing) = gives;
    }

    /// Everything booked, in order.
    #[must_use]
    pub fn booked(&self) -> Vec<Appointment> {
        lock(&self.office.booked).clone()
    }

    /// Leases that have not run out.
    #[must_use]
    pub fn kept(&self) -> usize {
        let now = (self.office.stage.clock)();
        lock(&self.office.leases).values().filter(|(_, until)| *until > now).count()
    }

    /// The workshop changes an appointment: its status, or its time.
    pub fn change(&self, booking: &str, status: &str, later: Span) {
        for appointment in lock(&self.office.booked).iter_mut().filter(|a| a.booking.booking_id == booking) {
            appointment.booking.status = Some(status.to_owned());
            if let Some(slot) = &mut appointment.booking.slot {
                slot.start_sec += later.as_micros() / 1_000_000;
            }
        }
    }
}

impl WorkshopServer {
    /// Whom it tells of its work from now on: their public address, and the secret (`whsec_…`) that they share.
    ///
    /// # Errors
    /// [`Error::Sandbox`] if the secret is none.
    pub fn tells(&self, url: &str, secret: &str) -> Result<(), Error> {
        let client = Client { url: url.trim_end_matches('/').to_owned(), teller: Teller::new(secret)? };
        *lock(&self.office.client) = Some(Arc::new(client));
        Ok(())
    }

    /// An appointment stands like this now, and its client is told; of the end of the work, what was found.
    pub async fn report(&self, booking: &str, status: &str, found: Option<&Verdict>) {
        self.change(booking, status, Span::ZERO);
        let client = lock(&self.office.client).clone();
        let news = lock(&self.office.booked).iter_mut().find(|a| a.booking.booking_id == booking).map(|a| {
            a.told += 1;
            (a.token.clone(), Callback { booking: a.booking.clone(), seq: a.told })
        });
        let (Some(client), Some((token, news))) = (client, news) else { return };
        let (stage, teller) = (&self.office.stage, &client.teller);
        let id = format!("{booking}/{}", news.seq);
        if let Some(found) = found {
            teller.tell(stage, &format!("{}/outcome/{token}", client.url), &format!("{id}/found"), found).await;
        }
        teller.tell(stage, &format!("{}/booking/{token}", client.url), &id, &news).await;
    }
}

async fn take(
    State(office): State<Arc<Office>>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    Path(method): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let basic = format!("Basic {}", STANDARD.encode(format!("{USER}:{}", office.password)));
    if headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()) != Some(basic.as_str()) {
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, json!({ "reason": "who are you?" })));
    }
    match method.as_str() {
        "BatchAvailabilityLookup" => Ok(done(&office.look_up(&read(&body)?)?)),
        "CreateLease" if *lock(&office.leasing) => Ok(done(&office.lease(read(&body)?)?)),
        "CreateBooking" => office.create(&scissors, read(&body)?).await,
        "UpdateBooking" => Ok(done(&office.update(&read(&body)?)?)),
        "ListBookings" => {
            let of: ListRequest = read(&body)?;
            let bookings =
                lock(&office.booked).iter().filter(|a| a.user == of.user_id).map(|a| a.booking.clone()).collect();
            Ok(done(&ListResponse { bookings }))
        }
        _ => Err(Refusal::new(StatusCode::NOT_FOUND, json!({ "reason": "no such method" }))),
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|e| bad(&e.to_string()))
}

fn bad(why: &str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, json!({ "reason": why }))
}

fn done(answer: &impl Serialize) -> Response {
    Json(serde_json::to_value(answer).unwrap_or_default()).into_response()
}

fn failed(cause: &str) -> Option<Failure> {
    Some(Failure { cause: cause.to_owned(), description: String::new() })
}

impl Office {
    fn check(&self, slot: &Slot) -> Result<(), Refusal> {
        let sound = slot.merchant_id == MERCHANT && !slot.service_id.is_empty() && slot.duration_sec > 0;
        if sound { Ok(()) } else { Err(bad("not a time of this merchant")) }
    }

    /// Whether a time is free for whoever holds `lease`.
    fn is_free(&self, start_sec: i64, lease: Option<&str>) -> bool {
        let now = (self.stage.clock)();
        let held = lock(&self.leases)
            .iter()
            .any(|(id, (slot, until))| slot.start_sec == start_sec && *until > now && Some(id.as_str()) != lease);
        let alive = |a: &Appointment| a.booking.status.as_deref() != Some("CANCELED");
        let booked = lock(&self.booked)
            .iter()
            .any(|a| alive(a) && a.booking.slot.as_ref().is_some_and(|s| s.start_sec == start_sec));
        !held && !booked && !lock(&self.full).contains(&start_sec)
    }

    fn look_up(&self, request: &LookupRequest) -> Result<LookupResponse, Refusal> {
        if request.merchant_id != MERCHANT {
            return Err(bad("no such merchant"));
        }
        let times = request
            .slot_time
            .iter()
            .map(|t| SlotTimeAvailability { slot_time: t.clone(), available: self.is_free(t.start_sec, None) });
        Ok(LookupResponse { slot_time_availability: times.collect() })
    }

    fn lease(&self, LeaseRequest { mut lease }: LeaseRequest) -> Result<LeaseResponse, Refusal> {
        self.check(&lease.slot)?;
        if !self.is_free(lease.slot.start_sec, None) {
            return Ok(LeaseResponse { lease: None, booking_failure: failed("SLOT_UNAVAILABLE") });
        }
        let mut leases = lock(&self.leases);
        lease.lease_id = format!("L-{}", leases.len() + 1);
        let until = At::from_secs(lease.lease_expiration_time_sec);
        leases.insert(lease.lease_id.clone(), (lease.slot.clone(), until));
        Ok(LeaseResponse { lease: Some(lease), booking_failure: None })
    }

    async fn create(&self, scissors: &Scissors, request: CreateRequest) -> Result<Response, Refusal> {
        self.check(&request.slot)?;
        if request.idempotency_token.is_empty() || request.user_information.user_id.is_empty() {
            return Err(bad("a token and a user are required"));
        }
        let fault = self.requests.next();
        match fault {
            Some(WorkshopFault::Unavailable(seconds)) => {
                let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, json!({ "reason": "try again later" }));
                return Err(refusal.after(seconds));
            }
            Some(WorkshopFault::CutBefore) => {
                scissors.cut();
                return Ok(StatusCode::OK.into_response());
            }
            Some(WorkshopFault::SlotGone) => lock(&self.full).push(request.slot.start_sec),
            Some(WorkshopFault::Declines) => {
                let booking_failure = failed("USER_BLOCKED");
                return Ok(done(&BookingResponse { booking: None, booking_failure }));
            }
            _ => {}
        }
        let answer = self.book(request);
        match fault {
            Some(WorkshopFault::CutAfterAccept) => scissors.cut(),
            Some(WorkshopFault::ErrorAfterAccept) => {
                return Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, json!({ "reason": "something broke" })));
            }
            Some(WorkshopFault::Slow(pause)) => tokio::time::sleep(pause).await,
            _ => {}
        }
        Ok(done(&answer))
    }

    fn book(&self, request: CreateRequest) -> BookingResponse {
        let known = lock(&self.booked).iter().find(|a| a.token == request.idempotency_token).map(|a| a.booking.clone());
        if let Some(booking) = known {
            return BookingResponse { booking: Some(booking), booking_failure: None };
        }
        let lease = request.lease_ref.map(|l| l.lease_id);
        let now = (self.stage.clock)();
        let run_out = lease.as_ref().is_some_and(|id| {
            lock(&self.leases).get(id).is_none_or(|(slot, until)| *until <= now || *slot != request.slot)
        });
        if run_out {
            return BookingResponse { booking: None, booking_failure: failed("LEASE_EXPIRED") };
        }
        if !self.is_free(request.slot.start_sec, lease.as_deref()) {
            return BookingResponse { booking: None, booking_failure: failed("SLOT_UNAVAILABLE") };
        }
        if let Some(id) = &lease {
            lock(&self.leases).remove(id);
        }
        let mut booked = lock(&self.booked);
        let booking = Booking {
            booking_id: format!("B-{}", booked.len() + 1),
            slot: Some(request.slot),
            status: Some("CONFIRMED".to_owned()),
        };
        let start_at = booking.slot.as_ref().map(|s| At::from_secs(s.start_sec)).unwrap_or_default();
        self.stage.sightings.saw(Sighting::Appointment { booking: booking.booking_id.clone(), start_at });
        let (token, user) = (request.idempotency_token, request.user_information.user_id);
        booked.push(Appointment { token, user, booking: booking.clone(), told: 0 });
        BookingResponse { booking: Some(booking), booking_failure: None }
    }

    fn update(&self, UpdateRequest { booking: wanted }: &UpdateRequest) -> Result<BookingResponse, Refusal> {
        let mut booked = lock(&self.booked);
        let Some(known) = booked.iter_mut().find(|a| a.booking.booking_id == wanted.booking_id) else {
            return Err(bad("no such booking"));
        };
        if wanted.status.is_some() {
            known.booking.status.clone_from(&wanted.status);
        }
        Ok(BookingResponse { booking: Some(known.booking.clone()), booking_failure: None })
    }
}
