//! The telemetry journal of a daemon as a recording: its messages as they came, and its own marks of the clock.

use std::path::Path;

use super::{Entry, Error, Findings, Fleet, Kind};
use crate::journal::{Pos, Reader};
use crate::model::Topics;
use crate::runtime;
use crate::source::Weight;

#[derive(Debug)]
pub(super) struct Journal {
    reader: Reader,
    topics: Topics,
}

impl Journal {
    pub(super) fn open(dir: &Path) -> Result<Self, Error> {
        Ok(Self { reader: Reader::open(dir, Pos::START)?, topics: Topics::default() })
    }

    pub(super) fn read(&mut self, fleet: &Fleet, findings: &mut Findings, entry: &mut Entry) -> Result<bool, Error> {
        while let Some((pos, frame)) = self.reader.next_record()? {
            entry.place = pos.0;
            match runtime::Entry::decode(frame) {
                Ok(runtime::Entry::Clock { at }) => {
                    entry.kind = Kind::Mark;
                    entry.at = at;
                    return Ok(true);
                }
                // What a person ended then is not what the rules say now.
                Ok(runtime::Entry::Release { .. }) => {}
                Ok(runtime::Entry::Message { received_at, retained, topic, payload }) => {
                    let Some(binding) = self.topics.bind(&fleet.models, topic) else {
                        findings.add(Weight::Note, OF_NO_MODEL, pos.0, || format!("record {}: {topic}", pos.0));
                        continue;
                    };
                    entry.publish(binding, payload);
                    entry.at = received_at;
                    entry.retained = retained;
                    return Ok(true);
                }
                Err(error) => {
                    let say = || format!("record {}: {error}", pos.0);
                    findings.add(Weight::Warning, "records of the journal cannot be read", pos.0, say);
                }
            }
        }
        Ok(false)
    }
}

pub(super) const OF_NO_MODEL: &str = "messages are on topics of no model";
