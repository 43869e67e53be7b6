//! `do = "webhook"`: a signed JSON POST to a system of ours. A step names a provider, never an address: a playbook cannot
//! post anywhere that the settings do not name.

use crate::domain::AdapterName;
use crate::playbook::Template;
use crate::playbook::load::{MentionOf, Notes, ProviderKind};
use crate::playbook::names::Audience;
use crate::source::{Diagnostic, Diagnostics, Table};

use super::template;

/// `do = "webhook"`.
#[derive(Debug, Clone, PartialEq)]
pub struct Webhook {
    /// Which provider.
    pub provider: AdapterName,
    /// JSON, once it is filled in.
    pub body: Template,
}

pub(super) fn read(diags: &mut Diagnostics, t: &Table<'_>, notes: &mut Notes) -> Option<Webhook> {
    let provider = t.need_text(diags, "provider");
    if let Some(provider) = &provider {
        notes.mention(MentionOf::Provider(ProviderKind::Webhook), provider);
    }
    let text = t.need_text(diags, "body");
    let body = text.as_ref().and_then(|b| template(diags, b, Audience::Field));
    if let (Some(text), Some(body)) = (&text, &body)
        && let Err(error) = serde_json::from_str::<serde_json::Value>(&filled(body.source()))
    {
        diags.push(
            Diagnostic::error("P025", format!("the body is not JSON: {error}"))
                .at(text.place.clone(), "with something filled in"),
        );
        return None;
    }
    Some(Webhook { provider: AdapterName::from(&*provider?.value), body: body? })
}

/// The text with a digit in place of each `{{ … }}`, which is JSON inside of quotes and outside.
fn filled(source: &str) -> String {
    let mut parts = source.split("{{");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push('1');
        out.push_str(part.split_once("}}").map_or("", |(_, rest)| rest));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_judged_as_it_will_be() {
        let json = |text: &str| serde_json::from_str::<serde_json::Value>(&filled(text)).is_ok();
        assert!(json(r#"{"part":"{{ fault.part.id }}","n":{{ case.run }},"x":[1]}"#));
        assert!(!json(r#"{"part":{{ fault.part.id }} x}"#) && !json("hello"));
    }
}
