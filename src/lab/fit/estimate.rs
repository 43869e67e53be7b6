//! Robust centre, scale and correlation of the samples of one regime.

use crate::rules::Baseline;

/// The median absolute deviation of a normal distribution times this is its standard deviation.
const MAD: f64 = 1.482_602_218_505_602;
/// Distances count for correlations up to so many scales.
const REACH: f64 = 3.0;

/// What is usual in one regime.
#[derive(Debug, Clone, PartialEq)]
pub struct Regime {
    /// What makes it: nearest multiples, or groups from 0.
    pub at: Vec<i64>,
    /// By value.
    pub centre: Vec<f64>,
    /// By value.
    pub scale: Vec<f64>,
    /// The lower triangle by rows, without the ones.
    pub correlation: Vec<f64>,
    /// Samples.
    pub n: u64,
    /// Devices that they are of.
    pub devices: usize,
}

impl Regime {
    /// `None` with too few samples to tell.
    pub(super) fn of(at: Vec<i64>, rows: &[&[f64]], stride: u64, devices: usize) -> Option<Self> {
        let count = u64::try_from(rows.len()).unwrap_or(u64::MAX);
        let of = rows.first()?.len();
        if count < Baseline::fewest_of(of) {
            return None;
        }
        let columns: Vec<(f64, f64)> = (0..of).map(|i| robust(rows.iter().map(|row| row[i]).collect())).collect();
        let mut correlation = Vec::new();
        for i in 0..of {
            correlation.extend((0..i).map(|j| correlate(rows, (i, columns[i]), (j, columns[j]))));
        }
        let (centre, scale) = columns.into_iter().unzip();
        Some(Self { at, centre, scale, correlation, n: count.saturating_mul(stride), devices })
    }
}

/// Median, and scaled median absolute deviation; the standard deviation where that is 0.
fn robust(mut values: Vec<f64>) -> (f64, f64) {
    let centre = median(&mut values);
    let mut off: Vec<f64> = values.iter().map(|v| (v - centre).abs()).collect();
    let scale = MAD * median(&mut off);
    if scale > 0.0 {
        return (centre, scale);
    }
    #[expect(clippy::cast_precision_loss, reason = "a count")]
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (centre, (values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n).sqrt())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

fn correlate(rows: &[&[f64]], a: (usize, (f64, f64)), b: (usize, (f64, f64))) -> f64 {
    let z = |row: &[f64], (place, (centre, scale)): (usize, (f64, f64))| {
        if scale > 0.0 { ((row[place] - centre) / scale).clamp(-REACH, REACH) } else { 0.0 }
    };
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for row in rows {
        let (x, y) = (z(row, a), z(row, b));
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    if aa > 0.0 && bb > 0.0 { (ab / (aa * bb).sqrt()).clamp(-1.0, 1.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn centre_and_scale_are_those_of_numpy_and_failures_hardly_count() {
        // numpy 2: x = [1, 2, 4, 7, 11, 16, 22, 29, 37]; median(x) = 11; 1.482602218505602 * median(abs(x - 11)) = 13.3434...
        let x = [1.0, 2.0, 4.0, 7.0, 11.0, 16.0, 22.0, 29.0, 37.0];
        let rows: Vec<&[f64]> = x.chunks(1).collect();
        let regime = Regime::of(vec![], &rows, 2, 1).unwrap();
        assert_eq!((regime.centre[0], regime.n), (11.0, 18));
        assert!(near(regime.scale[0], 13.343_419_966_550_418), "{}", regime.scale[0]);
        let mostly: Vec<f64> = (0..100).map(|i| if i < 10 { 1e6 } else { f64::from(i % 7) }).collect();
        let rows: Vec<&[f64]> = mostly.chunks(1).collect();
        let regime = Regime::of(vec![], &rows, 1, 1).unwrap();
        assert!(regime.centre[0] <= 4.0 && regime.scale[0] < 4.0, "{regime:?}");
    }

    #[test]
    fn mostly_the_same_value_has_the_standard_deviation_as_scale() {
        let x = [5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 6.0];
        let rows: Vec<&[f64]> = x.chunks(1).collect();
        // numpy 2: std([5]*9 + [6]) = 0.3
        assert!(near(Regime::of(vec![], &rows, 1, 1).unwrap().scale[0], 0.3));
    }

    #[test]
    fn correlations_are_of_what_goes_together() {
        let pairs: Vec<[f64; 2]> = (0..50).map(|i| [f64::from((i * 7) % 50), f64::from((i * 7) % 50) * -2.0]).collect();
        let rows: Vec<&[f64]> = pairs.iter().map(|p| p.as_slice()).collect();
        assert!(near(Regime::of(vec![], &rows, 1, 1).unwrap().correlation[0], -1.0));
    }

    #[test]
    fn too_few_samples_teach_nothing() {
        let x = [1.0; 7];
        let rows: Vec<&[f64]> = x.chunks(1).collect();
        assert_eq!(Regime::of(vec![], &rows, 1, 1), None);
    }
}
