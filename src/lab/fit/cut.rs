//! Where the values of an operating parameter fall apart into groups.

use crate::rules::nearest;

/// Most groups.
const GROUPS: usize = 16;
/// A gap of this share of the range parts two groups.
const GAP: f64 = 0.05;

/// The middles of the gaps between groups, ascending. A gap is wide if it is more than a twentieth of the range from
/// the first to the last hundredth of the values; with more than 15 of them the widest count. The outermost hundredths
/// make no groups of their own.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a count"
)]
pub(super) fn edges(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let rank = |share: f64| (values.len().saturating_sub(1) as f64 * share).round() as usize;
    let (low, high) = (rank(0.01), rank(0.99));
    let Some(core) = values.get(low..=high).filter(|c| c.len() > 1) else { return Vec::new() };
    let range = core[core.len() - 1] - core[0];
    let mut gaps: Vec<(f64, f64)> =
        core.windows(2).map(|pair| (pair[1] - pair[0], f64::midpoint(pair[0], pair[1]))).collect();
    gaps.retain(|(width, _)| *width > GAP * range && *width > 0.0);
    gaps.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.total_cmp(&b.1)));
    gaps.truncate(GROUPS - 1);
    let mut edges: Vec<f64> = gaps.into_iter().map(|(_, middle)| middle).collect();
    edges.sort_by(f64::total_cmp);
    edges
}

/// The group of a value, or the nearest whole number if there are no groups.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "float to int casts saturate; a few edges"
)]
pub(super) fn place(value: f64, edges: Option<&[f64]>) -> i64 {
    match edges {
        Some(edges) => edges.partition_point(|edge| *edge <= value) as i64,
        None => nearest(value) as i64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cloud(centre: f64, n: u32) -> impl Iterator<Item = f64> {
        (0..n).map(move |i| centre + f64::from((i * 7) % 13) / 1_000.0)
    }

    #[test]
    fn groups_are_found_wherever_they_lie() {
        let values: Vec<f64> = cloud(0.0, 300).chain(cloud(42.0, 500)).chain(cloud(20.0, 200)).collect();
        let found = edges(values);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!([0.0, 20.0, 42.0].map(|v| place(v, Some(&found))), [0, 1, 2]);
    }

    #[test]
    fn an_even_spread_a_constant_and_a_lonely_value_are_one_group() {
        let even: Vec<f64> = (0..1_000).map(f64::from).collect();
        assert_eq!(edges(even.clone()), [] as [f64; 0]);
        assert_eq!(edges(vec![7.0; 100]), [] as [f64; 0]);
        assert_eq!(edges(even.into_iter().chain([1e9]).collect()), [] as [f64; 0]);
        assert_eq!(edges(Vec::new()), [] as [f64; 0]);
    }

    #[test]
    fn of_many_groups_the_widest_gaps_count() {
        let values: Vec<f64> = (0..20).flat_map(|i| cloud(f64::from(i * i), 50)).collect();
        let found = edges(values);
        assert!(found.len() < GROUPS, "{found:?}");
        assert!(found.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
