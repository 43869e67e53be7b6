//! The semantics of rules, clause by clause, in virtual time.

mod baseline;
mod components;
mod events;
mod levels;
mod lifecycle;
mod operators;
mod presence;
mod runs;
mod sequence;
mod shipped;
mod time;
mod values;
mod world;
