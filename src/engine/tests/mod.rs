//! The semantics of rules, clause by clause, in virtual time.

mod apart;
mod bars;
mod baseline;
mod chart;
mod clock;
mod codes;
mod components;
mod counters;
mod events;
mod examples_design;
mod history;
mod identity;
mod levels;
mod lifecycle;
mod operators;
mod presence;
mod runs;
mod samples;
mod sequence;
mod shape;
mod shipped;
mod time;
mod values;
mod warm;
mod world;
