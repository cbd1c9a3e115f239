//! Units of measure, their conversions, and the sets of codes that name them.
//!
//! The names and codes are those of UN/CEFACT Recommendation 20, revision 17 (2021); packages are
//! Recommendation 21 with the prefix `X`, as Rec 20 tells its users to write them. Factors are not
//! taken from the rounded column of Rec 20 but exact: SI prefixes and the international yard and
//! pound of 1959 (1 yd = 0.9144 m, 1 lb = 0.45359237 kg), 1 gal (US) = 231 in³, 1 gal (UK) =
//! 4.54609 l, standard gravity 9.80665 m/s², 1 atm = 101325 Pa, 1 BTU(IT) = 1055.05585262 J, as in
//! NIST Special Publication 811, Appendix B.
//!
//! Only units of one dimension convert. What counts as one dimension is decided for plants, not for
//! physicists: revolutions per minute are not hertz, a newton metre of torque is not a joule, months
//! are not days, a package is nothing but itself, and radians are not degrees (the factor is not
//! rational). Pieces (`H87`), each (`EA`) and one (`C62`) are the same count. A temperature is a
//! point on a scale, never a difference.

mod codes;
mod engineering;
mod trade;

use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

pub use codes::CodeSet;

use crate::value::{Affine, Decimal, Linear, Rational};

/// A dimension as the tables write it.
struct Dimension {
    name: &'static str,
    base: &'static str,
    /// Rec 20 code, name, and the conversion to the base unit: products and quotients of decimals
    /// read from the left, then optionally `+` and an offset.
    units: &'static [(&'static str, &'static str, &'static str)],
}

struct Row {
    code: &'static str,
    name: &'static str,
    dimension: &'static Dimension,
    /// To every unit of the dimension, in its order.
    conversions: Vec<Affine>,
    /// The same in whole numbers, where these suffice.
    linear: Vec<Option<Linear>>,
    /// Index of the dimension's first unit.
    first: usize,
}

struct Table {
    rows: Vec<Row>,
    by_code: HashMap<&'static str, Unit>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut rows = Vec::new();
    for dimension in trade::DIMENSIONS.iter().chain(engineering::DIMENSIONS) {
        let first = rows.len();
        let to_base: Vec<Affine> =
            dimension.units.iter().map(|(_, _, text)| formula(text).unwrap_or(Affine::IDENTITY)).collect();
        for ((code, name, _), from) in dimension.units.iter().zip(&to_base) {
            let conversions: Vec<Affine> = to_base
                .iter()
                .map(|to| to.inverse().map_or(Affine::IDENTITY, |back| from.then(&back)))
                .collect();
            let linear = conversions.iter().map(Linear::of).collect();
            rows.push(Row { code, name, dimension, conversions, linear, first });
        }
    }
    let by_code = rows.iter().enumerate().map(|(index, row)| (row.code, Unit(index as u16))).collect();
    Table { rows, by_code }
});

/// Reads a conversion of the tables. A test keeps every one of them readable.
fn formula(text: &str) -> Option<Affine> {
    let (factor, offset) = text.split_once('+').unwrap_or((text, "0"));
    Some(Affine { factor: product(factor)?, offset: product(offset)? })
}

/// `a*b/c/d`.
fn product(text: &str) -> Option<Rational> {
    let mut parts = text.split('/').map(|part| {
        part.split('*').try_fold(Rational::ONE, |product, number| {
            Some(product.mul(&Rational::from(Decimal::parse(number).ok()?)))
        })
    });
    let first = parts.next()??;
    parts.try_fold(first, |quotient, divisor| Some(quotient.mul(&divisor?.inverse()?)))
}

/// A unit of measure; as cheap as a number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Unit(u16);

impl Unit {
    #[expect(clippy::indexing_slicing, reason = "units are made from this table only")]
    fn row(self) -> &'static Row {
        &TABLE.rows[usize::from(self.0)]
    }

    /// The Rec 20 code.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.row().code
    }

    /// The English name of Rec 20.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// What it measures: `mass`, `pressure`, ….
    #[must_use]
    pub fn dimension_name(self) -> &'static str {
        self.row().dimension.name
    }

    /// Whether it counts things or packages, so that only the material says what one of them weighs or holds.
    #[must_use]
    pub fn is_count(self) -> bool {
        let dimension = self.row().dimension;
        dimension.name == "each" || dimension.name == dimension.base
    }

    /// The unit to which the dimension's factors refer, spelled out.
    #[must_use]
    pub fn base_name(self) -> &'static str {
        self.row().dimension.base
    }

    /// The formula of its conversion to the base unit, as [the tables](self) write it.
    #[must_use]
    pub fn formula(self) -> &'static str {
        let row = self.row();
        row.dimension.units.iter().find(|(code, _, _)| *code == row.code).map_or("", |(_, _, text)| text)
    }
}

impl fmt::Debug for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// The unit with this Rec 20 code. Case counts: `MIN` is a minute, `min` is nothing.
#[must_use]
pub fn unit(code: &str) -> Option<Unit> {
    TABLE.by_code.get(code).copied()
}

/// How values in `from` become values in `to`; `None` if they are of different dimensions.
/// Conversions are computed once per process, so this is a lookup.
#[must_use]
pub fn convert(from: Unit, to: Unit) -> Option<&'static Affine> {
    let row = from.row();
    row.conversions.get(usize::from(to.0).checked_sub(row.first)?)
}

/// [`convert`] in whole numbers, where these suffice.
#[inline]
pub(crate) fn linear(from: Unit, to: Unit) -> Option<&'static Linear> {
    let row = from.row();
    row.linear.get(usize::from(to.0).checked_sub(row.first)?)?.as_ref()
}

/// All units, by dimension.
pub fn all() -> impl Iterator<Item = Unit> {
    (0..TABLE.rows.len()).map(|index| Unit(index as u16))
}

#[cfg(test)]
mod tests;
