//! Addresses of ours that stand for something: `case+<case>.<mac>@<domain>` brings the answer to a mail back to its case,
//! `bounce+<effect>.<mac>@<domain>` brings a mail that could not be delivered back to what it was sent for. The MAC proves
//! that we gave the address away, so nobody can write into a case by guessing; who writes is the sender's address to say.

use super::link::Key;
use crate::domain::{CaseId, EffectId};

/// How an address begins, and what its MAC is made of besides the id.
type Kind = (&'static str, &'static str);
const CASE: Kind = ("case+", "reply");
const BOUNCE: Kind = ("bounce+", "bounce");

/// The address for a case.
#[must_use]
pub fn address(key: &Key, case: &CaseId, domain: &str) -> String {
    given(key, CASE, &case.to_string(), domain)
}

/// The case of a reply address that we gave away. A display name and brackets around it do no harm.
#[must_use]
pub fn case_of(key: &Key, address: &str) -> Option<CaseId> {
    id_of(key, CASE, address)?.parse().ok()
}

/// Where a mail comes back to.
#[must_use]
pub fn bounce(key: &Key, effect: &EffectId, domain: &str) -> String {
    given(key, BOUNCE, &effect.to_string(), domain)
}

/// The mail that comes back to an address of ours.
#[must_use]
pub fn effect_of(key: &Key, address: &str) -> Option<EffectId> {
    id_of(key, BOUNCE, address)?.parse().ok()
}

/// At most 64 characters before the `@`, and no capitals, which some servers lose.
fn given(key: &Key, (prefix, what): Kind, id: &str, domain: &str) -> String {
    format!("{prefix}{id}.{}@{domain}", key.mac(&format!("{what}/{id}")))
}

fn id_of(key: &Key, (prefix, what): Kind, address: &str) -> Option<String> {
    let lower = address.to_ascii_lowercase();
    let local = lower.split_once(prefix)?.1.split('@').next()?;
    let (id, mac) = local.split_once('.')?;
    key.is_mac(&format!("{what}/{id}"), mac).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_that_we_gave_away_name_a_case() {
        let key = Key::parse("a secret of the test\n").unwrap();
        let case = CaseId::of(&[b"x"]);
        let given = address(&key, &case, "reply.example.com");
        assert!(given.split('@').next().unwrap().len() <= 64, "{given}");
        for good in [given.clone(), given.to_uppercase(), format!("\"Service\" <{given}>")] {
            assert_eq!(case_of(&key, &good), Some(case), "{good}");
        }
        let other = address(&key, &CaseId::of(&[b"y"]), "reply.example.com");
        let mixed = format!("case+{case}.{}", other.split('.').nth(1).unwrap());
        for bad in [mixed, format!("case+{case}@reply.example.com"), "service@example.com".to_owned(), String::new()] {
            assert_eq!(case_of(&key, &bad), None, "{bad}");
        }
        let newer = Key::parse("another secret of the test\na secret of the test\n").unwrap();
        assert_eq!(case_of(&newer, &given), Some(case), "an old secret is still believed");
        assert_eq!(case_of(&Key::parse("another secret of the test\n").unwrap(), &given), None);
    }

    #[test]
    fn a_mail_comes_back_to_what_it_was_sent_for_and_to_nothing_else() {
        let key = Key::parse("a secret of the test\n").unwrap();
        let effect: EffectId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let given = bounce(&key, &effect, "mail.example.com");
        assert!(given.split('@').next().unwrap().len() <= 64, "{given}");
        assert_eq!(effect_of(&key, &given.to_uppercase()), Some(effect));
        assert_eq!(case_of(&key, &given), None);
        for bad in [given.replace("57.", "58."), given.replace("bounce+", "case+"), "bounce+@x".to_owned()] {
            assert_eq!(effect_of(&key, &bad), None, "{bad}");
        }
    }
}
