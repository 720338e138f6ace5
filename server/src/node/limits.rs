//! How often somebody may do something: token buckets, refilled by the time that the caller says.
//!
//! Owns: the buckets, in memory only. Driven by: the node. Invariants: a bucket that is full again
//! is the same as none, so it is dropped and the map stays as small as what goes on just now; never
//! more than [`KEYS_MAX`] keys are held. Does not: read a clock; survive a restart, or count what
//! other servers accept (protocol.md: counted by the accepting server only).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Keys held at most. Then the half with the fullest buckets is forgiven: an attacker with many
/// names must not make the server remember them all, nor forget those who did most.
const KEYS_MAX: usize = 100_000;

/// Buckets of one kind, one for each key.
#[derive(Debug)]
pub(super) struct Buckets<K> {
    capacity: f64,
    per_second: f64,
    buckets: BTreeMap<K, Bucket>,
    /// How many buckets there were after the last sweep.
    swept_len: usize,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl<K: Ord + Clone> Buckets<K> {
    /// Buckets that hold `capacity` and gain `per_second`.
    pub(super) fn new(capacity: f64, per_second: f64) -> Buckets<K> {
        Buckets { capacity, per_second, buckets: BTreeMap::new(), swept_len: 0 }
    }

    /// Takes one token of `key`, or says how long until there is one.
    pub(super) fn take(&mut self, key: &K, now: Instant) -> Result<(), Duration> {
        self.sweep(now);
        let tokens = self.tokens(key, now);
        if tokens < 1.0 {
            let missing = Duration::from_secs_f64((1.0 - tokens) / self.per_second);
            return Err(missing.max(Duration::from_millis(1)));
        }
        self.buckets.insert(key.clone(), Bucket { tokens: tokens - 1.0, at: now });
        Ok(())
    }

    /// Gives back a token that was taken for what turned out not to count.
    pub(super) fn give_back(&mut self, key: &K, now: Instant) {
        let tokens = self.tokens(key, now) + 1.0;
        if tokens >= self.capacity {
            self.buckets.remove(key);
        } else {
            self.buckets.insert(key.clone(), Bucket { tokens, at: now });
        }
    }

    fn tokens(&self, key: &K, now: Instant) -> f64 {
        self.buckets.get(key).map_or(self.capacity, |bucket| self.refilled(*bucket, now))
    }

    fn refilled(&self, bucket: Bucket, now: Instant) -> f64 {
        let gained = now.saturating_duration_since(bucket.at).as_secs_f64() * self.per_second;
        (bucket.tokens + gained).min(self.capacity)
    }

    /// Drops what is full again, whenever the map has doubled: a constant cost for each `take`.
    fn sweep(&mut self, now: Instant) {
        if self.buckets.len() < (2 * self.swept_len).clamp(64, KEYS_MAX) {
            return;
        }
        let mut held = std::mem::take(&mut self.buckets).into_iter().collect::<Vec<_>>();
        for (_, bucket) in &mut held {
            *bucket = Bucket { tokens: self.refilled(*bucket, now), at: now };
        }
        held.retain(|(_, bucket)| bucket.tokens < self.capacity);
        if held.len() > KEYS_MAX / 2 {
            held.sort_by(|(_, one), (_, other)| one.tokens.total_cmp(&other.tokens));
            held.truncate(KEYS_MAX / 2);
        }
        self.swept_len = held.len();
        self.buckets = held.into_iter().collect();
    }
}

/// Whom an address counts as: with IPv6 one host has a network of 2^64 addresses, so that counts;
/// an IPv4 address is the same in either notation.
pub(super) fn address_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let network = v6.to_bits() & (u128::MAX << 64);
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an instant can only be had from the clock")]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate_then_the_wait_is_told() {
        let start = Instant::now();
        let mut buckets = Buckets::new(3.0, 2.0);
        for _ in 0..3 {
            assert_eq!(buckets.take(&"ann", start), Ok(()));
        }
        assert_eq!(buckets.take(&"ann", start), Err(Duration::from_millis(500)));
        assert_eq!(buckets.take(&"bob", start), Ok(()), "others are not concerned");
        let later = start + Duration::from_millis(500);
        assert_eq!(buckets.take(&"ann", later), Ok(()));
        assert!(buckets.take(&"ann", later).is_err());
        buckets.give_back(&"ann", later);
        assert_eq!(buckets.take(&"ann", later), Ok(()));
    }

    #[test]
    fn buckets_that_are_full_again_are_forgotten() {
        let start = Instant::now();
        let mut buckets = Buckets::new(1.0, 1.0);
        for key in 0..1_000 {
            buckets.take(&key, start + Duration::from_secs(key)).unwrap();
        }
        assert!(buckets.buckets.len() < 200, "{} held", buckets.buckets.len());
    }
    #[test]
    fn of_too_many_keys_the_emptiest_buckets_are_kept() {
        let start = Instant::now();
        let mut buckets = Buckets::new(2.0, 0.001);
        // The smallest key is the one that took most.
        buckets.take(&0, start).unwrap();
        buckets.take(&0, start).unwrap();
        for key in 1..250_000 {
            buckets.take(&key, start).unwrap();
            assert!(buckets.buckets.len() <= KEYS_MAX);
        }
        assert!(buckets.take(&0, start).is_err(), "it was not forgiven");
    }

    #[test]
    fn a_network_of_one_host_is_one_key() {
        let key = |address: &str| address_key(address.parse().unwrap());
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::7"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:192.0.2.7"), key("192.0.2.7"));
        assert_ne!(key("192.0.2.7"), key("192.0.2.8"));
    }
}
