//! Settings, wiring, signals: the only place that reads clock, environment and files at start.

mod audit;
mod cross;
mod erased;
mod kept;
mod links;
mod load;
mod run;
mod secrets;
mod sections;
mod settings;

pub use kept::Kept;
pub use load::{Loaded, Rulebook, load, load_other_rules, load_rulebook, load_to_learn, test_files};
pub use run::{Error, at_rest, check, clock, environment, run};
pub use secrets::Secrets;
pub use settings::{EngineSettings, FilesSettings, LinksSettings, PrivacySettings, Queue, Settings, StoreSettings};
