//! What the threads know of each other without sending: who is watched, who is alive, what is committed.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::reload::Warm;
pub(super) use crate::domain::SHARDS;
use crate::domain::{At, DeviceId, Registry, Span};
use crate::rules::Program;

/// The rules in force. Replaced whole on reload.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Models and rules, compiled.
    pub program: Arc<Program>,
    /// What the program was compiled from, in whatever form: kept as long as it is in force.
    pub sources: Arc<[u8]>,
    /// Devices and people.
    pub registry: Arc<Registry>,
    /// Topic filters on which devices answer commands.
    pub replies: Vec<Arc<str>>,
    /// Topic filters of the stop switches.
    pub switches: Vec<Arc<str>>,
    /// How state that is new is refilled; `None`: it begins cold.
    pub warm: Option<Warm>,
}

/// A value that changes rarely, with a count of its changes so that a loop notices one by comparing a number.
#[derive(Debug)]
pub(super) struct Versioned<T> {
    value: Mutex<T>,
    version: AtomicU64,
}

impl<T: Clone> Versioned<T> {
    pub(super) fn new(value: T) -> Self {
        Self { value: Mutex::new(value), version: AtomicU64::new(1) }
    }

    /// The value, if it is not the one that the caller has `seen`.
    pub(super) fn newer(&self, seen: &mut u64) -> Option<T> {
        let version = self.version.load(Ordering::Acquire);
        (version != *seen).then(|| {
            *seen = version;
            self.lock().clone()
        })
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut T)) {
        change(&mut self.lock());
        self.version.fetch_add(1, Ordering::Release);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, T> {
        // The value is replaced or edited in one step; a panic elsewhere cannot leave it half changed.
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shared by all threads of one daemon.
#[derive(Debug)]
pub(super) struct Shared {
    /// Devices whose facts the desk wants.
    pub(super) watched: Versioned<BTreeSet<DeviceId>>,
    /// Per shard thread: the desk has committed every detection up to this journal position.
    pub(super) committed: Vec<AtomicU64>,
    /// Per shard: everything up to this journal position is in checkpoints (0: nothing).
    pub(super) covered: Vec<AtomicU64>,
    /// When each loop last went round.
    beats: Vec<(&'static str, AtomicI64)>,
    trouble: Mutex<Option<String>>,
    /// Devices have spoken at QoS 0: what they say can be lost on the way (D2).
    pub(super) may_lose: AtomicBool,
    /// A person has stopped all effects.
    pub(super) stopped: AtomicBool,
    /// Set when a thread has failed for good: the process must end and be restarted.
    fatal: AtomicBool,
}

/// The loops that must go round for the daemon to be alive.
pub(super) const LOOPS: [&str; 3] = ["ingest", "shards", "desk"];

impl Shared {
    pub(super) fn new(threads: usize) -> Self {
        Self {
            watched: Versioned::new(BTreeSet::new()),
            committed: (0..threads).map(|_| AtomicU64::new(0)).collect(),
            covered: (0..SHARDS).map(|_| AtomicU64::new(0)).collect(),
            beats: LOOPS.iter().map(|name| (*name, AtomicI64::new(i64::MAX))).collect(),
            trouble: Mutex::new(None),
            may_lose: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            fatal: AtomicBool::new(false),
        }
    }

    /// A loop went round at `now`.
    pub(super) fn beat(&self, name: &str, now: At) {
        if let Some((_, beat)) = self.beats.iter().find(|(n, _)| *n == name) {
            beat.store(now.as_micros(), Ordering::Relaxed);
        }
    }

    /// Loops that have not gone round for longer than `limit`.
    pub(super) fn stuck(&self, now: At, limit: Span) -> Vec<&'static str> {
        self.beats
            .iter()
            .filter(|(_, beat)| now - At::from_micros(beat.load(Ordering::Relaxed)) > limit)
            .map(|(name, _)| *name)
            .collect()
    }

    /// States what is wrong with storage now, or that nothing is.
    pub(super) fn set_trouble(&self, what: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }

    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A thread cannot go on: nothing more is acknowledged or released, and the process must be restarted.
    pub(super) fn fail(&self, what: String) {
        tracing::error!(reason = what, "cannot go on; the supervisor must restart the daemon");
        self.set_trouble(Some(what));
        self.fatal.store(true, Ordering::Release);
    }

    pub(super) fn failed(&self) -> bool {
        self.fatal.load(Ordering::Acquire)
    }
}
