//! Conditions of a playbook (`expect`, `when`, `needs`): the operators of the rule language over the stored facts of a
//! case, with Kleene logic and `… for 2m`. Everything about the language is in this file, so that the parser of the
//! rules can take its place without touching anything else.
//!
//! `for` binds looser than a comparison and tighter than `&&`: `device.speed == 0 for 2m || dispatch.state == 'on_site'`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::{At, Span, Value};

/// A parsed condition.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// As written.
    pub text: Arc<str>,
    root: Expr,
    holds: usize,
}

/// Since when each `for` of a condition has been true; kept in the row of whoever waits for it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Held(Vec<Option<At>>);

/// Where the names of a condition get their values.
pub trait Facts {
    /// The value of a dotted name; `Unknown` when nothing is known.
    fn name(&self, name: &str) -> Value;
    /// The value of a call with text arguments: `confirmed('warn')`.
    fn call(&self, name: &str, arguments: &[Arc<str>]) -> Value;
}

/// What a condition says now.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// `Some(true)`, `Some(false)`, or `None` while unknown.
    pub truth: Option<bool>,
    /// When time alone may change it: the end of the nearest `for`.
    pub wake_at: Option<At>,
}

/// What is wrong with the text of a condition, and where (bytes).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConditionError {
    /// One sentence.
    pub message: String,
    /// Where in the text.
    pub span: std::ops::Range<usize>,
}

/// A call in a condition: name, arguments, place in the text.
pub type Call = (Arc<str>, Vec<Arc<str>>, std::ops::Range<usize>);

#[derive(Debug, Clone, PartialEq)]
enum Expr {
    Literal(Value),
    Name(Arc<str>, std::ops::Range<usize>),
    Call(Arc<str>, Vec<Arc<str>>, std::ops::Range<usize>),
    Not(Box<Self>),
    Negative(Box<Self>),
    Binary(Operator, Box<Self>, Box<Self>),
    For(usize, Box<Self>, Span),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
}

impl Condition {
    /// Parses `text`.
    ///
    /// # Errors
    /// The first thing that is not understood.
    pub fn parse(text: &str) -> Result<Self, ConditionError> {
        let tokens = tokens(text)?;
        let mut parser = Parser { tokens, next: 0, holds: 0, end: text.len(), depth: 0 };
        let root = parser.or()?;
        match parser.peek() {
            None => Ok(Self { text: text.into(), root, holds: parser.holds }),
            Some(_) => Err(parser.expected("an operator such as `&&`")),
        }
    }

    /// Every name used, with its place in the text.
    #[must_use]
    pub fn names(&self) -> Vec<(Arc<str>, std::ops::Range<usize>)> {
        let mut found = Vec::new();
        self.root.visit(&mut |e| {
            if let Expr::Name(n, span) = e {
                found.push((n.clone(), span.clone()));
            }
        });
        found
    }

    /// Every call used: name, arguments, place in the text.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        let mut found = Vec::new();
        self.root.visit(&mut |e| {
            if let Expr::Call(n, a, span) = e {
                found.push((n.clone(), a.clone(), span.clone()));
            }
        });
        found
    }

    /// The shortest time in which it can become true: what its `for`s ask for, where there is no way around them.
    #[must_use]
    pub fn shortest(&self) -> Span {
        self.root.shortest()
    }

    /// What the condition says at `now`. `held` is brought up to date.
    pub fn evaluate(&self, now: At, facts: &dyn Facts, held: &mut Held) -> Verdict {
        held.0.resize(self.holds, None);
        let mut wake_at = None;
        let value = self.root.evaluate(now, facts, held, &mut wake_at);
        Verdict { truth: value.as_bool(), wake_at }
    }
}

impl Expr {
    fn visit(&self, see: &mut impl FnMut(&Self)) {
        see(self);
        match self {
            Self::Literal(_) | Self::Name(..) | Self::Call(..) => {}
            Self::Not(e) | Self::Negative(e) | Self::For(_, e, _) => e.visit(see),
            Self::Binary(_, a, b) => {
                a.visit(see);
                b.visit(see);
            }
        }
    }

    fn shortest(&self) -> Span {
        match self {
            Self::For(_, inner, span) => *span + inner.shortest(),
            Self::Binary(Operator::And, a, b) => a.shortest().max(b.shortest()),
            Self::Binary(Operator::Or, a, b) => a.shortest().min(b.shortest()),
            _ => Span::ZERO,
        }
    }

    fn evaluate(&self, now: At, facts: &dyn Facts, held: &mut Held, wake: &mut Option<At>) -> Value {
        match self {
            Self::Literal(v) => v.clone(),
            Self::Name(n, _) => facts.name(n),
            Self::Call(n, arguments, _) => facts.call(n, arguments),
            Self::Not(e) => e.evaluate(now, facts, held, wake).as_bool().map_or(Value::Unknown, |b| Value::Bool(!b)),
            Self::Negative(e) => {
                e.evaluate(now, facts, held, wake).as_num().map_or(Value::Unknown, |n| Value::from(-n))
            }
            Self::Binary(op, a, b) => {
                // Both sides always: a `for` on the right keeps its time although the left side decides.
                let (a, b) = (a.evaluate(now, facts, held, wake), b.evaluate(now, facts, held, wake));
                op.apply(&a, &b)
            }
            Self::For(index, e, span) => match e.evaluate(now, facts, held, wake).as_bool() {
                Some(true) => {
                    let since = *held.0[*index].get_or_insert(now);
                    let until = since + *span;
                    if now < until {
                        *wake = Some(wake.map_or(until, |w| w.min(until)));
                    }
                    Value::Bool(now >= until)
                }
                // Unknown is not false: time already held is kept, nothing is claimed meanwhile.
                None => Value::Unknown,
                Some(false) => {
                    held.0[*index] = None;
                    Value::Bool(false)
                }
            },
        }
    }
}

impl Operator {
    fn apply(self, a: &Value, b: &Value) -> Value {
        match self {
            Self::And => match (a.as_bool(), b.as_bool()) {
                (Some(false), _) | (_, Some(false)) => Value::Bool(false),
                (Some(true), Some(true)) => Value::Bool(true),
                _ => Value::Unknown,
            },
            Self::Or => match (a.as_bool(), b.as_bool()) {
                (Some(true), _) | (_, Some(true)) => Value::Bool(true),
                (Some(false), Some(false)) => Value::Bool(false),
                _ => Value::Unknown,
            },
            Self::Equal | Self::NotEqual => {
                let equal = match (a, b) {
                    (Value::Num(x), Value::Num(y)) => (x - y).abs() <= f64::EPSILON * x.abs().max(y.abs()).max(1.0),
                    (Value::Text(x), Value::Text(y)) => x == y,
                    (Value::Bool(x), Value::Bool(y)) => x == y,
                    _ => return Value::Unknown,
                };
                Value::Bool(equal == (self == Self::Equal))
            }
            _ => {
                let (Some(x), Some(y)) = (a.as_num(), b.as_num()) else { return Value::Unknown };
                match self {
                    Self::Less => Value::Bool(x < y),
                    Self::LessOrEqual => Value::Bool(x <= y),
                    Self::Greater => Value::Bool(x > y),
                    Self::GreaterOrEqual => Value::Bool(x >= y),
                    Self::Add => Value::from(x + y),
                    Self::Subtract => Value::from(x - y),
                    Self::Multiply => Value::from(x * y),
                    _ => Value::from(x / y),
                }
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Value(Value),
    Duration(Span),
    Name(Arc<str>),
    Symbol(&'static str),
}

/// Longest first, so that `<=` is not read as `<`.
const SYMBOLS: [&str; 16] = ["&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "+", "-", "*", "/", "(", ")", ","];

fn tokens(text: &str) -> Result<Vec<(Token, std::ops::Range<usize>)>, ConditionError> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let take = |ok: fn(char) -> bool| rest.find(|c| !ok(c)).unwrap_or(rest.len());
        let (token, length) = if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        } else if first == '\'' {
            let Some(close) = rest[1..].find('\'') else {
                return Err(ConditionError { message: "this text has no end".into(), span: at..text.len() });
            };
            (Token::Value(Value::from(&rest[1..=close])), close + 2)
        } else if first.is_ascii_digit() {
            let length = take(|c| c.is_ascii_alphanumeric() || c == '.');
            let word = &rest[..length];
            let token = match (word.parse::<f64>(), word.parse::<Span>()) {
                (Ok(n), _) => Token::Value(Value::from(n)),
                (_, Ok(span)) => Token::Duration(span),
                _ => {
                    let message = format!("'{word}' is neither a number nor a duration such as 90s or 10m");
                    return Err(ConditionError { message, span: at..at + length });
                }
            };
            (token, length)
        } else if first.is_ascii_alphabetic() || first == '_' {
            let length = take(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
            let token = match &rest[..length] {
                "true" => Token::Value(Value::Bool(true)),
                "false" => Token::Value(Value::Bool(false)),
                name => Token::Name(name.into()),
            };
            (token, length)
        } else if let Some(symbol) = SYMBOLS.iter().find(|s| rest.starts_with(**s)) {
            (Token::Symbol(symbol), symbol.len())
        } else {
            let message = format!("'{first}' means nothing here");
            return Err(ConditionError { message, span: at..at + first.len_utf8() });
        };
        found.push((token, at..at + length));
        at += length;
    }
    Ok(found)
}

/// Deeper nesting is refused, so that a hostile file cannot exhaust the stack.
const MAX_DEPTH: usize = 64;

struct Parser {
    tokens: Vec<(Token, std::ops::Range<usize>)>,
    next: usize,
    holds: usize,
    end: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|t| &t.0)
    }

    fn place(&self) -> std::ops::Range<usize> {
        self.tokens.get(self.next).map_or(self.end..self.end, |t| t.1.clone())
    }

    fn expected(&self, what: &str) -> ConditionError {
        let message = match self.peek() {
            Some(_) => format!("expected {what}"),
            None => format!("expected {what}, but the condition ends here"),
        };
        ConditionError { message, span: self.place() }
    }

    fn symbol(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Symbol(s)) if *s == symbol);
        self.next += usize::from(found);
        found
    }

    fn or(&mut self) -> Result<Expr, ConditionError> {
        self.chain(&[("||", Operator::Or)], Self::and)
    }

    fn and(&mut self) -> Result<Expr, ConditionError> {
        self.chain(&[("&&", Operator::And)], Self::held)
    }

    fn held(&mut self) -> Result<Expr, ConditionError> {
        let inner = self.comparison()?;
        if self.peek() != Some(&Token::Name("for".into())) {
            return Ok(inner);
        }
        self.next += 1;
        let Some(Token::Duration(span)) = self.peek().cloned() else {
            return Err(self.expected("a duration such as 2m after `for`"));
        };
        self.next += 1;
        self.holds += 1;
        Ok(Expr::For(self.holds - 1, Box::new(inner), span))
    }

    fn comparison(&mut self) -> Result<Expr, ConditionError> {
        const ALL: [(&str, Operator); 6] = [
            ("==", Operator::Equal),
            ("!=", Operator::NotEqual),
            ("<=", Operator::LessOrEqual),
            (">=", Operator::GreaterOrEqual),
            ("<", Operator::Less),
            (">", Operator::Greater),
        ];
        let left = self.sum()?;
        for (symbol, operator) in ALL {
            if self.symbol(symbol) {
                let right = self.sum()?;
                return Ok(Expr::Binary(operator, Box::new(left), Box::new(right)));
            }
        }
        Ok(left)
    }

    fn sum(&mut self) -> Result<Expr, ConditionError> {
        self.chain(&[("+", Operator::Add), ("-", Operator::Subtract)], Self::product)
    }

    fn product(&mut self) -> Result<Expr, ConditionError> {
        self.chain(&[("*", Operator::Multiply), ("/", Operator::Divide)], Self::unary)
    }

    fn chain(
        &mut self,
        operators: &[(&str, Operator)],
        next: fn(&mut Self) -> Result<Expr, ConditionError>,
    ) -> Result<Expr, ConditionError> {
        let mut left = next(self)?;
        'more: loop {
            for (symbol, operator) in operators {
                if self.symbol(symbol) {
                    let right = next(self)?;
                    left = Expr::Binary(*operator, Box::new(left), Box::new(right));
                    continue 'more;
                }
            }
            return Ok(left);
        }
    }

    fn unary(&mut self) -> Result<Expr, ConditionError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(ConditionError { message: "this condition is nested too deeply".into(), span: self.place() });
        }
        let expr = if self.symbol("!") {
            Expr::Not(Box::new(self.unary()?))
        } else if self.symbol("-") {
            Expr::Negative(Box::new(self.unary()?))
        } else {
            self.atom()?
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn atom(&mut self) -> Result<Expr, ConditionError> {
        if self.symbol("(") {
            let inner = self.or()?;
            return if self.symbol(")") { Ok(inner) } else { Err(self.expected("`)`")) };
        }
        let place = self.place();
        let Some(token) = self.peek().cloned() else { return Err(self.expected("a value")) };
        self.next += 1;
        match token {
            Token::Value(v) => Ok(Expr::Literal(v)),
            // Durations are numbers of seconds, as ages are.
            Token::Duration(span) => Ok(Expr::Literal(Value::from(span.as_secs_f64()))),
            Token::Name(name) if self.symbol("(") => {
                let mut arguments = Vec::new();
                while !self.symbol(")") {
                    match self.peek().cloned() {
                        Some(Token::Value(Value::Text(t))) => arguments.push(t),
                        _ => return Err(self.expected("a text in single quotes")),
                    }
                    self.next += 1;
                    self.symbol(",");
                }
                Ok(Expr::Call(name, arguments, place))
            }
            Token::Name(name) => Ok(Expr::Name(name, place)),
            Token::Symbol(_) => {
                self.next -= 1;
                Err(self.expected("a value"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct World;
    impl Facts for World {
        fn name(&self, name: &str) -> Value {
            match name {
                "speed" => Value::from(0.0),
                "dispatch.state" => Value::from("on_site"),
                "yes" => Value::Bool(true),
                _ => Value::Unknown,
            }
        }
        fn call(&self, name: &str, arguments: &[Arc<str>]) -> Value {
            Value::Bool(name == "confirmed" && &*arguments[0] == "warn")
        }
    }

    fn truth(text: &str) -> Option<bool> {
        Condition::parse(text).unwrap().evaluate(At::from_secs(0), &World, &mut Held::default()).truth
    }

    #[test]
    fn values() {
        for (text, expected) in [
            ("speed == 0 && dispatch.state == 'on_site'", Some(true)),
            ("nothing > 3", None),
            ("nothing > 3 && false", Some(false)),
            ("nothing > 3 || yes", Some(true)),
            ("! confirmed('warn')", Some(false)),
            ("1 + 2 * 3 == 7 && -(2) < 0", Some(true)),
            ("90s < 2m", Some(true)),
            ("speed == 'a'", None),
            ("speed == 0 for 2m || dispatch.state == 'on_site'", Some(true)),
        ] {
            assert_eq!(truth(text), expected, "{text}");
        }
    }

    #[test]
    fn held_for_its_time_and_not_a_moment_less() {
        let condition = Condition::parse("speed == 0 for 2m").unwrap();
        let mut held = Held::default();
        let first = condition.evaluate(At::from_secs(10), &World, &mut held);
        assert_eq!(first, Verdict { truth: Some(false), wake_at: Some(At::from_secs(130)) });
        assert_eq!(condition.evaluate(At::from_secs(129), &World, &mut held).truth, Some(false));
        assert_eq!(condition.evaluate(At::from_secs(130), &World, &mut held).truth, Some(true));
    }

    #[test]
    fn mistakes_name_their_place() {
        for (text, span) in
            [("a &&", 4..4), ("a for b", 6..7), ("a == 'x", 5..7), ("a # b", 2..3), ("7x > 1", 0..2), ("a b", 2..3)]
        {
            assert_eq!(Condition::parse(text).unwrap_err().span, span, "{text}");
        }
        assert!(Condition::parse(&"(".repeat(500)).is_err());
    }
}
