//! Payload bytes to readings, by the model.
