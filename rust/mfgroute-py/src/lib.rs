//! Conversion between Python and the engine. No logic of its own lives here.
//!
//! * [`values`]: events, receipts, rejects.
//! * [`config`]: YAML and plans.
//! * [`plan`]: plans, schema checks and dry runs.
//! * [`engine`]: submit, poll and everything else a node does; [`batch`]: what was polled, to be settled; [`eventfd`] wakes the event loop.
//! * [`link`]: blocks of the edge link.
//! * [`look`]: the logs of a data folder, which may be damaged, and the machine.
//! * [`json`]: documents as Python objects.
//! * [`errors`]: errors as exceptions of `mfgroute.errors`.

#![allow(
    clippy::needless_pass_by_value,
    clippy::implicit_hasher,
    clippy::must_use_candidate,
    reason = "the signatures are what Python hands over and takes back"
)]

pub mod batch;
pub mod config;
pub mod engine;
pub mod errors;
pub mod eventfd;
pub mod json;
pub mod link;
pub mod look;
pub mod plan;
pub mod values;

use pyo3::prelude::*;

/// The extension module `mfgroute._core`.
#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("__zone_rules__", mfgroute_core::time::zone_rules())?;
    module.add_class::<values::Reject>()?;
    module.add_class::<values::Receipt>()?;
    module.add_class::<values::Begun>()?;
    module.add_class::<values::Event>()?;
    module.add_class::<plan::Plan>()?;
    module.add_class::<engine::Engine>()?;
    module.add_class::<batch::Batch>()?;
    module.add_class::<link::Block>()?;
    module.add_class::<link::Blocks>()?;
    module.add_function(wrap_pyfunction!(link::link_checksum, module)?)?;
    module.add_function(wrap_pyfunction!(config::parse_yaml, module)?)?;
    module.add_function(wrap_pyfunction!(plan::explain, module)?)?;
    module.add_function(wrap_pyfunction!(plan::run_mapping, module)?)?;
    module.add_function(wrap_pyfunction!(plan::check_schema, module)?)?;
    module.add_function(wrap_pyfunction!(plan::reject_codes, module)?)?;
    module.add_function(wrap_pyfunction!(plan::units, module)?)?;
    module.add_function(wrap_pyfunction!(look::build_info, module)?)?;
    module.add_function(wrap_pyfunction!(look::log_known, module)?)?;
    module.add_function(wrap_pyfunction!(look::log_verify, module)?)?;
    module.add_function(wrap_pyfunction!(look::log_stat, module)?)?;
    module.add_function(wrap_pyfunction!(look::log_salvage, module)?)?;
    Ok(())
}
