//! Draws the picture of a mail as PNG: mail programs show no SVG and load nothing from outside.
//!
//! It is 420 by 210 points large, drawn at twice that for phones, and stays readable at the width of one: few labels, all of
//! them large. The font is part of the program, so that it looks the same on every machine; letters it does not have are
//! left out. The same chart gives the same bytes.

use tiny_skia::{
    Color, FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, Rect, Stroke, StrokeDash, Transform,
};
use ttf_parser::{Face, OutlineBuilder};

use crate::domain::Chart;

/// Latin and Cyrillic; its licence stands beside it.
static FONT: &[u8] = include_bytes!("font/dejavu-sans-condensed.ttf");

/// In points, as mails show it.
pub(super) const WIDTH: u32 = 420;
const HEIGHT: u32 = 210;
/// Pixels of a point.
const SCALE: f32 = 2.0;

/// Sizes of letters, in points.
const TITLE: f32 = 15.0;
const LABEL: f32 = 13.0;
/// Free room around the plot, in points.
const TOP: f32 = 36.0;
const BOTTOM: f32 = 28.0;
const RIGHT: f32 = 12.0;
const GAP: f32 = 6.0;

const WHITE: [u8; 3] = [255, 255, 255];
const INK: [u8; 3] = [31, 41, 55];
const FAINT: [u8; 3] = [75, 85, 99];
const GRID: [u8; 3] = [229, 231, 235];
const LINE: [u8; 3] = [15, 118, 110];
const LEVEL: [u8; 3] = [185, 28, 28];

/// The picture as PNG; `None` if there is no room in memory for it.
pub(super) fn png(chart: &Chart) -> Option<Vec<u8>> {
    let mut sheet = Sheet::new()?;
    let plot = sheet.plot(chart);
    sheet.text(&chart.title, (GAP, TOP - 16.0), TITLE, INK, Anchor::Start);
    for (share, label) in &chart.up {
        let y = plot.y(*share);
        sheet.line(&[(plot.left, y), (plot.right, y)], 1.0, GRID, None);
        sheet.text(label, (plot.left - GAP, y + LABEL * 0.36), LABEL, FAINT, Anchor::End);
    }
    for (share, label) in &chart.across {
        let x = plot.x(*share);
        sheet.line(&[(x, plot.bottom), (x, plot.bottom + 4.0)], 1.0, FAINT, None);
        // The outermost labels stay on the sheet.
        let half = sheet.width(label, LABEL) / 2.0;
        let x = x.clamp(half + 1.0, points(WIDTH) - half - 1.0);
        sheet.text(label, (x, plot.bottom + 6.0 + LABEL), LABEL, FAINT, Anchor::Middle);
    }
    sheet.line(&[(plot.left, plot.bottom), (plot.right, plot.bottom)], 1.0, FAINT, None);
    let line: Vec<(f32, f32)> = chart.points.iter().map(|(x, y)| (plot.x(*x), plot.y(*y))).collect();
    if let Some((share, meaning)) = &chart.limit {
        let y = plot.y(*share);
        sheet.line(&[(plot.left, y), (plot.right, y)], 2.0, LEVEL, Some([7.0, 5.0]));
        let label = free_side(&line, y, plot.left + 4.0 + sheet.width(meaning, LABEL), &plot);
        sheet.text(meaning, (plot.left + 4.0, label), LABEL, LEVEL, Anchor::Start);
    }
    sheet.line(&line, 2.5, LINE, None);
    if let Some(&(x, y)) = line.last() {
        sheet.dot((x, y), 4.0, LINE);
        // On the side that the line does not come from, if there is room.
        let (above, below) = (y - 9.0, y + 9.0 + LABEL * 0.75);
        let rises = line.iter().rev().nth(1).is_some_and(|before| before.1 > y);
        let room = (above - LABEL > plot.top, below + 2.0 < plot.bottom);
        let at = if room.0 && (rises || !room.1) { above } else { below };
        sheet.text(&chart.newest, (x.min(points(WIDTH) - 2.0), at), LABEL, INK, Anchor::End);
    }
    sheet.pixels.encode_png().ok()
}

/// The base line of the words about a level at `y`: above or below it, wherever the line is further away.
fn free_side(line: &[(f32, f32)], y: f32, until: f32, plot: &Plot) -> f32 {
    let (above, below) = (y - 5.0, y + 4.0 + LABEL);
    let crowd = |from: f32, to: f32| line.iter().filter(|(x, at)| *x <= until && *at > from && *at < to).count();
    let high = crowd(above - LABEL, y);
    let low = crowd(y, below + 2.0);
    if above - LABEL < plot.top || (below < plot.bottom - 1.0 && low < high) { below } else { above }
}

/// The part of the sheet that the line is drawn on, in points.
struct Plot {
    left: f32,
    right: f32,
    top: f32,
    bottom: f32,
}

impl Plot {
    fn x(&self, share: f64) -> f32 {
        self.left + (self.right - self.left) * narrow(share)
    }

    fn y(&self, share: f64) -> f32 {
        self.bottom - (self.bottom - self.top) * narrow(share)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a share of a few hundred pixels")]
fn narrow(share: f64) -> f32 {
    share.clamp(0.0, 1.0) as f32
}

#[expect(clippy::cast_precision_loss, reason = "hundreds")]
fn points(n: u32) -> f32 {
    n as f32
}

/// Where a text begins, in relation to its place.
#[derive(Clone, Copy)]
enum Anchor {
    Start,
    Middle,
    End,
}

struct Sheet {
    pixels: Pixmap,
    font: Face<'static>,
}

impl Sheet {
    fn new() -> Option<Self> {
        let mut pixels = Pixmap::new(WIDTH * 2, HEIGHT * 2)?;
        let [r, g, b] = WHITE;
        pixels.fill(Color::from_rgba8(r, g, b, 255));
        Some(Self { pixels, font: Face::parse(FONT, 0).ok()? })
    }

    /// As large as the labels beside it allow.
    fn plot(&self, chart: &Chart) -> Plot {
        let widest = chart.up.iter().map(|(_, label)| self.width(label, LABEL)).fold(0.0, f32::max);
        Plot { left: widest + 2.0 * GAP, right: points(WIDTH) - RIGHT, top: TOP, bottom: points(HEIGHT) - BOTTOM }
    }

    fn line(&mut self, points: &[(f32, f32)], width: f32, colour: [u8; 3], dash: Option<[f32; 2]>) {
        let mut path = PathBuilder::new();
        for (i, (x, y)) in points.iter().enumerate() {
            if i == 0 { path.move_to(*x, *y) } else { path.line_to(*x, *y) }
        }
        let stroke = Stroke {
            width,
            line_cap: LineCap::Butt,
            line_join: LineJoin::Round,
            dash: dash.and_then(|dash| StrokeDash::new(dash.to_vec(), 0.0)),
            ..Stroke::default()
        };
        if let Some(path) = path.finish() {
            self.pixels.stroke_path(&path, &paint(colour), &stroke, scale(), None);
        }
    }

    fn dot(&mut self, (x, y): (f32, f32), radius: f32, colour: [u8; 3]) {
        if let Some(path) = PathBuilder::from_circle(x, y, radius) {
            self.fill(&path, colour, scale());
        }
    }

    fn text(&mut self, text: &str, (x, y): (f32, f32), size: f32, colour: [u8; 3], anchor: Anchor) {
        let width = self.width(text, size);
        let mut x = match anchor {
            Anchor::Start => x,
            Anchor::Middle => x - width / 2.0,
            Anchor::End => x - width,
        };
        // What the words cover is wiped, so that they can be read on any line.
        if let Some(rect) = Rect::from_xywh(x - 1.0, y - size * 0.8, width + 2.0, size) {
            self.fill(&PathBuilder::from_rect(rect), WHITE, scale());
        }
        let unit = size / f32::from(self.font.units_per_em());
        for letter in text.chars() {
            let Some(glyph) = self.font.glyph_index(letter) else { continue };
            let mut pen = Pen(PathBuilder::new());
            let drawn = self.font.outline_glyph(glyph, &mut pen);
            if let (Some(_), Some(path)) = (drawn, pen.0.finish()) {
                let place = Transform::from_row(unit * SCALE, 0.0, 0.0, -unit * SCALE, x * SCALE, y * SCALE);
                self.fill(&path, colour, place);
            }
            x += f32::from(self.font.glyph_hor_advance(glyph).unwrap_or(0)) * unit;
        }
    }

    /// In points.
    fn width(&self, text: &str, size: f32) -> f32 {
        let glyphs = text.chars().filter_map(|letter| self.font.glyph_index(letter));
        let units = glyphs.map(|glyph| f32::from(self.font.glyph_hor_advance(glyph).unwrap_or(0))).sum::<f32>();
        units * size / f32::from(self.font.units_per_em())
    }

    fn fill(&mut self, path: &Path, colour: [u8; 3], place: Transform) {
        self.pixels.fill_path(path, &paint(colour), FillRule::Winding, place, None);
    }
}

fn scale() -> Transform {
    Transform::from_scale(SCALE, SCALE)
}

fn paint([r, g, b]: [u8; 3]) -> Paint<'static> {
    let mut paint = Paint::default();
    paint.set_color_rgba8(r, g, b, 255);
    paint
}

/// Outlines of letters to paths.
struct Pen(PathBuilder);

impl OutlineBuilder for Pen {
    fn move_to(&mut self, x: f32, y: f32) {
        self.0.move_to(x, y);
    }
    fn line_to(&mut self, x: f32, y: f32) {
        self.0.line_to(x, y);
    }
    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        self.0.quad_to(x1, y1, x, y);
    }
    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        self.0.cubic_to(x1, y1, x2, y2, x, y);
    }
    fn close(&mut self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart() -> Chart {
        Chart {
            id: "chart@x".into(),
            title: "Напруга в спокої (В)".into(),
            points: vec![(0.0, 0.9), (0.25, 0.8), (0.5, 0.6), (0.75, 0.5), (1.0, 0.3)],
            newest: "12,05 В".into(),
            limit: Some((0.1, "може не завестися: 11,9 В".into())),
            across: vec![(0.1, "03.11".into()), (0.6, "13.11".into()), (1.0, "24.11".into())],
            up: vec![(0.0, "11,8".into()), (0.5, "12,2".into()), (1.0, "12,6".into())],
        }
    }

    /// The pixel at a place in points.
    fn pixel(sheet: &Pixmap, x: f32, y: f32) -> [u8; 3] {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "places on the sheet")]
        let p = sheet.pixel((x * SCALE) as u32, (y * SCALE) as u32).unwrap().demultiply();
        [p.red(), p.green(), p.blue()]
    }

    #[test]
    fn line_and_level_are_drawn_where_they_belong() {
        let chart = chart();
        let bytes = png(&chart).unwrap();
        assert!(bytes.len() < 30_000, "{} bytes", bytes.len());
        assert_eq!(bytes, png(&chart).unwrap(), "the same bytes on every attempt");
        let sheet = Pixmap::decode_png(&bytes).unwrap();
        assert_eq!((sheet.width(), sheet.height()), (840, 420));
        let plot = Sheet::new().unwrap().plot(&chart);
        for (x, y) in &chart.points {
            let inside = if *x == 0.0 { 1.0 } else { -0.5 };
            assert_eq!(pixel(&sheet, plot.x(*x) + inside, plot.y(*y)), LINE, "{x} {y}");
        }
        // Dashes: along the level some pixels have its colour; a little above and below none has.
        let along = |y: f32| (100..400).filter(|x| pixel(&sheet, points(*x), y) == LEVEL).count();
        let level = plot.y(0.1);
        assert!(along(level) > 100, "{}", along(level));
        assert_eq!(along(level + 3.0), 0);
        assert_eq!(pixel(&sheet, 1.0, 1.0), WHITE);
    }

    #[test]
    fn without_a_level_and_with_letters_nobody_has_it_is_drawn_all_the_same() {
        let bare =
            Chart { limit: None, title: "\u{4e2d}\u{6587} 12 V".into(), across: Vec::new(), up: Vec::new(), ..chart() };
        let sheet = Pixmap::decode_png(&png(&bare).unwrap()).unwrap();
        let red = sheet.pixels().iter().filter(|p| [p.red(), p.green(), p.blue()] == LEVEL).count();
        assert_eq!(red, 0);
        let lost = Chart { points: vec![(0.0, f64::NAN), (1.0, 7.0)], ..chart() };
        assert!(png(&lost).is_some());
    }

    #[test]
    fn every_letter_of_the_shipped_languages_has_a_shape() {
        let sheet = Sheet::new().unwrap();
        let letters = "ABCabcÄÖÜäöüßąćęłńóśźżĄĆĘŁŃÓŚŹŻАБВГҐДЕЄЖЗИІЇЙабвгґдеєжзиіїйёъыэьюя0123456789.,:;()°%/–−’\u{a0}";
        let missing: Vec<char> = letters.chars().filter(|c| sheet.font.glyph_index(*c).is_none()).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
