//! Rules of a contract: what must hold between the fields of `data`, which a schema cannot say.

use crate::expr::{Expr, ExprCtx};
use crate::reject::{Code, Reject};
use crate::schema::ITEMS;
use crate::tree::{Kind, NodeId, Tree};

/// Values of one path that a reject shows; the others are counted.
const SHOWN: usize = 5;

/// A condition that `data` must meet, compiled.
#[derive(Debug)]
pub struct Rule {
    /// Its own code, such as `scrap_exceeds_total`.
    pub code: String,
    /// What must hold, in words.
    pub message: String,
    check: Expr,
    /// Paths of the fields that it looks at, without those that only lead to others.
    fields: Vec<Vec<String>>,
}

/// What a rule found wrong with one `data`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Its fields and their values, and why it has no answer if it has none.
    pub found: String,
    /// Code and message of the rule.
    pub expected: String,
    /// The first of its fields that is there: its name as people write it, and its node.
    pub field: Option<(String, NodeId)>,
}

impl Rule {
    /// A rule of a contract; the expression sees nothing but `data`.
    #[must_use]
    pub fn new(code: String, message: String, check: Expr) -> Self {
        let paths: Vec<Vec<String>> =
            check.paths().iter().map(|path| path.split('.').map(str::to_owned).collect()).collect();
        let mut fields: Vec<Vec<String>> = Vec::new();
        for path in &paths {
            let leads = paths.iter().any(|other| other.len() > path.len() && other.starts_with(path));
            if !leads && !fields.contains(path) {
                fields.push(path.clone());
            }
        }
        Self { code, message, check, fields }
    }

    /// Its condition.
    #[must_use]
    pub fn check(&self) -> &Expr {
        &self.check
    }

    /// Whether it looks at any field; one that does not says nothing of an event.
    #[must_use]
    pub fn has_fields(&self) -> bool {
        !self.fields.is_empty()
    }

    /// `None` if `data` meets the rule. A rule that has no answer is broken, never met.
    #[must_use]
    pub fn broken(&self, data: &Tree, root: NodeId) -> Option<Broken> {
        let why = match self.check.eval_bool(&ExprCtx { data: Some((data, root)), ..ExprCtx::default() }) {
            Ok(true) => return None,
            Ok(false) => None,
            Err(failure) => Some(format!("no answer, because {}", failure.message)),
        };
        let mut first = None;
        let shown = self.fields.iter().map(|field| {
            let nodes = find(field, data, root);
            let name = written(field);
            if let (None, Some(node)) = (&first, nodes.first()) {
                first = Some((name.clone(), *node));
            }
            format!("{name} {}", values(&nodes, data))
        });
        let parts: Vec<String> = why.into_iter().chain(shown).collect();
        let expected = format!("{}: {}", self.code, self.message);
        Some(Broken { found: parts.join(", "), expected, field: first })
    }
}

impl Broken {
    /// The reject of an event; the caller adds where in the message its field comes from.
    #[must_use]
    pub fn reject(self) -> Reject {
        let reject = Reject::new(Code::ContractRule, self.found, self.expected);
        match self.field {
            Some((name, _)) => reject.field(name),
            None => reject,
        }
    }
}

/// The values at a path, those of all items where it steps into a list.
fn find(path: &[String], data: &Tree, root: NodeId) -> Vec<NodeId> {
    let mut nodes = vec![root];
    for step in path {
        nodes = if step == ITEMS {
            nodes.iter().flat_map(|node| data.children(*node)).collect()
        } else {
            nodes.iter().filter_map(|node| data.child(*node, step)).collect()
        };
    }
    nodes
}

/// `items.*.quantity` as people write it: `items[].quantity`.
fn written(path: &[String]) -> String {
    let mut out = String::new();
    for step in path {
        if step == ITEMS {
            out.push_str("[]");
        } else {
            if !out.is_empty() {
                out.push('.');
            }
            out.push_str(step);
        }
    }
    out
}

fn values(nodes: &[NodeId], data: &Tree) -> String {
    if nodes.is_empty() {
        return "is absent".to_owned();
    }
    let value = |node: &NodeId| match data.kind(*node) {
        Kind::Array => format!("a list of {}", data.children(*node).count()),
        Kind::Object => "an object".to_owned(),
        _ => data.json(*node),
    };
    let shown: Vec<String> = nodes.iter().take(SHOWN).map(value).collect();
    let rest = nodes.len().saturating_sub(SHOWN);
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!("is {}{more}", shown.join(", "))
}
