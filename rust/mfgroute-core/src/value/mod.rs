//! Exact numbers.

pub mod decimal;

pub use decimal::{Decimal, DecimalError};
