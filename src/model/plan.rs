//! The paths of a model as a tree, for the decoder: at each object and array of a payload it says which members are
//! wanted and what becomes of them. Everything else is skipped without being looked at.

use std::collections::BTreeMap;

use super::{PathStep, Signal, SignalIx, TimestampField};

/// The tree. The root stands for the message itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The first one is the message.
    nodes: Vec<PlanNode>,
}

impl Default for Plan {
    /// Wants nothing.
    fn default() -> Self {
        Self { nodes: vec![PlanNode::default()] }
    }
}

/// One wanted place in a payload.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PlanNode {
    /// The signals whose value stands exactly here.
    pub signals: Vec<SignalIx>,
    /// Whether the device time stands exactly here.
    pub time: bool,
    /// The signals that stand here or deeper.
    pub below: Vec<SignalIx>,
    /// Whether the device time stands here or deeper.
    pub time_below: bool,
    /// Wanted members of an object, as first named in the model: devices tend to send them in that order.
    keys: Vec<(Box<str>, usize)>,
    /// Indices into `keys`, sorted by key.
    sorted: Vec<usize>,
    /// Wanted elements of an array, sorted.
    items: Vec<(usize, usize)>,
}

impl Plan {
    /// The tree of these paths.
    #[must_use]
    pub fn new(signals: &[Signal], timestamp: Option<&TimestampField>) -> Self {
        let mut grower = Grower { nodes: vec![PlanNode::default()], known: BTreeMap::new() };
        if let Some(field) = timestamp {
            let way = grower.walk(&field.path);
            for &at in &way {
                grower.nodes[at].time_below = true;
            }
            grower.nodes[way[way.len() - 1]].time = true;
        }
        for (ix, signal) in (0..=u16::MAX).map(SignalIx).zip(signals) {
            let way = grower.walk(&signal.path);
            for &at in &way {
                grower.nodes[at].below.push(ix);
            }
            grower.nodes[way[way.len() - 1]].signals.push(ix);
        }
        let mut nodes = grower.nodes;
        for node in &mut nodes {
            node.sorted = (0..node.keys.len()).collect();
            node.sorted.sort_by(|a, b| node.keys[*a].0.cmp(&node.keys[*b].0));
            node.items.sort_unstable();
        }
        Self { nodes }
    }

    /// The message itself.
    #[must_use]
    pub fn root(&self) -> &PlanNode {
        &self.nodes[0]
    }

    /// The member `key` of `node`: its number among the wanted members, and where it leads. `expected` is the number
    /// that is likely: the one after the last hit.
    #[must_use]
    pub fn member<'a>(&'a self, node: &'a PlanNode, key: &str, expected: usize) -> Option<(usize, &'a PlanNode)> {
        let number = match node.keys.get(expected) {
            Some((k, _)) if **k == *key => expected,
            _ => node.sorted[node.sorted.binary_search_by(|i| (*node.keys[*i].0).cmp(key)).ok()?],
        };
        Some((number, &self.nodes[node.keys[number].1]))
    }

    /// Element `i` of `node`.
    #[must_use]
    pub fn element<'a>(&'a self, node: &'a PlanNode, i: usize) -> Option<&'a PlanNode> {
        node.items.binary_search_by_key(&i, |item| item.0).ok().map(|found| &self.nodes[node.items[found].1])
    }

    /// All wanted members of `node`.
    pub fn members<'a>(&'a self, node: &'a PlanNode) -> impl ExactSizeIterator<Item = &'a PlanNode> {
        node.keys.iter().map(|(_, at)| &self.nodes[*at])
    }

    /// The same, each with its key.
    pub fn named_members<'a>(&'a self, node: &'a PlanNode) -> impl ExactSizeIterator<Item = (&'a str, &'a PlanNode)> {
        node.keys.iter().map(|(key, at)| (&**key, &self.nodes[*at]))
    }

    /// All wanted elements of `node`.
    pub fn elements<'a>(&'a self, node: &'a PlanNode) -> impl ExactSizeIterator<Item = &'a PlanNode> {
        node.items.iter().map(|(_, at)| &self.nodes[*at])
    }
}

/// A plan being made.
struct Grower<'a> {
    nodes: Vec<PlanNode>,
    known: BTreeMap<(usize, &'a PathStep), usize>,
}

impl<'a> Grower<'a> {
    /// The nodes along `path`, the root first; adds what is missing.
    fn walk(&mut self, path: &'a [PathStep]) -> Vec<usize> {
        let mut way = vec![0];
        let mut at = 0;
        for step in path {
            let fresh = self.nodes.len();
            let next = *self.known.entry((at, step)).or_insert(fresh);
            if next == fresh {
                self.nodes.push(PlanNode::default());
                match step {
                    PathStep::Key(key) => self.nodes[at].keys.push(((&**key).into(), fresh)),
                    PathStep::Index(i) => self.nodes[at].items.push((*i, fresh)),
                }
            }
            at = next;
            way.push(at);
        }
        way
    }
}

impl PlanNode {
    /// Whether a value stands exactly here.
    #[must_use]
    pub fn is_leaf(&self) -> bool {
        self.time || !self.signals.is_empty()
    }

    /// Whether something stands deeper.
    #[must_use]
    pub fn is_inner(&self) -> bool {
        !self.keys.is_empty() || !self.items.is_empty()
    }
}
