//! `forewarn.toml`.

use super::Shape::{Count, Duration, Flag, List, Map, Number, Several, Table, Tables, Text, Word};
use super::{Key, Shape, key, need};

const STORE: &[Key] = &[
    key("dir", Text, "Journal, desk log, state and checkpoints; on a local disk with honest fsync"),
    key("journal_bytes", Count, "Telemetry is kept for backtests up to this size …"),
    key("journal_age", Duration, "… and this age"),
    key("log_age", Duration, "Decisions stay in the desk log, and in the audit, up to this age"),
];

const FILES: &[Key] = &[
    key("models", Text, "What devices send"),
    key("rules", Text, "What is a breakdown"),
    key("codes", Text, "Code tables, *.csv"),
    key("baselines", Text, "What is usual in the fleet, written by forewarn fit"),
    key("playbooks", Text, "What is done about it"),
    key("messages", Text, "What is said to whom, in which language"),
    key("registry", Text, "Devices, customers, how to reach them, what they agreed to"),
    key("tests", Text, "Tests of rules and playbooks"),
];

const OUTCOMES: &[Key] = &[
    key(
        "attributes",
        Several(&Text),
        "Attributes of devices that stand in outcomes and are searched for common causes",
    ),
    key("usage", Several(&Text), "Facts of devices that say how much they were used"),
    key("keep", Duration, "Outcomes are kept for this long"),
    key("min_outcomes", Count, "A version of a rule is judged once so many of its cases have an outcome"),
    key(
        "min_precision",
        Number,
        "A rule that confirms less than this, with 95 % confidence, is put into shadow; 0: none is",
    ),
    key("topic", Text, "MQTT topic on which outcomes are published; none unless set"),
    key(
        "dir",
        Text,
        "A directory in which all outcomes are every day, as outcomes.csv and outcomes.jsonl; none unless set",
    ),
    key("rule", Map(&Table(&[need("min_precision", Number, "As above")])), "Another floor for single rules"),
];

const AUDIT: &[Key] = &[
    key("topic", Text, "MQTT topic on which the signed head of the desk log is published every hour; \"\": none"),
    key("secret_file", Text, "What it is signed with; made and kept in store.dir unless set"),
];

const PRIVACY: &[Key] = &[
    key("keys", Text, "The file of the keys; keys.json in store.dir unless set"),
    key("wrap_file", Text, "Holds a secret that the keys are wrapped with: the key file alone then opens nothing"),
];

const BROKER: &[Key] = &[
    key("urls", Several(&Text), "mqtt:// or mqtts://; the next one is tried when one fails"),
    key("client_id", Text, "Names the persistent session: never give two daemons the same"),
    key("username", Text, "Empty: none"),
    key("password", Text, "Better in a file"),
    key("password_file", Text, "Holds the password"),
    key("ca_file", Text, "Empty: the CAs that the system trusts"),
    key("cert_file", Text, "Client certificate"),
    key("key_file", Text, "Its key"),
    key("insecure", Flag, "Allows plain mqtt:// to another machine"),
    key("session_expiry", Duration, "So long the broker keeps messages for us while we are away"),
    key("receive_maximum", Count, "Messages under way that are not yet safe on our disk"),
    key("max_packet_bytes", Count, "Larger ones are not sent to us"),
    key("queue_messages", Count, "Waiting for the disk; when full, the broker is made to wait"),
    key("queue_bytes", Count, "The same in bytes"),
    key("keep_alive", Duration, "How soon a dead connection is noticed"),
];

const HTTP: &[Key] = &[
    key("listen", Text, "Address and port; put a TLS proxy in front of it"),
    key("public_url", Text, "How providers reach that proxy: their signatures are checked over it"),
    key("metrics", Word(&["loopback", "token", "open"]), "Who may read /metrics"),
    key(
        "please_wait",
        Table(&[key("locale", Text, "BCP 47"), key("text", Text, "Plain text")]),
        "What a called person hears while we look for the words",
    ),
    key(
        "token",
        Tables(&[
            need("name", Text, "Who holds it; stands in the audit"),
            need("sha256", Text, "Of its text; forewarn token new prints it"),
            need("scopes", List(&Word(&["read", "ack", "act", "lookup", "privacy", "admin"])), "What it may do"),
        ]),
        "Who may use the API",
    ),
];

const DESK: &[Key] = &[
    key("quiet_hours", Text, "Of the recipient; only safety messages go out then: 21:00-08:00"),
    key("reaction", Duration, "By then somebody was told something, or a person is paged"),
    key("default_queue", Text, "Who is paged when no playbook says who"),
    key("page_gap", Duration, "Between two people of a queue"),
    key("page_round", Duration, "Between two rounds through a queue"),
    key("owner_reminder", Duration, "A case that a person took over is brought up again after this"),
    key("effect_limit", Duration, "So long an effect is tried before a person gets it"),
    key("costly_per_device_day", Count, "Trucks for one device a day, over all its cases; more need a person"),
    key("eta_tolerance", Duration, "An arrival later than told by more than this is told again"),
    key(
        "dispatch_poll",
        Duration,
        "How often an open job is asked for: callbacks can be lost; less often the later it is",
    ),
    key("facts_every", Duration, "Changed facts of a device are stored at most so often"),
    key("retention", Duration, "Closed cases stay in the list for so long"),
    key(
        "storm_guard",
        Table(&[
            key("min", Count, "So many new cases of a rule may act …"),
            key("share", Number, "… or this share of the fleet, if that is more …"),
            key("window", Duration, "… within this time; further ones wait for a person"),
        ]),
        "Of every rule without a fleet_breaker",
    ),
    key(
        "new_rules",
        Word(&["live", "shadow"]),
        "shadow: a rule that is added later acts once a person has released it; live: at once",
    ),
];

const CONTACT: &[Key] = &[
    key("bundle", Duration, "So long an everyday message waits for others to the same person, to go as one; 0s"),
    key("reply_domain", Text, "Answers to mails come to case+…@ this domain; its mail is posted to /mail/inbound"),
    key("bounce_domain", Text, "Mails that cannot be delivered come back to bounce+…@ this domain; the same"),
    key(
        "reply_after_close",
        Word(&["reopen", "person"]),
        "What a message of the customer does after the case was closed: opens it again, or only asks a person",
    ),
    key("survey_every", Duration, "Nobody is asked for a mark more often than this; 90d unless stated"),
    key(
        "cap",
        Tables(&[
            need("of", Word(&["endpoint", "customer"]), "For each address, or each customer over all of theirs"),
            key("channel", Word(&["call", "sms", "email"]), "Over what; all together unless stated"),
            need("purpose", Word(&["safety", "service", "info"]), "About what: this and everything less urgent"),
            key("prefix", Text, "Only addresses that begin so: +1"),
            need("max", Count, "At most so many …"),
            need("per", Duration, "… in this time"),
        ]),
        "How often people are contacted over all of their cases",
    ),
];

const LIMITS: &[Key] = &[
    key("per_second", Count, "Attempts a second"),
    key("per_hour", Count, "Attempts an hour"),
    key("concurrency", Count, "Attempts under way at once; 4 unless stated"),
    key("capacity", Count, "dispatch: trucks that it can have under way"),
    key("price", Number, "What one attempt costs, in any unit of money"),
    key("money_per_day", Number, "What the attempts of 24 hours may cost; then nothing more is sent"),
];

const CA: Key = key("ca_file", Text, "PEM file: only certificates signed by one of these are believed");
const TIMEOUT: Key = key("timeout", Duration, "For the whole exchange");
const INSECURE: Key = key("insecure", Flag, "Allows no TLS to another machine");
const PRIVATE: Key = key("allow_private", Flag, "Allows private and loopback addresses behind a host name");

const SMTP: &[Key] = &[
    need("host", Text, "Name or address of the server"),
    key("port", Count, "The usual one of `tls` unless stated"),
    key("tls", Word(&["starttls", "tls", "none"]), "none: to this machine only"),
    INSECURE,
    CA,
    key("username", Text, "For AUTH"),
    key("password", Text, "Better in a file"),
    key("password_file", Text, "Holds the password"),
    need("from", Text, "Example Roadside <service@example.com>"),
    key("reply_to", Text, "Where answers go, if not to the sender"),
    key("inbound_password", Text, "Better in a file"),
    key("inbound_password_file", Text, "With it mail that comes in is posted to /mail/inbound"),
    key("hello", Text, "What we call ourselves in EHLO"),
    key("connections", Count, "Connections kept for the next mail"),
    key("answer_timeout", Duration, "Then the outcome of a mail is unknown"),
];

const ZAMMAD: &[Key] = &[
    need("url", Text, "https://desk.example.com"),
    key("token", Text, "Better in a file"),
    key("token_file", Text, "API token of an agent"),
    key("webhook_token", Text, "Better in a file"),
    key("webhook_token_file", Text, "Signs the desk's webhook to /zammad/<provider>, by which comments come in"),
    key("group", Text, "Of tickets whose playbook names none"),
    key("customer", Text, "Of tickets that may not name the real customer"),
    CA,
    PRIVATE,
    INSECURE,
    TIMEOUT,
];

const SIGNED: &[Key] = &[
    need("url", Text, "Where to post"),
    key("secret", Text, "Better in a file"),
    key("secret_file", Text, "whsec_…, shared with the provider"),
    CA,
    PRIVATE,
    INSECURE,
    TIMEOUT,
];

const TWILIO: &[Key] = &[
    need("url", Text, "https://api.twilio.com"),
    need("account_sid", Text, "AC…"),
    key("token", Text, "Better in a file"),
    key("token_file", Text, "Authenticates us and signs their callbacks"),
    need("from", Text, "Our number in E.164, or a messaging service (MG…)"),
    CA,
    PRIVATE,
    INSECURE,
    TIMEOUT,
];

const BOOKING: &[Key] = &[
    need("url", Text, "The address below which /v3/CreateBooking/ lies"),
    need("merchant", Text, "As the workshop names itself in the protocol"),
    need("username", Text, "For basic authentication"),
    key("password", Text, "Better in a file"),
    key("password_file", Text, "Holds the password"),
    key("secret", Text, "whsec_…: signs what it posts to /booking/…; better in a file"),
    key("secret_file", Text, "Holds the secret"),
    NAME,
    PLACE,
    NEAR,
    HOURS,
    DAYS,
    SLOT,
    ZONE,
    CA,
    PRIVATE,
    INSECURE,
    TIMEOUT,
];

const NAME: Key = need("name", Text, "As customers are told");
const PLACE: Key = need("place", Text, "Its address, as customers are told");
const NEAR: Key = key("near", Several(&Text), "Places that it serves: customers from there are sent to it first");
const HOURS: Key = need("hours", Text, "When it works: 08:00-17:00");
const DAYS: Key =
    key("days", Several(&Word(&["mon", "tue", "wed", "thu", "fri", "sat", "sun"])), "mon to fri unless stated");
const SLOT: Key = key("slot", Duration, "How long an appointment takes; 1h unless stated");
const ZONE: Key = need("tz", Text, "Its time zone: Europe/Berlin");

const ICAL: &[Key] = &[
    need("mailbox", Text, "Where it reads its mails, and writes from"),
    key("locale", Text, "BCP 47, of what it reads; en unless stated"),
    key("answer_within", Duration, "So long it has to answer, 24h unless stated; then another workshop is asked"),
    NAME,
    PLACE,
    NEAR,
    HOURS,
    DAYS,
    SLOT,
    ZONE,
];

const COMMAND: &[Key] =
    &[need("allow", List(&Text), "Topic filters; nothing else is published to, whatever a playbook says")];

/// The variants of a table that stands under a name of the user's choice.
const PROVIDER: Shape = Shape::Variant(
    "kind",
    LIMITS,
    &[
        ("smtp", SMTP),
        ("zammad", ZAMMAD),
        ("ticket-webhook", SIGNED),
        ("dispatch", SIGNED),
        ("webhook", SIGNED),
        ("app", SIGNED),
        ("twilio-voice", TWILIO),
        ("twilio-sms", TWILIO),
        ("mqtt-command", COMMAND),
        ("booking-server", BOOKING),
        ("ical-workshop", ICAL),
    ],
);

const COSTS: &[Key] = &[
    key("reactive", Number, "A failure that nobody predicted"),
    key("proactive", Number, "One that was predicted in time"),
    key("late", Number, "One that was noticed late"),
    key("false_alarm", Number, "A visit for nothing"),
    key("repeated", Number, "Another case about the same failure"),
];

pub(super) const KEYS: &[Key] = &[
    key("store", Table(STORE), "What must not be forgotten"),
    key("files", Table(FILES), "Directories, relative to this file"),
    key(
        "engine",
        Table(&[
            key("threads", Count, "0: one a core"),
            key("request_births", Flag, "Sparkplug nodes whose births were missed are asked for them"),
            key(
                "warm",
                Duration,
                "What a reload finds new is refilled from the journal of this time; 0s: it begins cold",
            ),
            key("warm_bytes", Count, "At most about so much of the journal is read for that, in bytes"),
        ]),
        "Detection",
    ),
    key("broker", Table(BROKER), "The MQTT broker"),
    key("http", Table(HTTP), "Health, metrics, callbacks of providers, API"),
    key(
        "links",
        Table(&[
            key("base_url", Text, "Where customers reach us, if not at http.public_url; short, for text messages"),
            key(
                "secret_file",
                Text,
                "One secret a line; the first signs, all are believed. Empty: made and kept in store.dir",
            ),
        ]),
        "The pages that customers open from messages",
    ),
    key("desk", Table(DESK), "The service desk"),
    key("outcomes", Table(OUTCOMES), "What became of cases in truth, and what rules must reach"),
    key("audit", Table(AUDIT), "What shows later whether the desk log was cut off or written anew"),
    key("privacy", Table(PRIVACY), "What is stored of a person is encrypted with a key of that person's own"),
    key("contact", Table(CONTACT), "How people are contacted, beyond what each playbook says"),
    key("costs", Table(COSTS), "What failures cost, for the savings of a backtest; any unit"),
    key(
        "queue",
        Map(&Table(&[
            key("skills", List(&Text), "Kinds of devices, families of faults or faults that they know"),
            key("languages", List(&Text), "Languages that they answer in"),
            need(
                "people",
                Tables(&[
                    key("name", Text, "How they are named in the case"),
                    key("call", Text, "E.164"),
                    key("mail", Text, "Mailbox"),
                    key("webhook", Text, "A provider of kind webhook"),
                    key("locale", Text, "BCP 47"),
                    key("languages", List(&Text), "What they speak, if that is more than locale"),
                ]),
                "In the order in which they are tried, those who speak the customer's language first",
            ),
        ])),
        "People by queue",
    ),
    key("provider", Map(&PROVIDER), "The ways out, by the names that playbooks use"),
];
