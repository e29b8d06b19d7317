//! What a configuration is: its name, type, default, bounds, scope and effect.
//!
//! The tables beside this file are rows of [`Definition`]; parsing, DescribeConfigs, validation and
//! the reference page are all driven by them. This file holds no value of any broker. Types,
//! defaults and bounds are those of Apache Kafka 4.3.1 (`ConfigDef`), compared in a test with what
//! one answered.

/// Where a configuration may be set.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Scope {
    /// In `server.properties`, and dynamically for one broker or all of them.
    Broker,
    /// For a client metrics subscription (KIP-714).
    ClientMetrics,
    /// For a group (KIP-848, KIP-932, KIP-1071).
    Group,
    /// For a topic.
    Topic,
}

/// The type of a configuration's value; the names are Kafka's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// The name of a Java class.
    Class,
    /// A decimal fraction.
    Double,
    /// 32 bits.
    Int,
    /// Words separated by commas.
    List,
    /// 64 bits.
    Long,
    /// A secret: never shown.
    Password,
    /// 16 bits.
    Short,
    /// Text.
    String,
}

impl Kind {
    /// Kafka's name for the type, as its errors say it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::Class => "CLASS",
            Self::Double => "DOUBLE",
            Self::Int => "INT",
            Self::List => "LIST",
            Self::Long => "LONG",
            Self::Password => "PASSWORD",
            Self::Short => "SHORT",
            Self::String => "STRING",
        }
    }

    /// The type's number in a DescribeConfigs reply (`DescribeConfigsResponse.ConfigType`).
    #[must_use]
    pub fn wire_code(self) -> i8 {
        match self {
            Self::Boolean => 1,
            Self::String => 2,
            Self::Int => 3,
            Self::Short => 4,
            Self::Long => 5,
            Self::Double => 6,
            Self::List => 7,
            Self::Class => 8,
            Self::Password => 9,
        }
    }
}

/// The value a configuration has where nobody set it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Default {
    /// None: the configuration is off, or another one is used in its place.
    Null,
    /// This text.
    Text(&'static str),
}

impl Default {
    /// The text; `None` for null.
    #[must_use]
    pub fn text(self) -> Option<&'static str> {
        match self {
            Self::Null => None,
            Self::Text(text) => Some(text),
        }
    }
}

/// Which values of the right type are allowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Valid {
    /// Any.
    Any,
    /// Any number from this one on.
    AtLeast(i64),
    /// Numbers from the first to the second, both included.
    Between(i64, i64),
    /// Numbers from the first to the second, both included, or the third.
    BetweenOr(i64, i64, i64),
    /// Fractions from 0 to this one, both included.
    FractionTo(f64),
    /// Words of these, each at most once, and at least one of them.
    ListOf(&'static [&'static str]),
    /// Not the empty text.
    NonEmpty,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// One of these words, in capitals or not.
    OneOfIgnoringCase(&'static [&'static str]),
    /// Where a share group begins: `earliest`, `latest` or `by_duration:` and an ISO duration.
    OffsetReset,
    /// `partition:broker` pairs, or `*`.
    ThrottledReplicas,
}

/// How much a configuration matters to most users.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Importance {
    /// To nearly everyone.
    High,
    /// To few.
    Low,
    /// To some.
    Medium,
}

/// Whether a broker configuration may change while the broker runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Update {
    /// For all brokers at once, or for one.
    ClusterWide,
    /// For one broker only.
    PerBroker,
    /// Only in `server.properties`.
    ReadOnly,
}

/// What Ottla does with a configuration.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Effect {
    /// What its documentation says.
    Active,
    /// Nothing yet: it is validated and stored, and the part it steers is still to come.
    Later,
    /// Nothing: it is validated and stored, so that a Kafka configuration works as it is.
    None,
}

/// One configuration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Definition {
    /// Its name.
    pub name: &'static str,
    /// Where it may be set.
    pub scope: Scope,
    /// The type of its value.
    pub kind: Kind,
    /// Its value where nobody set it.
    pub default: Default,
    /// Which values are allowed.
    pub valid: Valid,
    /// How much it matters.
    pub importance: Importance,
    /// Whether it may change at run time; topics, groups and subscriptions always may.
    pub update: Update,
    /// Whether it is left out of DescribeConfigs.
    pub internal: bool,
    /// What Ottla does with it.
    pub effect: Effect,
    /// What it means, in one sentence.
    pub doc: &'static str,
}

impl Definition {
    /// Whether its value is a secret, never to be shown.
    #[must_use]
    pub fn is_sensitive(&self) -> bool {
        self.kind == Kind::Password
    }
}

/// Writes rows of a table: `"name": Kind = default, valid, importance, update, effect;` and the
/// documentation.
macro_rules! definitions {
    ($scope:ident; $(
        $name:literal: $kind:ident = $default:tt, $valid:expr, $importance:ident, $update:ident,
        $effect:ident $(, $internal:ident)?; $doc:literal
    )*) => {
        &[$(Definition {
            name: $name,
            scope: Scope::$scope,
            kind: Kind::$kind,
            default: definitions!(@default $default),
            valid: $valid,
            importance: Importance::$importance,
            update: Update::$update,
            internal: definitions!(@internal $($internal)?),
            effect: Effect::$effect,
            doc: $doc,
        },)*]
    };
    (@default null) => { Default::Null };
    (@default $text:literal) => { Default::Text($text) };
    (@internal) => { false };
    (@internal internal) => { true };
}

pub(super) use definitions;
