//! The receiving side as the runtime takes messages from it.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use super::shed::Shed;
use super::{Ack, AckSender, Closed, Connection, Control, Link, Queue};
use crate::runtime::{Incoming, Source};

/// What the journal thread reads from and acknowledges to.
#[derive(Debug)]
pub struct Intake {
    incoming: Queue<Incoming<Ack>>,
    acks: AckSender,
    shed: Shed,
    link: watch::Receiver<Link>,
}

impl Connection {
    /// Parts into what the journal thread needs and what the rest of the program steers by.
    #[must_use]
    pub fn into_intake(self) -> (Intake, Control, watch::Receiver<Link>) {
        let Self { incoming, shed, acks, link, control } = self;
        (Intake { incoming, acks, shed, link: link.clone() }, control, link)
    }
}

impl Source for Intake {
    type Ack = Ack;

    fn recv(&mut self, max: usize, wait: Duration, out: &mut Vec<Incoming<Ack>>) -> bool {
        !matches!(self.incoming.recv_batch(max, wait, out), Err(Closed))
    }

    fn drained(&self) -> bool {
        self.link.borrow().is_connected() && self.incoming.depth().0 == 0
    }

    fn ack(&mut self, acks: Vec<Ack>) {
        if !acks.is_empty() {
            self.acks.release(acks);
        }
    }

    fn shed(&mut self) -> BTreeMap<Bytes, u64> {
        self.shed.take()
    }
}
