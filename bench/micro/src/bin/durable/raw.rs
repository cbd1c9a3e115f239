//! The yardstick: a recycled file, and a log of nothing but bytes with group commit.

use std::io::Error;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use serde_json::{Value, json};

use crate::load::Target;

/// Bytes of the file, which is written again from its start when it is full.
const SIZE: u64 = 128 << 20;

/// A file that has been written to its end before anything is measured.
pub(crate) struct File {
    file: std::fs::File,
    at: u64,
}

fn said(error: Error) -> String {
    error.to_string()
}

impl File {
    pub(crate) fn new(folder: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(folder).map_err(said)?;
        let file = std::fs::File::create(folder.join("recycled")).map_err(said)?;
        let zeros = vec![0; 1 << 20];
        for at in (0..SIZE).step_by(zeros.len()) {
            file.write_all_at(&zeros, at).map_err(said)?;
        }
        file.sync_all().map_err(said)?;
        Ok(Self { file, at: 0 })
    }

    /// Writes bytes behind those of before and makes them durable.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<(), String> {
        if self.at + bytes.len() as u64 > SIZE {
            self.at = 0;
        }
        self.file.write_all_at(bytes, self.at).map_err(said)?;
        self.file.sync_data().map_err(said)?;
        self.at += bytes.len() as u64;
        Ok(())
    }
}

/// What senders and the one who writes share.
#[derive(Default)]
struct Shared {
    waiting: Vec<u8>,
    ticket: u64,
    done: u64,
    groups: u64,
    bytes: u64,
    closed: bool,
    failed: Option<String>,
}

#[derive(Default)]
struct Desk {
    shared: Mutex<Shared>,
    work: Condvar,
    done: Condvar,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A log with group commit: a group is what came in while the one before was under way.
pub(crate) struct Log {
    desk: Arc<Desk>,
    record: Vec<u8>,
    writer: Option<JoinHandle<()>>,
}

impl Log {
    /// A log whose records have so many bytes each, in the mean.
    pub(crate) fn new(folder: &Path, record_bytes: f64) -> Result<Self, String> {
        let (file, desk) = (File::new(folder)?, Arc::new(Desk::default()));
        let shared = Arc::clone(&desk);
        let writer = Some(std::thread::spawn(move || write(&shared, file)));
        Ok(Self { desk, record: vec![0x5a; record_bytes.round() as usize], writer })
    }

    pub(crate) fn groups(&self) -> Value {
        let shared = self.desk.lock();
        json!({"groups": shared.groups, "bytes_per_group": shared.bytes as f64 / shared.groups.max(1) as f64})
    }
}

fn write(desk: &Desk, mut file: File) {
    let mut group = Vec::new();
    let mut shared = desk.lock();
    loop {
        while shared.waiting.is_empty() {
            if shared.closed {
                return;
            }
            shared = desk.work.wait(shared).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut group, &mut shared.waiting);
        let ticket = shared.ticket;
        drop(shared);
        let result = file.put(&group);
        shared = desk.lock();
        shared.failed = result.err();
        shared.done = ticket;
        shared.groups += 1;
        shared.bytes += group.len() as u64;
        group.clear();
        desk.done.notify_all();
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.desk.lock().closed = true;
        self.desk.work.notify_one();
        // A panic there was said by the thread itself.
        let _ = self.writer.take().map(JoinHandle::join);
    }
}

impl Target for Log {
    fn put(&self, numbers: &[u64]) -> Result<(), String> {
        let mut shared = self.desk.lock();
        for _ in numbers {
            shared.waiting.extend_from_slice(&self.record);
        }
        shared.ticket += 1;
        let ticket = shared.ticket;
        self.desk.work.notify_one();
        while shared.done < ticket && shared.failed.is_none() {
            shared = self.desk.done.wait(shared).unwrap_or_else(PoisonError::into_inner);
        }
        shared.failed.clone().map_or(Ok(()), Err)
    }
}
