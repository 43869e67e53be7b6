//! What a condition can and cannot be, told from its compiled code: never true, always true, or true together with
//! another one.
//!
//! The code is run once with symbols in place of values. What comes out is a formula over comparisons of one value (a
//! signal, an operator, anything else that stands on one side) with a constant; everything else is a proposition of
//! its own. The formula is spread out into alternatives, and an alternative is impossible if it leaves one of its
//! values no room. That is interval analysis over single values and nothing more: two values that depend on each other
//! are taken as free, so a contradiction can be missed, but none is claimed that is not there.

use std::fmt::Write as _;

use super::program::{Const, Ins, ModelProgram, Read, Shown};
use crate::domain::Value;

/// More alternatives than this are not looked at.
const MAX_TERMS: usize = 512;

/// What is odd about a level.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Oddity {
    /// `when` leaves a value no room; the text says which.
    NeverTrue(String),
    /// `when` cannot be false.
    AlwaysTrue,
    /// `clear` leaves a value no room.
    NeverClears(String),
    /// Both can be true at once; the text says where.
    Overlap(String),
}

/// What is odd about the conditions of a level.
pub(super) fn oddities(program: &ModelProgram, when: &[Ins], clear: Option<&[Ins]>) -> Vec<Oddity> {
    let reader = Reader { program };
    let mut found = Vec::new();
    // That it reads nothing is said elsewhere.
    if matches!(when, [Ins::Const(_)]) {
        return found;
    }
    let formula = reader.formula(when);
    let Some(whens) = reader.terms(&formula, true) else { return found };
    if let Err(why) = reader.possible(&whens) {
        return vec![Oddity::NeverTrue(why)];
    }
    if reader.terms(&formula, false).is_some_and(|terms| reader.possible(&terms).is_err()) {
        found.push(Oddity::AlwaysTrue);
    }
    // `clear = "true"` is how every true sample becomes an episode of its own.
    let Some(clear) = clear.filter(|code| !matches!(code, [Ins::Const(_)])) else { return found };
    let Some(clears) = reader.terms(&reader.formula(clear), true) else { return found };
    match reader.possible(&clears) {
        Err(why) => found.push(Oddity::NeverClears(why)),
        Ok(()) => found.extend(reader.overlap(&whens, &clears).map(Oddity::Overlap)),
    }
    found
}

/// Something with a value: the code that computes it.
type Var = Vec<Ins>;

/// A stretch of numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Room {
    low: f64,
    low_open: bool,
    high: f64,
    high_open: bool,
    /// Only whole numbers count.
    whole: bool,
}

impl Room {
    const ALL: Self =
        Self { low: f64::NEG_INFINITY, low_open: false, high: f64::INFINITY, high_open: false, whole: false };

    fn closed(low: f64, high: f64) -> Self {
        Self { low, high, ..Self::ALL }
    }

    fn meet(self, other: Self) -> Self {
        let (low, low_open) = if other.low > self.low || other.low == self.low && other.low_open {
            (other.low, other.low_open)
        } else {
            (self.low, self.low_open)
        };
        let (high, high_open) = if other.high < self.high || other.high == self.high && other.high_open {
            (other.high, other.high_open)
        } else {
            (self.high, self.high_open)
        };
        Self { low, low_open, high, high_open, whole: self.whole || other.whole }
    }

    fn is_empty(self) -> bool {
        if !self.whole {
            // What a conversion of units rounds away is no room.
            let hair = 1e-12 * self.low.abs().min(self.high.abs());
            return self.low > self.high || self.high - self.low <= hair && (self.low_open || self.high_open);
        }
        let first = if self.low_open { self.low.floor() + 1.0 } else { self.low.ceil() };
        let last = if self.high_open { self.high.ceil() - 1.0 } else { self.high.floor() };
        first > last
    }
}

/// A condition.
#[derive(Debug, Clone)]
enum Formula {
    Const(bool),
    /// The value is in this room.
    In(Var, Room),
    Not(Box<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
}

/// A value on the symbolic stack: a constant, `var * factor + offset`, or a condition.
enum Sym {
    Const(f64),
    Linear(Var, f64, f64),
    Condition(Formula),
}

/// One alternative: the room that it leaves each value.
type Term = Vec<(Var, Room)>;

struct Reader<'a> {
    program: &'a ModelProgram,
}

impl Reader<'_> {
    fn formula(&self, code: &[Ins]) -> Formula {
        // Each symbol with the place where its code starts.
        let mut stack: Vec<(usize, Sym)> = Vec::new();
        for (at, ins) in code.iter().enumerate() {
            let Some(count) = ins.pops() else { continue };
            let args = stack.split_off(stack.len().saturating_sub(count));
            let start = args.first().map_or(at, |(start, _)| *start);
            stack.push((start, self.step(*ins, args, &code[start..=at])));
        }
        stack.pop().map_or(Formula::Const(false), |(_, sym)| condition(sym))
    }

    fn step(&self, ins: Ins, args: Vec<(usize, Sym)>, code: &[Ins]) -> Sym {
        let mut args: Vec<Sym> = args.into_iter().map(|(_, sym)| sym).collect();
        let opaque = || Sym::Linear(code.to_vec(), 1.0, 0.0);
        match ins {
            Ins::Const(ix) => self.constant(ix).map_or_else(opaque, Sym::Const),
            Ins::Affine(f, o) => match (args.pop(), self.constant(f), self.constant(o)) {
                (Some(sym), Some(f), Some(o)) => scaled(sym, f, o).unwrap_or_else(opaque),
                _ => opaque(),
            },
            Ins::Neg => args.pop().and_then(|sym| scaled(sym, -1.0, 0.0)).unwrap_or_else(opaque),
            Ins::Not => match args.pop() {
                Some(sym) => Sym::Condition(Formula::Not(Box::new(condition(sym)))),
                None => opaque(),
            },
            Ins::And | Ins::Or => {
                let (Some(b), Some(a)) = (args.pop(), args.pop()) else { return opaque() };
                let (a, b) = (Box::new(condition(a)), Box::new(condition(b)));
                Sym::Condition(if ins == Ins::And { Formula::And(a, b) } else { Formula::Or(a, b) })
            }
            Ins::Add | Ins::Sub | Ins::Mul | Ins::Div => {
                let (Some(b), Some(a)) = (args.pop(), args.pop()) else { return opaque() };
                arithmetic(ins, a, b).unwrap_or_else(opaque)
            }
            Ins::Eq | Ins::Ne | Ins::Lt | Ins::Le | Ins::Gt | Ins::Ge => {
                let (Some(b), Some(a)) = (args.pop(), args.pop()) else { return opaque() };
                compared(ins, a, b).map_or_else(opaque, Sym::Condition)
            }
            _ => opaque(),
        }
    }

    /// A constant as far as it is the same for all devices; a parameter counts with its default.
    fn constant(&self, ix: u16) -> Option<f64> {
        match self.program.consts.get(usize::from(ix))? {
            Const::Num(n) => Some(*n).filter(|n| n.is_finite()),
            Const::Param { name, factor, offset } => match self.program.model.params.get(name)?.value {
                Value::Num(n) => Some(n * factor + offset),
                _ => None,
            },
            Const::Attr { .. } | Const::Instant { .. } | Const::Matches { .. } => None,
        }
    }

    /// The alternatives in which the formula is `wanted`; `None` if they are too many.
    fn terms(&self, formula: &Formula, wanted: bool) -> Option<Vec<Term>> {
        match formula {
            Formula::Const(value) => Some(if *value == wanted { vec![Term::new()] } else { Vec::new() }),
            Formula::In(var, room) if wanted => Some(vec![vec![(var.clone(), *room)]]),
            Formula::In(var, room) => {
                let below = Room { high: room.low, high_open: !room.low_open, ..Room::ALL };
                let above = Room { low: room.high, low_open: !room.high_open, ..Room::ALL };
                let open = |r: &Room| r.high != f64::NEG_INFINITY && r.low != f64::INFINITY;
                Some([below, above].into_iter().filter(open).map(|r| vec![(var.clone(), r)]).collect())
            }
            Formula::Not(inner) => self.terms(inner, !wanted),
            Formula::And(a, b) | Formula::Or(a, b) => {
                let (mut a, b) = (self.terms(a, wanted)?, self.terms(b, wanted)?);
                if matches!(formula, Formula::And(..)) != wanted {
                    a.extend(b);
                    return (a.len() <= MAX_TERMS).then_some(a);
                }
                if a.len() * b.len() > MAX_TERMS {
                    return None;
                }
                Some(a.iter().flat_map(|x| b.iter().map(|y| self.both(x, y))).collect())
            }
        }
    }

    fn both(&self, a: &Term, b: &Term) -> Term {
        let mut term = a.clone();
        for (var, room) in b {
            match term.iter_mut().find(|(v, _)| v == var) {
                Some((_, mine)) => *mine = mine.meet(*room),
                None => term.push((var.clone(), *room)),
            }
        }
        term
    }

    /// Whether one of the alternatives is possible, or which value the last one leaves no room.
    fn possible(&self, terms: &[Term]) -> Result<(), String> {
        let mut why = String::new();
        for term in terms {
            match term.iter().find(|(var, room)| room.meet(self.natural(var)).is_empty()) {
                None => return Ok(()),
                Some((var, room)) => why = self.no_room(var, *room),
            }
        }
        Err(why)
    }

    /// Where both are true: in an alternative of `when` that says something about every value that `clear` reads.
    fn overlap(&self, whens: &[Term], clears: &[Term]) -> Option<String> {
        for clear in clears.iter().filter(|c| !c.is_empty()) {
            for when in whens {
                let mut places = Vec::new();
                for (var, room) in clear {
                    let Some((_, mine)) = when.iter().find(|(v, _)| v == var) else { break };
                    let common = mine.meet(*room).meet(self.natural(var));
                    if common.is_empty() {
                        break;
                    }
                    places.push(self.describe(var, common));
                }
                let free = when.iter().all(|(var, room)| !room.meet(self.natural(var)).is_empty());
                if places.len() == clear.len() && free {
                    return Some(places.join(", "));
                }
            }
        }
        None
    }

    /// The values that something can have at all.
    fn natural(&self, var: &Var) -> Room {
        match var.as_slice() {
            [Ins::Slot(slot)] => {
                let spec = &self.program.slots[usize::from(*slot)];
                let signal = spec.signal.map(|ix| &self.program.model.signals[usize::from(ix.0)]);
                match &spec.shown {
                    Shown::Bool => Room { whole: true, ..Room::closed(0.0, 1.0) },
                    Shown::Enum(values) => {
                        let last = u32::try_from(values.len().saturating_sub(1)).unwrap_or(u32::MAX);
                        Room { whole: true, ..Room::closed(0.0, f64::from(last)) }
                    }
                    _ => signal.and_then(|s| s.valid).map_or(Room::ALL, |valid| Room {
                        low: valid.low,
                        low_open: !valid.low_inclusive,
                        high: valid.high,
                        high_open: !valid.high_inclusive,
                        whole: false,
                    }),
                }
            }
            [.., Ins::Read(Read::R2 | Read::Duty, _)] => Room::closed(0.0, 1.0),
            [
                ..,
                Ins::Read(
                    Read::Held
                    | Read::Since
                    | Read::TimeTrue
                    | Read::MeanOn
                    | Read::Count
                    | Read::Rises
                    | Read::Stddev
                    | Read::TimeTo,
                    _,
                ),
            ]
            | [Ins::Age(_)]
            | [.., Ins::Abs] => Room::closed(0.0, f64::INFINITY),
            [Ins::Hour(_)] => Room::closed(0.0, 23.0),
            [.., Ins::Known | Ins::Silent(_) | Ins::SilentFor | Ins::Read(Read::Changed, _)] => {
                Room { whole: true, ..Room::closed(0.0, 1.0) }
            }
            _ => Room::ALL,
        }
    }

    fn no_room(&self, var: &Var, asked: Room) -> String {
        let natural = self.natural(var);
        if asked.is_empty() || natural == Room::ALL {
            format!("{} cannot be all of what is asked at once", self.name(var))
        } else {
            format!("it needs {}, and it is always {}", self.describe(var, asked), self.range(var, natural))
        }
    }

    fn describe(&self, var: &Var, room: Room) -> String {
        format!("{} {}", self.name(var), self.range(var, room))
    }

    /// `in 100..105 degC`, `above 120 %`, `'ac'`.
    fn range(&self, var: &Var, room: Room) -> String {
        let (mut unit, mut words) = (String::new(), None);
        if let [Ins::Slot(slot)] = var.as_slice() {
            match &self.program.slots[usize::from(*slot)].shown {
                Shown::Num(u) if !u.text.is_empty() => unit = format!(" {u}"),
                Shown::Bool => words = Some(vec!["false".to_owned(), "true".to_owned()]),
                Shown::Enum(values) => words = Some(values.iter().map(|v| format!("'{v}'")).collect()),
                _ => {}
            }
        }
        if let Some(words) = words {
            let fits = |ix: &usize| {
                let at = f64::from(u32::try_from(*ix).unwrap_or(u32::MAX));
                !room.meet(Room::closed(at, at)).is_empty()
            };
            let list: Vec<String> = (0..words.len()).filter(fits).map(|ix| words[ix].clone()).collect();
            return if list.is_empty() { "something else".to_owned() } else { list.join(" or ") };
        }
        let mut text = String::new();
        let _infallible = match (room.low == f64::NEG_INFINITY, room.high == f64::INFINITY) {
            (true, true) => write!(text, "anything"),
            (true, false) if room.high_open => write!(text, "below {}{unit}", room.high),
            (true, false) => write!(text, "at most {}{unit}", room.high),
            (false, true) if room.low_open => write!(text, "above {}{unit}", room.low),
            (false, true) => write!(text, "at least {}{unit}", room.low),
            (false, false) if room.low == room.high => write!(text, "{}{unit}", room.low),
            (false, false) => write!(text, "in {}..{}{unit}", room.low, room.high),
        };
        text
    }

    fn name(&self, var: &Var) -> String {
        match var.as_slice() {
            [Ins::Slot(slot)] => self.program.slots[usize::from(*slot)].name.to_string(),
            [.., Ins::Read(_, op)] => self.program.ops[usize::from(*op)].key.clone(),
            _ => "a value".to_owned(),
        }
    }
}

fn condition(sym: Sym) -> Formula {
    match sym {
        Sym::Condition(formula) => formula,
        Sym::Const(n) => Formula::Const(n == 1.0),
        Sym::Linear(var, ..) => Formula::In(var, Room { whole: true, ..Room::closed(1.0, 1.0) }),
    }
}

fn scaled(sym: Sym, factor: f64, offset: f64) -> Option<Sym> {
    match sym {
        Sym::Const(n) => Some(Sym::Const(n * factor + offset)),
        Sym::Linear(var, f, o) => Some(Sym::Linear(var, f * factor, o * factor + offset)),
        Sym::Condition(_) => None,
    }
}

/// Arithmetic with a constant on one side.
fn arithmetic(ins: Ins, a: Sym, b: Sym) -> Option<Sym> {
    match (ins, a, b) {
        (Ins::Add, sym, Sym::Const(n)) | (Ins::Add, Sym::Const(n), sym) => scaled(sym, 1.0, n),
        (Ins::Sub, sym, Sym::Const(n)) => scaled(sym, 1.0, -n),
        (Ins::Sub, Sym::Const(n), sym) => scaled(sym, -1.0, n),
        (Ins::Mul, sym, Sym::Const(n)) | (Ins::Mul, Sym::Const(n), sym) => scaled(sym, n, 0.0),
        (Ins::Div, sym, Sym::Const(n)) if n != 0.0 => scaled(sym, 1.0 / n, 0.0),
        _ => None,
    }
}

fn compared(ins: Ins, a: Sym, b: Sym) -> Option<Formula> {
    let (ins, sym, limit) = match (a, b) {
        (sym, Sym::Const(n)) => (ins, sym, n),
        (Sym::Const(n), sym) => (mirrored(ins), sym, n),
        _ => return None,
    };
    let Sym::Linear(var, factor, offset) = sym else { return None };
    if factor == 0.0 {
        return None;
    }
    let at = (limit - offset) / factor;
    let ins = if factor < 0.0 { mirrored(ins) } else { ins };
    let room = match ins {
        Ins::Lt => Room { high: at, high_open: true, ..Room::ALL },
        Ins::Le => Room { high: at, ..Room::ALL },
        Ins::Gt => Room { low: at, low_open: true, ..Room::ALL },
        Ins::Ge => Room { low: at, ..Room::ALL },
        _ => Room::closed(at, at),
    };
    let inside = Formula::In(var, room);
    Some(if ins == Ins::Ne { Formula::Not(Box::new(inside)) } else { inside })
}

fn mirrored(ins: Ins) -> Ins {
    match ins {
        Ins::Lt => Ins::Gt,
        Ins::Le => Ins::Ge,
        Ins::Gt => Ins::Lt,
        Ins::Ge => Ins::Le,
        same => same,
    }
}
