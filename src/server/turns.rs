//! Turns: of each address only so many password digests are computed at the same time, the others wait.
//!
//! A digest costs milliseconds of a processor on purpose; who asks for hundreds at once must not make everybody else wait.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::limits::DIGESTS_EACH;

/// Who has a turn now.
#[derive(Default)]
pub struct Turns {
    /// How many of each address. Held to take a turn or give it back.
    taken: Mutex<HashMap<IpAddr, usize>>,
    freed: Condvar,
}

/// One turn; dropping it gives it back.
pub struct Turn<'a> {
    turns: &'a Turns,
    address: IpAddr,
}

impl Turns {
    fn taken(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `address` has fewer than `DIGESTS_EACH`.
    pub fn take(&self, address: IpAddr) -> Turn<'_> {
        let has_many = |taken: &mut HashMap<IpAddr, usize>| taken.get(&address) >= Some(&DIGESTS_EACH);
        let waited = self.freed.wait_while(self.taken(), has_many);
        *waited.unwrap_or_else(PoisonError::into_inner).entry(address).or_default() += 1;
        Turn { turns: self, address }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut taken = self.turns.taken();
        taken.entry(self.address).and_modify(|count| *count -= 1);
        taken.retain(|_, count| *count > 0);
        self.turns.freed.notify_all();
    }
}
