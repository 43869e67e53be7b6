//! What is said in a call, as TwiML.

/// What to say in a call. (The desk's own word for it is `desk::Speech`; this layer lies below the desk and may not
/// know it, so the callback server turns one into the other.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Say<'a> {
    /// BCP 47.
    pub locale: &'a str,
    /// Plain text.
    pub text: &'a str,
    /// What follows.
    pub then: Then<'a>,
}

/// What follows a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then<'a> {
    /// Wait for one key, posted to `action` (the form then has `Digits`); without one `next` is asked for the next turn.
    Listen {
        /// Absolute address.
        action: &'a str,
        /// Absolute address.
        next: &'a str,
    },
    /// Hang up.
    HangUp,
    /// Connect to a person at this number (E.164).
    Connect(&'a str),
    /// Be silent for some seconds, then ask `next`.
    Pause {
        /// How long.
        seconds: u32,
        /// Absolute address.
        next: &'a str,
    },
}

/// How long to wait for a key after the text was spoken.
pub const GATHER_TIMEOUT_S: u32 = 8;
/// Longest text of one `Say`, in characters, of which the provider takes 4,096; the rest is not spoken.
pub const SAY_MAX: usize = 4_000;

/// The answer to "the call was answered" and to each turn after it.
#[must_use]
pub fn twiml(say: &Say<'_>) -> String {
    let text: String = say.text.chars().take(SAY_MAX).collect();
    let spoken = format!(r#"<Say language="{}">{}</Say>"#, escape(say.locale), escape(&text));
    match say.then {
        Then::Listen { action, next } => document(&format!(
            r#"<Gather action="{}" method="POST" numDigits="1" timeout="{GATHER_TIMEOUT_S}">{spoken}</Gather>{}"#,
            escape(action),
            redirect(next)
        )),
        Then::HangUp => document(&format!("{spoken}<Hangup/>")),
        Then::Connect(number) => document(&format!("{spoken}<Dial>{}</Dial>", escape(number))),
        Then::Pause { seconds, next } => document(&format!(r#"{spoken}<Pause length="{seconds}"/>{}"#, redirect(next))),
    }
}

/// The answer when nothing can be said yet (the provider waits for few seconds only): a pause, then the same question
/// again.
#[must_use]
pub fn please_wait(seconds: u32, next: &str) -> String {
    document(&format!(r#"<Pause length="{seconds}"/>{}"#, redirect(next)))
}

/// The answer to a text message that came in.
#[must_use]
pub fn message(text: &str) -> String {
    document(&format!("<Message>{}</Message>", escape(text)))
}

/// The answer when nothing is to be said.
#[must_use]
pub fn nothing() -> String {
    document("")
}

fn redirect(url: &str) -> String {
    format!(r#"<Redirect method="POST">{}</Redirect>"#, escape(url))
}

fn document(inner: &str) -> String {
    format!(r#"<?xml version="1.0" encoding="UTF-8"?><Response>{inner}</Response>"#)
}

/// For text and attribute values alike. What XML 1.0 cannot carry at all becomes a blank.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\n' | '\r' | '\t' => out.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTEN: Then<'_> =
        Then::Listen { action: "https://me/twilio/voice?e=x&n=1", next: "https://me/twilio/voice?e=x&n=2" };

    fn say(text: &str, then: Then<'_>) -> String {
        twiml(&Say { locale: "de-DE", text, then })
    }

    #[test]
    fn listens_for_one_key_and_asks_again_without_one() {
        assert_eq!(
            say("Bitte halten Sie an.", LISTEN),
            concat!(
                r#"<?xml version="1.0" encoding="UTF-8"?><Response>"#,
                r#"<Gather action="https://me/twilio/voice?e=x&amp;n=1" method="POST" numDigits="1" timeout="8">"#,
                r#"<Say language="de-DE">Bitte halten Sie an.</Say></Gather>"#,
                r#"<Redirect method="POST">https://me/twilio/voice?e=x&amp;n=2</Redirect></Response>"#
            )
        );
    }

    #[test]
    fn hangs_up_or_connects() {
        assert!(say("Danke.", Then::HangUp).ends_with("Danke.</Say><Hangup/></Response>"));
        assert!(say("Moment.", Then::Connect("+4989123")).ends_with("<Dial>+4989123</Dial></Response>"));
    }

    #[test]
    fn pauses_and_is_asked_again() {
        let xml = say("Moment.", Then::Pause { seconds: 2, next: "https://me/x?a=1&b=2" });
        assert!(xml.ends_with(
            r#"Moment.</Say><Pause length="2"/><Redirect method="POST">https://me/x?a=1&amp;b=2</Redirect></Response>"#
        ));
    }

    #[test]
    fn text_cannot_break_out() {
        let xml = say("</Say><Dial>+1900</Dial> & \"x\" 'y'\u{0}\u{ffff}\n.", Then::HangUp);
        assert!(!xml.contains("<Dial>"), "{xml}");
        assert!(
            xml.contains("&lt;/Say&gt;&lt;Dial&gt;+1900&lt;/Dial&gt; &amp; &quot;x&quot; &apos;y&apos;   ."),
            "{xml}"
        );
        let long = say(&"ä".repeat(10_000), Then::HangUp);
        assert_eq!(long.matches('ä').count(), SAY_MAX);
        assert!(please_wait(2, "https://me/x?a=1&b=2").contains(r#"<Pause length="2"/><Redirect method="POST">https"#));
    }
}
