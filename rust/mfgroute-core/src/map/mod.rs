//! Mappings: one message becomes any number of canonical events.
//!
//! * [`Mapping`] and its parts are what [`crate::plan`] compiles a mapping file into.
//! * [`value`] is one value on its way from the message to a field.
//! * [`cond`] decides, [`source`] fetches, [`steps`] transforms, [`block`] writes fields.
//! * [`run`] walks the entries of one message, with the memory of [`scratch`].
//! * [`lookup`] holds the cross-reference tables.

pub mod block;
pub mod cond;
pub mod lookup;
pub mod run;
pub mod scratch;
pub mod source;
pub mod steps;
pub mod value;

use std::sync::Arc;

use crate::decode::csv::CsvOptions;
use crate::expr::Expr;
use crate::path::Path;
use crate::problem::Place;
use crate::schema::Schema;
use crate::text::TextRules;
use crate::time::{DateReader, TimeReader};
use crate::units::{CodeSet, Unit};
use crate::value::{NumberFormat, Rational, Round};

/// How one source's messages become events.
#[derive(Debug)]
pub struct Mapping {
    /// Name: the file name without its ending.
    pub name: String,
    /// `name@hash`, as events carry it.
    pub label: String,
    /// How messages are read.
    pub from: From,
    /// Which messages it takes; `None` takes all.
    pub when: Option<Cond>,
    /// Event time of every entry without its own.
    pub time: Option<TimeSource>,
    /// Entries grouped by their `each`, in order of first appearance.
    pub sets: Vec<Set>,
}

/// How messages are read.
#[derive(Debug)]
pub struct From {
    /// The format.
    pub decode: Decode,
    /// Input schema, checked before anything is mapped.
    pub schema: Option<Arc<Schema>>,
    /// Texts that mean "absent".
    pub empty: Vec<String>,
    /// How numbers are written in texts.
    pub number: Option<NumberFormat>,
    /// The contract whose events are read, when the mapping is a conversion.
    pub version: Option<Version>,
}

/// The contract whose events a conversion reads, and where that is written.
#[derive(Clone, Debug)]
pub struct Version {
    /// Index of the contract in the plan.
    pub contract: usize,
    /// The file of the mapping.
    pub file: String,
    /// The place of the contract's name there.
    pub place: Place,
}

/// The format of a message.
#[derive(Debug)]
pub enum Decode {
    /// RFC 8259.
    Json,
    /// Rows of a table.
    Csv(Box<CsvOptions>),
    /// XML 1.0; empty lists take any root or namespace.
    Xml {
        /// Local names of root elements that the mapping means.
        root: Vec<String>,
        /// Namespaces of the root element that the mapping means.
        namespace: Vec<String>,
    },
}

impl Decode {
    /// `json`, `csv` or `xml`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv(_) => "csv",
            Self::Xml { .. } => "xml",
        }
    }
}

/// Entries that share their `each`.
#[derive(Debug)]
pub struct Set {
    /// Nested scopes, outermost first; empty for entries that take the message itself.
    pub each: Vec<Level>,
    /// Its entries, in order.
    pub entries: Vec<Entry>,
    /// Whether finding no item is fine.
    pub none_ok: bool,
    /// Whether items that no entry takes are left out.
    pub others_ignore: bool,
    /// Whether a bad item leaves the others alone.
    pub independent: bool,
}

/// One scope of an `each`.
#[derive(Debug)]
pub struct Level {
    /// Where the items are.
    pub path: Path,
    /// Delimiters that take a text apart into items.
    pub split: Option<String>,
}

/// One kind of event made of an item.
#[derive(Debug)]
pub struct Entry {
    /// Index of the contract in the plan.
    pub contract: usize,
    /// Which items it takes.
    pub when: Option<Cond>,
    /// Event time, over that of the mapping.
    pub time: Option<TimeSource>,
    /// The fields of `data`.
    pub block: Block,
}

/// Fields of one object, in an order in which each comes after those it needs.
#[derive(Debug, Default)]
pub struct Block {
    /// The fields.
    pub fields: Vec<Field>,
    /// Objects that dotted names make.
    pub groups: Vec<Group>,
}

/// An object that a dotted field name makes: `quantity` of `quantity.good`.
#[derive(Debug)]
pub struct Group {
    /// The group that holds it; `None` for the block's own object.
    pub parent: Option<usize>,
    /// Its key there.
    pub key: String,
}

/// One field.
#[derive(Debug)]
pub struct Field {
    /// Full name as written, such as `quantity.good`.
    pub name: String,
    /// The group that holds it; `None` for the block's own object.
    pub group: Option<usize>,
    /// Its key there.
    pub key: String,
    /// How its value is made.
    pub op: FieldOp,
    /// Final value when the source value is absent or null.
    pub default: Option<serde_json::Value>,
    /// Whether a computed number is written as a JSON number, because the contract says `number`.
    pub as_number: bool,
}

/// How the value of a field is made.
#[derive(Debug)]
pub enum FieldOp {
    /// One value.
    Value(Chain),
    /// A list of values or objects.
    List(Box<List>),
}

/// A list: of objects when it has a block, else of plain values.
#[derive(Debug)]
pub struct List {
    /// Where the items are.
    pub path: Path,
    /// Delimiters that take a text apart into items.
    pub split: Option<String>,
    /// Which items are taken.
    pub when: Option<Cond>,
    /// Fields of each item.
    pub block: Option<Block>,
    /// Steps for plain values.
    pub steps: Vec<Step>,
}

/// A source and the steps its value goes through.
#[derive(Debug)]
pub struct Chain {
    /// Where the value comes from.
    pub source: Source,
    /// What is done to it, in order.
    pub steps: Vec<Step>,
}

/// Where a value comes from.
#[derive(Debug)]
pub enum Source {
    /// The first of these paths that is present.
    Path(Vec<Path>),
    /// A fixed value.
    Const(serde_json::Value),
    /// Another field of this block (0) or of an enclosing one.
    Field {
        /// How many blocks up.
        up: usize,
        /// Index of the field there.
        index: usize,
    },
    /// An attribute of the message.
    Meta(String),
    /// A row of a table.
    Lookup(Lookup),
    /// Texts put together; absent if one is.
    Concat(Vec<Chain>),
    /// Texts put together with a blank between them; absent if one is.
    Join(Vec<Path>),
    /// An instant as RFC 3339 in UTC.
    Time(Box<TimeSource>),
    /// A plant-local date.
    Date(Box<DateSource>),
    /// An expression over `message` and `item`.
    Cel(Box<Expr>),
}

/// A text read as an instant.
#[derive(Debug)]
pub struct TimeSource {
    /// The text.
    pub chain: Chain,
    /// How it is read.
    pub rule: TimeReader,
}

/// A text read as a date.
#[derive(Debug)]
pub struct DateSource {
    /// The text.
    pub chain: Chain,
    /// How it is read.
    pub rule: DateReader,
}

/// A row of a table.
#[derive(Debug)]
pub struct Lookup {
    /// The table, prepared for this number of keys.
    pub index: Arc<lookup::Index>,
    /// The keys; empty means the current value.
    pub keys: Vec<Chain>,
    /// The column to take.
    pub take: usize,
    /// What happens when there is no row.
    pub missing: Missing,
}

/// What happens when a table has no row for a key.
#[derive(Debug)]
pub enum Missing {
    /// The message is rejected.
    Reject,
    /// The key itself is the result.
    Keep,
    /// This value is the result.
    Default(serde_json::Value),
}

/// What is done to a value.
#[derive(Debug)]
pub enum Step {
    /// Text rules.
    Text(TextRules),
    /// A text or number becomes an exact decimal.
    Number(Option<NumberFormat>),
    /// The sign is dropped or turned.
    Sign(SignRule),
    /// A small table in place.
    Codes(Vec<(String, serde_json::Value)>),
    /// A unit code of one set becomes that of another.
    CodeSet {
        /// Set of the value.
        from: CodeSet,
        /// Set of the result.
        to: CodeSet,
    },
    /// A table.
    Lookup(Box<Lookup>),
    /// A quantity is converted between units.
    Unit(Box<UnitStep>),
    /// Multiplied by a fraction, then rounded: the rounding must see the exact product.
    Scale {
        /// The fraction.
        factor: Rational,
        /// The rounding.
        round: Option<Round>,
    },
    /// Rounded.
    Round(Round),
}

/// What to do with a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignRule {
    /// Drop it.
    Abs,
    /// Turn it.
    Negate,
}

/// Conversion of a quantity.
#[derive(Debug)]
pub struct UnitStep {
    /// Unit of the value.
    pub from: UnitRef,
    /// Unit of the result.
    pub to: UnitRef,
    /// Material-specific factor, tried first.
    pub factor: Option<Factor>,
    /// How numbers are written in texts.
    pub number: Option<NumberFormat>,
    /// A fraction by which the result is multiplied.
    pub scale: Option<Rational>,
    /// Rounding, taken from the `round` that follows: it must see the exact result.
    pub round: Option<Round>,
}

/// A unit that is fixed or read from the message.
#[derive(Debug)]
pub enum UnitRef {
    /// Known when the plan is compiled.
    Fixed(Unit),
    /// Read for each message, as a code of `set`.
    Read {
        /// The code.
        chain: Chain,
        /// Its set.
        set: CodeSet,
    },
}

/// A factor from a table: one unit of the value is `num / den` units of the result.
#[derive(Debug)]
pub struct Factor {
    /// The table.
    pub index: Arc<lookup::Index>,
    /// Its keys.
    pub keys: Vec<Chain>,
    /// Column of the numerator.
    pub num: usize,
    /// Column of the denominator; `None` means 1.
    pub den: Option<usize>,
}

/// A condition over the message and the current item.
#[derive(Debug)]
pub enum Cond {
    /// Every one holds.
    All(Vec<Cond>),
    /// At least one holds.
    Any(Vec<Cond>),
    /// It does not hold.
    Not(Box<Cond>),
    /// The value is one of these.
    In {
        /// Where.
        path: Path,
        /// The texts; numbers compare as numbers.
        values: Vec<serde_json::Value>,
    },
    /// The value is there (or not).
    Present {
        /// Where.
        path: Path,
        /// What is expected.
        present: bool,
    },
    /// The text starts so.
    Prefix {
        /// Where.
        path: Path,
        /// The start.
        prefix: String,
    },
    /// An expression.
    Cel(Box<Expr>),
}
