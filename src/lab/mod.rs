//! What tests and recordings say about rules: the same engine and desk as live, with a clock that is handed to them.
//!
//! ```text
//! recording  one reader of recordings for everything that looks back
//! proof      tests of rules and playbooks that people write (`forewarn test`)
//! ```

pub mod proof;
pub mod recording;
