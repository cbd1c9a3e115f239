//! The official test suite of JSON Schema, draft 2020-12.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Schema, SchemaOptions};
use crate::tree::{NONE, Tree};

fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files(&path, out);
        } else if path.extension().is_some_and(|end| end == "json") {
            out.push(path);
        }
    }
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

struct Tally {
    total: usize,
    compiled: usize,
    groups: usize,
    failures: Vec<String>,
}

fn run(paths: &[PathBuf], options: &SchemaOptions<'_>) -> Tally {
    let mut tally = Tally { total: 0, compiled: 0, groups: 0, failures: Vec::new() };
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        for group in read(path).as_array().unwrap() {
            tally.groups += 1;
            let title = format!("{name}: {}", group["description"]);
            let schema = match Schema::compile(&group["schema"], options) {
                Ok(schema) => schema,
                Err(problems) => {
                    tally.total += group["tests"].as_array().unwrap().len();
                    tally.failures.push(format!("{title}: {problems:?}"));
                    continue;
                }
            };
            tally.compiled += usize::from(schema.runs_compiled());
            for test in group["tests"].as_array().unwrap() {
                tally.total += 1;
                let mut tree = Tree::new();
                let root = tree.add_serde(NONE, "", &test["data"]);
                let mut out = Vec::new();
                let valid = schema.validate(&tree, root, 1, &mut out);
                assert_eq!(valid, out.is_empty());
                if valid != test["valid"].as_bool().unwrap() {
                    tally.failures.push(format!(
                        "{title}: {} ({:?}, {out:?})",
                        test["description"],
                        schema.fallback_reason()
                    ));
                }
            }
        }
    }
    tally
}

#[test]
fn the_required_part_of_the_official_suite_passes() {
    let folder = match std::env::var_os("MFGROUTE_SHARED") {
        Some(shared) => PathBuf::from(shared),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
    }
    .join("data/json-schema");
    if !folder.is_dir() {
        eprintln!("skipped: no JSON Schema test suite in {}; set MFGROUTE_SHARED", folder.display());
        return;
    }
    let mut remotes = Vec::new();
    files(&folder.join("remotes"), &mut remotes);
    let address = |path: &Path| {
        format!("http://localhost:1234/{}", path.strip_prefix(folder.join("remotes")).unwrap().display())
    };
    let resources: Vec<(String, Value)> = remotes.iter().map(|path| (address(path), read(path))).collect();
    let mut paths = Vec::new();
    files(&folder.join("draft2020-12"), &mut paths);
    let (optional, required): (Vec<_>, Vec<_>) =
        paths.into_iter().partition(|path| path.components().any(|part| part.as_os_str() == "optional"));
    let options = SchemaOptions { resources: &resources, ..SchemaOptions::default() };
    let tally = run(&required, &options);
    eprintln!(
        "required: {}/{} pass, {}/{} schemas compiled",
        tally.total - tally.failures.len(),
        tally.total,
        tally.compiled,
        tally.groups
    );
    let (formats, others): (Vec<_>, Vec<_>) =
        optional.into_iter().partition(|path| path.components().any(|part| part.as_os_str() == "format"));
    for (name, paths, assert_formats) in [("optional", others, false), ("formats", formats, true)] {
        let tally = run(&paths, &SchemaOptions { assert_formats, ..options });
        eprintln!("{name}: {}/{} pass", tally.total - tally.failures.len(), tally.total);
        for failure in &tally.failures {
            eprintln!("  {failure}");
        }
    }
    assert!(tally.failures.is_empty(), "{}", tally.failures.join("\n"));
}
