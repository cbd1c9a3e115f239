//! Where JSON is written: memory that is always longer than what is in it, so that short texts are copied in
//! chunks of one size and cut afterwards.

/// Bytes of one copy.
const CHUNK: usize = 32;

/// Bytes that were written.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    bytes: Vec<u8>,
    len: usize,
}

impl Sheet {
    /// Forgets what was written and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    /// Number of bytes written.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// What was written.
    pub(super) fn get(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Forgets what was written from a place on.
    pub(super) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Writes one byte.
    #[inline]
    pub(super) fn put(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        } else {
            self.put_all(&[byte]);
        }
    }

    /// Writes any bytes.
    #[inline(never)]
    pub(super) fn put_all(&mut self, bytes: &[u8]) {
        self.room(bytes.len());
        if let Some(place) = self.bytes.get_mut(self.len..self.len + bytes.len()) {
            place.copy_from_slice(bytes);
            self.len += bytes.len();
        }
    }

    /// Writes the first `len` bytes of a chunk.
    #[inline]
    pub(super) fn put_chunk(&mut self, chunk: &[u8; CHUNK], len: usize) {
        let place = self.bytes.get_mut(self.len..).and_then(<[u8]>::first_chunk_mut::<CHUNK>);
        match place {
            Some(place) => {
                *place = *chunk;
                self.len += len.min(CHUNK);
            }
            None => self.put_all(chunk.get(..len).unwrap_or_default()),
        }
    }

    /// Writes a text of the plan.
    #[inline]
    pub(super) fn put_fixed(&mut self, fixed: &Fixed) {
        match &fixed.long {
            None => self.put_chunk(&fixed.chunk, fixed.len),
            Some(long) => self.put_all(long),
        }
    }

    /// Writes `len` bytes of a message from `start` on, between quotes.
    #[inline]
    pub(super) fn put_quoted(&mut self, message: &[u8], start: usize, len: usize) {
        let chunk = message.get(start..).and_then(<[u8]>::first_chunk::<CHUNK>);
        let place = self.bytes.get_mut(self.len..).and_then(<[u8]>::first_chunk_mut::<{ CHUNK + 2 }>);
        if let (Some(chunk), Some(place)) = (chunk, place)
            && len <= CHUNK
        {
            let [open, text @ .., _] = place;
            *open = b'"';
            *text = *chunk;
            if let Some(close) = place.get_mut(len + 1) {
                *close = b'"';
            }
            self.len += len + 2;
            return;
        }
        self.put(b'"');
        self.put_all(message.get(start..start + len).unwrap_or_default());
        self.put(b'"');
    }

    /// Writes a text of the plan and, between quotes, `len` bytes of a message from `start` on.
    #[inline]
    pub(super) fn put_member(&mut self, lead: &Fixed, message: &[u8], start: usize, len: usize) {
        let text = message.get(start..).and_then(<[u8]>::first_chunk::<CHUNK>);
        let place = self.bytes.get_mut(self.len..).and_then(<[u8]>::first_chunk_mut::<{ 2 * CHUNK + 2 }>);
        if let (Some(text), Some(place)) = (text, place)
            && let Some((first, _)) = place.split_first_chunk_mut::<CHUNK>()
            && len <= CHUNK
            && lead.len <= CHUNK
        {
            *first = lead.chunk;
            if let Some([open, behind @ ..]) = place.get_mut(lead.len..)
                && let Some(behind) = behind.first_chunk_mut::<{ CHUNK + 1 }>()
            {
                *open = b'"';
                if let Some((room, _)) = behind.split_first_chunk_mut::<CHUNK>() {
                    *room = *text;
                }
                if let Some(close) = behind.get_mut(len) {
                    *close = b'"';
                }
                self.len += lead.len + len + 2;
                return;
            }
        }
        self.put_fixed(lead);
        self.put_quoted(message, start, len);
    }

    /// Writes what goes into a vector.
    pub(super) fn put_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.bytes.truncate(self.len);
        write(&mut self.bytes);
        self.len = self.bytes.len();
        self.bytes.resize(self.bytes.capacity(), 0);
    }

    /// Makes what was written since `start` an object: members, each behind a comma.
    #[inline]
    pub(super) fn close_object(&mut self, start: usize) {
        if self.len == start {
            self.put(b'{');
        } else if let Some(comma) = self.bytes.get_mut(start) {
            *comma = b'{';
        }
        self.put(b'}');
    }

    /// Makes what was written since `start` a list: items, each behind a comma.
    pub(super) fn close_list(&mut self, start: usize) {
        if self.len == start {
            self.put(b'[');
        } else if let Some(comma) = self.bytes.get_mut(start) {
            *comma = b'[';
        }
        self.put(b']');
    }

    #[cold]
    fn room(&mut self, more: usize) {
        let needed = self.len + more + 2 * CHUNK;
        if self.bytes.len() < needed {
            self.bytes.resize(needed.max(2 * self.bytes.len()).max(1024), 0);
        }
    }
}

/// A text of the plan that is written often.
#[derive(Clone, Debug)]
pub(super) struct Fixed {
    chunk: [u8; CHUNK],
    len: usize,
    /// All of it, where a chunk is too short.
    long: Option<Box<[u8]>>,
}

impl Fixed {
    pub(super) fn new(bytes: &[u8]) -> Self {
        let mut chunk = [0; CHUNK];
        chunk.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
        let long = (bytes.len() > CHUNK).then(|| bytes.into());
        Self { chunk, len: bytes.len(), long }
    }

    pub(super) fn get(&self) -> &[u8] {
        self.long.as_deref().or_else(|| self.chunk.get(..self.len)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_sheet_holds_what_was_written_on_it(
            writes in prop::collection::vec((0_u8..8, prop::collection::vec(any::<u8>(), 0..80), 0_usize..40), 0..60),
        ) {
            let (mut sheet, mut plain) = (Sheet::default(), Vec::new());
            for (how, bytes, at) in writes {
                match how {
                    0 => bytes.iter().for_each(|byte| {
                        sheet.put(*byte);
                        plain.push(*byte);
                    }),
                    1 => {
                        sheet.put_all(&bytes);
                        plain.extend_from_slice(&bytes);
                    }
                    2 => {
                        let fixed = Fixed::new(&bytes);
                        prop_assert_eq!(fixed.get(), &*bytes);
                        sheet.put_fixed(&fixed);
                        plain.extend_from_slice(&bytes);
                    }
                    3 => {
                        let start = at.min(bytes.len());
                        let len = (bytes.len() - start).min(at);
                        sheet.put_quoted(&bytes, start, len);
                        plain.push(b'"');
                        plain.extend_from_slice(&bytes[start..start + len]);
                        plain.push(b'"');
                    }
                    4 => {
                        sheet.put_with(|out| out.extend_from_slice(&bytes));
                        plain.extend_from_slice(&bytes);
                    }
                    5 => {
                        let start = sheet.len();
                        if !bytes.is_empty() {
                            sheet.put(b',');
                            sheet.put_all(&bytes);
                        }
                        sheet.close_object(start);
                        plain.push(b'{');
                        plain.extend_from_slice(&bytes);
                        plain.push(b'}');
                    }
                    6 => {
                        let start = at.min(bytes.len());
                        let len = (bytes.len() - start).min(at);
                        sheet.put_member(&Fixed::new(&bytes[..start]), &bytes, start, len);
                        plain.extend_from_slice(&bytes[..start]);
                        plain.push(b'"');
                        plain.extend_from_slice(&bytes[start..start + len]);
                        plain.push(b'"');
                    }
                    _ => {
                        sheet.truncate(sheet.len() - at.min(sheet.len()));
                        plain.truncate(sheet.len());
                    }
                }
                prop_assert_eq!(sheet.get(), &*plain);
            }
        }
    }
}
