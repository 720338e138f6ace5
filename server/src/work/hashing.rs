//! Passwords: hashing new ones, verifying given ones. Slow on purpose, hence on threads of its own.

use zeroize::Zeroizing;

use super::{Done, Entropy, HashJob};

/// A hash that no password has: its salt and digest are zeros. An unknown name is verified against
/// it, so that the answer takes as long as for a known one.
const NOBODYS_SALT_AND_DIGEST: &str = ".....................................................";

/// Where a hash thread gets its random bytes: the system, or a simulator's seed.
pub trait Randomness: Send {
    /// Bytes that nobody can guess.
    fn entropy(&mut self) -> Entropy;
}

/// Does hash jobs, one at a time.
#[derive(Debug)]
pub struct Hasher<R> {
    cost: u32,
    nobodys_hash: String,
    randomness: R,
}

impl<R: Randomness> Hasher<R> {
    /// A hasher at bcrypt's `cost` (4 to 15; each step doubles the time).
    pub fn new(cost: u32, randomness: R) -> Hasher<R> {
        let nobodys_hash = format!("$2b${cost:02}${NOBODYS_SALT_AND_DIGEST}");
        Hasher { cost, nobodys_hash, randomness }
    }

    /// Does one job.
    ///
    /// # Panics
    /// When a new password breaks the rule for passwords: the node checks it before.
    pub fn run(&mut self, job: HashJob) -> Done {
        match job {
            HashJob::Hash(ticket, password) => {
                // The salt is half of one draw, session and token come from another.
                let mut salt = [0; 16];
                salt.copy_from_slice(&self.randomness.entropy().0[..16]);
                let hash = self.hash(&password, salt);
                Done::Hashed(ticket, hash, self.randomness.entropy())
            }
            HashJob::Verify(ticket, password, hash) => {
                let is_known = hash.is_some();
                let hash = hash.as_deref().unwrap_or(&self.nobodys_hash);
                let matches = verify(&password, hash) && is_known;
                Done::Verified(ticket, matches, self.randomness.entropy())
            }
        }
    }

    fn hash(&self, password: &Zeroizing<String>, salt: [u8; 16]) -> String {
        bcrypt::non_truncating_hash_with_salt(password.as_bytes(), self.cost, salt)
            .expect("the rule for passwords and the bounds of the cost leave nothing to refuse")
            .to_string()
    }
}

/// Whether `password` has `hash`. A password that bcrypt cannot take has no hash.
fn verify(password: &Zeroizing<String>, hash: &str) -> bool {
    bcrypt::non_truncating_verify(password.as_bytes(), hash).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::Ticket;

    struct Counting(u8);

    impl Randomness for Counting {
        fn entropy(&mut self) -> Entropy {
            self.0 += 1;
            Entropy([self.0; 48])
        }
    }

    fn password(text: &str) -> Zeroizing<String> {
        Zeroizing::new(text.to_owned())
    }

    fn matches(hasher: &mut Hasher<Counting>, text: &str, hash: Option<String>) -> bool {
        let done = hasher.run(HashJob::Verify(Ticket(2), password(text), hash));
        let Done::Verified(Ticket(2), matches, _) = done else { panic!("{done:?}") };
        matches
    }

    #[test]
    fn a_hash_is_of_its_password_and_no_other_and_its_session_is_not_its_salt() {
        let mut hasher = Hasher::new(4, Counting(0));
        let job = HashJob::Hash(Ticket(1), password("correct horse"));
        let Done::Hashed(Ticket(1), hash, entropy) = hasher.run(job) else { panic!("a hash") };
        assert_eq!(entropy.0[0], 2, "the salt was drawn before");
        assert!(matches(&mut hasher, "correct horse", Some(hash.clone())));
        assert!(!matches(&mut hasher, "correct house", Some(hash.clone())));
        assert!(!matches(&mut hasher, &"x".repeat(100), Some(hash)), "too long for any hash");
        assert!(!matches(&mut hasher, "correct horse", Some("damaged".to_owned())));
    }

    #[test]
    fn an_unknown_name_costs_as_much_as_a_known_one_and_is_refused() {
        let mut hasher = Hasher::new(4, Counting(0));
        assert!(!matches(&mut hasher, "correct horse", None));
        let parsed: bcrypt::HashParts = hasher.nobodys_hash.parse().expect("a well-formed hash");
        assert_eq!(parsed.get_cost(), 4);
        // bcrypt refuses a malformed hash at once; this one must be worked through.
        assert!(bcrypt::non_truncating_verify("x", &hasher.nobodys_hash).is_ok());
    }
}
