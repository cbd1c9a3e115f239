//! Units of quantities as far as they are known before any message: codes that name no unit, and units from
//! a table that no factor leads to.

use std::collections::HashSet;

use serde_json::Value as Json;

use crate::map::lookup::Table;
use crate::plan::fields::Names;
use crate::plan::fixed::keys_of;
use crate::plan::read::File;
use crate::plan::value::Scope;
use crate::problem::Place;
use crate::units::{self, CodeSet, Unit};
use crate::yaml::Node;

/// How far `field` is followed from field to field.
const FIELDS_MAX: usize = 8;

/// Where the codes of a unit come from.
enum Codes<'a> {
    /// From the message.
    Open,
    /// They are written in the mapping.
    Written(Vec<(Json, Place)>),
    /// `code_set` makes them.
    Set(CodeSet, Place),
    /// They are cells of a table, found by these keys.
    Cells { table: &'a Table, column: usize, keys: Vec<Json> },
}

/// A quantity: its `unit`, and the units it names.
pub struct Quantity<'a> {
    /// The whole step.
    pub unit: &'a Node,
    /// What `from` says.
    pub from: &'a Node,
    /// What `to` says, with the source that it shares with `from`.
    pub to: &'a Node,
}

impl Scope<'_> {
    /// Notes codes of a unit that name none in their code set: an error in the mapping, a warning in a table,
    /// whose other rows work.
    pub fn check_codes(&self, unit: &Node, set: CodeSet, names: &Names<'_>, file: &mut File<'_>) {
        let name = set.name();
        match self.codes_of(unit, names, 0) {
            Codes::Open => {}
            Codes::Written(codes) => {
                for (code, place) in codes {
                    let text = code.as_str().map_or_else(|| code.to_string(), str::to_owned);
                    // Null makes the unit absent, which has its own reject.
                    if code.is_null() || set.unit(&text).is_some() {
                        continue;
                    }
                    unknown_unit(&text, set, place, file);
                }
            }
            Codes::Set(made, place) if made != set => {
                let message = format!("the unit is a code of {}, and is read as one of {name}", made.name());
                file.error_hint(place, message, format!("add set: {}, or write to: {name}", made.name()));
            }
            Codes::Set(..) => {}
            Codes::Cells { table, column, .. } => {
                let mut bad = table.rows().filter_map(|(line, row)| {
                    let cell = row.get(column).filter(|cell| !cell.is_empty())?;
                    set.unit(cell).is_none().then_some((line, cell))
                });
                let Some((line, cell)) = bad.next() else { return };
                let more = match bad.count() {
                    0 => String::new(),
                    count => format!(", nor are {count} others"),
                };
                let message = format!("{cell} is not a unit of code set {name}{more}");
                let hint = format!("a quantity that needs this row of table {} is rejected", table.name);
                file.warn_once(table.file(), Place { line, column: 1 }, message, hint);
            }
        }
    }

    /// Warns of units that a table gives and that no factor leads to: no unit of `from` converts to it; or it
    /// counts things, for whose packages the mapping has a table of factors, and none for this key.
    pub fn check_factors(&self, quantity: &Quantity<'_>, names: &Names<'_>, file: &mut File<'_>) {
        let factor = quantity.unit.get("factor");
        let (table, column, keys) = match self.codes_of(quantity.to, names, 0) {
            Codes::Cells { table, column, keys } => (table, column, keys),
            Codes::Written(codes) if factor.is_none() => {
                return self.check_sources(
                    quantity.from,
                    &units_in(&codes, set_of(quantity.to)),
                    names,
                    file,
                );
            }
            _ => return,
        };
        let factors = factor.and_then(|factor| self.builder.tables.get(factor.get("table")?.text()?));
        if factor.is_some() != factors.is_some() {
            return;
        }
        let given: Vec<Json> = factor.map(keys_of).unwrap_or_default().iter().map(plain).collect();
        if factor.is_some() && !given.starts_with(&keys) {
            return;
        }
        let start = |row: &[String]| row.get(..keys.len()).unwrap_or_default().to_vec();
        let known: HashSet<Vec<String>> =
            factors.map(|table| table.rows().map(|(_, row)| start(row)).collect()).unwrap_or_default();
        let (set, from) = (set_of(quantity.to), self.units_of(quantity.from, names));
        let mut doubtful = table.rows().filter_map(|(line, row)| {
            let unit = set.unit(row.get(column)?)?;
            let alone = match &from {
                Some(units) => units.iter().all(|from| units::convert(*from, unit).is_none()),
                None => false,
            };
            let alone = alone || (factors.is_some() && unit.is_count());
            (alone && !known.contains(&start(row))).then_some((line, unit))
        });
        let Some((line, unit)) = doubtful.next() else { return };
        let count = 1 + doubtful.count();
        let missing = match factors {
            Some(factors) => format!("table {} has no factor", factors.name),
            None => "there is no factor".to_owned(),
        };
        let message = format!(
            "{missing} for {count} of the units that table {} gives, the first is {unit} in line {line}",
            table.name
        );
        let place = factor.unwrap_or(quantity.unit).place;
        let hint = "a quantity in a unit of another dimension is rejected until a factor is there";
        file.warn_once(file.name, place, message, hint);
    }

    /// Notes units that convert to none of the written ones: an error in the mapping, a warning where a whole table
    /// has no other. A
    /// single unit is compared where the conversion is made.
    fn check_sources(&self, from: &Node, targets: &[Unit], names: &Names<'_>, file: &mut File<'_>) {
        const HINT: &str = "add a factor to `unit`: {table: …, key: […], num: …, den: …}";
        let [target, ..] = targets else { return };
        let set = set_of(from);
        let alone = |code: &str| {
            let unit = set.unit(code)?;
            targets.iter().all(|to| units::convert(unit, *to).is_none()).then_some(unit)
        };
        let said = |unit: Unit| {
            let (of, to) = (unit.dimension_name(), target.dimension_name());
            format!("{} is a unit of {of}, {} of {to}, and there is no factor", unit.code(), target.code())
        };
        match self.codes_of(from, names, 0) {
            Codes::Written(codes) if from.get("const").is_none() => {
                for (code, place) in codes {
                    if let Some(unit) = code.as_str().and_then(alone) {
                        file.error_hint(place, said(unit), HINT);
                    }
                }
            }
            Codes::Cells { table, column, .. } => {
                // A plant has one table for the codes of all its units: some of them suit another field.
                let units = || table.rows().filter_map(|(line, row)| Some((line, row.get(column)?)));
                let suits = |code: &str| set.unit(code).is_some() && alone(code).is_none();
                if units().any(|(_, code)| suits(code)) {
                    return;
                }
                let mut rows = units().filter_map(|(line, code)| Some((line, alone(code)?)));
                let Some((line, unit)) = rows.next() else { return };
                let more = match rows.count() {
                    0 => String::new(),
                    count => format!("; nor is there one for {count} others"),
                };
                file.warn_once(table.file(), Place { line, column: 1 }, said(unit) + &more, HINT);
            }
            _ => {}
        }
    }

    /// The units that a value may be in, when the mapping and its tables say all of them.
    fn units_of(&self, node: &Node, names: &Names<'_>) -> Option<Vec<Unit>> {
        let set = set_of(node);
        match self.codes_of(node, names, 0) {
            Codes::Written(codes) => Some(units_in(&codes, set)),
            Codes::Cells { table, column, .. } => {
                let units: HashSet<Unit> =
                    table.rows().filter_map(|(_, row)| set.unit(row.get(column)?)).collect();
                Some(units.into_iter().collect())
            }
            Codes::Open | Codes::Set(..) => None,
        }
    }

    fn codes_of(&self, node: &Node, names: &Names<'_>, depth: usize) -> Codes<'_> {
        let has = |key: &str| node.get(key).is_some();
        if ["number", "sign", "unit", "scale", "round"].into_iter().any(has) || depth > FIELDS_MAX {
            return Codes::Open;
        }
        if let Some(lookup) = node.get("lookup") {
            let Some((table, column)) = self.builder.taken(lookup) else { return Codes::Open };
            let mut keys: Vec<Json> = keys_of(lookup).iter().map(plain).collect();
            if keys.is_empty() {
                keys.push(plain(node));
            }
            return Codes::Cells { table, column, keys };
        }
        if let Some(to) = node.get("code_set").and_then(|sets| sets.get("to")) {
            let set = to.text().and_then(CodeSet::by_name);
            return set.map_or(Codes::Open, |set| Codes::Set(set, to.place));
        }
        if let Some(codes) = node.get("codes") {
            let results = codes.entries().iter().map(|(_, result)| (result.to_serde(), result.place));
            return Codes::Written(results.collect());
        }
        if has("text") {
            return Codes::Open;
        }
        if let Some(constant) = node.get("const") {
            return Codes::Written(vec![(constant.to_serde(), constant.place)]);
        }
        let field = node.get("field").and_then(Node::text).and_then(|name| names.node(name));
        field.map_or(Codes::Open, |field| self.codes_of(field, names, depth + 1))
    }
}

/// The units that written codes name.
fn units_in(codes: &[(Json, Place)], set: CodeSet) -> Vec<Unit> {
    codes.iter().filter_map(|(code, _)| set.unit(code.as_str()?)).collect()
}

/// Notes a code that names no unit in its code set.
pub fn unknown_unit(code: &str, set: CodeSet, place: Place, file: &mut File<'_>) {
    let message = format!("{code} is not a unit of code set {}", set.name());
    let hint = match CodeSet::ALL.into_iter().find(|other| other.unit(code).is_some()) {
        Some(other) => format!("code set {} has it: write set: {}", other.name(), other.name()),
        None => "translate what the message says, for example codes: {kg: KGM}".to_owned(),
    };
    file.error_hint(place, message, hint);
}

/// The code set that a unit is written in.
fn set_of(node: &Node) -> CodeSet {
    node.get("set").and_then(Node::text).and_then(CodeSet::by_name).unwrap_or(CodeSet::Rec20)
}

/// A key of a table for comparison: its source only, and a path from the message as one from the item. Where
/// both exist and differ, a warning is about the wrong pair at worst.
fn plain(key: &Node) -> Json {
    let mut json = key.to_serde();
    if let Some(members) = json.as_object_mut() {
        members.retain(|name, _| !["lookup", "default", "set"].contains(&name.as_str()));
        if let Some(Json::String(path)) = members.get_mut("path")
            && let Some(rest) = path.strip_prefix("$.")
        {
            *path = rest.to_owned();
        }
    }
    json
}
