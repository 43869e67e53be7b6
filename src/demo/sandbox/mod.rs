//! The providers' side of every protocol that the daemon speaks, over loopback: mail server, ticket desk, tow company,
//! phone network, back end of an app, workshop, and a workshop that has nothing but a mailbox.
//!
//! Each part is strict: it refuses what the real one refuses, checks signatures, and counts what it accepted by
//! idempotency key. The counts live in this process, so they outlast a daemon that is killed; a test asks them
//! "how many tickets for this case?" after the worst has happened. Each part can be scripted to misbehave the way
//! real ones do.

mod app;
mod desk;
mod garage;
mod phone;
mod smtp;
mod teller;
mod tow;
mod web;
mod workshop;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;

use super::Error;
use crate::domain::At;
use crate::runtime::Clock;

pub(in crate::demo) use web::http_client;

pub use app::{AppBackend, AppFault, AppMessage, AppUser};
pub use desk::{Article, DeskFault, Ticket, TicketDesk};
pub use garage::Garage;
pub use phone::{Call, Delivery, Driver, PhoneFault, PhoneNetwork, PhoneSettings, Text, Written};
pub use smtp::{Mail, MailFault, MailServer};
pub use teller::Callbacks;
pub use tow::{Crew, TowCompany, TowFault, TowJob, TowSettings};
pub use workshop::{Appointment, MERCHANT, USER, WorkshopFault, WorkshopServer};

/// What all parts share: the time, and the place where sightings go.
#[derive(Clone)]
pub struct Stage {
    /// Tells the time.
    pub clock: Clock,
    /// Where sightings go.
    pub sightings: Sightings,
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage").field("sightings", &self.sightings).finish_non_exhaustive()
    }
}

/// What somebody standing in the sandbox would see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sighting {
    /// A mail was accepted.
    Mail {
        /// Envelope recipient.
        to: String,
        /// Decoded subject line.
        subject: String,
    },
    /// A ticket was opened.
    Ticket {
        /// The number people use.
        number: String,
        /// Its title.
        title: String,
    },
    /// An article was added to a ticket.
    Article {
        /// The number of the ticket.
        number: String,
        /// Its first line.
        body: String,
    },
    /// A ticket was closed.
    TicketClosed {
        /// The number of the ticket.
        number: String,
    },
    /// The tow company changed the state of a job.
    Job {
        /// Its id.
        job: String,
        /// The state in the words of the protocol.
        state: String,
        /// Minutes until the truck is there, as announced.
        eta_min: Option<i64>,
    },
    /// A phone rings.
    Ringing {
        /// The number called.
        to: String,
    },
    /// The called person hears this.
    Heard {
        /// The number called.
        to: String,
        /// The language it was said in.
        language: String,
        /// The words.
        text: String,
    },
    /// The called person pressed a key.
    Pressed {
        /// The number called.
        to: String,
        /// The key.
        digit: char,
    },
    /// A call ended.
    CallEnded {
        /// The number called.
        to: String,
        /// `completed`, `busy`, `no-answer`…
        status: String,
    },
    /// A message was shown in the app.
    Push {
        /// The user.
        to: String,
        /// Its title.
        title: String,
    },
    /// The user of the app tapped a choice.
    Tapped {
        /// The user.
        to: String,
        /// The choice.
        choice: char,
    },
    /// The workshop has booked an appointment.
    Appointment {
        /// Its id.
        booking: String,
        /// When.
        start_at: At,
    },
    /// A text message arrived.
    Sms {
        /// The number.
        to: String,
        /// The words.
        body: String,
    },
}

/// Where sightings go. Who is too slow to read misses the oldest; counts are never taken from here.
#[derive(Debug, Clone)]
pub struct Sightings(broadcast::Sender<Sighting>);

impl Default for Sightings {
    fn default() -> Self {
        Self(broadcast::channel(1024).0)
    }
}

impl Sightings {
    /// Everything seen from now on.
    #[must_use]
    pub fn watch(&self) -> broadcast::Receiver<Sighting> {
        self.0.subscribe()
    }

    fn saw(&self, sighting: Sighting) {
        // An error only says that nobody is looking.
        self.0.send(sighting).ok();
    }
}

/// What goes wrong next. One entry is used up by each request that creates something; when empty, all goes well.
#[derive(Debug)]
struct Script<F>(Mutex<VecDeque<F>>);

impl<F> Default for Script<F> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<F> Script<F> {
    fn add(&self, faults: impl IntoIterator<Item = F>) {
        lock(&self.0).extend(faults);
    }

    fn next(&self) -> Option<F> {
        lock(&self.0).pop_front()
    }
}

/// The counts must be readable even after a panic in a test that held them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How the whole sandbox is set up.
#[derive(Debug, Clone)]
pub struct SandboxSettings {
    /// The ticket desk's API token.
    pub desk_token: String,
    /// The tow company.
    pub tow: TowSettings,
    /// The phone network.
    pub phone: PhoneSettings,
    /// The secret that the app's back end shares, and the time between two things that its users do.
    pub app: (String, std::time::Duration),
    /// The password of the workshop's booking server.
    pub workshop: String,
}

/// All providers.
#[derive(Debug)]
pub struct Sandbox {
    /// The mail server.
    pub mail: MailServer,
    /// The ticket desk.
    pub desk: TicketDesk,
    /// The tow company.
    pub tow: TowCompany,
    /// The phone network.
    pub phone: PhoneNetwork,
    /// The back end of the app.
    pub app: AppBackend,
    /// The workshop.
    pub workshop: WorkshopServer,
    /// What they have in common.
    pub stage: Stage,
}

impl Sandbox {
    /// Starts all of them, each on its own free loopback port.
    ///
    /// # Errors
    /// As the parts.
    pub async fn start(settings: SandboxSettings, clock: Clock) -> Result<Self, Error> {
        let stage = Stage { clock, sightings: Sightings::default() };
        Ok(Self {
            mail: MailServer::start(None, stage.clone()).await?,
            desk: TicketDesk::start(&settings.desk_token, stage.clone()).await?,
            tow: TowCompany::start(settings.tow, stage.clone()).await?,
            phone: PhoneNetwork::start(settings.phone, stage.clone()).await?,
            app: AppBackend::start(&settings.app.0, settings.app.1, stage.clone()).await?,
            workshop: WorkshopServer::start(&settings.workshop, stage.clone()).await?,
            stage,
        })
    }
}
