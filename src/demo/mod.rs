//! Everything around the daemon on one machine: broker, providers, fleet.
