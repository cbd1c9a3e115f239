//! Compiling a project folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value as Json;

use crate::engine::EngineConfig;
use crate::flat::{Canonical, Program, Selector};
use crate::map::lookup::Table;
use crate::map::{Cond, Mapping};
use crate::plan::builder::Builder;
use crate::plan::conversions::{self, Conversions};
use crate::plan::mapping::Example;
use crate::plan::read::{File, nearest};
use crate::plan::value::Scope;
use crate::plan::{attributes, contract, mapping, node, overlap, routes};
use crate::problem::{Place, Problem, Problems};
use crate::route::{Index, Route};
use crate::schema::{Schema, SchemaOptions};
use crate::time::Date;
use crate::yaml::{self, Node};

/// Name of the main file, for problems.
pub const MAIN: &str = "mfgroute.yaml";
/// Where a source has the mappings that its adapter brings; nobody writes that.
const OWN: &str = "own_mappings";

/// How many plans were made.
static PLANS: AtomicU64 = AtomicU64::new(1);

/// A project, compiled and checked. Immutable.
#[derive(Debug, Default)]
pub struct Plan {
    /// No two plans of a process have the same.
    pub number: u64,
    /// Site of the node.
    pub site: String,
    /// Contracts.
    pub contracts: Vec<crate::contract::Contract>,
    /// Mappings.
    pub mappings: Vec<Mapping>,
    /// For each mapping its flat program, or why it runs on trees.
    pub programs: Vec<Result<Program, String>>,
    /// For each contract how its events are admitted flat when they come as canonical events, or why they run on
    /// trees; empty where no source has canonical events.
    pub canonical: Vec<Result<Canonical, String>>,
    /// Sources.
    pub sources: Vec<SourcePlan>,
    /// Routes.
    pub routes: Vec<Route>,
    /// Ways from one version of a contract to another.
    pub conversions: Conversions,
    /// For each contract the routes that may take it.
    pub routes_of: Vec<Vec<usize>>,
    /// For each contract what leads to those of them that may take an event.
    pub route_index: Vec<Index>,
    /// For each contract its stream, by index in `engine.streams`.
    pub stream_of: Vec<usize>,
    /// Names and versions of the tables.
    pub tables: Vec<(String, String)>,
    /// Streams, sinks and sources as the engine takes them.
    pub engine: EngineConfig,
    /// Number of event ids that are remembered.
    pub dedup_window: usize,
    /// Examples of the mappings.
    pub examples: Vec<Example>,
    /// Warnings.
    pub warnings: Vec<Problem>,
}

/// A source as the pipeline sees it.
#[derive(Debug)]
pub struct SourcePlan {
    /// Name.
    pub name: String,
    /// CloudEvents `source`.
    pub uri: String,
    /// Its mappings, by index in the plan; empty means canonical events.
    pub mappings: Vec<usize>,
    /// Mappings that its adapter brings, for messages that the adapter makes of itself and marks as such.
    pub own: Vec<usize>,
    /// Named rules that leave messages out.
    pub filters: Vec<(String, Cond)>,
    /// The value of a message that decides which of several mappings takes it, if one does.
    pub selector: Option<Selector>,
    /// Whether later messages of the key of a rejected one wait for it.
    pub holds_keys: bool,
}

impl SourcePlan {
    /// All mappings that may take a message of it.
    pub fn takers(&self) -> impl Iterator<Item = usize> + '_ {
        self.mappings.iter().chain(&self.own).copied()
    }
}

impl Plan {
    /// Index of a source.
    #[must_use]
    pub fn source(&self, name: &str) -> Option<usize> {
        self.sources.iter().position(|source| source.name == name)
    }

    /// Index of the contract that events of a CloudEvents type satisfy: the one with this type, or with the same name
    /// and major version in another namespace.
    #[must_use]
    pub fn contract_of(&self, kind: &str) -> Option<usize> {
        if let Some(index) = self.contracts.iter().position(|contract| *contract.full_type == *kind) {
            return Some(index);
        }
        let (name, major) = kind.rsplit_once(".v")?;
        self.contracts.iter().position(|contract| {
            name.strip_suffix(&*contract.name).is_some_and(|rest| rest.ends_with('.'))
                && contract.major.to_string() == major
        })
    }

    /// Index of a mapping.
    #[must_use]
    pub fn mapping(&self, name: &str) -> Option<usize> {
        self.mappings.iter().position(|mapping| mapping.name == name)
    }
}

/// Compiles the project in `root`. `config` is the main file after substitution, `places` says where its
/// values stand by RFC 6901 pointer. `today` is for who asks whether the project is right on a day (in UTC):
/// then a mapping to a contract that is past its sunset is an error.
///
/// # Errors
///
/// All problems, warnings among them, when there is an error.
pub fn compile(
    root: &Path,
    config: &Json,
    places: &BTreeMap<String, Place>,
    today: Option<Date>,
) -> Result<Plan, Vec<Problem>> {
    let mut problems = Problems::default();
    let main = node::located(config, places, String::new());
    let mut plan = Plan { number: PLANS.fetch_add(1, Ordering::Relaxed), ..Plan::default() };
    let mut builder = Builder::default();
    builder.today = today.map(|date| date.to_string());
    let folders = folders(root, &main);
    let namespace = main.get("node").and_then(|node| node.get("namespace")).and_then(Node::text);
    let site = main.get("node").and_then(|node| node.get("site")).and_then(Node::text).unwrap_or_default();
    site.clone_into(&mut plan.site);
    read_shared(&folders, namespace.unwrap_or("org.mfgroute"), &mut builder, &mut problems);
    read_mappings(&folders, &main, &mut builder, &mut plan, &mut problems);
    builder.check_unused_tables(&mut problems);
    let mut file = File { name: MAIN, problems: &mut problems };
    read_sources(&main, &mut builder, &mut plan, &mut file);
    plan.contracts = std::mem::take(&mut builder.contracts);
    plan.tables = builder.tables.values().map(|table| (table.name.clone(), table.version.clone())).collect();
    node::engine(&main, &mut plan, &mut file);
    plan.conversions = Conversions::find(&plan.mappings, &plan.contracts, file.problems);
    plan.conversions.incomplete |= builder.conversion_broken;
    routes::read(&main, &mut plan, &mut file);
    plan.programs = plan.mappings.iter().map(|mapping| program(mapping, &plan)).collect();
    if plan.sources.iter().any(|source| source.mappings.is_empty()) {
        let contracts = plan.contracts.iter().enumerate();
        let compiled = contracts.map(|(index, contract)| Canonical::compile(index, contract, &plan.routes));
        plan.canonical = compiled.collect();
    }
    if problems.installable() {
        crate::pipeline::examples::check(&plan, &mut problems);
    }
    problems.sort();
    problems.0.dedup();
    if problems.installable() {
        plan.warnings = problems.0;
        Ok(plan)
    } else {
        Err(problems.0)
    }
}

/// The flat program of a mapping, or why it runs on trees.
fn program(mapping: &Mapping, plan: &Plan) -> Result<Program, String> {
    if mapping.from.version.is_some() {
        return Err("it is a conversion".to_owned());
    }
    for entry in mapping.sets.iter().flat_map(|set| &set.entries) {
        let converts = |route: &Route| route.delivers(entry.contract).is_some_and(|to| to != entry.contract);
        if let Some(route) = plan.routes.iter().find(|route| converts(route)) {
            return Err(format!("the route {} takes its events in another version", route.name));
        }
    }
    Program::compile(mapping, &plan.contracts, &plan.routes)
}

/// The project folder and those of its packs, with the prefix their files have in problems.
fn folders(root: &Path, main: &Node) -> Vec<(String, PathBuf)> {
    let mut folders = vec![(String::new(), root.to_path_buf())];
    for pack in main.get("packs").map(Node::items).unwrap_or_default() {
        if let (Some(prefix), Some(path)) =
            (pack.get("prefix").and_then(Node::text), pack.get("path").and_then(Node::text))
        {
            folders.push((prefix.to_owned(), PathBuf::from(path)));
        }
    }
    folders
}

/// Files of a subfolder with an ending: name, name for problems, bytes. Sorted, the project before its
/// packs; a file of the project takes the place of one of a pack with the same name.
fn files(
    folders: &[(String, PathBuf)],
    sub: &str,
    ending: &str,
    problems: &mut Problems,
) -> Vec<(String, String, Vec<u8>)> {
    let mut found: Vec<(String, String, Vec<u8>)> = Vec::new();
    for (prefix, folder) in folders {
        let Ok(entries) = std::fs::read_dir(folder.join(sub)) else { continue };
        let mut paths: Vec<PathBuf> =
            entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
        paths.sort();
        for path in paths {
            let Some(full) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let Some(name) = full.strip_suffix(ending).filter(|name| !name.starts_with('.')) else {
                continue;
            };
            if found.iter().any(|(known, _, _)| known == name) {
                continue;
            }
            let shown = format!("{prefix}{sub}/{full}");
            match std::fs::read(&path) {
                Ok(bytes) => found.push((name.to_owned(), shown, bytes)),
                Err(error) => {
                    problems.error(&shown, Place::default(), format!("the file cannot be read: {error}"));
                }
            }
        }
    }
    found
}

fn read_shared(
    folders: &[(String, PathBuf)],
    namespace: &str,
    builder: &mut Builder,
    problems: &mut Problems,
) {
    for (name, shown, bytes) in files(folders, "lookups", ".csv", problems) {
        if let Some(table) = Table::parse(&name, &shown, &bytes, problems) {
            builder.tables.insert(name, table);
        }
    }
    for (name, shown, bytes) in files(folders, "rules", ".yaml", problems) {
        if let Some(node) = yaml::parse(&bytes, &shown, None, problems) {
            builder.rules.insert(name, node);
        }
    }
    for (name, shown, bytes) in files(folders, "schemas", ".json", problems) {
        if let Some(schema) = input_schema(&shown, &bytes, problems) {
            builder.schemas.insert(format!("schemas/{name}.json"), Arc::new(schema));
        }
    }
    for (stem, shown, bytes) in files(folders, "contracts", ".yaml", problems) {
        let Some(node) = yaml::parse(&bytes, &shown, None, problems) else { continue };
        let mut file = File { name: &shown, problems };
        let Some(compiled) = contract::compile(&node, namespace, &mut file) else {
            let major =
                node.get("version").and_then(Node::text).and_then(|version| version.split('.').next());
            let name = node.get("type").and_then(Node::text).unwrap_or_default();
            builder.broken.push(format!("{name}/{}", major.unwrap_or("1")));
            builder.broken.extend(stem.rsplit_once(".v").map(|(name, major)| format!("{name}/{major}")));
            continue;
        };
        match builder.contracts.iter().find(|known| known.label() == compiled.label()) {
            Some(known) => {
                let message = format!("the contract {} is also in {}", compiled.label(), known.file);
                problems.error(&shown, node.place, message);
            }
            None => builder.contracts.push(compiled),
        }
    }
}

fn input_schema(shown: &str, bytes: &[u8], problems: &mut Problems) -> Option<Schema> {
    let value: Json = match serde_json::from_slice(bytes) {
        Ok(value) => value,
        Err(error) => {
            let place = Place { line: error.line() as u32, column: error.column() as u32 };
            problems.error(shown, place, format!("the schema is not JSON: {error}"));
            return None;
        }
    };
    let options = SchemaOptions { assert_formats: false, resources: &[], code_sets: &contract::code_set };
    Schema::compile(&value, &options)
        .map_err(|found| {
            for problem in found {
                let message = format!("the schema is wrong at {:?}: {}", problem.pointer, problem.message);
                problems.error(shown, Place { line: 1, column: 1 }, message);
            }
        })
        .ok()
}

/// Compiles the mappings of the project, and those of packs that a source uses.
fn read_mappings(
    folders: &[(String, PathBuf)],
    main: &Node,
    builder: &mut Builder,
    plan: &mut Plan,
    problems: &mut Problems,
) {
    let used: Vec<&str> = main
        .get("sources")
        .map(Node::entries)
        .unwrap_or_default()
        .iter()
        .flat_map(|(_, source)| {
            ["mappings", OWN].iter().flat_map(|key| source.get(key).map(Node::items).unwrap_or_default())
        })
        .filter_map(Node::text)
        .collect();
    for (name, shown, bytes) in files(folders, "mappings", ".yaml", problems) {
        let is_used = used.contains(&name.as_str());
        // No source names a conversion: it is there when its file is.
        let unused = !is_used && shown != format!("mappings/{name}.yaml");
        if unused
            && !conversions::is_one(yaml::parse(&bytes, &shown, None, &mut Problems::default()).as_ref())
        {
            continue;
        }
        builder.broken.push(format!("mappings/{name}"));
        let Some(node) = yaml::parse(&bytes, &shown, None, problems) else { continue };
        let mut file = File { name: &shown, problems };
        if !is_used && !conversions::is_one(Some(&node)) {
            let hint = "name it in the `mappings` of a source, or remove the file";
            file.problems.warn(&shown, node.place, format!("no source uses the mapping {name}"), hint);
        }
        let Some(compiled) = mapping::compile(&name, &node, &bytes, builder, &mut file) else {
            builder.conversion_broken |= conversions::is_one(Some(&node));
            continue;
        };
        builder.broken.pop();
        for example in node.get("examples").map(Node::items).unwrap_or_default() {
            file.keys(example, "an example", &["name", "given", "meta", "expect", "reject", "filtered"]);
            for (name, _) in example.get("meta").map(Node::entries).unwrap_or_default() {
                attributes::check(&name.text, name.place, &mut file);
            }
            plan.examples.push(Example {
                mapping: plan.mappings.len(),
                file: shown.clone(),
                place: example.place,
                spec: example.to_serde(),
            });
        }
        plan.mappings.push(compiled);
    }
}

fn read_sources(main: &Node, builder: &mut Builder, plan: &mut Plan, file: &mut File<'_>) {
    for (name, source) in main.get("sources").map(Node::entries).unwrap_or_default() {
        let mut mappings = Vec::new();
        let mut places = Vec::new();
        for wanted in source.get("mappings").map(Node::items).unwrap_or_default() {
            let Some(text) = wanted.text() else { continue };
            match plan.mapping(text) {
                Some(index) if conversions::of(&plan.mappings, index).is_some() => {
                    let message =
                        format!("the mapping {text} is a conversion, expected one that reads messages");
                    file.error_hint(
                        wanted.place,
                        message,
                        "remove it; routes find conversions by themselves",
                    );
                }
                Some(index) => {
                    mappings.push(index);
                    places.push(wanted.place);
                }
                None if builder.broken.contains(&format!("mappings/{text}")) => {}
                None => {
                    let known: Vec<&str> =
                        plan.mappings.iter().map(|mapping| mapping.name.as_str()).collect();
                    let hint = match nearest(text, &known) {
                        Some(close) => format!("did you mean {close}?"),
                        None => format!("write mappings/{text}.yaml"),
                    };
                    file.error_hint(wanted.place, format!("there is no mapping {text}"), hint);
                }
            }
        }
        let decodes: Vec<&str> = mappings
            .iter()
            .filter_map(|index| plan.mappings.get(*index))
            .map(|m| m.from.decode.name())
            .collect();
        if decodes.windows(2).any(|pair| pair.first() != pair.last()) {
            let message = format!(
                "the mappings of source {} read {}, expected one format",
                name.text,
                decodes.join(" and ")
            );
            file.error(source.place, message);
        }
        let named = mappings.iter().zip(&places);
        let named = named.filter_map(|(index, place)| Some((plan.mappings.get(*index)?, *place)));
        overlap::check(&name.text, &named.collect::<Vec<_>>(), file);
        let uri = source.get("uri").and_then(Node::text);
        let uri = uri.map_or_else(|| format!("//{}/{}", plan.site, name.text), str::to_owned);
        let filters = filters(source, builder, file);
        let several =
            mappings.iter().filter_map(|index| plan.mappings.get(*index).map(|mapping| (*index, mapping)));
        let selector = if mappings.len() > 1 { Selector::compile(several) } else { None };
        let own = source.get(OWN).map(Node::items).unwrap_or_default();
        let own = own.iter().filter_map(Node::text).filter_map(|name| plan.mapping(name)).collect();
        let holds_keys = source.get("on_reject").and_then(Node::text) == Some("hold_key");
        let name = name.text.clone();
        plan.sources.push(SourcePlan { name, uri, mappings, own, filters, selector, holds_keys });
    }
}

fn filters(source: &Node, builder: &mut Builder, file: &mut File<'_>) -> Vec<(String, Cond)> {
    let Some(filter) = source.get("filter") else { return Vec::new() };
    let rules: Vec<&Node> =
        if filter.items().is_empty() { vec![filter] } else { filter.items().iter().collect() };
    let mut filters = Vec::new();
    for rule in rules {
        if !file.keys(rule, "filter", &["when", "name"]) {
            continue;
        }
        let name = file.required_text(rule, "the filter", "name").map(str::to_owned);
        let Some(when) = rule.get("when") else {
            file.error(rule.place, "the filter has no `when`");
            continue;
        };
        let cond = Scope { builder, number: None, depth: 0, conversion: false }.cond(when, file);
        filters.extend(name.zip(cond));
    }
    filters
}
