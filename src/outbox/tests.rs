use proptest::prelude::*;

use super::*;
use crate::domain::{
    At, CallProgress, EffectId, JobState, JobUpdate, Outcome, Purpose, Rate, Receipt, ReceiptKind, SmsProgress, Span,
};

fn id() -> EffectId {
    EffectId::of(At::from_secs(0), &[b"effect"])
}

fn s(seconds: i64) -> At {
    At::from_secs(seconds)
}

fn accepted() -> Outcome {
    Outcome::Accepted { provider_ref: "ref-1".into() }
}

fn unknown() -> Outcome {
    Outcome::Unknown { reason: "timeout".into() }
}

fn receipt(what: ReceiptKind, seq: Option<u64>) -> Receipt {
    Receipt { effect: id(), provider_ref: None, seq, what }
}

fn call(progress: CallProgress) -> ReceiptKind {
    ReceiptKind::Call { progress }
}

fn sent(kind: Kind, purpose: Purpose) -> Delivery {
    let mut d = Delivery::new(kind, purpose, s(0), s(86_400));
    assert_eq!(d.on(&id(), s(0), &Event::Claim), Some(News::Go(Ask::Send)));
    d
}

/// From SENDING, by kind and what came.
#[test]
fn outcomes_of_an_attempt() {
    let rejected = Outcome::Rejected { reason: "no such number".into() };
    let retry = Outcome::Retry { after: Some(Span::from_secs(7)), reason: "429".into() };
    for (kind, outcome, state, news) in [
        (Kind::Call, accepted(), State::Accepted, News::Taken),
        (Kind::Call, rejected.clone(), State::Rejected, News::Lost),
        (Kind::Mail, retry.clone(), State::Retry, News::Noted),
        (Kind::Call, unknown(), State::Unknown, News::InDoubt),
        (Kind::TicketCreate, unknown(), State::Unknown, News::InDoubt),
        (Kind::Sms, Outcome::NotFound, State::Unknown, News::InDoubt),
        // May be repeated without asking.
        (Kind::DispatchStatus, unknown(), State::Retry, News::Noted),
        (Kind::Webhook, unknown(), State::Retry, News::Noted),
    ] {
        let mut d = sent(kind, Purpose::Safety);
        assert_eq!(d.on(&id(), s(1), &Event::Outcome(1, &outcome)), Some(news), "{kind:?} {outcome:?}");
        assert_eq!(d.state, state, "{kind:?} {outcome:?}");
    }
    let mut d = sent(Kind::Mail, Purpose::Service);
    d.on(&id(), s(1), &Event::Outcome(1, &retry));
    assert!(d.not_before_at >= s(8), "the provider's own wish is respected");
    assert_eq!(d.on(&id(), s(2), &Event::Outcome(0, &accepted())), None, "an older attempt is old news");
}

/// What callbacks may and may not change.
#[test]
fn callbacks_only_go_forward() {
    use CallProgress::{Busy, Completed, InProgress, NoAnswer, Ringing};
    for (before, now, expected) in [
        (Ringing, InProgress, State::Delivered),
        (InProgress, Ringing, State::Delivered),
        (InProgress, NoAnswer, State::Delivered),
        (Ringing, Busy, State::Failed),
        (Busy, Ringing, State::Failed),
        (Busy, Completed, State::Delivered),
    ] {
        let mut d = sent(Kind::Call, Purpose::Safety);
        d.on(&id(), s(1), &Event::Receipt(&receipt(call(before), None)));
        d.on(&id(), s(2), &Event::Receipt(&receipt(call(now), None)));
        assert_eq!(d.state, expected, "{before:?} then {now:?}");
        // The answer to the request comes last and loses.
        d.on(&id(), s(3), &Event::Outcome(1, &Outcome::Rejected { reason: "late".into() }));
        assert_eq!(d.state, expected, "a late REST error overwrites nothing");
    }
    let mut d = sent(Kind::Call, Purpose::Safety);
    d.on(&id(), s(1), &Event::Receipt(&receipt(call(Ringing), Some(5))));
    assert_eq!(d.on(&id(), s(2), &Event::Receipt(&receipt(call(Completed), Some(4)))), None, "older by its number");
    let key = receipt(ReceiptKind::Key { digit: '1' }, Some(1));
    assert_eq!(d.on(&id(), s(3), &Event::Receipt(&key)), Some(News::Confirmed), "a key always counts");
}

#[test]
fn a_ticket_is_searched_twice_before_a_second_create() {
    let mut d = sent(Kind::TicketCreate, Purpose::Safety);
    d.on(&id(), s(20), &Event::Outcome(1, &unknown()));
    assert_eq!(d.wake_at(), Some(s(20)), "the first search is at once");
    assert_eq!(d.on(&id(), s(20), &Event::Tick), Some(News::Go(Ask::Reconcile)));
    d.on(&id(), s(21), &Event::Outcome(2, &Outcome::NotFound));
    assert_eq!((d.state, d.wake_at()), (State::Unknown, Some(s(32))), "the index may lag");
    assert_eq!(d.on(&id(), s(32), &Event::Tick), Some(News::Go(Ask::Reconcile)));
    d.on(&id(), s(33), &Event::Outcome(3, &Outcome::NotFound));
    assert_eq!((d.state, d.not_before_at), (State::Retry, s(33)));
    d.on(&id(), s(33), &Event::Claim);
    d.on(&id(), s(53), &Event::Outcome(4, &unknown()));
    for (at, attempt) in [(53, 5), (65, 6)] {
        d.on(&id(), s(at), &Event::Tick);
        d.on(&id(), s(at), &Event::Outcome(attempt, &Outcome::NotFound));
    }
    assert_eq!(d.state, State::Failed, "only one retry");
    assert_eq!(d.sends, 2);
}

/// Nobody can tell: what happens then, by purpose and kind.
#[test]
fn unknown_for_ever() {
    for (kind, purpose, seconds, state) in [
        (Kind::Call, Purpose::Safety, 35, State::Failed),
        (Kind::Sms, Purpose::Safety, 60, State::Failed),
        (Kind::Mail, Purpose::Safety, 300, State::Failed),
        (Kind::Mail, Purpose::Service, 300 + 900, State::Failed),
        (Kind::Mail, Purpose::Info, 300, State::Failed),
        (Kind::BookHold, Purpose::Service, 0, State::Failed),
        (Kind::TicketCreate, Purpose::Service, 60, State::Unknown),
        (Kind::DispatchRequest, Purpose::Safety, 30, State::Unknown),
    ] {
        let mut d = sent(kind, purpose);
        d.on(&id(), s(0), &Event::Outcome(1, &unknown()));
        let mut last = None;
        for _ in 0..4 {
            let at = d.wake_at().unwrap();
            last = d.on(&id(), at, &Event::Tick).map(|n| (n, at));
            if let Some((News::Go(Ask::Reconcile), _)) = last {
                d.on(&id(), at, &Event::Outcome(d.attempt, &unknown()));
            } else {
                break;
            }
        }
        assert_eq!(last, Some((News::StillInDoubt, s(seconds))), "{kind:?} {purpose:?}");
        assert_eq!(d.state, state, "{kind:?} {purpose:?}");
        assert_eq!(d.sends, 1, "nothing was repeated");
        if state == State::Unknown {
            assert!(d.wake_at().is_some_and(|at| at > s(seconds)), "it is looked for again");
        }
        let proof = if kind == Kind::Call { call(CallProgress::InProgress) } else { ReceiptKind::Key { digit: '1' } };
        assert!(d.on(&id(), s(5_000), &Event::Receipt(&receipt(proof, None))).is_some(), "late news is welcome");
        assert!(d.state >= State::Delivered || d.state == State::Confirmed);
    }
}

#[test]
fn a_restart_makes_attempts_unknown_and_forgets_no_question() {
    let mut d = sent(Kind::Call, Purpose::Safety);
    assert_eq!(d.on(&id(), s(3), &Event::Restart), Some(News::InDoubt));
    assert_eq!(d.on(&id(), s(4), &Event::Restart), None, "twice is once");
    d.on(&id(), s(38), &Event::Tick);
    assert_eq!(d.state, State::Reconciling);
    d.on(&id(), s(39), &Event::Restart);
    assert_eq!((d.state, d.asked), (State::Unknown, 0), "the question is asked again");
    let mut silent = sent(Kind::Call, Purpose::Safety);
    assert_eq!(silent.on(&id(), silent.wake_at().unwrap(), &Event::Tick), Some(News::InDoubt), "a lost channel");
}

#[test]
fn back_off_grows_with_jitter_and_ends_at_an_hour() {
    let base = [1.0, 5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 3600.0];
    for (i, base) in base.into_iter().enumerate() {
        let n = u32::try_from(i).unwrap() + 1;
        let wait = back_off(&id(), n).as_secs_f64();
        assert!((wait - base).abs() <= 0.2 * base + 1e-6, "{n}: {wait}");
        assert_eq!(back_off(&id(), n), back_off(&id(), n), "a replay waits as long");
    }
    let mut d = Delivery::new(Kind::Mail, Purpose::Service, s(0), s(3_600));
    let mut now = s(0);
    let retry = Outcome::Retry { after: None, reason: "connection refused".into() };
    while d.state.is_waiting() {
        now = now.max(d.not_before_at);
        d.on(&id(), now, &Event::Claim);
        d.on(&id(), now, &Event::Outcome(d.attempt, &retry));
    }
    assert_eq!(d.state, State::Dead);
    assert_eq!(d.reason.as_deref(), Some("connection refused"));
    assert!(d.sends >= 6 && now < s(3_600), "{} attempts until {now}", d.sends);
}

#[test]
fn windows_count_and_free_themselves() {
    let limit = Rate { max: 2, per: Span::from_secs(10) };
    let window = Window::default().take(s(100), limit.per).take(s(101), limit.per);
    assert_eq!(window.free_at(s(105), limit), Some(s(110)));
    assert_eq!(window.free_at(s(110), limit), None);
    assert_eq!(window.take(s(110), limit.per).used, 1);
}

#[test]
fn sliding_never_lets_more_through_in_any_stretch() {
    let rate = Rate::per_second(3);
    let mut sliding = Sliding::default();
    let mut sent: Vec<At> = Vec::new();
    let mut now = s(0);
    for step in 0..400 {
        now = now + Span::from_millis(i64::from(step % 7) * 37);
        match sliding.room(now, rate) {
            Ok(_) => {
                sliding.take(now, rate);
                assert_eq!(sliding.last_at(), Some(now));
                sent.push(now);
            }
            Err(at) => {
                assert!(at > now && at <= now + rate.per);
                assert!(sliding.room(at, rate).is_ok(), "the time that is named is true");
            }
        }
    }
    assert!(sent.len() > 60);
    for window in sent.windows(4) {
        assert!(window[3].since(window[0]) >= rate.per, "{window:?}");
    }
}

fn any_event() -> impl Strategy<Value = (u8, u8)> {
    (0u8..9, 0u8..9)
}

fn perform(d: &mut Delivery, now: At, (what, detail): (u8, u8)) {
    let progress = [
        CallProgress::Queued,
        CallProgress::Ringing,
        CallProgress::InProgress,
        CallProgress::Completed,
        CallProgress::Busy,
        CallProgress::NoAnswer,
        CallProgress::Failed,
        CallProgress::Canceled,
        CallProgress::Initiated,
    ][usize::from(detail)];
    let outcome = match detail % 5 {
        0 => accepted(),
        1 => Outcome::Rejected { reason: String::new() },
        2 => Outcome::Retry { after: None, reason: String::new() },
        3 => unknown(),
        _ => Outcome::NotFound,
    };
    let job = JobUpdate {
        job: "J".into(),
        state: if detail < 4 { JobState::Accepted } else { JobState::Declined },
        eta_at: None,
        truck: None,
    };
    let sms = if detail < 4 { SmsProgress::Delivered } else { SmsProgress::Undelivered };
    let seq = (detail % 2 == 0).then_some(u64::from(detail));
    let event_receipt = match what {
        3 => Some(receipt(call(progress), seq)),
        4 => Some(receipt(ReceiptKind::Sms { progress: sms }, seq)),
        5 => Some(receipt(ReceiptKind::Dispatch { update: job }, seq)),
        6 => Some(receipt(ReceiptKind::Key { digit: '1' }, seq)),
        _ => None,
    };
    let attempt = d.attempt;
    let event = match (what, &event_receipt) {
        (_, Some(r)) => Event::Receipt(r),
        (0, _) => Event::Claim,
        (1 | 2, _) => Event::Outcome(attempt.saturating_sub(u32::from(what == 2 && detail > 6)), &outcome),
        (7, _) => Event::Restart,
        _ if detail == 0 => Event::Cancel,
        _ => Event::Tick,
    };
    d.on(&id(), now, &event);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever happens in whatever order: what is proven stays proven, and no order is repeated without the
    /// provider's "no".
    #[test]
    fn states_never_go_backwards(kind in 0usize..6, events in prop::collection::vec(any_event(), 1..60)) {
        let kind = [Kind::Call, Kind::Sms, Kind::Mail, Kind::TicketCreate, Kind::DispatchRequest, Kind::Command][kind];
        let mut d = Delivery::new(kind, Purpose::Safety, s(0), s(86_400));
        let mut now = s(0);
        for event in events {
            let before = d.clone();
            now = now + Span::from_secs(20);
            perform(&mut d, now, event);
            prop_assert!(d.state.proof() >= before.state.proof(), "{:?} -> {:?} by {event:?}", before.state, d.state);
            prop_assert!(d.seq >= before.seq);
            prop_assert!(before.provider_ref.is_none() || before.provider_ref == d.provider_ref);
            if before.state == State::Unknown {
                prop_assert!(d.state != State::Sending && d.state != State::Due, "an unknown outcome is never just repeated");
            }
            prop_assert!(d.resends <= 1);
        }
    }
}
