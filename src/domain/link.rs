//! One-time links: which page of which message a person opened.

use super::EffectId;

/// Declares the kinds of pages: the byte that stands in tokens, and the name in texts (`link.answer`) and of its files
/// (`<locale>/answer.page.html`).
macro_rules! pages {
    ($($(#[$doc:meta])* $kind:ident = $code:literal, $name:literal;)*) => {
        /// What a person can do on a page. A new kind is a line here, a file `<name>.page.html` in every locale, and two
        /// functions in the table of `desk/link.rs`: what the page shows, and what its form does.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum PageKind { $($(#[$doc])* $kind,)* }

        impl PageKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// As it stands in a token. Links live for weeks: a byte that was used once is never used for another kind.
            #[must_use]
            pub fn code(self) -> u8 {
                match self { $(Self::$kind => $code,)* }
            }

            /// As texts and their files name it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }
        }
    };
}

pages! {
    /// Say that a message was understood, ask for a call, or say that all is well: the keys 1, 2 and 9 of a call.
    Answer = b'a', "answer";
    /// Choose one of the times that are offered, ask for a call, or decline.
    Choose = b'c', "choose";
    /// No more messages of this kind over this channel, or again.
    Unsubscribe = b'u', "unsubscribe";
    /// Send where the device is.
    Where = b'w', "where";
    /// Say how content one is, 1 to 5.
    Survey = b's', "survey";
    /// A workshop takes an appointment or declines it, and says later how it stands.
    Request = b'q', "request";
}

impl PageKind {
    /// The kind of a token.
    #[must_use]
    pub fn of_code(code: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.code() == code)
    }
}

/// A link that we have signed: a page about a message. The message says who it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// The message that carried it.
    pub effect: EffectId,
    /// Which page.
    pub kind: PageKind,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_byte_and_name() {
        for kind in PageKind::ALL {
            assert_eq!(PageKind::of_code(kind.code()), Some(*kind), "{kind:?}");
            assert_eq!(PageKind::ALL.iter().filter(|k| k.name() == kind.name()).count(), 1, "{kind:?}");
        }
    }
}
