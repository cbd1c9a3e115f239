//! What an expression asks that lets an index tell, without evaluating it, that it is false.
//!
//! Only what is certain counts: when the value at the place of an [`Ask`] is none of its values, the expression
//! is false, and neither fails nor is true. CEL helps: in `a && b`, a side that is false decides even where the
//! other one fails. What may take many steps is different, as it could use up the steps of what stands behind it.

use super::op::{Lit, Op, Relation, Root};
use crate::tree::{Kind, NodeId, Tree};
use crate::value::Decimal;

/// Where a value is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// The type of the event.
    Type,
    /// The name of its source.
    Source,
    /// A field of `data`, which is a text read as a decimal if `decimal`.
    Field { steps: Vec<Box<str>>, decimal: bool },
}

/// A value that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Wanted {
    Null,
    Bool(bool),
    Number(Decimal),
    Text(Box<str>),
}

/// An expression that has this is false for every event whose value at `place` is none of `values`.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) place: Place,
    pub(crate) values: Vec<Wanted>,
    /// For each step to the field whether the expression is false, too, when that member is not there.
    pub(crate) guarded: Vec<bool>,
}

/// What is found at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found<'t> {
    Null,
    Bool(bool),
    Number(Decimal),
    Text(&'t str),
    /// A list or an object, which no literal is equal to.
    Other,
    /// The member of this step is not there, in an object that is.
    Absent(usize),
    /// Only the expression itself can tell.
    Unclear,
}

impl Place {
    /// Looks at the place in `data`.
    pub(crate) fn find<'t>(
        &self,
        event_type: &'t str,
        source: &'t str,
        (data, root): (&'t Tree, NodeId),
    ) -> Found<'t> {
        let (steps, decimal) = match self {
            Self::Type => return Found::Text(event_type),
            Self::Source => return Found::Text(source),
            Self::Field { steps, decimal } => (steps, *decimal),
        };
        let mut at = root;
        for (step, name) in steps.iter().enumerate() {
            if data.kind(at) != Kind::Object {
                return Found::Unclear;
            }
            match data.child(at, name) {
                Some(child) => at = child,
                None => return Found::Absent(step),
            }
        }
        let number = |read: Option<Decimal>| read.map_or(Found::Unclear, Found::Number);
        match data.kind(at) {
            Kind::Number => number(Decimal::parse(data.text(at)).ok()),
            Kind::String if decimal => number(crate::schema::plain_decimal(data.text(at)).ok()),
            // Reading it as a decimal fails.
            _ if decimal => Found::Unclear,
            Kind::String => Found::Text(data.text(at)),
            Kind::Bool(value) => Found::Bool(value),
            Kind::Null => Found::Null,
            Kind::Array | Kind::Object => Found::Other,
        }
    }
}

/// Everything that an expression asks, each alone sufficient to tell that it is false.
pub(crate) fn asks(op: &Op) -> Vec<Ask> {
    match op {
        Op::Compare { relation: Relation::Equal, left, right, exact } => {
            let ask = |place: &Op, literal: &Op| {
                let ask = ask(place, vec![wanted(literal)?])?;
                let decimal = matches!(ask.place, Place::Field { decimal: true, .. });
                let number = matches!(*ask.values, [Wanted::Number(_)]);
                (*exact == decimal && (number || !*exact)).then_some(ask)
            };
            ask(left, right).or_else(|| ask(right, left)).into_iter().collect()
        }
        Op::In(left, right) => match &**right {
            Op::List(items) => {
                let values = items.iter().map(wanted).collect::<Option<Vec<_>>>();
                values.and_then(|values| ask(left, values)).into_iter().collect()
            }
            _ => Vec::new(),
        },
        Op::And(left, right) => {
            let mut found = asks(left);
            if is_quick(left) {
                found.extend(asks(right));
            }
            let guards = guards(op);
            for ask in &mut found {
                let Place::Field { steps, .. } = &ask.place else { continue };
                for guard in guards.iter().filter(|guard| steps.starts_with(guard)) {
                    if let Some(guarded) = guard.len().checked_sub(1).and_then(|at| ask.guarded.get_mut(at)) {
                        *guarded = true;
                    }
                }
            }
            found
        }
        Op::Or(left, right) if is_quick(left) => {
            let others = asks(right);
            let both = asks(left).into_iter().filter_map(|mut one| {
                let other = others.iter().find(|other| other.place == one.place)?;
                one.values.extend_from_slice(&other.values);
                one.guarded.iter_mut().zip(&other.guarded).for_each(|(one, other)| *one &= other);
                Some(one)
            });
            both.collect()
        }
        _ => Vec::new(),
    }
}

fn ask(place: &Op, values: Vec<Wanted>) -> Option<Ask> {
    let place = match place {
        Op::Root(Root::Type) => Place::Type,
        Op::Root(Root::Source) => Place::Source,
        Op::AsDecimal(field) => Place::Field { steps: steps(field)?, decimal: true },
        field => Place::Field { steps: steps(field)?, decimal: false },
    };
    let depth = if let Place::Field { steps, .. } = &place { steps.len() } else { 0 };
    Some(Ask { place, values, guarded: vec![false; depth] })
}

fn wanted(op: &Op) -> Option<Wanted> {
    match op {
        Op::Lit(Lit::Null) => Some(Wanted::Null),
        Op::Lit(Lit::Bool(value)) => Some(Wanted::Bool(*value)),
        Op::Lit(Lit::Int(value)) => Some(Wanted::Number(Decimal::from(*value))),
        Op::Lit(Lit::Decimal(value)) => Some(Wanted::Number(*value)),
        Op::Lit(Lit::Text(text)) => Some(Wanted::Text(text.clone())),
        _ => None,
    }
}

/// The names that lead to a field of `data`.
fn steps(op: &Op) -> Option<Vec<Box<str>>> {
    match op {
        Op::Field(operand, name) if matches!(**operand, Op::Root(Root::Data)) => Some(vec![name.clone()]),
        Op::Field(operand, name) => {
            let mut above = steps(operand)?;
            above.push(name.clone());
            Some(above)
        }
        _ => None,
    }
}

/// Fields without which the expression is false.
fn guards(op: &Op) -> Vec<Vec<Box<str>>> {
    match op {
        Op::Has(operand, name) => {
            let mut path = match &**operand {
                Op::Root(Root::Data) => Vec::new(),
                field => match steps(field) {
                    Some(above) => above,
                    None => return Vec::new(),
                },
            };
            path.push(name.clone());
            vec![path]
        }
        Op::And(left, right) => {
            let mut found = guards(left);
            if is_quick(left) {
                found.extend(guards(right));
            }
            found
        }
        _ => Vec::new(),
    }
}

/// Whether an expression takes few steps, whatever the event is: about one for each of its operations.
fn is_quick(op: &Op) -> bool {
    let scalar = |op: &Op| matches!(op, Op::Lit(_) | Op::Meta(_) | Op::Root(Root::Type | Root::Source));
    match op {
        Op::Lit(_) | Op::Root(_) | Op::Meta(_) | Op::HasMeta(_) => true,
        Op::Field(part, _) | Op::Has(part, _) => is_quick(part),
        Op::AsDecimal(part) | Op::Not(part) | Op::Size(part) | Op::Matches(part, _) => is_quick(part),
        Op::And(left, right) | Op::Or(left, right) | Op::Text(_, left, right) => {
            is_quick(left) && is_quick(right)
        }
        // Lists and objects are compared item by item.
        Op::Compare { left, right, .. } => {
            (scalar(left) || scalar(right)) && is_quick(left) && is_quick(right)
        }
        Op::In(left, right) => {
            is_quick(left) && matches!(&**right, Op::List(items) if items.iter().all(scalar))
        }
        Op::If(condition, then, otherwise) => is_quick(condition) && is_quick(then) && is_quick(otherwise),
        _ => false,
    }
}
