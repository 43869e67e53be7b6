//! The words that are understood without a person: in every language that we speak, whole messages only. A sentence that
//! merely contains "stop" is for a person to read; one that asks for no more messages is, too, and is heeded at once.

/// What a message means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// No more of these messages.
    Stop,
    /// Messages again.
    Start,
    /// What is this?
    Help,
    /// Not the person it is meant for.
    WrongPerson,
    /// As if this key had been pressed in a call: 1 understood, 2 a person please, 9 all is well.
    Key(char),
    /// No.
    No,
    /// A sentence that asks for no more messages: heeded, and for a person.
    Enough,
    /// Anything else: for a person.
    Free,
}

/// The carriers' own words come first; theirs are matched as whole messages, too. `yes` and `cancel` are among them
/// (`cancel` stops, `yes` starts again), which is why our texts never ask for them.
const WORDS: &[(Meaning, &[&str])] = &[
    (
        Meaning::Stop,
        &[
            "stop",
            "stopall",
            "unsubscribe",
            "cancel",
            "end",
            "quit",
            "opt out",
            "7",
            "stopp",
            "abmelden",
            "abbestellen",
            "стоп",
            "отписаться",
            "отписка",
            "відписатися",
            "відписатись",
            "wypisz",
            "rezygnuję",
        ],
    ),
    (Meaning::Start, &["start", "unstop", "anmelden", "старт", "подписаться", "підписатися", "wznów"]),
    (Meaning::Help, &["help", "info", "hilfe", "помощь", "справка", "допомога", "довідка", "pomoc"]),
    (
        Meaning::WrongPerson,
        &[
            "8",
            "wrong number",
            "wrong person",
            "not me",
            "not my car",
            "falsche nummer",
            "falsche person",
            "falsch verbunden",
            "nicht mein auto",
            "не тот номер",
            "ошиблись номером",
            "не той номер",
            "помилились номером",
            "zły numer",
            "to nie ja",
        ],
    ),
    (
        Meaning::Key('1'),
        &[
            "1",
            "yes",
            "y",
            "ok",
            "okay",
            "confirm",
            "confirmed",
            "understood",
            "ja",
            "verstanden",
            "bestätigt",
            "да",
            "понял",
            "поняла",
            "так",
            "зрозумів",
            "зрозуміла",
            "tak",
            "rozumiem",
            "zrozumiałem",
            "zrozumiałam",
        ],
    ),
    (
        Meaning::Key('2'),
        &[
            "2",
            "call me",
            "please call",
            "rückruf",
            "bitte anrufen",
            "позвоните",
            "перезвоните",
            "зателефонуйте",
            "передзвоніть",
            "proszę zadzwonić",
            "zadzwońcie",
        ],
    ),
    (
        Meaning::Key('9'),
        &[
            "9",
            "all well",
            "all is well",
            "false alarm",
            "alles gut",
            "alles in ordnung",
            "fehlalarm",
            "всё в порядке",
            "все в порядке",
            "ложная тревога",
            "все гаразд",
            "хибна тривога",
            "wszystko w porządku",
            "fałszywy alarm",
        ],
    ),
    (
        Meaning::No,
        &[
            "no",
            "n",
            "none",
            "no thanks",
            "no thank you",
            "no, thanks",
            "no, thank you",
            "nein",
            "nein danke",
            "nein, danke",
            "keinen",
            "keiner",
            "нет",
            "нет спасибо",
            "нет, спасибо",
            "никакой",
            "ні",
            "ні дякую",
            "ні, дякую",
            "жоден",
            "nie",
            "nie dziękuję",
            "nie, dziękuję",
            "żaden",
        ],
    ),
];

/// What people write who want no more messages and do not know the word for it.
const ENOUGH: &[&str] = &[
    "stop calling",
    "stop contacting",
    "stop emailing",
    "stop mailing",
    "stop messaging",
    "stop sending",
    "stop texting",
    "stop these",
    "stop writing",
    "unsubscribe me",
    "opt me out",
    "remove me from",
    "no more calls",
    "no more emails",
    "no more mails",
    "no more messages",
    "no more texts",
    "do not contact me",
    "don't contact me",
    "do not call me again",
    "don't call me again",
    "keine anrufe mehr",
    "keine mails mehr",
    "keine e-mails mehr",
    "keine nachrichten mehr",
    "keine sms mehr",
    "rufen sie mich nicht mehr an",
    "schreiben sie mir nicht mehr",
    "melden sie mich ab",
    "больше не пишите",
    "больше не звоните",
    "не пишите мне",
    "не звоните мне",
    "отпишите меня",
    "більше не пишіть",
    "більше не телефонуйте",
    "не пишіть мені",
    "не телефонуйте мені",
    "відпишіть мене",
    "proszę nie dzwonić",
    "proszę nie pisać",
    "proszę mnie wypisać",
    "nie dzwońcie",
    "nie piszcie",
];

/// Without the blanks and marks around it.
pub(super) fn bare(text: &str) -> &str {
    text.trim_matches(|c: char| {
        c.is_whitespace() || c.is_ascii_punctuation() || matches!(c, '„' | '“' | '”' | '«' | '»' | '…')
    })
}

/// What `text` means.
pub(super) fn read(text: &str) -> Meaning {
    let words: Vec<String> = bare(text).split_whitespace().map(str::to_lowercase).collect();
    let text = words.join(" ");
    let word = WORDS.iter().find(|(_, list)| list.contains(&text.as_str()));
    word.map_or_else(|| if asks_for_no_more(&text) { Meaning::Enough } else { Meaning::Free }, |(meaning, _)| *meaning)
}

fn asks_for_no_more(text: &str) -> bool {
    // No phrase goes over the end of a sentence.
    let text = text.replace(['.', ',', '!', '?', ';', ':', '"', '(', ')'], " | ").replace('’', "'");
    let text = format!(" {} ", text.split_whitespace().collect::<Vec<_>>().join(" "));
    ENOUGH.iter().any(|phrase| text.contains(&format!(" {phrase} ")))
}

/// A yes or a no, if it is one of the two.
pub(super) fn yes_or_no(text: &str) -> Option<bool> {
    match read(text) {
        Meaning::Key('1') => Some(true),
        Meaning::No => Some(false),
        _ => None,
    }
}

/// Whether it says yes in a word, which carriers also take for "messages again".
pub(super) fn is_yes(text: &str) -> bool {
    read(text) == Meaning::Key('1') && !text.trim().starts_with('1')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_messages_are_understood_in_five_languages_and_sentences_are_for_people() {
        for (text, meaning) in [
            ("STOP", Meaning::Stop),
            (" Stop. ", Meaning::Stop),
            ("стоп!", Meaning::Stop),
            ("Stopp", Meaning::Stop),
            ("Відписатися", Meaning::Stop),
            ("REZYGNUJĘ", Meaning::Stop),
            ("unstop", Meaning::Start),
            ("Hilfe?", Meaning::Help),
            ("1", Meaning::Key('1')),
            ("\"Ja\"", Meaning::Key('1')),
            ("Wrong   number", Meaning::WrongPerson),
            ("Alles  in Ordnung", Meaning::Key('9')),
            ("nie", Meaning::No),
            ("No, thanks", Meaning::No),
            ("None.", Meaning::No),
            ("Нет, спасибо!", Meaning::No),
            ("I cannot stop here, there is no shoulder", Meaning::Free),
            ("The car will not stop! These mails are no help.", Meaning::Free),
            ("Please stop sending me these mails.", Meaning::Enough),
            ("Don’t contact me, please", Meaning::Enough),
            ("Bitte keine Mails mehr, danke", Meaning::Enough),
            ("Пожалуйста, больше не пишите!", Meaning::Enough),
            ("Будь ласка, більше не пишіть", Meaning::Enough),
            ("Proszę nie dzwonić", Meaning::Enough),
            ("12", Meaning::Free),
            ("", Meaning::Free),
        ] {
            assert_eq!(read(text), meaning, "{text:?}");
        }
        assert!(is_yes("Yes") && !is_yes("1") && !is_yes("stop"));
    }

    #[test]
    fn no_word_has_two_meanings() {
        let mut seen = std::collections::BTreeSet::new();
        for word in WORDS.iter().flat_map(|(_, list)| *list) {
            assert!(seen.insert(word) && word.to_lowercase() == **word, "{word}");
        }
    }
}
