//! Changes bytes at random.

/// Longest input that is made of others.
pub(crate) const LENGTH_MAX: usize = 8 * 1024;

/// Numbers at the edge of some type or limit.
const NUMBERS: &[&[u8]] = &[
    b"0",
    b"-0",
    b"-1",
    b"1e999",
    b"1e-999",
    b"127",
    b"256",
    b"65536",
    b"2147483648",
    b"-9223372036854775809",
    b"18446744073709551616",
    b"9007199254740993",
    b"99999999999999999999999999999999999999",
    b"100000000000000000000000000000000000000",
    b"0.00000000000000000000000000000000000001",
    b"1e37",
    b"1e38",
    b"0.1",
    b"1E+2",
    b"01",
    b"1.",
];
/// Pieces of UTF-8 and of other encodings that readers stumble over.
const ODD: &[&[u8]] = &[
    b"\0",
    b"\x7f",
    b"\x80",
    b"\xc0\x80",
    b"\xe4",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xfe\xff",
    b"\xf0\x9f\x98\x80",
    b"\xf4\x90\x80\x80",
    b"\xe2\x80\xa8",
    b"\xc2\xa0",
    b"\xcc\x81",
    b"\xe2\x80\xae",
    b"\r\n",
    b"\n",
    b"\r",
    b"\t",
    b"\x0b",
    b"\x1f",
    b"\xef\xbf\xbf",
];

/// SplitMix64 (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", 2014).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 if that is 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % (end.max(1) as u64)) as usize
    }

    pub(crate) fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[self.below(from.len())]
    }

    /// A short range: most changes are small.
    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        let most = if self.below(4) == 0 { length - start } else { (length - start).min(8) };
        start..start + self.below(most + 1)
    }
}

/// A changed copy of one of the pool.
pub(crate) fn mutate(random: &mut Random, pool: &[Vec<u8>], words: &[&[u8]]) -> Vec<u8> {
    // The shorter of two: long inputs have their turn, short ones are quick.
    let mut bytes = match (pool.get(random.below(pool.len())), pool.get(random.below(pool.len()))) {
        (Some(one), Some(other)) => {
            if one.len() < other.len() {
                one.clone()
            } else {
                other.clone()
            }
        }
        _ => Vec::new(),
    };
    bytes.truncate(LENGTH_MAX);
    let changes = 1 + random.below(2) * random.below(6);
    for _ in 0..changes {
        change(random, &mut bytes, pool, words);
        bytes.truncate(LENGTH_MAX);
    }
    bytes
}

fn change(random: &mut Random, bytes: &mut Vec<u8>, pool: &[Vec<u8>], words: &[&[u8]]) {
    let at = random.below(bytes.len() + 1);
    match random.below(12) {
        0 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        1 => {
            let byte = random.below(256) as u8;
            bytes.insert(at, byte);
        }
        2 => {
            let range = random.range(bytes.len());
            bytes.drain(range);
        }
        3 => bytes.truncate(at),
        4 => {
            let part = bytes[random.range(bytes.len())].to_vec();
            bytes.splice(at..at, part);
        }
        5 => {
            // Many times the same: depth and width.
            let part = bytes[random.range(bytes.len())].to_vec();
            let times = random.below(if part.len() > 64 { 8 } else { 200 });
            bytes.splice(at..at, part.repeat(times));
        }
        6 | 7 if !words.is_empty() => {
            let word = *random.pick(words);
            put(random, bytes, word);
        }
        8 => {
            let odd = *random.pick(ODD);
            put(random, bytes, odd);
        }
        9 => number(random, bytes),
        10 if !pool.is_empty() => {
            let other = random.pick(pool);
            let other = &other[..other.len().min(LENGTH_MAX)];
            let part = other[random.range(other.len())].to_vec();
            let range = random.range(bytes.len());
            bytes.splice(range, part);
        }
        _ => {
            let (from, to) = (random.below(bytes.len()), random.below(bytes.len()));
            if !bytes.is_empty() {
                bytes.swap(from, to);
            }
        }
    }
}

/// Puts a piece in, or in the place of a few bytes.
fn put(random: &mut Random, bytes: &mut Vec<u8>, piece: &[u8]) {
    let mut range = random.range(bytes.len());
    if random.below(2) == 0 {
        range.end = range.start;
    }
    bytes.splice(range, piece.iter().copied());
}

/// Changes a run of digits.
fn number(random: &mut Random, bytes: &mut Vec<u8>) {
    let from = random.below(bytes.len());
    let digit = |byte: &u8| byte.is_ascii_digit();
    let Some(start) = bytes[from.min(bytes.len())..].iter().position(digit).map(|found| from + found) else {
        return;
    };
    let end = bytes[start..].iter().position(|byte| !digit(byte)).map_or(bytes.len(), |found| start + found);
    let new = *random.pick(NUMBERS);
    bytes.splice(start..end, new.iter().copied());
}
