//! An eventfd: how the engine wakes an event loop.

#![allow(unsafe_code, reason = "three system calls on a descriptor that this type owns")]

use std::io;

/// A counter that is readable while it is not zero.
pub struct EventFd(i32);

impl EventFd {
    /// A new one, not blocking and closed on exec.
    ///
    /// # Errors
    ///
    /// The process has no descriptors left.
    pub fn new() -> io::Result<Self> {
        // SAFETY: eventfd takes two integers and has no memory requirements.
        let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(Self(fd)) }
    }

    /// The descriptor, valid as long as this value.
    #[must_use]
    pub fn raw(&self) -> i32 {
        self.0
    }

    /// Makes it readable.
    pub fn signal(&self) {
        let one = 1_u64.to_ne_bytes();
        // SAFETY: eight bytes are readable at the pointer. A full counter (EAGAIN) is readable already.
        unsafe { libc::write(self.0, one.as_ptr().cast(), one.len()) };
    }
}

impl Drop for EventFd {
    fn drop(&mut self) {
        // SAFETY: the descriptor is ours and is not used after this.
        unsafe { libc::close(self.0) };
    }
}
