//! SCRAM credentials of users: `configs` over DescribeUserScramCredentials and
//! AlterUserScramCredentials.
//!
//! The password does not leave this process: brokers get it salted (RFC 5802, `SaltedPassword`).

use hmac::{Hmac, Mac};
use kafka_wire::alter_user_scram_credentials_request::{
    ScramCredentialDeletion, ScramCredentialUpsertion,
};
use kafka_wire::describe_user_scram_credentials_request::UserName;
use kafka_wire::{AlterUserScramCredentialsRequest, DescribeUserScramCredentialsRequest};
use kafka_wire_core::StrBytes;
use ottla_core::error::ErrorCode;
use serde_json::{Value, json};
use sha2::{Sha256, Sha512};

use crate::cli::admin::{self, Changes};
use crate::cli::console::joined;
use crate::cli::driver::Cluster;
use crate::cli::failure::Failure;
use crate::cli::random;

/// Bytes of salt that are made for a password.
const SALT_BYTES: usize = 16;

/// Most iterations Kafka takes.
const ITERATIONS_MAX: i32 = 16_384;

/// Fewest iterations Kafka takes, and how many it makes when nothing is said.
const ITERATIONS_MIN: i32 = 4_096;

/// How a password is hashed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Mechanism {
    Sha256,
    Sha512,
}

impl Mechanism {
    const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// The mechanism of a setting's name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|mechanism| mechanism.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha512 => "SCRAM-SHA-512",
        }
    }

    fn wire(self) -> i8 {
        match self {
            Self::Sha256 => 1,
            Self::Sha512 => 2,
        }
    }

    fn of_wire(number: i8) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|mechanism| mechanism.wire() == number)
    }

    /// `Hi(password, salt, iterations)` of RFC 5802.
    fn salted(self, password: &str, salt: &[u8], iterations: i32) -> Vec<u8> {
        match self {
            Self::Sha256 => hi::<Hmac<Sha256>>(password, salt, iterations),
            Self::Sha512 => hi::<Hmac<Sha512>>(password, salt, iterations),
        }
    }
}

/// PBKDF2 of one block: each round is the hash of the one before, all of them added.
fn hi<M: Mac + hmac::digest::KeyInit + Clone>(
    password: &str,
    salt: &[u8],
    iterations: i32,
) -> Vec<u8> {
    let keyed = <M as Mac>::new_from_slice(password.as_bytes()).expect("HMAC takes any key");
    let round = |bytes: &[u8], end: &[u8]| {
        keyed
            .clone()
            .chain_update(bytes)
            .chain_update(end)
            .finalize()
            .into_bytes()
    };
    let mut last = round(salt, &1u32.to_be_bytes());
    let mut sum = last.clone();
    for _round in 1..iterations {
        last = round(&last, &[]);
        for (sum, byte) in sum.iter_mut().zip(&last) {
            *sum ^= byte;
        }
    }
    sum.to_vec()
}

/// A user with what is known of the credentials.
pub(super) struct Credentials {
    user: String,
    known: Vec<(Option<Mechanism>, i32)>,
}

impl Credentials {
    pub(super) fn line(&self) -> String {
        let known = self.known.iter().map(|(mechanism, iterations)| {
            let name = mechanism.map_or("UNKNOWN", Mechanism::name);
            format!("{name}=iterations={iterations}")
        });
        format!(
            "SCRAM credential configs for user-principal '{}' are {}",
            self.user,
            joined(known, ", ")
        )
    }

    pub(super) fn to_json(&self) -> Value {
        let known = self.known.iter().map(|(mechanism, iterations)| {
            let name = mechanism.map_or("UNKNOWN", Mechanism::name);
            json!({"mechanism": name, "iterations": iterations})
        });
        json!({"entity": {"user": self.user}, "scram": known.collect::<Vec<Value>>()})
    }
}

/// What is known of a user's credentials, or of everyone's; the default user has none.
pub(super) fn describe(
    cluster: &mut Cluster,
    name: Option<&str>,
) -> Result<Vec<Credentials>, Failure> {
    let mut request = DescribeUserScramCredentialsRequest::default();
    request.users = match name {
        Some("") => return Ok(Vec::new()),
        Some(name) => {
            let mut user = UserName::default();
            user.name = StrBytes::from(name);
            Some(vec![user])
        }
        None => None,
    };
    let answer = cluster.call(request)?;
    admin::check(answer.error_code, answer.error_message.as_ref())?;
    let mut all = Vec::new();
    for result in answer.results {
        if result.error_code == ErrorCode::ResourceNotFound.code() {
            continue;
        }
        admin::check(result.error_code, result.error_message.as_ref())?;
        let known = result.credential_infos.iter();
        let known = known.map(|info| (Mechanism::of_wire(info.mechanism), info.iterations));
        all.push(Credentials {
            user: result.user.to_string(),
            known: known.collect(),
        });
    }
    Ok(all)
}

/// Sets and removes credentials of a user.
pub(super) fn alter(cluster: &mut Cluster, user: &str, changes: &Changes) -> Result<(), Failure> {
    let mut request = AlterUserScramCredentialsRequest::default();
    for (name, value) in changes {
        let mechanism = Mechanism::named(name).expect("names have been checked");
        match value {
            Some(value) => request.upsertions.push(upsertion(user, mechanism, value)?),
            None => {
                let mut deletion = ScramCredentialDeletion::default();
                deletion.name = StrBytes::from(user);
                deletion.mechanism = mechanism.wire();
                request.deletions.push(deletion);
            }
        }
    }
    for result in &cluster.call(request)?.results {
        admin::check(result.error_code, result.error_message.as_ref())?;
    }
    Ok(())
}

fn upsertion(
    user: &str,
    mechanism: Mechanism,
    value: &str,
) -> Result<ScramCredentialUpsertion, Failure> {
    let (iterations, password) = credential(mechanism, value)?;
    let salt: [u8; SALT_BYTES] = random::bytes()?;
    let mut upsertion = ScramCredentialUpsertion::default();
    upsertion.name = StrBytes::from(user);
    upsertion.mechanism = mechanism.wire();
    upsertion.iterations = iterations;
    upsertion.salt = bytes::Bytes::copy_from_slice(&salt);
    upsertion.salted_password = mechanism.salted(password, &salt, iterations).into();
    Ok(upsertion)
}

/// Reads `[iterations=N,]password=P`.
fn credential(mechanism: Mechanism, value: &str) -> Result<(i32, &str), Failure> {
    let name = mechanism.name();
    let malformed = || {
        let constant = name.replace('-', "_");
        Failure::usage(format!("Invalid credential property {constant}={value}"))
    };
    let (iterations, rest) = match value.strip_prefix("iterations=") {
        Some(given) => {
            let (number, rest) = given.split_once(',').ok_or_else(malformed)?;
            let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            let number = number.parse().ok().filter(|_| digits);
            (number.ok_or_else(malformed)?, rest)
        }
        None => (ITERATIONS_MIN, value),
    };
    let password = rest.strip_prefix("password=").ok_or_else(malformed)?;
    if iterations < ITERATIONS_MIN {
        return Err(Failure::usage(format!(
            "Iterations {iterations} is less than the minimum {ITERATIONS_MIN} required for {name}"
        )));
    }
    if iterations > ITERATIONS_MAX {
        return Err(Failure::usage(format!(
            "Iterations {iterations} is greater than the maximum {ITERATIONS_MAX} allowed for \
             {name}"
        )));
    }
    Ok((iterations, password))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_salted_as_the_rfcs_have_it() {
        // RFC 7677, section 3: user "user", password "pencil". Its ClientKey and so its proof
        // follow from this value.
        let salt = [
            0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e, 0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36,
            0xfa, 0x81,
        ];
        let salted = Mechanism::Sha256.salted("pencil", &salt, 4_096);
        let hex: String = salted.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "c4a49510323ab4f952cac1fa99441939e78ea74d6be81ddf7096e87513dc615d"
        );
        // RFC 6070's shape with SHA-512: one block of PBKDF2, one round.
        let salted = Mechanism::Sha512.salted("password", b"salt", 1);
        let hex: String = salted
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(hex, "867f70cf1ade02cf");
    }

    #[test]
    fn credentials_are_read() {
        let read = |value| credential(Mechanism::Sha256, value).map_err(|f| f.to_string());
        assert_eq!(read("password=a=b,c"), Ok((4_096, "a=b,c")));
        assert_eq!(read("iterations=8192,password=x"), Ok((8_192, "x")));
        for (bad, words) in [
            ("x", "Invalid credential property SCRAM_SHA_256=x"),
            (
                "iterations=x,password=x",
                "Invalid credential property SCRAM_SHA_256=iterations=x,password=x",
            ),
            (
                "iterations=1,password=x",
                "Iterations 1 is less than the minimum 4096 required for SCRAM-SHA-256",
            ),
        ] {
            assert_eq!(read(bad), Err(words.to_owned()));
        }
        assert!(read("iterations=16385,password=x").is_err());
    }
}
