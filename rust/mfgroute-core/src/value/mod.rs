//! Exact numbers: nothing in this crate computes a quantity in floating point.
//!
//! * [`decimal`]: numbers of up to 38 digits, as messages carry them and events print them.
//! * [`rational`]: exact fractions and affine conversions, and how their results become decimals.
//! * `short`: decimals of at most 18 digits, in 64 bits.
//! * [`number`]: numbers as people and older systems write them (`1.234,50-`).

pub mod decimal;
pub mod number;
pub mod rational;
mod short;

pub use decimal::{Decimal, DecimalError};
pub use number::{NumberFormat, NumberFormatError, Sign};
pub use rational::{Affine, Rational, Round, RoundMode, terminates_always};
pub(crate) use short::{Linear, Short, power};
