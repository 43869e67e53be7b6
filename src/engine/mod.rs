//! The detection core: messages and time in, detections out. No clock, no I/O.
