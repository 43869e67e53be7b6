//! What recordings say about rules: one reader of recordings for everything that looks back.

pub mod recording;
