//! Events handed out to one sink, as Python sees them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use mfgroute_core::engine::{DeliveryId, Intention, Outcome, SinkNo};
use mfgroute_core::router::Router;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyIterator, PyList};

use crate::engine::duration;
use crate::errors::{intend_error, router_error};
use crate::values::Event;

/// Events handed out to one sink.
#[pyclass(frozen, module = "mfgroute._core")]
pub struct Batch {
    /// Who is told what became of them.
    pub router: Arc<Router>,
    /// The sink.
    pub sink: SinkNo,
    /// In the order in which they were handed out.
    pub events: Vec<Py<Event>>,
    /// Deliveries that are not settled, by the number of their event.
    pub open: Mutex<HashMap<u64, DeliveryId>>,
}

#[pymethods]
impl Batch {
    fn __enter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __exit__(&self, _kind: &Bound<'_, PyAny>, _error: &Bound<'_, PyAny>, _trace: &Bound<'_, PyAny>) {
        self.release();
    }

    fn __len__(&self) -> usize {
        self.events.len()
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        self.events(py)?.try_iter()
    }

    #[getter]
    fn events<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.events.iter().map(|event| event.clone_ref(py)))
    }

    #[pyo3(signature = (event, *, reference=None))]
    fn done(&self, py: Python<'_>, event: &Event, reference: Option<String>) -> PyResult<()> {
        self.settle(py, event, Outcome::Done { reference })
    }

    fn done_all(&self, py: Python<'_>) -> PyResult<()> {
        let open: Vec<DeliveryId> = self.take_all();
        let outcomes = open.into_iter().map(|id| (id, Outcome::Done { reference: None })).collect();
        self.router.settle(self.sink, outcomes).map_err(|error| router_error(py, &error))
    }

    #[pyo3(signature = (*, after_s=None, reason=String::new(), judged=false))]
    #[expect(clippy::needless_pass_by_value, reason = "what Python hands over")]
    fn retry_all(&self, py: Python<'_>, after_s: Option<f64>, reason: String, judged: bool) -> PyResult<()> {
        let after_ms = after_s.map(duration).transpose()?.map(|after| after.as_millis() as u64);
        let retry = || Outcome::Retry { after_ms, judged, reason: reason.clone() };
        let outcomes = self.take_all().into_iter().map(|id| (id, retry())).collect();
        self.router.settle(self.sink, outcomes).map_err(|error| router_error(py, &error))
    }

    #[pyo3(signature = (event, code, reason=String::new()))]
    fn refused(&self, py: Python<'_>, event: &Event, code: String, reason: String) -> PyResult<()> {
        self.settle(py, event, Outcome::Refused { code, reason })
    }

    #[pyo3(signature = (event, *, after_s=None, reason=String::new(), judged=false))]
    fn retry(
        &self,
        py: Python<'_>,
        event: &Event,
        after_s: Option<f64>,
        reason: String,
        judged: bool,
    ) -> PyResult<()> {
        let after_ms = after_s.map(duration).transpose()?.map(|after| after.as_millis() as u64);
        self.settle(py, event, Outcome::Retry { after_ms, judged, reason })
    }

    #[pyo3(signature = (event, reason=String::new(), *, code=String::new()))]
    fn in_doubt(&self, py: Python<'_>, event: &Event, reason: String, code: String) -> PyResult<()> {
        self.settle(py, event, Outcome::InDoubt { code, reason })
    }

    #[expect(clippy::needless_pass_by_value, reason = "what Python hands over")]
    fn intend(
        &self,
        py: Python<'_>,
        entries: Vec<(PyRef<'_, Event>, String, PyBackedBytes, PyBackedBytes)>,
    ) -> PyResult<()> {
        let mut intentions = Vec::with_capacity(entries.len());
        for (event, key, request, about) in &entries {
            let delivery = self.delivery(event)?;
            intentions.push(Intention { delivery, key, request, about });
        }
        py.detach(|| self.router.engine().intend(self.sink, &intentions))
            .map_err(|error| intend_error(py, &error))
    }

    fn accepted(&self, py: Python<'_>, event: &Event, reference: &str) -> PyResult<()> {
        let delivery = self.delivery(event)?;
        py.detach(|| self.router.engine().accepted(self.sink, delivery, reference))
            .map_err(|error| intend_error(py, &error))
    }

    #[pyo3(signature = (event, reason))]
    fn taken_back(&self, py: Python<'_>, event: &Event, reason: String) -> PyResult<()> {
        self.settle(py, event, Outcome::TakenBack { reason })
    }

    #[pyo3(signature = (event, contracts, text, *, patient=true))]
    #[expect(clippy::needless_pass_by_value, reason = "what Python hands over")]
    fn behind<'py>(
        &self,
        py: Python<'py>,
        event: &Event,
        contracts: Vec<String>,
        text: &str,
        patient: bool,
    ) -> PyResult<Option<Vec<Bound<'py, PyBytes>>>> {
        let delivery = self.delivery(event)?;
        let found = py
            .detach(|| self.router.behind(self.sink, delivery, &contracts, text, patient))
            .map_err(|error| intend_error(py, &error))?;
        Ok(found.map(|found| found.iter().map(|one| PyBytes::new(py, one)).collect()))
    }

    fn release(&self) {
        let open = self.take_all();
        if !open.is_empty() {
            let outcomes = open.into_iter().map(|id| (id, Outcome::Released)).collect();
            // What is stale was settled elsewhere, for example by the removal of its sink.
            let _ = self.router.settle(self.sink, outcomes);
        }
    }
}

impl Batch {
    fn take_all(&self) -> Vec<DeliveryId> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut numbers: Vec<(u64, DeliveryId)> = open.drain().collect();
        numbers.sort_by_key(|(number, _)| *number);
        numbers.into_iter().map(|(_, id)| id).collect()
    }

    fn delivery(&self, event: &Event) -> PyResult<DeliveryId> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let not_open = || PyValueError::new_err(format!("event {} is not open in this batch", event.id));
        open.get(&event.delivery).copied().ok_or_else(not_open)
    }

    fn settle(&self, py: Python<'_>, event: &Event, outcome: Outcome) -> PyResult<()> {
        let id = self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&event.delivery);
        let Some(id) = id else {
            return Err(PyValueError::new_err(format!("event {} is not open in this batch", event.id)));
        };
        self.router.settle(self.sink, vec![(id, outcome)]).map_err(|error| router_error(py, &error))
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.release();
    }
}
