//! A limit as a whole number of millionths: what a `float64` of the metadata becomes before
//! anything is decided with it.

use crate::metadata::codec::Double;

/// Millionths in one.
pub const MILLION: u128 = 1_000_000;

/// A rate, in millionths of its unit per second; more than fits is the most that fits.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Rate(u128);

impl Rate {
    /// So many units per second.
    #[must_use]
    pub fn per_second(units: u64) -> Self {
        Self(u128::from(units) * MILLION)
    }

    /// The rate that a number of the metadata means, to the nearest millionth; what is below zero,
    /// or no number, is zero.
    #[must_use]
    pub fn of(number: Double) -> Self {
        let bits = number.0;
        let is_negative = bits >> 63 == 1;
        let biased = u32::try_from((bits >> 52) & 0x7ff).expect("eleven bits");
        let fraction = bits & ((1 << 52) - 1);
        let is_infinite = biased == 0x7ff && fraction == 0;
        if is_infinite && !is_negative {
            return Self(u128::MAX);
        }
        if is_negative || biased == 0 || biased == 0x7ff {
            return Self(0);
        }
        // The number is `mantissa * 2^(biased - 1075)`; the mantissa times a million has 73 bits.
        let product = u128::from(fraction | 1 << 52) * MILLION;
        Self(match biased.checked_sub(1075) {
            Some(shift) if shift > product.leading_zeros() => u128::MAX,
            Some(shift) => product << shift,
            None => {
                let shift = 1075 - biased;
                let half = 1_u128.checked_shl(shift - 1).unwrap_or(0);
                (product + half).checked_shr(shift).unwrap_or(0)
            }
        })
    }

    /// Millionths per second.
    #[must_use]
    pub fn millionths(self) -> u128 {
        self.0
    }

    /// The number where it is whole to the millionth.
    #[must_use]
    pub fn whole(self) -> Option<u128> {
        (self.0.is_multiple_of(MILLION) || self.0 == u128::MAX).then_some(self.0 / MILLION)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(number: f64, millionths: u128) {
        let rate = Rate::of(Double(number.to_bits()));
        assert_eq!(rate.millionths(), millionths, "{number}");
    }

    #[test]
    fn numbers_become_millionths() {
        check(0.0, 0);
        check(-1.0, 0);
        check(f64::NAN, 0);
        check(f64::NEG_INFINITY, 0);
        check(1.0, 1_000_000);
        check(0.5, 500_000);
        check(1.5, 1_500_000);
        check(0.000_001, 1);
        check(1e-300, 0);
        check(1_048_576.0, 1_048_576_000_000);
        check(12_345.678_9, 12_345_678_900);
        check(9_007_199_254_740_992.0, 9_007_199_254_740_992_000_000);
        check(1e30, 1_000_000_000_000_000_019_884_624_838_656_000_000);
        check(1e300, u128::MAX);
        check(f64::INFINITY, u128::MAX);
    }

    #[test]
    fn whole_numbers_are_told_from_others() {
        let whole = |number: f64| Rate::of(Double(number.to_bits())).whole();
        assert_eq!(whole(7.0), Some(7));
        assert_eq!(whole(7.25), None);
        assert!(whole(1e300).is_some_and(|number| number > u128::from(u64::MAX)));
    }
}
