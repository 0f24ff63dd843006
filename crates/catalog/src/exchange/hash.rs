//! The hash that exchanges choose by, and the fair choice among shares of unequal weight.
//!
//! Every node routes by itself, so the same bytes must give the same number on all of them, in all
//! versions: this is no hash of the standard library's, and there are no fractions in it.

/// Where FNV-1a begins.
const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;

/// What FNV-1a multiplies with.
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// `log2(1 + x) - x` is `x * (1 - x)` times this polynomial of `x`, to five parts in a hundred
/// thousand; the lowest power first, in units of 2^-32.
const LOGARITHM: [i64; 4] = [1_900_173_326, -1_157_828_758, 646_535_156, -192_732_170];

/// Bits behind the point of what [`rarity`] returns.
const FRACTION_BITS: u32 = 32;

/// Bits behind the point of the polynomial's argument, few enough for products of 64 bits.
const ARGUMENT_BITS: u32 = 30;

/// The hash of some bytes.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let step = |state: u64, byte: &u8| (state ^ u64::from(*byte)).wrapping_mul(PRIME);
    mix(bytes.iter().fold(OFFSET_BASIS, step))
}

/// Spreads each bit of `value` over all of them.
pub(crate) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// How rare it is that a number as small as `drawn` is drawn: the negative logarithm of the
/// probability, to base 2, in units of 2^-32; at least 1.
///
/// Of several shares the one with the least rarity per weight is chosen. So each wins as often as
/// its weight says, and when one comes or goes, only what it wins or had won changes hands.
pub(crate) fn rarity(drawn: u64) -> u64 {
    let odd = drawn | 1;
    let zeros = odd.leading_zeros();
    let behind_first_bit = (odd << zeros) << 1;
    let argument = i64::try_from(behind_first_bit >> (u64::BITS - ARGUMENT_BITS))
        .expect("so few bits are left");
    let times = |one: i64, other: i64| (one * other) >> ARGUMENT_BITS;
    let one = 1_i64 << ARGUMENT_BITS;
    let polynomial =
        LOGARITHM.iter().rev().fold(0, |sum, coefficient| times(sum, argument) + coefficient);
    let linear = argument << (FRACTION_BITS - ARGUMENT_BITS);
    let logarithm = linear + times(times(polynomial, argument), one - argument);
    let whole = i64::from(zeros + 1) << FRACTION_BITS;
    u64::try_from(whole - logarithm).unwrap_or_default().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_the_same_for_ever() {
        assert_eq!(hash(b""), 0xf52a_15e9_a9b5_e89b);
        assert_eq!(hash(b"key"), 0x487e_b6f7_e0ea_7e7c);
    }

    #[test]
    fn rarity_is_the_negative_logarithm() {
        for exponent in 1..64_u32 {
            for eighths in 8..16_u64 {
                let drawn = (eighths << 60) >> exponent;
                #[expect(clippy::cast_precision_loss, clippy::as_conversions, reason = "a test")]
                let exact = 64.0 - (drawn as f64).log2();

                #[expect(clippy::cast_precision_loss, clippy::as_conversions, reason = "a test")]
                let found = rarity(drawn) as f64 / 4_294_967_296.0;

                let allowed = if drawn > 1 << 20 { 1e-4 } else { 1.0 };
                assert!((found - exact).abs() < allowed, "{drawn}: {found}, not {exact}");
            }
        }
    }
}
