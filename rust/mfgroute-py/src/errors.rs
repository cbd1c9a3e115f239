//! Errors of the engine as exceptions of `mfgroute.errors`.

use mfgroute_core::problem::{Problem, Severity};
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// The fields of a problem, as `mfgroute.errors.Problem` takes them.
pub fn problem_fields<'py>(py: Python<'py>, problem: &Problem) -> PyResult<Bound<'py, PyDict>> {
    let fields = PyDict::new(py);
    let severity = if problem.severity == Severity::Error { "error" } else { "warning" };
    fields.set_item("severity", severity)?;
    fields.set_item("file", &problem.file)?;
    fields.set_item("line", problem.place.line)?;
    fields.set_item("column", problem.place.column)?;
    fields.set_item("message", &problem.message)?;
    fields.set_item("hint", &problem.hint)?;
    Ok(fields)
}

/// `ConfigError` with these problems.
pub fn config_error(py: Python<'_>, problems: &[Problem]) -> PyErr {
    let make = || -> PyResult<PyErr> {
        let errors = py.import("mfgroute.errors")?;
        let class = errors.getattr("Problem")?;
        let mut list = Vec::with_capacity(problems.len());
        for problem in problems {
            list.push(class.call((), Some(&problem_fields(py, problem)?))?);
        }
        Ok(PyErr::from_value(errors.getattr("ConfigError")?.call1((list,))?))
    };
    make().unwrap_or_else(|error| error)
}
