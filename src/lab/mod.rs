//! What recordings say about rules: one reader of recordings for everything that looks back, the engine over them, and
//! what came of it.

mod episode;
mod play;
pub mod recording;

pub use episode::{Episode, episodes};
pub use play::{PlayError, Played, Seen, play};
