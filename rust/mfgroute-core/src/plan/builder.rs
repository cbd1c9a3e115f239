//! What the compilation of one project shares: contracts, tables, schemas, rules.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::contract::Contract;
use crate::map::lookup::{Index, Table};
use crate::plan::fixed::keys_of;
use crate::plan::read::{File, nearest};
use crate::problem::{Place, Problems};
use crate::schema::Schema;
use crate::yaml::{Key, Node, Value};

/// Everything mappings may refer to.
#[derive(Default)]
pub struct Builder {
    /// The day on which contracts past their sunset are errors, `2027-06-30`, if anybody asks.
    pub today: Option<String>,
    /// Contracts in the order of their files.
    pub contracts: Vec<Contract>,
    /// Labels of contracts and files of mappings that have errors: that they are missing is no further problem.
    pub broken: Vec<String>,
    /// Whether a conversion has errors: that a version cannot be reached is no further problem then.
    pub conversion_broken: bool,
    /// Tables by name.
    pub tables: BTreeMap<String, Table>,
    /// Input schemas by path relative to the project folder, such as `schemas/mes.json`.
    pub schemas: BTreeMap<String, Arc<Schema>>,
    /// Shared rules by name.
    pub rules: BTreeMap<String, Node>,
    indexes: HashMap<(String, usize), Arc<Index>>,
}

impl Builder {
    /// The contract that `type/major` names at the key `what`.
    pub fn contract(&self, node: &Node, what: &str, file: &mut File<'_>) -> Option<usize> {
        let text = file.as_text(node, what)?;
        let found = self.contracts.iter().position(|contract| contract.label() == text);
        if found.is_none() && !self.broken.iter().any(|label| label == text) {
            let labels: Vec<String> = self.contracts.iter().map(Contract::label).collect();
            let known: Vec<&str> = labels.iter().map(String::as_str).collect();
            let message = format!("there is no contract {text}");
            match nearest(text, &known) {
                Some(name) => file.error_hint(node.place, message, format!("did you mean {name}?")),
                None if known.is_empty() => {
                    file.error_hint(
                        node.place,
                        message,
                        "write contracts/<type>.v<major>.yaml, or use a pack",
                    );
                }
                None => file.error_hint(node.place, message, format!("known are {}", known.join(", "))),
            }
        }
        found
    }

    /// A table prepared for a number of keys.
    pub fn index(
        &mut self,
        name: &str,
        keys: usize,
        place: Place,
        file: &mut File<'_>,
    ) -> Option<Arc<Index>> {
        if let Some(index) = self.indexes.get(&(name.to_owned(), keys)) {
            return Some(Arc::clone(index));
        }
        let Some(table) = self.tables.get(name) else {
            let known: Vec<&str> = self.tables.keys().map(String::as_str).collect();
            let hint = match nearest(name, &known) {
                Some(close) => format!("did you mean {close}?"),
                None => format!("write lookups/{name}.csv"),
            };
            file.error_hint(place, format!("there is no table {name}"), hint);
            return None;
        };
        match table.index(keys, file.problems) {
            Ok(index) => {
                let index = Arc::new(index);
                self.indexes.insert((name.to_owned(), keys), Arc::clone(&index));
                Some(index)
            }
            Err(message) => {
                file.error(place, message);
                None
            }
        }
    }

    /// Notes keys that are there twice in tables that no mapping uses; in the others they are found by use.
    pub fn check_unused_tables(&self, problems: &mut Problems) {
        let used = |name: &String| self.indexes.keys().any(|(table, _)| table == name);
        for (_, table) in self.tables.iter().filter(|(name, _)| !used(name)) {
            table.check_unused(problems);
        }
    }

    /// The table of a lookup and the column it takes, when both are there.
    #[must_use]
    pub fn taken(&self, lookup: &Node) -> Option<(&Table, usize)> {
        let table = self.tables.get(lookup.text().or_else(|| lookup.get("table")?.text())?)?;
        let keys = keys_of(lookup).len().max(1);
        let column = match lookup.get("take") {
            Some(take) => table.columns().iter().position(|column| Some(column.as_str()) == take.text())?,
            None => Some(keys).filter(|keys| table.columns().len() == keys + 1)?,
        };
        Some((table, column))
    }

    /// A value specification with the shared rule it uses merged in; its own keys win.
    pub fn resolve(&self, node: &Node, file: &mut File<'_>) -> Node {
        let Some(name) = node.get("use") else { return node.clone() };
        let mut merged: Vec<_> =
            node.entries().iter().filter(|(key, _)| key.text != "use").cloned().collect();
        if let Some(text) = file.as_text(name, "use") {
            match self.rules.get(text) {
                Some(rule) => {
                    for (key, value) in rule.entries() {
                        if node.get(&key.text).is_none() {
                            let key = Key { text: key.text.clone(), place: name.place };
                            merged.push((key, moved(value, name.place)));
                        }
                    }
                }
                None => {
                    let known: Vec<&str> = self.rules.keys().map(String::as_str).collect();
                    let hint = match nearest(text, &known) {
                        Some(close) => format!("did you mean {close}?"),
                        None => format!("write rules/{text}.yaml"),
                    };
                    file.error_hint(name.place, format!("there are no shared rules {text}"), hint);
                }
            }
        }
        Node { value: Value::Map(merged), place: node.place, replaced: false }
    }
}

/// A value of a rules file as if it were written where the rules are used: a problem of it is shown there.
fn moved(node: &Node, place: Place) -> Node {
    let value = match &node.value {
        Value::List(items) => Value::List(items.iter().map(|item| moved(item, place)).collect()),
        Value::Map(entries) => {
            let entries = entries.iter();
            Value::Map(
                entries
                    .map(|(key, value)| (Key { text: key.text.clone(), place }, moved(value, place)))
                    .collect(),
            )
        }
        other => other.clone(),
    };
    Node { value, place, replaced: node.replaced }
}
