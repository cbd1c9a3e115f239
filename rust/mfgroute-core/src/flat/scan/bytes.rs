//! Finding the end of a text, sixteen bytes at a time.

/// Where a text without escapes ends, and whether it can be written as it stands.
#[derive(Clone, Copy)]
pub(super) struct Run {
    /// The first quote, backslash or control character, or the end of the bytes.
    pub(super) end: usize,
    /// Only ASCII before it, and no DEL.
    pub(super) clean: bool,
}

/// Looks for the end of a text from `at` on.
#[inline(always)]
#[expect(clippy::inline_always, reason = "as Scan::value")]
pub(super) fn run(bytes: &[u8], mut at: usize) -> Run {
    let mut odd = false;
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<16>) {
        let (stops, beyond) = masks(chunk);
        if stops != 0 {
            let before = (1_u32 << stops.trailing_zeros()) - 1;
            return Run { end: at + stops.trailing_zeros() as usize, clean: !odd && beyond & before == 0 };
        }
        odd |= beyond != 0;
        at += 16;
    }
    while let Some(&byte) = bytes.get(at).filter(|&&byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        odd |= byte >= 0x7f;
        at += 1;
    }
    Run { end: at, clean: !odd }
}

/// One bit for each byte that ends a run, and for each that is beyond plain ASCII.
#[cfg(target_arch = "x86_64")]
#[inline]
#[expect(unsafe_code, reason = "SSE2 is part of every x86-64, which the compiler asks to be said")]
fn masks(chunk: &[u8; 16]) -> (u32, u32) {
    // SAFETY: there is no x86-64 without SSE2.
    unsafe { sse2(chunk) }
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "sse2")]
fn sse2(chunk: &[u8; 16]) -> (u32, u32) {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_max_epu8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x,
        _mm_set1_epi8,
    };
    let word = u128::from_le_bytes(*chunk);
    let bytes = _mm_set_epi64x((word >> 64) as i64, word as i64);
    let all = |byte: u8| _mm_set1_epi8(byte.cast_signed());
    let control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, all(0x1f)), bytes);
    let marks = _mm_or_si128(_mm_cmpeq_epi8(bytes, all(b'"')), _mm_cmpeq_epi8(bytes, all(b'\\')));
    let beyond = _mm_cmpeq_epi8(_mm_max_epu8(bytes, all(0x7f)), bytes);
    let mask = |lanes| _mm_movemask_epi8(lanes).cast_unsigned();
    (mask(_mm_or_si128(marks, control)), mask(beyond))
}

/// The same for any machine.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn masks(chunk: &[u8; 16]) -> (u32, u32) {
    portable(chunk)
}

/// [`masks`] byte by byte.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn portable(chunk: &[u8; 16]) -> (u32, u32) {
    chunk.iter().enumerate().fold((0, 0), |(stops, beyond), (at, &byte)| {
        let stop = byte < 0x20 || byte == b'"' || byte == b'\\';
        (stops | u32::from(stop) << at, beyond | u32::from(byte >= 0x7f) << at)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_end_is_that_of_a_walk_byte_by_byte(
            bytes in prop::collection::vec(
                prop_oneof![8 => 0x20_u8..0x7f, 1 => any::<u8>(), 1 => Just(0x7f_u8), 1 => Just(b'"')], 0..80),
            at in 0_usize..20,
        ) {
            let at = at.min(bytes.len());
            let rest = &bytes[at..];
            let length = rest.iter().position(|&b| b < 0x20 || b == b'"' || b == b'\\').unwrap_or(rest.len());
            let found = run(&bytes, at);
            prop_assert_eq!(found.end, at + length);
            prop_assert_eq!(found.clean, rest[..length].iter().all(|&b| b < 0x7f));
        }

        #[test]
        fn both_ways_to_look_at_sixteen_bytes_agree(chunk in any::<[u8; 16]>()) {
            prop_assert_eq!(masks(&chunk), portable(&chunk));
        }
    }
}
