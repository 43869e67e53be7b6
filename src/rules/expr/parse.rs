//! Tokens to a tree.

use super::lex::{Tok, Token, error, tokens};
use super::{Expr, Kind, MAX_DEPTH, Operator, SyntaxError, Word};
use crate::source::terse;

/// Parses a whole text as one expression.
pub fn parse(text: &str) -> Result<Expr, SyntaxError> {
    let mut parser = Parser { tokens: tokens(text)?, next: 0, depth: 0 };
    let expr = parser.choose()?;
    match parser.peek() {
        (Tok::End, _) => Ok(expr),
        (token, span) => {
            let hint = hint_after(parser.before(), token);
            Err(error(span.clone(), format!("{} is not expected here", show(token)), hint))
        }
    }
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
    depth: usize,
}

const COMPARE: [(&str, Operator); 6] = [
    ("==", Operator::Eq),
    ("!=", Operator::Ne),
    ("<", Operator::Lt),
    ("<=", Operator::Le),
    (">", Operator::Gt),
    (">=", Operator::Ge),
];

impl Parser {
    /// The token before the next one.
    fn before(&self) -> Option<&Tok> {
        self.tokens.get(self.next.checked_sub(1)?).map(|(token, _)| token)
    }

    fn peek(&self) -> &Token {
        &self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    fn eat(&mut self, sign: &str) -> bool {
        let there = matches!(&self.peek().0, Tok::Sign(s) if *s == sign);
        self.next += usize::from(there);
        there
    }

    fn expect(&mut self, sign: &str) -> Result<(), SyntaxError> {
        if self.eat(sign) {
            return Ok(());
        }
        let (token, span) = self.peek();
        let hint = hint_after(self.before(), token);
        Err(error(span.clone(), format!("'{sign}' is expected here, not {}", show(token)), hint))
    }

    fn choose(&mut self) -> Result<Expr, SyntaxError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let message = format!("the expression is nested deeper than {MAX_DEPTH}");
            return Err(error(self.peek().1.clone(), message, Some("move a part of it into [rule.let]".to_owned())));
        }
        let condition = self.left(&[("||", Operator::Or)], |p| p.left(&[("&&", Operator::And)], Self::compare))?;
        let expr = if self.eat("?") {
            let yes = self.choose()?;
            self.expect(":")?;
            let no = self.choose()?;
            let span = condition.span.start..no.span.end;
            Expr { kind: Kind::Choose(Box::new(condition), Box::new(yes), Box::new(no)), span }
        } else {
            condition
        };
        self.depth -= 1;
        Ok(expr)
    }

    /// A chain of operators of one rank, grouped from the left.
    fn left(
        &mut self,
        operators: &[(&str, Operator)],
        operand: impl Fn(&mut Self) -> Result<Expr, SyntaxError>,
    ) -> Result<Expr, SyntaxError> {
        let mut left = operand(self)?;
        let mut links = 0;
        while let Some((_, operator)) = operators.iter().find(|(sign, _)| self.eat(sign)) {
            links += 1;
            if links > MAX_DEPTH {
                return Err(error(self.peek().1.clone(), format!("more than {MAX_DEPTH} operators in a row"), None));
            }
            left = binary(*operator, left, operand(self)?);
        }
        Ok(left)
    }

    fn compare(&mut self) -> Result<Expr, SyntaxError> {
        let left = self.or_else()?;
        if matches!(&self.peek().0, Tok::Name(n) if &**n == "in") {
            self.take();
            self.expect("[")?;
            let items = self.items()?;
            let span = left.span.start..self.tokens[self.next - 1].1.end;
            return Ok(Expr { kind: Kind::In(Box::new(left), items), span });
        }
        if matches!(&self.peek().0, Tok::Name(n) if &**n == "matches") {
            self.take();
            let (Tok::Text(text), span) = self.take() else {
                let span = self.tokens[self.next - 1].1.clone();
                let hint = Some("write name matches 'P03.*'".to_owned());
                return Err(error(span, "a pattern in single quotes is expected here".to_owned(), hint));
            };
            let whole = left.span.start..span.end;
            return Ok(Expr { kind: Kind::Matches(Box::new(left), Word { text, span }), span: whole });
        }
        let Some((_, operator)) = COMPARE.iter().find(|(sign, _)| self.eat(sign)) else { return Ok(left) };
        let expr = binary(*operator, left, self.or_else()?);
        if let (Tok::Sign(sign), span) = self.peek()
            && COMPARE.iter().any(|(s, _)| s == sign)
        {
            let hint = Some("write a < b && b < c".to_owned());
            return Err(error(span.clone(), "comparisons do not chain".to_owned(), hint));
        }
        Ok(expr)
    }

    fn or_else(&mut self) -> Result<Expr, SyntaxError> {
        let left = self.left(&[("+", Operator::Add), ("-", Operator::Sub)], |p| {
            p.left(&[("*", Operator::Mul), ("/", Operator::Div)], Self::unary)
        })?;
        if !self.eat("??") {
            return Ok(left);
        }
        self.nested(|p| Ok(binary(Operator::OrElse, left, p.or_else()?)))
    }

    fn unary(&mut self) -> Result<Expr, SyntaxError> {
        let start = self.peek().1.start;
        if self.eat("!") {
            let inner = self.nested(Self::unary)?;
            let span = start..inner.span.end;
            return Ok(Expr { kind: Kind::Not(Box::new(inner)), span });
        }
        if self.eat("-") {
            let inner = self.nested(Self::unary)?;
            let span = start..inner.span.end;
            // `-40[degC]` is the number -40 in degC, not the negative of a temperature.
            let kind = match inner.kind {
                Kind::Number(n, unit) if n >= 0.0 => Kind::Number(-n, unit),
                _ => Kind::Negate(Box::new(inner)),
            };
            return Ok(Expr { kind, span });
        }
        self.primary()
    }

    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, SyntaxError>) -> Result<T, SyntaxError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let message = format!("the expression is nested deeper than {MAX_DEPTH}");
            return Err(error(self.peek().1.clone(), message, Some("move a part of it into [rule.let]".to_owned())));
        }
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn primary(&mut self) -> Result<Expr, SyntaxError> {
        let (token, span) = self.take();
        let kind = match token {
            Tok::Number(n, unit) => Kind::Number(n, unit),
            Tok::Duration(d) => Kind::Duration(d),
            Tok::Text(t) => Kind::Text(t),
            Tok::Sign("(") => {
                let inner = self.choose()?;
                self.expect(")")?;
                return Ok(inner);
            }
            Tok::Name(name) => return self.named(Word { text: name, span }),
            token => {
                let hint = hint_after(None, &token);
                let what = show(&token);
                return Err(error(span, format!("a value is expected here, not {what}"), hint));
            }
        };
        Ok(Expr { kind, span })
    }

    fn named(&mut self, name: Word) -> Result<Expr, SyntaxError> {
        let start = name.span.start;
        let kind = if self.eat("(") {
            Kind::Call(name, self.list(")")?)
        } else if self.eat(".") {
            let mut field = self.part()?;
            while self.eat(".") {
                let part = self.part()?;
                let text = format!("{}.{}", field.text, part.text).into();
                field = Word { text, span: field.span.start..part.span.end };
            }
            Kind::Field(name, field)
        } else {
            match &*name.text {
                "true" => Kind::Bool(true),
                "false" => Kind::Bool(false),
                "and" | "or" | "not" | "in" => {
                    let hint = "the operators are written && || ! and x in [..]".to_owned();
                    return Err(error(name.span, format!("a value is expected here, not '{}'", name.text), Some(hint)));
                }
                _ => Kind::Name(name.text),
            }
        };
        Ok(Expr { kind, span: start..self.tokens[self.next - 1].1.end })
    }

    /// What stands in the list after `in`: values and ranges.
    fn items(&mut self) -> Result<Vec<Expr>, SyntaxError> {
        let mut items = Vec::new();
        if self.eat("]") {
            return Ok(items);
        }
        loop {
            let from = self.choose()?;
            items.push(if self.eat("..") {
                let to = self.choose()?;
                let span = from.span.start..to.span.end;
                Expr { kind: Kind::Range(Box::new(from), Box::new(to)), span }
            } else {
                from
            });
            if !self.eat(",") {
                self.expect("]")?;
                return Ok(items);
            }
        }
    }

    /// A name after a '.'.
    fn part(&mut self) -> Result<Word, SyntaxError> {
        match self.take() {
            (Tok::Name(text), span) => Ok(Word { text, span }),
            (token, span) => Err(error(span, format!("a name is expected after '.', not {}", show(&token)), None)),
        }
    }

    /// Expressions separated by commas up to `close`.
    fn list(&mut self, close: &str) -> Result<Vec<Expr>, SyntaxError> {
        let mut items = Vec::new();
        if self.eat(close) {
            return Ok(items);
        }
        loop {
            let start = self.peek().1.start;
            items.push(if self.eat("[") {
                let kind = Kind::List(self.list("]")?);
                Expr { kind, span: start..self.tokens[self.next - 1].1.end }
            } else {
                self.choose()?
            });
            if self.eat(",") {
                continue;
            }
            self.expect(close)?;
            return Ok(items);
        }
    }
}

fn binary(operator: Operator, left: Expr, right: Expr) -> Expr {
    let span = left.span.start..right.span.end;
    Expr { kind: Kind::Binary(operator, Box::new(left), Box::new(right)), span }
}

fn show(token: &Tok) -> String {
    match token {
        Tok::Number(n, _) => format!("the number {n}"),
        Tok::Duration(d) => format!("the duration {d}"),
        Tok::Text(t) => format!("the text '{t}'"),
        Tok::Name(n) => format!("'{n}'"),
        Tok::Sign(s) => format!("'{s}'"),
        Tok::End => "the end".to_owned(),
    }
}

fn hint_after(before: Option<&Tok>, token: &Tok) -> Option<String> {
    Some(match (before, token) {
        (_, Tok::Name(n)) if &**n == "and" => "'and' is written &&".to_owned(),
        (_, Tok::Name(n)) if &**n == "or" => "'or' is written ||".to_owned(),
        (_, Tok::Name(n)) if &**n == "for" => "for how long is said by `hold`".to_owned(),
        (Some(Tok::Number(number, None)), Tok::Name(n)) => {
            let time = terse(&format!("{number}{n}")).map(|time| format!("; an amount of time is written {time}"));
            let unit = format!("a unit stands in brackets directly after its number: {number}[{n}]");
            unit + &time.unwrap_or_default()
        }
        (_, Tok::Sign("[")) => "a unit stands directly after a number: 60[degC]".to_owned(),
        (_, Tok::Sign("(")) => "only functions are called".to_owned(),
        _ => return None,
    })
}
