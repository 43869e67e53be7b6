//! Reads a mail as its receiver does: the parts of a message, decoded.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use forewarn::demo::sandbox::Mail;

/// A part that is not made of parts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Leaf {
    /// What it is in, outermost first: `multipart/mixed`, `multipart/alternative`…
    pub(crate) within: Vec<String>,
    /// The whole line: `text/calendar; charset=utf-8; method=REQUEST`.
    pub(crate) kind: String,
    /// Headers of its own, unfolded.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Leaf {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap().replace("\r\n", "\n")
    }
}

/// Keeps what people see in the directory `FOREWARN_LOOK`, if that is set, to be looked at.
pub(crate) fn look(name: &str, what: &[u8]) {
    if let Some(dir) = std::env::var_os("FOREWARN_LOOK") {
        std::fs::write(std::path::Path::new(&dir).join(name), what).unwrap();
    }
}

/// All leaves, in order.
pub(crate) fn leaves(mail: &Mail) -> Vec<Leaf> {
    let mut found = Vec::new();
    walk(&mail.data, &mut Vec::new(), &mut found);
    found
}

/// The one leaf whose type begins with `kind`.
pub(crate) fn leaf(mail: &Mail, kind: &str) -> Leaf {
    let all = leaves(mail);
    let mut fits = all.iter().filter(|l| l.kind.starts_with(kind));
    let leaf = fits.next().unwrap_or_else(|| panic!("no {kind} among {:?}", kinds(mail)));
    assert!(fits.next().is_none(), "two of {kind}");
    leaf.clone()
}

/// The types of all leaves.
pub(crate) fn kinds(mail: &Mail) -> Vec<String> {
    leaves(mail).into_iter().map(|l| l.kind).collect()
}

fn walk(entity: &str, within: &mut Vec<String>, found: &mut Vec<Leaf>) {
    let (head, body) = entity.split_once("\r\n\r\n").unwrap();
    let head = head.replace("\r\n ", " ").replace("\r\n\t", " ");
    let kind = header(&head, "content-type").unwrap_or("text/plain").to_owned();
    let Some(boundary) = kind.split("boundary=").nth(1).map(|b| b.split(';').next().unwrap().trim_matches('"')) else {
        let body = decode(body, header(&head, "content-transfer-encoding").unwrap_or("7bit"));
        return found.push(Leaf { within: within.clone(), kind, head, body });
    };
    within.push(kind.split(';').next().unwrap().to_owned());
    let whole = format!("\r\n{body}");
    let parts: Vec<&str> = whole.split(&format!("\r\n--{boundary}")).collect();
    assert!(parts.last().unwrap().starts_with("--"), "the parts have an end");
    for part in &parts[1..parts.len() - 1] {
        walk(part.strip_prefix("\r\n").unwrap(), within, found);
    }
    within.pop();
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
    lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

fn decode(body: &str, encoding: &str) -> Vec<u8> {
    match encoding.to_ascii_lowercase().as_str() {
        "base64" => STANDARD.decode(body.split_whitespace().collect::<String>()).unwrap(),
        "quoted-printable" => {
            let joined = body.replace("=\r\n", "");
            let mut bytes = Vec::new();
            let mut rest = joined.as_bytes();
            while let Some((first, after)) = rest.split_first() {
                let hex = std::str::from_utf8(after.get(..2).unwrap_or_default()).ok();
                match (first, hex.and_then(|h| u8::from_str_radix(h, 16).ok())) {
                    (b'=', Some(byte)) => {
                        bytes.push(byte);
                        rest = &after[2..];
                    }
                    _ => {
                        bytes.push(*first);
                        rest = after;
                    }
                }
            }
            bytes
        }
        _ => body.as_bytes().to_vec(),
    }
}
