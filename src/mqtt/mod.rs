//! The broker connections: receiving, acknowledging, publishing.
