//! The expression language of rules and conditions: small, with units, durations and unknown values.
//!
//! ```text
//! expr     = or [ '?' expr ':' expr ]
//! or       = and { '||' and }            and = compare { '&&' compare }
//! compare  = orelse [ ('==' '!=' '<' '<=' '>' '>=') orelse | 'in' '[' item { ',' item } ']' | 'matches' 'text' ]      item = expr [ '..' expr ]
//! orelse   = sum [ '??' orelse ]         sum = product { ('+' '-') product }
//! product  = unary { ('*' '/') unary }   unary = [ '!' | '-' ] unary | primary
//! primary  = number[unit] | duration | 'text' | true | false | name | param.name | device.name{.name} | name(args) | (expr)
//! ```
//! `x ?? d` binds tighter than a comparison, so that `soc ?? 50[%] < 20[%]` means what it seems to. Comparisons do not
//! chain. This module knows only the shape of an expression; what its names mean is checked in `rules::check`.

mod lex;
mod parse;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use crate::domain::Span;

pub use parse::parse;

/// Longest expression, in bytes.
pub const MAX_LEN: usize = 4_096;
/// Deepest nesting of parentheses, calls and operators.
pub const MAX_DEPTH: usize = 40;

/// Why a text is not an expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SyntaxError {
    /// Where in the text, in bytes.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do, if there is something to say.
    pub hint: Option<String>,
}

/// A part of an expression and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: Kind,
    /// Bytes of the text.
    pub span: Range<usize>,
}

/// What an expression is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// `60`, `60[degC]`.
    Number(f64, Option<Word>),
    /// `10m`.
    Duration(Span),
    /// `'charging'`.
    Text(Arc<str>),
    /// `true`.
    Bool(bool),
    /// A signal or a `let`.
    Name(Arc<str>),
    /// `param.x`, `device.x` or `device.marker.x`: all after the first dot is one word.
    Field(Word, Word),
    /// `!e`.
    Not(Box<Expr>),
    /// `-e`.
    Negate(Box<Expr>),
    /// `a + b` and its kin.
    Binary(Operator, Box<Expr>, Box<Expr>),
    /// `c ? a : b`.
    Choose(Box<Expr>, Box<Expr>, Box<Expr>),
    /// `a in [b, c..d]`.
    In(Box<Expr>, Vec<Expr>),
    /// `c..d` in such a list, both ends included.
    Range(Box<Expr>, Box<Expr>),
    /// `a matches 'pattern'`.
    Matches(Box<Expr>, Word),
    /// `[a, b]` as an argument.
    List(Vec<Expr>),
    /// `name(args)`.
    Call(Word, Vec<Expr>),
}

/// A word and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// The word.
    pub text: Arc<str>,
    /// Bytes of the text.
    pub span: Range<usize>,
}

/// Operators with two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `||`
    Or,
    /// `&&`
    And,
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `??`
    OrElse,
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
}

impl Operator {
    /// Whether it compares: `==`, `!=`, `<`, `<=`, `>`, `>=`.
    #[must_use]
    pub fn is_comparison(self) -> bool {
        matches!(self, Self::Eq | Self::Ne | Self::Lt | Self::Le | Self::Gt | Self::Ge)
    }

    /// As written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Or => "||",
            Self::And => "&&",
            Self::Eq => "==",
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
            Self::OrElse => "??",
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
        }
    }
}
