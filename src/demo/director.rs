//! The play: starts everything, lets two cars break down, watches until both are served, tells what came of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::Instant;

use super::daemon::{Case, Daemon};
use super::fleet::{Fleet, FleetSettings, Happening, car_id};
use super::sandbox::{PhoneSettings, Sandbox, SandboxSettings, Sighting, TowSettings};
use super::screen::Screen;
use super::summary::{Accepted, Served, Summary};
use super::timeline::{Event, Mark, Merge, sentence};
use super::workspace::{Addresses, Secrets, Workspace};
use super::{Broker, Error, registry};
use crate::domain::{At, Span};
use crate::runtime::Clock;

/// How often the daemon's API is asked.
const POLL: Duration = Duration::from_millis(250);
/// How long an event waits for an older one from the other source.
const REORDER: Span = Span::from_millis(600);
/// What is under way when both cases are served is watched for so long.
const EPILOGUE: Duration = Duration::from_secs(1);
/// By then both cases must be served.
const LIMIT: Duration = Duration::from_secs(120);
/// Failed answers of the API in a row that are borne.
const API_TRIES: u32 = 40;

/// What to play.
#[derive(Clone)]
pub struct Options {
    /// The program whose `run` is the daemon.
    pub program: PathBuf,
    /// Cars, at least 2.
    pub cars: usize,
    /// The same seed, the same rides.
    pub seed: u64,
    /// Run at least for so long.
    pub at_least: Option<Duration>,
    /// Keep the directory with settings, store and log.
    pub keep: bool,
    /// Tells the time.
    pub clock: Clock,
}

/// Plays the demo. Ends early, and in order, when `stop` resolves.
///
/// # Errors
/// When something could not be started or broke. That a case was not served in time is no error but stands in the
/// summary.
pub async fn play(options: &Options, screen: &Screen, stop: impl Future<Output = ()>) -> Result<Summary, Error> {
    let began_at = (options.clock)();
    screen.progress("starting broker and providers".to_owned());
    let broker = Broker::start().await?;
    let secrets = Secrets::new()?;
    let sandbox = Sandbox::start(sandbox_settings(&secrets), options.clock.clone()).await?;
    let to = Addresses::of(broker.url(), &sandbox)?;
    // What people write back.
    sandbox.phone.inbound(&format!("http://127.0.0.1:{}/twilio/sms", to.http));
    let space = Workspace::create(options.cars, &to, &secrets, options.keep)?;
    screen.say(&headline(options, &to, &space));

    screen.progress("starting the daemon".to_owned());
    let daemon = Daemon::start(&options.program, &space, &to, &secrets).await?;
    screen.say(&format!(
        "  daemon         {}\n\nTo look inside from another terminal:\n  forewarn case --url {} --token-file {} list\n",
        daemon.url(),
        daemon.url(),
        space.token_file().display(),
    ));
    let settings =
        FleetSettings { broker: broker.addr(), cars: options.cars, seed: options.seed, clock: options.clock.clone() };
    let fleet = Fleet::start(settings).await?;

    let (brakes, battery) = registry::chosen(options.cars);
    let mut director = Director {
        sightings: sandbox.stage.sightings.watch(),
        plan: vec![
            (Instant::now() + Duration::from_secs(2), Happening::BatteryLog(car_id(battery))),
            (Instant::now() + Duration::from_secs(4), Happening::BrakesFail(car_id(brakes))),
        ],
        driver_phone: registry::driver_phone(brakes, options.cars),
        driver_app: registry::driver_app(brakes, options.cars),
        owner_mail: registry::owner_mail(battery),
        plates: [brakes, battery].map(|n| (registry::plate(n), car_id(n))),
        brakes: car_id(brakes),
        battery: car_id(battery),
        daemon,
        fleet,
        sandbox,
        clock: options.clock.clone(),
        screen,
        began_at,
        merge: Merge::default(),
        faults: BTreeMap::new(),
        cases: BTreeMap::new(),
        confirmed_at: None,
        rate: Rate::default(),
        api_failures: 0,
    };
    let ended = director.watch(options.at_least, stop).await;
    director.flush(At::MAX);
    screen.progress("stopping".to_owned());
    let summary = director.summary();
    let Director { daemon, .. } = director;
    daemon.stop().await;
    screen.close();
    ended.map(|()| summary)
}

/// The sandbox's clocks run fast, except for what is announced: a truck that is 24 minutes away is there after seconds.
fn sandbox_settings(secrets: &Secrets) -> SandboxSettings {
    SandboxSettings {
        desk_token: secrets.desk.clone(),
        tow: TowSettings { secret: secrets.tow.clone(), eta_min: 24, slip_min: 6, pace: Duration::from_secs(2) },
        phone: PhoneSettings {
            account_sid: secrets.account.clone(),
            token: secrets.phone.clone(),
            ring: Duration::from_secs(1),
            rings: 3,
            per_char: Duration::from_millis(12),
            hurry: 0.25,
        },
        app: (secrets.app.clone(), Duration::from_secs(1)),
        workshop: secrets.workshop.clone(),
    }
}

fn headline(options: &Options, to: &Addresses, space: &Workspace) -> String {
    let kept = if options.keep { " (kept)" } else { "" };
    format!(
        "forewarn demo: {} cars on a broker of its own; two of them will break down.\n\n  \
         broker         {}\n  ticket desk    {}\n  tow company    {}\n  phone network  {}\n  app            {}\n  \
         mail server    smtp://127.0.0.1:{}\n  settings       {}{kept}",
        options.cars,
        to.broker,
        to.desk,
        to.tow,
        to.phone,
        to.app,
        to.mail,
        space.dir().display(),
    )
}

struct Director<'a> {
    sightings: broadcast::Receiver<Sighting>,
    /// What happens to cars, and when.
    plan: Vec<(Instant, Happening)>,
    driver_phone: String,
    driver_app: String,
    owner_mail: String,
    /// Plates and ids of the two.
    plates: [(String, String); 2],
    brakes: String,
    battery: String,
    daemon: Daemon,
    fleet: Fleet,
    sandbox: Sandbox,
    clock: Clock,
    screen: &'a Screen,
    began_at: At,
    merge: Merge,
    /// By car: when it broke down.
    faults: BTreeMap<String, At>,
    /// By id, as last seen.
    cases: BTreeMap<String, Case>,
    confirmed_at: Option<At>,
    rate: Rate,
    api_failures: u32,
}

impl Director<'_> {
    /// Until both cases are served and the wished time is over, or the limit is reached, or somebody stops it.
    async fn watch(&mut self, at_least: Option<Duration>, stop: impl Future<Output = ()>) -> Result<(), Error> {
        let least = Instant::now() + at_least.unwrap_or_default();
        let limit = Instant::now() + at_least.unwrap_or_default().max(LIMIT);
        let mut poll = tokio::time::interval(POLL);
        poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut stop = std::pin::pin!(stop);
        let mut served_at = None;
        loop {
            tokio::select! {
                () = &mut stop => return Ok(()),
                seen = self.sightings.recv() => match seen {
                    Ok(sighting) => self.saw(&sighting),
                    Err(RecvError::Lagged(n)) => self.note(Mark::Trouble, "", format!("{n} sightings were missed")),
                    Err(RecvError::Closed) => return Ok(()),
                },
                _ = poll.tick() => {
                    self.daemon.check()?;
                    self.happen().await;
                    self.ask().await?;
                    self.flush((self.clock)() - REORDER);
                    self.show_progress();
                    let now = Instant::now();
                    served_at = served_at.or(self.all_served().then_some(now));
                    let seen_out = served_at.is_some_and(|at| now >= at + EPILOGUE);
                    if (seen_out && now >= least) || now >= limit {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Lets happen what is due.
    async fn happen(&mut self) {
        let now = Instant::now();
        let (due, later) = std::mem::take(&mut self.plan).into_iter().partition(|(at, _)| *at <= now);
        self.plan = later;
        let due: Vec<(Instant, Happening)> = due;
        for (_, what) in due {
            let (device, text) = match &what {
                Happening::BrakesFail(id) => (id, "its front left brake circuit loses pressure while it drives"),
                Happening::DriverStops(id) => (id, "the driver slows down and stops"),
                Happening::BatteryLog(id) => (id, "sends three weeks of readings: its 12 V battery fell to 12.0 V"),
                Happening::NewBattery(id) => (id, "its owner has a new battery fitted"),
            };
            if matches!(what, Happening::BrakesFail(_) | Happening::BatteryLog(_)) {
                self.faults.insert(device.clone(), (self.clock)());
            }
            self.note(Mark::World, device, text.to_owned());
            self.fleet.happen(what).await;
        }
    }

    /// Shows a sighting, and lets the world react to it.
    fn saw(&mut self, sighting: &Sighting) {
        let device = self.device_of(sighting);
        self.note(Mark::Seen, &device, sentence(sighting));
        let soon = Instant::now();
        match sighting {
            Sighting::Pressed { to, digit: '1' } if *to == self.driver_phone && self.confirmed_at.is_none() => {
                self.confirmed_at = Some((self.clock)());
                self.plan.push((soon + Duration::from_millis(500), Happening::DriverStops(self.brakes.clone())));
            }
            Sighting::Mail { to, .. } if *to == self.owner_mail => {
                let new = Happening::NewBattery(self.battery.clone());
                if !self.plan.iter().any(|(_, h)| *h == new) {
                    self.plan.push((soon + Duration::from_secs(3), new));
                }
            }
            _ => {}
        }
    }

    /// Which car a sighting is about, as far as its own words tell.
    fn device_of(&self, sighting: &Sighting) -> String {
        let by_app = |to: &String| if *to == self.driver_app { self.brakes.clone() } else { String::new() };
        let by_phone = |to: &String| if *to == self.driver_phone { self.brakes.clone() } else { String::new() };
        // A ticket may be seen before the API has told of its case; its title then names the car by its plate.
        let by_number = |number: &String| {
            let ticket = self.sandbox.desk.accepted().into_iter().find(|t| t.number == *number)?;
            let case = ticket.case_ref.and_then(|id| self.cases.get(&id)).map(|c| c.device.clone());
            let named = self.plates.iter().find(|(plate, _)| ticket.title.contains(plate));
            case.or_else(|| named.map(|(_, car)| car.clone()))
        };
        match sighting {
            Sighting::Ringing { to }
            | Sighting::Heard { to, .. }
            | Sighting::Pressed { to, .. }
            | Sighting::CallEnded { to, .. }
            | Sighting::Sms { to, .. } => by_phone(to),
            // The play has no appointment.
            Sighting::Appointment { .. } => String::new(),
            Sighting::Push { to, .. } | Sighting::Tapped { to, .. } => by_app(to),
            Sighting::Mail { to, .. } if *to == self.owner_mail => self.battery.clone(),
            Sighting::Mail { .. } => String::new(),
            Sighting::Job { .. } => self.brakes.clone(),
            Sighting::Ticket { number, .. } | Sighting::Article { number, .. } | Sighting::TicketClosed { number } => {
                by_number(number).unwrap_or_default()
            }
        }
    }

    /// Asks the daemon how its cases stand and shows what is new.
    async fn ask(&mut self) -> Result<(), Error> {
        let cases = match self.daemon.cases().await {
            Ok(cases) => cases,
            Err(e) => {
                self.api_failures += 1;
                return if self.api_failures > API_TRIES { Err(e) } else { Ok(()) };
            }
        };
        self.api_failures = 0;
        for case in cases {
            let before = self.cases.get(&case.id).cloned();
            let short: String = case.id.chars().take(8).collect();
            let known = before.as_ref().map_or(0, |b| b.timeline.len());
            if before.is_none() {
                self.merge.add(Event {
                    at: case.opened_at,
                    device: case.device.clone(),
                    mark: Mark::Case,
                    text: format!("case {short} opened: {}", case.title),
                });
            }
            for entry in case.timeline.iter().skip(known) {
                self.merge.add(Event {
                    at: entry.at,
                    device: case.device.clone(),
                    mark: entry.kind.into(),
                    text: entry.text.clone(),
                });
            }
            if before.as_ref().is_some_and(|b| b.phase != case.phase) {
                let met = case.goals.iter().filter(|g| g.state == "met").count();
                let text = format!(
                    "case {short} is {} ({met} of {} goals met)",
                    case.phase.replace('_', " "),
                    case.goals.len()
                );
                self.note(Mark::Case, &case.device, text);
            }
            if case.served() && !before.is_some_and(|b| b.served()) {
                self.note(Mark::Case, &case.device, format!("case {short} is served"));
            }
            self.cases.insert(case.id.clone(), case);
        }
        Ok(())
    }

    fn all_served(&self) -> bool {
        [&self.brakes, &self.battery].into_iter().all(|car| self.case_of(car).is_some_and(Case::served))
    }

    fn case_of(&self, car: &str) -> Option<&Case> {
        self.cases.values().find(|c| c.device == car)
    }

    fn note(&mut self, mark: Mark, device: &str, text: String) {
        self.merge.add(Event { at: (self.clock)(), device: device.to_owned(), mark, text });
    }

    fn flush(&mut self, until: At) {
        for event in self.merge.take(until) {
            self.screen.event(&event);
        }
    }

    fn show_progress(&mut self) {
        let phase = if self.faults.is_empty() {
            "the fleet drives".to_owned()
        } else {
            let served = [&self.brakes, &self.battery].map(|car| self.case_of(car).is_some_and(Case::served));
            format!("{} of 2 cases served", served.into_iter().filter(|s| *s).count())
        };
        let elapsed = (self.clock)() - self.began_at;
        let rate = self.rate.of(self.fleet.messages(), Instant::now());
        self.screen.progress(format!("{phase} | {rate:.0} messages/s | {} s", elapsed.as_millis() / 1000));
    }

    fn summary(&self) -> Summary {
        let one = |car: &String| {
            let fault_at = self.faults.get(car).copied().unwrap_or(self.began_at);
            let confirmed = self.confirmed_at.filter(|_| *car == self.brakes);
            self.case_of(car)
                .map_or_else(|| Served::without_case(car), |case| Served::of(case, fault_at, confirmed, &self.sandbox))
        };
        let cases: Vec<Served> = [&self.brakes, &self.battery].into_iter().map(one).collect();
        Summary {
            event: "summary",
            served: cases.iter().all(|c| c.served),
            elapsed_ms: ((self.clock)() - self.began_at).as_millis(),
            messages: self.fleet.messages(),
            other_cases: self.cases.len().saturating_sub(cases.iter().filter(|c| !c.title.is_empty()).count()),
            cases,
            accepted: Accepted::all(&self.sandbox),
        }
    }
}

/// Messages a second, over the last second or so.
#[derive(Debug, Default)]
struct Rate {
    last: Option<(Instant, u64)>,
    value: f64,
}

impl Rate {
    fn of(&mut self, count: u64, now: Instant) -> f64 {
        let (at, before) = *self.last.get_or_insert((now, count));
        let passed = now.duration_since(at).as_secs_f64();
        if passed >= 1.0 {
            let new = u32::try_from(count.saturating_sub(before)).unwrap_or(u32::MAX);
            self.value = f64::from(new) / passed;
            self.last = Some((now, count));
        }
        self.value
    }
}
