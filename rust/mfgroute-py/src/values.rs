//! Events, receipts and rejects as Python sees them.

use std::sync::Arc;

use mfgroute_core::{engine, reject};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// One refused message or item.
#[pyclass(frozen, eq, from_py_object, module = "mfgroute._core")]
#[derive(Clone, PartialEq, Eq)]
pub struct Reject {
    /// Index of the message in its intake.
    #[pyo3(get)]
    pub message: u32,
    /// Index of the item in its message.
    #[pyo3(get)]
    pub item: Option<u32>,
    /// Stable code.
    #[pyo3(get)]
    pub code: String,
    /// RFC 6901 pointer into the message.
    #[pyo3(get)]
    pub pointer: String,
    /// Byte offset in the message.
    #[pyo3(get)]
    pub offset: Option<u64>,
    /// Field of the canonical event.
    #[pyo3(get)]
    pub field: Option<String>,
    /// Where people find the message.
    #[pyo3(get)]
    pub place: Option<String>,
    /// What was found.
    #[pyo3(get)]
    pub found: String,
    /// What was expected.
    #[pyo3(get)]
    pub expected: String,
}

#[pymethods]
impl Reject {
    #[new]
    #[pyo3(signature = (message, code, *, item=None, pointer=String::new(), offset=None, field=None, place=None, found=String::new(), expected=String::new()))]
    #[expect(clippy::too_many_arguments, reason = "keyword-only in Python")]
    fn new(
        message: u32,
        code: String,
        item: Option<u32>,
        pointer: String,
        offset: Option<u64>,
        field: Option<String>,
        place: Option<String>,
        found: String,
        expected: String,
    ) -> Self {
        Self { message, item, code, pointer, offset, field, place, found, expected }
    }

    fn __repr__(&self) -> String {
        let item = self.item.map_or(String::new(), |item| format!(", item={item}"));
        let field = self.field.as_ref().map_or(String::new(), |field| format!(", field={field:?}"));
        format!(
            "Reject(message={}{item}, code={:?}, pointer={:?}{field}, found={:?}, expected={:?})",
            self.message, self.code, self.pointer, self.found, self.expected
        )
    }
}

impl From<&reject::Reject> for Reject {
    fn from(reject: &reject::Reject) -> Self {
        Self {
            message: reject.message,
            item: reject.item,
            code: reject.code.as_str().to_owned(),
            pointer: reject.pointer.clone(),
            offset: reject.offset,
            field: reject.field.clone(),
            place: reject.place.clone(),
            found: reject.found.clone(),
            expected: reject.expected.clone(),
        }
    }
}

/// What `submit` answers.
#[pyclass(frozen, module = "mfgroute._core")]
pub struct Receipt {
    /// Items that became events.
    #[pyo3(get)]
    pub accepted: u64,
    /// Items refused by us.
    #[pyo3(get)]
    pub rejected: u64,
    /// Items seen before.
    #[pyo3(get)]
    pub duplicates: u64,
    /// Items left out by a named rule.
    #[pyo3(get)]
    pub filtered: u64,
    /// Items dropped because a stream says so.
    #[pyo3(get)]
    pub dropped: u64,
    /// Lowest acknowledgement level reached.
    #[pyo3(get)]
    pub level: String,
    /// Why items were refused.
    #[pyo3(get)]
    pub rejects: Vec<Reject>,
    /// Whether a slab could not be taken apart at all.
    #[pyo3(get)]
    pub unsplittable: bool,
    /// Where `submit_lines` goes on.
    #[pyo3(get)]
    pub resume: Option<(u64, u64)>,
}

#[pymethods]
impl Receipt {
    #[new]
    #[pyo3(signature = (*, accepted=0, rejected=0, duplicates=0, filtered=0, dropped=0, level="memory".to_owned(), rejects=Vec::new(), unsplittable=false, resume=None))]
    #[expect(clippy::too_many_arguments, reason = "keyword-only in Python")]
    fn new(
        accepted: u64,
        rejected: u64,
        duplicates: u64,
        filtered: u64,
        dropped: u64,
        level: String,
        rejects: Vec<Reject>,
        unsplittable: bool,
        resume: Option<(u64, u64)>,
    ) -> Self {
        Self { accepted, rejected, duplicates, filtered, dropped, level, rejects, unsplittable, resume }
    }

    fn __repr__(&self) -> String {
        format!(
            "Receipt(accepted={}, rejected={}, duplicates={}, filtered={}, dropped={}, level={:?})",
            self.accepted, self.rejected, self.duplicates, self.filtered, self.dropped, self.level
        )
    }
}

/// What was written down to be sent for an event before.
#[pyclass(frozen, module = "mfgroute._core")]
#[derive(Clone)]
pub struct Begun {
    /// What the target knows the request by.
    #[pyo3(get)]
    pub key: String,
    /// How often it was sent, or was about to be; 0 if there is only the plan to send something.
    #[pyo3(get)]
    pub attempts: u32,
    /// When the first of this was written down, seconds since 1970.
    #[pyo3(get)]
    pub first_s: f64,
    /// When the last attempt was.
    #[pyo3(get)]
    pub last_s: f64,
    /// What the target has accepted it under.
    #[pyo3(get)]
    pub accepted: Option<String>,
    /// Exactly what is sent.
    pub body: Arc<[u8]>,
}

#[pymethods]
impl Begun {
    #[new]
    #[pyo3(signature = (*, key, body, attempts=1, first_s=0.0, last_s=0.0, accepted=None))]
    fn new(
        key: String,
        body: &[u8],
        attempts: u32,
        first_s: f64,
        last_s: f64,
        accepted: Option<String>,
    ) -> Self {
        Self { key, attempts, first_s, last_s, accepted, body: body.into() }
    }

    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.body)
    }

    fn __repr__(&self) -> String {
        format!("Begun(key={:?}, attempts={}, accepted={:?})", self.key, self.attempts, self.accepted)
    }
}

impl From<&engine::Begun> for Begun {
    fn from(begun: &engine::Begun) -> Self {
        let engine::Begun { key, request, attempts, first_ms, last_ms, accepted } = begun;
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of centuries")]
        let seconds = |ms: u64| ms as f64 / 1e3;
        Self {
            key: key.to_string(),
            attempts: *attempts,
            first_s: seconds(*first_ms),
            last_s: seconds(*last_ms),
            accepted: accepted.as_ref().map(ToString::to_string),
            body: Arc::clone(request),
        }
    }
}

/// A canonical event on its way to a sink.
#[pyclass(frozen, module = "mfgroute._core")]
pub struct Event {
    /// CloudEvents id.
    #[pyo3(get)]
    pub id: String,
    /// CloudEvents type.
    #[pyo3(get, name = "type")]
    pub kind: String,
    /// By what it is ordered.
    #[pyo3(get)]
    pub key: String,
    /// Sequence number in its stream.
    #[pyo3(get)]
    pub offset: u64,
    /// The stream.
    #[pyo3(get)]
    pub stream: String,
    /// 1 for the first attempt at this sink.
    #[pyo3(get)]
    pub attempt: u32,
    /// It is of a replay: somebody wants it to come again.
    #[pyo3(get)]
    pub replayed: bool,
    /// What was written down to be sent for it before.
    #[pyo3(get)]
    pub begun: Option<Begun>,
    /// The document by which a person has booked it while it waited: it is not to be sent.
    #[pyo3(get)]
    pub booked: Option<String>,
    /// The delivery this object stands for; 0 when made by hand.
    pub delivery: u64,
    /// The CloudEvent.
    pub json: Py<PyBytes>,
}

#[pymethods]
impl Event {
    #[new]
    #[pyo3(signature = (*, id, r#type, key, offset, json, stream="business".to_owned(), attempt=1, begun=None, replayed=false, booked=None))]
    #[expect(clippy::too_many_arguments, reason = "keyword-only in Python")]
    fn new(
        id: String,
        r#type: String,
        key: String,
        offset: u64,
        json: Py<PyBytes>,
        stream: String,
        attempt: u32,
        begun: Option<PyRef<'_, Begun>>,
        replayed: bool,
        booked: Option<String>,
    ) -> Self {
        let begun = begun.map(|begun| begun.clone());
        Self { id, kind: r#type, key, offset, stream, attempt, replayed, begun, booked, delivery: 0, json }
    }

    #[getter]
    fn json(&self, py: Python<'_>) -> Py<PyBytes> {
        self.json.clone_ref(py)
    }

    fn __repr__(&self) -> String {
        format!(
            "Event(id={:?}, type={:?}, key={:?}, offset={}, attempt={})",
            self.id, self.kind, self.key, self.offset, self.attempt
        )
    }
}
