//! "Did you mean …?"

/// So many names are told of those that there are.
const TOLD: usize = 12;

/// The candidate nearest to `word`, if it is near enough to be a slip of the finger: at most a third of the letters
/// inserted, deleted, replaced or swapped, and not all of them. Of several that are as near, one that begins with `word`.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(1);
    let near = candidates.into_iter().map(|c| (distance(word, c), !c.starts_with(word), c));
    near.filter(|(d, _, c)| *d <= limit && *d < word.chars().count().max(c.chars().count())).min().map(|(.., c)| c)
}

/// What there is, for somebody whose word is near to none of it: `there are a, b, c and 4 more`.
pub fn what_there_is<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let names: Vec<&str> = names.into_iter().collect();
    let told = names[..names.len().min(TOLD)].join(", ");
    let more = names.len().saturating_sub(TOLD);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!told.is_empty()).then(|| format!("there are {told}{more}"))
}

/// An amount of time as people write it (`5 minutes`, `12 h`), as files want it (`5m`, `12h`).
pub fn terse(text: &str) -> Option<String> {
    let text = text.trim();
    let (number, word) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let word = word.trim().to_lowercase();
    let unit = match word.trim_end_matches('s') {
        "" | "sec" | "second" => "s",
        "m" | "min" | "minute" => "m",
        "h" | "hr" | "hour" => "h",
        "d" | "day" => "d",
        _ => return None,
    };
    Some(format!("{number}{unit}"))
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
        assert_eq!((did_you_mean("C", ["%", "Ah"]), did_you_mean("x", ["y", "x1"])), (None, Some("x1")));
        let there_are = "there are compressor_on, coolant_temp, engine_rpm";
        assert_eq!((what_there_is(known).as_deref(), what_there_is([])), (Some(there_are), None));
        assert_eq!(what_there_is(["a"; 14]).unwrap(), format!("there are {} and 2 more", ["a"; 12].join(", ")));
        assert_eq!(did_you_mean("model", ["mode", "models"]), Some("models"));
    }
}
