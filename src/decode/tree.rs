//! A binary tree of values (CBOR, MessagePack) walked by the plan of a model: wanted values become readings, all others
//! are passed over. A length that a payload claims is only ever counted down, nothing is allocated for it.

use super::sink::{Seen, Sink};
use super::value::Scalar;
use super::{Error, MAX_DEPTH, Messages};
use crate::model::{Model, PathStep, PlanNode};

/// What comes next in a payload.
#[derive(Debug)]
pub(super) enum Item<'p> {
    /// One value.
    Scalar(Scalar<'p>),
    /// So many values; `None`: until [`Item::End`].
    List(Option<u64>),
    /// So many pairs of key and value.
    Map(Option<u64>),
    /// The end of a list or map without a length.
    End,
}

/// A payload, item by item.
pub(super) trait Reader<'p> {
    /// What it is called.
    const FORMAT: &'static str;

    /// The next item, or why there is none.
    fn next(&mut self) -> Result<Item<'p>, Error>;

    /// How many bytes are behind.
    fn offset(&self) -> usize;

    /// How many are to come.
    fn left(&self) -> usize;
}

/// One map, or the list of them at `batch`.
pub(super) fn read<'p, R: Reader<'p>>(
    model: &Model,
    batch: Option<&[PathStep]>,
    reader: R,
    out: &mut Messages,
) -> Result<(), Error> {
    if reader.left() == 0 {
        return Err(Error::Empty);
    }
    let mut walk = Walk { reader };
    let first = walk.reader.next()?;
    match batch {
        Some(path) => {
            if !walk.records(model, path, first, 0, out)? {
                return Err(Error::NoBatch);
            }
        }
        None => match first {
            Item::Map(_) => walk.message(model, first, 0, out)?,
            other => return Err(Error::NotAnObject { what: kind(&other) }),
        },
    }
    match walk.reader.left() {
        0 => Ok(()),
        more => Err(walk.error(format!("{more} bytes follow its end"))),
    }
}

pub(super) fn kind(item: &Item<'_>) -> &'static str {
    match item {
        Item::List(_) => "an array",
        Item::Map(_) => "an object",
        Item::Scalar(Scalar::Null) => "null",
        Item::Scalar(Scalar::Bool(_)) => "true or false",
        Item::Scalar(Scalar::Text(_)) => "a string",
        Item::Scalar(Scalar::Other) => "bytes",
        Item::Scalar(Scalar::Time(_)) => "a time",
        Item::Scalar(_) => "a number",
        Item::End => "an end",
    }
}

/// A reader and how to get through what it reads.
pub(super) struct Walk<R> {
    pub(super) reader: R,
}

impl<'p, R: Reader<'p>> Walk<R> {
    /// Sends the list at `path` below `item` as messages; whether there is one. What stands beside it is passed over.
    fn records(
        &mut self,
        model: &Model,
        path: &[PathStep],
        item: Item<'p>,
        depth: usize,
        out: &mut Messages,
    ) -> Result<bool, Error> {
        self.deep(depth)?;
        let mut found = false;
        match (path.split_first(), item) {
            (None, Item::List(len)) => {
                let mut list = Counted::new(len);
                while let Some(item) = list.next(self)? {
                    self.message(model, item, depth + 1, out)?;
                }
                return Ok(true);
            }
            // A payload without a list is a batch of one.
            (None, item @ Item::Map(_)) => return self.message(model, item, depth, out).map(|()| true),
            (Some((PathStep::Key(wanted), rest)), Item::Map(len)) => {
                let mut map = Counted::new(len);
                while let Some(key) = map.next(self)? {
                    let here = !found && self.key(key, depth, |key| key == &**wanted)?;
                    let value = self.item()?;
                    if here {
                        found = self.records(model, rest, value, depth + 1, out)?;
                    } else {
                        self.skip(value, depth + 1)?;
                    }
                }
            }
            (Some((PathStep::Index(wanted), rest)), Item::List(len)) => {
                let (mut list, mut i) = (Counted::new(len), 0);
                while let Some(item) = list.next(self)? {
                    if i == *wanted {
                        found = self.records(model, rest, item, depth + 1, out)?;
                    } else {
                        self.skip(item, depth + 1)?;
                    }
                    i += 1;
                }
            }
            (_, item) => self.skip(item, depth)?,
        }
        Ok(found)
    }

    /// One message.
    fn message(&mut self, model: &Model, item: Item<'p>, depth: usize, out: &mut Messages) -> Result<(), Error> {
        let mut sink = Sink { model, out: out.fresh()? };
        self.value(item, model.plan.root(), depth, &mut sink)?;
        sink.finish();
        Ok(())
    }

    /// What stands at `node`.
    fn value<'a>(
        &mut self,
        item: Item<'p>,
        node: &'a PlanNode,
        depth: usize,
        sink: &mut Sink<'_, 'a>,
    ) -> Result<(), Error> {
        self.deep(depth)?;
        let plan = sink.plan();
        match item {
            Item::Scalar(value) => sink.scalar(node, &value),
            Item::Map(len) => {
                sink.map(node);
                let (mut map, mut seen, mut expected) = (Counted::new(len), Seen::default(), 0);
                while let Some(key) = map.next(self)? {
                    let member = self.key(key, depth, |key| plan.member(node, key, expected))?;
                    let value = self.item()?;
                    let Some((number, child)) = member else {
                        self.skip(value, depth + 1)?;
                        continue;
                    };
                    if seen.already(number) {
                        sink.forget(child);
                    }
                    expected = number + 1;
                    self.value(value, child, depth + 1, sink)?;
                }
            }
            Item::List(len) => {
                sink.list(node);
                let (mut list, mut i) = (Counted::new(len), 0);
                while let Some(item) = list.next(self)? {
                    match &item {
                        Item::Scalar(value) => sink.element(node, i, value),
                        _ => sink.element(node, i, &Scalar::Other),
                    }
                    match plan.element(node, i) {
                        Some(child) => self.value(item, child, depth + 1, sink)?,
                        None => self.skip(item, depth + 1)?,
                    }
                    i += 1;
                }
                sink.list_end(node, i);
            }
            Item::End => return Err(self.error("an end of nothing")),
        }
        Ok(())
    }

    /// Passes over a value.
    pub(super) fn skip(&mut self, item: Item<'p>, depth: usize) -> Result<(), Error> {
        self.deep(depth)?;
        match item {
            Item::Scalar(_) => Ok(()),
            Item::List(len) => {
                let mut list = Counted::new(len);
                while let Some(item) = list.next(self)? {
                    self.skip(item, depth + 1)?;
                }
                Ok(())
            }
            Item::Map(len) => {
                let mut map = Counted::new(len);
                while let Some(key) = map.next(self)? {
                    self.skip(key, depth + 1)?;
                    let value = self.item()?;
                    self.skip(value, depth + 1)?;
                }
                Ok(())
            }
            Item::End => Err(self.error("an end of nothing")),
        }
    }

    /// Looks a key up; numbers as their digits. Keys of other kinds are not names of anything.
    pub(super) fn key<T: Default>(
        &mut self,
        key: Item<'p>,
        depth: usize,
        find: impl FnOnce(&str) -> T,
    ) -> Result<T, Error> {
        Ok(match key {
            Item::Scalar(Scalar::Text(text)) => find(&text),
            Item::Scalar(Scalar::Int(i)) => find(&i.to_string()),
            Item::Scalar(Scalar::Uint(u)) => find(&u.to_string()),
            other => {
                self.skip(other, depth + 1)?;
                T::default()
            }
        })
    }

    /// A value that must be there.
    pub(super) fn item(&mut self) -> Result<Item<'p>, Error> {
        self.reader.next()
    }

    fn deep(&self, depth: usize) -> Result<(), Error> {
        if depth <= MAX_DEPTH { Ok(()) } else { Err(Error::TooDeep { offset: self.reader.offset() }) }
    }

    pub(super) fn error(&self, problem: impl Into<String>) -> Error {
        Error::malformed(R::FORMAT, self.reader.offset(), problem)
    }
}

/// The elements of a list or the keys of a map that are still to come.
pub(super) struct Counted(Option<u64>);

impl Counted {
    pub(super) fn new(len: Option<u64>) -> Self {
        Self(len)
    }

    /// The next one.
    pub(super) fn next<'p, R: Reader<'p>>(&mut self, walk: &mut Walk<R>) -> Result<Option<Item<'p>>, Error> {
        match &mut self.0 {
            Some(0) => Ok(None),
            Some(left) => {
                *left -= 1;
                walk.item().map(Some)
            }
            None => match walk.item()? {
                Item::End => Ok(None),
                item => Ok(Some(item)),
            },
        }
    }
}
