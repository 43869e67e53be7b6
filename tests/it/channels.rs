//! The ways out, each against a peer that speaks its protocol.

mod calendar;
mod command;
mod http;
mod mail;
#[cfg(feature = "demo")]
mod sandbox;
mod smtpd;
mod support;
mod tls;
#[cfg(feature = "demo")]
mod workshop;
