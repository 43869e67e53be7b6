//! Reply addresses: `case+<case>.<mac>@<domain>` brings the answer to a mail back to its case. The MAC proves that we gave
//! the address away, so nobody can write into a case by guessing; who writes is the sender's address to say.

use super::link::Key;
use crate::domain::CaseId;

const PREFIX: &str = "case+";

/// The address for a case: at most 64 characters before the `@`, and no capitals, which some servers lose.
#[must_use]
pub fn address(key: &Key, case: &CaseId, domain: &str) -> String {
    format!("{PREFIX}{case}.{}@{domain}", key.mac(&format!("reply/{case}")))
}

/// The case of a reply address that we gave away. A display name and brackets around it do no harm.
#[must_use]
pub fn case_of(key: &Key, address: &str) -> Option<CaseId> {
    let lower = address.to_ascii_lowercase();
    let local = lower.split_once(PREFIX)?.1.split('@').next()?;
    let (case, mac) = local.split_once('.')?;
    let case: CaseId = case.parse().ok()?;
    key.is_mac(&format!("reply/{case}"), mac).then_some(case)
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
}
