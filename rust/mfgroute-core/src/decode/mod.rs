//! Decoders: bytes of a message into a [`Tree`](crate::tree::Tree), within [`Limits`].
//!
//! * [`json`]: strict RFC 8259.
//! * [`xml`]: XML 1.0 without DOCTYPE.
//! * [`csv`]: files of rows, cut into messages.
//! * [`encoding`]: bytes into UTF-8.
//! * [`escape`]: the escapes of JSON texts.
//!
//! A decoder clears the tree first. After a refusal the tree holds an unfinished message and must
//! not be read.

#![allow(clippy::result_large_err, reason = "a reject is made once for a message that ends with it")]

pub mod csv;
pub mod encoding;
pub mod escape;
pub mod json;
mod keys;
pub mod xml;
mod xml_encoding;
mod xml_names;

use crate::reject::{Code, Reject};

/// What a message may be at most. Each bound is the largest size that is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Objects, arrays and elements inside each other; a message that is one object has depth 1.
    pub depth: usize,
    /// Different names in one object; repeated XML siblings count once.
    pub keys: usize,
    /// Values in the message: objects, arrays, elements, attributes and scalars.
    pub nodes: usize,
    /// Bytes of one text or name in UTF-8, unescaped.
    pub string_bytes: usize,
    /// Bytes of the message as it arrived.
    pub message_bytes: usize,
    /// Characters of one number. Numbers that are no `i64`, `u64` or decimal of 38 digits are
    /// refused at any length.
    pub number_chars: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 64,
            keys: 1024,
            nodes: 100_000,
            string_bytes: 256 * 1024,
            message_bytes: 1024 * 1024,
            number_chars: 400,
        }
    }
}

impl Limits {
    /// Refuses a message that is too long or has no content.
    fn check_size(&self, bytes: &[u8]) -> Result<(), Reject> {
        if bytes.len() > self.message_bytes {
            return Err(Reject::new(
                Code::MessageTooLarge,
                format!("{} bytes", bytes.len()),
                format!("at most {} bytes", self.message_bytes),
            ));
        }
        if bytes.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) {
            let found = if bytes.is_empty() { "no bytes" } else { "only white space" };
            return Err(Reject::new(Code::PayloadEmpty, found, "a message"));
        }
        Ok(())
    }

    fn too_deep(&self, offset: usize) -> Reject {
        Reject::new(
            Code::TooDeep,
            format!("depth {}", self.depth + 1),
            format!("at most {} values inside each other", self.depth),
        )
        .offset(offset)
    }

    fn too_many_nodes(&self, offset: usize) -> Reject {
        Reject::new(
            Code::TooManyNodes,
            format!("more than {} values", self.nodes),
            format!("at most {} values", self.nodes),
        )
        .offset(offset)
    }

    fn too_many_keys(&self, offset: usize) -> Reject {
        Reject::new(
            Code::TooManyKeys,
            format!("more than {} names in one object", self.keys),
            format!("at most {} names", self.keys),
        )
        .offset(offset)
    }

    fn string_too_long(&self, offset: usize) -> Reject {
        Reject::new(
            Code::StringTooLong,
            format!("a text of more than {} bytes", self.string_bytes),
            format!("at most {} bytes", self.string_bytes),
        )
        .offset(offset)
    }
}
