//! What this build is, and which of its instructions the machine has.

/// What there is to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Build {
    /// Version of the program.
    pub version: &'static str,
    /// The architecture that it was compiled for.
    pub arch: &'static str,
    /// Whether it was compiled without optimization, which costs most of its speed.
    pub debug: bool,
    /// How the ends of texts are found: `sse2`, or byte by byte.
    pub text: &'static str,
    /// How checksums of the log are made: `sse4.2`, `crc`, or by a table.
    pub checksum: &'static str,
}

/// This build on this machine.
#[must_use]
pub fn build() -> Build {
    Build {
        version: env!("CARGO_PKG_VERSION"),
        arch: std::env::consts::ARCH,
        debug: cfg!(debug_assertions),
        text: if cfg!(target_arch = "x86_64") { "sse2" } else { "bytes" },
        checksum: checksum(),
    }
}

/// As the crate that makes them decides at run time.
#[cfg(target_arch = "x86_64")]
fn checksum() -> &'static str {
    if std::arch::is_x86_feature_detected!("sse4.2") { "sse4.2" } else { "table" }
}

#[cfg(target_arch = "aarch64")]
fn checksum() -> &'static str {
    if std::arch::is_aarch64_feature_detected!("crc") { "crc" } else { "table" }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn checksum() -> &'static str {
    "table"
}
