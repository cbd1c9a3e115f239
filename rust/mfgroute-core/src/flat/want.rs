//! Which values of a message a program reads: each has a cell in a frame.
//!
//! Frame 0 is the message; every list that is walked has a frame of its own, of which each of its items
//! gets a copy. Cell 0 of a frame links to the next item.

/// Index of a cell in its frame.
pub(super) type CellNo = u32;
/// Index of a frame.
pub(super) type FrameNo = usize;
type WantNo = usize;

/// What is read of one place of the message.
#[derive(Debug, Default)]
pub(super) struct Want {
    /// The scalar itself.
    pub(super) cell: Option<CellNo>,
    /// Its items.
    pub(super) list: Option<(CellNo, FrameNo)>,
    /// What is below it.
    pub(super) members: Vec<(Box<str>, WantNo)>,
}

#[derive(Debug)]
struct Frame {
    root: WantNo,
    cells: u32,
}

/// Everything a program reads.
#[derive(Debug)]
pub(super) struct Wants {
    nodes: Vec<Want>,
    frames: Vec<Frame>,
}

impl Default for Wants {
    fn default() -> Self {
        Self { nodes: vec![Want::default()], frames: vec![Frame { root: 0, cells: 1 }] }
    }
}

impl Wants {
    /// The cell of the scalar at these names below the root of a frame.
    pub(super) fn scalar(&mut self, frame: FrameNo, names: &[&str]) -> CellNo {
        let at = self.at(frame, names);
        if let Some(cell) = self.get(at).cell {
            return cell;
        }
        let cell = self.new_cell(frame);
        self.edit(at, |want| want.cell = Some(cell));
        cell
    }

    /// The cell and the frame of the list at these names.
    pub(super) fn list(&mut self, frame: FrameNo, names: &[&str]) -> (CellNo, FrameNo) {
        let at = self.at(frame, names);
        if let Some(list) = self.get(at).list {
            return list;
        }
        let root = self.nodes.len();
        self.nodes.push(Want::default());
        self.frames.push(Frame { root, cells: 1 });
        let list = (self.new_cell(frame), self.frames.len() - 1);
        self.edit(at, |want| want.list = Some(list));
        list
    }

    /// What is read of the item of a frame.
    pub(super) fn root(&self, frame: FrameNo) -> WantNo {
        self.frames.get(frame).map_or(0, |frame| frame.root)
    }

    /// How many cells a frame has.
    pub(super) fn cells(&self, frame: FrameNo) -> u32 {
        self.frames.get(frame).map_or(1, |frame| frame.cells)
    }

    /// What is read of one place.
    #[expect(clippy::indexing_slicing, reason = "numbers of wants come from this list")]
    pub(super) fn get(&self, want: WantNo) -> &Want {
        &self.nodes[want]
    }

    fn edit(&mut self, want: WantNo, edit: impl FnOnce(&mut Want)) {
        if let Some(want) = self.nodes.get_mut(want) {
            edit(want);
        }
    }

    fn new_cell(&mut self, frame: FrameNo) -> CellNo {
        let Some(frame) = self.frames.get_mut(frame) else { return 0 };
        frame.cells += 1;
        frame.cells - 1
    }

    fn at(&mut self, frame: FrameNo, names: &[&str]) -> WantNo {
        let mut at = self.root(frame);
        for name in names {
            let known = self.get(at).members.iter().find(|(known, _)| **known == **name);
            at = match known {
                Some((_, below)) => *below,
                None => {
                    let below = self.nodes.len();
                    self.nodes.push(Want::default());
                    self.edit(at, |want| want.members.push(((*name).into(), below)));
                    below
                }
            };
        }
        at
    }
}
