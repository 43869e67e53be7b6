//! `devices.csv`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::check::{Refusal, Zones};
use super::customers::{Customers, Field, known_customer, not_empty};
use super::shared::Shared;
use super::sheet::{Row, Sheet};
use crate::domain::{Device, DeviceId};
use crate::model::limits::is_device_id;
use crate::model::{Format, Model, Models, words};
use crate::source::{Diagnostic, Diagnostics, FileId, did_you_mean};

/// Columns that name a customer; the name of the column is the role.
const PARTIES: [&str; 6] = ["owner", "driver", "facility_manager", "security", "building_security", "rescue_service"];
/// Columns with a meaning of their own.
const FIXED: [&str; 4] = ["id", "model", "kind", "tz"];

/// What a column is for, and the texts in it that many devices have: makes, colours, firmware.
struct Column {
    name: Arc<str>,
    use_as: Use,
    texts: Shared,
}

#[derive(Clone, Copy, PartialEq)]
enum Use {
    Fixed,
    Party,
    Param,
    Attribute,
}

impl Column {
    fn new(header: &str) -> Self {
        let (name, use_as) = match header.strip_prefix("param.") {
            Some(param) => (param, Use::Param),
            None if FIXED.contains(&header) => (header, Use::Fixed),
            None if PARTIES.contains(&header) => (header, Use::Party),
            None => (header, Use::Attribute),
        };
        Self { name: name.into(), use_as, texts: Shared::default() }
    }
}

pub(super) fn devices(
    diags: &mut Diagnostics,
    file: FileId,
    models: &Models,
    customers: &Customers,
) -> BTreeMap<DeviceId, Device> {
    let mut devices: Vec<(Device, usize)> = Vec::new();
    let mut zones = Zones::default();
    let mut columns: Vec<Column> = Vec::new();
    Sheet::read(diags, file, header, |sheet, diags, row| {
        if columns.is_empty() {
            columns = sheet.columns().iter().map(|name| Column::new(name)).collect();
        }
        let fixed = FIXED.map(|name| sheet.column(name));
        let mut field = Field { sheet, diags, row, good: true };
        if let Some(device) = device(&mut field, fixed, &mut columns, models, customers, &mut zones) {
            devices.push((device, row.at));
        }
    });
    unique(diags, file, devices)
}

/// Checks the names of the columns.
fn header(sheet: &mut Sheet, diags: &mut Diagnostics) -> bool {
    let mut good = true;
    for name in ["id", "model", "kind"] {
        good &= sheet.needs(diags, name);
    }
    let fixed = || FIXED.into_iter().chain(PARTIES);
    for (i, header) in sheet.columns().to_vec().iter().enumerate() {
        let column = Column::new(header);
        // `marker.oil_service`: what was noted at the last service, read as `device.marker.oil_service`.
        let name = column.name.strip_prefix("marker.").unwrap_or(&column.name);
        if let Some(why) = words::not_a_name(name) {
            let finding = Diagnostic::error("G002", format!("the column '{header}' {why}"));
            sheet.push(diags, finding.at(sheet.header_place(i), "rules and messages could not name it"));
            good = false;
        } else if column.use_as == Use::Attribute
            && let Some(near) = did_you_mean(header, fixed().filter(|name| sheet.column(name).is_none()))
        {
            let finding = Diagnostic::warning("G101", format!("the column '{header}' is kept as an attribute"));
            sheet.push(diags, finding.at(sheet.header_place(i), "").hint(format!("did you mean `{near}`?")));
        }
    }
    good
}

/// One row. `None`: something is wrong with it, and was reported.
fn device(
    field: &mut Field<'_, '_, '_>,
    fixed: [Option<usize>; 4],
    columns: &mut [Column],
    models: &Models,
    customers: &Customers,
    zones: &mut Zones,
) -> Option<Device> {
    let row: &Row<'_> = field.row;
    let [id, model, kind, tz] = fixed.map(|column| row.get(column));
    field.check(fixed[0], "G003", device_id(id, model, models));
    let model = field.check(fixed[1], "G004", known_model(model, models));
    field.check(fixed[2], "G003", not_empty(kind, "kind"));
    let tz = field.check(fixed[3], "G007", zones.get(tz));
    let (mut parties, mut attrs, mut params) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for (i, column) in columns.iter_mut().enumerate() {
        let text = row.get(Some(i));
        if text.is_empty() {
            continue;
        }
        match column.use_as {
            Use::Fixed => {}
            Use::Party => {
                let customer = field.check(Some(i), "G004", known_customer(text, customers));
                parties.extend(customer.map(|customer| (column.name.clone(), customer.id.clone())));
            }
            Use::Param => {
                if let Some(model) = model {
                    field.check(Some(i), "G012", fits(model, &column.name, text));
                }
                params.insert(column.name.clone(), column.texts.get(text));
            }
            Use::Attribute => drop(attrs.insert(column.name.clone(), column.texts.get(text))),
        }
    }
    if !field.good {
        return None;
    }
    let kind = columns[fixed[2]?].texts.get(kind);
    Some(Device { id: DeviceId::from(id), model: model?.id.clone(), kind, tz: tz?, parties, attrs, params })
}

/// By id; of devices with the same id the first stays.
fn unique(diags: &mut Diagnostics, file: FileId, mut devices: Vec<(Device, usize)>) -> BTreeMap<DeviceId, Device> {
    // Stable: of equal ids, the first of the file comes first.
    devices.sort_by(|a, b| a.0.id.cmp(&b.0.id));
    let mut firsts: BTreeMap<usize, usize> = BTreeMap::new();
    let mut first = 0;
    for i in 1..devices.len() {
        if devices[i].0.id == devices[first].0.id {
            firsts.insert(devices[i].1, devices[first].1);
        } else {
            first = i;
        }
    }
    if !firsts.is_empty() {
        Sheet::read(
            diags,
            file,
            |_, _| true,
            |sheet, diags, row| {
                if let Some(&first) = firsts.get(&row.at) {
                    let column = sheet.column("id");
                    Field { sheet, diags, row, good: true }.duplicate(column, "device", row.get(column), first);
                }
            },
        );
    }
    devices.dedup_by(|later, earlier| later.0.id == earlier.0.id);
    devices.into_iter().map(|(device, _)| (device.id.clone(), device)).collect()
}

/// Ids of Sparkplug senders are `group/edge` and `group/edge/device`, all others stand in one level of a topic.
fn device_id(id: &str, model: &str, models: &Models) -> Result<(), Refusal> {
    not_empty(id, "id")?;
    let model = models.list.iter().find(|m| m.id.as_str() == model);
    let sparkplug = model.is_some_and(|m| m.decoders.iter().any(|d| d.format == Format::Sparkplug));
    let slashes = id.matches('/').count();
    let levels = if sparkplug { (1..=2).contains(&slashes) } else { slashes == 0 };
    if !is_device_id(id) || !levels || id.contains(['+', '#']) {
        if sparkplug {
            let hint = "write plant/edge-1 for an edge node, plant/edge-1/press for a device behind it";
            return Err((format!("'{id}' is not the id of a Sparkplug sender"), Some(hint.to_owned())));
        }
        let hint = "the id stands in the topic: at most 128 bytes, no control characters, no /, + or #";
        return Err((format!("'{id}' cannot be a device id"), Some(hint.to_owned())));
    }
    Ok(())
}

fn known_model<'m>(id: &str, models: &'m Models) -> Result<&'m Model, Refusal> {
    if let Some(model) = models.list.iter().find(|m| m.id.as_str() == id) {
        return Ok(model);
    }
    let near = did_you_mean(id, models.list.iter().map(|m| m.id.as_str()));
    Err((format!("there is no model '{id}'"), near.map(|near| format!("did you mean `{near}`?"))))
}

/// Whether `text` can stand in for the parameter `name` of `model`.
fn fits(model: &Model, name: &str, text: &str) -> Result<(), Refusal> {
    let Some(param) = model.params.get(name) else {
        let near = did_you_mean(name, model.params.keys().map(|k| &**k)).map(|near| format!("did you mean `{near}`?"));
        return Err((format!("the model '{}' has no parameter '{name}'", model.id), near));
    };
    param.overridden(text).map(drop).map_err(|error| (format!("'{text}': {}", error.message), error.hint))
}
