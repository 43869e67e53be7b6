//! A second desk, for the simulations: what the service design says of cases, told once more in the plainest way, from
//! what goes into the desk and what comes out of it, without a look at its rows. Both have to agree after every step.
//!
//! It cannot say *when* a case ends; it says what must have been seen for each word that the desk uses: a goal that is
//! met has its proof, a case that is served has no truck on its way, a case opens because a fault began, and only then.
//! It knows which way an effect may go, and what must not be ordered any more.

#![expect(clippy::unwrap_used, reason = "a helper of tests: an unexpected error is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use forewarn::desk::{CaseView, Config, Desk, Input};
use forewarn::domain::{
    At, CaseId, Change, Detection, DispatchWork, EffectId, EpisodeId, JobState, Order, OrderKind, Outcome, ReceiptKind,
    TicketWork, Value, Work,
};

/// Both desks are watched over so many cases at most.
const MOST: usize = 1_000;

/// What the two do not agree on.
type Agreed = Result<(), String>;

fn agree(both: bool, otherwise: impl FnOnce() -> String) -> Agreed {
    if both { Ok(()) } else { Err(otherwise()) }
}

pub(crate) struct Reference {
    config: Arc<Config>,
    now: At,
    cases: BTreeMap<CaseId, Case>,
    effects: BTreeMap<EffectId, Effect>,
    /// Faults that have begun and not ended, by episode, with the newest number of their news.
    episodes: BTreeMap<EpisodeId, (u32, String, bool)>,
    /// Keys whose fault began with this input.
    began: BTreeSet<String>,
    /// Devices that stood still at some time.
    stood: BTreeSet<String>,
    pub(crate) looks: u64,
}

/// One case, as seen from outside.
#[derive(Debug, Default)]
struct Case {
    key: String,
    open: bool,
    closed_at: Option<At>,
    /// Since it was opened or opened again.
    run_at: At,
    /// Keys that customers pressed, with the time.
    keys: Vec<(At, char)>,
    /// A person has taken it.
    person: bool,
    states: BTreeMap<EffectId, String>,
}

#[derive(Debug)]
struct Effect {
    case: CaseId,
    work: Work,
    sent_at: At,
    /// An attempt was sent and nobody has said what came of it, or somebody said that nobody knows.
    doubt: bool,
    /// Any attempt was taken.
    taken: bool,
    job: Option<(JobState, Option<u64>)>,
    unwanted: bool,
}

impl Effect {
    fn is_request(&self) -> bool {
        matches!(self.work, Work::Dispatch(DispatchWork::Request(_)))
    }

    /// Whether this is the request of `job`: the providers of these worlds name jobs after it.
    fn asked_for(&self, id: &EffectId, job: &str) -> bool {
        self.is_request() && job.ends_with(&id.to_string())
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
            stood: BTreeSet::new(),
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
            _ => {}
        }
    }

    fn detected(&mut self, d: &Detection) {
        self.facts(d.device.as_str(), &d.facts);
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
        if active && self.config.playbooks.iter().any(|p| taken(p)) {
            self.began.insert(d.device.to_string());
        }
        self.episodes.insert(d.episode, (d.seq, key, active));
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
            ReceiptKind::Key { digit } => {
                let case = self.cases.entry(effect.case).or_default();
                let customer = is_customer(&self.config, &effect.work);
                if customer {
                    case.keys.push((now, *digit));
                } else if *digit == '1' {
                    case.person = true;
                }
            }
            ReceiptKind::Dispatch { update } => {
                let old = effect.job;
                let stale = matches!((seq, old.and_then(|o| o.1)), (Some(new), Some(old)) if new <= old);
                if !stale && old.is_none_or(|(old, _)| goes_on(old, update.state)) {
                    effect.job = Some((update.state, seq.max(old.and_then(|o| o.1))));
                }
                effect.taken = true;
            }
            _ => effect.taken = true,
        }
    }

    /// An order was released.
    pub(crate) fn ordered(&mut self, desk: &Desk, order: &Order) -> Agreed {
        self.may_be_ordered(desk, order)?;
        let sends = order.kind == OrderKind::Send;
        if let Work::Dispatch(DispatchWork::Cancel { job }) = &order.work {
            for (id, request) in &mut self.effects {
                request.unwanted |= request.asked_for(id, job);
            }
        }
        let effect = self.effects.entry(order.effect).or_insert_with(|| Effect {
            case: order.case,
            work: order.work.clone(),
            sent_at: self.now,
            doubt: false,
            taken: false,
            job: None,
            unwanted: false,
        });
        effect.doubt |= sends;
        Ok(())
    }

    /// What must not be done any more, or not yet.
    fn may_be_ordered(&self, desk: &Desk, order: &Order) -> Agreed {
        if order.kind == OrderKind::Reconcile {
            return Ok(());
        }
        let earlier = self.effects.get(&order.effect);
        let once = matches!(order.work, Work::Ticket(_) | Work::Dispatch(DispatchWork::Request(_)) | Work::Command(_));
        if let Some(earlier) = earlier.filter(|_| once) {
            agree(!earlier.doubt, || format!("sent again while nobody knows what came of it: {order:?}"))?;
            agree(!earlier.taken, || format!("sent again although it was taken: {order:?}"))?;
        }
        let view = desk.show(&order.case).unwrap();
        let customer = is_customer(&self.config, &order.work);
        agree(view.summary.closed_at.is_none() || !customer, || {
            format!("a customer is contacted for a closed case: {order:?}")
        })?;
        let Some(case) = self.cases.get(&order.case) else { return Ok(()) };
        let step = view.effects.iter().find(|e| e.id == order.effect).map(|e| e.step.clone()).unwrap_or_default();
        let told = case.keys.iter().any(|(at, key)| *at >= case.run_at && matches!(key, '1' | '2' | '9'));
        agree(!(told && step == "warn" && customer), || format!("the ladder goes on after a key: {order:?}"))?;
        if matches!(order.work, Work::Dispatch(DispatchWork::Request(_))) && earlier.is_none() {
            let coming = self.effects.iter().find(|(_, e)| {
                e.case == order.case && e.promised() && !e.arrived() && !e.unwanted && e.sent_at >= case.run_at
            });
            agree(coming.is_none(), || format!("a second truck while one is on its way: {coming:?}\n{order:?}"))?;
        }
        Ok(())
    }

    /// Compares what the desk shows with what was seen.
    pub(crate) fn look(&mut self, desk: &Desk) -> Agreed {
        let shown: Vec<CaseView> = desk.list(true, MOST).iter().map(|c| desk.show(&c.id).unwrap()).collect();
        let mut open = BTreeSet::new();
        for view in &shown {
            self.case(view)?;
            if view.summary.closed_at.is_none() {
                agree(open.insert(view.key.clone()), || format!("two open cases of {}", view.key))?;
            }
        }
        for device in std::mem::take(&mut self.began) {
            let cared = shown.iter().any(|c| c.summary.device == device);
            agree(cared, || format!("a fault of {device} began and there is no case"))?;
        }
        self.looks += 1;
        Ok(())
    }

    fn case(&mut self, view: &CaseView) -> Agreed {
        let now = self.now;
        let id = view.summary.id;
        let new = !self.cases.contains_key(&id);
        let known = self.cases.entry(id).or_default();
        if new {
            known.key.clone_from(&view.key);
        }
        agree(known.key == view.key, || "a case changes its key".to_owned())?;
        let is_open = view.summary.closed_at.is_none();
        if is_open && !known.open {
            agree(self.began.contains(&view.summary.device), || {
                format!("case {} opens and no fault has begun", view.summary.short)
            })?;
            (known.open, known.run_at, known.closed_at) = (true, view.summary.opened_at, None);
        }
        let closes = !is_open && (known.open || new);
        (known.open, known.closed_at) = (is_open, view.summary.closed_at);
        for effect in &view.effects {
            let old = known.states.insert(effect.id, effect.state.clone());
            // A poll is asked again and again, also after it was not needed for a while.
            let polls = |e: &Effect| matches!(e.work, Work::Dispatch(DispatchWork::Status { .. }));
            let may_poll = effect.kind == "dispatch" && self.effects.get(&effect.id).is_none_or(polls);
            let known = old.as_deref().filter(|_| !may_poll);
            let may = known.is_none_or(|old| old == effect.state || may_become(old).contains(&&*effect.state));
            agree(may, || format!("effect {} of {} was {old:?} and is {}", effect.id, effect.kind, effect.state))?;
        }
        if closes {
            self.closes(view)?;
        }
        for goal in view.goals.iter().filter(|g| g.state == "met") {
            // What is taken back had been promised.
            let over = !is_open || view.summary.phase == "backing_out";
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
                agree(kept, || format!("served: {:?}", view.goals))
            }
            Some("false_alarm") => {
                let well = case.keys.iter().any(|(at, key)| *at >= case.run_at && *key == '9');
                let device = &view.summary.device;
                let cleared = self.episodes.values().any(|(_, key, active)| !active && key.starts_with(device));
                agree(well || cleared, || "a false alarm that nobody has told of".to_owned())
            }
            other => agree(other == Some("closed_by_person"), || format!("nobody knows the outcome {other:?}")),
        }
    }

    /// Whether what was seen proves it.
    fn is_proven(&self, view: &CaseView, goal: &str) -> bool {
        let case = &self.cases[&view.summary.id];
        let mut effects = self.effects.values().filter(|e| e.case == view.summary.id);
        match goal {
            "ticket_open" => effects.any(|e| e.taken && matches!(e.work, Work::Ticket(TicketWork::Create { .. }))),
            "driver_told_to_stop" => case.person || case.keys.iter().any(|(at, _)| *at >= case.run_at),
            "tow_accepted" => effects.any(|e| e.is_request() && e.promised()),
            "vehicle_safe" => self.stood.contains(&view.summary.device) || effects.any(Effect::arrived),
            "owner_knows" => case.person || effects.any(|e| e.taken && is_customer(&self.config, &e.work)),
            other => panic!("the reference knows no goal {other}"),
        }
    }

    /// The other way round: what must have been noticed.
    fn kept_promises_show(&self, view: &CaseView) -> Agreed {
        let case = &self.cases[&view.summary.id];
        let state = |name: &str| view.goals.iter().find(|g| g.name == name).map(|g| &*g.state);
        let understood = case.keys.iter().any(|(at, key)| *at >= case.run_at && *key == '1');
        agree(!understood || state("driver_told_to_stop") != Some("open"), || {
            "a key was pressed and does not count".to_owned()
        })?;
        let of_case = |e: &&Effect| e.case == view.summary.id;
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

/// Whether it goes to a customer, not to one of our people.
pub(crate) fn is_customer(config: &Config, work: &Work) -> bool {
    let to = match work {
        Work::Call(w) => &w.to,
        Work::Sms(w) => &w.to,
        Work::Mail(w) => &w.to,
        _ => return false,
    };
    config.registry.customers.values().flat_map(|c| &c.endpoints).any(|e| *e.address == **to)
}
