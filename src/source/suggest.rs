//! "Did you mean …?"

/// The candidate nearest to `word`, if it is near enough to be a slip of the finger: at most a third of the letters
/// inserted, deleted, replaced or swapped. Of several that are as near, one that begins with `word`.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(1);
    let near = candidates.into_iter().map(|c| (distance(word, c), !c.starts_with(word), c));
    near.filter(|(d, ..)| *d <= limit).min().map(|(.., c)| c)
}

/// Optimal string alignment distance.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let swap = (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]).then(|| before[j - 2] + 1);
            let replace = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let best = replace.min(last[j] + 1).min(row[j - 1] + 1);
            row.push(swap.map_or(best, |s| s.min(best)));
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_slips_and_nothing_far_away() {
        let known = ["compressor_on", "coolant_temp", "engine_rpm"];
        assert_eq!(did_you_mean("compresor_on", known), Some("compressor_on"));
        assert_eq!(did_you_mean("coolant_tmep", known), Some("coolant_temp"));
        assert_eq!(did_you_mean("speed", known), None);
        assert_eq!(did_you_mean("model", ["mode", "models"]), Some("models"));
    }
}
