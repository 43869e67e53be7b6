//! The limits of what a device may send and a model may ask for. All of them are far above what real devices do and far
//! below what would hurt.

/// A device id in a topic name has at most so many bytes.
pub const MAX_DEVICE_ID_BYTES: usize = 128;
/// An array of components has at most so many elements.
pub const MAX_ELEMENTS: usize = 1_024;
/// A text value has at most so many bytes.
pub const MAX_TEXT_BYTES: usize = 256;
/// A model has at most so many signals: a `SignalIx` is 16 bits.
pub(super) const MAX_SIGNALS: usize = 65_535;
/// A path has at most so many steps.
pub(super) const MAX_PATH_STEPS: usize = 32;
/// A topic filter has at most so many bytes: the length prefix of MQTT is 16 bits.
pub(super) const MAX_FILTER_BYTES: usize = 65_535;
/// Of one file, so many findings are shown; a file of 100,000 lines can be wrong in each of them.
pub(super) const MAX_FINDINGS_A_FILE: usize = 50;

/// Whether a level of a topic name can name a device. Also holds for ids in the registry.
pub(super) fn is_device_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= MAX_DEVICE_ID_BYTES && !id.chars().any(char::is_control)
}
