//! All integration tests, in one binary: it links once.

mod tidy;
//! Integration tests: the program against real brokers and real protocols.

mod broker;
mod mqtt;
//! All integration tests, in one binary.

mod demo;
//! Integration tests: one binary, one module for each part of the house.

mod payloads;
//! Integration tests: the program against real brokers and real protocols.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod broker;
mod mqtt;
//! Integration tests: one binary, one module for each part of the house.

mod http;
//! Integration tests: one binary, one module for each concern.

mod durability;
