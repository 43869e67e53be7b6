//! People of the simulated world who act on their own account: customers who write back, open the pages of messages and
//! send their forms; people of ours who take cases, merge them, turn switches and say what was really wrong.

use std::sync::Arc;

use forewarn::desk::{Act, Config, Input};
use forewarn::domain::{
    CaseId, Channel, EndpointKind, Link, Order, PageKind, Purpose, Said, Sender, Span, Stop, Truth, Verdict, Work,
};
use forewarn::wire::link;

use super::desk_world::{Next, World};

/// What customers write.
const WORDS: [&str; 12] =
    ["1", "1", "2", "3", "9", "0", "STOP", "START", "HELP", "8", "wo bleibt der Wagen?", "nein danke"];

impl World {
    /// A customer, or one of our people, has a message: now and then they answer.
    pub(crate) fn written_to(&mut self, order: &Order) {
        let (channel, to, text) = match &order.work {
            Work::Sms(w) => (Channel::Sms, w.to.clone(), w.body.clone()),
            Work::Mail(w) => (Channel::Email, w.to.clone(), w.text.clone()),
            _ => return,
        };
        if let Some(answers) = self.answers {
            return (1..).zip(answers(order)).for_each(|(n, input)| self.later(Span::from_mins(n), input));
        }
        if !self.rng.percent(self.odds.replies) {
            return;
        }
        let after = Span::from_secs(self.rng.between(5, 4_000));
        let pages = pages(&self.config, order, &text);
        if !pages.is_empty() && self.rng.percent(70) {
            let link = Link { effect: order.effect, kind: pages[self.rng.pick(pages.len())] };
            let form = self.form(link.kind);
            // A double click.
            for _ in 0..self.rng.between(1, 2) {
                self.later(after, Input::Link { link, form: form.clone() });
            }
            return;
        }
        let from = if channel == Channel::Sms { Sender::Phone(to) } else { Sender::Email(to) };
        let case = Some(order.case).filter(|_| channel == Channel::Email && self.rng.percent(50));
        let text = WORDS[self.rng.pick(WORDS.len())].to_owned();
        let said = Said {
            channel,
            external_id: format!("M-{}", order.effect),
            from,
            case,
            text,
            calendar: None,
            answered: self.rng.percent(20),
        };
        for _ in 0..self.rng.between(1, 2) {
            self.later(after, Input::Said(said.clone()));
        }
    }

    fn form(&mut self, kind: PageKind) -> std::collections::BTreeMap<String, String> {
        let (field, values): (&str, &[&str]) = match kind.name() {
            "answer" => ("answer", &["1", "1", "2", "9", "", "77"]),
            "choose" => ("choice", &["1", "1", "2", "3", "5", "call", "none"]),
            "unsubscribe" => ("answer", &["stop", "stop", "start"]),
            "survey" => ("mark", &["1", "4", "5", "9", ""]),
            "where" => ("place", &["48.2, 16.37", "48.2, 16.37", "bei der Kirche", ""]),
            // A page that is not known here is opened and closed again.
            _ => ("nothing", &[""]),
        };
        [(field.to_owned(), values[self.rng.pick(values.len())].to_owned())].into()
    }

    /// A person decides something about the newest case of `device`, whatever it will be.
    pub(crate) fn acts_on(&mut self, device: &str, after: Span, act: Act) {
        self.push(after, Next::Decides(device.to_owned(), act));
    }

    pub(crate) fn decides(&mut self, device: &str, act: Act) {
        let case = self.desk.list(false, 100).into_iter().find(|c| c.device == device).map(|c| c.id);
        self.tell(Input::Act { case, actor: "kim".into(), act });
    }

    /// Somebody has looked: the fault was there.
    pub(crate) fn confirms(&mut self, device: &str) {
        let Some(case) = self.desk.list(true, 100).into_iter().find(|c| c.device == device).map(|c| c.id) else {
            return;
        };
        let verdict = Verdict { truth: Some(Truth::Confirmed), ..Verdict::default() };
        self.tell(Input::Judge { case, verdict, by: "api:kim".into(), standing: false });
    }

    /// Somebody acts on their own account, and after a while somebody else.
    pub(crate) fn people_act(&mut self) {
        let next = Span::from_secs(self.rng.between(60, 7_200));
        self.push(next, Next::People);
        let cases: Vec<CaseId> = self.desk.list(self.rng.percent(10), 50).iter().map(|c| c.id).collect();
        if cases.is_empty() {
            return;
        }
        let case = cases[self.rng.pick(cases.len())];
        let actor = || "kim".to_owned();
        let act = |act| Input::Act { case: Some(case), actor: actor(), act };
        let input = match self.rng.below(14) {
            0..4 => Input::Ack { case, actor: actor() },
            4 if self.rng.percent(40) => act(Act::FalseAlarm { reason: "a sensor".into() }),
            4 => Input::Close { case, actor: actor(), reason: "seen to".into() },
            5 => act(Act::Merge { into: cases[self.rng.pick(cases.len())] }),
            6 => act(Act::Split),
            7 => act(Act::Release),
            8 => act(Act::Approve { tier: None }),
            9 => return self.stops(Some(case)),
            10 => return self.stops(None),
            11 => {
                let (from, id) = (Sender::Phone(self.somebody(EndpointKind::Phone).1), format!("C-{}", self.steps));
                Input::Called { from, id, actor: actor() }
            }
            12 => {
                let purpose = Some(Purpose::Service).filter(|_| self.rng.percent(60));
                let endpoint = self.somebody(EndpointKind::Phone).0;
                Input::OptOut { endpoint: endpoint.as_str().into(), channel: Channel::Sms, purpose, actor: actor() }
            }
            _ => {
                let truth = Some(Truth::ALL[self.rng.pick(Truth::ALL.len())]);
                Input::Judge {
                    case,
                    verdict: Verdict { truth, ..Verdict::default() },
                    by: "api:kim".into(),
                    standing: false,
                }
            }
        };
        self.tell(input);
    }

    /// A stop switch is turned on, and off again later.
    fn stops(&mut self, case: Option<CaseId>) {
        let stop = if self.rng.percent(50) { Stop::On } else { Stop::All };
        let by_message = case.is_none() && self.rng.percent(50);
        let off = Span::from_secs(self.rng.between(30, 1_200));
        for (after, stop) in [(Span::from_secs(1), stop), (off, Stop::Off)] {
            let input = if by_message {
                let (topic, received_at) = (self.config.stop_topic.to_string(), self.now + after);
                Input::Switch { topic, stop, received_at, retained: self.rng.percent(50) }
            } else {
                Input::Act { case, actor: "kim".into(), act: Act::Stop { stop, reason: "a drill".into() } }
            };
            self.later(after, input);
        }
    }

    /// Id and address of a customer's endpoint.
    fn somebody(&mut self, kind: EndpointKind) -> (String, String) {
        let config: Arc<Config> = self.config.clone();
        let all: Vec<_> = config.registry.customers.values().filter_map(|c| c.endpoint(kind)).collect();
        let one = all[self.rng.pick(all.len())];
        (one.id.to_string(), one.address.to_string())
    }
}

/// The pages that a message leads to.
fn pages(config: &Config, order: &Order, text: &str) -> Vec<PageKind> {
    let Some(links) = &config.links else { return Vec::new() };
    let url = |kind| link::url(&links.base_url, &links.key, &Link { effect: order.effect, kind });
    let unsubscribes = matches!(&order.work, Work::Mail(w) if w.unsubscribe.is_some());
    let shown = |kind: &PageKind| text.contains(&url(*kind)) || (*kind == PageKind::Unsubscribe && unsubscribes);
    PageKind::ALL.iter().copied().filter(shown).collect()
}
