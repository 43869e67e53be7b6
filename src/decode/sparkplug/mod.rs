//! Sparkplug B: what an edge node and the devices behind it say.
//!
//! Data names its values by aliases that a birth gave them, and messages of a node are numbered. So a [`Node`] remembers
//! the births and the last number; it is part of the state of the node's shard, in which all of its devices are, and is
//! saved with it. When a number is missing, an alias is not known or data comes before a birth, nobody knows what the
//! values mean: they are stale until the next birth, which is asked for (at most once a minute). What a broker delivers
//! again after a break is known by its bytes and is no gap.
//!
//! A metric is found by its whole name, `Inputs/Temperature`; members of a template by the name of the template in front.

mod values;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;

use prost::Message as _;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use self::values::{Said, said};
use self::wire::{Metric, Payload, Value};
use super::sink::Sink;
use super::value::Scalar;
use super::{Error, pack};
use crate::domain::{At, DeviceId, Span};
use crate::model::{
    BadValue, Compression, Edge, MAX_ELEMENTS, MAX_PAYLOAD_BYTES, Message, Model, Reading, ReadingValue, SignalIx,
};

/// A node has at most so many devices …
const MAX_DEVICES: usize = 4_096;
/// … and each so many metrics …
const MAX_METRICS: usize = 8_192;
/// … with names of at most so many bytes.
const MAX_NAME_BYTES: usize = 512;
/// Templates may stand so deep in each other.
const MAX_TEMPLATES: usize = 16;
/// A node is asked for a birth at most this often.
const ASK_EVERY: Span = Span::from_secs(60);
/// So many messages of a node are known again when they come twice.
const RECENT: usize = 64;
/// The uuid of a payload that holds another one, compressed.
const COMPRESSED: &str = "SPBV1.0_COMPRESSED";
/// The number of the session, in births and deaths of a node.
const SESSION: &str = "bdSeq";

/// What is known of an edge node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Number of the last message.
    seq: Option<u8>,
    /// Number of the session.
    session: Option<u64>,
    /// By name; the node itself has none.
    senders: BTreeMap<String, Births>,
    /// When a birth was asked for.
    asked_at: Option<At>,
    /// Fingerprints of the last messages, the newest at the end.
    recent: Vec<u64>,
}

/// What one sender said at its last birth.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Births {
    /// What it says can be understood.
    valid: bool,
    /// Sorted by name.
    metrics: Vec<Known>,
    /// Alias and index in `metrics`, sorted.
    aliases: Vec<(u64, u32)>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Known {
    name: Arc<str>,
    datatype: u8,
}

/// What a payload says.
#[derive(Debug, Default, PartialEq)]
pub struct Taken {
    /// Of which device, in the order to be taken in.
    pub said: Vec<(DeviceId, Message)>,
    /// The node must be asked for a birth.
    pub ask: bool,
}

/// The topic and payload that ask the node `group/edge` for a birth.
#[must_use]
pub fn rebirth(node: &str, now: At) -> (String, Vec<u8>) {
    let (group, edge) = node.split_once('/').unwrap_or((node, ""));
    let metric = Metric {
        name: Some("Node Control/Rebirth".to_owned()),
        datatype: Some(11),
        value: Some(Value::Boolean(true)),
        ..Metric::default()
    };
    let payload =
        Payload { timestamp: u64::try_from(now.as_millis()).ok(), metrics: vec![metric], ..Payload::default() };
    (format!("spBv1.0/{group}/NCMD/{edge}"), payload.encode_to_vec())
}

/// The node `group/edge` that a sender belongs to.
#[must_use]
pub fn node_of(sender: &str) -> &str {
    sender.match_indices('/').nth(1).map_or(sender, |(at, _)| &sender[..at])
}

impl Node {
    /// Takes in what `sender` says. A payload that cannot be read changes nothing.
    ///
    /// # Errors
    /// The payload cannot be read as a whole.
    pub fn take(
        &mut self,
        model: &Model,
        sender: &DeviceId,
        edge: Edge,
        payload: &[u8],
        received_at: At,
    ) -> Result<Taken, Error> {
        let bytes = payload;
        let payload = decoded(bytes)?;
        let id = sender.as_str();
        // Numbered and timed messages only: the same will may well be published twice.
        let timed = payload.seq.is_some() && payload.timestamp.is_some();
        let mark = timed.then(|| xxh3_64_with_seed(bytes, xxh3_64(id.as_bytes())));
        if mark.is_some_and(|mark| self.recent.contains(&mark)) {
            return Ok(Taken::default());
        }
        let name = id.get(node_of(id).len() + 1..).unwrap_or("").to_owned();
        if !self.senders.contains_key(&name) && self.senders.len() > MAX_DEVICES {
            return Err(malformed("more than 4096 devices behind one node"));
        }
        let births = match edge {
            Edge::NodeBirth | Edge::DeviceBirth => Some(Births::of(&payload.metrics)?),
            _ => None,
        };
        let mut turn = Turn { model, node: node_of(id), taken: Taken::default() };
        match edge {
            Edge::NodeDeath => self.node_died(&payload, &mut turn),
            Edge::NodeBirth => self.node_born(&payload, &mut turn),
            _ => self.in_order(&payload, &mut turn),
        }
        if let Some(births) = births {
            let said = births.messages(model, &payload, true)?;
            self.senders.insert(name, births);
            turn.say(sender, said);
        } else if edge == Edge::DeviceDeath {
            self.senders.entry(name.clone()).or_default().valid = false;
            turn.gone(&name);
        } else if edge != Edge::NodeDeath {
            self.data(name, sender, &payload, &mut turn)?;
        }
        if let Some(mark) = mark {
            self.recent.drain(..(self.recent.len() + 1).saturating_sub(RECENT));
            self.recent.push(mark);
        }
        let mut taken = turn.taken;
        taken.ask &= self.asked_at.is_none_or(|at| received_at - at >= ASK_EVERY);
        if taken.ask {
            self.asked_at = Some(received_at);
        }
        Ok(taken)
    }

    /// The will of a session before the one that is known says nothing.
    fn node_died(&mut self, payload: &Payload, turn: &mut Turn<'_>) {
        let of = session(payload);
        if self.session.is_some() && of.is_some() && self.session != of {
            return;
        }
        self.seq = None;
        for (name, births) in &mut self.senders {
            births.valid = false;
            turn.gone(name);
        }
    }

    /// A new session: what devices said in the one before is stale until they are born again. The same session: somebody
    /// asked, and their births follow.
    fn node_born(&mut self, payload: &Payload, turn: &mut Turn<'_>) {
        let session = session(payload);
        let same = session.is_some() && session == self.session;
        self.session = session;
        self.seq = payload.seq.map(low_byte);
        for (name, births) in self.senders.iter_mut().filter(|(name, _)| !name.is_empty()) {
            if births.valid && !same {
                turn.stale(name, None);
            }
            births.valid = false;
        }
    }

    /// Notes the number of a message. One that is missing makes everything of the node stale; the same one again is the
    /// same message again.
    fn in_order(&mut self, payload: &Payload, turn: &mut Turn<'_>) {
        let Some(seq) = payload.seq.map(low_byte) else { return };
        let follows = self.seq.is_none_or(|last| seq == last || seq == last.wrapping_add(1));
        self.seq = Some(seq);
        if follows {
            return;
        }
        turn.taken.ask = true;
        for (name, births) in &mut self.senders {
            if std::mem::take(&mut births.valid) {
                turn.stale(name, None);
            }
        }
    }

    fn data(&mut self, name: String, sender: &DeviceId, payload: &Payload, turn: &mut Turn<'_>) -> Result<(), Error> {
        let births = self.senders.entry(name.clone()).or_default();
        if births.valid {
            match births.messages(turn.model, payload, false) {
                Ok(said) => {
                    turn.say(sender, said);
                    return Ok(());
                }
                Err(error) if error == unknown_alias() => births.valid = false,
                Err(error) => return Err(error),
            }
        }
        turn.taken.ask = true;
        turn.stale(&name, None);
        Ok(())
    }
}

impl Births {
    /// What a birth says there is.
    fn of(metrics: &[Metric]) -> Result<Self, Error> {
        let mut found = Vec::new();
        list(metrics, "", 0, &mut found)?;
        found.sort_by(|a, b| a.1.name.cmp(&b.1.name));
        found.dedup_by(|a, b| a.1.name == b.1.name);
        if found.len() > MAX_METRICS {
            return Err(malformed("more than 8192 metrics in one birth"));
        }
        let aliases = (0_u32..).zip(&found).filter_map(|(ix, (alias, _))| alias.map(|alias| (alias, ix)));
        let mut aliases: Vec<(u64, u32)> = aliases.collect();
        aliases.sort_unstable();
        if aliases.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(malformed("one alias for two metrics"));
        }
        Ok(Self { valid: true, metrics: found.into_iter().map(|(_, known)| known).collect(), aliases })
    }

    /// The metric that is meant. `None`: an alias that no birth has named.
    fn known(&self, metric: &Metric) -> Option<&Known> {
        match (&metric.name, metric.alias) {
            (Some(name), _) if !name.is_empty() => self.named(name),
            (_, Some(alias)) => {
                let at = self.aliases.binary_search_by_key(&alias, |(alias, _)| *alias).ok()?;
                self.metrics.get(self.aliases[at].1 as usize)
            }
            _ => None,
        }
    }

    fn named(&self, name: &str) -> Option<&Known> {
        self.metrics.binary_search_by(|known| (*known.name).cmp(name)).ok().map(|at| &self.metrics[at])
    }

    /// The values of a payload, by time. Those of a birth are what holds now, however long ago they were measured.
    fn messages(&self, model: &Model, payload: &Payload, birth: bool) -> Result<Vec<Message>, Error> {
        let mut by_time: BTreeMap<(Option<At>, bool), Message> = BTreeMap::new();
        let at = payload.timestamp.and_then(values::instant);
        for metric in &payload.metrics {
            let historical = metric.is_historical == Some(true);
            let own = metric.timestamp.filter(|_| !birth || historical).and_then(values::instant);
            let message = by_time.entry((own.or(at), historical)).or_default();
            self.metric(model, metric, message)?;
        }
        if birth || by_time.is_empty() {
            by_time.entry((at, false)).or_default().presence = birth.then_some(true);
        }
        let message = |((event_at, historical), mut message): ((Option<At>, bool), Message)| {
            (message.event_at, message.historical) = (event_at, historical);
            Sink { model, out: &mut message }.finish();
            message.readings.dedup_by_key(|reading| (reading.signal, reading.component));
            message
        };
        Ok(by_time.into_iter().map(message).collect())
    }

    fn metric(&self, model: &Model, metric: &Metric, out: &mut Message) -> Result<(), Error> {
        let known = self.known(metric);
        let name = match (known, &metric.name) {
            (Some(known), _) => &*known.name,
            (None, Some(name)) if !name.is_empty() => name,
            _ => return Err(unknown_alias()),
        };
        self.read(model, name, metric, 0, &mut Sink { model, out })
    }

    /// The value of the metric `name`, or of the members of a template under that name.
    fn read(
        &self,
        model: &Model,
        name: &str,
        metric: &Metric,
        depth: usize,
        sink: &mut Sink<'_, '_>,
    ) -> Result<(), Error> {
        if depth > MAX_TEMPLATES {
            return Err(malformed("templates nested deeper than 16"));
        }
        if let Some(Value::Template(template)) = &metric.value {
            for member in &template.metrics {
                let Some(member_name) = &member.name else { continue };
                self.read(model, &format!("{name}/{member_name}"), member, depth + 1, sink)?;
            }
        }
        let Some(signals) = model.named.get(name) else { return Ok(()) };
        let datatype = match metric.datatype {
            Some(datatype) => u8::try_from(datatype).unwrap_or(0),
            None => self.named(name).map_or(0, |known| known.datatype),
        };
        let said = said(metric, datatype);
        for &ix in signals {
            signal(sink, ix, &said);
        }
        Ok(())
    }
}

/// One signal of a metric. What was said of it before in the same message does not count.
fn signal(sink: &mut Sink<'_, '_>, ix: SignalIx, said: &Said<'_>) {
    sink.out.readings.retain(|reading| reading.signal != ix);
    let each = sink.model.signals[usize::from(ix.0)].is_list();
    match said {
        Said::One(value) if !each => sink.value(ix, 0, value),
        Said::One(Scalar::Null) => sink.push(ix, 0, ReadingValue::Bad(BadValue::Null)),
        Said::List(list) if each && list.len() > MAX_ELEMENTS => {
            sink.push(ix, 0, ReadingValue::Bad(BadValue::TooLong));
        }
        Said::List(list) if each && list.is_empty() => sink.push(ix, 0, ReadingValue::Empty),
        Said::List(list) if each => {
            for (component, value) in (0_u16..).zip(list) {
                sink.value(ix, component, value);
            }
        }
        Said::One(_) | Said::List(_) => sink.push(ix, 0, ReadingValue::Bad(BadValue::WrongType)),
    }
}

/// What becomes of one payload.
struct Turn<'t> {
    model: &'t Model,
    node: &'t str,
    taken: Taken,
}

impl Turn<'_> {
    fn say(&mut self, sender: &DeviceId, messages: Vec<Message>) {
        self.taken.said.extend(messages.into_iter().map(|message| (sender.clone(), message)));
    }

    /// The sender has gone.
    fn gone(&mut self, name: &str) {
        self.stale(name, Some(false));
    }

    /// Nobody knows what the values of the sender are.
    fn stale(&mut self, name: &str, presence: Option<bool>) {
        let id = if name.is_empty() { self.node.to_owned() } else { format!("{}/{name}", self.node) };
        let signals = (0..=u16::MAX).map(SignalIx).zip(&self.model.signals);
        let stale = |(signal, _)| Reading { signal, component: 0, value: ReadingValue::Bad(BadValue::Stale) };
        let message = Message { presence, readings: signals.map(stale).collect(), ..Message::default() };
        self.taken.said.push((DeviceId::from(&*id), message));
    }
}

/// Every metric of a birth with its alias, members of templates with the name of the template in front.
fn list(metrics: &[Metric], under: &str, depth: usize, found: &mut Vec<(Option<u64>, Known)>) -> Result<(), Error> {
    if depth > MAX_TEMPLATES {
        return Err(malformed("templates nested deeper than 16"));
    }
    for metric in metrics {
        let Some(name) = metric.name.as_ref().filter(|name| !name.is_empty()) else {
            return Err(malformed("a metric without a name in a birth"));
        };
        let name = if under.is_empty() { name.clone() } else { format!("{under}/{name}") };
        if name.len() > MAX_NAME_BYTES {
            return Err(malformed("a name of more than 512 bytes"));
        }
        if let Some(Value::Template(template)) = &metric.value {
            if template.is_definition == Some(true) {
                continue;
            }
            list(&template.metrics, &name, depth + 1, found)?;
        }
        let datatype = metric.datatype.and_then(|datatype| u8::try_from(datatype).ok()).unwrap_or(0);
        found.push((metric.alias, Known { name: name.into(), datatype }));
    }
    Ok(())
}

/// The payload, or the one that is compressed in it.
fn decoded(bytes: &[u8]) -> Result<Payload, Error> {
    if bytes.len() > MAX_PAYLOAD_BYTES {
        return Err(Error::TooLarge { bytes: bytes.len(), limit: MAX_PAYLOAD_BYTES });
    }
    let payload = parsed(bytes)?;
    if payload.uuid.as_deref() != Some(COMPRESSED) {
        return Ok(payload);
    }
    let algorithm = payload.metrics.iter().find(|metric| metric.name.as_deref() == Some("algorithm"));
    let with = match algorithm.and_then(|metric| metric.value.as_ref()) {
        Some(Value::Text(name)) if name == "GZIP" => Compression::Gzip,
        None => Compression::Zlib,
        Some(Value::Text(name)) if name == "DEFLATE" => Compression::Zlib,
        Some(_) => return Err(malformed("compressed in a way that is neither GZIP nor DEFLATE")),
    };
    parsed(&pack::unpacked(with, payload.body.as_deref().unwrap_or_default(), MAX_PAYLOAD_BYTES)?)
}

fn parsed(bytes: &[u8]) -> Result<Payload, Error> {
    Payload::decode(bytes).map_err(|error| malformed(&error.to_string()))
}

fn session(payload: &Payload) -> Option<u64> {
    let metric = payload.metrics.iter().find(|metric| metric.name.as_deref() == Some(SESSION))?;
    match metric.value {
        Some(Value::Long(n)) => Some(n),
        Some(Value::Int(n)) => Some(n.into()),
        _ => None,
    }
}

fn low_byte(seq: u64) -> u8 {
    seq.to_le_bytes()[0]
}

fn malformed(problem: &str) -> Error {
    Error::malformed("Sparkplug", 0, problem)
}

fn unknown_alias() -> Error {
    malformed("an alias that no birth has named")
}
