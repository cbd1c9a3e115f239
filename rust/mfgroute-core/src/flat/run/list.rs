//! Lists: each item is computed and written before the next.

use super::super::cell::CellKind;
use super::super::op::List;
use super::super::piece::{Piece, Range};
use super::Run;

impl<'p> Run<'p, '_> {
    pub(super) fn list(&mut self, list: &'p List) -> Option<Piece<'p>> {
        let cell = self.cell(list.at)?;
        let items = if cell.kind == CellKind::List { cell.len } else { 0 };
        let mut base = cell.start as usize;
        let start = self.memory.lists.len();
        self.memory.lists.push(b'[');
        let mut count = 0;
        for _ in 0..items {
            let next = self.store.cells.get(base)?.start as usize;
            self.enter(base);
            if count > 0 {
                self.memory.lists.push(b',');
            }
            let before = self.memory.lists.len();
            self.item(list)?;
            self.leave();
            if self.memory.lists.len() > before {
                count += 1;
            } else if count > 0 {
                self.memory.lists.pop();
            }
            base = next;
        }
        self.memory.lists.push(b']');
        let len = (self.memory.lists.len() - start) as u32;
        (count >= list.min && count <= list.max).then_some(Piece::List(Range { start: start as u32, len }))
    }

    /// Writes one item; nothing when it is left out.
    fn item(&mut self, list: &'p List) -> Option<()> {
        if let Some(when) = &list.when
            && !self.holds(when)?
        {
            return Some(());
        }
        let Some(block) = &list.block else { return self.plain(list) };
        let first = self.pieces.len();
        self.block(block)?;
        let mut out = std::mem::take(&mut self.memory.lists);
        let written = self.write(&block.outs, &mut out);
        self.memory.lists = out;
        self.pieces.truncate(first);
        self.blocks.pop();
        written
    }

    fn plain(&mut self, list: &'p List) -> Option<()> {
        let mut piece = self.piece(list.item);
        for step in &list.steps {
            if piece.is_absent() {
                return Some(());
            }
            piece = self.step(step, piece)?;
        }
        if !self.allowed(&list.leaf, list.as_number, &piece) {
            return None;
        }
        let mut out = std::mem::take(&mut self.memory.lists);
        self.write_piece(&piece, list.as_number, &mut out);
        self.memory.lists = out;
        Some(())
    }
}
