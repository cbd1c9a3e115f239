//! YAML and plans as Python sees them.

use mfgroute_core::problem::Problems;
use mfgroute_core::yaml::{self, Node, Value};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::errors::config_error;

fn to_python<'py>(py: Python<'py>, node: &Node) -> PyResult<Bound<'py, PyAny>> {
    Ok(match &node.value {
        Value::Null => py.None().into_bound(py),
        Value::Bool(value) => value.into_pyobject(py)?.to_owned().into_any(),
        Value::Number(text) if text.bytes().all(|b| b.is_ascii_digit() || b == b'-') => {
            py.import("builtins")?.getattr("int")?.call1((text,))?
        }
        Value::Number(text) => py.import("builtins")?.getattr("float")?.call1((text,))?,
        Value::Text(text) => text.into_pyobject(py)?.into_any(),
        Value::List(items) => {
            let list = PyList::empty(py);
            for item in items {
                list.append(to_python(py, item)?)?;
            }
            list.into_any()
        }
        Value::Map(entries) => {
            let dict = PyDict::new(py);
            for (key, item) in entries {
                dict.set_item(&key.text, to_python(py, item)?)?;
            }
            dict.into_any()
        }
    })
}

/// A document, the places of its values and the pointers of replaced ones.
type Parsed<'py> = (Bound<'py, PyAny>, Bound<'py, PyDict>, Vec<String>);

/// Reads strict YAML 1.2; see the stub for arguments and errors.
#[pyfunction]
#[pyo3(signature = (text, file, variable=None))]
pub fn parse_yaml<'py>(
    py: Python<'py>,
    text: &[u8],
    file: &str,
    variable: Option<Bound<'py, PyAny>>,
) -> PyResult<Parsed<'py>> {
    let mut problems = Problems::default();
    let mut failed: Option<PyErr> = None;
    let node = match &variable {
        None => yaml::parse(text, file, None, &mut problems),
        Some(callable) => {
            let mut lookup = |name: &str| -> Option<String> {
                match callable.call1((name,)).and_then(|value| value.extract::<Option<String>>()) {
                    Ok(value) => value,
                    Err(error) => {
                        failed.get_or_insert(error);
                        None
                    }
                }
            };
            yaml::parse(text, file, Some(&mut lookup), &mut problems)
        }
    };
    if let Some(error) = failed {
        return Err(error);
    }
    let Some(node) = node else {
        return Err(config_error(py, &problems.0));
    };
    let parsed = parsed(py, &node)?;
    if problems.0.is_empty() {
        return Ok(parsed);
    }
    // What could be read goes along, so that everything is reported at once.
    let error = config_error(py, &problems.0);
    error.value(py).setattr("partial", parsed)?;
    Err(error)
}

fn parsed<'py>(py: Python<'py>, node: &Node) -> PyResult<Parsed<'py>> {
    let (found, replaced) = node.places();
    let places = PyDict::new(py);
    for (pointer, place) in found {
        places.set_item(pointer, (place.line, place.column))?;
    }
    Ok((to_python(py, node)?, places, replaced))
}
