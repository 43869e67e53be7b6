//! The desk of a daemon that is not running: for what must be possible without one.

use std::path::Path;
use std::sync::Arc;

use super::daemon::{Error, load_desk};
use crate::desk::{Config, Desk, Input, KeyChange, Reply};
use crate::domain::At;
use crate::store::{KeyFile, Store};

/// Desk, store and keys, opened. Nothing is sent: what is decided is found by the daemon when it starts.
pub struct AtRest {
    desk: Desk,
    store: Store,
    keys: KeyFile,
}

impl AtRest {
    /// Opens what is under `dir`.
    ///
    /// # Errors
    /// It cannot be read, or a daemon is running on it.
    pub fn open(dir: &Path, config: Arc<Config>, mut keys: KeyFile) -> Result<Self, Error> {
        let (store, _) = Store::open(&dir.join("desk"))?;
        let mut desk = load_desk(config, &mut keys, &store)?;
        desk.hold("the daemon is not running");
        Ok(Self { desk, store, keys })
    }

    /// Makes what the desk decides durable, and the keys what they must be.
    ///
    /// # Errors
    /// It cannot be written. A key that could not be destroyed is destroyed at the next start.
    pub fn tell(&mut self, now: At, input: Input) -> Result<Reply, Error> {
        let step = self.desk.handle(now, input);
        if let Some(record) = step.record {
            self.store.commit(&record)?;
            self.desk.apply(&record)?;
        }
        for change in step.keys {
            match change {
                KeyChange::Destroy(customer) => self.keys.destroy(&customer, now)?,
                KeyChange::Readmit(customer) => self.keys.readmit(&customer)?,
            }
        }
        self.store.checkpoint()?;
        Ok(step.reply)
    }

    /// For reading.
    #[must_use]
    pub fn desk(&self) -> &Desk {
        &self.desk
    }
}
