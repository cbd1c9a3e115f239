//! Runs a target on inputs that failed once, on seeds and on mutations of them.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use crate::mutate::{Random, mutate};

/// What a run of a target looked like from outside: inputs with new prints are worth changing further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Print(pub(crate) u64);

/// A function of bytes that panics when something is wrong.
pub(crate) type Target = fn(&[u8]) -> Print;

/// How long one input may take. Far beyond what any needs on a loaded machine without optimisation.
const HANG: Duration = Duration::from_secs(120);
/// Inputs kept for further changes.
const POOL_MAX: usize = 4_000;
/// Tries to make a failing input smaller.
const SHRINK_MAX: usize = 300;

/// What a target failed on.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) input: Vec<u8>,
    pub(crate) message: String,
}

/// Runs a target for a while, and keeps and reports what fails.
pub(crate) fn test(name: &str, target: Target, seeds: &[Vec<u8>], words: &[&[u8]]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/regressions").join(name);
    let seed = number("FUZZ_SEED").or_else(|| number("PROPTEST_RNG_SEED"));
    let seed = seed.unwrap_or_else(|| RandomState::new().hash_one(name));
    let seconds = env::var("FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2.0);
    let guard = Guard::start(folder.clone());
    let mut first = regressions(&folder);
    first.extend_from_slice(seeds);
    let mut search = Search::new(target, seed, words, &guard);
    let failure = search.run(first, Duration::from_secs_f64(seconds), u64::MAX);
    println!("{name}: {} inputs, {} kept, seed {seed}", search.runs, search.pool.len());
    if let Some(failure) = failure {
        let file = keep(&folder, &failure.input);
        panic!(
            "{name} fails with seed {seed}: {}\ninput of {} bytes, kept in {}:\n{}",
            failure.message,
            failure.input.len(),
            file.display(),
            failure.input.escape_ascii(),
        );
    }
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok()?.parse().ok()
}

fn regressions(folder: &Path) -> Vec<Vec<u8>> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

fn keep(folder: &Path, input: &[u8]) -> PathBuf {
    let file = folder.join(format!("{:016x}.bin", crate::print(&input.escape_ascii().to_string(), 0).0));
    fs::create_dir_all(folder).unwrap();
    fs::write(&file, input).unwrap();
    file
}

/// One search: a pool of inputs that showed something new, and what was seen.
pub(crate) struct Search<'a> {
    target: Target,
    random: Random,
    words: &'a [&'a [u8]],
    guard: &'a Guard,
    pool: Vec<Vec<u8>>,
    seen: HashSet<Print>,
    pub(crate) runs: u64,
}

impl<'a> Search<'a> {
    pub(crate) fn new(target: Target, seed: u64, words: &'a [&'a [u8]], guard: &'a Guard) -> Self {
        let random = Random::new(seed);
        Self { target, random, words, guard, pool: Vec::new(), seen: HashSet::new(), runs: 0 }
    }

    /// Runs the first inputs, then changed ones, until the time or the number of runs is over or one fails.
    pub(crate) fn run(&mut self, first: Vec<Vec<u8>>, time: Duration, runs_max: u64) -> Option<Failure> {
        let end = Instant::now() + time;
        for input in first {
            if let Some(failure) = self.one(&input) {
                return Some(failure);
            }
            self.pool.push(input);
        }
        while Instant::now() < end && self.runs < runs_max {
            let input = mutate(&mut self.random, &self.pool, self.words);
            let known = self.seen.len();
            if let Some(failure) = self.one(&input) {
                return Some(failure);
            }
            if self.seen.len() > known && self.pool.len() < POOL_MAX {
                self.pool.push(input);
            }
        }
        None
    }

    fn one(&mut self, input: &[u8]) -> Option<Failure> {
        match self.attempt(input) {
            Ok(print) => {
                self.seen.insert(print);
                None
            }
            Err(message) => Some(self.shrink(Failure { input: input.to_vec(), message })),
        }
    }

    fn attempt(&mut self, input: &[u8]) -> Result<Print, String> {
        self.runs += 1;
        self.guard.enter(input);
        let result = catch_unwind(AssertUnwindSafe(|| (self.target)(input)));
        self.guard.leave();
        result.map_err(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            text.or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("a panic without text")
                .to_owned()
        })
    }

    /// Leaves parts out as long as it fails.
    fn shrink(&mut self, mut failure: Failure) -> Failure {
        let mut size = failure.input.len().div_ceil(2).max(1);
        let mut tries = 0;
        loop {
            let mut at = 0;
            while at < failure.input.len() && tries < SHRINK_MAX {
                tries += 1;
                let end = (at + size).min(failure.input.len());
                let shorter = [&failure.input[..at], &failure.input[end..]].concat();
                match self.attempt(&shorter) {
                    Ok(_) => at = end,
                    Err(message) => failure = Failure { input: shorter, message },
                }
            }
            if size == 1 || tries == SHRINK_MAX {
                return failure;
            }
            size = size.div_ceil(2);
        }
    }
}

/// The input that a target is at, and how many there were before it.
#[derive(Default)]
struct Current {
    input: Option<Vec<u8>>,
    count: u64,
}

/// Ends the program when a target does not come back, with the input that it hangs on kept.
pub(crate) struct Guard {
    current: Arc<Mutex<Current>>,
    // Dropped with the guard, which ends the thread that watches.
    _alive: mpsc::Sender<()>,
}

impl Guard {
    pub(crate) fn start(folder: PathBuf) -> Self {
        let current = Arc::new(Mutex::new(Current::default()));
        let (alive, ended) = mpsc::channel();
        let watched = Arc::clone(&current);
        thread::spawn(move || {
            let mut known = None;
            while ended.recv_timeout(HANG) == Err(RecvTimeoutError::Timeout) {
                let now = watched.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(input) = &now.input else { continue };
                if known == Some(now.count) {
                    eprintln!("hangs for {HANG:?}: kept in {}", keep(&folder, input).display());
                    process::abort();
                }
                known = Some(now.count);
            }
        });
        Self { current, _alive: alive }
    }

    fn enter(&self, input: &[u8]) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.count += 1;
        current.input = Some(input.to_vec());
    }

    fn leave(&self) {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).input = None;
    }
}

fn planted(bytes: &[u8]) -> Print {
    assert!(!bytes.windows(2).any(|pair| pair == b"]]"), "two brackets");
    crate::print("planted", bytes.iter().filter(|&&byte| byte == b']').count())
}

#[test]
fn a_planted_mistake_is_found_and_made_small() {
    let guard = Guard::start(env::temp_dir());
    let mut search = Search::new(planted, 7, &[b"]"], &guard);
    let failure = search.run(vec![b"[1, 2]".to_vec()], Duration::from_secs(60), 20_000).unwrap();
    assert_eq!(failure.input, b"]]");
    assert_eq!(failure.message, "two brackets");
}

#[test]
fn the_same_seed_tries_the_same_inputs() {
    let made = |seed| {
        let mut random = Random::new(seed);
        let pool = [b"{\"a\":1}".to_vec(), b"[true]".to_vec()];
        (0..200).map(|_| mutate(&mut random, &pool, &[b"null"])).collect::<Vec<_>>()
    };
    assert_eq!(made(1), made(1));
    assert_ne!(made(1), made(2));
}
