//! Compiling the fields of an entry or list: names, groups, and an order in which each field comes after
//! those it takes values of.

use crate::map::{Block, Field, FieldOp, Group, List};
use crate::path::Path;
use crate::plan::fixed::Fixed;
use crate::plan::read::{File, nearest};
use crate::plan::required::Made;
use crate::plan::value::{SOURCES, STEPS, Scope};
use crate::schema::{ITEMS, Schema};
use crate::yaml::{Key, Node};

/// Names of the fields of a block and of the blocks around it.
pub struct Names<'a> {
    fields: Vec<(&'a str, &'a Node)>,
    outer: Option<&'a Names<'a>>,
}

impl Names<'_> {
    /// The names, for a hint.
    #[must_use]
    pub fn all(&self) -> Vec<&str> {
        let own = self.fields.iter().map(|(name, _)| *name);
        own.chain(self.outer.map(Names::all).unwrap_or_default()).collect()
    }

    /// No fields: conditions and times come before any.
    pub const NONE: Names<'static> = Names { fields: Vec::new(), outer: None };

    /// How many blocks up and at which index a field is.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<(usize, usize)> {
        if let Some(index) = self.fields.iter().position(|(field, _)| *field == name) {
            return Some((0, index));
        }
        self.outer?.find(name).map(|(up, index)| (up + 1, index))
    }

    /// What is written of a field.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&Node> {
        let own = self.fields.iter().find(|(field, _)| *field == name).map(|(_, node)| *node);
        own.or_else(|| self.outer?.node(name))
    }
}

/// A field as it is written: its name and its specification.
type Written<'n> = (&'n Key, &'n Node);

impl Scope<'_> {
    /// Compiles fields. `prefix` is where they are in the contract: `["readings"]` for a list.
    pub fn block(
        &mut self,
        written: &[Written<'_>],
        outer: Option<&Names<'_>>,
        contract: Option<(&Schema, &[String])>,
        file: &mut File<'_>,
    ) -> Block {
        for (key, _) in written {
            let inside = format!("{}.", key.text);
            if let Some((other, _)) = written.iter().find(|(other, _)| other.text.starts_with(&inside)) {
                let message = format!("the field {} is a value and also holds {}", key.text, other.text);
                file.error(key.place, message);
            }
        }
        let resolved: Vec<(&Key, Node)> =
            written.iter().map(|(key, node)| (*key, self.builder.resolve(node, file))).collect();
        let resolved: Vec<Written<'_>> = resolved.iter().map(|(key, node)| (*key, node)).collect();
        let ordered = order(&resolved, file);
        let names =
            Names { fields: ordered.iter().map(|(key, node)| (key.text.as_str(), *node)).collect(), outer };
        let mut block = Block::default();
        for (key, node) in &ordered {
            let parts: Vec<&str> = key.text.split('.').collect();
            let Some((last, above)) = parts.split_last() else { continue };
            if parts.iter().any(|part| part.is_empty()) {
                file.error(key.place, format!("the field name {:?} has an empty part", key.text));
                continue;
            }
            let group = group(&mut block.groups, above);
            let place = contract.map(|(schema, prefix)| {
                let path: Vec<&str> =
                    prefix.iter().map(String::as_str).chain(parts.iter().copied()).collect();
                (schema, path)
            });
            if let Some((schema, path)) = &place {
                allowed(schema, path, key, file);
            }
            let as_number = place.as_ref().is_some_and(|(schema, path)| {
                schema.property(path).is_some_and(|info| {
                    !info.types.contains(&"string")
                        && info.types.iter().any(|kind| ["number", "integer"].contains(kind))
                })
            });
            let inner = place
                .map(|(schema, path)| (schema, path.iter().map(ToString::to_string).collect::<Vec<_>>()));
            let op = self.field_op(node, &names, inner.as_ref().map(|(s, p)| (*s, p.as_slice())), file);
            let Some(op) = op else { continue };
            if let Some((schema, path)) = &inner {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                Fixed { node, schema, path: &path }.check(self.builder, file);
            }
            block.fields.push(Field {
                name: key.text.clone(),
                group,
                key: (*last).to_owned(),
                op,
                default: node.get("default").map(Node::to_serde),
                as_number,
            });
        }
        block
    }

    fn field_op(
        &mut self,
        node: &Node,
        names: &Names<'_>,
        contract: Option<(&Schema, &[String])>,
        file: &mut File<'_>,
    ) -> Option<FieldOp> {
        if node.get("list").is_none() {
            return self.chain(node, names, &["default"], file).map(FieldOp::Value);
        }
        let known: Vec<&str> = ["list", "split", "when", "fields"].iter().chain(STEPS).copied().collect();
        file.keys(node, "a list", &known);
        if let Some(source) =
            SOURCES.iter().filter(|key| **key != "lookup").find(|key| node.get(key).is_some())
        {
            file.error(node.place, format!("a list has {source} too, expected only one source"));
        }
        let path = node.get("list").and_then(|list| self.paths(list, file).pop())?;
        self.depth += 1;
        let op = self.list_op(node, path, names, contract, file);
        self.depth -= 1;
        Some(op)
    }

    fn list_op(
        &mut self,
        node: &Node,
        path: Path,
        names: &Names<'_>,
        contract: Option<(&Schema, &[String])>,
        file: &mut File<'_>,
    ) -> FieldOp {
        let split = file.text(node, "split").map(str::to_owned);
        let when = node.get("when").and_then(|when| self.cond(when, file));
        let block = node.get("fields").map(|fields| {
            let written: Vec<Written<'_>> = fields.entries().iter().map(|(key, node)| (key, node)).collect();
            let item: Option<(&Schema, Vec<String>)> = contract
                .map(|(schema, prefix)| (schema, prefix.iter().cloned().chain([ITEMS.to_owned()]).collect()));
            if let Some((schema, prefix)) = &item {
                let prefix = prefix.iter().map(String::as_str).collect();
                let names = written.iter().map(|(key, _)| (key.text.as_str(), key.place)).collect();
                Made { schema, label: "the contract", prefix, fields: names }.check(fields.place, file);
            }
            self.block(&written, Some(names), item.as_ref().map(|(s, p)| (*s, p.as_slice())), file)
        });
        let steps = self.steps(node, names, false, file);
        if block.is_some() && !steps.is_empty() {
            file.error(node.place, "a list with fields has steps, write them at its fields");
        }
        FieldOp::List(Box::new(List { path, split, when, block, steps }))
    }
}

/// The group for the parts above a field's own key, made when needed.
fn group(groups: &mut Vec<Group>, above: &[&str]) -> Option<usize> {
    let mut parent = None;
    for part in above {
        let known = groups.iter().position(|group| group.parent == parent && group.key == *part);
        parent = Some(known.unwrap_or_else(|| {
            groups.push(Group { parent, key: (*part).to_owned() });
            groups.len() - 1
        }));
    }
    parent
}

fn allowed(schema: &Schema, path: &[&str], key: &Key, file: &mut File<'_>) {
    let dotted = path.join(".").replace(".*", "[]");
    if !schema.allows_field(&path.join(".")) {
        let fields = schema.fields(3);
        let known: Vec<&str> = fields.iter().map(String::as_str).filter(|name| *name != dotted).collect();
        let message = format!("the contract has no field {dotted}");
        let hint = match nearest(&dotted, &known) {
            Some(name) => format!("did you mean {name}?"),
            None => format!("remove it, or add it to the schema of the contract, which has {}", few(&known)),
        };
        file.error_hint(key.place, message, hint);
    }
}

/// The names of a list, a long one cut.
fn few(names: &[&str]) -> String {
    const SHOWN: usize = 12;
    let shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    let more = if names.len() > SHOWN { " and others" } else { "" };
    if names.is_empty() { "no others".to_owned() } else { format!("{shown}{more}") }
}

/// Sorts fields so that each comes after those it takes values of; a circle is an error.
fn order<'n>(written: &[Written<'n>], file: &mut File<'_>) -> Vec<Written<'n>> {
    let mut rest: Vec<Written<'n>> = written.to_vec();
    let mut done: Vec<Written<'n>> = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        let ready = rest.iter().position(|(own, node)| {
            let mut needed = Vec::new();
            references(node, &mut needed);
            let waits = |name: &&str| rest.iter().any(|(key, _)| key.text == **name && key.text != own.text);
            !needed.iter().any(waits)
        });
        let Some(index) = ready else {
            let names: Vec<&str> = rest.iter().map(|(key, _)| key.text.as_str()).collect();
            let place = rest.first().map(|(key, _)| key.place).unwrap_or_default();
            file.error(place, format!("the fields {} need each other's values", names.join(", ")));
            done.append(&mut rest);
            break;
        };
        done.push(rest.remove(index));
    }
    done
}

/// Names after `field:` anywhere below, but not those that a nested `fields` block has itself.
fn references<'n>(node: &'n Node, out: &mut Vec<&'n str>) {
    for item in node.items() {
        references(item, out);
    }
    let own = node.get("fields").map(Node::entries).unwrap_or_default();
    for (key, value) in node.entries() {
        if key.text == "field"
            && let Some(name) = value.text()
        {
            out.push(name);
        }
        let mut below = Vec::new();
        references(value, &mut below);
        out.extend(below.into_iter().filter(|name| !own.iter().any(|(key, _)| key.text == **name)));
    }
}
