//! The semantics of rules, clause by clause, in virtual time.

mod bars;
mod components;
mod events;
mod history;
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
