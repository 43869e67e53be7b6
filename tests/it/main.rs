//! The integration tests: one binary, one module for each subject.

mod desk_world;
mod playbooks;
mod simulation;
