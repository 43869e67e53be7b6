//! The desk log and the state built from it; the only place that names sled.
