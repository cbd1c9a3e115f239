//! Looking into the logs of a data folder, and at the machine.

use std::path::PathBuf;

use mfgroute_core::machine;
use mfgroute_core::router::look;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde_json::json;

use crate::errors::log_failed;
use crate::json::to_python;

/// Reads a whole log and says whether it is damaged.
#[pyfunction]
pub fn log_verify(py: Python<'_>, folder: PathBuf) -> PyResult<Bound<'_, PyAny>> {
    let found = py.detach(|| look::verify(&folder)).map_err(|why| log_failed(py, &why))?;
    to_python(py, &found)
}

/// Says what is in each segment of a log.
#[pyfunction]
pub fn log_stat(py: Python<'_>, folder: PathBuf) -> PyResult<Bound<'_, PyAny>> {
    let found = py.detach(|| look::stat(&folder)).map_err(|why| log_failed(py, &why))?;
    to_python(py, &found)
}

/// The durable streams that a node's own log knows.
#[pyfunction]
pub fn log_known(py: Python<'_>, folder: PathBuf) -> PyResult<Bound<'_, PyAny>> {
    let found = py.detach(|| look::known_streams(&folder)).map_err(|why| log_failed(py, &why))?;
    to_python(py, &found)
}

/// Hands over every readable record of a log, and says what could not be read.
#[pyfunction]
pub fn log_salvage<'py>(
    py: Python<'py>,
    folder: PathBuf,
    each: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let mut failed = None;
    let found = look::salvage(&folder, &mut |number, at_ms, bytes, event| {
        if failed.is_none() {
            let event = event.map(|event| PyBytes::new(py, event));
            failed = each.call1((number, at_ms, PyBytes::new(py, bytes), event)).err();
        }
    });
    match failed {
        Some(error) => Err(error),
        None => to_python(py, &found.map_err(|why| log_failed(py, &why))?),
    }
}

/// What this build is, and which instructions it uses on this machine.
#[pyfunction]
pub fn build_info(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let machine::Build { version, arch, debug, text, checksum } = machine::build();
    let found = json!({"version": version, "arch": arch, "debug": debug, "text": text, "checksum": checksum});
    to_python(py, &found)
}
