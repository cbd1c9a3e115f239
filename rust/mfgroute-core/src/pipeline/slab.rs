//! Slabs: newline-delimited JSON, and CSV files, taken apart into messages.

use super::batch::{Attributes, Batch, Bytes};
use super::flat::Choice;
use super::message::{Intake, Read, Worker};
use crate::decode::csv::{CsvCursor, CsvDocument};
use crate::map::Decode;
use crate::map::scratch::{LINE, Meta};
use crate::reject::Reject;

/// Where a slab goes on: byte offset, and lines before it.
pub type Cursor = (u64, u64);

impl Worker {
    /// Prepares up to `messages_max` messages of a slab from `cursor` on. Gives the place where the rest
    /// starts, or `None` at the end.
    ///
    /// # Errors
    ///
    /// The slab cannot be taken apart at all, and nothing of it was prepared.
    pub fn slab(
        &mut self,
        intake: &Intake<'_>,
        slab: &[u8],
        cursor: Option<Cursor>,
        meta: Meta<'_>,
        messages_max: usize,
        batch: &mut Batch,
    ) -> Result<Option<Cursor>, Reject> {
        let csv = intake.mappings().find_map(|(_, mapping)| match &mapping.from.decode {
            Decode::Csv(options) => Some(options),
            _ => None,
        });
        let mut pairs: Vec<(&str, &str)> = meta.to_vec();
        pairs.push((LINE, ""));
        match csv {
            None => Ok(self.lines(intake, slab, cursor.unwrap_or((0, 0)), &mut pairs, messages_max, batch)),
            Some(options) => {
                let limits = self.limits;
                let mut document = match cursor {
                    None => CsvDocument::open(slab, options, &limits)?,
                    Some((offset, line)) => {
                        CsvDocument::resume(slab, options, &limits, CsvCursor::from_parts(offset, line))?
                    }
                };
                for _ in 0..messages_max {
                    let Some(message) = document.next_message() else { return Ok(None) };
                    let line = message.line.to_string();
                    let stored = document.stored(&message);
                    let decoded = document.decode_message(&message, &mut self.space.message);
                    let mut own: Vec<(&str, &str)> = meta.to_vec();
                    own.push((LINE, &line));
                    match decoded {
                        Ok(()) => self.message(intake, Read::Decoded, &stored, &own, batch),
                        Err(reject) => refuse(reject, &stored, &own, batch),
                    }
                }
                Ok(Some(document.cursor().parts()))
            }
        }
    }

    fn lines<'m>(
        &mut self,
        intake: &Intake<'_>,
        slab: &[u8],
        (mut offset, mut line): Cursor,
        pairs: &mut Vec<(&'m str, &'m str)>,
        messages_max: usize,
        batch: &mut Batch,
    ) -> Option<Cursor> {
        pairs.pop();
        let mut made = 0;
        let choice = Choice::of(intake).filter(|_| self.flat_allowed);
        while let Some(rest) = slab.get(offset as usize..).filter(|rest| !rest.is_empty()) {
            if made == messages_max {
                return Some((offset, line));
            }
            if let Some(choice) = choice {
                let place = (offset as usize, line + 1);
                if let Some(next) = self.flat_line(intake, choice, slab, place, pairs, batch) {
                    (offset, line, made) = (next as u64, line + 1, made + 1);
                    continue;
                }
            }
            let end = rest.iter().position(|&byte| byte == b'\n');
            let text = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            offset += text.len() as u64 + u64::from(end.is_some());
            line += 1;
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            if text.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let number = line.to_string();
            let mut own: Vec<(&str, &str)> = pairs.clone();
            own.push((LINE, &number));
            self.message(intake, Read::Bytes(text), text, &own, batch);
            made += 1;
        }
        None
    }
}

/// Notes a message that could not be decoded.
pub(crate) fn refuse(mut reject: Reject, raw: &[u8], meta: Meta<'_>, batch: &mut Batch) {
    use super::batch::{Prepared, PreparedMessage};
    reject.message = batch.messages.len() as u32;
    reject.place = super::message::place(meta);
    let raw = batch.push(raw);
    let meta = batch.push_attributes(meta);
    let items = batch.items.len();
    batch.items.push(Prepared::Reject(reject));
    let message = PreparedMessage {
        raw: Bytes::Own(raw),
        meta: Attributes::Own(meta),
        independent: false,
        items: items..items + 1,
        mapping: None,
    };
    batch.messages.push(message);
}
