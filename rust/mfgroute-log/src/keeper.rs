//! Segments before and after their use: spare ones are made ready, and those that are not needed any more go.
//!
//! A file that grows takes many times as long to sync now and then, and everybody who writes to the same file system with
//! it. So whoever writes to a log does none of this himself, and a keeper may work in a thread of its own meanwhile.

use std::io;
use std::sync::Arc;

use crate::Options;
use crate::disk::{Disk, DiskFile};

/// A segment that is ready, for the [`Writer`](crate::Writer) of its log: written to its end with whatever, durable, and
/// under a name of its own.
#[derive(Debug)]
pub struct Spare(pub(crate) String);

/// The one who keeps the files of a log. It belongs to one thread, which may wait for the disk.
pub struct Keeper {
    disk: Arc<dyn Disk>,
    options: Options,
    life: u64,
    serial: u64,
    making: Option<Making>,
    /// A segment that became a spare one, while it is not certain that its old name is gone.
    renamed: Option<Spare>,
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper")
            .field("life", &self.life)
            .field("serial", &self.serial)
            .finish_non_exhaustive()
    }
}

/// A spare segment that is being written.
struct Making {
    name: String,
    file: Arc<dyn DiskFile>,
    filled: u64,
}

impl Keeper {
    pub(crate) fn new(disk: Arc<dyn Disk>, options: Options, life: u64) -> Self {
        Self { disk, options, life, serial: 0, making: None, renamed: None }
    }

    /// Writes up to `step` bytes of the next spare segment, and returns it once it is whole.
    ///
    /// # Errors
    ///
    /// The disk has no room beyond the reserve (`StorageFull`), or writing failed. The spare is given up and the log
    /// itself is not touched: asking again later is safe.
    pub fn prepare(&mut self, step: u64) -> io::Result<Option<Spare>> {
        let mut making = match self.making.take() {
            Some(making) => making,
            None => self.begin()?,
        };
        match self.fill(&mut making, step) {
            Ok(()) if making.filled < self.options.segment_bytes => {
                self.making = Some(making);
                Ok(None)
            }
            Ok(()) => {
                // Only now: a file that is not durable to its end is not found as a spare one by a later opening.
                let spare = self.name();
                self.disk.rename(&making.name, &spare)?;
                Ok(Some(Spare(spare)))
            }
            Err(error) => {
                // What was written is of no use; if it cannot be removed now, the next opening does it.
                let _ = self.disk.remove(&making.name);
                Err(error)
            }
        }
    }

    fn begin(&mut self) -> io::Result<Making> {
        if self.disk.free()? < self.options.reserve_bytes + self.options.segment_bytes {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "the disk has only its reserve left"));
        }
        let name = self.name().replace(".spare", ".new");
        let file = self.disk.create(&name)?;
        Ok(Making { name, file, filled: 0 })
    }

    fn name(&mut self) -> String {
        self.serial += 1;
        format!("{:06}-{:06}.spare", self.life, self.serial)
    }

    fn fill(&self, making: &mut Making, step: u64) -> io::Result<()> {
        let zeros = vec![0; step.min(self.options.segment_bytes - making.filled) as usize];
        making.file.write_all_at(&zeros, making.filled)?;
        making.file.sync()?;
        making.filled += zeros.len() as u64;
        Ok(())
    }

    /// Takes a segment out of the log for good; it becomes a spare one if one is `wanted`, which is returned. The caller
    /// has made durable what allows it.
    ///
    /// # Errors
    ///
    /// The file system says no. The segment, and those behind it, are to be retired again later.
    pub fn retire(&mut self, name: &str, wanted: bool) -> io::Result<Option<Spare>> {
        let length = match self.disk.open(name).and_then(|file| file.length()) {
            Ok(length) => Some(length),
            // It went before, and what failed was to make that durable.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if length == Some(self.options.segment_bytes) && wanted && self.renamed.is_none() {
            let spare = self.name();
            self.disk.rename(name, &spare)?;
            self.renamed = Some(Spare(spare));
        } else if length.is_some() {
            self.disk.remove(name)?;
        }
        self.disk.sync_names()?;
        // Not before: a new head in a file that may get its old name back would be two segments in one.
        Ok(self.renamed.take())
    }
}
