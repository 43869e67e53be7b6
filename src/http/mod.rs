//! The ways in: health, metrics, callbacks, API.
