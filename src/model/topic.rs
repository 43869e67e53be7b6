//! MQTT topic filters: checked, compared, and compiled into a tree that finds the filter of a topic name level by level.

use std::ops::Range;

use super::limits::MAX_FILTER_BYTES;

/// One level of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Level {
    /// This word.
    Is(Box<str>),
    /// `+`: any one level.
    Any,
    /// `#`: all further levels, and none.
    Rest,
}

/// What is wrong with a filter, and where in it.
#[derive(Debug, PartialEq)]
pub(super) struct FilterError {
    pub(super) message: &'static str,
    pub(super) span: Range<usize>,
    pub(super) hint: Option<&'static str>,
}

/// The levels of a filter (MQTT 5, 4.7).
pub(super) fn parse(filter: &str) -> Result<Vec<Level>, FilterError> {
    let error = |message, span, hint| Err(FilterError { message, span, hint });
    if filter.is_empty() {
        return error("an empty topic filter", 0..0, None);
    }
    if filter.len() > MAX_FILTER_BYTES {
        return error("a topic filter of more than 65,535 bytes", 0..filter.len(), None);
    }
    if let Some(nul) = filter.find('\0') {
        return error("a NUL character in a topic filter", nul..nul + 1, None);
    }
    if filter.starts_with("$share/") {
        let hint = Some("write the filter without `$share/<group>/`");
        return error("a shared subscription would give each of us a part of a device's messages", 0..7, hint);
    }
    let mut levels = Vec::new();
    let mut at = 0;
    for level in filter.split('/') {
        let span = at..at + level.len();
        at = span.end + 1;
        levels.push(match level {
            "+" => Level::Any,
            "#" if span.end == filter.len() => Level::Rest,
            "#" => return error("`#` must be the last level", span, None),
            _ if level.contains(['+', '#']) => {
                return error("`+` and `#` stand for whole levels", span, Some("write fleet/+/telemetry"));
            }
            _ => Level::Is(level.into()),
        });
    }
    Ok(levels)
}

/// Whether some topic name matches both.
pub(super) fn overlap(a: &[Level], b: &[Level]) -> bool {
    // A leading wildcard does not match names that begin with `$` (4.7.2).
    let dollar = |x: &[Level]| matches!(x.first(), Some(Level::Is(word)) if word.starts_with('$'));
    let wild = |x: &[Level]| matches!(x.first(), Some(Level::Any | Level::Rest));
    if (dollar(a) && wild(b)) || (dollar(b) && wild(a)) {
        return false;
    }
    let mut levels = a.iter().zip(b);
    loop {
        match levels.next() {
            Some((Level::Rest, _) | (_, Level::Rest)) => return true,
            Some((Level::Is(x), Level::Is(y))) if x != y => return false,
            Some(_) => {}
            // `a/#` matches `a` as well.
            None => {
                let longer = if a.len() > b.len() { &a[b.len()..] } else { &b[a.len()..] };
                return matches!(longer, [] | [Level::Rest]);
            }
        }
    }
}

/// What a filter leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) model: usize,
    pub(super) device_level: usize,
    /// How payloads are read; none for the topic of a model's presence.
    pub(super) decoder: Option<usize>,
}

/// All filters as one tree. Looking a topic name up allocates nothing and visits each node at most once.
#[derive(Debug, Default, Clone)]
pub(super) struct Tree {
    nodes: Vec<Node>,
}

#[derive(Debug, Default, Clone)]
struct Node {
    /// Sorted by word.
    words: Vec<(Box<str>, usize)>,
    any: Option<usize>,
    /// A filter that ends here.
    end: Option<Target>,
    /// A filter that ends here with `#`.
    rest: Option<Target>,
}

impl Tree {
    /// Adds a filter. Of two equal filters the first stays.
    pub(super) fn add(&mut self, levels: &[Level], target: Target) {
        if self.nodes.is_empty() {
            self.nodes.push(Node::default());
        }
        let mut at = 0;
        for level in levels {
            let fresh = self.nodes.len();
            let node = &mut self.nodes[at];
            let next = match level {
                Level::Rest => {
                    node.rest.get_or_insert(target);
                    return;
                }
                Level::Any => *node.any.get_or_insert(fresh),
                Level::Is(word) => match node.words.binary_search_by(|(w, _)| w.cmp(word)) {
                    Ok(found) => node.words[found].1,
                    Err(place) => {
                        node.words.insert(place, (word.clone(), fresh));
                        fresh
                    }
                },
            };
            if next == fresh {
                self.nodes.push(Node::default());
            }
            at = next;
        }
        self.nodes[at].end.get_or_insert(target);
    }

    /// The filter that matches `topic`; an exact word goes before `+`, `+` before `#`.
    pub(super) fn find(&self, topic: &str) -> Option<Target> {
        let root = self.nodes.first()?;
        self.descend(root, Some(topic), !topic.starts_with('$'))
    }

    fn descend(&self, node: &Node, topic: Option<&str>, wildcards: bool) -> Option<Target> {
        let Some(topic) = topic else { return node.end.or(node.rest) };
        let (level, tail) = match topic.split_once('/') {
            Some((level, tail)) => (level, Some(tail)),
            None => (topic, None),
        };
        let word = node.words.binary_search_by(|(w, _)| (**w).cmp(level)).ok().map(|i| node.words[i].1);
        let any = node.any.filter(|_| wildcards);
        let below = [word, any].into_iter().flatten();
        let found = below.map(|next| &self.nodes[next]).find_map(|next| self.descend(next, tail, true));
        found.or(node.rest.filter(|_| wildcards))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn filters() {
        for good in ["a", "a/b", "+", "#", "a/+/b", "a/#", "/", "a//b", "+/+/#", "$SYS/x"] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for (bad, message) in [
            ("", "empty"),
            ("a/#/b", "last level"),
            ("a+/b", "whole levels"),
            ("a/b#", "whole levels"),
            ("a/\0", "NUL"),
            ("$share/g/a", "shared"),
        ] {
            assert!(parse(bad).unwrap_err().message.contains(message), "{bad}");
        }
        assert_eq!(parse("fleet/x+/t").unwrap_err().span, 6..8);
    }

    #[test]
    fn overlaps() {
        let check = |a: &str, b: &str| {
            let (a, b) = (parse(a).unwrap(), parse(b).unwrap());
            assert_eq!(overlap(&a, &b), overlap(&b, &a));
            overlap(&a, &b)
        };
        for (a, b) in [("a/+", "a/b"), ("a/#", "a"), ("#", "a/b/c"), ("a/+/c", "+/b/c"), ("a/+", "a/#")] {
            assert!(check(a, b), "{a} {b}");
        }
        for (a, b) in [("a/b", "a/c"), ("a/+", "a"), ("a/+/x", "a/+/y"), ("#", "$SYS/a"), ("+/a", "$SYS/a")] {
            assert!(!check(a, b), "{a} {b}");
        }
    }

    /// The definition, level by level, without a tree.
    fn matches(filter: &str, topic: &str) -> bool {
        let (filter, topic): (Vec<_>, Vec<_>) = (filter.split('/').collect(), topic.split('/').collect());
        if topic[0].starts_with('$') && matches!(filter[0], "+" | "#") {
            return false;
        }
        for (i, level) in filter.iter().enumerate() {
            match *level {
                "#" => return true,
                _ if i >= topic.len() => return false,
                "+" => {}
                word if word != topic[i] => return false,
                _ => {}
            }
        }
        filter.len() == topic.len()
    }

    proptest! {
        #[test]
        fn the_tree_finds_what_the_definition_says(
            filters in prop::collection::vec("([ab$]|\\+)?(/([ab]|\\+)?){0,3}(/#)?", 1..6),
            topic in "[ab$]?(/[ab]?){0,4}",
        ) {
            let filters: Vec<&String> = filters.iter().filter(|f| !f.is_empty()).collect();
            let mut tree = Tree::default();
            for (model, filter) in filters.iter().enumerate() {
                tree.add(&parse(filter).unwrap(), Target { model, device_level: 0, decoder: None });
            }
            let found = tree.find(&topic);
            prop_assert_eq!(found.is_some(), filters.iter().any(|f| matches(f, &topic)));
            prop_assert!(found.is_none_or(|t| matches(filters[t.model], &topic)));
            for (a, b) in filters.iter().zip(filters.iter().skip(1)) {
                let both = matches(a, &topic) && matches(b, &topic);
                prop_assert!(!both || overlap(&parse(a).unwrap(), &parse(b).unwrap()));
            }
        }
    }
}
