//! What one payload says: mostly one message, several if it is a batch or a pack.

use super::{Error, MAX_RECORDS};
use crate::model::Message;

/// The messages of a payload, in order. Its memory is used again for the next one.
#[derive(Debug, Default)]
pub struct Messages {
    list: Vec<Message>,
    used: usize,
}

impl Messages {
    /// Those of the last payload.
    #[must_use]
    pub fn as_slice(&self) -> &[Message] {
        &self.list[..self.used]
    }

    /// Drops the content and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.used = 0;
    }

    /// One more, empty.
    pub(super) fn fresh(&mut self) -> Result<&mut Message, Error> {
        if self.used == MAX_RECORDS {
            return Err(Error::TooManyRecords);
        }
        if self.used == self.list.len() {
            self.list.push(Message::default());
        }
        let message = &mut self.list[self.used];
        self.used += 1;
        message.clear();
        Ok(message)
    }
}
