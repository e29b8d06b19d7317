//! SCRAM credentials of users: set and removed (KIP-554, KIP-900, RFC 5802).
//!
//! A client sends the salted password; what is stored are the two keys made of it, from which it
//! cannot be found. Kafka class to compare: `ScramControlManager`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256, Sha512};

use super::{Decision, Refusal, Scene};
use crate::error::ErrorCode;
use crate::metadata::codec::Blob;
use crate::metadata::records::{RemoveUserScramCredentialRecord, UserScramCredentialRecord};

/// Fewest iterations of either mechanism (RFC 7677).
const ITERATIONS_MIN: i32 = 4_096;

/// Most iterations that Kafka takes.
const ITERATIONS_MAX: i32 = 16_384;

/// A mechanism; the numbers are those of the wire and of the records.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(i8)]
pub enum Mechanism {
    /// SCRAM-SHA-256.
    Sha256 = 1,
    /// SCRAM-SHA-512.
    Sha512 = 2,
}

impl Mechanism {
    /// The mechanism with this number.
    #[must_use]
    pub fn from_code(code: i8) -> Option<Self> {
        match code {
            1 => Some(Self::Sha256),
            2 => Some(Self::Sha512),
            _other => None,
        }
    }

    /// The stored key and the server key of a salted password.
    #[must_use]
    pub fn keys(self, salted_password: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let client_key = self.hmac(salted_password, b"Client Key");
        let stored_key = match self {
            Self::Sha256 => Sha256::digest(client_key).to_vec(),
            Self::Sha512 => Sha512::digest(client_key).to_vec(),
        };
        (stored_key, self.hmac(salted_password, b"Server Key"))
    }

    fn hmac(self, key: &[u8], text: &[u8]) -> Vec<u8> {
        let any = "a key of HMAC may have any length";
        match self {
            Self::Sha256 => {
                let mac = Hmac::<Sha256>::new_from_slice(key).expect(any);
                mac.chain_update(text).finalize().into_bytes().to_vec()
            }
            Self::Sha512 => {
                let mac = Hmac::<Sha512>::new_from_slice(key).expect(any);
                mac.chain_update(text).finalize().into_bytes().to_vec()
            }
        }
    }
}

/// A change of one credential.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CredentialChange {
    /// The user.
    pub user: Arc<str>,
    /// The number of the mechanism.
    pub mechanism: i8,
    /// What it becomes; `None` removes it.
    pub credential: Option<Credential>,
}

/// A new credential.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Credential {
    /// How often the password was hashed.
    pub iterations: i32,
    /// The salt.
    pub salt: Arc<[u8]>,
    /// The salted password.
    pub salted_password: Arc<[u8]>,
}

/// Changes credentials, one of each user; the first thing wrong with a user is what is said of it.
/// The results are sorted by user.
#[must_use]
pub fn alter_credentials(
    scene: &Scene<'_>,
    changes: &[CredentialChange],
) -> Decision<(Arc<str>, Result<(), Refusal>)> {
    let mut outcomes: BTreeMap<&Arc<str>, Result<(), Refusal>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for change in changes {
        let outcome = outcomes.entry(&change.user).or_insert(Ok(()));
        if outcome.is_ok() {
            *outcome = check(scene, change, &mut seen);
        }
    }
    let mut decision = Decision::default();
    for change in changes {
        if let Some(Ok(())) = outcomes.get(&change.user) {
            decision.records.push(record(change));
        }
    }
    decision.results = outcomes
        .into_iter()
        .map(|(user, outcome)| (Arc::clone(user), outcome))
        .collect();
    decision
}

fn check<'a>(
    scene: &Scene<'_>,
    change: &'a CredentialChange,
    seen: &mut BTreeSet<&'a str>,
) -> Result<(), Refusal> {
    if !seen.insert(&change.user) {
        let text = "A user credential cannot be altered twice in the same request";
        return Err(Refusal::new(ErrorCode::DuplicateResource, text));
    }
    let unacceptable = |text: &str| Err(Refusal::new(ErrorCode::UnacceptableCredential, text));
    if change.user.is_empty() {
        return unacceptable("Username must not be empty");
    }
    if Mechanism::from_code(change.mechanism).is_none() {
        let text = "Unknown SCRAM mechanism";
        return Err(Refusal::new(ErrorCode::UnsupportedSaslMechanism, text));
    }
    let key = (Arc::clone(&change.user), change.mechanism);
    match &change.credential {
        Some(credential) if credential.iterations < ITERATIONS_MIN => {
            unacceptable("Too few iterations")
        }
        Some(credential) if credential.iterations > ITERATIONS_MAX => {
            unacceptable("Too many iterations")
        }
        None if !scene.image.scram_credentials().contains_key(&key) => {
            let text = "Attempt to delete a user credential that does not exist";
            Err(Refusal::new(ErrorCode::ResourceNotFound, text))
        }
        Some(_) | None => Ok(()),
    }
}

fn record(change: &CredentialChange) -> crate::metadata::records::MetadataRecord {
    let name = Arc::clone(&change.user);
    let Some(credential) = &change.credential else {
        let mechanism = change.mechanism;
        return RemoveUserScramCredentialRecord { name, mechanism }.into();
    };
    let mechanism = Mechanism::from_code(change.mechanism).expect("checked before");
    let (stored_key, server_key) = mechanism.keys(&credential.salted_password);
    let record = UserScramCredentialRecord {
        name,
        mechanism: change.mechanism,
        salt: Blob(Arc::clone(&credential.salt)),
        stored_key: Blob(stored_key.into()),
        server_key: Blob(server_key.into()),
        iterations: credential.iterations,
    };
    record.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORED_256: &str = "586e5df283e6dceb5c3e791d8b8528ec191e664045ce971792e2e6b5bb13e2a6";
    const SERVER_256: &str = "c1f3cbc1c13a9d35a14c0990eed97629ea225863e566a4314ab99f3f00e5d9d5";
    const STORED_512: &str = "9fae3e36432bb1e2e215d45cd0a1eed0dc0ed6570c5c67de83f58081897ed240\
        0a588511d3612d47d54402f5c65de4ef528bcb9f36727a1b2e91c3469aac116c";
    const SERVER_512: &str = "5562ff5c0b73f110a0a2f671f19c7407e3aaab56107b14cd0d6caaa2a327f158\
        b3aa9d4c93bb089715666b2e0a611400a3c73ec2e8bafc23396c4d09db567571";

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The salted passwords of `pencil` in RFC 7677 (SHA-256; salt `W22ZaJ0SNY7soEsUEjb6gQ==`, 4096
    /// iterations). The keys were computed with Python's `hmac` and `hashlib`.
    #[test]
    fn keys_are_those_of_the_rfc() {
        let salted = [
            0xc4, 0xa4, 0x95, 0x10, 0x32, 0x3a, 0xb4, 0xf9, 0x52, 0xca, 0xc1, 0xfa, 0x99, 0x44,
            0x19, 0x39, 0xe7, 0x8e, 0xa7, 0x4d, 0x6b, 0xe8, 0x1d, 0xdf, 0x70, 0x96, 0xe8, 0x75,
            0x13, 0xdc, 0x61, 0x5d,
        ];
        let (stored, server) = Mechanism::Sha256.keys(&salted);
        assert_eq!(hex(&stored), STORED_256);
        assert_eq!(hex(&server), SERVER_256);
        let (stored, server) = Mechanism::Sha512.keys(b"a salted password");
        assert_eq!(hex(&stored), STORED_512);
        assert_eq!(hex(&server), SERVER_512);
    }
}
