//! Blocks of the edge link as Python sees them: their events stay bytes of one frame until somebody asks for them.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::OnceLock;

use mfgroute_link::{self as link, Head, Item};
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyTuple};

/// Events of one lane of an edge, and the frame that they came in.
#[pyclass(frozen, module = "mfgroute._core")]
pub struct Block {
    /// The stream.
    #[pyo3(get)]
    stream: String,
    /// Under which blocks are numbered.
    #[pyo3(get)]
    epoch: u64,
    /// Who sends it.
    #[pyo3(get)]
    edge: String,
    /// The life of the edge's sink.
    #[pyo3(get)]
    session: u64,
    /// The block up to which the edge has taken note.
    #[pyo3(get)]
    settled: u64,
    /// Its number.
    #[pyo3(get)]
    number: u64,
    before: [u8; 16],
    offsets: Vec<u64>,
    events: Vec<Bytes>,
    frame: PyBackedBytes,
    looked: OnceLock<Looked>,
}

/// Where the bytes of an event are.
#[derive(Clone)]
enum Bytes {
    /// In the frame.
    Frame(Range<usize>),
    /// Here, because something was put in front of them.
    Own(Vec<u8>),
}

/// What was found in the events.
struct Looked {
    marks: Vec<u16>,
    /// Of each event the index of its source.
    at: Vec<usize>,
    /// Each one once; `None` stands for what is no JSON object.
    sources: Vec<Option<String>>,
}

impl Block {
    fn of(frame: PyBackedBytes) -> Result<Self, link::Malformed> {
        let (head, items) = link::read(&frame)?;
        let (stream, edge) = (head.stream.to_owned(), head.edge.to_owned());
        let Head { epoch, session, settled, number, before, .. } = head;
        let (offsets, events) =
            items.into_iter().map(|Item { offset, bytes }| (offset, Bytes::Frame(bytes))).unzip();
        let looked = OnceLock::new();
        Ok(Self { stream, epoch, edge, session, settled, number, before, offsets, events, frame, looked })
    }

    /// The same block with other events.
    fn with(&self, py: Python<'_>, kept: impl Iterator<Item = (u64, Bytes)>) -> Self {
        let (offsets, events) = kept.unzip();
        Self {
            stream: self.stream.clone(),
            edge: self.edge.clone(),
            frame: self.frame.clone_ref(py),
            looked: OnceLock::new(),
            offsets,
            events,
            ..*self
        }
    }

    fn bytes<'a>(&'a self, event: &'a Bytes) -> &'a [u8] {
        match event {
            Bytes::Frame(range) => self.frame.get(range.clone()).unwrap_or_default(),
            Bytes::Own(bytes) => bytes,
        }
    }

    /// Its events, in its order.
    pub fn events(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.events.iter().map(|event| self.bytes(event))
    }

    /// Who sent it.
    pub fn edge(&self) -> &str {
        &self.edge
    }

    fn looked(&self) -> &Looked {
        self.looked.get_or_init(|| {
            let mut known: HashMap<Option<String>, usize> = HashMap::new();
            let mut looked = Looked { marks: Vec::new(), at: Vec::new(), sources: Vec::new() };
            for event in self.events() {
                let about = link::about(event);
                looked.marks.push(link::mark(about.as_ref(), event));
                let source = about.as_ref().map(|about| about.source.as_ref());
                let last = looked.at.last().copied();
                let same = last.filter(|&at| looked.sources.get(at).map(Option::as_deref) == Some(source));
                let at = same.unwrap_or_else(|| {
                    let source = source.map(str::to_owned);
                    *known.entry(source.clone()).or_insert_with(|| {
                        looked.sources.push(source);
                        looked.sources.len() - 1
                    })
                });
                looked.at.push(at);
            }
            looked
        })
    }
}

fn malformed(error: link::Malformed) -> PyErr {
    PyValueError::new_err(error.to_string())
}

#[pymethods]
impl Block {
    #[new]
    #[pyo3(signature = (*, stream, epoch, edge, session, settled, number, offsets, events, before=None))]
    #[expect(clippy::too_many_arguments, reason = "keyword-only in Python")]
    #[expect(clippy::needless_pass_by_value, reason = "what Python hands over")]
    fn new(
        py: Python<'_>,
        stream: &str,
        epoch: u64,
        edge: &str,
        session: u64,
        settled: u64,
        number: u64,
        offsets: Vec<u64>,
        events: Vec<PyBackedBytes>,
        before: Option<[u8; 16]>,
    ) -> PyResult<Self> {
        if offsets.len() != events.len() {
            return Err(PyValueError::new_err("offsets has not one entry for each event"));
        }
        let head = Head { stream, epoch, edge, session, settled, number, before: before.unwrap_or_default() };
        let pairs: Vec<(u64, &[u8])> = offsets.iter().copied().zip(events.iter().map(|one| &**one)).collect();
        let frame = link::write(&head, &pairs).map_err(malformed)?;
        Self::of(PyBackedBytes::from(PyBytes::new(py, &frame))).map_err(malformed)
    }

    #[staticmethod]
    fn read(frame: PyBackedBytes) -> PyResult<Self> {
        Self::of(frame).map_err(malformed)
    }

    #[getter]
    fn before<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.before)
    }

    #[getter]
    fn frame<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.frame.clone_ref(py).into_pyobject(py)?.into_any())
    }

    #[getter]
    fn hash<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &link::hash(&self.frame, self.epoch))
    }

    #[getter]
    fn offsets<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.offsets)
    }

    #[getter]
    fn runs(&self) -> Vec<u64> {
        let mut runs = Vec::new();
        let mut last: Option<(u64, u64)> = None;
        for &offset in &self.offsets {
            last = match last {
                Some((first, count)) if first.checked_add(count) == Some(offset) => Some((first, count + 1)),
                other => {
                    runs.extend(other.into_iter().flat_map(<[u64; 2]>::from));
                    Some((offset, 1))
                }
            };
        }
        runs.extend(last.into_iter().flat_map(<[u64; 2]>::from));
        runs
    }

    #[getter(events)]
    fn all_events<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.events().map(|event| PyBytes::new(py, event)))
    }

    #[getter]
    fn size(&self) -> usize {
        self.events().map(<[u8]>::len).sum()
    }

    #[getter]
    fn marks<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let marks: Vec<u8> = self.looked().marks.iter().flat_map(|mark| mark.to_be_bytes()).collect();
        PyBytes::new(py, &marks)
    }

    #[getter]
    fn sources(&self) -> Vec<Option<String>> {
        self.looked().sources.clone()
    }

    fn without(&self, py: Python<'_>, places: Vec<usize>) -> Self {
        let events = self.offsets.iter().copied().zip(self.events.iter().cloned()).enumerate();
        let places: std::collections::HashSet<usize> = places.into_iter().collect();
        self.with(py, events.filter(|(place, _)| !places.contains(place)).map(|(_, event)| event))
    }

    #[expect(clippy::needless_pass_by_value, reason = "what Python hands over")]
    fn spoiled(&self, py: Python<'_>, lines: HashMap<String, PyBackedBytes>) -> (Self, usize) {
        let looked = self.looked();
        let line = |place: usize| {
            let source = looked.at.get(place).and_then(|&at| looked.sources.get(at))?;
            lines.get(source.as_ref()?)
        };
        let mut count = 0;
        let events = self.events.iter().enumerate().map(|(place, event)| {
            let Some(line) = line(place) else { return event.clone() };
            count += 1;
            Bytes::Own([&**line, self.bytes(event)].concat())
        });
        let block = self.with(py, self.offsets.iter().copied().zip(events.collect::<Vec<_>>()));
        (block, count)
    }

    fn __len__(&self) -> usize {
        self.events.len()
    }

    fn __eq__(&self, other: &Self) -> bool {
        let head = |block: &Self| (block.epoch, block.session, block.settled, block.number, block.before);
        head(self) == head(other)
            && (&self.stream, &self.edge, &self.offsets) == (&other.stream, &other.edge, &other.offsets)
            && self.events().eq(other.events())
    }

    fn __repr__(&self) -> String {
        let Self { edge, stream, number, .. } = self;
        format!("Block(edge={edge:?}, stream={stream:?}, number={number}, events={})", self.events.len())
    }
}

/// The events of some blocks, one after the other, as messages of an intake.
#[pyclass(frozen, sequence, module = "mfgroute._core")]
pub struct Blocks {
    list: Vec<Py<Block>>,
    count: usize,
    /// Bytes of all events.
    #[pyo3(get)]
    size: usize,
}

impl Blocks {
    /// The blocks.
    pub fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.list.iter().map(Py::get)
    }
}

#[pymethods]
impl Blocks {
    #[new]
    fn new(blocks: Vec<Py<Block>>) -> Self {
        let count = blocks.iter().map(|block| block.get().events.len()).sum();
        let size = blocks.iter().map(|block| block.get().size()).sum();
        Self { list: blocks, count, size }
    }

    fn __len__(&self) -> usize {
        self.count
    }

    fn __eq__(&self, other: &Self) -> bool {
        let events =
            |blocks: &Self| blocks.blocks().flat_map(Block::events).map(<[u8]>::to_vec).collect::<Vec<_>>();
        self.count == other.count && events(self) == events(other)
    }

    fn __getitem__<'py>(&self, py: Python<'py>, place: isize) -> PyResult<Bound<'py, PyBytes>> {
        let mut place = usize::try_from(place).map_err(|_| PyIndexError::new_err("no such event"))?;
        for block in self.blocks() {
            if let Some(event) = block.events.get(place) {
                return Ok(PyBytes::new(py, block.bytes(event)));
            }
            place -= block.events.len();
        }
        Err(PyIndexError::new_err("no such event"))
    }
}

/// The checksum of a frame of the edge link.
#[pyfunction]
pub fn link_checksum(data: &[u8]) -> u32 {
    link::checksum(data)
}
