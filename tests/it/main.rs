//! Integration tests: the program against real brokers and real protocols.

mod broker;
mod mqtt;
