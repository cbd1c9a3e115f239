//! The sets of codes that name units: the same letters mean different things in each.
//!
//! Sources: SAP internal units and their ISO codes as delivered in tables T006 and T006I of SAP ERP
//! (a system may have its own; then a mapping uses a lookup), UCUM 2.1 case-sensitive codes, and
//! ASC X12 data element 355.

mod sap;
mod ucum;
mod x12;

use std::collections::HashMap;
use std::sync::LazyLock;

use super::{Unit, all, unit};

/// A code of the set and the Rec 20 code of its unit. Where several codes name one unit, the first
/// is preferred.
type Pairs = &'static [(&'static str, &'static str)];

/// A set of codes. Codes are case-sensitive in every set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CodeSet {
    /// UN/CEFACT Recommendation 20.
    Rec20,
    /// SAP internal units: `ST`, `KG`, `STD`.
    Sap,
    /// SAP's ISO codes: `PCE`, `KGM`, `HUR`.
    SapIso,
    /// Unified Code for Units of Measure: `kg`, `Cel`, `[psi]`.
    Ucum,
    /// ASC X12 element 355: `EA`, `LB`, `HR`.
    X12,
}

struct Index {
    units: HashMap<&'static str, Unit>,
    codes: HashMap<Unit, &'static str>,
}

impl Index {
    fn new(pairs: impl Iterator<Item = (&'static str, Unit)>) -> Self {
        let (mut units, mut codes) = (HashMap::new(), HashMap::new());
        for (code, unit) in pairs {
            units.insert(code, unit);
            codes.entry(unit).or_insert(code);
        }
        Self { units, codes }
    }

    fn of(pairs: Pairs) -> Self {
        Self::new(pairs.iter().filter_map(|&(code, rec20)| Some((code, unit(rec20)?))))
    }
}

static REC20: LazyLock<Index> = LazyLock::new(|| Index::new(all().map(|unit| (unit.code(), unit))));
static SAP: LazyLock<Index> = LazyLock::new(|| Index::of(sap::INTERNAL));
static SAP_ISO: LazyLock<Index> = LazyLock::new(|| Index::of(sap::ISO));
static UCUM: LazyLock<Index> = LazyLock::new(|| Index::of(ucum::UCUM));
static X12: LazyLock<Index> = LazyLock::new(|| Index::of(x12::X12));

impl CodeSet {
    /// Every set.
    pub const ALL: [Self; 5] = [Self::Rec20, Self::Sap, Self::SapIso, Self::Ucum, Self::X12];

    /// `rec20`, `sap`, `sap_iso`, `ucum` or `x12_355`.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|set| set.name() == name)
    }

    /// The name a mapping uses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rec20 => "rec20",
            Self::Sap => "sap",
            Self::SapIso => "sap_iso",
            Self::Ucum => "ucum",
            Self::X12 => "x12_355",
        }
    }

    /// The unit that a code names.
    #[must_use]
    pub fn unit(self, code: &str) -> Option<Unit> {
        self.index().units.get(code).copied()
    }

    /// The preferred code of exactly this unit; `None` if the set has none. A set without a code
    /// for `C62` does not answer with the one for `H87`.
    #[must_use]
    pub fn code(self, unit: Unit) -> Option<&'static str> {
        self.index().codes.get(&unit).copied()
    }

    /// All codes with their units, sorted by code.
    #[must_use]
    pub fn codes(self) -> Vec<(&'static str, Unit)> {
        let mut codes: Vec<_> = self.index().units.iter().map(|(&code, &unit)| (code, unit)).collect();
        codes.sort_unstable();
        codes
    }

    fn index(self) -> &'static Index {
        match self {
            Self::Rec20 => &REC20,
            Self::Sap => &SAP,
            Self::SapIso => &SAP_ISO,
            Self::Ucum => &UCUM,
            Self::X12 => &X12,
        }
    }

    #[cfg(test)]
    pub(super) fn pairs(self) -> Pairs {
        match self {
            Self::Rec20 => &[],
            Self::Sap => sap::INTERNAL,
            Self::SapIso => sap::ISO,
            Self::Ucum => ucum::UCUM,
            Self::X12 => x12::X12,
        }
    }
}
