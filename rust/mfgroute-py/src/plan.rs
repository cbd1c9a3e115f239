//! Plans, schema checks and dry runs as Python sees them.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use mfgroute_core::contract::Contract;
use mfgroute_core::decode::Limits;
use mfgroute_core::decode::json::JsonDecoder;
use mfgroute_core::engine::Room;
use mfgroute_core::pipeline::explain::outcomes;
use mfgroute_core::plan::contract::code_set;
use mfgroute_core::plan::project::{self, Plan as CorePlan};
use mfgroute_core::problem::Place;
use mfgroute_core::reject::Code;
use mfgroute_core::schema::{Schema, SchemaOptions};
use mfgroute_core::time::Date;
use mfgroute_core::tree::Tree;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use serde_json::{Map, Value, json};

use crate::errors::{config_error, problem_fields, unknown_name};
use crate::json::to_python;
use crate::values::Reject;

/// A project, compiled and checked.
#[pyclass(frozen, module = "mfgroute._core")]
pub struct Plan {
    /// The plan.
    pub plan: Arc<CorePlan>,
}

#[pymethods]
impl Plan {
    /// Compiles a project folder; see the stub.
    #[staticmethod]
    #[pyo3(signature = (root, config, places, *, today = None))]
    fn compile(
        py: Python<'_>,
        root: PathBuf,
        config: &[u8],
        places: HashMap<String, (u32, u32)>,
        today: Option<(i32, u32, u32)>,
    ) -> PyResult<Self> {
        let no_day = || PyValueError::new_err("today is no day of the calendar");
        let today =
            today.map(|(year, month, day)| Date::new(year, month, day).ok_or_else(no_day)).transpose()?;
        let config: Value =
            serde_json::from_slice(config).map_err(|error| PyValueError::new_err(error.to_string()))?;
        let places: BTreeMap<String, Place> =
            places.into_iter().map(|(pointer, (line, column))| (pointer, Place { line, column })).collect();
        match py.detach(|| project::compile(&root, &config, &places, today)) {
            Ok(plan) => Ok(Self { plan: Arc::new(plan) }),
            Err(problems) => Err(config_error(py, &problems)),
        }
    }

    #[getter]
    fn problems<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        for problem in &self.plan.warnings {
            list.append(problem_fields(py, problem)?)?;
        }
        Ok(list)
    }

    #[getter]
    fn summary<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_python(py, &summary(&self.plan))
    }
}

fn summary(plan: &CorePlan) -> Value {
    let contracts: Vec<Value> = plan
        .contracts
        .iter()
        .map(|contract| {
            let deprecation = contract.deprecation.as_ref();
            json!({
                "type": contract.name, "version": contract.version, "kind": contract.kind,
                "stream": contract.stream, "owner": contract.owner, "file": contract.file,
                "compiled": contract.schema.runs_compiled(),
                "fallback": contract.schema.fallback_reason(),
                "status": if deprecation.is_some() { "deprecated" } else { "active" },
                "since": deprecation.and_then(|known| known.since.as_deref()),
                "sunset": deprecation.and_then(|known| known.sunset.as_deref()),
                "successor": deprecation.and_then(|known| known.successor.as_deref()),
                "rules": contract.rules.len(),
            })
        })
        .collect();
    let sources: Vec<Value> = plan
        .sources
        .iter()
        .map(|source| {
            let named = |index: &usize| Some(plan.mappings.get(*index)?.name.as_str());
            let mappings: Vec<&str> = source.mappings.iter().filter_map(named).collect();
            let own: Vec<&str> = source.own.iter().filter_map(named).collect();
            let decode = source
                .mappings
                .first()
                .and_then(|index| plan.mappings.get(*index))
                .map(|m| m.from.decode.name());
            json!({"name": source.name, "uri": source.uri, "mappings": mappings, "own": own, "decode": decode})
        })
        .collect();
    let mappings: Vec<Value> = plan
        .mappings
        .iter()
        .zip(&plan.programs)
        .map(|(m, program)| {
            let entries = m.sets.iter().flat_map(|set| &set.entries);
            let mut to: Vec<String> =
                entries.filter_map(|entry| plan.contracts.get(entry.contract)).map(Contract::label).collect();
            to.dedup();
            let version = m.from.version.as_ref();
            let from = version.and_then(|one| plan.contracts.get(one.contract)).map(Contract::label);
            json!({
                "to": to, "converts": from,
                "name": m.name, "label": m.label, "decode": m.from.decode.name(),
                "flat": program.is_ok(), "on_trees": program.as_ref().err(),
            })
        })
        .collect();
    let tables: Vec<Value> =
        plan.tables.iter().map(|(name, version)| json!({"name": name, "version": version})).collect();
    let routes: Vec<Value> = plan
        .routes
        .iter()
        .map(|route| {
            let sinks: Vec<&str> = route
                .sinks
                .iter()
                .filter_map(|index| plan.engine.sinks.get(*index))
                .map(|s| s.name.as_str())
                .collect();
            let form = |(contract, form): (&Contract, &Option<usize>)| {
                Some((contract.label(), json!(plan.contracts.get((*form)?)?.label())))
            };
            let delivers: Map<String, Value> =
                plan.contracts.iter().zip(&route.delivers).filter_map(form).collect();
            json!({"name": route.name, "to": sinks, "sources": route.sources, "delivers": delivers})
        })
        .collect();
    let streams: Vec<Value> = plan
        .engine
        .streams
        .iter()
        .map(|stream| {
            let room = stream.durable.then(|| Room::of(stream.capacity.bytes));
            json!({
                "name": stream.name, "durable": stream.durable, "capacity": stream.capacity.bytes, "first": stream.first,
                "takes": room.map(|room| room.takes), "reserve": room.map(|room| room.reserve),
            })
        })
        .collect();
    json!({
        "streams": streams,
        "contracts": contracts, "mappings": mappings, "lookups": tables, "routes": routes, "sources": sources,
        "sinks": plan.engine.sinks.iter().map(|sink| sink.name.as_str()).collect::<Vec<_>>(),
        "examples": plan.examples.len(),
    })
}

/// Runs one message through a plan; JSON lines of what became of it.
#[pyfunction]
#[pyo3(signature = (plan, source, message, meta))]
pub fn explain<'py>(
    py: Python<'py>,
    plan: &Plan,
    source: &str,
    message: &[u8],
    meta: HashMap<String, String>,
) -> PyResult<Bound<'py, PyBytes>> {
    let index = plan.plan.source(source).ok_or_else(|| unknown_name(py, "source", source))?;
    Ok(run(py, plan, index, None, message, &meta))
}

/// Runs one message through one mapping; JSON lines of what became of it.
#[pyfunction]
#[pyo3(signature = (plan, mapping, message, meta))]
pub fn run_mapping<'py>(
    py: Python<'py>,
    plan: &Plan,
    mapping: &str,
    message: &[u8],
    meta: HashMap<String, String>,
) -> PyResult<Bound<'py, PyBytes>> {
    let index = plan.plan.mapping(mapping).ok_or_else(|| unknown_name(py, "mapping", mapping))?;
    let source = plan.plan.sources.iter().position(|source| source.mappings.contains(&index));
    Ok(run(py, plan, source.unwrap_or(0), Some(index), message, &meta))
}

fn run<'py>(
    py: Python<'py>,
    plan: &Plan,
    source: usize,
    mapping: Option<usize>,
    message: &[u8],
    meta: &HashMap<String, String>,
) -> Bound<'py, PyBytes> {
    let pairs: Vec<(&str, &str)> = meta.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let lines: Vec<String> =
        outcomes(&plan.plan, source, mapping, message, &pairs).iter().map(ToString::to_string).collect();
    PyBytes::new(py, lines.join("\n").as_bytes())
}

/// Checks a payload against a JSON Schema; an empty list means valid.
#[pyfunction]
#[pyo3(signature = (schema, payload, resources, *, formats))]
pub fn check_schema(
    schema: &[u8],
    payload: &[u8],
    resources: HashMap<String, Vec<u8>>,
    formats: bool,
) -> PyResult<Vec<Reject>> {
    let bad = |error: serde_json::Error| PyValueError::new_err(format!("not JSON: {error}"));
    let schema: Value = serde_json::from_slice(schema).map_err(bad)?;
    let mut documents = Vec::new();
    for (address, bytes) in resources {
        documents.push((address, serde_json::from_slice(&bytes).map_err(bad)?));
    }
    let options = SchemaOptions { assert_formats: formats, resources: &documents, code_sets: &code_set };
    let schema = Schema::compile(&schema, &options).map_err(|problems| {
        let lines: Vec<String> =
            problems.iter().map(|problem| format!("{}: {}", problem.pointer, problem.message)).collect();
        PyValueError::new_err(lines.join("\n"))
    })?;
    let mut tree = Tree::new();
    if let Err(reject) = JsonDecoder::new(Limits::default()).decode(payload, &mut tree) {
        return Ok(vec![Reject::from(&reject)]);
    }
    let mut violations = Vec::new();
    schema.validate(&tree, 0, 100, &mut violations);
    Ok(violations
        .iter()
        .map(|violation| Reject::from(&violation.reject(Code::ContractInvalid, &tree)))
        .collect())
}

/// Every stable reject code with its meaning.
#[pyfunction]
pub fn reject_codes() -> Vec<(&'static str, &'static str)> {
    Code::ALL.iter().map(|(_, code, meaning)| (*code, meaning.trim())).collect()
}

/// Every unit of measure: code, name, dimension; and every code of every set: set, code, unit.
#[pyfunction]
pub fn units(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    use mfgroute_core::units::{CodeSet, all};
    let out = PyDict::new(py);
    let units: Vec<(&str, &str, &str)> =
        all().map(|unit| (unit.code(), unit.name(), unit.dimension_name())).collect();
    let codes: Vec<(&str, &str, &str)> = CodeSet::ALL
        .iter()
        .flat_map(|set| set.codes().into_iter().map(|(code, unit)| (set.name(), code, unit.code())))
        .collect();
    out.set_item("units", units)?;
    out.set_item("codes", codes)?;
    Ok(out)
}
