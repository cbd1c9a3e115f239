//! Objects: members are expected in the order of the table, and found in any.

use super::super::cell::CellKind;
use super::super::shape::{Member, ObjectShape, Place, Seen};
use super::Scan;

/// Names that the table does not know, in one object; more are handed back.
const NAMES_MAX: usize = 64;

impl<'m> Scan<'m> {
    /// Reads an object from behind its brace to behind its other one.
    pub(super) fn object(&mut self, place: &'m Place, base: usize, mut at: usize) -> Option<usize> {
        let shape = place.object.as_ref()?;
        let unknown = self.store.names.len();
        let (mut seen, mut count, mut next) = (Seen::default(), 0_u32, 0_usize);
        loop {
            let place = match shape.members.get(next) {
                Some(member) if member.is_at(self.bytes, at) => {
                    at += member.key.len();
                    next += 1;
                    take(member, &mut seen)?
                }
                _ => {
                    at = self.space(at);
                    if count == 0 && *self.bytes.get(at)? == b'}' {
                        at += 1;
                        break;
                    }
                    let place;
                    (place, at) = self.search(shape, at, unknown, &mut seen, &mut next)?;
                    place
                }
            };
            count += 1;
            at = self.value(self.shape.place(place), base, at)?;
            if !self.goes_on(&mut at, b'}')? {
                break;
            }
        }
        self.store.names.truncate(unknown);
        self.count(count as usize)?;
        let whole = seen.has(&shape.required);
        let fits = count >= shape.min && count <= shape.max && count as usize <= self.limits.keys;
        (whole && fits).then_some(at)
    }

    /// Finds the member whose name starts at a place, wherever it is in the table. Gives its place in the
    /// table, and in the message the one behind its colon.
    fn search(
        &mut self,
        shape: &ObjectShape,
        at: usize,
        unknown: usize,
        seen: &mut Seen,
        next: &mut usize,
    ) -> Option<(u32, usize)> {
        let bytes = self.bytes;
        let rest = bytes.get(at..)?;
        let index = match rest.first_chunk::<16>() {
            Some(head) => {
                let head = u128::from_le_bytes(*head);
                shape.members.iter().position(|member| member.starts(head, rest))
            }
            None => shape.members.iter().position(|member| rest.starts_with(&member.key)),
        };
        if let Some(index) = index {
            let member = shape.members.get(index)?;
            *next = index + 1;
            return Some((take(member, seen)?, at + member.key.len()));
        }
        if *bytes.get(at)? != b'"' {
            return None;
        }
        let (name, end) = self.string(at)?;
        if name.kind == CellKind::Unescaped || name.len as usize > self.limits.string_bytes {
            return None;
        }
        let colon = self.space(end);
        if *bytes.get(colon)? != b':' {
            return None;
        }
        let (start, end) = (name.start as usize, (name.start + name.len) as usize);
        let text = bytes.get(start..end)?;
        // White space before the colon, or a name the table does not have.
        if let Some(index) = shape.members.iter().position(|member| member.name() == text) {
            *next = index + 1;
            return Some((take(shape.members.get(index)?, seen)?, colon + 1));
        }
        let place = shape.additional?;
        let names = self.store.names.get(unknown..)?;
        let twice = names.iter().any(|(start, end)| bytes.get(*start as usize..*end as usize) == Some(text));
        if twice || names.len() >= NAMES_MAX {
            return None;
        }
        self.store.names.push((start as u32, end as u32));
        Some((place, colon + 1))
    }
}

impl Member {
    /// Whether a message goes on with this name and a colon.
    #[inline]
    pub(super) fn is_at(&self, bytes: &[u8], at: usize) -> bool {
        let Some(rest) = bytes.get(at..) else { return false };
        let Some(head) = rest.first_chunk::<16>() else { return rest.starts_with(&self.key) };
        self.starts(u128::from_le_bytes(*head), rest)
    }

    /// The same for a message of which the first sixteen bytes are known.
    #[inline]
    fn starts(&self, head: u128, rest: &[u8]) -> bool {
        let same = (head ^ self.head.0) & self.head.1 == 0;
        same && (self.key.len() <= 16 || rest.starts_with(&self.key))
    }
}

/// Marks a member as seen; one that is there twice is handed back.
#[inline]
fn take(member: &Member, seen: &mut Seen) -> Option<u32> {
    seen.take(member).then_some(member.place)
}
