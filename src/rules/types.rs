//! Types of expressions, and what arithmetic does to units.
//!
//! Temperatures on an offset scale (degC, degF) are *points*; the difference of two points is a *delta* in K (degF: in
//! degR, the Fahrenheit step). What may be done with a point:
//!
//! | | |
//! |---|---|
//! | point - point | delta (the right side converted to the scale of the left) |
//! | point +- number in K, K + point | point |
//! | point compared with point or with a number in K | the constant side converted, absolute zero and all |
//! | delta compared with a point | refused: write `5[K]` |
//! | point + point, K - point, point * x, point / x, -point, abs, sum | refused: use `(t - 0[degC])`, which is a delta |
//! | rate, slope, stddev of a point | a delta (per second) |

use std::sync::Arc;

use super::program::Shown;
use crate::domain::{Dimension, Unit};

/// The type of an expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Ty {
    Bool,
    Num(Unit, Nature),
    Enum(Arc<[Arc<str>]>),
    Text,
    /// `device.x`: a text, or a plain number where one is needed.
    Attr(Arc<str>),
}

/// What a number is on its scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nature {
    /// A scale that starts at zero.
    Linear,
    /// A reading on a scale with an offset.
    Point,
    /// The difference of two points.
    Delta,
}

impl Ty {
    /// The difference of two values of this type.
    pub(super) fn difference(&self) -> Self {
        match self {
            Self::Num(unit, Nature::Point) => Self::Num(step_of(unit), Nature::Delta),
            other => other.clone(),
        }
    }

    /// A number in a unit as it is written.
    pub(super) fn num(unit: Unit) -> Self {
        let nature = if unit.offset == 0.0 { Nature::Linear } else { Nature::Point };
        Self::Num(unit, nature)
    }

    pub(super) fn plain() -> Self {
        Self::num(Unit::none())
    }

    pub(super) fn seconds() -> Self {
        Self::num(seconds())
    }

    /// "a temperature (degC)", "true or false", for messages.
    pub(super) fn what(&self) -> String {
        match self {
            Self::Bool => "true or false".to_owned(),
            Self::Num(u, Nature::Delta) => format!("a difference of {} ({u})", u.dimension.name()),
            Self::Num(u, _) if u.dimension == Dimension::NONE => "a plain number".to_owned(),
            Self::Num(u, _) => format!("{} ({u})", u.dimension.name()),
            Self::Enum(values) => format!("one of '{}'", values.join("', '")),
            Self::Text => "a text".to_owned(),
            Self::Attr(name) => format!("device.{name}"),
        }
    }

    pub(super) fn shown(&self) -> Shown {
        match self {
            Self::Bool => Shown::Bool,
            Self::Num(unit, _) => Shown::Num(unit.clone()),
            Self::Enum(values) => Shown::Enum(values.clone()),
            Self::Text | Self::Attr(_) => Shown::Text,
        }
    }
}

pub(super) fn seconds() -> Unit {
    Unit { text: "s".into(), dimension: Dimension::TIME, factor: 1.0, offset: 0.0 }
}

/// The unit of a difference of two values on a scale: one step of it.
pub(super) fn step_of(unit: &Unit) -> Unit {
    if unit.offset == 0.0 {
        return unit.clone();
    }
    let text: Arc<str> = if unit.factor == 1.0 { "K".into() } else { "degR".into() };
    Unit { text, offset: 0.0, ..unit.clone() }
}

pub(super) fn product(a: &Unit, b: &Unit) -> Unit {
    let text = match (&*a.text, &*b.text) {
        ("", t) | (t, "") => t.into(),
        (a, b) => format!("{a}*{b}").into(),
    };
    Unit { text, dimension: a.dimension.times(b.dimension), factor: a.factor * b.factor, offset: 0.0 }
}

pub(super) fn quotient(a: &Unit, b: &Unit) -> Unit {
    let dimension = a.dimension.over(b.dimension);
    let factor = a.factor / b.factor;
    let text = match (&*a.text, &*b.text) {
        (a, b) if a == b => "".into(),
        (a, "") => a.into(),
        ("", b) => format!("1/{b}").into(),
        (a, b) => format!("{a}/{}", b.replace('*', "/")).into(),
    };
    Unit { text, dimension, factor, offset: 0.0 }
}

/// The unit of a change of something in `unit` per second.
pub(super) fn per_second(unit: &Unit) -> Unit {
    quotient(&step_of(unit), &seconds())
}
