//! Integration tests: the program against real brokers and real protocols.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod broker;
mod mqtt;
mod replay;
