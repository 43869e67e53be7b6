//! One bare value a topic, as Tasmota, Shelly, ESPHome and Homie send it. The topic has named the signal.

use super::value;
use super::{Error, sink::Sink};
use crate::domain::Unit;
use crate::model::{BadValue, Message, Model, ReadingValue, Signal, SignalIx, SignalType, Subject};

/// Reads a payload that is a text. White space around it does not count.
pub(super) fn read(model: &Model, subject: &Subject, payload: &[u8], out: &mut Message) -> Result<(), Error> {
    let text = std::str::from_utf8(payload).map_err(|e| Error::NotUtf8 { offset: e.valid_up_to() })?.trim();
    let mut sink = Sink { model, out };
    match subject {
        Subject::Signals(signals) => {
            for &ix in signals {
                sink.push(ix, 0, value::bare(&model.signals[usize::from(ix.0)], text));
            }
        }
        Subject::State => sink.out.presence = state(text),
        Subject::Unit(signals) => differs(&mut sink, signals, BadValue::WrongUnit, |signal| unit_differs(signal, text)),
        Subject::Datatype(signals) => {
            differs(&mut sink, signals, BadValue::WrongType, |signal| type_differs(signal, text));
        }
        Subject::Message | Subject::Presence | Subject::Edge(_) | Subject::Nothing => {}
    }
    Ok(())
}

/// What Homie's `$state` says: a device that sleeps or warns is there, one that only begins says nothing yet.
fn state(text: &str) -> Option<bool> {
    match text {
        "ready" | "alert" | "sleeping" => Some(true),
        "lost" | "disconnected" => Some(false),
        _ => None,
    }
}

/// Signals of which the device says something else than the model: what they hold is not what it seems.
fn differs(sink: &mut Sink<'_, '_>, signals: &[SignalIx], reason: BadValue, wrong: impl Fn(&Signal) -> bool) {
    for &ix in signals {
        if wrong(&sink.model.signals[usize::from(ix.0)]) {
            sink.push(ix, 0, ReadingValue::Bad(reason));
        }
    }
}

/// Whether a unit is another one than the model's. One that is spelt in a way nobody knows says nothing.
fn unit_differs(signal: &Signal, text: &str) -> bool {
    let sent = match text {
        "°C" => Unit::parse("degC"),
        "°F" => Unit::parse("degF"),
        "°" => Unit::parse("deg"),
        _ => Unit::parse(text),
    };
    sent.is_some_and(|sent| sent.to(&signal.unit) != Some((1.0, 0.0)))
}

fn type_differs(signal: &Signal, text: &str) -> bool {
    match text {
        "integer" | "float" => signal.ty != SignalType::Number,
        "boolean" => signal.ty != SignalType::Bool,
        "string" | "enum" | "color" | "datetime" | "duration" | "json" => {
            matches!(signal.ty, SignalType::Number | SignalType::Bool)
        }
        _ => false,
    }
}
