//! How far the newest sample lies from where a short trend of those before it was heading.
//!
//! The trend is a parabola by least squares over the window. A sample enters its bucket when the next one comes, so the
//! newest is judged by what was before it. Needs 6 samples, and cover as every window.
//!
//! Words: number of the newest bucket, time and value of the newest sample, the first value of all (values are kept as
//! differences to it). A bucket: sums of `u` to `u^4`, of the values, and of the values times `u` and `u^2`, `u` being
//! the place in the bucket from 0 to 1, and the tally.

use super::window::{bucket, count_one, cover, live, numbers, tally, width};
use super::{Op, num, seconds, time, word};
use crate::rules::Family;

/// Fewer samples make no parabola worth the name.
const FEWEST: f64 = 6.0;

pub(super) fn update(op: Op<'_>, words: &mut [u64], value: f64, at: i64) {
    let before = time(words[1]);
    if before == 0 {
        words[3] = value.to_bits();
    } else {
        let held = num(words[2]) - num(words[3]);
        let gap = (at - before).clamp(0, op.spec.covers.max(width(op.window)));
        let u = seconds(before.rem_euclid(width(op.window))) / seconds(width(op.window));
        if let Some(bucket) = bucket(Family::Resid, words, before, op.window) {
            let sums = [u, u * u, u * u * u, u * u * u * u, held, held * u, held * u * u];
            bucket.iter_mut().zip(sums).for_each(|(w, s)| *w = (num(*w) + s).to_bits());
            count_one(&mut bucket[7]);
            cover(bucket, gap);
        }
    }
    words[1] = word(at.max(before));
    words[2] = value.to_bits();
}

pub(super) fn read(op: Op<'_>, words: &[u64], now: i64) -> f64 {
    let newest = time(words[1]);
    let last = newest.div_euclid(width(op.window));
    // From -1 at the start of the window to 1 at its end.
    let half = 10.0;
    #[expect(clippy::cast_precision_loss, reason = "at most 20 buckets")]
    let scaled = |number: i64, u: f64| ((number - last) as f64 + u + half - 1.0) / half;
    let (mut s, mut x) = ([0.0; 5], [0.0; 3]);
    for (number, b) in numbers(words, now, op.window).zip(live(Family::Resid, words, now, op.window)) {
        let (n, a) = (tally(b[7]).0, scaled(number, 0.0));
        let (r, v) = ([0, 1, 2, 3].map(|k| num(b[k])), [4, 5, 6].map(|k| num(b[k])));
        let h = 1.0 / half;
        s[0] += n;
        s[1] += a * n + h * r[0];
        s[2] += a * a * n + 2.0 * a * h * r[0] + h * h * r[1];
        s[3] += a.powi(3) * n + 3.0 * a * a * h * r[0] + 3.0 * a * h * h * r[1] + h.powi(3) * r[2];
        s[4] += a.powi(4) * n
            + 4.0 * a.powi(3) * h * r[0]
            + 6.0 * a * a * h * h * r[1]
            + 4.0 * a * h.powi(3) * r[2]
            + h.powi(4) * r[3];
        x[0] += v[0];
        x[1] += a * v[0] + h * v[1];
        x[2] += a * a * v[0] + 2.0 * a * h * v[1] + h * h * v[2];
    }
    if s[0] < FEWEST {
        return f64::NAN;
    }
    let rows = [[s[0], s[1], s[2], x[0]], [s[1], s[2], s[3], x[1]], [s[2], s[3], s[4], x[2]]];
    let Some([c, b, a]) = solve(rows) else { return f64::NAN };
    let u = seconds(newest.rem_euclid(width(op.window))) / seconds(width(op.window));
    let t = scaled(last, u);
    num(words[2]) - num(words[3]) - (a * t * t + b * t + c)
}

/// Three equations for three unknowns; `None` if they do not say enough.
fn solve(mut rows: [[f64; 4]; 3]) -> Option<[f64; 3]> {
    for k in 0..3 {
        let best = (k..3).max_by(|a, b| rows[*a][k].abs().total_cmp(&rows[*b][k].abs()))?;
        rows.swap(k, best);
        if rows[k][k].abs() < 1e-9 {
            return None;
        }
        for i in k + 1..3 {
            let factor = rows[i][k] / rows[k][k];
            (k..4).for_each(|j| rows[i][j] -= factor * rows[k][j]);
        }
    }
    let mut found = [0.0; 3];
    for k in (0..3).rev() {
        let known: f64 = (k + 1..3).map(|j| rows[k][j] * found[j]).sum();
        found[k] = (rows[k][3] - known) / rows[k][k];
    }
    Some(found)
}
