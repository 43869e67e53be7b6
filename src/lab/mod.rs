//! What tests and recordings say about rules: the same engine and desk as live, with a clock that is handed to them.
//!
//! ```text
//! recording      one reader of recordings for everything that looks back
//! play, episode  the engine over a recording, and what came of it
//! ask            a rule explained from a recording (`forewarn explain --data`)
//! fit            what is usual in the fleet, learned from a recording
//! proof          tests of rules and playbooks that people write (`forewarn test`)
//! ```

mod ask;
mod episode;
pub mod fit;
pub mod labels;
mod play;
pub mod proof;
pub mod recording;
pub mod report;
pub mod score;
pub mod trace;

pub use ask::{AskError, Question, ask};
pub use episode::{Episode, episodes};
pub use play::{PlayError, Played, Seen, play};
