//! The conversation of a case for reading: what was written to us and what we said, in the order of time.

use serde::{Deserialize, Serialize};

use super::super::change::Change;
use super::super::rows::Target;
use super::super::{Desk, notes};
use super::From;
use crate::domain::{At, Author, CaseId, Channel, EffectId};

/// One message of the conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MessageView {
    /// When it came in, or was first sent.
    pub at: At,
    /// `in`, `out`, or `note` between our own people.
    pub direction: String,
    /// Over what.
    pub channel: Channel,
    /// The role of the person: `driver`, `customer`, `agent`.
    pub who: String,
    /// PERSONAL DATA: the words that came in; only for tokens that may look people up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The text that went out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// What was understood of it, or what came of it: `key 1`, `human_confirmed(1)`, `delivered`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meaning: Option<String>,
    /// The provider's id of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Which contact of ours it is, or answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<EffectId>,
}

impl Desk {
    /// Oldest first.
    pub(in crate::desk) fn conversation(&self, id: &CaseId) -> Vec<MessageView> {
        let rows = self.state.rows.messages.range((*id, 0)..=(*id, u32::MAX));
        let known = Change::new(&self.state, &self.config, At::MIN);
        let answering = |effect: Option<EffectId>| Some(&self.state.rows.effects.get(&effect?)?.step);
        let mut all: Vec<MessageView> = rows
            .map(|(_, m)| MessageView {
                at: m.at,
                direction: match m.from {
                    From::Customer { .. } | From::Desk(Author::Customer) | From::Workshop(_) | From::Elsewhere => "in",
                    From::Desk(Author::Agent) => "out",
                    From::Desk(Author::Internal) => "note",
                }
                .to_owned(),
                channel: m.channel,
                who: match &m.from {
                    From::Customer { customer, .. } => notes::role(&known, *id, answering(m.in_reply_to), customer),
                    From::Desk(Author::Customer) => "customer".to_owned(),
                    From::Workshop(workshop) => workshop.to_string(),
                    From::Elsewhere => "unknown".to_owned(),
                    From::Desk(Author::Agent | Author::Internal) => "agent".to_owned(),
                },
                text: self.config.keys.open(&m.body),
                script: None,
                meaning: m.meaning.clone(),
                external_id: Some(m.external_id.clone()),
                effect: m.in_reply_to,
            })
            .collect();
        all.extend(self.effects_of(id).filter_map(|effect| self.said_by_us(&known, effect)));
        all.sort_by_key(|m| m.at);
        all
    }

    fn said_by_us(&self, known: &Change<'_>, effect: EffectId) -> Option<MessageView> {
        let row = self.state.rows.effects.get(&effect)?;
        let Target::Customer { customer, .. } = &row.target else { return None };
        let result = self.state.rows.contacts.get(&effect).map(|c| c.result.clone()).filter(|r| !r.is_empty());
        Some(MessageView {
            at: row.delivery.first_sent_at?,
            direction: "out".to_owned(),
            channel: row.delivery.kind.channel()?,
            who: notes::role(known, row.case, Some(&row.step), customer),
            text: None,
            script: row.script.as_ref().map(ToString::to_string),
            meaning: Some(result.unwrap_or_else(|| row.delivery.state.as_str().to_owned())),
            external_id: row.delivery.provider_ref.clone(),
            effect: Some(effect),
        })
    }
}
