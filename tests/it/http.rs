//! The HTTP server on a real socket, with a scripted desk behind it.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, stop where they cannot go on")]

mod api;
mod callbacks;
mod command;
mod decisions;
mod limits;
mod links;
mod outcomes;
mod talk;
mod voice;
mod world;
