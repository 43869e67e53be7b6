//! A second desk, for the simulations: what the service design says of cases, told once more in the plainest way, from
//! what goes into the desk and what comes out of it, without a look at its rows. Both have to agree after every step.
//!
//! It cannot say *when* a case ends; it says what must have been seen for each word that the desk uses: a goal that is
//! met has its proof, a case that is served has no truck on its way, a case opens because a fault began, and only then.
//! It knows which way an effect may go, what must not be ordered any more, to whom nothing may be written and at which
//! hours, what may be said of a truck, who may be asked how it was and what becomes of the answer, and when a fault recurs
//! too often for chance. (That it sees what it should: `mutations.rs`.)

#![expect(clippy::unwrap_used, reason = "a helper of tests: an unexpected error is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use forewarn::desk::{Act, CaseView, Config, Desk, Input, NewRules};
use forewarn::domain::{
    At, BookWork, BookingNews, BookingProgress, CaseId, Change, Channel, Customer, Detection, Device, DispatchWork,
    EffectId, EpisodeId, InviteMethod, JobState, JobUpdate, Mode, Order, OrderKind, Outcome, PageKind, Purpose,
    ReceiptKind, Registry, RuleId, Said, Sender, Span, Stop, TicketWork, Truth, Value, Work,
};
use forewarn::playbook::{Playbook, Step, Verb};

/// Both desks are watched over so many cases at most.
const MOST: usize = 1_000;

/// What the two do not agree on.
type Agreed = Result<(), String>;

fn agree(both: bool, otherwise: impl FnOnce() -> String) -> Agreed {
    if both { Ok(()) } else { Err(otherwise()) }
}

/// Goals by what has to be done for them, in all shipped playbooks; those of a storm are the storm's own.
const TOLD: [&str; 4] = ["driver_told_to_stop", "owner_knows", "owner_informed", "engineering_acknowledged"];
const ARRANGED: [&str; 8] = [
    "tow_accepted",
    "ticket_open",
    "appointment_confirmed",
    "part_ordered",
    "corrected",
    "cause_known",
    "problem_open",
    "engineers_know",
];

/// Playbooks whose messages wait for the morning and end with a STOP.
const SERVICE: [&str; 3] = ["battery-weak", "predicted-fault-appointment", "hvac-remote-correction"];

/// A time of arrival that is older than this is not spoken of.
const ETA_MAX_AGE: Span = Span::from_mins(10);

pub(crate) struct Reference {
    config: Arc<Config>,
    now: At,
    cases: BTreeMap<CaseId, Case>,
    effects: BTreeMap<EffectId, Effect>,
    /// Faults that have begun and not ended, by episode, with the newest number of their news.
    episodes: BTreeMap<EpisodeId, (u32, String, bool)>,
    /// Devices of which a fault began with this input that is something to act on.
    began: BTreeSet<String>,
    /// Faults that have a playbook and have not ended: what rule found them where.
    found: BTreeMap<EpisodeId, (RuleId, String)>,
    /// Rules that have found something, ever.
    heard_of: BTreeSet<RuleId>,
    /// New rules that a person lets act.
    released: BTreeSet<RuleId>,
    /// Devices that stood still at some time.
    stood: BTreeSet<String>,
    /// Addresses at which somebody wants no more messages of this kind.
    out: BTreeSet<(String, Channel)>,
    /// The stop switch of everything.
    stopped: Stop,
    heard: BTreeSet<String>,
    /// Bookings as their workshop has told last, by its name for them.
    bookings: BTreeMap<String, (CaseId, BookingProgress)>,
    /// A fault was confirmed so often in devices with something in common that it is no chance.
    recurs: bool,
    pub(crate) looks: u64,
}

/// One case, as seen from outside.
#[derive(Debug, Default)]
struct Case {
    key: String,
    device: String,
    /// When it was first seen.
    fault: String,
    /// It is about a rule that was too often wrong.
    was_wrong: bool,
    /// Its playbook is about danger.
    safety: bool,
    open: bool,
    closed_at: Option<At>,
    /// Since it was opened or opened again.
    run_at: At,
    /// Keys that customers pressed.
    keys: Vec<Press>,
    /// When a customer last said by key that all is well.
    denied_at: Option<At>,
    /// A customer has sent the form of a page, or written, about whatever.
    replied: bool,
    /// What they wrote can be an answer to what they were told about this case.
    answered: bool,
    /// A message about another case tells of this one, too.
    carried: bool,
    /// It was opened again because of that alone: for a person, its plan does not run again.
    after_end: bool,
    /// A person has taken it.
    person: bool,
    /// A person has closed it, or let the children of a storm go.
    closed: bool,
    /// The device has done what it was told.
    corrected: bool,
    /// A workshop has said yes.
    booked: bool,
    /// What was really wrong, as last said.
    truth: Option<Truth>,
    /// The customer is asked for a mark.
    asks: bool,
    /// The last mark that was given by tap.
    mark: Option<u8>,
    /// Marks that were perhaps given in writing.
    written: BTreeSet<u8>,
    states: BTreeMap<EffectId, String>,
}

/// A key, who pressed it (by address), and whether it was about the danger.
#[derive(Debug)]
struct Press {
    at: At,
    key: char,
    who: String,
    warned: bool,
    /// Whoever pressed it has written since that they have nothing to do with something.
    unsure: bool,
}

impl Case {
    /// Since it was opened, without a doubt.
    fn pressed(&self, keys: &str) -> impl Iterator<Item = &Press> {
        self.keys.iter().filter(move |p| p.at >= self.run_at && !p.unsure && keys.contains(p.key))
    }
}

#[derive(Debug)]
struct Effect {
    case: CaseId,
    work: Work,
    /// It tells somebody of the danger.
    warns: bool,
    /// It asks for a mark.
    asks: bool,
    sent_at: At,
    /// An attempt was sent and nobody has said what came of it, or somebody said that nobody knows.
    doubt: bool,
    /// Any attempt was taken.
    taken: bool,
    job: Option<(JobState, Option<u64>)>,
    /// Somebody has said that they come, whatever became of that.
    was_promised: bool,
    /// When the truck is to arrive, as last told, and when anything was last told of it.
    eta: Option<At>,
    news_at: At,
    unwanted: bool,
}

impl Effect {
    fn is_request(&self) -> bool {
        matches!(self.work, Work::Dispatch(DispatchWork::Request(_)))
    }

    /// Its receiver knows a repetition, or it changes nothing.
    fn is_harmless(&self) -> bool {
        use BookWork::{Cancel as Back, Search, Status as Ask};
        use DispatchWork::{Cancel, Status};
        matches!(
            self.work,
            Work::Webhook(_)
                | Work::Dispatch(Cancel { .. } | Status { .. })
                | Work::Book(Back { .. } | Search { .. } | Ask { .. })
        )
    }

    /// Whether this is the request of `job`: the providers of these worlds name jobs after it.
    fn asked_for(&self, id: &EffectId, job: &str) -> bool {
        self.is_request() && job.ends_with(&id.to_string())
    }

    /// News of the job that was asked for.
    fn truck(&mut self, now: At, seq: Option<u64>, update: &JobUpdate) {
        let old = self.job;
        let stale = matches!((seq, old.and_then(|o| o.1)), (Some(new), Some(old)) if new <= old);
        if stale || !old.is_none_or(|(old, _)| goes_on(old, update.state)) {
            return;
        }
        self.job = Some((update.state, seq.max(old.and_then(|o| o.1))));
        self.was_promised |= self.promised();
        self.news_at = now;
        if matches!(update.state, JobState::Accepted | JobState::EnRoute) {
            self.eta = update.eta_at.or(self.eta);
        }
    }

    /// Whole minutes until it is there, rounded up, as long as that is worth saying.
    fn eta_minutes(&self, now: At) -> Option<i64> {
        let coming = matches!(self.job, Some((JobState::Accepted | JobState::EnRoute | JobState::CancelRefused, _)));
        let eta = self.eta.filter(|eta| coming && *eta > now && now.since(self.news_at) <= ETA_MAX_AGE)?;
        Some((eta.since(now).as_micros() + 59_999_999) / 60_000_000)
    }

    fn promised(&self) -> bool {
        use JobState::{Accepted, CancelRefused, Done, EnRoute, OnSite, Towing};
        matches!(self.job, Some((Accepted | EnRoute | OnSite | Towing | Done | CancelRefused, _)))
    }

    fn arrived(&self) -> bool {
        matches!(self.job, Some((JobState::OnSite | JobState::Towing | JobState::Done, _)))
    }
}

impl Reference {
    pub(crate) fn new(config: Arc<Config>) -> Self {
        Self {
            config,
            now: At::MIN,
            cases: BTreeMap::new(),
            effects: BTreeMap::new(),
            episodes: BTreeMap::new(),
            began: BTreeSet::new(),
            found: BTreeMap::new(),
            heard_of: BTreeSet::new(),
            released: BTreeSet::new(),
            stood: BTreeSet::new(),
            out: BTreeSet::new(),
            stopped: Stop::Off,
            heard: BTreeSet::new(),
            bookings: BTreeMap::new(),
            recurs: false,
            looks: 0,
        }
    }

    /// An input was committed.
    pub(crate) fn told(&mut self, now: At, input: &Input) {
        self.now = now;
        match input {
            Input::Detection(d) => self.detected(d),
            Input::Facts { device, values, .. } => self.facts(device.as_str(), values),
            Input::Outcome { effect, outcome, .. } => self.outcome(effect, outcome),
            Input::Receipt(r) => self.receipt(&r.effect, r.seq, &r.what),
            Input::Ack { case, .. } => self.cases.entry(*case).or_default().person = true,
            Input::Close { case, .. }
            | Input::Act { case: Some(case), act: Act::Release | Act::FalseAlarm { .. }, .. } => {
                self.cases.entry(*case).or_default().closed = true;
            }
            Input::Act { case: None, act: Act::Stop { stop, .. }, .. } => self.stopped = *stop,
            // Whether a retained message counts is the desk's to say; that it held is not.
            Input::Switch { stop, .. } => self.stopped = self.stopped.min(*stop),
            Input::Release { rule, .. } => {
                if self.heard_of.contains(rule) {
                    self.released.insert(rule.clone());
                }
                let found = self.found.values().filter(|(by, _)| by == rule);
                self.began.extend(found.map(|(_, device)| device.clone()));
                // Whoever lets it act has heard what was asked about it.
                let about = format!("rule {rule}");
                self.cases.values_mut().filter(|c| c.device == about).for_each(|c| c.person = true);
            }
            Input::Said(said) => self.said(said),
            Input::Link { link, form } => self.tapped(&link.effect, link.kind, form),
            Input::Judge { case, verdict, .. } => {
                let known = self.cases.entry(*case).or_default();
                known.truth = verdict.truth.or(known.truth);
                self.recurs |= self.is_no_chance();
            }
            Input::OptOut { endpoint, channel, purpose, .. } => {
                let all = self.config.registry.customers.values().flat_map(|c| &c.endpoints);
                let address = all.filter(|e| e.id == *endpoint).map(|e| e.address.to_string()).next();
                match (address, purpose) {
                    (Some(address), Some(Purpose::Service)) => self.out.insert((address, *channel)),
                    (Some(address), None) => self.out.remove(&(address, *channel)),
                    _ => false,
                };
            }
            _ => {}
        }
    }

    /// Somebody has written.
    fn said(&mut self, said: &Said) {
        let (Sender::Phone(from) | Sender::Email(from)) = &said.from else { return };
        // A workshop that is asked by mail says yes by mail.
        let asked = |e: &&Effect| recipient(&e.work) == Some((&**from, Channel::Email)) && said.text == "1";
        for e in self.effects.values().filter(asked).filter(|e| said.case.is_none_or(|case| case == e.case)) {
            self.cases.entry(e.case).or_default().booked |= !is_customer(&self.config, &e.work);
        }
        // A text message names no case: it can be about any device of whoever has the number.
        let registry = &self.config.registry;
        let has = |c: &&Customer| c.endpoints.iter().any(|e| *e.address == **from);
        let people: BTreeSet<_> = registry.customers.values().filter(has).map(|c| &c.id).collect();
        let about = |d: &str| registry.devices.get(d).is_some_and(|d| d.parties.values().any(|c| people.contains(c)));
        // A word answers what was said on its line; if nothing was, it can be about anything.
        let on_line = |e: &&Effect| recipient(&e.work).is_some_and(|(to, _)| *to == **from);
        let told: BTreeSet<CaseId> = self.effects.values().filter(on_line).map(|e| e.case).collect();
        let heard = self.effects.values().filter(on_line).any(|e| e.taken && !matches!(e.work, Work::Call(_)));
        let answers = |id: &CaseId| match said.case {
            Some(named) => named == *id,
            None => told.contains(id) || !heard,
        };
        for (id, case) in self.cases.iter_mut().filter(|(_, case)| about(&case.device)) {
            case.replied = true;
            case.answered |= case.carried || answers(id);
            case.written.extend(mark(&said.text));
            // Not the person who was meant: which of their numbers and devices that is about is the desk's to find out.
            for press in
                case.keys.iter_mut().filter(|p| said.text == "8" && whose(registry, &p.who) == whose(registry, from))
            {
                press.unsure = true;
            }
        }
        // The same message told twice counts once, so a late STOP does not undo a START.
        let first = self.heard.insert(said.external_id.clone());
        match said.text.as_str() {
            "STOP" if first => self.out.insert((from.clone(), said.channel)),
            "START" | "1" => self.out.remove(&(from.clone(), said.channel)),
            _ => false,
        };
    }

    /// The form of a page was sent.
    fn tapped(&mut self, id: &EffectId, page: PageKind, form: &BTreeMap<String, String>) {
        let Some(effect) = self.effects.get(id) else { return };
        if page == PageKind::Survey {
            return self.marked(id, form.get("mark").and_then(|text| mark(text)));
        }
        let case = self.cases.entry(effect.case).or_default();
        (case.replied, case.answered) = (true, true);
        let Some((to, channel)) = recipient(&effect.work).filter(|_| page == PageKind::Unsubscribe) else { return };
        match form.get("answer").map(String::as_str) {
            Some("stop") => self.out.insert((to.to_owned(), channel)),
            Some("start") => self.out.remove(&(to.to_owned(), channel)),
            _ => false,
        };
    }

    /// A mark was given; these worlds end before a question does. One about an earlier run of a case counts no more.
    fn marked(&mut self, id: &EffectId, mark: Option<u8>) {
        let Some(effect) = self.effects.get(id).filter(|e| e.asks) else { return };
        let case = self.cases.entry(effect.case).or_default();
        if effect.sent_at >= case.run_at {
            case.mark = mark.or(case.mark);
        }
    }

    /// Whether a fault was confirmed in twenty devices that have something in common, and three times as often as in all
    /// others of their kind.
    fn is_no_chance(&self) -> bool {
        let registry = &self.config.registry;
        let confirmed = self.cases.values().filter(|c| c.truth == Some(Truth::Confirmed));
        let confirmed: Vec<(&str, &Device)> =
            confirmed.filter_map(|c| Some((&*c.fault, registry.devices.get(&*c.device)?))).collect();
        confirmed.iter().any(|(fault, one)| {
            let kin: Vec<&Device> = registry.devices.values().filter(|d| d.kind == one.kind).collect();
            let same: Vec<&Device> = confirmed.iter().filter(|(f, _)| f == fault).map(|(_, d)| *d).collect();
            let shares = |name: &String| {
                let value = one.attrs.get(name.as_str());
                let count = |of: &[&Device]| of.iter().filter(|d| d.attrs.get(name.as_str()) == value).count();
                let (here, with) = (count(&same), count(&kin));
                let (elsewhere, without) = ((same.len() - here).max(1), kin.len() - with);
                value.is_some() && here >= 20 && here * without > 3 * elsewhere * with
            };
            self.config.outcomes.attributes.iter().any(shares)
        })
    }

    fn detected(&mut self, d: &Detection) {
        self.facts(d.device.as_str(), &d.facts);
        self.heard_of.insert(d.rule.clone());
        let fresh = self.episodes.get(&d.episode).is_none_or(|(seq, ..)| d.seq > *seq);
        if !fresh {
            return;
        }
        let active = matches!(d.change, Change::Raised | Change::Moved);
        let severity = d.level.as_ref().map(|l| l.severity);
        let kind = self.config.registry.devices.get(&d.device).map(|x| x.kind.to_string());
        let taken = |p: &forewarn::playbook::Playbook| {
            severity.is_some_and(|s| p.matches.takes(&d.fault, s, d.confidence, kind.as_deref()))
        };
        // The family of a fault is all before its last word.
        let family = d.fault.as_str().rsplit_once('.').map_or(d.fault.as_str(), |(family, _)| family);
        let key = format!("{}/{family}", d.device);
        if active && d.mode == Mode::Live && self.config.playbooks.iter().any(|p| taken(p)) {
            self.found.insert(d.episode, (d.rule.clone(), d.device.to_string()));
            if self.may_act(&d.rule) {
                self.began.insert(d.device.to_string());
            }
        } else if !active {
            self.found.remove(&d.episode);
        }
        self.episodes.insert(d.episode, (d.seq, key, active));
    }

    fn may_act(&self, rule: &RuleId) -> bool {
        self.config.settings.new_rules == NewRules::Live || self.released.contains(rule)
    }

    fn facts(&mut self, device: &str, values: &BTreeMap<String, Value>) {
        if values.get("speed").is_some_and(|v| *v == Value::from(0.0)) {
            self.stood.insert(device.to_owned());
        }
    }

    fn outcome(&mut self, id: &EffectId, outcome: &Outcome) {
        let Some(effect) = self.effects.get_mut(id) else { return };
        match outcome {
            Outcome::Accepted { .. } => (effect.taken, effect.doubt) = (true, false),
            Outcome::Unknown { .. } => effect.doubt = true,
            Outcome::Rejected { .. } | Outcome::Retry { .. } | Outcome::NotFound => effect.doubt = false,
        }
        // A cancel ends its job, or the truck comes after all.
        let ended = match outcome {
            Outcome::Accepted { .. } => JobState::Cancelled,
            Outcome::Rejected { .. } => JobState::CancelRefused,
            _ => return,
        };
        if let Work::Dispatch(DispatchWork::Cancel { job }) = effect.work.clone() {
            for request in self.effects.iter_mut().filter(|(id, e)| e.asked_for(id, &job)).map(|(_, e)| e) {
                let seq = request.job.and_then(|j| j.1);
                if request.job.is_none_or(|(old, _)| goes_on(old, ended)) {
                    request.job = Some((ended, seq));
                    request.unwanted &= ended == JobState::Cancelled;
                }
            }
        }
    }

    fn receipt(&mut self, id: &EffectId, seq: Option<u64>, what: &ReceiptKind) {
        let now = self.now;
        let Some(effect) = self.effects.get_mut(id) else { return };
        match what {
            ReceiptKind::Key { digit } if effect.asks => self.marked(id, mark(&digit.to_string())),
            ReceiptKind::Key { digit } => {
                let case = self.cases.entry(effect.case).or_default();
                let customer = is_customer(&self.config, &effect.work);
                let who = recipient(&effect.work).map(|(to, _)| to.to_owned()).unwrap_or_default();
                if customer && *digit == '8' {
                    case.keys.retain(|p| p.who != who);
                } else if customer {
                    case.denied_at = case.denied_at.max((*digit == '9').then_some(now));
                    case.keys.push(Press { at: now, key: *digit, who, warned: effect.warns, unsure: false });
                } else if *digit == '1' {
                    case.person = true;
                }
                if let (true, '7', Some((to, channel))) = (customer, *digit, recipient(&effect.work)) {
                    self.out.insert((to.to_owned(), channel));
                }
            }
            ReceiptKind::Dispatch { update } => {
                effect.truck(now, seq, update);
                effect.taken = true;
            }
            ReceiptKind::Booking { news: BookingNews::Stands { booking, progress, .. } } => {
                use BookingProgress::{CheckedIn, Confirmed, Done};
                let of = effect.case;
                effect.taken = true;
                self.bookings.insert(booking.clone(), (of, *progress));
                self.cases.entry(of).or_default().booked |= matches!(progress, Confirmed | CheckedIn | Done);
                // The providers of these worlds name bookings after what made them.
                for (_, made) in self.effects.iter_mut().filter(|(id, _)| booking.ends_with(&id.to_string())) {
                    made.doubt = false;
                }
            }
            ReceiptKind::Booking { news: BookingNews::Gone } => effect.doubt = false,
            ReceiptKind::Command { ok, .. } => {
                effect.taken = true;
                self.cases.entry(effect.case).or_default().corrected |= ok;
            }
            _ => effect.taken = true,
        }
    }

    /// A text that a person hears or reads (I3): a truck that is promised was promised to us, and a time of arrival is
    /// the newest that we were told, not long ago.
    pub(crate) fn spoke(&self, effect: &EffectId, text: &str) -> Agreed {
        let Some(case) = self.effects.get(effect).map(|e| e.case) else { return Ok(()) };
        self.is_true(case, text)
    }

    fn is_true(&self, case: CaseId, text: &str) -> Agreed {
        let mut trucks = self.effects.values().filter(|e| e.case == case && e.promised());
        let promises = ["ist unterwegs", "ist da.", "is on its way", "has arrived"];
        if promises.iter().any(|p| text.contains(p)) {
            agree(trucks.clone().next().is_some(), || format!("no truck was promised, but: {text}"))?;
        }
        for minutes in minutes(text) {
            let told = trucks.any(|e| e.eta_minutes(self.now) == Some(minutes));
            agree(told, || format!("nobody has said that it takes {minutes} minutes: {text}"))?;
        }
        Ok(())
    }

    /// An order was released.
    pub(crate) fn ordered(&mut self, desk: &Desk, order: &Order) -> Agreed {
        let view = desk.show(&order.case).unwrap();
        self.may_be_ordered(&view, order)?;
        let warns = view.effects.iter().any(|e| e.id == order.effect && e.step == "warn");
        let asks = self.question(&view, order).is_some();
        self.cases.entry(order.case).or_default().asks |= asks;
        let sends = order.kind == OrderKind::Send;
        if let Work::Dispatch(DispatchWork::Cancel { job }) = &order.work {
            for (id, request) in &mut self.effects {
                request.unwanted |= request.asked_for(id, job);
            }
        }
        let effect = self.effects.entry(order.effect).or_insert_with(|| Effect {
            case: order.case,
            work: order.work.clone(),
            warns,
            asks,
            sent_at: self.now,
            doubt: false,
            taken: false,
            job: None,
            was_promised: false,
            eta: None,
            news_at: At::MIN,
            unwanted: false,
        });
        effect.doubt |= sends;
        // What goes along may be something else than the first time.
        effect.work.clone_from(&order.work);
        match &order.work {
            Work::Sms(w) => self.is_true(order.case, &w.body),
            Work::App(w) => self.is_true(order.case, &w.text),
            _ => Ok(()),
        }
    }

    /// What must not be done any more, or not yet.
    fn may_be_ordered(&self, view: &CaseView, order: &Order) -> Agreed {
        if order.kind == OrderKind::Reconcile {
            return Ok(());
        }
        let earlier = self.effects.get(&order.effect);
        let once = matches!(
            order.work,
            Work::Ticket(_)
                | Work::Dispatch(DispatchWork::Request(_))
                | Work::Command(_)
                | Work::Book(BookWork::Create { .. })
        );
        if let Some(earlier) = earlier.filter(|_| once) {
            agree(!earlier.doubt, || format!("sent again while nobody knows what came of it: {order:?}"))?;
            agree(!earlier.taken, || format!("sent again although it was taken: {order:?}"))?;
        }
        let customer = is_customer(&self.config, &order.work);
        let question = self.question(view, order);
        // An appointment may outlive its case, and whoever was told of a danger hears that there is none.
        let undoes = view.effects.iter().any(|e| e.id == order.effect && e.step.starts_with("undo"));
        let after_end = question.is_some() || undoes || withdraws(&order.work) || invites(&order.work);
        agree(view.summary.closed_at.is_none() || !customer || after_end, || {
            format!("a customer is contacted for a closed case: {order:?}")
        })?;
        agree(!customer || self.knows(view, &order.work), || format!("they have nothing to do with it: {order:?}"))?;
        self.may_be_sent_now(view, order, customer)?;
        if let Some(question) = question {
            self.may_be_asked(view, question, order)?;
        }
        if matches!(order.work, Work::Book(BookWork::Create { .. })) {
            self.books_once(order)?;
        }
        let Some(case) = self.cases.get(&order.case) else { return Ok(()) };
        let step = view.effects.iter().find(|e| e.id == order.effect).map(|e| e.step.clone()).unwrap_or_default();
        if step == "part" && earlier.is_none() {
            self.orders_once(view, order)?;
        }
        // Who is asked where they are says nothing of the danger with a 1 or a 2; a 9 is about all of it.
        let told = case.pressed("129").any(|p| p.warned || p.key == '9');
        agree(!(told && step == "warn" && customer), || format!("the ladder goes on after a key: {order:?}"))?;
        if matches!(order.work, Work::Dispatch(DispatchWork::Request(_))) && earlier.is_none() {
            let coming = self.effects.iter().find(|(_, e)| {
                e.case == order.case && e.promised() && !e.arrived() && !e.unwanted && e.sent_at >= case.run_at
            });
            agree(coming.is_none(), || format!("a second truck while one is on its way: {coming:?}\n{order:?}"))?;
        }
        Ok(())
    }

    /// Whether a message goes to one of the people of the device; a storm has many devices.
    fn knows(&self, view: &CaseView, work: &Work) -> bool {
        let Some(device) = self.config.registry.devices.get(&*view.summary.device) else { return true };
        let people = device.parties.values().filter_map(|c| self.config.registry.customers.get(c));
        let to = recipient(work).map(|(to, _)| to);
        people.flat_map(|c| &c.endpoints).any(|e| Some(&*e.address) == to)
    }

    fn plan(&self, view: &CaseView) -> Option<&Playbook> {
        let (id, _) = view.playbook.rsplit_once(" version ")?;
        self.config.playbooks.iter().find(|p| *p.id.as_str() == *id).map(|p| &**p)
    }

    /// The step that asks for a mark, if that is what the order does.
    fn question(&self, view: &CaseView, order: &Order) -> Option<&Step> {
        let effect = view.effects.iter().find(|e| e.id == order.effect)?;
        let steps = &self.plan(view)?.steps;
        steps.iter().find(|s| *s.id.as_str() == *effect.step).filter(|s| matches!(s.verb, Verb::Survey(_)))
    }

    /// A mark is asked for when the work is done, of somebody who has agreed to that, is in no danger, and was not asked
    /// lately.
    fn may_be_asked(&self, view: &CaseView, question: &Step, order: &Order) -> Agreed {
        let plan = self.plan(view).into_iter().flat_map(|p| &p.steps).filter(|s| question.after.contains(&s.id));
        let mut proven = plan.filter_map(|s| s.goal.as_ref());
        let done = |goal: &str| view.goals.iter().any(|g| g.name == goal && matches!(&*g.state, "met" | "waived"));
        agree(proven.all(|goal| done(goal.as_str())), || {
            format!("asked for a mark before the work is done: {order:?}")
        })?;
        let to = recipient(&order.work).map(|(to, _)| to);
        let has = |c: &&Customer| c.endpoints.iter().any(|e| Some(&*e.address) == to);
        let Some(customer) = self.config.registry.customers.values().find(has) else {
            return Err(format!("nobody is asked for a mark: {order:?}"));
        };
        let kind = customer.endpoints.iter().find(|e| Some(&*e.address) == to).map(|e| e.kind);
        agree(kind.is_some_and(|kind| customer.consents_to(Purpose::Info, kind, self.now)), || {
            format!("they have not agreed to be asked: {order:?}")
        })?;
        let theirs = |device: &str| {
            let known = self.config.registry.devices.get(device);
            known.is_some_and(|d| d.parties.values().any(|c| *c == customer.id))
        };
        let danger = self.cases.values().find(|c| c.open && c.safety && theirs(&c.device));
        agree(danger.is_none(), || format!("somebody is in danger and asked how it was: {danger:?}\n{order:?}"))?;
        let them =
            |e: &Effect| recipient(&e.work).is_some_and(|(to, _)| customer.endpoints.iter().any(|x| *x.address == *to));
        let lost = |id: &EffectId, e: &Effect| {
            let state = self.cases.get(&e.case).and_then(|case| case.states.get(id));
            state.is_some_and(|s| matches!(&**s, "rejected" | "failed" | "dead" | "cancelled"))
        };
        let lately = self.effects.iter().find(|(id, e)| {
            let recent = self.now.since(e.sent_at) < self.config.contact.survey_every;
            e.asks && **id != order.effect && recent && them(e) && !lost(id, e)
        });
        agree(lately.is_none(), || format!("asked a second time, after {lately:?}: {order:?}"))
    }

    /// Stop switches, opt-outs, quiet hours.
    fn may_be_sent_now(&self, view: &CaseView, order: &Order, customer: bool) -> Agreed {
        agree(self.stopped != Stop::All, || format!("everything is stopped, but: {order:?}"))?;
        let service = SERVICE.iter().any(|name| view.playbook.starts_with(name));
        let costly = matches!(
            order.work,
            Work::Command(_)
                | Work::Ticket(TicketWork::Create { .. })
                | Work::Dispatch(DispatchWork::Request(_))
                | Work::Book(BookWork::Create { .. })
        );
        let waits = costly || (customer && service && !invites(&order.work));
        agree(self.stopped == Stop::Off || !waits, || format!("all but safety is stopped, but: {order:?}"))?;
        if !customer || !service {
            return Ok(());
        }
        let out = recipient(&order.work).is_some_and(|(to, channel)| self.out.contains(&(to.to_owned(), channel)));
        agree(!out, || format!("they want no such messages: {order:?}"))?;
        // All of these people live in Vienna, and it is winter.
        let hour = (self.now.as_secs() / 3_600 + 1) % 24;
        agree((8..21).contains(&hour) || invites(&order.work), || format!("it is {hour} o'clock there: {order:?}"))
    }

    /// One part for each appointment.
    fn orders_once(&self, view: &CaseView, order: &Order) -> Agreed {
        let of_case = |e: &&Effect| e.case == order.case;
        let by_mail = |w: &Work| {
            let first = matches!(w, Work::Mail(m) if m.invitation.as_ref().is_some_and(|i| i.sequence == 0));
            first && !is_customer(&self.config, w)
        };
        let booked = |e: &&Effect| matches!(e.work, Work::Book(BookWork::Create { .. })) || by_mail(&e.work);
        let appointments = self.effects.values().filter(of_case).filter(booked).count();
        let told = |e: &&forewarn::desk::EffectView| self.effects.get(&e.id).is_some_and(|e| e.taken || e.doubt);
        let parts = view.effects.iter().filter(|e| e.step == "part" && e.id != order.effect).filter(told).count();
        agree(parts < appointments, || format!("{parts} parts for {appointments} appointments: {order:?}"))
    }

    /// One appointment at a time.
    fn books_once(&self, order: &Order) -> Agreed {
        let of_case = |(id, e): &(&EffectId, &Effect)| e.case == order.case && **id != order.effect;
        let doubt = |e: &Effect| e.doubt && matches!(e.work, Work::Book(BookWork::Create { .. }));
        let unknown = self.effects.iter().filter(of_case).find(|(_, e)| doubt(e));
        agree(unknown.is_none(), || format!("another booking while nobody knows of {unknown:?}: {order:?}"))?;
        let standing = self.standing(&order.case);
        agree(standing.is_none(), || format!("a second appointment beside {standing:?}: {order:?}"))
    }

    /// The appointment that a case has, as its workshop says.
    fn standing(&self, id: &CaseId) -> Option<&(CaseId, BookingProgress)> {
        use BookingProgress::{CheckedIn, Confirmed, Pending};
        self.bookings.values().find(|(case, p)| case == id && matches!(p, Pending | Confirmed | CheckedIn))
    }

    /// Compares what the desk shows with what was seen: of the cases that have just moved, or of all.
    pub(crate) fn look(&mut self, desk: &Desk, moved: Option<&BTreeSet<CaseId>>) -> Agreed {
        let all = || desk.list(true, MOST).into_iter().map(|c| c.id).collect();
        for id in moved.map_or_else(all, BTreeSet::clone) {
            // Not all that looks like the id of a case in the key of a row is one.
            let Some(view) = desk.show(&id) else { continue };
            let agreed = self.case(&view).and_then(|()| self.mark(desk, &id));
            agreed.map_err(|why| format!("case {}: {why}", view.summary.short))?;
        }
        let mut open = BTreeSet::new();
        for case in self.cases.values().filter(|c| c.open) {
            agree(open.insert(&case.key), || format!("two open cases of {:?}", case.key))?;
        }
        let any = |of: &dyn Fn(&Case) -> bool| self.cases.values().any(of);
        let shadow = any(&|c| c.was_wrong);
        for device in &self.began {
            let cared = any(&|c| c.device == *device);
            agree(cared || shadow, || format!("a fault of {device} began and there is no case"))?;
        }
        let told = any(&|c| c.fault == "desk.recurring_fault");
        agree(told || !self.recurs, || "a fault recurs and nobody is told".to_owned())?;
        self.began.clear();
        self.looks += 1;
        Ok(())
    }

    /// The mark of a case is the last one that was given.
    fn mark(&self, desk: &Desk, id: &CaseId) -> Agreed {
        let Some(case) = self.cases.get(id).filter(|case| case.asks) else { return Ok(()) };
        let kept = desk.outcomes(At::MIN, None, MOST).into_iter().find(|o| o.case == *id).and_then(|o| o.verdict.csat);
        agree(kept.is_some() || case.mark.is_none(), || format!("the mark {:?} is lost", case.mark))?;
        let given = |mark: &u8| case.mark == Some(*mark) || case.written.contains(mark);
        agree(kept.as_ref().is_none_or(given), || format!("nobody has given the mark {kept:?}"))
    }

    /// Whether a case may be open: a fault of its device has begun, or it is about several that have; or somebody has
    /// written about it.
    fn may_open(&self, view: &CaseView, seen_before: bool) -> bool {
        let device = &view.summary.device;
        let many = |least: usize, fits: &dyn Fn(&str) -> bool| {
            let faults = self.episodes.values().map(|(_, key, _)| key);
            faults.filter(|key| fits(key.split('/').next().unwrap_or_default())).count() >= least
        };
        let behind = |d: &str| {
            let known = self.config.registry.devices.get(d);
            known.is_some_and(|known| known.attrs.values().any(|v| **v == **device))
        };
        self.began.contains(device)
            || (seen_before && self.cases[&view.summary.id].replied)
            || (device == "fleet" && many(5, &|_| true))
            || many(3, &behind)
            || match &*view.summary.fault {
                "desk.recurring_fault" => self.recurs,
                "desk.rule_in_shadow" if self.found.values().any(|(rule, _)| !self.may_act(rule)) => true,
                "desk.rule_in_shadow" => self.cases.values().any(|c| c.truth.is_some() || c.replied),
                _ => false,
            }
    }

    fn case(&mut self, view: &CaseView) -> Agreed {
        let now = self.now;
        let id = view.summary.id;
        let new = !self.cases.contains_key(&id);
        let known = self.cases.entry(id).or_default();
        if new {
            known.key.clone_from(&view.key);
            known.device.clone_from(&view.summary.device);
            known.fault.clone_from(&view.summary.fault);
            known.was_wrong = view.summary.title.contains("is put into shadow");
            let safety = self.plan(view).is_some_and(|p| p.policy.purpose == Purpose::Safety);
            self.cases.entry(id).or_default().safety = safety;
        }
        let known = self.cases.entry(id).or_default();
        agree(known.key == view.key, || "a case changes its key".to_owned())?;
        let is_open = view.summary.closed_at.is_none();
        if is_open && !known.open {
            let may = self.may_open(view, !new);
            let began = new || self.began.contains(&view.summary.device);
            agree(may, || format!("case {} opens and no fault has begun", view.summary.short))?;
            let known = self.cases.entry(id).or_default();
            known.after_end = !began;
            (known.open, known.run_at, known.closed_at) = (true, view.summary.opened_at, None);
        }
        let known = self.cases.entry(id).or_default();
        let closes = !is_open && (known.open || new);
        (known.open, known.closed_at) = (is_open, view.summary.closed_at);
        for effect in &view.effects {
            let old = known.states.insert(effect.id, effect.state.clone());
            let told = matches!(&*effect.state, "accepted" | "delivered" | "confirmed" | "failed" | "unknown");
            let message = matches!(&*effect.kind, "call" | "sms" | "mail" | "app_push");
            known.carried |= told && message && !self.effects.contains_key(&effect.id);
            // A poll is asked again and again, also after it was not needed for a while.
            let polls = |e: &Effect| {
                matches!(e.work, Work::Dispatch(DispatchWork::Status { .. }) | Work::Book(BookWork::Status { .. }))
            };
            let may_poll =
                matches!(&*effect.kind, "dispatch" | "booking") && self.effects.get(&effect.id).is_none_or(polls);
            let known = old.as_deref().filter(|_| !may_poll);
            // An earlier attempt was heard of after all.
            let late = matches!(old.as_deref(), Some("cancelled" | "retry")) && effect.attempts > 0;
            // To be tried again, if its plan were not over.
            let again = self.effects.get(&effect.id).is_none_or(|e| !e.doubt || e.is_harmless());
            // The end of a case that is open again is none.
            let is_close = |e: &Effect| matches!(e.work, Work::Ticket(TicketWork::Close { .. }));
            let unsaid = is_open && self.effects.get(&effect.id).is_some_and(is_close);
            let ended = !is_open || view.summary.phase == "backing_out" || unsaid;
            let over = ended && again && old.as_deref() == Some("sending") && effect.state == "cancelled";
            let may = known.is_none_or(|old| old == effect.state || may_become(old).contains(&&*effect.state))
                || over
                || late && matches!(&*effect.state, "delivered" | "confirmed");
            agree(may, || format!("effect {} of {} was {old:?} and is {}", effect.id, effect.kind, effect.state))?;
        }
        if closes {
            self.closes(view)?;
        }
        // I2, as seen from outside: what undoes, documents or asks our own people may still go out.
        let undoes = |e: &forewarn::desk::EffectView| {
            matches!(&*e.kind, "ticket" | "dispatch" | "booking")
                || e.step.starts_with("undo")
                || e.step.starts_with("page")
        };
        let live = view.effects.iter().find(|e| matches!(&*e.state, "due" | "retry") && !undoes(e));
        let question = |e: &forewarn::desk::EffectView| {
            let step = self.plan(view).and_then(|p| p.steps.iter().find(|s| *s.id.as_str() == *e.step));
            step.is_some_and(|s| matches!(s.verb, Verb::Survey(_)))
        };
        let live = live.filter(|e| !(question(e) || e.kind == "mail" && self.cases[&id].booked));
        agree(is_open || live.is_none(), || format!("a closed case still wants to send {live:?}"))?;
        for goal in view.goals.iter().filter(|g| g.state == "met") {
            // What is taken back had been promised.
            let over = !is_open || view.summary.phase == "backing_out" || self.cases[&id].after_end;
            agree(over || self.is_proven(view, &goal.name), || {
                format!("goal {} is met without a proof at {now}", goal.name)
            })?;
        }
        if is_open && view.summary.phase != "backing_out" && view.waits_for.is_none() {
            self.kept_promises_show(view)?;
        }
        Ok(())
    }

    fn closes(&self, view: &CaseView) -> Agreed {
        let case = &self.cases[&view.summary.id];
        let jobs = || self.effects.values().filter(|e| e.case == view.summary.id && e.is_request());
        match view.summary.outcome.as_deref() {
            Some("served") => {
                let coming = jobs().find(|e| e.promised() && !e.arrived() && !e.unwanted && e.sent_at >= case.run_at);
                agree(coming.is_none(), || format!("served while a truck is on its way: {coming:?}"))?;
                let kept = view.goals.iter().all(|g| matches!(&*g.state, "met" | "waived"));
                agree(kept, || format!("served: {:?}", view.goals))?;
                let unproven = view.goals.iter().find(|g| g.state == "met" && !self.is_proven(view, &g.name));
                agree(unproven.is_none() || case.after_end, || {
                    format!("served: goal {} is met without a proof", unproven.map_or("", |g| &g.name))
                })
            }
            Some("false_alarm") => {
                // Also if they are not meant after all: it is being taken back by then.
                let pressed = case.denied_at.is_some_and(|at| at >= case.run_at);
                let well = case.answered || pressed;
                agree(well || case.closed || self.cleared(view), || "a false alarm that nobody has told of".to_owned())
            }
            // What several devices have in common is over with the last of their cases, however that ended.
            Some("device_back") if !self.config.registry.devices.contains_key(&*view.summary.device) => Ok(()),
            Some("cleared_while_held" | "explained_by_parent" | "device_back") => {
                agree(self.cleared(view), || "over, but its fault is not".to_owned())
            }
            Some("declined") => {
                let no = case.answered || case.keys.iter().any(|p| p.key == '*');
                agree(no, || "declined by nobody".to_owned())
            }
            Some("alive") => agree(case.corrected, || "alive without a word".to_owned()),
            Some("closed_by_person") => agree(case.closed, || "closed by nobody".to_owned()),
            Some("released" | "over") => {
                agree(view.summary.device == "fleet", || "only storms end like this".to_owned())
            }
            other => Err(format!("nobody knows the outcome {other:?}")),
        }
    }

    /// A fault of its device has ended, or of one of those that it is about.
    fn cleared(&self, view: &CaseView) -> bool {
        let device = &view.summary.device;
        let about = |key: &str| {
            let of = key.split('/').next().unwrap_or_default();
            let known = self.config.registry.devices.get(of);
            of == device || known.is_some_and(|known| known.attrs.values().any(|v| **v == **device))
        };
        self.episodes.values().any(|(_, key, active)| !active && about(key))
    }

    /// How far a case must be by what can be seen of it, unless a truck is driving or it is being taken back.
    fn phase(view: &CaseView) -> &'static str {
        let open = |names: &[&str]| {
            view.goals.iter().any(|g| names.contains(&&*g.name) && !matches!(&*g.state, "met" | "waived"))
        };
        match view {
            _ if view.summary.closed_at.is_some() => "closed",
            _ if view.effects.is_empty() => "detected",
            _ if open(&TOLD) => "engaging",
            _ if open(&ARRANGED) => "arranged",
            _ => "verifying",
        }
    }

    /// Whether what was seen proves it.
    fn is_proven(&self, view: &CaseView, goal: &str) -> bool {
        let case = &self.cases[&view.summary.id];
        let mut effects = self.effects.values().filter(|e| e.case == view.summary.id);
        let answered = case.person || case.answered || case.keys.iter().any(|p| p.at >= case.run_at);
        match goal {
            "ticket_open" | "problem_open" | "cause_known" => {
                effects.any(|e| e.taken && matches!(e.work, Work::Ticket(TicketWork::Create { .. })))
            }
            "driver_told_to_stop" => answered,
            "tow_accepted" => effects.any(|e| e.is_request() && e.promised()),
            "vehicle_safe" => self.stood.contains(&view.summary.device) || effects.any(Effect::arrived),
            // A time that they once chose is known to them for as long as it stands.
            "owner_knows" if view.playbook.starts_with("predicted") => {
                answered || (!case.keys.is_empty() && self.standing(&view.summary.id).is_some())
            }
            "owner_knows" | "owner_informed" => {
                let told = effects.any(|e| e.taken && is_customer(&self.config, &e.work));
                // Who answers has got what they answer, also if nobody has ever said that it arrived.
                case.person || case.answered || told || self.is_told_beside(view)
            }
            "appointment_confirmed" => case.booked,
            "part_ordered" => effects.any(|e| e.taken && matches!(e.work, Work::Webhook(_))),
            "fault_gone" => case.booked && self.cleared(view),
            // From the promise of a visit on it is the device that says whether all is well.
            "corrected" => self.cleared(view) && (case.corrected || effects.any(|e| e.is_request() && e.was_promised)),
            "engineering_acknowledged" | "engineers_know" => case.person,
            "cause_named" | "tier1_informed" | "all_informed" => view.summary.device == "fleet",
            other => panic!("the reference knows no goal {other}"),
        }
    }

    /// Whether a message about another case tells of the device, too: `<plate or id>: <what is wrong>`.
    fn is_told_beside(&self, view: &CaseView) -> bool {
        let device = self.config.registry.devices.get(&*view.summary.device);
        let plate = device.and_then(|d| d.attrs.get("plate")).map(|plate| format!("{plate}:"));
        let begins = [format!("{}:", view.summary.device)].into_iter().chain(plate).collect::<Vec<_>>();
        let tells = |text: &str| begins.iter().any(|part| text.contains(part));
        let beside = self.effects.values().filter(|e| e.taken && self.knows(view, &e.work));
        beside.map(|e| &e.work).any(|work| match work {
            Work::Mail(w) => tells(&w.text),
            Work::Sms(w) => tells(&w.body),
            Work::App(w) => tells(&w.text),
            _ => false,
        })
    }

    /// The other way round: what must have been noticed.
    fn kept_promises_show(&self, view: &CaseView) -> Agreed {
        let case = &self.cases[&view.summary.id];
        let state = |name: &str| view.goals.iter().find(|g| g.name == name).map(|g| &*g.state);
        let understood = case.pressed("1").any(|p| p.warned);
        agree(!understood || state("driver_told_to_stop") != Some("open"), || {
            "a key was pressed and does not count".to_owned()
        })?;
        let of_case = |e: &&Effect| e.case == view.summary.id;
        if view.summary.phase != "in_service" {
            let phase = Self::phase(view);
            agree(view.summary.phase == phase, || format!("it is said to be {}: {phase}", view.summary.phase))?;
        }
        let ordered =
            |e: &Effect| e.taken && !e.doubt && e.sent_at >= case.run_at && matches!(e.work, Work::Webhook(_));
        let part = self.effects.values().filter(of_case).any(ordered);
        agree(!part || state("part_ordered") != Some("open"), || "the part is ordered and does not count".to_owned())?;
        let ticket = |e: &Effect| e.taken && !e.doubt && matches!(e.work, Work::Ticket(TicketWork::Create { .. }));
        let opened = self.effects.values().filter(of_case).any(ticket);
        agree(!opened || state("ticket_open") != Some("open"), || "a ticket was taken and does not count".to_owned())?;
        let driving = |e: &Effect| matches!(e.job, Some((JobState::EnRoute | JobState::OnSite | JobState::Towing, _)));
        let in_service = self.effects.values().filter(of_case).any(|e| driving(e) && !e.unwanted);
        agree(view.summary.phase != "in_service" || in_service, || "in service without a truck".to_owned())
    }
}

/// Whether `new` can be true after `old`: jobs go forward and end once.
fn goes_on(old: JobState, new: JobState) -> bool {
    use JobState::{Accepted, CancelRefused, Cancelled, Done, EnRoute, Offered, OnSite, Towing};
    let way = [Offered, Accepted, EnRoute, OnSite, Towing, Done];
    let place = |s: JobState| way.iter().position(|w| *w == s);
    match (place(old), place(new)) {
        (Some(before), Some(after)) => after >= before,
        (Some(_), None) => old != Done,
        (None, _) => old == new || (old == CancelRefused && new != Cancelled),
    }
}

/// The life of an effect as service.md draws it; several arrows may be gone in one step.
fn may_become(state: &str) -> &'static [&'static str] {
    match state {
        "due" => &["sending", "cancelled", "dead"],
        "retry" => &["sending", "cancelled", "dead"],
        "sending" => &["accepted", "rejected", "retry", "unknown", "delivered", "confirmed", "failed", "dead"],
        "unknown" => &["reconciling", "accepted", "delivered", "confirmed", "failed", "dead"],
        "reconciling" => {
            &["accepted", "retry", "sending", "cancelled", "unknown", "delivered", "confirmed", "failed", "dead"]
        }
        "accepted" => &["delivered", "confirmed", "failed"],
        "delivered" => &["confirmed"],
        // It came to nothing, as far as was known: a late yes may still come.
        "rejected" | "failed" | "dead" => &["delivered", "confirmed"],
        "confirmed" | "cancelled" => &[],
        other => panic!("no effect is ever {other}"),
    }
}

/// Who has an address.
fn whose(registry: &Registry, address: &str) -> String {
    let has = |c: &&Customer| c.endpoints.iter().any(|e| *e.address == *address);
    registry.customers.values().find(has).map_or_else(|| address.to_owned(), |c| c.id.to_string())
}

/// Whom a message goes to, and by which way.
fn recipient(work: &Work) -> Option<(&str, Channel)> {
    Some(match work {
        Work::Call(w) => (&*w.to, Channel::Call),
        Work::Sms(w) => (&*w.to, Channel::Sms),
        Work::Mail(w) => (&*w.to, Channel::Email),
        Work::App(w) => (&*w.user, Channel::App),
        _ => return None,
    })
}

/// The answer to what a customer has just asked for comes at once.
fn invites(work: &Work) -> bool {
    matches!(work, Work::Mail(w) if w.invitation.as_ref().is_some_and(|i| i.method == InviteMethod::Request || i.sequence > 0))
}

/// What was in a calendar is taken out of it.
pub(crate) fn withdraws(work: &Work) -> bool {
    matches!(work, Work::Mail(w) if w.invitation.as_ref().is_some_and(|i| i.method == InviteMethod::Cancel))
}

/// A mark from 1 to 5, as it is written or tapped.
fn mark(text: &str) -> Option<u8> {
    text.trim().parse().ok().filter(|mark| (1..=5).contains(mark))
}

/// The numbers of minutes that a text names.
fn minutes(text: &str) -> Vec<i64> {
    let words: Vec<&str> = text.split_whitespace().map(|w| w.trim_matches(['(', ')', '.', ','])).collect();
    let unit = |w: &str| matches!(w, "min" | "Minute" | "Minuten" | "minute" | "minutes");
    words.windows(2).filter(|w| unit(w[1])).filter_map(|w| w[0].parse().ok()).collect()
}

/// Whether it goes to a customer, not to one of our people.
pub(crate) fn is_customer(config: &Config, work: &Work) -> bool {
    let Some((to, _)) = recipient(work) else { return false };
    config.registry.customers.values().flat_map(|c| &c.endpoints).any(|e| *e.address == *to)
}
