//! One step of the desk as it is written to the desk log.

use serde::{Deserialize, Serialize};

use crate::domain::At;

/// One record of the desk log: all that one input changed, or nothing. The truth and the audit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// When the desk decided.
    pub at: At,
    /// Who caused it: `engine`, `provider:<name>`, `api:<token>`, `timer`, `start`.
    pub actor: String,
    /// One line for the audit, without personal data.
    pub what: String,
    /// Rows of the state: key, and the new row (version byte first) or `None` when it is deleted.
    pub changes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}
