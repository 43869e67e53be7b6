//! The service desk core: detections, answers and time in; one record of changes and the orders it releases out.
//! No clock, no I/O, no randomness.
//!
//! Every input is handled the same way: write down what happened, look at each case that it touches until nothing
//! moves any more, claim what is due. Looking at a case is idempotent; all decisions are made from rows, never from
//! what was just received. So a restart, a replay and a lost callback all end in the same place.
//!
//! Invariants, checked by [`Desk::check_invariants`]:
//! - I1: an open case has a wake-up, and each of its open goals has a step at work or a person who was asked.
//! - I2: a closed case has nothing waiting to be sent except what undoes or documents it.
//! - I3: an effect has one attempt in flight at most, and only effects in flight have orders.

mod api;
mod book;
mod bundle;
mod cancel;
mod caps;
mod case;
mod change;
mod claim;
mod command;
mod config;
mod consent;
mod course;
mod deadline;
mod directory;
mod dispatch;
mod dossier;
mod erase;
mod export;
mod facts;
mod goals;
mod history;
mod hold;
mod invariants;
mod latch;
mod line;
mod link;
mod lookup;
mod merge;
mod named;
mod nameless;
mod news;
mod notes;
mod optout;
mod order;
mod outcome;
mod pages;
mod plan;
mod position;
mod quality;
mod quiet;
mod reach;
mod reached;
mod record;
mod recurring;
mod report;
mod returned;
mod route;
mod rows;
mod rules;
mod seal;
mod settle;
mod sla;
mod speech;
mod standing;
mod state;
mod stop;
mod storm;
mod survey;
mod talk;
mod ticket;
mod view;
mod wait;
mod waits;
mod webhook;
mod whereabouts;
mod wrong;

use std::sync::Arc;

pub use api::{
    Act, CaseSummary, CaseView, EffectView, GoalView, Input, KeyChange, Reply, Speech, SpeechThen, Step, SwitchView,
    TimelineEntry, TimelineKind, Watch,
};
pub use book::{ByMail, Hours, Workshop};
pub use caps::{Cap, Whose};
pub use case::FLEET;
pub use config::{AfterClose, Config, Contact, NewRules, Person, Provider, Settings, StormGuard};
pub use directory::Directory;
pub use history::History;
pub use link::{Form, LinkPage, Links};
pub use lookup::{Appointment, Arranged, Caller, KnownCase, KnownDevice, KnownPerson, Lookup, Told};
pub use optout::OptOutView;
pub use outcome::{Floor, OutcomeView, PERSONAL, Settings as OutcomeSettings};
pub use quality::RuleQuality;
pub use quiet::QuietWindow;
pub use record::Record;
pub use route::Skills;
pub use rows::subject_of;
pub use seal::{Key, Keyring};
pub use talk::MessageView;
pub use waits::WaitView;

pub use crate::playbook::ProviderKind;

use crate::domain::{At, DeviceId};
use change::Change;
use state::State;

/// The text people of a queue are paged with.
pub const PAGE_SCRIPT: &str = "human-page";

/// Why stored rows cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A key that no version of this program has written.
    #[error("a stored key of the desk is not readable")]
    Key,
    /// A row that does not decode.
    #[error("a stored row of the desk is not readable")]
    Row,
    /// Written by another version of this program.
    #[error("a stored row of the desk has version {0}; this program reads version 6")]
    Version(u8),
}

/// The desk: its state, and what it does about whatever happens.
#[derive(Debug)]
pub struct Desk {
    /// As it was handed in.
    given: Arc<Config>,
    /// The same without the erased: what all decisions are made with.
    config: Arc<Config>,
    state: State,
}

impl Desk {
    /// An empty desk.
    #[must_use]
    pub fn new(config: Arc<Config>) -> Self {
        let mut desk = Self { given: config.clone(), config, state: State::default() };
        desk.leave_out_erased();
        desk
    }

    /// Takes in stored rows.
    ///
    /// # Errors
    /// A row that this program cannot read; the state is then incomplete and must not be used.
    pub fn load<K: AsRef<[u8]>, R: AsRef<[u8]>>(
        &mut self,
        rows: impl IntoIterator<Item = (K, R)>,
    ) -> Result<(), Error> {
        rows.into_iter().try_for_each(|(key, row)| self.state.put(key.as_ref(), Some(row.as_ref())))?;
        self.leave_out_erased();
        Ok(())
    }

    /// Other settings, playbooks, texts or registry from now on. Open cases keep the playbook they were opened with.
    pub fn reload(&mut self, config: Arc<Config>) {
        self.given = config;
        self.leave_out_erased();
    }

    /// From now on everything is taken in and decided, and nothing is sent: what is due waits, and says `why`. For a state
    /// that may be older than what was done on it, and for deciding without a daemon. It ends with this desk.
    pub fn hold(&mut self, why: &str) {
        self.state.held = Some(why.into());
    }

    /// What is to be done about `input`. Changes nothing: make the record durable, [`Self::apply`] it, then release
    /// the orders.
    #[must_use]
    pub fn handle(&self, now: At, input: Input) -> Step {
        let mut change = Change::new(&self.state, &self.config, now);
        let reply = settle::take_in(&mut change, input);
        settle::settle(&mut change);
        let watch = settle::watches(&change);
        let releases = std::mem::take(&mut change.releases);
        let keys = std::mem::take(&mut change.keys);
        let outcomes = std::mem::take(&mut change.outcomes);
        let (record, orders) = change.finish();
        Step { record, orders, watch, releases, keys, outcomes, reply }
    }

    /// Takes over what a record changed; the same way live and when the state is rebuilt from the log.
    ///
    /// # Errors
    /// A row that this program cannot read.
    pub fn apply(&mut self, record: &Record) -> Result<(), Error> {
        self.state.apply(record)?;
        if erase::concerns(record) {
            self.leave_out_erased();
        }
        #[cfg(debug_assertions)]
        self.check_invariants_of(record);
        Ok(())
    }

    fn leave_out_erased(&mut self) {
        self.config = erase::without_erased(&self.given, &self.state);
        self.config.directory.warm(&self.config.registry);
    }

    /// What it works with, as it was handed in.
    #[must_use]
    pub fn given(&self) -> &Arc<Config> {
        &self.given
    }

    /// Whether both desks know the same: rows and everything derived from them, timers included.
    #[must_use]
    pub fn same_state(&self, other: &Self) -> bool {
        self.state == other.state
    }

    /// When the desk must be woken with [`Input::Wake`]; in the past: at once.
    #[must_use]
    pub fn wake_at(&self) -> Option<At> {
        self.state.timers.first().map(|(at, _)| *at)
    }

    /// Devices whose facts the desk wants to be told, after a start.
    #[must_use]
    pub fn watched(&self) -> Vec<DeviceId> {
        self.state.open_by_device.keys().cloned().collect()
    }
}
