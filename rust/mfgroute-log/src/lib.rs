//! Ordered logs of byte records.
