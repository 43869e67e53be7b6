//! Appointments against the workshop of the sandbox: however the answer is lost, asking finds out what is so, and one
//! effect is one booking.

use std::sync::Arc;
use std::time::Duration;

use forewarn::demo::sandbox::{MERCHANT, Sightings, Stage, USER, WorkshopFault, WorkshopServer};
use forewarn::desk::Input;
use forewarn::domain::{BookWork, BookingNews, BookingProgress, Outcome, ReceiptKind, Slot, Span, Work};
use forewarn::runtime::Channel;

use super::support::*;

fn slot(hours: i64) -> Slot {
    let start_at = now() + Span::from_hours(hours);
    Slot { start_at, end_at: start_at + Span::from_hours(1) }
}

async fn workshop() -> (WorkshopServer, World, Arc<dyn Channel>) {
    let stage = Stage { clock: Arc::new(now), sightings: Sightings::default() };
    let server = WorkshopServer::start("p", stage).await.unwrap();
    let world = World::new();
    let channel = world.build(&format!(
        "kind = \"booking-server\"\nurl = \"{}\"\nmerchant = \"{MERCHANT}\"\nusername = \"{USER}\"\npassword = \"p\"\n\
         name = \"W\"\nplace = \"P\"\nhours = \"08:00-17:00\"\ntz = \"UTC\"\ntimeout = \"300ms\"",
        server.url()
    ));
    (server, world, channel)
}

fn news(world: &World) -> Vec<BookingNews> {
    let told = std::mem::take(&mut *world.told.lock().unwrap());
    let news = told.into_iter().map(|input| match input {
        Input::Receipt(receipt) => match receipt.what {
            ReceiptKind::Booking { news } => news,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    });
    news.collect()
}

fn create(lease: Option<&str>) -> Work {
    let who = [("name", "Jane Doe"), ("phone", "+491"), ("email", "jane@example.com"), ("locale", "de")];
    let who = who.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    let (service, note) = ("pad_wear".to_owned(), "car-1".to_owned());
    Work::Book(BookWork::Create { service, slot: slot(24), lease: lease.map(str::to_owned), who, note })
}

fn hold() -> Work {
    Work::Book(BookWork::Hold { service: "pad_wear".into(), slot: slot(24), until_at: now() + Span::from_hours(48) })
}

#[tokio::test]
async fn times_are_found_kept_and_booked() {
    let (server, world, channel) = workshop().await;
    let slots = vec![slot(24), slot(25)];
    let search = |slots: &Vec<Slot>| Work::Book(BookWork::Search { service: "pad_wear".into(), slots: slots.clone() });
    assert_eq!(word(&channel.attempt(send(search(&slots))).await), "accepted");
    assert_eq!(news(&world), [BookingNews::Free { slots: slots.clone() }]);

    let Outcome::Accepted { provider_ref: lease } = channel.attempt(send(hold())).await else { panic!() };
    let until_at = Some(now() + Span::from_hours(48));
    assert_eq!(news(&world), [BookingNews::Held { lease: Some(lease.clone()), until_at }]);
    assert_eq!(server.kept(), 1);
    // A second customer for the same time.
    assert_eq!(word(&channel.attempt(send(hold())).await), "rejected");
    assert_eq!(news(&world), [BookingNews::Gone]);
    channel.attempt(send(search(&slots))).await;
    assert_eq!(news(&world), [BookingNews::Free { slots: vec![slot(25)] }]);

    let Outcome::Accepted { provider_ref: booking } = channel.attempt(send(create(Some(&lease)))).await else {
        panic!()
    };
    let stands = |progress, hours| BookingNews::Stands { booking: booking.clone(), progress, slot: Some(slot(hours)) };
    assert_eq!(news(&world), [stands(BookingProgress::Confirmed, 24)]);
    let made = server.booked();
    assert_eq!((made.len(), made[0].token.as_str(), made[0].user.as_str()), (1, EFFECT, EFFECT));

    let status = || Work::Book(BookWork::Status { created_by: effect(), booking: booking.clone() });
    server.change(&booking, "CONFIRMED", Span::from_hours(2));
    assert_eq!(word(&channel.attempt(send(status())).await), "accepted");
    assert_eq!(news(&world), [stands(BookingProgress::Confirmed, 26)]);
    server.change(&booking, "NO_SHOW", Span::ZERO);
    channel.attempt(send(status())).await;
    assert_eq!(news(&world), [stands(BookingProgress::NoShow, 26)]);
    let cancel = Work::Book(BookWork::Cancel { booking: booking.clone() });
    for _ in 0..2 {
        assert_eq!(channel.attempt(send(cancel.clone())).await, accepted(&booking));
        assert_eq!(news(&world), [stands(BookingProgress::Cancelled, 26)]);
    }
}

#[tokio::test]
async fn a_booking_of_unknown_outcome_is_found_and_never_made_twice() {
    for (fault, expected, made) in [
        (None, ("accepted", "accepted"), 1),
        (Some(WorkshopFault::CutAfterAccept), ("unknown", "accepted"), 1),
        (Some(WorkshopFault::ErrorAfterAccept), ("unknown", "accepted"), 1),
        (Some(WorkshopFault::Slow(Duration::from_secs(2))), ("unknown", "accepted"), 1),
        (Some(WorkshopFault::CutBefore), ("unknown", "not found"), 0),
        (Some(WorkshopFault::Unavailable(7)), ("retry", "not found"), 0),
        (Some(WorkshopFault::SlotGone), ("rejected", "not found"), 0),
        (Some(WorkshopFault::Declines), ("rejected", "not found"), 0),
    ] {
        let (server, world, channel) = workshop().await;
        server.script(fault);
        let sent = channel.attempt(send(create(None))).await;
        let told = news(&world);
        let asked = channel.attempt(reconcile(create(None))).await;
        assert_eq!((word(&sent), word(&asked)), expected, "{fault:?}");
        assert_eq!(server.booked().len(), made, "{fault:?}");
        assert_eq!(told.contains(&BookingNews::Gone), fault == Some(WorkshopFault::SlotGone), "{fault:?}: {told:?}");
        // Sent again under its token: still one.
        if made == 1 {
            channel.attempt(send(create(None))).await;
            assert_eq!(server.booked().len(), 1, "{fault:?}");
        }
    }
}

#[tokio::test]
async fn a_workshop_that_keeps_no_times_is_booked_all_the_same() {
    let (server, world, channel) = workshop().await;
    server.leasing(false);
    assert_eq!(word(&channel.attempt(send(hold())).await), "accepted");
    assert_eq!(news(&world), [BookingNews::Held { lease: None, until_at: None }]);
    assert_eq!(word(&channel.attempt(reconcile(hold())).await), "unknown", "a hold cannot be asked for");
    assert_eq!(word(&channel.attempt(send(create(Some("L-9")))).await), "rejected", "a lease that was never given");
    assert_eq!(news(&world), [BookingNews::Gone]);
    assert_eq!(word(&channel.attempt(send(create(None))).await), "accepted");
}
