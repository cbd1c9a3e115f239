//! The file system as a log sees it: the only place where it is touched, and the seam for faults.
//!
//! A [`Disk`] is one folder of flat file names. What has been written is on the platter only after
//! [`DiskFile::sync`], and a name only after [`Disk::sync_names`]; everything in this crate is written against
//! exactly that.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One folder.
pub trait Disk: Send + Sync {
    /// Names of the files in it, in no order.
    fn names(&self) -> io::Result<Vec<String>>;

    /// Makes an empty file; one of this name must not exist.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file to read and write.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Gives a file another name; a file of that name is replaced.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Takes a name away.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes all names durable: what was created, renamed and removed before.
    fn sync_names(&self) -> io::Result<()>;

    /// Bytes that are free for this process.
    fn free(&self) -> io::Result<u64>;

    /// A folder in this folder, made if it is missing.
    fn folder(&self, name: &str) -> io::Result<Arc<dyn Disk>>;
}

/// One file.
pub trait DiskFile: Send + Sync {
    /// Its length in bytes.
    fn length(&self) -> io::Result<u64>;

    /// Reads at a place, perhaps less than asked for; nothing means the end.
    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize>;

    /// Writes at a place, perhaps less than given.
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize>;

    /// Makes what was written durable, with what is needed to find it.
    fn sync(&self) -> io::Result<()>;
}

impl dyn DiskFile {
    /// Writes all bytes at a place.
    pub fn write_all_at(&self, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write_at(bytes, at) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    bytes = bytes.get(count..).unwrap_or_default();
                    at += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads up to `length` bytes at a place; fewer only at the end of the file.
    pub fn read_up_to(&self, length: usize, at: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.read_into(&mut bytes, length, at)?;
        Ok(bytes)
    }

    /// As `read_up_to`, in place of what is in a buffer.
    pub fn read_into(&self, bytes: &mut Vec<u8>, length: usize, at: u64) -> io::Result<()> {
        bytes.resize(length, 0);
        let mut read = 0;
        while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match self.read_at(rest, at + read as u64) {
                Ok(0) => break,
                Ok(count) => read += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(read);
        Ok(())
    }
}

/// A folder of the machine's file system.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Files are opened to read, and nothing is made, renamed or taken away.
    looking: bool,
}

impl Folder {
    /// Opens a folder, which is made with all folders above it if it is missing, readable by its owner only.
    ///
    /// A symbolic link in place of the folder is refused: what it points to may change under a running log.
    pub fn open(path: &Path) -> io::Result<Self> {
        match std::fs::symlink_metadata(path) {
            // Whoever made it may have died before its name was durable.
            Ok(found) if found.is_dir() => sync_above(path)?,
            Ok(found) => {
                let what = if found.is_symlink() { "a symbolic link" } else { "not a folder" };
                let message = format!("{} is {what}, expected a folder", path.display());
                return Err(io::Error::new(io::ErrorKind::NotADirectory, message));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => make(path)?,
            Err(error) => return Err(named(path, &error)),
        }
        Ok(Self { path: path.to_owned(), looking: false })
    }

    /// A folder to look into only: it must be there, files are opened to read, and everything that would change it is
    /// refused.
    pub fn looking(path: &Path) -> io::Result<Self> {
        std::fs::read_dir(path).map_err(|error| named(path, &error))?;
        Ok(Self { path: path.to_owned(), looking: true })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Makes a folder and those above it, each durable in the one above.
fn make(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    match path.parent().filter(|above| !above.as_os_str().is_empty()) {
        Some(above) if above.exists() => sync_above(above)?,
        Some(above) => make(above)?,
        None => {}
    }
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(named(path, &error)),
        _ => {}
    }
    sync_folder(above(path))
}

fn above(path: &Path) -> &Path {
    path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes the name of a folder durable that was there already. A folder above it that this process may not read is
/// one in which it made nothing.
fn sync_above(path: &Path) -> io::Result<()> {
    match sync_folder(above(path)) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        other => other,
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(|error| named(path, &error))
}

/// The same error with the path in its words.
fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

impl Folder {
    fn at<T>(&self, name: &str, run: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
        let path = self.path.join(name);
        run(&path).map_err(|error| named(&path, &error))
    }

    /// As `at`, for what changes the folder.
    fn change<T>(&self, name: &str, run: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
        let refused = self.looking.then(|| io::Error::from(io::ErrorKind::ReadOnlyFilesystem));
        self.at(name, |path| refused.map_or_else(|| run(path), Err))
    }
}

impl Disk for Folder {
    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path).map_err(|error| named(&self.path, &error))? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        use std::os::unix::fs::OpenOptionsExt as _;
        let new =
            |path: &Path| OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path);
        Ok(Arc::new(self.change(name, new)?))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let write = !self.looking;
        Ok(Arc::new(self.at(name, |path| OpenOptions::new().read(true).write(write).open(path))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.change(from, |path| std::fs::rename(path, self.path.join(to)))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.change(name, |path| std::fs::remove_file(path))
    }

    fn sync_names(&self) -> io::Result<()> {
        sync_folder(&self.path)
    }

    fn free(&self) -> io::Result<u64> {
        let found = rustix::fs::statvfs(&self.path).map_err(io::Error::from)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }

    fn folder(&self, name: &str) -> io::Result<Arc<dyn Disk>> {
        let open = if self.looking { Self::looking } else { Self::open };
        Ok(Arc::new(open(&self.path.join(name))?))
    }
}

impl DiskFile for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(self, into, at)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::write_at(self, bytes, at)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_to_look_into_is_never_changed_nor_made() {
        let path = std::env::temp_dir().join(format!("mfgroute-look-{}", std::process::id()));
        assert_eq!(Folder::looking(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(!path.exists());
        let folder = Folder::open(&path).unwrap();
        folder.create("a").unwrap().write_all_at(b"bytes", 0).unwrap();
        let looking = Folder::looking(&path).unwrap();
        let refused = |error: io::Error| assert_eq!(error.kind(), io::ErrorKind::ReadOnlyFilesystem);
        refused(looking.create("b").err().unwrap());
        refused(looking.rename("a", "b").unwrap_err());
        refused(looking.remove("a").unwrap_err());
        assert_eq!(looking.folder("c").err().unwrap().kind(), io::ErrorKind::NotFound);
        let file = looking.open("a").unwrap();
        assert!(file.write_all_at(b"other", 0).is_err());
        assert_eq!(file.read_up_to(9, 0).unwrap(), b"bytes");
        assert_eq!(looking.names().unwrap(), ["a"]);
        std::fs::remove_dir_all(&path).unwrap();
    }
}
