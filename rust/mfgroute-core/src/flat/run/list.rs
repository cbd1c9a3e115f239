//! Lists: each item is computed and written before the next.

use super::super::cell::CellKind;
use super::super::op::List;
use super::super::sheet::Sheet;
use super::Run;

impl<'p> Run<'p, '_> {
    /// Writes a list.
    pub(super) fn list(&mut self, list: &'p List, out: &mut Sheet) -> Option<()> {
        let cell = self.cell(list.at)?;
        let items = if cell.kind == CellKind::List { cell.len } else { 0 };
        let mut base = cell.start as usize;
        let start = out.len();
        let mut count = 0;
        for _ in 0..items {
            let next = self.store.cells.get(base)?.start as usize;
            self.enter(base);
            let before = out.len();
            out.put(b',');
            if self.item(list, out)? {
                count += 1;
            } else {
                out.truncate(before);
            }
            self.leave();
            base = next;
        }
        out.close_list(start);
        (count >= list.min && count <= list.max).then_some(())
    }

    /// Writes one item; false when it is left out.
    fn item(&mut self, list: &'p List, out: &mut Sheet) -> Option<bool> {
        if let Some(when) = &list.when
            && !self.holds(when)?
        {
            return Some(false);
        }
        let Some(block) = &list.block else { return self.plain(list, out) };
        let first = self.pieces.len();
        self.object(block, out)?;
        self.pieces.truncate(first);
        self.blocks.pop();
        Some(true)
    }

    fn plain(&mut self, list: &'p List, out: &mut Sheet) -> Option<bool> {
        let mut piece = self.piece(list.item);
        for step in &list.steps {
            if piece.is_absent() {
                return Some(false);
            }
            piece = self.step(step, piece)?;
        }
        if !self.allowed(&list.leaf, list.as_number, &piece) {
            return None;
        }
        self.write_piece(&piece, list.as_number, out);
        Some(!piece.is_absent())
    }
}
