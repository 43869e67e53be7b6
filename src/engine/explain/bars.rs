//! What keeps the rule from raising now, and until when.

use super::Part;
use super::tree::{Scene, ago};
use crate::domain::At;
use crate::engine::bars::Bar;
use crate::engine::device::Device;
use crate::engine::look::Head;
use crate::rules::{self, Hindrance, Node};

impl Scene<'_> {
    /// All that may keep it from raising, and how that stands.
    pub(super) fn bars(&self, device: &Device, head: Head) -> Vec<Part> {
        let nodes = self.spec.trees.bars.iter();
        nodes
            .filter_map(|node| {
                let (value, note) = self.stands(device, node, head)?;
                let parts = node.children.iter().map(|child| self.part(child)).collect();
                Some(Part { text: node.text.to_string(), place: node.place.to_string(), value, note, parts })
            })
            .collect()
    }

    /// Why it cannot be raised now; empty if it can.
    pub(super) fn barred(&self) -> Vec<String> {
        let Some(device) = self.device else { return Vec::new() };
        self.spec.trees.bars.iter().filter_map(|node| self.barred_by(device, node)).collect()
    }

    fn barred_by(&self, device: &Device, node: &Node) -> Option<String> {
        let rules::Part::Bar(what) = node.part else { return None };
        let Bar::Until(until) = self.bar(device, what)? else { return None };
        let until = At::from_micros(until);
        Some(match what {
            Hindrance::Active => format!("it is outside of its hours until {until}"),
            Hindrance::Healthy => format!("our own link has not been up for long, and it waits until {until}"),
            Hindrance::Cooldown => format!("its last episode has just ended, and it waits until {until}"),
            Hindrance::ExpectedOff | Hindrance::Flap => {
                let because: Vec<String> = node.children.iter().map(|child| self.because(child)).collect();
                format!("the device is expected to be off, as {}", because.join(", and "))
            }
        })
    }

    fn bar(&self, device: &Device, what: Hindrance) -> Option<Bar> {
        device.bar_of(what, self.program, self.spec.bars.as_ref()?, self.seat, self.view.now)
    }

    /// Value and note.
    fn stands(&self, device: &Device, node: &Node, head: Head) -> Option<(String, String)> {
        let rules::Part::Bar(what) = node.part else { return None };
        let bars = self.spec.bars.as_ref()?;
        let raises = device.raises(bars, self.seat, self.view.now);
        Some(match (self.bar(device, what), what) {
            (_, Hindrance::Flap) if head.latched => {
                ("latched".to_owned(), "a person ends the episode by closing its case".to_owned())
            }
            (_, Hindrance::Flap) => (format!("{raises} so far"), String::new()),
            (Some(Bar::Until(_)), Hindrance::ExpectedOff) => ("barred".to_owned(), String::new()),
            (Some(Bar::Until(until)), _) => {
                ("barred".to_owned(), format!("until {}; {}", At::from_micros(until), self.zone(device, what)))
            }
            (Some(Bar::Open { since }), Hindrance::Active) => {
                ("open".to_owned(), format!("since {}; {}", ago(since, self.view.now), self.zone(device, what)))
            }
            _ => ("open".to_owned(), String::new()),
        })
        .map(|(value, note)| (value, note.trim_end_matches("; ").to_owned()))
    }

    /// In which time zone the hours are, if the clock of the device decides.
    fn zone(&self, device: &Device, what: Hindrance) -> String {
        let active = self.spec.bars.as_ref().and_then(|b| b.active.as_ref());
        let local = what == Hindrance::Active && active.is_some_and(rules::Schedule::is_local);
        let name = device.profile.zone.iana_name().unwrap_or("UTC");
        if local { format!("the device is in {name}") } else { String::new() }
    }
}
