//! The queue between the connection and the journal thread, limited in messages and bytes.
//!
//! One side is a task that must not block, the other a plain thread that wants to sleep until there is work and then
//! take all of it at once. A mutex around a deque does both; it is held for nanoseconds, and the thread is woken only
//! when it sleeps, so a message costs no system call under load.
//!
//! When it is full, what the broker would repeat waits, and what it would not gives way: first what is old news of its
//! device, so that of each device the newest word stays for as long as there is room for one of each.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// How much may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// At most so many messages.
    pub messages: usize,
    /// At most so many bytes of topics and payloads; one message is always let in, however large.
    pub bytes: usize,
}

/// The connection has ended and the queue is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the connection has ended")]
pub struct Closed;

/// The end that the connection fills.
#[derive(Debug)]
pub(super) struct Sender<T>(Arc<Shared<T>>);

/// The end that the journal thread empties.
#[derive(Debug)]
pub struct Receiver<T>(Arc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    inner: Mutex<Inner<T>>,
    filled: Condvar,
    room: Notify,
    limits: Limits,
}

#[derive(Debug)]
struct Inner<T> {
    /// Size and message; `None`: it has given way.
    items: VecDeque<(usize, Option<T>)>,
    /// The number of the first of them.
    first: u64,
    /// How many have not given way.
    count: usize,
    bytes: usize,
    /// Of messages that may be lost: the number of the newest, by key.
    newest: HashMap<u64, u64>,
    /// The numbers of those that a newer one of their key has followed.
    outdated: VecDeque<u64>,
    /// The thread sleeps in `recv_batch`.
    waiting: bool,
    closed: bool,
}

pub(super) fn queue<T>(limits: Limits) -> (Sender<T>, Receiver<T>) {
    let inner = Inner {
        items: VecDeque::new(),
        first: 0,
        count: 0,
        bytes: 0,
        newest: HashMap::new(),
        outdated: VecDeque::new(),
        waiting: false,
        closed: false,
    };
    let shared = Arc::new(Shared { inner: Mutex::new(inner), filled: Condvar::new(), room: Notify::new(), limits });
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Inner<T> {
    /// Whether there is room; a message alone is let in, however large.
    fn fits(&self, bytes: usize, limits: Limits) -> bool {
        self.count == 0 || self.count < limits.messages && self.bytes.saturating_add(bytes) <= limits.bytes
    }

    fn push(&mut self, item: T, bytes: usize) {
        self.items.push_back((bytes, Some(item)));
        self.count += 1;
        self.bytes += bytes;
    }

    fn pop(&mut self) -> Option<T> {
        while let Some((bytes, item)) = self.items.pop_front() {
            self.first += 1;
            if let Some(item) = item {
                self.count -= 1;
                self.bytes -= bytes;
                return Some(item);
            }
        }
        None
    }

    /// Has the oldest message give way that a newer one of its key has followed.
    fn make_room(&mut self) -> Option<T> {
        while let Some(number) = self.outdated.pop_front() {
            let place = number.checked_sub(self.first).and_then(|ix| usize::try_from(ix).ok());
            let Some((bytes, item)) = place.and_then(|ix| self.items.get_mut(ix)) else { continue };
            if let Some(item) = item.take() {
                self.count -= 1;
                self.bytes -= *bytes;
                return Some(item);
            }
        }
        None
    }

    /// Forgets the numbers of messages that have gone, now and then.
    fn forget(&mut self, limits: Limits) {
        if self.items.is_empty() {
            self.newest.clear();
            self.outdated.clear();
        }
        let (first, most) = (self.first, limits.messages.saturating_mul(2));
        if self.newest.len() > most {
            self.newest.retain(|_, number| *number >= first);
        }
        if self.outdated.len() > most {
            self.outdated.retain(|number| *number >= first);
        }
    }
}

impl<T> Sender<T> {
    /// Puts a message of `bytes` bytes in, or gives it back if there is no room.
    pub(super) fn try_push(&self, item: T, bytes: usize) -> Result<(), T> {
        let mut inner = self.0.lock();
        if !inner.fits(bytes, self.0.limits) {
            return Err(item);
        }
        inner.push(item, bytes);
        self.wake(inner);
        Ok(())
    }

    /// Puts a message in that may be lost. Without room messages give way, the oldest first: those that a newer one of
    /// their `key` has followed, and if there is none, this one. Returns what has given way.
    pub(super) fn push_or_shed(&self, item: T, bytes: usize, key: u64) -> Vec<T> {
        let mut inner = self.0.lock();
        inner.forget(self.0.limits);
        let number = inner.first + inner.items.len() as u64;
        let before = inner.newest.insert(key, number);
        inner.outdated.extend(before);
        let mut shed = Vec::new();
        while !inner.fits(bytes, self.0.limits) {
            if let Some(old) = inner.make_room() {
                shed.push(old);
                continue;
            }
            inner.newest.remove(&key);
            shed.push(item);
            return shed;
        }
        inner.push(item, bytes);
        self.wake(inner);
        shed
    }

    fn wake(&self, mut inner: MutexGuard<'_, Inner<T>>) {
        let wake = std::mem::take(&mut inner.waiting);
        drop(inner);
        if wake {
            self.0.filled.notify_one();
        }
    }

    /// Puts a message in as soon as there is room, or gives it back at `deadline`.
    pub(super) async fn push(&self, mut item: T, bytes: usize, deadline: Instant) -> Result<(), T> {
        loop {
            item = match self.try_push(item, bytes) {
                Ok(()) => return Ok(()),
                Err(item) => item,
            };
            if timeout_at(deadline, self.0.room.notified()).await.is_err() {
                return self.try_push(item, bytes);
            }
        }
    }

    /// Waits until at most half of the queue is taken.
    pub(super) async fn half_free(&self) {
        loop {
            let room = self.0.room.notified();
            {
                let inner = self.0.lock();
                let limits = self.0.limits;
                if inner.count <= limits.messages / 2 && inner.bytes <= limits.bytes / 2 {
                    return;
                }
            }
            room.await;
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.filled.notify_all();
    }
}

impl<T> Receiver<T> {
    /// Blocks until there is a message or `timeout` is over, then takes up to `max` messages, oldest first, and appends
    /// them to `out`. Returns how many; 0 after the timeout. For a plain thread, never for an async task.
    pub fn recv_batch(&mut self, max: usize, timeout: Duration, out: &mut Vec<T>) -> Result<usize, Closed> {
        let mut inner = self.0.lock();
        if inner.count == 0 && !inner.closed {
            inner.waiting = true;
            let empty = |i: &mut Inner<T>| i.count == 0 && !i.closed;
            inner = self.0.filled.wait_timeout_while(inner, timeout, empty).unwrap_or_else(PoisonError::into_inner).0;
            inner.waiting = false;
        }
        if inner.count == 0 && inner.closed {
            return Err(Closed);
        }
        let before = out.len();
        out.extend(std::iter::from_fn(|| inner.pop()).take(max));
        let n = out.len() - before;
        drop(inner);
        if n > 0 {
            self.0.room.notify_one();
        }
        Ok(n)
    }

    /// Messages and bytes that wait now.
    #[must_use]
    pub fn depth(&self) -> (usize, usize) {
        let inner = self.0.lock();
        (inner.count, inner.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    #[test]
    fn both_limits_hold_and_a_giant_passes_alone() {
        let (tx, mut rx) = queue(Limits { messages: 2, bytes: 100 });
        let mut out = Vec::new();
        assert_eq!(tx.try_push('a', 1000), Ok(()), "larger than the limit, but alone");
        assert_eq!(tx.try_push('b', 1), Err('b'));
        assert_eq!(rx.recv_batch(9, NOW, &mut out), Ok(1));
        assert_eq!(tx.try_push('b', 60), Ok(()));
        assert_eq!(tx.try_push('c', 60), Err('c'));
        assert_eq!(tx.try_push('c', 40), Ok(()));
        assert_eq!(tx.try_push('d', 0), Err('d'));
        assert_eq!(rx.depth(), (2, 100));
        assert_eq!(rx.recv_batch(1, NOW, &mut out), Ok(1));
        assert_eq!(rx.recv_batch(9, NOW, &mut out), Ok(1));
        assert_eq!(rx.recv_batch(9, NOW, &mut out), Ok(0));
        assert_eq!(out, ['a', 'b', 'c']);
    }

    #[test]
    fn d3_what_may_be_lost_gives_way_oldest_first_and_the_newest_of_each_device_last() {
        let (tx, mut rx) = queue(Limits { messages: 4, bytes: 100 });
        let put = |text: &'static str| tx.push_or_shed(text, 10, u64::from(text.as_bytes()[0]));
        for text in ["a1", "b1", "a2"] {
            assert_eq!(put(text), [""; 0]);
        }
        assert_eq!(tx.try_push("kept", 10), Ok(()));
        assert_eq!(put("b2"), ["a1"], "the oldest that has a newer one of its device");
        assert_eq!(put("c1"), ["b1"]);
        assert_eq!(put("d1"), ["d1"], "nothing is old news any more");
        assert_eq!(put("a3"), ["a2"], "its own is");
        assert_eq!((tx.try_push("waits", 10), rx.depth()), (Err("waits"), (4, 40)));
        let mut out = Vec::new();
        assert_eq!(rx.recv_batch(2, NOW, &mut out), Ok(2));
        assert_eq!(put("b3"), [""; 0]);
        assert_eq!(put("a4"), [""; 0]);
        assert_eq!(put("a5"), ["a3"], "what has been handed out is no longer in the way");
        assert_eq!(rx.recv_batch(9, NOW, &mut out), Ok(4));
        assert_eq!(out, ["kept", "b2", "c1", "b3", "a4", "a5"]);
        assert_eq!(rx.depth(), (0, 0));
        assert_eq!(put("a6"), [""; 0]);
    }

    #[test]
    fn the_rest_is_still_handed_out_after_the_end() {
        let (tx, mut rx) = queue(Limits { messages: 2, bytes: 100 });
        tx.try_push(1, 1).unwrap();
        drop(tx);
        let mut out = Vec::new();
        assert_eq!(rx.recv_batch(9, Duration::from_secs(60), &mut out), Ok(1));
        assert_eq!(rx.recv_batch(9, Duration::from_secs(60), &mut out), Err(Closed));
    }

    #[tokio::test]
    async fn a_full_queue_makes_the_sender_wait_and_loses_nothing() {
        let (tx, mut rx) = queue(Limits { messages: 3, bytes: 1000 });
        let thread = std::thread::spawn(move || {
            let mut out = Vec::new();
            while rx.recv_batch(2, Duration::from_secs(60), &mut out).is_ok() {}
            out
        });
        for n in 0..10_000 {
            tx.push(n, 1, Instant::now() + Duration::from_secs(60)).await.unwrap();
        }
        tx.half_free().await;
        drop(tx);
        assert_eq!(thread.join().unwrap(), (0..10_000).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn the_sender_gives_up_at_the_deadline() {
        let (tx, _rx) = queue(Limits { messages: 1, bytes: 1000 });
        tx.try_push(1, 1).unwrap();
        assert_eq!(tx.push(2, 1, Instant::now() + Duration::from_millis(20)).await, Err(2));
    }
}
