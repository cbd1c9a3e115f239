//! What a mapping does, over cells instead of trees. Each operation is that of [`crate::map`] with the same
//! name, without what it says when it fails: then the message is handed back.

use std::sync::Arc;

use serde_json::Value as Json;

use super::leaf::Leaf;
use super::sheet::Fixed;
use super::want::CellNo;
use super::word::{Word, head};
use crate::map::SignRule;
use crate::map::lookup::Index;
use crate::text::TextRules;
use crate::time::{DateReader, TimeReader};
use crate::tree::write_json_string;
use crate::units::{CodeSet, Unit};
use crate::value::{NumberFormat, Rational, Round};

/// A cell of the current frame, or of one so many scopes above it; `None` is the message.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    pub(super) up: Option<usize>,
    pub(super) cell: CellNo,
}

/// A value of the plan, not null, with everything that is asked of it later.
#[derive(Debug)]
pub(super) struct Const {
    pub(super) text: Box<str>,
    /// As JSON.
    pub(super) json: Fixed,
    pub(super) kind: ConstKind,
    /// The unit that it names in each set, in the order of [`CodeSet::ALL`].
    units: [Option<Unit>; CodeSet::ALL.len()],
    /// Whether the leaf of this number takes it.
    pub(super) verdict: Option<(u32, bool)>,
}

/// What a constant is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConstKind {
    Text,
    Number,
    Bool,
}

impl Const {
    /// Takes a scalar of the plan that is not null.
    pub(super) fn new(json: &Json) -> Option<Self> {
        let (text, kind) = match json {
            Json::String(text) => (text.clone(), ConstKind::Text),
            Json::Number(number) => (number.to_string(), ConstKind::Number),
            Json::Bool(truth) => (truth.to_string(), ConstKind::Bool),
            Json::Null | Json::Array(_) | Json::Object(_) => return None,
        };
        let mut bytes = Vec::new();
        match kind {
            ConstKind::Text => write_json_string(&text, &mut bytes),
            ConstKind::Number | ConstKind::Bool => bytes.extend_from_slice(text.as_bytes()),
        }
        let units = CodeSet::ALL.map(|set| set.unit(&text));
        Some(Self { text: text.into(), json: Fixed::new(&bytes), kind, units, verdict: None })
    }

    /// The unit that it names in a set.
    #[inline]
    pub(super) fn unit(&self, set: CodeSet) -> Option<Unit> {
        self.units.get(set as usize).copied().flatten()
    }

    /// Notes whether the contract takes it where it is written.
    pub(super) fn judge(&mut self, leaf: &Leaf) {
        let verdict = match self.kind {
            ConstKind::Text => leaf.takes_text(&self.text),
            ConstKind::Number => leaf.takes_number(&self.text),
            ConstKind::Bool => leaf.takes_bool(),
        };
        self.verdict = Some((leaf.number, verdict));
    }
}

/// A code of a table in place.
#[derive(Debug)]
pub(super) struct Code {
    pub(super) word: Word,
    /// What it becomes; `None` is null.
    pub(super) value: Option<Const>,
}

/// The code of a table that is a text.
#[inline]
pub(super) fn find_code<'t>(table: &'t [Code], text: &[u8]) -> Option<&'t Code> {
    let head = head(text);
    table.iter().find(|code| code.word.is(text, head))
}

/// Where a value comes from.
#[derive(Debug)]
pub(super) enum Source {
    Cell(At),
    First(Vec<At>),
    /// `None` is null.
    Const(Option<Const>),
    Field {
        up: usize,
        index: usize,
    },
    Meta(Box<str>),
    Lookup(Lookup),
    Concat(Vec<Chain>),
    Join(Vec<At>),
    Time(Box<Time>),
    Date(Box<Date>),
}

/// A source and its steps.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) source: Source,
    pub(super) steps: Vec<Step>,
}

impl Chain {
    /// The constants that it may end in.
    pub(super) fn results(&mut self) -> impl Iterator<Item = &mut Const> {
        let (source, last) = (&mut self.source, self.steps.last_mut());
        let (alone, codes) = match last {
            None => (if let Source::Const(constant) = source { constant.as_mut() } else { None }, None),
            Some(Step::Codes(codes)) => (None, Some(codes)),
            Some(_) => (None, None),
        };
        alone.into_iter().chain(codes.into_iter().flatten().filter_map(|code| code.value.as_mut()))
    }
}

/// A text read as an instant.
#[derive(Debug)]
pub(super) struct Time {
    pub(super) chain: Chain,
    pub(super) rule: TimeReader,
}

/// A text read as a date.
#[derive(Debug)]
pub(super) struct Date {
    pub(super) chain: Chain,
    pub(super) rule: DateReader,
}

/// A row of a table.
#[derive(Debug)]
pub(super) struct Lookup {
    pub(super) index: Arc<Index>,
    pub(super) keys: Vec<Chain>,
    pub(super) take: usize,
    pub(super) missing: Missing,
}

/// What happens without a row.
#[derive(Debug)]
pub(super) enum Missing {
    HandBack,
    Keep,
    Default(Option<Const>),
}

/// What is done to a value.
#[derive(Debug)]
pub(super) enum Step {
    Text(TextRules),
    Number(Option<NumberFormat>),
    Sign(SignRule),
    Codes(Vec<Code>),
    CodeSet { from: CodeSet, to: CodeSet },
    Lookup(Box<Lookup>),
    Unit(Box<UnitStep>),
    Scale { factor: Rational, round: Option<Round> },
    Round(Round),
}

/// A conversion of a quantity.
#[derive(Debug)]
pub(super) struct UnitStep {
    pub(super) from: UnitRef,
    pub(super) to: UnitRef,
    pub(super) factor: Option<Factor>,
    pub(super) number: Option<NumberFormat>,
    pub(super) scale: Option<Rational>,
    pub(super) round: Option<Round>,
}

/// A unit, known or read.
#[derive(Debug)]
pub(super) enum UnitRef {
    Fixed(Unit),
    Read { chain: Chain, set: CodeSet },
}

/// A factor from a table.
#[derive(Debug)]
pub(super) struct Factor {
    pub(super) index: Arc<Index>,
    pub(super) keys: Vec<Chain>,
    pub(super) num: usize,
    pub(super) den: Option<usize>,
}

/// A condition.
#[derive(Debug)]
pub(super) enum Cond {
    All(Vec<Cond>),
    Any(Vec<Cond>),
    Not(Box<Cond>),
    In { at: At, values: Vec<Json> },
    Present { at: At, present: bool },
    Prefix { at: At, prefix: Box<str> },
}

/// A field that is one cell with at most one step, of the message or of the current scope.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quick {
    pub(super) cell: CellNo,
    pub(super) here: bool,
}

impl Quick {
    /// Of a chain that is so short.
    pub(super) fn new(chain: &Chain) -> Option<Self> {
        let Source::Cell(At { up, cell }) = chain.source else { return None };
        let known = matches!(chain.steps.as_slice(), [] | [Step::Text(_) | Step::Codes(_) | Step::Unit(_)]);
        (known && up.is_none_or(|up| up == 0)).then_some(Self { cell, here: up.is_some() })
    }
}

/// One field: its value, what the contract asks of it.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) quick: Option<Quick>,
    pub(super) value: FieldValue,
    pub(super) default: Option<Const>,
    pub(super) as_number: bool,
    pub(super) leaf: Leaf,
}

/// How the value of a field is made.
#[derive(Debug)]
pub(super) enum FieldValue {
    Chain(Chain),
    List(Box<List>),
}

/// A list of objects, or of plain values when it has no block.
#[derive(Debug)]
pub(super) struct List {
    pub(super) at: At,
    pub(super) when: Option<Cond>,
    pub(super) block: Option<Block>,
    pub(super) steps: Vec<Step>,
    pub(super) item: At,
    /// What the contract asks of plain values.
    pub(super) leaf: Leaf,
    pub(super) min: u32,
    pub(super) max: u32,
    /// Whether a number that was computed is written as a JSON number.
    pub(super) as_number: bool,
}

/// The fields of an object, in the order in which they are computed and written.
#[derive(Debug, Default)]
pub(super) struct Block {
    pub(super) fields: Vec<Field>,
    pub(super) outs: Vec<Out>,
}

/// One member of an object that is written; its fields are computed as they are met.
#[derive(Clone, Debug)]
pub(super) struct Out {
    /// `,"name":`.
    pub(super) lead: Fixed,
    pub(super) what: OutValue,
    /// Whether the contract asks for it.
    pub(super) required: bool,
}

impl Out {
    /// The name.
    pub(super) fn name(&self) -> String {
        let lead = self.lead.get();
        serde_json::from_slice(lead.get(1..lead.len() - 1).unwrap_or_default()).unwrap_or_default()
    }
}

/// What is written behind the name.
#[derive(Clone, Debug)]
pub(super) enum OutValue {
    /// A field of the block, and whether a computed number is written as a JSON number.
    Field(usize, bool),
    /// An object.
    Group(Vec<Out>),
}
