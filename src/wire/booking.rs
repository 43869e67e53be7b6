//! The booking server of a merchant, version 3 of the REST shape that Google's Actions Center asks for: we are the client.
//!
//! `POST /v3/BatchAvailabilityLookup/`, `/v3/CreateLease/` (which a server may not have: then nothing is kept),
//! `/v3/CreateBooking/` with an idempotency token, `/v3/UpdateBooking/` (here: to cancel), `/v3/ListBookings/`. Business
//! failures come as 200 with `booking_failure`. Numbers of 64 bits are text, as in all JSON of protocol buffers; both
//! forms are read.
//!
//! A booking is made for a user of its own, whose id is the effect that makes it. So `ListBookings` of that user answers
//! for certain whether a booking of unknown outcome exists, and the workshop learns no id that says who else comes.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Error;
use crate::domain::{At, BookingNews, BookingProgress, EffectId, Receipt, ReceiptKind, Slot as Time, Span};

/// Seconds as text or number.
mod seconds {
    use super::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &i64, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<i64, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(i64),
            Text(String),
        }
        match Either::deserialize(d)? {
            Either::Number(n) => Ok(n),
            Either::Text(text) => text.parse().map_err(serde::de::Error::custom),
        }
    }
}

/// A time at a merchant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// Which merchant.
    pub merchant_id: String,
    /// What is to be done.
    pub service_id: String,
    /// When it begins, Unix seconds.
    #[serde(with = "seconds")]
    pub start_sec: i64,
    /// How long it takes, in seconds.
    #[serde(with = "seconds")]
    pub duration_sec: i64,
}

impl Slot {
    /// Of a time of ours.
    #[must_use]
    pub fn new(merchant: &str, service: &str, time: Time) -> Self {
        let seconds = |span: Span| span.as_micros() / 1_000_000;
        Self {
            merchant_id: merchant.to_owned(),
            service_id: service.to_owned(),
            start_sec: time.start_at.as_secs(),
            duration_sec: seconds(time.end_at - time.start_at),
        }
    }

    fn time(&self) -> Time {
        let start_at = At::from_secs(self.start_sec);
        Time { start_at, end_at: start_at + Span::from_secs(self.duration_sec) }
    }
}

/// `POST /v3/BatchAvailabilityLookup/`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookupRequest {
    /// Which merchant.
    pub merchant_id: String,
    /// The times in question.
    pub slot_time: Vec<SlotTime>,
}

/// A time without its merchant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotTime {
    /// What is to be done.
    pub service_id: String,
    /// When it begins, Unix seconds.
    #[serde(with = "seconds")]
    pub start_sec: i64,
    /// How long it takes, in seconds.
    #[serde(with = "seconds")]
    pub duration_sec: i64,
}

impl LookupRequest {
    /// For times of ours.
    #[must_use]
    pub fn new(merchant: &str, service: &str, times: &[Time]) -> Self {
        let slot_time = times.iter().map(|t| Slot::new(merchant, service, *t));
        let slot_time = slot_time.map(|s| SlotTime {
            service_id: s.service_id,
            start_sec: s.start_sec,
            duration_sec: s.duration_sec,
        });
        Self { merchant_id: merchant.to_owned(), slot_time: slot_time.collect() }
    }
}

/// Its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookupResponse {
    /// One for each time of the question.
    pub slot_time_availability: Vec<SlotTimeAvailability>,
}

/// Whether a time is free.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotTimeAvailability {
    /// Which.
    pub slot_time: SlotTime,
    /// Absent is `false`, as in all JSON of protocol buffers.
    #[serde(default)]
    pub available: bool,
}

impl LookupResponse {
    /// Those of the `asked` times that are free.
    #[must_use]
    pub fn free(&self, asked: &[Time]) -> Vec<Time> {
        let is_free = |t: &&Time| {
            self.slot_time_availability.iter().any(|a| a.available && a.slot_time.start_sec == t.start_at.as_secs())
        };
        asked.iter().filter(is_free).copied().collect()
    }
}

/// `POST /v3/CreateLease/`, and within its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Given by the server.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub lease_id: String,
    /// Which time.
    pub slot: Slot,
    /// When it ends by itself, Unix seconds; the server may shorten it.
    #[serde(with = "seconds")]
    pub lease_expiration_time_sec: i64,
}

/// The body of a request for a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRequest {
    /// What is asked for.
    pub lease: Lease,
}

/// Its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseResponse {
    /// What was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// Why nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booking_failure: Option<Failure>,
}

/// `POST /v3/CreateBooking/`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateRequest {
    /// Which time.
    pub slot: Slot,
    /// The hold that is used up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_ref: Option<LeaseRef>,
    /// Who comes.
    pub user_information: User,
    /// The same token gives the same booking.
    pub idempotency_token: String,
    /// With what, and why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub additional_request: String,
}

/// Names a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRef {
    /// As the server named it.
    pub lease_id: String,
}

/// Who comes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct User {
    /// Of this one booking; see the module's doc.
    pub user_id: String,
    /// First name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub given_name: String,
    /// Last name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub family_name: String,
    /// E.164.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub telephone: String,
    /// Mailbox.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub email: String,
    /// BCP 47.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub language_code: String,
}

/// A booking; of what is not asked for or told only the id is always there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Booking {
    /// As the server names it.
    pub booking_id: String,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<Slot>,
    /// How it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

impl Booking {
    /// In the desk's words; `None`: a status that says nothing of it.
    #[must_use]
    pub fn news(&self) -> Option<BookingNews> {
        // The last two are not Google's: a workshop that says more than the protocol asks for is heard.
        let progress = match self.status.as_deref()? {
            "CONFIRMED" => BookingProgress::Confirmed,
            "PENDING_MERCHANT_CONFIRMATION" | "PENDING_CLIENT_CONFIRMATION" => BookingProgress::Pending,
            "CANCELED" | "DECLINED_BY_MERCHANT" | "FAILED" => BookingProgress::Cancelled,
            "NO_SHOW" | "NO_SHOW_PENALIZED" => BookingProgress::NoShow,
            "CHECKED_IN" => BookingProgress::CheckedIn,
            "COMPLETED" => BookingProgress::Done,
            _ => return None,
        };
        let slot = self.slot.as_ref().map(Slot::time);
        Some(BookingNews::Stands { booking: self.booking_id.clone(), progress, slot })
    }
}

/// The answer to a request that makes or changes a booking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BookingResponse {
    /// The booking as it now is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booking: Option<Booking>,
    /// Why it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booking_failure: Option<Failure>,
}

/// `POST /v3/UpdateBooking/`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateRequest {
    /// The id, and what is to change.
    pub booking: Booking,
}

/// `POST /v3/ListBookings/`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListRequest {
    /// Whose.
    pub user_id: String,
}

/// Its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListResponse {
    /// All of them.
    #[serde(default)]
    pub bookings: Vec<Booking>,
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// `SLOT_UNAVAILABLE`, `LEASE_EXPIRED`, `SLOT_ALREADY_BOOKED_BY_USER`…
    pub cause: String,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

impl Failure {
    /// The time is not to be had any more; another one may be.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self.cause.as_str(), "SLOT_UNAVAILABLE" | "LEASE_EXPIRED" | "SLOT_UNAVAILABLE_FOR_USER")
    }
}

/// What a workshop posts to `<public_url>/booking/<idempotency token>`, signed as Standard Webhooks: the protocol has news
/// for Google only, so this is its [`Booking`] with the workshop's own count of its news.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callback {
    /// As it now is.
    pub booking: Booking,
    /// Counts the news of this booking: what has a number not above one that was heard is old.
    pub seq: u64,
}

/// The news in the body of a callback for `effect`.
///
/// # Errors
/// Not that shape, or a status that the protocol does not know.
pub fn callback(effect: EffectId, body: &[u8]) -> Result<Receipt, Error> {
    let Callback { booking, seq } = serde_json::from_slice(body)?;
    let status = booking.status.clone().ok_or(Error::Missing("booking.status"))?;
    let news = booking.news().ok_or_else(|| Error::unexpected("booking.status", &status))?;
    let provider_ref = Some(booking.booking_id);
    Ok(Receipt { effect, provider_ref, seq: Some(seq), what: ReceiptKind::Booking { news } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(h: i64) -> Time {
        let start_at = At::from_secs(h * 3_600);
        Time { start_at, end_at: start_at + Span::from_hours(1) }
    }

    #[test]
    fn requests_have_the_shape_of_the_protocol() {
        let json = serde_json::to_value(LookupRequest::new("m", "s", &[time(1)])).unwrap();
        let expected = serde_json::json!({ "merchant_id": "m",
            "slot_time": [{ "service_id": "s", "start_sec": "3600", "duration_sec": "3600" }] });
        assert_eq!(json, expected);
        let create = CreateRequest {
            slot: Slot::new("m", "s", time(1)),
            lease_ref: Some(LeaseRef { lease_id: "L".into() }),
            user_information: User { user_id: "e".into(), family_name: "Doe".into(), ..User::default() },
            idempotency_token: "e".into(),
            additional_request: String::new(),
        };
        let json = serde_json::to_value(&create).unwrap();
        let expected = serde_json::json!({
            "slot": { "merchant_id": "m", "service_id": "s", "start_sec": "3600", "duration_sec": "3600" },
            "lease_ref": { "lease_id": "L" }, "user_information": { "user_id": "e", "family_name": "Doe" },
            "idempotency_token": "e" });
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_value::<CreateRequest>(json).unwrap(), create);
    }

    #[test]
    fn answers_are_read_with_numbers_as_text_or_not() {
        let answer: LookupResponse = serde_json::from_str(
            r#"{"slot_time_availability":[
                {"slot_time":{"service_id":"s","start_sec":"3600","duration_sec":3600},"available":true,"x":1},
                {"slot_time":{"service_id":"s","start_sec":7200,"duration_sec":"3600"}}]}"#,
        )
        .unwrap();
        assert_eq!(answer.free(&[time(1), time(2), time(3)]), [time(1)]);
        let booking = |status: &str| Booking {
            booking_id: "B".into(),
            slot: Some(Slot::new("m", "s", time(1))),
            status: Some(status.into()),
        };
        for (status, expected) in [
            ("CONFIRMED", Some(BookingProgress::Confirmed)),
            ("DECLINED_BY_MERCHANT", Some(BookingProgress::Cancelled)),
            ("NO_SHOW_PENALIZED", Some(BookingProgress::NoShow)),
            ("BOOKING_STATUS_UNSPECIFIED", None),
        ] {
            let progress = booking(status).news().map(|n| match n {
                BookingNews::Stands { progress, slot, .. } => {
                    assert_eq!(slot, Some(time(1)));
                    progress
                }
                other => panic!("{other:?}"),
            });
            assert_eq!(progress, expected, "{status}");
        }
        assert!(Failure { cause: "LEASE_EXPIRED".into(), description: String::new() }.is_gone());
    }
}
