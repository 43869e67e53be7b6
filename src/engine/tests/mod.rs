//! The semantics of rules, clause by clause, in virtual time.

mod baseline;
mod clock;
mod components;
mod counters;
mod events;
mod examples_design;
mod levels;
mod lifecycle;
mod operators;
mod presence;
mod runs;
mod samples;
mod sequence;
mod shipped;
mod time;
mod values;
mod world;
