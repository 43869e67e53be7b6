//! All integration tests, in one binary.

mod demo;
//! Integration tests: one binary, one module for each part of the house.

mod payloads;
mod rules;
