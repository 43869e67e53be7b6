//! A message to what the rules and facts of its model read of it.

use super::counts::Counts;
use super::device::Sample;
use super::part::{Key, PartValue};
use crate::model::{Message, Reading, ReadingValue, Send, SignalType};
use crate::rules::{Answer, ModelProgram, text_value};

/// Keeps of a message what rules and facts of its model read.
pub(super) fn reduce(program: &ModelProgram, message: &Message, sample: &mut Sample, counts: &mut Counts) {
    sample.values.clear();
    sample.texts.clear();
    sample.lists.clear();
    sample.parts.clear();
    for reading in &message.readings {
        if let ReadingValue::Bad(why) = reading.value {
            let signal = program.model.signals.get(usize::from(reading.signal.0)).map_or("", |s| s.name.as_str());
            let labels = [("model", program.model.id.as_str()), ("signal", signal), ("reason", why.as_str())];
            counts.one("forewarn_bad_value_total", labels);
        }
        let slot = program.slot_of.get(usize::from(reading.signal.0)).copied().flatten();
        let Some(slot) = slot else { continue };
        if !program.answers.is_empty() {
            answers(program, reading, sample);
        }
        let spec = &program.slots[usize::from(slot)];
        if let Some(list) = spec.list {
            let full = program.model.signals[usize::from(reading.signal.0)].ty == SignalType::Codes(Send::Full);
            code(sample, slot, list, full, &reading.value);
        } else if spec.lane == 0 {
            let value = number(&reading.value);
            if let ReadingValue::Text(text) = &reading.value {
                sample.texts.push((slot, text.clone()));
            }
            sample.values.push((slot, value));
        } else {
            component(sample, slot, reading);
        }
    }
    if let Some((slot, online)) = program.online.zip(message.presence) {
        sample.values.push((slot, f64::from(u8::from(online))));
    }
}

fn number(value: &ReadingValue) -> f64 {
    match value {
        ReadingValue::Number(n) | ReadingValue::Whole { nearest: n, .. } => *n,
        ReadingValue::Bool(b) => f64::from(u8::from(*b)),
        ReadingValue::Enum(ix) => f64::from(*ix),
        ReadingValue::Text(text) => text_value(text),
        ReadingValue::Bad(_) | ReadingValue::Empty => f64::NAN,
    }
}

/// An element of a list of components.
#[inline(never)] // Rare, and large: it would slow down what is neither.
fn component(sample: &mut Sample, slot: u16, reading: &Reading) {
    if sample.lists.last().is_none_or(|(last, _)| *last != slot) {
        sample.lists.push((slot, f64::NAN));
    }
    let text = if let ReadingValue::Text(text) = &reading.value { Some(text.clone()) } else { None };
    let value = number(&reading.value);
    sample.parts.push(PartValue { slot, key: Key::Index(reading.component), value, text });
}

/// An element of a list of codes, or what is wrong with the list. Of a whole list, codes that are missing are cleared,
/// unless something in it could not be read. Of new codes, what could not be read says nothing.
#[inline(never)]
fn code(sample: &mut Sample, slot: u16, list: u16, full: bool, value: &ReadingValue) {
    let bad = matches!(value, ReadingValue::Bad(_));
    if bad && !full {
        return;
    }
    if sample.values.last().is_none_or(|(last, _)| *last != list) {
        sample.values.push((list, 0.0));
        if full {
            sample.lists.push((slot, 0.0));
        }
    }
    if bad && let (Some((_, known)), Some((_, absent))) = (sample.values.last_mut(), sample.lists.last_mut()) {
        (*known, *absent) = (f64::NAN, f64::NAN);
    }
    if let ReadingValue::Text(code) = value {
        sample.parts.push(PartValue { slot, key: Key::Code(code.clone()), value: 1.0, text: None });
    }
}

/// What else rules ask of a value than what it is.
#[inline(never)]
fn answers(program: &ModelProgram, reading: &Reading, sample: &mut Sample) {
    for (_, slot, answer) in program.answers.iter().filter(|(of, ..)| *of == reading.signal) {
        let value = match (answer, &reading.value) {
            (Answer::Matches(pattern), ReadingValue::Text(text)) => f64::from(u8::from(pattern.is_match(text))),
            (Answer::Rest, ReadingValue::Whole { rest, .. }) => *rest,
            (Answer::Rest, ReadingValue::Number(_)) => 0.0,
            _ => f64::NAN,
        };
        if program.slots[usize::from(*slot)].lane == 0 {
            sample.values.push((*slot, value));
        } else {
            if !sample.lists.iter().any(|(listed, _)| listed == slot) {
                sample.lists.push((*slot, f64::NAN));
            }
            sample.parts.push(PartValue { slot: *slot, key: Key::Index(reading.component), value, text: None });
        }
    }
}
