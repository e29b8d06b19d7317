//! Reads of the disk that a request waits for.

use std::collections::BTreeMap;

use crate::ids::LogId;
use crate::log::{Lookup, TimestampSearch};
use crate::storage::Token;
use crate::waiting::WaitId;

/// Which part of which request a lookup is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LookupFor {
    /// A fetch, and the place of the partition among its targets.
    Fetch(WaitId, u32),
}

/// A lookup that the disk has not answered.
#[derive(Clone, Debug)]
pub struct PendingLookup {
    /// The read as far as it is known.
    pub lookup: Box<Lookup>,
    /// Who waits for it.
    pub waiter: LookupFor,
}

/// A search by time that the disk has not answered.
#[derive(Clone, Debug)]
pub struct PendingSearch {
    /// The search as far as it is known.
    pub search: Box<TimestampSearch>,
    /// Who waits for it: which part of which request.
    pub waiter: (WaitId, (u32, u32)),
}

/// All searches that the disk has not answered, by their logs and tokens.
pub type Searches = BTreeMap<(LogId, Token), PendingSearch>;

/// All lookups that the disk has not answered, by their logs and tokens.
pub type Lookups = BTreeMap<(LogId, Token), PendingLookup>;
