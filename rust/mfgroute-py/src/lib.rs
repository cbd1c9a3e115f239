//! Conversion between Python and the engine. No logic of its own lives here.
//!
//! * [`values`]: events, receipts, rejects.
//! * [`config`]: YAML and plans.
//! * [`errors`]: errors as exceptions of `mfgroute.errors`.

pub mod config;
pub mod errors;
pub mod values;

use pyo3::prelude::*;

/// The extension module `mfgroute._core`.
#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<values::Reject>()?;
    module.add_class::<values::Receipt>()?;
    module.add_class::<values::Event>()?;
    module.add_function(wrap_pyfunction!(config::parse_yaml, module)?)?;
    Ok(())
}
