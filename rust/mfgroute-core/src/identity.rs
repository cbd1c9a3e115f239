//! Event ids and fingerprints.
//!
//! An id is SipHash-2-4-128 with a published key over the type without its version, the source URI and the
//! idempotency values, each preceded by its length as eight bytes little-endian. It is shaped as a UUID of
//! version 8 (RFC 9562 §5.8), so every node that sees the same business fact makes the same id.
//!
//! A fingerprint of bytes is XXH3-128 with a seed of ours; it tells a re-send from a conflict, where two
//! contents that a sender makes collide on purpose count as one of his own.

use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher24};
use xxhash_rust::const_xxh3::const_custom_default_secret;
use xxhash_rust::xxh3::{xxh3_128_with_secret, xxh3_128_with_seed};

const ID_KEY: (u64, u64) = (0x6d66_6772_6f75_7465, 0x6576_656e_742d_6964);
const PRINT_SEED: u64 = 0x6669_6e67_6572_7072;
/// What XXH3 makes of the seed for more than 240 bytes, and would make again for each of them.
const PRINT_SECRET: &[u8; 192] = &const_custom_default_secret(PRINT_SEED);
const SECRET_FROM: usize = 241;

/// Builds an id part by part.
#[derive(Clone, Debug)]
pub struct IdHasher(SipHasher24);

impl Default for IdHasher {
    fn default() -> Self {
        Self(SipHasher24::new_with_keys(ID_KEY.0, ID_KEY.1))
    }
}

impl IdHasher {
    /// Adds one part with its length.
    pub fn part(&mut self, part: &str) {
        self.bytes(part.as_bytes());
    }

    /// Adds one part, as its bytes.
    pub(crate) fn bytes(&mut self, part: &[u8]) {
        self.0.write(&(part.len() as u64).to_le_bytes());
        self.0.write(part);
    }

    /// The id of all parts so far.
    #[must_use]
    pub fn finish(self) -> u128 {
        shape(self.0.finish128().as_u128())
    }
}

/// Sets the version (8) and variant bits of a UUID.
fn shape(hash: u128) -> u128 {
    const VERSION: u128 = 0xf << 76;
    const VARIANT: u128 = 0x3 << 62;
    (hash & !VERSION & !VARIANT) | (0x8 << 76) | (0x2 << 62)
}

/// A 128-bit fingerprint of bytes.
#[must_use]
pub fn fingerprint(bytes: &[u8]) -> u128 {
    if bytes.len() < SECRET_FROM {
        xxh3_128_with_seed(bytes, PRINT_SEED)
    } else {
        xxh3_128_with_secret(bytes, PRINT_SECRET)
    }
}

/// The fingerprint of a canonical event: of its type, its time (empty where that is the time of admission) and
/// its `data`.
#[must_use]
pub fn body_print(name: &str, time: &str, data: &[u8]) -> u128 {
    let mut parts = [0; 48];
    let prints = [name.as_bytes(), time.as_bytes(), data].map(fingerprint);
    for (part, print) in parts.chunks_exact_mut(16).zip(prints) {
        part.copy_from_slice(&print.to_le_bytes());
    }
    fingerprint(&parts)
}

/// Eight digits, all at once: each half-byte gets a byte of its own.
#[inline]
fn hex(number: u32) -> [u8; 8] {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let mut spread = u64::from(number);
    for (shift, mask) in [(16, 0x0000_ffff_0000_ffff), (8, 0x00ff_00ff_00ff_00ff), (4, ONES * 0x0f)] {
        spread = (spread << shift | spread) & mask;
    }
    let letters = (spread + ONES * 6) >> 4 & ONES;
    (spread + ONES * u64::from(b'0') + letters * u64::from(b'a' - b'0' - 10)).to_be_bytes()
}

/// An id in text form, without an allocation.
#[derive(Clone, Copy, Debug)]
pub struct Text([u8; 36]);

impl Text {
    /// The text form of an id.
    #[must_use]
    pub fn new(id: u128) -> Self {
        let hex = [96, 64, 32, 0].map(|shift| hex((id >> shift) as u32));
        let [a, [b0, b1, b2, b3, c @ ..], [d0, d1, d2, d3, e @ ..], f] = hex;
        let mut out = [b'-'; 36];
        for (place, digits) in
            [(0, &a[..]), (9, &[b0, b1, b2, b3]), (14, &c), (19, &[d0, d1, d2, d3]), (24, &e), (28, &f)]
        {
            if let Some(slot) = out.get_mut(place..place + digits.len()) {
                slot.copy_from_slice(digits);
            }
        }
        Self(out)
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Text form of an id: lowercase UUID.
#[must_use]
pub fn text(id: u128) -> String {
    Text::new(id).as_str().to_owned()
}

/// The number of an id in text form: the UUID itself, or for a foreign id the hash of its text.
#[must_use]
pub fn number(id: &str) -> u128 {
    uuid(id.as_bytes()).unwrap_or_else(|| {
        let mut hasher = IdHasher::default();
        hasher.part(id);
        hasher.finish()
    })
}

/// The number of a lowercase UUID.
fn uuid(text: &[u8]) -> Option<u128> {
    let text: &[u8; 36] = text.try_into().ok()?;
    let mut number = 0_u128;
    for (index, byte) in text.iter().enumerate() {
        let digit = match (index, byte) {
            (8 | 13 | 18 | 23, b'-') => continue,
            (8 | 13 | 18 | 23, _) => return None,
            (_, b'0'..=b'9') => byte - b'0',
            (_, b'a'..=b'f') => byte - b'a' + 10,
            _ => return None,
        };
        number = number << 4 | u128::from(digit);
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_uuid_of_version_8_and_never_changes() {
        let mut hasher = IdHasher::default();
        hasher.part("production.operation.completed");
        hasher.part("//DE04/mes-a");
        hasher.part("4711");
        let id = text(hasher.finish());
        // Golden: a change of this value moves every id of every installation.
        assert_eq!(id, "1b76a207-e7f3-87ec-8df2-964812100ce7");
        assert_eq!(id.as_bytes().get(14), Some(&b'8'));
    }

    #[test]
    fn parts_cannot_run_together() {
        let id = |parts: &[&str]| {
            let mut hasher = IdHasher::default();
            for part in parts {
                hasher.part(part);
            }
            hasher.finish()
        };
        assert_ne!(id(&["ab", "c"]), id(&["a", "bc"]));
        assert_ne!(id(&["a", ""]), id(&["a"]));
    }

    #[test]
    fn a_fingerprint_is_that_of_the_seed_at_any_length() {
        let bytes: Vec<u8> = (0..2000_u32).map(|at| (at * 7 % 251) as u8).collect();
        for length in (0..300).chain([1024, 1025, 2000]) {
            assert_eq!(fingerprint(&bytes[..length]), xxh3_128_with_seed(&bytes[..length], PRINT_SEED));
        }
    }

    #[test]
    fn the_text_form_reads_back() {
        for shift in 0..128 {
            let id = ((u128::MAX / 15) << shift) ^ (0x0123_4567_89ab_cdef_fedc_ba98_7654_3210 >> (shift % 7));
            let plain = format!("{id:032x}");
            assert_eq!(text(id).replace('-', ""), plain);
        }
        let id = 0x0123_4567_89ab_8def_8123_4567_89ab_cdef;
        assert_eq!(number(&text(id)), id);
        // Anything else is a text: upper case, a hyphen at another place, a digit too few.
        for other in [text(id).to_uppercase(), text(id).replace("-8", "8-"), text(id)[1..].to_owned()] {
            let mut hasher = IdHasher::default();
            hasher.part(&other);
            assert_eq!(number(&other), hasher.finish(), "{other}");
        }
        assert_ne!(number("order-1"), number("order-2"));
    }
}
