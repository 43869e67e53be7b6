//! Units of measurement: what can be compared with what, and how one is turned into the other.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Exponents of metre, kilogram, second, ampere, kelvin, bit-of-information ("count") and share (%): enough for the
/// fields this program serves. A bare number has all zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
pub struct Dimension([i8; 7]);

impl Dimension {
    /// A bare number.
    pub const NONE: Self = Self([0; 7]);
    /// Time.
    pub const TIME: Self = Self([0, 0, 1, 0, 0, 0, 0]);

    /// Of a product.
    #[must_use]
    pub fn times(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i].saturating_add(other.0[i])))
    }

    /// Of a quotient.
    #[must_use]
    pub fn over(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i].saturating_sub(other.0[i])))
    }

    /// What people call it (`temperature`), or its base units.
    #[must_use]
    pub fn name(self) -> String {
        let known = NAMES.iter().find(|(unit, _)| Unit::parse(unit).is_some_and(|u| u.dimension == self));
        if self == Self::NONE {
            "plain number".to_owned()
        } else if let Some((_, name)) = known {
            (*name).to_owned()
        } else {
            let parts: Vec<String> = ["m", "kg", "s", "A", "K", "count", "%"]
                .iter()
                .zip(self.0)
                .filter(|(_, e)| *e != 0)
                .map(|(b, e)| if e == 1 { (*b).to_owned() } else { format!("{b}^{e}") })
                .collect();
            parts.join("*")
        }
    }
}

/// One unit of a dimension people have a word for.
const NAMES: [(&str, &str); 19] = [
    ("K", "temperature"),
    ("bar", "pressure"),
    ("V", "voltage"),
    ("A", "current"),
    ("ohm", "resistance"),
    ("W", "power"),
    ("J", "energy or torque"),
    ("s", "time"),
    ("Hz", "frequency or speed of rotation"),
    ("m", "length"),
    ("m/s", "speed"),
    ("m/s^2", "acceleration"),
    ("kg", "mass"),
    ("N", "force"),
    ("%", "share"),
    ("K/s", "rate of temperature"),
    ("V/s", "rate of voltage"),
    ("m^3/s", "flow"),
    ("m^3", "volume"),
];

/// A unit: `value in base units = value * factor + offset`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unit {
    /// As written.
    pub text: Arc<str>,
    /// What it measures.
    pub dimension: Dimension,
    /// To base units.
    pub factor: f64,
    /// To base units; only degC and degF have one, and only alone (`degC/min` is a difference).
    pub offset: f64,
}

impl Unit {
    /// No unit.
    #[must_use]
    pub fn none() -> Self {
        Self { text: "".into(), dimension: Dimension::NONE, factor: 1.0, offset: 0.0 }
    }

    /// Parses `degC`, `K/min`, `mm/s`, `kohm`, `m/s^2`, `N*m`. `None` if a part is not known.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut unit = Self { text: text.into(), ..Self::none() };
        if text.is_empty() {
            return Some(unit);
        }
        let alone = !text.contains(['*', '/', '^']);
        let mut divide = false;
        let mut rest = text;
        loop {
            let end = rest.find(['*', '/']).unwrap_or(rest.len());
            let (part, tail) = rest.split_at(end);
            let (name, power) = match part.split_once('^') {
                Some((name, power)) => (name, power.parse::<i8>().ok().filter(|p| (1..=4).contains(p))?),
                None => (part, 1),
            };
            let (dimension, factor, offset) = atom(name)?;
            for _ in 0..power {
                unit.dimension = if divide { unit.dimension.over(dimension) } else { unit.dimension.times(dimension) };
                unit.factor = if divide { unit.factor / factor } else { unit.factor * factor };
            }
            if alone {
                unit.offset = offset;
            }
            let Some(operator) = tail.chars().next() else { return Some(unit) };
            divide = operator == '/';
            rest = &tail[1..];
        }
    }

    /// All unit names that can be part of a unit, for suggestions.
    pub fn known() -> impl Iterator<Item = &'static str> {
        ATOMS.iter().map(|a| a.0)
    }

    /// How to turn a value in `self` into `target`: `(factor, offset)`, so that `target = value * factor + offset`.
    /// Exactly `(1, 0)` for equal units. `None` if they measure different things.
    #[must_use]
    pub fn to(&self, target: &Self) -> Option<(f64, f64)> {
        if self.dimension != target.dimension {
            return None;
        }
        if self.factor.to_bits() == target.factor.to_bits() && self.offset.to_bits() == target.offset.to_bits() {
            return Some((1.0, 0.0));
        }
        Some((self.factor / target.factor, (self.offset - target.offset) / target.factor))
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

fn atom(name: &str) -> Option<(Dimension, f64, f64)> {
    ATOMS.iter().find(|a| a.0 == name).map(|(_, d, f, o)| (Dimension(*d), *f, *o))
}

type Atom = (&'static str, [i8; 7], f64, f64);

/// Exact by definition (SI Brochure, 9th edition; NIST SP 811 for the others).
#[rustfmt::skip]
const ATOMS: [Atom; 94] = [
    ("1", [0,0,0,0,0,0,0], 1.0, 0.0),
    ("%", [0,0,0,0,0,0,1], 1.0, 0.0), ("ppm", [0,0,0,0,0,0,1], 1e-4, 0.0), ("ppb", [0,0,0,0,0,0,1], 1e-7, 0.0),
    ("count", [0,0,0,0,0,1,0], 1.0, 0.0),
    ("rad", [0,0,0,0,0,0,0], 1.0, 0.0), ("deg", [0,0,0,0,0,0,0], std::f64::consts::PI / 180.0, 0.0),
    ("m", [1,0,0,0,0,0,0], 1.0, 0.0), ("km", [1,0,0,0,0,0,0], 1e3, 0.0), ("cm", [1,0,0,0,0,0,0], 1e-2, 0.0),
    ("mm", [1,0,0,0,0,0,0], 1e-3, 0.0), ("um", [1,0,0,0,0,0,0], 1e-6, 0.0), ("in", [1,0,0,0,0,0,0], 0.0254, 0.0),
    ("ft", [1,0,0,0,0,0,0], 0.3048, 0.0), ("mi", [1,0,0,0,0,0,0], 1609.344, 0.0),
    ("kg", [0,1,0,0,0,0,0], 1.0, 0.0), ("g", [0,1,0,0,0,0,0], 1e-3, 0.0), ("t", [0,1,0,0,0,0,0], 1e3, 0.0),
    ("lb", [0,1,0,0,0,0,0], 0.453_592_37, 0.0), ("mg", [0,1,0,0,0,0,0], 1e-6, 0.0), ("ug", [0,1,0,0,0,0,0], 1e-9, 0.0),
    ("us", [0,0,1,0,0,0,0], 1e-6, 0.0), ("ms", [0,0,1,0,0,0,0], 1e-3, 0.0), ("s", [0,0,1,0,0,0,0], 1.0, 0.0),
    ("min", [0,0,1,0,0,0,0], 60.0, 0.0), ("h", [0,0,1,0,0,0,0], 3600.0, 0.0), ("d", [0,0,1,0,0,0,0], 86_400.0, 0.0),
    ("A", [0,0,0,1,0,0,0], 1.0, 0.0), ("mA", [0,0,0,1,0,0,0], 1e-3, 0.0), ("kA", [0,0,0,1,0,0,0], 1e3, 0.0),
    ("uA", [0,0,0,1,0,0,0], 1e-6, 0.0), ("Ah", [0,0,1,1,0,0,0], 3600.0, 0.0), ("mAh", [0,0,1,1,0,0,0], 3.6, 0.0),
    ("K", [0,0,0,0,1,0,0], 1.0, 0.0), ("degC", [0,0,0,0,1,0,0], 1.0, 273.15),
    ("degF", [0,0,0,0,1,0,0], 5.0 / 9.0, 459.67 * 5.0 / 9.0), ("degR", [0,0,0,0,1,0,0], 5.0 / 9.0, 0.0),
    ("Hz", [0,0,-1,0,0,0,0], 1.0, 0.0), ("kHz", [0,0,-1,0,0,0,0], 1e3, 0.0), ("rpm", [0,0,-1,0,0,0,0], 1.0 / 60.0, 0.0),
    ("N", [1,1,-2,0,0,0,0], 1.0, 0.0), ("kN", [1,1,-2,0,0,0,0], 1e3, 0.0),
    ("lbf", [1,1,-2,0,0,0,0], 4.448_221_615_260_5, 0.0), ("gn", [1,0,-2,0,0,0,0], 9.806_65, 0.0),
    ("Nm", [2,1,-2,0,0,0,0], 1.0, 0.0), ("J", [2,1,-2,0,0,0,0], 1.0, 0.0), ("kJ", [2,1,-2,0,0,0,0], 1e3, 0.0),
    ("Wh", [2,1,-2,0,0,0,0], 3600.0, 0.0), ("kWh", [2,1,-2,0,0,0,0], 3.6e6, 0.0),
    ("MWh", [2,1,-2,0,0,0,0], 3.6e9, 0.0), ("BTU", [2,1,-2,0,0,0,0], 1_055.055_852_62, 0.0),
    ("W", [2,1,-3,0,0,0,0], 1.0, 0.0), ("mW", [2,1,-3,0,0,0,0], 1e-3, 0.0), ("kW", [2,1,-3,0,0,0,0], 1e3, 0.0),
    ("MW", [2,1,-3,0,0,0,0], 1e6, 0.0), ("VA", [2,1,-3,0,0,0,0], 1.0, 0.0), ("kVA", [2,1,-3,0,0,0,0], 1e3, 0.0),
    ("var", [2,1,-3,0,0,0,0], 1.0, 0.0), ("kvar", [2,1,-3,0,0,0,0], 1e3, 0.0),
    ("hp", [2,1,-3,0,0,0,0], 745.699_871_582_270_2, 0.0),
    ("V", [2,1,-3,-1,0,0,0], 1.0, 0.0), ("uV", [2,1,-3,-1,0,0,0], 1e-6, 0.0), ("mV", [2,1,-3,-1,0,0,0], 1e-3, 0.0), ("kV", [2,1,-3,-1,0,0,0], 1e3, 0.0),
    ("ohm", [2,1,-3,-2,0,0,0], 1.0, 0.0), ("mohm", [2,1,-3,-2,0,0,0], 1e-3, 0.0), ("kohm", [2,1,-3,-2,0,0,0], 1e3, 0.0),
    ("Mohm", [2,1,-3,-2,0,0,0], 1e6, 0.0), ("S", [-2,-1,3,2,0,0,0], 1.0, 0.0), ("mS", [-2,-1,3,2,0,0,0], 1e-3, 0.0),
    ("uS", [-2,-1,3,2,0,0,0], 1e-6, 0.0), ("F", [-2,-1,4,2,0,0,0], 1.0, 0.0), ("uF", [-2,-1,4,2,0,0,0], 1e-6, 0.0),
    ("Pa", [-1,1,-2,0,0,0,0], 1.0, 0.0), ("hPa", [-1,1,-2,0,0,0,0], 1e2, 0.0), ("kPa", [-1,1,-2,0,0,0,0], 1e3, 0.0),
    ("MPa", [-1,1,-2,0,0,0,0], 1e6, 0.0), ("mbar", [-1,1,-2,0,0,0,0], 1e2, 0.0), ("bar", [-1,1,-2,0,0,0,0], 1e5, 0.0),
    ("psi", [-1,1,-2,0,0,0,0], 6_894.757_293_168_361, 0.0), ("inWC", [-1,1,-2,0,0,0,0], 249.088_91, 0.0),
    ("mmHg", [-1,1,-2,0,0,0,0], 133.322_4, 0.0), ("inHg", [-1,1,-2,0,0,0,0], 3_386.389, 0.0),
    ("l", [3,0,0,0,0,0,0], 1e-3, 0.0), ("ml", [3,0,0,0,0,0,0], 1e-6, 0.0), ("gal", [3,0,0,0,0,0,0], 3.785_411_784e-3, 0.0),
    ("cfm", [3,0,-1,0,0,0,0], 4.719_474_432e-4, 0.0), ("gpm", [3,0,-1,0,0,0,0], 6.309_019_64e-5, 0.0),
    ("mph", [1,0,-1,0,0,0,0], 0.447_04, 0.0), ("kmh", [1,0,-1,0,0,0,0], 1.0 / 3.6, 0.0),
    ("kn", [1,0,-1,0,0,0,0], 1852.0 / 3600.0, 0.0),
    ("T", [0,1,-2,-1,0,0,0], 1.0, 0.0), ("lx", [-2,0,0,0,0,1,0], 1.0, 0.0), ("dB", [0,0,0,0,0,2,0], 1.0, 0.0),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn convert(value: f64, from: &str, to: &str) -> f64 {
        let (factor, offset) = Unit::parse(from).unwrap().to(&Unit::parse(to).unwrap()).unwrap();
        value * factor + offset
    }

    #[test]
    fn a_unit_has_one_meaning() {
        for (i, (name, ..)) in ATOMS.iter().enumerate() {
            assert!(ATOMS[..i].iter().all(|(other, ..)| other != name), "{name} stands twice");
            assert!(!name.contains(['*', '/', '^']), "{name} could not be parsed");
        }
    }

    #[test]
    fn conversions() {
        for (value, from, to, expected) in [
            (100.0, "degC", "degF", 212.0),
            (3.0, "K/min", "K/s", 0.05),
            (36.0, "km/h", "m/s", 10.0),
            (1.0, "bar", "psi", 14.503_773_773),
            (1500.0, "rpm", "Hz", 25.0),
            (2.0, "N*m", "Nm", 2.0),
        ] {
            assert!((convert(value, from, to) - expected).abs() < 1e-6, "{value} {from} -> {to}");
        }
        for (value, from, to, expected) in [
            (1.0, "gn", "m/s^2", 9.80665),
            (1.0, "BTU", "J", 1_055.055_852_62),
            (1.0, "lbf", "N", 4.448_221_615),
            (60.0, "gpm", "gal/s", 1.0),
            (1.0, "inHg", "kPa", 3.386_389),
            (760.0, "mmHg", "Pa", 101_325.024),
            (1.0, "kn", "km/h", 1.852),
            (1000.0, "uS", "mS", 1.0),
            (2.0, "S", "1/ohm", 2.0),
            (5.0, "Ah", "mAh", 5000.0),
        ] {
            assert!((convert(value, from, to) - expected).abs() < 1e-6, "{value} {from} -> {to}");
        }
        assert_eq!(Unit::parse("degC").unwrap().to(&Unit::parse("bar").unwrap()), None);
        assert_eq!(Unit::parse("furlong"), None);
        assert_eq!(Unit::parse("bar").unwrap().dimension.name(), "pressure");
    }
}
