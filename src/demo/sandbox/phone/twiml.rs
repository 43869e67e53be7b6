//! TwiML, read the way the phone network does: strictly, and verb by verb.

use roxmltree::{Document, Node};

/// One verb.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verb {
    Say { language: String, text: String },
    Pause { seconds: u64 },
    Gather { action: Option<String>, post: bool, timeout_s: u64, inner: Vec<Self> },
    Redirect { url: String, post: bool },
    Dial { number: String },
    Hangup,
    Reject,
}

/// The verbs of a document, or why the network would say "an application error has occurred".
pub(super) fn parse(text: &str) -> Result<Vec<Verb>, String> {
    let document = Document::parse(text).map_err(|e| e.to_string())?;
    let root = document.root_element();
    if root.tag_name().name() != "Response" {
        return Err(format!("<{}> instead of <Response>", root.tag_name().name()));
    }
    verbs(root, false)
}

/// The words that a document sends back to whoever has written, if any.
pub(super) fn message(text: &str) -> Result<Option<String>, String> {
    let document = Document::parse(text).map_err(|e| e.to_string())?;
    let root = document.root_element();
    if root.tag_name().name() != "Response" {
        return Err(format!("<{}> instead of <Response>", root.tag_name().name()));
    }
    let message = root.children().find(|node| node.tag_name().name() == "Message");
    Ok(message.map(self::text))
}

fn verbs(parent: Node<'_, '_>, gathered: bool) -> Result<Vec<Verb>, String> {
    parent.children().filter(Node::is_element).map(|node| verb(node, gathered)).collect()
}

fn verb(node: Node<'_, '_>, gathered: bool) -> Result<Verb, String> {
    let name = node.tag_name().name();
    if gathered && !matches!(name, "Say" | "Pause") {
        return Err(format!("<{name}> inside <Gather>"));
    }
    match name {
        "Say" => {
            known(node, &["language", "voice", "loop"])?;
            let text = text(node);
            if text.is_empty() || text.chars().count() > 4096 {
                return Err("<Say> takes 1 to 4096 characters".to_owned());
            }
            Ok(Verb::Say { language: node.attribute("language").unwrap_or("en-US").to_owned(), text })
        }
        "Pause" => {
            known(node, &["length"])?;
            Ok(Verb::Pause { seconds: number(node, "length", 1)? })
        }
        "Gather" => {
            known(node, &["action", "method", "numDigits", "timeout", "input", "finishOnKey", "actionOnEmptyResult"])?;
            number(node, "numDigits", 1)?;
            Ok(Verb::Gather {
                action: node.attribute("action").map(str::to_owned),
                post: post(node)?,
                timeout_s: number(node, "timeout", 5)?,
                inner: verbs(node, true)?,
            })
        }
        "Redirect" => {
            known(node, &["method"])?;
            Ok(Verb::Redirect { url: text(node), post: post(node)? })
        }
        "Dial" => {
            known(node, &["callerId", "timeout", "action", "method"])?;
            let number = text(node);
            if super::e164(&number) { Ok(Verb::Dial { number }) } else { Err(format!("<Dial> {number:?}")) }
        }
        "Hangup" => Ok(Verb::Hangup),
        "Reject" => Ok(Verb::Reject),
        other => Err(format!("unknown verb <{other}>")),
    }
}

fn text(node: Node<'_, '_>) -> String {
    node.text().unwrap_or_default().trim().to_owned()
}

fn known(node: Node<'_, '_>, names: &[&str]) -> Result<(), String> {
    match node.attributes().find(|a| !names.contains(&a.name())) {
        Some(a) => Err(format!("<{}> has no attribute {:?}", node.tag_name().name(), a.name())),
        None => Ok(()),
    }
}

fn number(node: Node<'_, '_>, name: &str, default: u64) -> Result<u64, String> {
    let Some(value) = node.attribute(name) else { return Ok(default) };
    value.parse().map_err(|_| format!("<{}> {name}={value:?}", node.tag_name().name()))
}

fn post(node: Node<'_, '_>) -> Result<bool, String> {
    match node.attribute("method") {
        None | Some("POST") => Ok(true),
        Some("GET") => Ok(false),
        Some(other) => Err(format!("method {other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents() {
        let read = parse(
            r#"<?xml version="1.0"?><Response><Gather numDigits="1" timeout="8" action="/v?e=1&amp;n=1">
               <Say language="de-DE">Halten Sie &amp; warten.</Say></Gather><Redirect>/v?n=2</Redirect></Response>"#,
        );
        let say = Verb::Say { language: "de-DE".into(), text: "Halten Sie & warten.".into() };
        let action = Some("/v?e=1&n=1".into());
        let gather = Verb::Gather { action, post: true, timeout_s: 8, inner: vec![say] };
        assert_eq!(read, Ok(vec![gather, Verb::Redirect { url: "/v?n=2".into(), post: true }]));
        for (bad, reason) in [
            ("<Say>x</Say>", "instead of <Response>"),
            ("<Response><Sing>x</Sing></Response>", "unknown verb <Sing>"),
            ("<Response><Say></Say></Response>", "1 to 4096"),
            ("<Response><Gather><Dial>+4930</Dial></Gather></Response>", "inside <Gather>"),
            ("<Response><Say lang='de'>x</Say></Response>", "no attribute"),
            ("<Response><Dial>police</Dial></Response>", "<Dial>"),
            ("<Response><Say>x</Response>", "expected 'Say' tag"),
            ("", "root"),
        ] {
            let error = parse(bad).unwrap_err();
            assert!(error.contains(reason), "{bad}: {error}");
        }
    }
}
