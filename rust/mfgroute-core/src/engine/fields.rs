//! How the fields of [facts](super::fact) are written and read: numbers little-endian, texts and bytes behind their
//! length in four bytes.

use super::effect::{Step, Stepped};
use super::fact::{At, End};

/// Appends fields.
pub(super) struct Out<'v>(pub(super) &'v mut Vec<u8>);

impl Out<'_> {
    pub(super) fn byte(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    pub(super) fn flag(&mut self, value: bool) -> &mut Self {
        self.byte(u8::from(value))
    }

    pub(super) fn short(&mut self, value: u16) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(super) fn word(&mut self, value: u32) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(super) fn long(&mut self, value: u64) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(super) fn id(&mut self, value: u128) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(super) fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.word(value.len() as u32).0.extend_from_slice(value);
        self
    }

    pub(super) fn text(&mut self, value: Option<&str>) -> &mut Self {
        match value {
            Some(text) => self.flag(true).bytes(text.as_bytes()),
            None => self.flag(false),
        }
    }

    pub(super) fn at(&mut self, at: &At) -> &mut Self {
        self.short(at.sink).short(at.stream).long(at.seq).long(at.ordinal).flag(at.copy)
    }

    pub(super) fn end(&mut self, end: &End<'_>) -> &mut Self {
        self.byte(end.how)
            .long(end.at_ms)
            .id(end.id)
            .long(end.lane)
            .word(end.tries)
            .text(end.text)
            .text(end.posted_as)
    }
}

/// What is left to be read. `None` is given for what is not whole.
pub(super) struct In<'a>(pub(super) &'a [u8]);

impl<'a> In<'a> {
    pub(super) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    pub(super) fn flag(&mut self) -> Option<bool> {
        self.byte().map(|byte| byte == 1)
    }

    pub(super) fn short(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    pub(super) fn word(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub(super) fn long(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.word()? as usize;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    pub(super) fn str(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    #[expect(clippy::option_option, reason = "not readable, absent and there are three things")]
    pub(super) fn text(&mut self) -> Option<Option<&'a str>> {
        if self.flag()? { self.str().map(Some) } else { Some(None) }
    }

    pub(super) fn id(&mut self) -> Option<u128> {
        self.take().map(u128::from_le_bytes)
    }

    pub(super) fn stepped(&mut self) -> Option<Stepped<'a>> {
        let (step, at_ms, id) = (Step::of(self.byte()?)?, self.long()?, self.id()?);
        Some(Stepped { step, at_ms, id, key: self.str()?, request: self.bytes()?, about: self.bytes()? })
    }

    pub(super) fn at(&mut self) -> Option<At> {
        let (sink, stream, seq) = (self.short()?, self.short()?, self.long()?);
        Some(At { sink, stream, seq, ordinal: self.long()?, copy: self.flag()? })
    }

    pub(super) fn end(&mut self) -> Option<End<'a>> {
        let (how, at_ms, id) = (self.byte()?, self.long()?, self.id()?);
        let (lane, tries, text) = (self.long()?, self.word()?, self.text()?);
        Some(End { how, at_ms, id, lane, tries, text, posted_as: self.text()? })
    }
}
