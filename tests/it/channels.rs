//! The ways out, each against a peer that speaks its protocol.

mod command;
mod http;
mod mail;
mod smtpd;
mod support;
mod tls;
