//! `do = "hold"`: a topic whose retained messages stop the case, and with it its children.

use std::sync::Arc;

use super::template;
use crate::playbook::Template;
use crate::playbook::names::Audience;
use crate::source::{Diagnostics, Table};

/// `do = "hold"`.
#[derive(Debug, Clone, PartialEq)]
pub struct Hold {
    /// Names the topic.
    pub switch: Template,
    /// Topic filter of the switches of all cases.
    pub filter: Arc<str>,
}

pub(super) fn read(diags: &mut Diagnostics, t: &Table<'_>) -> Option<Hold> {
    let text = t.need_text(diags, "switch")?;
    let switch = template(diags, &text, Audience::Field)?;
    Some(Hold { switch, filter: super::command::any_of(&text.value) })
}
