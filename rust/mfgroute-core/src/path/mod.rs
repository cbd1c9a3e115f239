//! Paths: how a mapping addresses values of a message.
//!
//! | part | means |
//! |---|---|
//! | `a.b` | the value `b` of the value `a` |
//! | `'odd name'` | a name with any characters; `''` is one quote |
//! | `@x`, `#text` | an XML attribute; the direct text of an XML element |
//! | `a[2]` `a[*]` | the third, or all, of the repeated values `a` |
//! | `a[k=v]`, `a[k.m='v w']` | the repeated values `a` that have a value `k` with the text `v` |
//! | `**.a` | `a` at any depth below, once in a path |
//! | `#` | the item itself |
//! | `$`, `$.a` | from the root of the message |
//! | `^.a`, `^.^.a` | from the item one, two scopes up; above the outermost item is the root |
//!
//! Items of a JSON array and XML elements of one name side by side are both *repeated values*: a
//! name applies to each item of an array, and brackets select among items or siblings. Several
//! brackets apply one after the other to what the one before left.

mod parse;

use std::fmt;

use crate::tree::{Kind, NodeId, Tree};

pub use parse::{LENGTH_MAX, PathError};

/// A compiled path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    start: Start,
    steps: Vec<Step>,
}

/// Where a path starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Start {
    Root,
    /// This many scopes above the current item.
    Up(usize),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Step {
    name: Name,
    selects: Vec<Select>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Name {
    /// The value itself: brackets directly after a prefix.
    This,
    /// Children of this name.
    Child(Box<str>),
    /// Values of this name at any depth below.
    Below(Box<str>),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Select {
    Index(usize),
    All,
    Where { steps: Vec<Step>, value: Box<str> },
}

/// From where a path is evaluated.
#[derive(Clone, Copy, Debug)]
pub struct Scopes<'a> {
    /// The root of the message.
    pub root: NodeId,
    /// The items of the enclosing `each` and `list`, the current one last. Empty: the current
    /// item is the root.
    pub items: &'a [NodeId],
}

impl Scopes<'_> {
    /// Scopes of a message outside any `each` or `list`.
    #[must_use]
    pub fn root(root: NodeId) -> Self {
        Self { root, items: &[] }
    }

    /// The item `up` scopes above the current one; the root is above the outermost.
    #[must_use]
    pub fn item(&self, up: usize) -> Option<NodeId> {
        match self.items.len().checked_sub(up)? {
            0 => Some(self.root),
            index => self.items.get(index - 1).copied(),
        }
    }
}

/// A path found several values where one is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotSingle {
    /// How many.
    pub count: usize,
    /// The second of them, to point at.
    pub second: NodeId,
}

impl Path {
    /// Compiles a path.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        parse::parse(text)
    }

    /// How many scopes above the current item the path starts (`^.^.a`: 2); `None` for `$`.
    #[must_use]
    pub fn scopes_up(&self) -> Option<usize> {
        match self.start {
            Start::Root => None,
            Start::Up(up) => Some(up),
        }
    }

    /// The scopes above the current item where it starts (`None` for the root) and the names it follows, when
    /// it is nothing but names: no brackets, no `**`, nothing that only XML has.
    #[must_use]
    pub fn names(&self) -> Option<(Option<usize>, Vec<&str>)> {
        let plain = self.steps.iter().map(|step| match &step.name {
            Name::Child(name) if step.selects.is_empty() && !name.starts_with(['@', '#']) => Some(&**name),
            _ => None,
        });
        Some((self.scopes_up(), plain.collect::<Option<_>>()?))
    }

    /// Whether the path is `#`, the current item itself.
    #[must_use]
    pub fn is_item(&self) -> bool {
        self.start == Start::Up(0) && self.steps.is_empty()
    }

    /// Whether the path says itself that it means several values: it has `[*]` or `**`.
    #[must_use]
    pub fn names_many(&self) -> bool {
        self.steps
            .iter()
            .any(|step| matches!(step.name, Name::Below(_)) || step.selects.contains(&Select::All))
    }

    /// Appends what the path names, in document order. An array that is named counts as one value.
    ///
    /// Allocates only when `out` grows, which serves as the working memory too.
    pub fn find(&self, tree: &Tree, scopes: &Scopes<'_>, out: &mut Vec<NodeId>) {
        let start = match self.start {
            Start::Root => Some(scopes.root),
            Start::Up(up) => scopes.item(up),
        };
        if let Some(start) = start {
            walk(&self.steps, tree, start, out);
        }
    }

    /// Appends what the path names as items, for `each` and `list`: one or many.
    ///
    /// An array counts as its items, JSON `null` as nothing. After a final `[*]` the items were
    /// named already: an item that is an array stays one. A `null` inside an array is an item.
    pub fn find_many(&self, tree: &Tree, scopes: &Scopes<'_>, out: &mut Vec<NodeId>) {
        let base = out.len();
        self.find(tree, scopes, out);
        let named = self.steps.last().is_some_and(|step| step.selects.last() == Some(&Select::All));
        if !named {
            expand(tree, out, base);
        }
        let mut at = 0;
        out.retain(|&id| {
            at += 1;
            at <= base || tree.kind(id) != Kind::Null || is_array_item(tree, id)
        });
    }

    /// The one value the path names.
    ///
    /// An array of one counts as its item, an empty one as absent. Two or more values are an
    /// error, never "the first". `work` is working memory and comes back as it was.
    pub fn find_one(
        &self,
        tree: &Tree,
        scopes: &Scopes<'_>,
        work: &mut Vec<NodeId>,
    ) -> Result<Option<NodeId>, NotSingle> {
        let base = work.len();
        self.find(tree, scopes, work);
        expand(tree, work, base);
        let found = work.get(base..).unwrap_or_default();
        let result = match *found {
            [] => Ok(None),
            [one] => Ok(Some(one)),
            [_, second, ..] => Err(NotSingle { count: found.len(), second }),
        };
        work.truncate(base);
        result
    }

    /// The one value the path names, as a scalar: like [`Path::find_one`], and an XML element
    /// with attributes stands for its text. One with attributes and no content is absent
    /// (`<Lot xsi:nil="true"/>`). What is not a scalar is given as it is.
    pub fn find_scalar(
        &self,
        tree: &Tree,
        scopes: &Scopes<'_>,
        work: &mut Vec<NodeId>,
    ) -> Result<Option<NodeId>, NotSingle> {
        Ok(self.find_one(tree, scopes, work)?.and_then(|id| scalar(tree, id)))
    }
}

/// What a value is where a scalar is wanted: the `#text` of an XML element with attributes or
/// children, nothing for an element that has attributes only, else the value.
#[must_use]
pub fn scalar(tree: &Tree, id: NodeId) -> Option<NodeId> {
    if tree.kind(id) != Kind::Object || tree.node(id).children == 0 {
        return Some(id);
    }
    if let Some(text) = tree.child(id, "#text") {
        return Some(text);
    }
    let attributes_only = tree.children(id).all(|child| tree.key(child).starts_with('@'));
    (!attributes_only).then_some(id)
}

/// Evaluates `steps` at `node` and appends the results. The depth of recursion is that of the
/// path and of the tree, both bounded.
fn walk(steps: &[Step], tree: &Tree, node: NodeId, out: &mut Vec<NodeId>) {
    let Some((step, rest)) = steps.split_first() else {
        out.push(node);
        return;
    };
    if tree.kind(node) == Kind::Array && matches!(step.name, Name::Child(_)) {
        for item in tree.children(node) {
            walk(steps, tree, item, out);
        }
        return;
    }
    let base = out.len();
    match &step.name {
        Name::This => out.push(node),
        Name::Child(name) => named(tree, node, name, out),
        Name::Below(name) => below(tree, node, name, out),
    }
    for select in &step.selects {
        apply(select, tree, out, base);
    }
    if rest.is_empty() {
        return;
    }
    let end = out.len();
    for index in base..end {
        if let Some(&found) = out.get(index) {
            walk(rest, tree, found, out);
        }
    }
    out.drain(base..end);
}

fn named(tree: &Tree, node: NodeId, name: &str, out: &mut Vec<NodeId>) {
    if tree.kind(node) == Kind::Object {
        out.extend(tree.children(node).filter(|&child| tree.key(child) == name));
    } else if name == "#text" {
        // An element without attributes is its own text.
        out.push(node);
    }
}

fn below(tree: &Tree, node: NodeId, name: &str, out: &mut Vec<NodeId>) {
    let in_object = tree.kind(node) == Kind::Object;
    for child in tree.children(node) {
        if in_object && tree.key(child) == name {
            out.push(child);
        }
        below(tree, child, name, out);
    }
}

/// Replaces the values from `base` on by those that `select` takes of them.
fn apply(select: &Select, tree: &Tree, out: &mut Vec<NodeId>, base: usize) {
    expand(tree, out, base);
    match select {
        Select::All => {}
        Select::Index(index) => {
            let chosen = out.get(base..).and_then(|items| items.get(*index)).copied();
            out.truncate(base);
            out.extend(chosen);
        }
        Select::Where { steps, value } => {
            let end = out.len();
            for index in base..end {
                let Some(&item) = out.get(index) else { break };
                let kept = out.len();
                walk(steps, tree, item, out);
                expand(tree, out, kept);
                let matches = out.get(kept..).unwrap_or_default().iter().any(|&id| has_text(tree, id, value));
                out.truncate(kept);
                if matches {
                    out.push(item);
                }
            }
            out.drain(base..end);
        }
    }
}

fn has_text(tree: &Tree, id: NodeId, value: &str) -> bool {
    scalar(tree, id).is_some_and(|id| {
        matches!(tree.kind(id), Kind::String | Kind::Number | Kind::Bool(_)) && tree.text(id) == value
    })
}

/// Replaces each array from `base` on by its items.
fn expand(tree: &Tree, out: &mut Vec<NodeId>, base: usize) {
    let is_array = |&id: &NodeId| tree.kind(id) == Kind::Array;
    if !out.get(base..).unwrap_or_default().iter().any(is_array) {
        return;
    }
    let end = out.len();
    for index in base..end {
        match out.get(index) {
            Some(&id) if tree.kind(id) == Kind::Array => out.extend(tree.children(id)),
            Some(&id) => out.push(id),
            None => break,
        }
    }
    out.drain(base..end);
}

fn is_array_item(tree: &Tree, id: NodeId) -> bool {
    let parent = tree.node(id).parent;
    parent != crate::tree::NONE && tree.kind(parent) == Kind::Array
}

impl fmt::Display for Path {
    /// The canonical form: names are quoted only where they must be.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut joint = "";
        match self.start {
            Start::Root => {
                f.write_str("$")?;
                joint = ".";
            }
            Start::Up(0) if self.steps.is_empty() => return f.write_str("#"),
            Start::Up(up) => {
                for _ in 0..up {
                    write!(f, "{joint}^")?;
                    joint = ".";
                }
            }
        }
        write_steps(f, &self.steps, joint)
    }
}

fn write_steps(f: &mut fmt::Formatter<'_>, steps: &[Step], mut joint: &str) -> fmt::Result {
    for step in steps {
        match &step.name {
            Name::This => {}
            Name::Child(name) => {
                f.write_str(joint)?;
                write_name(f, name)?;
            }
            Name::Below(name) => {
                write!(f, "{joint}**.")?;
                write_name(f, name)?;
            }
        }
        for select in &step.selects {
            match select {
                Select::Index(index) => write!(f, "[{index}]")?,
                Select::All => f.write_str("[*]")?,
                Select::Where { steps, value } => {
                    f.write_str("[")?;
                    if steps.is_empty() {
                        f.write_str("#")?;
                    }
                    write_steps(f, steps, "")?;
                    if value.is_empty() || value.contains(['\'', ']']) || value.trim() != &**value {
                        write!(f, "='{}']", value.replace('\'', "''"))?;
                    } else {
                        write!(f, "={value}]")?;
                    }
                }
            }
        }
        joint = ".";
    }
    Ok(())
}

fn write_name(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    if parse::is_bare(name) { f.write_str(name) } else { write!(f, "'{}'", name.replace('\'', "''")) }
}

#[cfg(test)]
mod tests;
