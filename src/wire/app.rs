//! Messages in the customers' own app: what its back end is posted, and what it calls back.
//!
//! [`Push`] is posted as Standard Webhooks; `webhook-id` is the effect on every attempt, so a back end takes each in once.
//! 2xx takes it (optionally `{"ref":"…"}`), 409 has it already, 404 and 422 know no such user, 410 wants nothing more. It
//! then posts [`Feedback`] to `callback`, signed with the same secret: `delivered` when a phone has it, `opened` when
//! somebody looked at it, `confirmed` with the `choice` that was tapped, `failed` when no phone has the app any more.

use serde::{Deserialize, Serialize};

use super::Error;
use crate::domain::{AppProgress, AppWork, At, EffectId, Purpose, Receipt, ReceiptKind};

/// The body for the back end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Push {
    /// Who, as the back end calls them.
    pub user: String,
    /// BCP 47, of all texts in here.
    pub locale: String,
    /// `safety` may break through "do not disturb"; nothing else may.
    pub purpose: Purpose,
    /// One line.
    pub title: String,
    /// Plain text.
    pub text: String,
    /// What it is about.
    pub case: CaseLink,
    /// Buttons to show; none: nothing is asked.
    pub actions: Vec<Action>,
    /// Not to be shown after that.
    pub valid_until: At,
    /// Where [`Feedback`] is posted.
    pub callback: String,
}

/// The case of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseLink {
    /// As people say it.
    pub id: String,
    /// The page of this message for its reader; without links, the case in the API (which asks for a token).
    pub url: String,
}

/// A button.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Action {
    /// What it comes back as; the same as the key on the phone.
    pub choice: char,
    /// What stands on it.
    pub label: String,
}

impl Push {
    /// The body of `work`.
    #[must_use]
    pub fn new(work: &AppWork, callback: String) -> Self {
        let (id, url) = work.case.clone();
        let action = |(choice, label): &(char, String)| Action { choice: *choice, label: label.clone() };
        Self {
            user: work.user.clone(),
            locale: work.locale.clone(),
            purpose: work.purpose,
            title: work.title.clone(),
            text: work.text.clone(),
            case: CaseLink { id, url },
            actions: work.choices.iter().map(action).collect(),
            valid_until: work.valid_until,
            callback,
        }
    }
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feedback {
    /// The back end's count of its news of this message; old news has a lower number.
    pub seq: u64,
    /// What happened.
    pub state: FeedbackState,
    /// Which button, if `confirmed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<char>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<At>,
}

/// States of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeedbackState {
    /// On a phone.
    Delivered,
    /// Looked at.
    Opened,
    /// Answered by a tap.
    Confirmed,
    /// Will not arrive.
    Failed,
}

/// The news in a callback.
pub fn callback(effect: EffectId, body: &[u8]) -> Result<Receipt, Error> {
    let news: Feedback = serde_json::from_slice(body)?;
    let app = |progress| ReceiptKind::App { progress };
    let what = match (news.state, news.choice) {
        (FeedbackState::Delivered, _) => app(AppProgress::Delivered),
        (FeedbackState::Opened, _) => app(AppProgress::Opened),
        (FeedbackState::Failed, _) => app(AppProgress::Failed),
        (FeedbackState::Confirmed, Some(digit)) => ReceiptKind::Key { digit },
        (FeedbackState::Confirmed, None) => return Err(Error::Missing("choice")),
    };
    Ok(Receipt { effect, provider_ref: None, seq: Some(news.seq), what })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_are_read_strictly_where_it_matters() {
        let effect: EffectId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let app = |progress| Some(ReceiptKind::App { progress });
        for (body, expected) in [
            (r#"{"seq":1,"state":"delivered"}"#, app(AppProgress::Delivered)),
            (r#"{"seq":2,"state":"opened","at":"2026-11-22T08:00:00Z","phone":"new"}"#, app(AppProgress::Opened)),
            (r#"{"seq":3,"state":"confirmed","choice":"9"}"#, Some(ReceiptKind::Key { digit: '9' })),
            (r#"{"seq":3,"state":"failed"}"#, app(AppProgress::Failed)),
            (r#"{"seq":3,"state":"confirmed"}"#, None),
            (r#"{"seq":3,"state":"confirmed","choice":"yes"}"#, None),
            (r#"{"state":"delivered"}"#, None),
            (r#"{"seq":1,"state":"read"}"#, None),
            ("", None),
        ] {
            let read = callback(effect, body.as_bytes());
            assert_eq!(read.as_ref().ok().map(|r| r.what.clone()), expected, "{body}: {read:?}");
        }
    }
}
