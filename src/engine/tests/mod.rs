//! The semantics of rules, clause by clause, in virtual time.

mod bars;
mod history;
mod levels;
mod lifecycle;
mod operators;
mod presence;
mod shipped;
mod time;
mod values;
mod world;
