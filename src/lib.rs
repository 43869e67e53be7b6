//! Watches the telemetry of a device fleet over MQTT, recognises a breakdown or one that is coming, and acts before the
//! customer calls. This is the map of the house.
//!
//! # Modules in reading order
//! A module uses the layers above it in this list and nothing of its own layer but what is named; `tests/it/tidy.rs`
//! holds that.
//!
//! *Words*
//! - [`domain`]: the nouns: ids, time, units, values, detections, effects, the registry.
//! - [`source`]: files that people write, and findings in them with place, code and hint.
//!
//! *From files and bytes to checked values*
//! - [`model`]: what a kind of device sends, and who and what is out there (the registry's CSV files).
//! - [`decode`]: payload bytes to readings (uses `model`).
//! - [`rules`]: the rule language: typed, with units, compiled to a program (uses `model`).
//! - [`playbook`]: what is done about a fault, and the texts it speaks with (uses the expressions of `rules`).
//! - [`wire`]: the exact shapes and signatures of other people's protocols: Twilio, Zammad, Standard Webhooks.
//!
//! *Cores: given the time and an input they return data; no clock, no I/O, no randomness*
//! - [`engine`]: messages and time in, detections out; one for each group of shards.
//! - [`outbox`]: the life of one effect: due, claimed, sent, known or unknown.
//! - [`desk`]: cases, goals and effects; each step is one record of changes and the orders it releases (uses `outbox`).
//!
//! *What survives*
//! - [`journal`]: the append-only segment log, for telemetry and for the desk's decisions.
//! - [`checkpoint`]: the engine's state at a position of the journal.
//! - [`store`]: the desk log, hash-chained, and the state built from it; the only module that names sled (uses
//!   `journal`).
//!
//! *What moves*
//! - [`runtime`]: threads and queues, ingest → shards → desk → dispatcher; recovery; the ports that adapters implement.
//! - [`lab`]: the same engine and desk in virtual time: what recordings and tests say about rules and playbooks (uses
//!   the journal entries of `runtime`).
//!
//! *Adapters, which never use each other*
//! - [`mqtt`]: the broker: receiving with acknowledgements on demand, publishing, TLS.
//! - [`channels`]: the ways out: mail, ticket desks, dispatch, phone, text, commands, webhooks.
//! - [`http`]: the ways in: probes, metrics, callbacks of providers, the API.
#![cfg_attr(
    feature = "demo",
    doc = "- [`demo`]: all of the world on one machine: broker, providers, fleet, and a play with two breakdowns."
)]
//!
//! *The program*
//! - [`app`]: settings, wiring, signals; the one place that reads the clock, the environment and files at start.
//! - [`cli`]: commands and exit codes.
//!
//! # The way of a message
//! `mqtt` receives it → `runtime` gives it a shard by its device (from the topic, never from the payload) and appends
//! it to the journal → only when it is on the disk it is acknowledged and decoded → the engine steps the rules whose
//! inputs changed → a detection goes to the desk → the desk commits one record, then releases orders → the dispatcher
//! has a channel make one attempt and tells the desk what came of it.
//!
//! # What must always hold
//! 1. A message that was acknowledged to the broker is in the journal, and every detection acted on follows from it.
//! 2. Case, goals, effects and budgets of one step of the desk are one record of its log: all of it or nothing.
//! 3. Nothing is sent that is not a committed effect, and of each idempotency key at most one attempt is under way. An
//!    attempt whose end nobody saw is *unknown*: the provider is asked, it is never blindly repeated.
//! 4. The same journal and rules give the same detections and case ids, with any number of threads and any restart in
//!    between.
//! 5. Every open goal has a wake-up in the future or is being worked on. Nothing waits for ever.
//! 6. Unknown is not false: a missing, stale or impossible value neither raises nor clears.
//! 7. Our own outage (broker, link, daemon, backlog) never looks like a silent fleet.
//! 8. Every queue, window, retry, body and table has a limit. When it is full, QoS 1 is made to wait and QoS 0 is lost,
//!    counted and shown.

pub mod app;
pub mod channels;
pub mod checkpoint;
pub mod cli;
pub mod decode;
#[cfg(feature = "demo")]
pub mod demo;
pub mod desk;
pub mod domain;
pub mod engine;
pub mod http;
pub mod journal;
pub mod lab;
pub mod model;
pub mod mqtt;
pub mod outbox;
pub mod playbook;
pub mod rules;
pub mod runtime;
pub mod source;
pub mod store;
pub mod wire;
