//! The map of the house.

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
pub mod model;
pub mod mqtt;
pub mod outbox;
pub mod playbook;
pub mod rules;
pub mod runtime;
pub mod source;
pub mod store;
pub mod wire;
