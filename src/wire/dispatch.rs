//! The dispatch protocol: ask a roadside company for a truck, be told how it goes.
//!
//! `POST /v1/jobs` with `idempotency-key: <effect>` and the body of [`JobRequest`]; 202 or 200 with [`JobStatus`], 409
//! (the key was used for another body), 422 with [`Refusal`]. The company then posts [`JobStatus`] objects, signed as
//! Standard Webhooks, to the job's `callback`; `GET /v1/jobs/{job}` gives the newest one; `POST /v1/jobs/{job}/cancel`
//! takes it back (200) or is refused (409 with [`Refusal`]).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Error;
use crate::domain::{At, EffectId, Job, JobState, JobUpdate, Place, Receipt, ReceiptKind};

/// Header that makes a repeated request harmless: the effect id.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The body of `POST /v1/jobs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobRequest {
    /// The effect id, again.
    #[serde(rename = "ref")]
    pub reference: EffectId,
    /// `tow`, `jump`, `tire`, `technician`…
    pub service: String,
    /// `safety` or `normal`.
    pub priority: String,
    /// When it was planned.
    pub requested_at: At,
    /// Where to.
    #[serde(rename = "where")]
    pub place: Place,
    /// `plate`, `vin`, `make`, `colour`…; `year`, `mass_kg` as numbers, `wheels_locked` as a switch where they can be.
    pub vehicle: BTreeMap<String, Value>,
    /// `part`, `code`; `drivable` as a switch, `hazards` as a list.
    pub fault: BTreeMap<String, Value>,
    /// Who is there.
    pub people: People,
    /// An offer not accepted by then is void.
    pub accept_by: At,
    /// Where to post the news.
    pub callback: String,
}

/// Who waits for the truck.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct People {
    /// `name`, `phone`, `locale`.
    pub contact: BTreeMap<String, String>,
}

impl JobRequest {
    /// The request for `job`. The same arguments give the same bytes when serialised, which the key demands.
    #[must_use]
    pub fn new(job: &Job, effect: EffectId, callback: String) -> Self {
        Self {
            reference: effect,
            service: job.service.clone(),
            priority: job.priority.clone(),
            requested_at: job.requested_at,
            place: job.place.clone(),
            vehicle: job.vehicle.0.iter().map(|(k, v)| (k.clone(), typed(k, v))).collect(),
            fault: job.fault.iter().map(|(k, v)| (k.clone(), typed(k, v))).collect(),
            people: People { contact: job.contact.clone() },
            accept_by: job.accept_by,
            callback,
        }
    }
}

/// The protocol types a few fields that the registry and the playbook hold as text. What does not parse stays text.
fn typed(key: &str, text: &str) -> Value {
    match key {
        "year" | "mass_kg" => text.parse::<i64>().map_or_else(|_| text.into(), Value::from),
        "drivable" | "wheels_locked" => text.parse::<bool>().map_or_else(|_| text.into(), Value::from),
        "hazards" => text.split(',').map(str::trim).filter(|h| !h.is_empty()).collect(),
        _ => text.into(),
    }
}

/// How a job stands: the answer to the request, the body of a callback, and what `GET` gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobStatus {
    /// The company's id of the job.
    pub job: String,
    /// The company's count of the news of this job; old news has a lower number. Callbacks must have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// How it stands.
    pub state: JobState,
    /// When it will be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta: Option<At>,
    /// Who comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<Driver>,
    /// With what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truck: Option<Truck>,
    /// When this was so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<At>,
}

/// Who comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Driver {
    /// Name.
    #[serde(default)]
    pub name: String,
    /// E.164.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
}

/// With what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Truck {
    /// Its plate.
    #[serde(default)]
    pub plate: String,
    /// WGS 84 degrees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lat: Option<f64>,
    /// WGS 84 degrees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lon: Option<f64>,
}

impl JobStatus {
    /// In the desk's words: the truck by its plate, or by its driver's name where no plate is given.
    #[must_use]
    pub fn update(&self) -> JobUpdate {
        let plate = self.truck.as_ref().map(|t| &t.plate);
        let name = self.driver.as_ref().map(|d| &d.name);
        let truck = [plate, name].into_iter().flatten().find(|t| !t.is_empty()).cloned();
        JobUpdate { job: self.job.clone(), state: self.state, eta_at: self.eta, truck }
    }

    /// As news of `effect`, the request that made the job.
    #[must_use]
    pub fn receipt(&self, effect: EffectId) -> Receipt {
        let what = ReceiptKind::Dispatch { update: self.update() };
        Receipt { effect, provider_ref: Some(self.job.clone()), seq: self.seq, what }
    }
}

/// Reads the body of a callback for `effect` (whose signature is already checked).
pub fn callback(effect: EffectId, body: &[u8]) -> Result<Receipt, Error> {
    let status: JobStatus = serde_json::from_slice(body)?;
    if status.job.is_empty() {
        return Err(Error::Missing("job"));
    }
    // Without a number, news that overtook each other could not be put in order.
    if status.seq.is_none() {
        return Err(Error::Missing("seq"));
    }
    Ok(status.receipt(effect))
}

/// The body of 422 and of a refused cancellation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// `out_of_area`, `no_provider`, `unsupported`, `too_close`.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Vehicle;

    fn job() -> Job {
        let text = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        Job {
            service: "tow".into(),
            priority: "safety".into(),
            requested_at: At::from_secs(1_795_300_000),
            place: Place { lat: 48.137, lon: 11.575, age_s: 4.0, accuracy_m: None },
            vehicle: Vehicle(text(&[("plate", "M-AB 123"), ("year", "2024"), ("mass_kg", "about 2 t")])),
            fault: text(&[("part", "brake"), ("drivable", "false"), ("hazards", "hv_battery, fuel")]),
            contact: text(&[("name", "Jane"), ("phone", "+491700000001"), ("locale", "de-DE")]),
            accept_by: At::from_secs(1_795_300_090),
        }
    }

    #[test]
    fn request_has_the_shape_of_the_protocol() {
        let effect: EffectId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let request = JobRequest::new(&job(), effect, "https://me/dispatch/1".into());
        let json = serde_json::to_value(&request).unwrap();
        assert_eq!(json["ref"], effect.to_string());
        assert_eq!(json["requested_at"], "2026-11-21T22:26:40Z");
        assert_eq!(json["where"]["lat"], 48.137);
        assert_eq!(json["vehicle"]["year"], 2024);
        assert_eq!(json["vehicle"]["mass_kg"], "about 2 t");
        assert_eq!(json["fault"]["drivable"], false);
        assert_eq!(json["fault"]["hazards"][1], "fuel");
        assert_eq!(json["people"]["contact"]["locale"], "de-DE");
        assert_eq!(serde_json::from_value::<JobRequest>(json).unwrap(), request);
        let again = JobRequest::new(&job(), effect, "https://me/dispatch/1".into());
        assert_eq!(serde_json::to_vec(&request).unwrap(), serde_json::to_vec(&again).unwrap());
    }

    #[test]
    fn callbacks() {
        let effect: EffectId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let news = callback(
            effect,
            br#"{"job":"J-9","seq":4,"state":"en_route","eta":"2026-11-21T22:50:40Z","weather":"rain",
                "driver":{"name":"Bo","phone":"+49"},"truck":{"plate":"M-TW 1","lat":48.1,"lon":11.5},
                "at":"2026-11-21T22:26:41Z"}"#,
        )
        .unwrap();
        assert_eq!((news.effect, news.seq, news.provider_ref.as_deref()), (effect, Some(4), Some("J-9")));
        let ReceiptKind::Dispatch { update } = news.what else { panic!() };
        assert_eq!(update.state, JobState::EnRoute);
        assert_eq!(update.truck.as_deref(), Some("M-TW 1"));
        assert_eq!(update.eta_at, Some(At::from_secs(1_795_301_440)));
        for (body, part) in [
            (r#"{"job":"J-9","state":"done"}"#, "'seq' is missing"),
            (r#"{"seq":1,"state":"done"}"#, "missing field `job`"),
            (r#"{"job":"","seq":1,"state":"done"}"#, "'job' is missing"),
            (r#"{"job":"J-9","seq":1,"state":"lost"}"#, "unknown variant `lost`"),
            (r#"{"job":"J-9","seq":1,"state":"done","eta":"soon"}"#, "cannot be read"),
            (r#"{"job":"J-9","seq":-1,"state":"done"}"#, "-1"),
            ("done", "cannot be read"),
        ] {
            let error = callback(effect, body.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(part), "{body}: {error}");
        }
    }
}
