//! All integration tests, in one binary: it links once.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod backtest;
mod broker;
mod channels;
mod check;
mod command;
mod components;
mod crash;
mod crash_mail;
mod demo;
mod demo_whole;
mod desk_world;
mod durability;
mod examples;
mod explain;
mod fit;
mod fleet_world;
mod formats;
mod formats_live;
mod guards;
mod http;
mod latch;
mod links;
mod lookup;
mod mqtt;
mod oracles;
mod payloads;
mod playbooks;
mod poison;
mod privacy;
mod proof;
mod reference;
mod reload;
mod replay;
mod rules;
mod run;
mod schema;
mod service;
mod simulation;
mod sparkplug;
mod stops;
mod store;
mod tidy;
mod world;
