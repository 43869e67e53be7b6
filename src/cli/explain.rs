//! `forewarn explain`: why a rule fired for a device, or why it did not.

mod render;

pub use render::render;
