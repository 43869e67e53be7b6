//! Opt-outs on the terminal.

use serde::Deserialize;

use super::render::{Row, Style, clean, instant, table};
use crate::desk::OptOutView;

/// What the daemon answers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct OptOuts {
    opt_outs: Vec<OptOutView>,
}

/// One a line.
pub(super) fn render(list: &OptOuts, style: &Style) -> String {
    if list.opt_outs.is_empty() {
        return "No opt-outs.\n".to_owned();
    }
    let plain = console::Style::new;
    let head = ["CUSTOMER", "ENDPOINT", "CHANNEL", "PURPOSE", "SINCE", "BY", "LIFTED"];
    let mut rows: Vec<Row> = vec![head.map(|text| (text.to_owned(), plain().dim())).into()];
    rows.extend(list.opt_outs.iter().map(|o| {
        let purpose = format!("{:?}", o.purpose).to_lowercase();
        let lifted = o.lifted_at.map(|at| instant(at, style)).unwrap_or_default();
        let cells = [
            clean(o.customer.as_str()),
            clean(o.endpoint.as_str()),
            o.channel.to_string(),
            purpose,
            instant(o.at, style),
            clean(&o.by),
            lifted,
        ];
        cells.into_iter().map(|text| (text, if o.lifted_at.is_some() { plain().dim() } else { plain() })).collect()
    }));
    table(&rows, "", |_| usize::MAX, style)
}
