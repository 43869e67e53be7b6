//! What the registry says about a device, worked out once: constants, window lengths and which rules watch it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use regex::Regex;

use super::ops::{Op, micros, seconds};
use super::vm::run_static;
use crate::domain::{At, Device, Dimension, Unit, Value};
use crate::model::{Literal, Param, literal};
use crate::rules::{Const, Ins, ModelProgram, OpSpec, text_value, zone};

/// Shared by all devices of a model for which it is the same.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Profile {
    pub(super) consts: Vec<f64>,
    /// By operator, in microseconds.
    pub(super) windows: Vec<i64>,
    /// By rule.
    pub(super) enabled: Vec<bool>,
    /// As the program numbers them.
    pub(super) zones: Vec<TimeZone>,
    /// Where the devices are.
    pub(super) zone: TimeZone,
}

/// All profiles of a model.
#[derive(Debug, Default)]
pub(super) struct Profiles(BTreeMap<Vec<u64>, Arc<Profile>>);

impl Profiles {
    /// The profile of a device; `None` for one that is not in the registry.
    pub(super) fn of(&mut self, program: &ModelProgram, device: Option<&Device>) -> Arc<Profile> {
        let consts: Vec<f64> = program.consts.iter().map(|c| value(program, c, device)).collect();
        let key = consts.iter().map(|c| c.to_bits()).collect();
        self.0.entry(key).or_insert_with(|| Arc::new(Profile::new(program, consts, device))).clone()
    }
}

impl Profile {
    fn new(program: &ModelProgram, consts: Vec<f64>, device: Option<&Device>) -> Self {
        let window = |c: Option<u16>| c.map_or(0, |c| micros(consts[usize::from(c)]));
        let windows = program.ops.iter().map(|op| window(op.window)).collect();
        // Read only by schedules and by `hour`, which see to it that devices of other zones have another profile.
        let zone = device.and_then(|d| self::zone(&d.tz)).unwrap_or(TimeZone::UTC);
        let named = |name: &Option<Arc<str>>| name.as_deref().and_then(self::zone).unwrap_or_else(|| zone.clone());
        let zones = program.zones.iter().map(named).collect();
        let mut profile = Self { consts, windows, enabled: Vec::new(), zones, zone };
        // Only what is true watches: an unknown attribute does not.
        let watches = |code: &Vec<Ins>| run_static(program, &profile, code) == 1.0;
        profile.enabled = program.rules.iter().map(|r| r.filter.as_ref().is_none_or(watches)).collect();
        profile
    }

    /// The operator with this index, as it is for these devices.
    pub(super) fn op<'a>(&'a self, ix: usize, spec: &'a OpSpec) -> Op<'a> {
        Op { spec, window: self.windows[ix], consts: &self.consts, frozen: false }
    }
}

fn value(program: &ModelProgram, konst: &Const, device: Option<&Device>) -> f64 {
    match konst {
        Const::Num(n) => *n,
        Const::Param { name, factor, offset } => {
            let Some(param) = program.model.params.get(name) else { return f64::NAN };
            let own = device.and_then(|d| d.params.get(name)).and_then(|text| overridden(text, param));
            let raw = own.unwrap_or_else(|| number(&param.value));
            // Not rescaled when the units are the same, so that the value stays bit for bit as written.
            if (*factor, *offset) == (1.0, 0.0) { raw } else { raw * factor + offset }
        }
        Const::Matches { name, pattern } => match (device.and_then(|d| d.attribute(name)), Regex::new(pattern)) {
            (Some(text), Ok(pattern)) => f64::from(u8::from(pattern.is_match(text))),
            _ => f64::NAN,
        },
        Const::Instant { name } => instant(device, name).unwrap_or(f64::NAN),
        Const::Attr { name, number } => {
            let Some(text) = device.and_then(|d| d.attribute(name)) else { return f64::NAN };
            if *number {
                text.trim().parse().ok().filter(|n: &f64| n.is_finite()).unwrap_or(f64::NAN)
            } else {
                text_value(text)
            }
        }
    }
}

/// Seconds since 1970. A date is its midnight where the device stands.
fn instant(device: Option<&Device>, name: &str) -> Option<f64> {
    let device = device?;
    let text = device.attribute(name)?.trim();
    let date = || {
        let zone = zone(&device.tz).unwrap_or(TimeZone::UTC);
        let midnight = text.parse::<Date>().ok()?.to_zoned(zone).ok()?;
        Some(At::from_micros(midnight.timestamp().as_microsecond()))
    };
    // A date alone would also be read as an instant, of midnight in UTC.
    let at = if text.len() > 10 { text.parse::<At>().ok()? } else { date()? };
    Some(seconds(at.as_micros()))
}

/// A device's own value of a parameter, in the unit of the default. What does not fit was reported when the registry
/// was loaded; here the default stands.
fn overridden(text: &str, param: &Param) -> Option<f64> {
    let Literal { value, unit } = literal(text).ok()?;
    if std::mem::discriminant(&value) != std::mem::discriminant(&param.value) {
        return None;
    }
    if !matches!(value, Value::Num(_)) {
        return Some(number(&value));
    }
    let unit = if unit == Unit::none() && param.unit.dimension != Dimension::NONE { &param.unit } else { &unit };
    let (factor, offset) = unit.to(&param.unit)?;
    let n = number(&value);
    Some(if (factor, offset) == (1.0, 0.0) { n } else { n * factor + offset })
}

fn number(value: &Value) -> f64 {
    match value {
        Value::Num(n) => *n,
        Value::Bool(b) => f64::from(u8::from(*b)),
        Value::Text(t) => text_value(t),
        Value::Unknown => f64::NAN,
    }
}
