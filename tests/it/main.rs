//! All integration tests, in one binary: it links once.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod channels;
mod broker;
mod demo;
mod durability;
mod http;
mod mqtt;
mod payloads;
mod tidy;
//! The integration tests: one binary, one module for each subject.

mod desk_world;
mod playbooks;
mod simulation;
