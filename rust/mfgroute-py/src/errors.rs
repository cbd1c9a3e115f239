//! Errors of the engine as exceptions of `mfgroute.errors`.

use mfgroute_core::engine::{AdmitError, IntendError, OpenKind};
use mfgroute_core::problem::{Problem, Severity};
use mfgroute_core::router::RouterError;
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

/// `UnknownName`.
pub fn unknown_name(py: Python<'_>, what: &str, name: &str) -> PyErr {
    exception(py, "UnknownName", &format!("there is no {what} {name}"), None)
}

/// An error of the router as the exception that means the same.
pub fn router_error(py: Python<'_>, error: &RouterError) -> PyErr {
    let text = error.to_string();
    match error {
        RouterError::Unknown { .. } => exception(py, "UnknownName", &text, None),
        RouterError::Admit(AdmitError::StreamFull { stream, sink }) => {
            exception(py, "Full", &text, Some((format!("stream {stream}"), sink.clone())))
        }
        RouterError::Admit(AdmitError::RejectsFull { source }) => {
            exception(py, "Full", &text, Some((format!("source {source}"), None)))
        }
        RouterError::Admit(AdmitError::NoDisk { stream }) => {
            exception(py, "Full", &text, Some((format!("stream {stream}"), None)))
        }
        RouterError::Admit(AdmitError::LogFailed { .. }) => exception(py, "LogFailed", &text, None),
        RouterError::Open(error) => {
            let name = match error.kind {
                OpenKind::Damage => "LogDamaged",
                OpenKind::Unfit => "FolderUnfit",
                OpenKind::Denied => "FolderDenied",
                OpenKind::Disk => "LogFailed",
            };
            exception(py, name, &text, None)
        }
        RouterError::Admit(AdmitError::TooLarge { .. }) => exception(py, "TooLarge", &text, None),
        RouterError::Admit(AdmitError::Closing) => exception(py, "Closed", &text, None),
        RouterError::Level(_) => pyo3::exceptions::PyValueError::new_err(text),
        RouterError::Admit(_) | RouterError::Install(_) | RouterError::Stale(_) | RouterError::Request(_) => {
            exception(py, "MfgrouteError", &text, None)
        }
    }
}

/// Why nothing may be sent, as the exception that means the same.
pub fn intend_error(py: Python<'_>, error: &IntendError) -> PyErr {
    let name = match error {
        IntendError::NotDurable(_) => "LogFailed",
        IntendError::Behind { .. } => "NobodyFollows",
        IntendError::TooLarge { .. } | IntendError::NotTellable => "RequestUnfit",
        IntendError::Stale => "MfgrouteError",
    };
    exception(py, name, &error.to_string(), None)
}

/// `LogFailed`.
pub fn log_failed(py: Python<'_>, why: &str) -> PyErr {
    exception(py, "LogFailed", why, None)
}

/// An exception of `mfgroute.errors`, with what is full and who holds it where that is meant.
fn exception(py: Python<'_>, name: &str, text: &str, full: Option<(String, Option<String>)>) -> PyErr {
    let make = || -> PyResult<PyErr> {
        let class = py.import("mfgroute.errors")?.getattr(name)?;
        let value = match full {
            Some((what, held_by)) => class.call1((text, what, held_by))?,
            None => class.call1((text,))?,
        };
        Ok(PyErr::from_value(value))
    };
    make().unwrap_or_else(|error| error)
}
