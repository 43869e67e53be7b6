//! What providers say about an attempt, without what it says of people: many repeat in an error what they were sent, and
//! that would stand in logs and rows for ever.

use super::{BookWork, DispatchWork, Outcome, TicketWork, Work};

/// What stands in place of what was taken out.
const GONE: &str = "…";
/// Shorter ones are words like any other.
const SHORTEST: usize = 4;
/// Digits of a phone number at least.
const DIGITS: usize = 7;
/// Attributes of vehicles that lead to somebody.
const LEADING: [&str; 4] = ["plate", "vin", "serial", "name"];

impl Work {
    /// What in it is somebody's: names, numbers, mailboxes, plates.
    #[must_use]
    pub fn private(&self) -> Vec<String> {
        let all: Vec<&String> = match self {
            Self::Mail(mail) => vec![&mail.to, &mail.to_name],
            Self::Sms(sms) => vec![&sms.to, &sms.body],
            Self::Call(call) => vec![&call.to],
            Self::App(push) => vec![&push.user, &push.text],
            Self::Ticket(TicketWork::Create { customer: Some((mailbox, name)), .. }) => vec![mailbox, name],
            Self::Dispatch(DispatchWork::Request(job)) => {
                let leading = job.vehicle.0.iter().filter(|(key, _)| LEADING.contains(&key.as_str()));
                let contact = job.contact.iter().filter(|(key, _)| *key != "locale");
                contact.chain(leading).map(|(_, value)| value).collect()
            }
            Self::Book(BookWork::Create { who, note, .. }) => {
                who.iter().filter(|(key, _)| *key != "locale").map(|(_, value)| value).chain([note]).collect()
            }
            Self::Ticket(_) | Self::Dispatch(_) | Self::Book(_) | Self::Command(_) | Self::Webhook(_) => Vec::new(),
        };
        all.into_iter().filter(|text| text.chars().count() >= SHORTEST).cloned().collect()
    }
}

impl Outcome {
    /// The same without what is `private` in its work, and without any mailbox or phone number.
    #[must_use]
    pub fn without(self, private: &[String]) -> Self {
        let clean = |reason: String| redacted(&reason, private);
        match self {
            Self::Rejected { reason } => Self::Rejected { reason: clean(reason) },
            Self::Retry { after, reason } => Self::Retry { after, reason: clean(reason) },
            Self::Unknown { reason } => Self::Unknown { reason: clean(reason) },
            // Ids of theirs, which have to come back as they are.
            Self::Accepted { .. } | Self::NotFound => self,
        }
    }
}

/// Whether there is a mailbox or a phone number in it.
pub(super) fn names_somebody(text: &str) -> bool {
    redacted(text, &[]) != text
}

/// `text` without these, and without what looks like a mailbox or a phone number.
fn redacted(text: &str, private: &[String]) -> String {
    let known = private.iter().fold(text.to_owned(), |text, own| without_case(&text, own));
    let words = known
        .split_inclusive(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | '\'' | ',' | ';' | '(' | ')'));
    let mut out = String::with_capacity(known.len());
    for word in words {
        let core = word.trim_end_matches(|c: char| !c.is_alphanumeric() && c != '@');
        let mailbox = core.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'));
        if mailbox || is_number(core) {
            out.push_str(GONE);
            out.push_str(&word[core.len()..]);
        } else {
            out.push_str(word);
        }
    }
    out
}

/// `+49 …` without spaces, or digits with separators of numbers only.
fn is_number(word: &str) -> bool {
    let digits = word.chars().filter(char::is_ascii_digit).count();
    let plain = word
        .strip_prefix('+')
        .is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | '.' | '/')));
    plain && digits >= DIGITS
}

/// All of `own` out of `text`, in capital letters or not.
fn without_case(text: &str, own: &str) -> String {
    let (low, own) = (text.to_ascii_lowercase(), own.to_ascii_lowercase());
    let mut out = String::with_capacity(text.len());
    let mut rest = 0;
    while let Some(at) = low[rest..].find(&own) {
        out.push_str(&text[rest..rest + at]);
        out.push_str(GONE);
        rest += at + own.len();
    }
    out.push_str(&text[rest..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::CallWork;

    #[test]
    fn what_providers_echo_is_taken_out_and_what_they_say_stays() {
        let own =
            ["jane@example.com".to_owned(), "Jane <Doe>".to_owned(), "+4930111".to_owned(), "W-123 AB".to_owned()];
        for (said, kept) in [
            ("550 5.1.1 <Jane@Example.COM>: user unknown", "550 5.1.1 <…>: user unknown"),
            ("The 'To' number +4930111 is not valid", "The 'To' number … is not valid"),
            ("422 {\"name\":\"jane <doe>\",\"plate\":\"w-123 ab\"}", "422 {\"name\":\"…\",\"plate\":\"…\"}"),
            ("forwarded to joe@other.example, then +12025550101.", "forwarded to …, then …."),
            (
                "503 at 2026-11-22T08:00:00Z, queue id 4bXyz1234567890",
                "503 at 2026-11-22T08:00:00Z, queue id 4bXyz1234567890",
            ),
            ("no answer within 90 s", "no answer within 90 s"),
            ("", ""),
        ] {
            assert_eq!(redacted(said, &own), kept, "{said}");
        }
    }

    #[test]
    fn ids_of_providers_stay_as_they_are() {
        let work = Work::Call(CallWork { to: "+4930111".into(), ring: crate::domain::Span::ZERO });
        let taken = Outcome::Accepted { provider_ref: "CA+4930111".into() };
        assert_eq!(taken.clone().without(&work.private()), taken);
        let refused = Outcome::Rejected { reason: "not valid: +4930111".into() };
        assert_eq!(refused.without(&work.private()), Outcome::Rejected { reason: "not valid: …".into() });
    }
}
