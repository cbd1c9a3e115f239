//! Objects: members are expected in the order of the table, and found in any.

use super::super::cell::CellKind;
use super::super::shape::{Member, ObjectShape, Place};
use super::Scan;

/// Names that the table does not know, in one object; more are handed back.
const NAMES_MAX: usize = 64;

impl Scan<'_> {
    pub(super) fn object(&mut self, place: &Place, base: usize) -> Option<()> {
        let shape = place.object.as_ref()?;
        self.at += 1;
        self.space();
        let mut seen = 0_u128;
        let mut count = 0_u32;
        if self.peek()? == b'}' {
            self.at += 1;
        } else {
            let unknown = self.store.names.len();
            let mut next = 0;
            loop {
                count += 1;
                self.member(shape, base, unknown, &mut seen, &mut next)?;
                self.space();
                let byte = self.peek()?;
                self.at += 1;
                match byte {
                    b',' => self.space(),
                    b'}' => break,
                    _ => return None,
                }
            }
            self.store.names.truncate(unknown);
        }
        let whole = seen & shape.required == shape.required;
        let fits = count >= shape.min && count <= shape.max && count as usize <= self.limits.keys;
        (whole && fits).then_some(())
    }

    #[inline]
    fn member(
        &mut self,
        shape: &ObjectShape,
        base: usize,
        unknown: usize,
        seen: &mut u128,
        next: &mut usize,
    ) -> Option<()> {
        let place = match shape.members.get(*next).filter(|member| self.is_at(member)) {
            Some(member) => {
                self.at += member.key.len();
                *next += 1;
                take(member, seen)?
            }
            None => self.search(shape, unknown, seen, next)?,
        };
        self.space();
        self.value(place, base)
    }

    /// Whether the message goes on with this name and a colon.
    #[inline]
    fn is_at(&self, member: &Member) -> bool {
        let Some(rest) = self.bytes.get(self.at..) else { return false };
        let Some(head) = rest.first_chunk::<16>() else { return rest.starts_with(&member.key) };
        let same = (u128::from_le_bytes(*head) ^ member.head.0) & member.head.1 == 0;
        same && (member.key.len() <= 16 || rest.starts_with(&member.key))
    }

    /// Finds the member that the message goes on with, wherever it is in the table, to behind its colon.
    fn search(
        &mut self,
        shape: &ObjectShape,
        unknown: usize,
        seen: &mut u128,
        next: &mut usize,
    ) -> Option<u32> {
        if let Some(index) = shape.members.iter().position(|member| self.is_at(member)) {
            let member = shape.members.get(index)?;
            self.at += member.key.len();
            *next = index + 1;
            return take(member, seen);
        }
        if self.peek()? != b'"' {
            return None;
        }
        let name = self.string()?;
        if name.kind == CellKind::Unescaped || name.len as usize > self.limits.string_bytes {
            return None;
        }
        self.space();
        if self.peek()? != b':' {
            return None;
        }
        self.at += 1;
        let (start, end) = (name.start as usize, (name.start + name.len) as usize);
        let text = self.bytes.get(start..end)?;
        // White space before the colon, or a name the table does not have.
        if let Some(index) = shape.members.iter().position(|member| member.name() == text) {
            *next = index + 1;
            return take(shape.members.get(index)?, seen);
        }
        let place = shape.additional?;
        let names = self.store.names.get(unknown..)?;
        let twice =
            names.iter().any(|(start, end)| self.bytes.get(*start as usize..*end as usize) == Some(text));
        if twice || names.len() >= NAMES_MAX {
            return None;
        }
        self.store.names.push((start as u32, end as u32));
        Some(place)
    }
}

/// Marks a member as seen; one that is there twice is handed back.
#[inline]
fn take(member: &Member, seen: &mut u128) -> Option<u32> {
    if *seen & member.bit != 0 {
        return None;
    }
    *seen |= member.bit;
    Some(member.place)
}
