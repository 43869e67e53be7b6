//! Settings, wiring, signals: the only place that reads clock, environment and files at start.

mod sections;
