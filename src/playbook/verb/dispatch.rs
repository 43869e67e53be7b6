//! `do = "dispatch"`: send a truck or a technician.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::reaction::{Reaction, reaction, reactions};
use super::{DURATION, condition, providers, template};
use crate::domain::{AdapterName, Span};
use crate::playbook::load::{MentionOf, Notes, ProviderKind};
use crate::playbook::names::Audience;
use crate::playbook::{Condition, Part};
use crate::source::{Diagnostic, Diagnostics, Table, Text};

/// `do = "dispatch"`.
#[derive(Debug, Clone, PartialEq)]
pub struct Dispatch {
    /// Nothing is sent: how many trucks the providers can send is set aside for a storm.
    pub reserve: bool,
    /// `tow`, `technician`…
    pub service: Arc<str>,
    /// Must be true before a truck is asked for.
    pub needs: Vec<Condition>,
    /// What to do while they are not.
    pub otherwise: Option<Reaction>,
    /// In the order they are asked.
    pub providers: Vec<AdapterName>,
    /// How long a provider may take.
    pub deadline: Deadlines,
    /// `declined`, `no_provider`, `eta_slips`.
    pub on: BTreeMap<Arc<str>, Reaction>,
}

/// `deadline` of a dispatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// From request to acceptance.
    pub accept: Span,
    /// From acceptance to departure.
    pub en_route: Option<Span>,
    /// After the promised arrival.
    pub arrive_after_eta: Option<Span>,
}

pub(super) fn read(diags: &mut Diagnostics, t: &Table<'_>, notes: &mut Notes) -> Option<Dispatch> {
    let reserve = t.text(diags, "mode").map(|mode| {
        if &*mode.value != "reserve" {
            let finding = Diagnostic::error("P051", format!("`mode` is '{}'", mode.value));
            diags.push(finding.at(mode.place.clone(), "expected reserve; without it a truck is sent"));
        }
    });
    if reserve.is_some() {
        t.need(diags, "provider");
        let providers = providers(diags, t, ProviderKind::Dispatch, notes);
        let on = reactions(diags, t, &["no_provider"], notes);
        let deadline = Deadlines { accept: crate::domain::Span::ZERO, en_route: None, arrive_after_eta: None };
        let (service, needs) = ("reserve".into(), Vec::new());
        return Some(Dispatch { reserve: true, service, needs, otherwise: None, providers, deadline, on });
    }
    let service = t.need_text(diags, "service");
    // The only place a job can be sent to is where the device is; the key is accepted for the reader.
    if let Some(pickup) = t.text(diags, "pickup") {
        let _ = template(diags, &pickup, Audience::Field);
    }
    let needs = t.texts(diags, "needs").iter().filter_map(|n| condition(diags, n, notes)).collect();
    let otherwise = t.text(diags, "else").and_then(|e| reaction(diags, &e, notes));
    t.need(diags, "provider");
    let providers = providers(diags, t, ProviderKind::Dispatch, notes);
    t.need(diags, "deadline");
    let deadline = t.table(diags, "deadline").and_then(|d| {
        d.need(diags, "accept");
        let accept = d.parsed::<Span>(diags, "accept", DURATION);
        let en_route = d.parsed::<Span>(diags, "en_route", DURATION);
        let arrive = d.text(diags, "arrive").and_then(|a| {
            let span = a.value.trim().strip_prefix("eta").and_then(|s| s.trim_start().strip_prefix('+'));
            let span = span.and_then(|s| s.trim().parse::<Span>().ok());
            if span.is_none() {
                diags.push(
                    Diagnostic::error("P015", format!("`arrive` is '{}'", a.value)).at(a.place, "expected `eta + 15m`"),
                );
            }
            span
        });
        d.finish(diags);
        Some(Deadlines { accept: accept?.value, en_route: en_route.map(|e| e.value), arrive_after_eta: arrive })
    });
    let on = reactions(diags, t, &["declined", "no_provider", "eta_slips"], notes);
    if on.get("eta_slips").is_some_and(|r| matches!(r, Reaction::Tell(_))) {
        let place = t.place();
        let script = Text { value: "eta-slipped".into(), place };
        notes.mention(MentionOf::Script(vec![Part::Sms, Part::Voice]), &script);
    }
    Some(Dispatch { reserve: false, service: service?.value, needs, otherwise, providers, deadline: deadline?, on })
}
