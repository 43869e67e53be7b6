//! What an expression was made of, part by part: kept beside the flat code for people who ask why a rule fired.
//!
//! Each part has its own piece of code, so that the machine that runs rules also says what each part is worth. None of
//! this is looked at while messages are worked in.

use std::sync::Arc;

use super::expr::{Expr, Kind, Operator};
use super::limits::Hindrance;
use super::program::{Ins, Shown};
use crate::source::{Diagnostics, Place};

/// The trees of a rule for one model.
#[derive(Debug, Default)]
pub(crate) struct Trees {
    /// Of `where`.
    pub(crate) filter: Option<Arc<Node>>,
    /// Of each level, highest first.
    pub(crate) levels: Vec<LevelTrees>,
    /// What may keep it from raising.
    pub(crate) bars: Vec<Node>,
}

/// The trees of a level.
#[derive(Debug, Default)]
pub(crate) struct LevelTrees {
    pub(crate) when: Option<Arc<Node>>,
    pub(crate) clear: Option<Arc<Node>>,
}

/// A part of an expression.
#[derive(Debug)]
pub(crate) struct Node {
    /// As it is written.
    pub(crate) text: Arc<str>,
    /// Where: `rules/car.toml:14`.
    pub(crate) place: Arc<str>,
    pub(crate) part: Part,
    pub(crate) code: Vec<Ins>,
    pub(crate) shown: Shown,
    /// Set if it is a bare signal.
    pub(crate) slot: Option<u16>,
    pub(crate) children: Vec<Arc<Self>>,
}

/// What kind of part it is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Part {
    /// A number, a duration, a text, a switch as written.
    Literal,
    /// A signal.
    Signal,
    /// A `let`; its expression is the child.
    Let,
    /// `param.x`, and where the model gives its default.
    Param(Arc<str>, Arc<str>),
    /// `device.x`.
    Attr(Arc<str>),
    Not,
    And,
    Or,
    /// `==`, `<` and their kin, as written.
    Compare(&'static str),
    Call,
    /// `+`.
    Sum,
    /// Other arithmetic, `?:`, `??`, `in`.
    Other,
    /// A baseline, kept by this operator; the values that make a regime are below it. Its code leaves its centre.
    Baseline(u16),
    /// A derived sample, kept by this operator; what is sampled, and when, are below it.
    Sample(u16),
    /// The start of the open episode.
    Opened,
    /// All steps of a sequence, followed by this operator.
    Steps(u16),
    /// One of them; its conditions are below it.
    Step(u8),
    /// What may keep the rule from raising.
    Bar(Hindrance),
}

impl Part {
    pub(super) fn of(expr: &Expr, is_let: bool) -> Self {
        match &expr.kind {
            Kind::Number(..) | Kind::Duration(_) | Kind::Text(_) | Kind::Bool(_) => Self::Literal,
            Kind::Name(_) if is_let => Self::Let,
            Kind::Name(_) => Self::Signal,
            Kind::Field(base, field) if &*base.text == "param" => Self::Param(field.text.clone(), "".into()),
            Kind::Field(base, _) if &*base.text == "case" => Self::Opened,
            Kind::Field(_, field) => Self::Attr(field.text.clone()),
            Kind::Not(_) => Self::Not,
            Kind::Binary(Operator::And, ..) => Self::And,
            Kind::Binary(Operator::Or, ..) => Self::Or,
            Kind::Binary(Operator::Add, ..) => Self::Sum,
            Kind::Binary(o, ..) if o.is_comparison() => Self::Compare(o.as_str()),
            Kind::Call(..) => Self::Call,
            _ => Self::Other,
        }
    }
}

/// A place as people read it: `rules/car.toml:14`.
pub(super) fn line_of(diags: &Diagnostics, place: &Place) -> Arc<str> {
    format!("{}:{}", diags.path(place.file), diags.line_column(place).0).into()
}

/// The parts directly below an expression, in the order in which they are written.
pub(super) fn below(expr: &Expr) -> Vec<&Expr> {
    match &expr.kind {
        Kind::Not(a) | Kind::Negate(a) => vec![a],
        Kind::Binary(_, a, b) => vec![a, b],
        Kind::Choose(a, b, c) => vec![a, b, c],
        Kind::In(a, list) => std::iter::once(&**a).chain(list).collect(),
        Kind::List(list) => list.iter().collect(),
        Kind::Call(_, args) => {
            args.iter().flat_map(|arg| if matches!(arg.kind, Kind::List(_)) { below(arg) } else { vec![arg] }).collect()
        }
        _ => Vec::new(),
    }
}
