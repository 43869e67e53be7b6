//! Settings, wiring, signals: the only place that reads clock, environment and files at start.

mod cross;
mod load;
mod run;
mod secrets;
mod sections;
mod settings;

pub use load::{Loaded, load};
pub use run::{Error, check, clock, run};
pub use secrets::Secrets;
pub use settings::{EngineSettings, FilesSettings, Queue, Settings, StoreSettings};
