//! What was read of a message: cells that point into its bytes.

/// What a cell holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum CellKind {
    /// Nothing.
    #[default]
    Absent,
    /// JSON `null`.
    Null,
    /// Text that is written as it stands: ASCII without escapes, control characters and DEL.
    Clean,
    /// Text without escapes.
    Wide,
    /// Text that had escapes; it is in the arena.
    Unescaped,
    /// A number of at most 18 digits without exponent; its value is in the cell.
    Number,
    /// Any other number of at most 38 digits.
    LongNumber,
    /// JSON `true`.
    True,
    /// JSON `false`.
    False,
    /// A list: `start` is the base of its first item, `len` how many there are.
    List,
}

impl CellKind {
    /// Whether it is a text.
    pub(super) fn is_text(self) -> bool {
        matches!(self, Self::Clean | Self::Wide | Self::Unescaped)
    }
}

/// One value that was read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cell {
    pub(super) kind: CellKind,
    /// Digits after the point of a [`CellKind::Number`].
    pub(super) scale: u8,
    /// First byte, in the message or the arena.
    pub(super) start: u32,
    pub(super) len: u32,
    /// Digits of a [`CellKind::Number`], signed.
    pub(super) digits: i64,
}

/// Bytes of a cell, in the message or the arena.
pub(super) fn bytes_of<'b>(cell: &Cell, message: &'b [u8], arena: &'b str) -> &'b [u8] {
    let whole = if cell.kind == CellKind::Unescaped { arena.as_bytes() } else { message };
    whole.get(cell.start as usize..(cell.start + cell.len) as usize).unwrap_or_default()
}
