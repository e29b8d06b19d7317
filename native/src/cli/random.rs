//! Chance from the operating system, for ids, salts and the like.

use std::io::Read;

use ottla_core::ids::TopicId;

use crate::cli::failure::Failure;

/// Where the system gives it.
const SOURCE: &str = "/dev/urandom";

/// Bytes that nobody can guess.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    std::fs::File::open(SOURCE)
        .and_then(|mut source| source.read_exact(&mut bytes))
        .map_err(|error| Failure::refused(format!("Cannot read {SOURCE}: {error}.")))?;
    Ok(bytes)
}

/// A random id as Kafka makes them: version 4, and its text never begins with a dash.
pub(crate) fn uuid() -> Result<TopicId, Failure> {
    loop {
        let mut bytes = bytes::<16>()?;
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let id = TopicId(bytes);
        if !id.is_zero() && !id.to_string().starts_with('-') {
            return Ok(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_can_be_arguments() {
        let one = uuid().expect("the system has chance");
        let other = uuid().expect("the system has chance");
        assert_ne!(one, other);
        assert_eq!(one.to_string().len(), 22);
        assert_eq!(TopicId::parse(&one.to_string()), Some(one));
    }
}
