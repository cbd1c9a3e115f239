//! What W1 must cost at least on this machine, term by term: `limit EVENTS WINDOW`.
//!
//! limit = scan + bytes moved + one probe of the window of ids + k numbers written
//!
//! * scan: every byte is looked at once, 32 at a time, for quotes, backslashes, brackets and separators;
//! * bytes moved: what comes in is read and what goes out is written, at the speed of a copy between buffers larger
//!   than the caches, which reads and writes each byte;
//! * probe: a look-up and insertion at a random place of a table of WINDOW 64-bit fingerprints, half full;
//! * numbers: five fixed-point numbers with six places, written as text.
//!
//! Each term is measured alone, so the sum is what no engine that does this work in one thread goes below, and
//! what none reaches: nothing is mapped, checked or kept. Prints one line of JSON, nanoseconds per message.

use std::arch::x86_64::*;
use std::hint::black_box;

const NUMBERS: usize = 5;
const BYTES_OUT: f64 = 380.0;
const ROUNDS: usize = 5;

fn main() {
    let mut args = std::env::args().skip(1);
    let (Some(path), Some(window)) = (args.next(), args.next().and_then(|text| text.parse::<usize>().ok()))
    else {
        eprintln!("usage: limit EVENTS WINDOW");
        std::process::exit(2);
    };
    if !is_x86_feature_detected!("avx2") {
        eprintln!("this processor has no AVX2, which the limit is measured with");
        std::process::exit(3);
    }
    let mut text = std::fs::read(path).expect("the file of events");
    let messages = text.iter().filter(|&&byte| byte == b'\n').count() as f64;
    let bytes = text.len() as f64;
    text.resize(text.len().next_multiple_of(32), b' ');
    // SAFETY: AVX2 was found above, and the length is a multiple of 32.
    let scan = median(|| nanoseconds(|| unsafe { scan(&text) })) / messages;
    let copied = median(|| copy(256 << 20));
    let moved = (bytes / messages + BYTES_OUT) / 2.0 * copied;
    let probe = median(|| probe(window));
    let numbers = NUMBERS as f64 * median(|| number(1_000_000));
    println!(
        "{{\"scan_ns\":{scan:.1},\"copy_gb_s\":{:.2},\"moved_ns\":{moved:.1},\"probe_ns\":{probe:.1},\
         \"numbers_ns\":{numbers:.1},\"limit_ns\":{:.1}}}",
        1.0 / copied,
        scan + moved + probe + numbers
    );
}

fn median(mut measure: impl FnMut() -> f64) -> f64 {
    let mut found: Vec<f64> = (0..ROUNDS).map(|_| measure()).collect();
    found.sort_by(f64::total_cmp);
    found[ROUNDS / 2]
}

/// Processor time that some work takes.
fn nanoseconds<T>(work: impl FnOnce() -> T) -> f64 {
    let began = cpu();
    black_box(work());
    (cpu() - began) as f64
}

extern "C" {
    fn clock_gettime(clock: i32, time: *mut [i64; 2]) -> i32;
}

/// Processor time of this thread in nanoseconds (`CLOCK_THREAD_CPUTIME_ID` of Linux is 3).
fn cpu() -> u64 {
    let mut time = [0i64; 2];
    // SAFETY: on 64-bit Linux a `timespec` is two words of 64 bits, which is what the call fills in.
    assert_eq!(unsafe { clock_gettime(3, &mut time) }, 0);
    (time[0] * 1_000_000_000 + time[1]) as u64
}

/// How many structural bytes a text has.
///
/// # Safety
///
/// The processor has AVX2, and the length of `text` is a multiple of 32.
#[target_feature(enable = "avx2")]
unsafe fn scan(text: &[u8]) -> u32 {
    let wanted = [b'"', b'\\', b'{', b'}', b'[', b']', b':', b','].map(|byte| _mm256_set1_epi8(byte as i8));
    let mut found = 0;
    for chunk in text.chunks_exact(32) {
        // SAFETY: a chunk has 32 bytes.
        let bytes = unsafe { _mm256_loadu_si256(chunk.as_ptr().cast()) };
        let mut hit = _mm256_setzero_si256();
        for one in wanted {
            hit = _mm256_or_si256(hit, _mm256_cmpeq_epi8(bytes, one));
        }
        found += (_mm256_movemask_epi8(hit) as u32).count_ones();
    }
    found
}

/// Nanoseconds per byte of a copy.
fn copy(bytes: usize) -> f64 {
    let (from, mut to) = (vec![1u8; bytes], vec![0u8; bytes]);
    to.copy_from_slice(&from);
    nanoseconds(|| {
        to.copy_from_slice(black_box(&from));
        black_box(&to);
    }) / bytes as f64
}

/// Nanoseconds per look-up and insertion in a table of fingerprints.
fn probe(window: usize) -> f64 {
    let places = (2 * window).next_power_of_two();
    let mut table = vec![1u64; places];
    table.fill(0);
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut insert = |count: usize| {
        for _ in 0..count {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let mut at = state as usize & (places - 1);
            while table[at] != 0 && table[at] != state {
                at = (at + 1) & (places - 1);
            }
            table[at] = state;
        }
    };
    insert(window / 2);
    let more = window / 8;
    nanoseconds(|| insert(more)) / more as f64
}

/// Nanoseconds per number with six places.
fn number(count: u64) -> f64 {
    let mut out = [0u8; 24];
    nanoseconds(|| {
        for value in 0..count {
            let mut rest = black_box(value * 1_234_567);
            let mut at = out.len();
            for place in 0.. {
                at -= 1;
                if place == 6 {
                    out[at] = b'.';
                    continue;
                }
                out[at] = b'0' + (rest % 10) as u8;
                rest /= 10;
                if rest == 0 && place > 6 {
                    break;
                }
            }
            black_box(&out[at..]);
        }
    }) / count as f64
}
