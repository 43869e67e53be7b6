//! What a topic name stands for: which model and device, and what its payloads speak of.

use std::sync::Arc;

use super::decoder::{Decoder, Format, Levels};
use super::{Model, SignalIx};
use crate::domain::DeviceId;

/// Which model and device a topic name belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// Index of the model in the loaded list.
    pub model: usize,
    /// The device, from the topic name.
    pub device: DeviceId,
    /// How its payloads are read: index into [`Model::decoders`].
    pub decoder: usize,
    /// What its payloads speak of.
    pub subject: Subject,
}

/// What the payloads of a topic speak of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// They say so themselves.
    Message,
    /// The value of these signals; of none, if the model does not know the name.
    Signals(Vec<SignalIx>),
    /// Whether the device is there, as [`Presence`](super::Presence) says it.
    Presence,
    /// In which state the device is (Homie's `$state`).
    State,
    /// The unit in which these signals are sent (Homie's `$unit`).
    Unit(Vec<SignalIx>),
    /// The type that these signals have (Homie's `$datatype`).
    Datatype(Vec<SignalIx>),
    /// A Sparkplug edge node or one of its devices.
    Edge(Edge),
    /// Nothing that a device says about itself: commands to it, descriptions.
    Nothing,
}

/// Kinds of Sparkplug messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// `NBIRTH`.
    NodeBirth,
    /// `NDATA`.
    NodeData,
    /// `NDEATH`.
    NodeDeath,
    /// `DBIRTH`.
    DeviceBirth,
    /// `DDATA`.
    DeviceData,
    /// `DDEATH`.
    DeviceDeath,
}

/// The first level of every Sparkplug topic.
pub(super) const NAMESPACE: &str = "spBv1.0";

impl Binding {
    /// A device whose payloads say themselves what they speak of, read by the first decoder of the model.
    #[must_use]
    pub fn plain(model: usize, device: DeviceId) -> Self {
        Self { model, device, decoder: 0, subject: Subject::Message }
    }
}

impl Subject {
    /// What `topic` speaks of, given how it is read and the level that names the device.
    pub(super) fn of(model: &Model, decoder: &Decoder, device_level: usize, topic: &str) -> Self {
        match decoder.format {
            Format::Scalar(Levels::One(level)) => {
                Self::Signals(named(model, topic.split('/').nth(level).unwrap_or("")))
            }
            Format::Scalar(Levels::From(level)) => Self::Signals(named(model, from_level(topic, level))),
            Format::Homie => Self::homie(model, device_level, topic),
            _ => Self::Message,
        }
    }

    /// What begins with `$` describes, `…/set` is a command; only `$state` says something of now.
    fn homie(model: &Model, device_level: usize, topic: &str) -> Self {
        let name = from_level(topic, device_level + 1);
        let (property, attribute) = name.rsplit_once('/').unwrap_or(("", name));
        match attribute {
            "$state" if property.is_empty() => Self::State,
            "$unit" => Self::Unit(named(model, property)),
            "$datatype" => Self::Datatype(named(model, property)),
            "set" => Self::Nothing,
            _ if name.contains('$') => Self::Nothing,
            _ => Self::Signals(named(model, name)),
        }
    }
}

fn named(model: &Model, name: &str) -> Vec<SignalIx> {
    model.named.get(name).cloned().unwrap_or_default()
}

/// `b/c` of `x/a/b/c` from level 2.
fn from_level(topic: &str, level: usize) -> &str {
    match level.checked_sub(1) {
        None => topic,
        Some(before) => topic.match_indices('/').nth(before).map_or("", |(at, _)| &topic[at + 1..]),
    }
}

/// The id of a Sparkplug sender and what it says: `group/edge` for a node, `group/edge/device` for a device behind it.
/// `None`: not one of the six messages by which they speak.
pub(super) fn sparkplug(topic: &str) -> Option<(Arc<str>, Edge)> {
    let levels: Vec<&str> = topic.split('/').collect();
    let edge = |node: bool, word: &str| {
        Some(match (node, word) {
            (true, "NBIRTH") => Edge::NodeBirth,
            (true, "NDATA") => Edge::NodeData,
            (true, "NDEATH") => Edge::NodeDeath,
            (false, "DBIRTH") => Edge::DeviceBirth,
            (false, "DDATA") => Edge::DeviceData,
            (false, "DDEATH") => Edge::DeviceDeath,
            _ => return None,
        })
    };
    match levels[..] {
        [NAMESPACE, group, word, node] => Some((format!("{group}/{node}").into(), edge(true, word)?)),
        [NAMESPACE, group, word, node, device] => Some((format!("{group}/{node}/{device}").into(), edge(false, word)?)),
        _ => None,
    }
}
