//! Compiles a mapping into operations over cells, or says what keeps it on trees.

use std::sync::Arc;

use super::contract::Fields;
use super::op::{
    At, Block, Chain, Code, Cond, Const, Date, Factor, Field, FieldValue, List, Lookup, Missing,
};
use super::op::{Out, OutValue, Quick, Source, Step, Time, UnitRef, UnitStep};
use super::sheet::Fixed;
use super::want::{FrameNo, Wants};
use super::word::Word;
use crate::map;
use crate::path::Path;

/// Compiles what belongs to one mapping.
pub(super) struct Builder {
    pub(super) wants: Wants,
    /// Frames of the open scopes, the message first.
    pub(super) frames: Vec<FrameNo>,
    lists: usize,
    leaves: u32,
}

type Built<T> = Result<T, String>;

impl Default for Builder {
    fn default() -> Self {
        Self { wants: Wants::default(), frames: vec![0], lists: 0, leaves: 0 }
    }
}

impl Builder {
    fn frame(&self, up: Option<usize>) -> Built<FrameNo> {
        let at = match up {
            None => 0,
            Some(up) => self.frames.len().checked_sub(up + 1).ok_or("a path leaves the message")?,
        };
        self.frames.get(at).copied().ok_or_else(|| "a path leaves the message".to_owned())
    }

    fn names<'p>(&self, path: &'p Path) -> Built<(Option<usize>, Vec<&'p str>)> {
        let (up, names) = path.names().ok_or_else(|| format!("the path {path} is more than names"))?;
        // One scope above the outermost item is the message.
        let up = up.filter(|up| *up + 1 < self.frames.len());
        Ok((up, names))
    }

    pub(super) fn at(&mut self, path: &Path) -> Built<At> {
        let (up, names) = self.names(path)?;
        let frame = self.frame(up)?;
        Ok(At { up, cell: self.wants.scalar(frame, &names) })
    }

    fn ats(&mut self, paths: &[Path]) -> Built<Vec<At>> {
        paths.iter().map(|path| self.at(path)).collect()
    }

    /// The list at a path; its frame becomes the current one until [`Builder::leave`].
    pub(super) fn enter(&mut self, path: &Path) -> Built<At> {
        let (up, names) = self.names(path)?;
        let frame = self.frame(up)?;
        let (cell, inner) = self.wants.list(frame, &names);
        self.frames.push(inner);
        Ok(At { up, cell })
    }

    pub(super) fn leave(&mut self) {
        self.frames.pop();
    }

    /// A constant; `null` is none.
    fn constant(json: &serde_json::Value) -> Built<Option<Const>> {
        if json.is_null() {
            return Ok(None);
        }
        Const::new(json).map(Some).ok_or_else(|| "a constant is a list or an object".to_owned())
    }

    fn chains(&mut self, chains: &[map::Chain]) -> Built<Vec<Chain>> {
        chains.iter().map(|chain| self.chain(chain)).collect()
    }

    fn chain(&mut self, chain: &map::Chain) -> Built<Chain> {
        Ok(Chain { source: self.source(&chain.source)?, steps: self.steps(&chain.steps)? })
    }

    fn source(&mut self, source: &map::Source) -> Built<Source> {
        Ok(match source {
            map::Source::Path(paths) => match paths.as_slice() {
                [path] => Source::Cell(self.at(path)?),
                paths => Source::First(self.ats(paths)?),
            },
            map::Source::Const(json) => Source::Const(Self::constant(json)?),
            map::Source::Field { up, index } => Source::Field { up: *up, index: *index },
            map::Source::Meta(name) => Source::Meta(name.as_str().into()),
            map::Source::Lookup(lookup) => Source::Lookup(self.lookup(lookup)?),
            map::Source::Concat(parts) => Source::Concat(self.chains(parts)?),
            map::Source::Join(paths) => Source::Join(self.ats(paths)?),
            map::Source::Time(source) => Source::Time(Box::new(self.time(source)?)),
            map::Source::Date(source) => {
                Source::Date(Box::new(Date { chain: self.chain(&source.chain)?, rule: source.rule.clone() }))
            }
            map::Source::Cel(_) => return Err("a field is an expression".to_owned()),
        })
    }

    pub(super) fn time(&mut self, source: &map::TimeSource) -> Built<Time> {
        Ok(Time { chain: self.chain(&source.chain)?, rule: source.rule.clone() })
    }

    fn lookup(&mut self, lookup: &map::Lookup) -> Built<Lookup> {
        Ok(Lookup {
            index: Arc::clone(&lookup.index),
            keys: self.chains(&lookup.keys)?,
            take: lookup.take,
            missing: match &lookup.missing {
                map::Missing::Reject => Missing::HandBack,
                map::Missing::Keep => Missing::Keep,
                map::Missing::Default(json) => Missing::Default(Self::constant(json)?),
            },
        })
    }

    fn steps(&mut self, steps: &[map::Step]) -> Built<Vec<Step>> {
        steps.iter().map(|step| self.step(step)).collect()
    }

    fn step(&mut self, step: &map::Step) -> Built<Step> {
        Ok(match step {
            map::Step::Text(rules) => Step::Text(rules.clone()),
            map::Step::Number(format) => Step::Number(*format),
            map::Step::Sign(rule) => Step::Sign(*rule),
            map::Step::Codes(table) => {
                let row = |(code, json): &(String, serde_json::Value)| {
                    Self::constant(json).map(|value| Code { word: Word::new(code), value })
                };
                Step::Codes(table.iter().map(row).collect::<Built<_>>()?)
            }
            map::Step::CodeSet { from, to } => Step::CodeSet { from: *from, to: *to },
            map::Step::Lookup(lookup) => Step::Lookup(Box::new(self.lookup(lookup)?)),
            map::Step::Unit(step) => Step::Unit(Box::new(self.unit_step(step)?)),
            map::Step::Scale { factor, round } => Step::Scale { factor: factor.clone(), round: *round },
            map::Step::Round(round) => Step::Round(*round),
        })
    }

    fn unit_step(&mut self, step: &map::UnitStep) -> Built<UnitStep> {
        let factor = step.factor.as_ref().map(|factor| {
            let keys = self.chains(&factor.keys)?;
            Ok::<_, String>(Factor {
                index: Arc::clone(&factor.index),
                keys,
                num: factor.num,
                den: factor.den,
            })
        });
        Ok(UnitStep {
            factor: factor.transpose()?,
            from: self.unit(&step.from)?,
            to: self.unit(&step.to)?,
            number: step.number,
            scale: step.scale.clone(),
            round: step.round,
        })
    }

    fn unit(&mut self, unit: &map::UnitRef) -> Built<UnitRef> {
        Ok(match unit {
            map::UnitRef::Fixed(unit) => UnitRef::Fixed(*unit),
            map::UnitRef::Read { chain, set } => UnitRef::Read { chain: self.chain(chain)?, set: *set },
        })
    }

    pub(super) fn cond(&mut self, cond: &map::Cond) -> Built<Cond> {
        let mut all =
            |parts: &[map::Cond]| parts.iter().map(|part| self.cond(part)).collect::<Built<Vec<_>>>();
        Ok(match cond {
            map::Cond::All(parts) => Cond::All(all(parts)?),
            map::Cond::Any(parts) => Cond::Any(all(parts)?),
            map::Cond::Not(part) => Cond::Not(Box::new(self.cond(part)?)),
            map::Cond::In { path, values } => Cond::In { at: self.at(path)?, values: values.clone() },
            map::Cond::Present { path, present } => Cond::Present { at: self.at(path)?, present: *present },
            map::Cond::Prefix { path, prefix } => {
                Cond::Prefix { at: self.at(path)?, prefix: prefix.as_str().into() }
            }
            map::Cond::Cel(_) => return Err("a condition is an expression".to_owned()),
        })
    }

    pub(super) fn block(&mut self, block: &map::Block, contract: &Fields<'_>) -> Built<Block> {
        let mut fields = Vec::with_capacity(block.fields.len());
        for field in &block.fields {
            let inside = contract.below(&field.name)?;
            let mut value = match &field.op {
                map::FieldOp::Value(chain) => FieldValue::Chain(self.chain(chain)?),
                map::FieldOp::List(list) => FieldValue::List(Box::new(self.list(list, field, &inside)?)),
            };
            let mut default = field.default.as_ref().map(Self::constant).transpose()?.flatten();
            let mut leaf = super::leaf::Leaf::default();
            if let FieldValue::Chain(chain) = &mut value {
                self.leaves += 1;
                leaf = inside.leaf(self.leaves)?;
                let constants = chain.results().chain(default.as_mut());
                constants.for_each(|constant| constant.judge(&leaf));
            }
            let quick = match &value {
                FieldValue::Chain(chain) if !field.as_number => Quick::new(chain),
                _ => None,
            };
            fields.push(Field { quick, value, default, as_number: field.as_number, leaf });
        }
        let outs = outs(block, contract)?;
        Ok(Block { fields, outs })
    }

    fn list(&mut self, list: &map::List, field: &map::Field, contract: &Fields<'_>) -> Built<List> {
        if list.split.is_some() {
            return Err("a list is taken out of a text".to_owned());
        }
        if self.lists > 0 {
            return Err("a list is inside another".to_owned());
        }
        self.lists += 1;
        let at = self.enter(&list.path)?;
        let (items, min, max) = contract.items()?;
        let when = list.when.as_ref().map(|when| self.cond(when)).transpose()?;
        let block = list.block.as_ref().map(|block| self.block(block, &items)).transpose()?;
        let (steps, item, leaf) = if block.is_some() {
            (Vec::new(), At { up: Some(0), cell: 0 }, super::leaf::Leaf::default())
        } else {
            let frame = self.frame(Some(0))?;
            let item = At { up: Some(0), cell: self.wants.scalar(frame, &[]) };
            self.leaves += 1;
            (self.steps(&list.steps)?, item, items.leaf(self.leaves)?)
        };
        self.leave();
        self.lists -= 1;
        Ok(List { at, when, block, steps, item, leaf, min, max, as_number: field.as_number })
    }
}

pub(super) fn lead(key: &str) -> Fixed {
    let mut lead = vec![b','];
    crate::tree::write_json_string(key, &mut lead);
    lead.push(b':');
    Fixed::new(&lead)
}

/// The members of an object in the order in which they are computed and written, which must not depend on which
/// are there: that of the fields.
fn outs(block: &map::Block, contract: &Fields<'_>) -> Built<Vec<Out>> {
    let mut root: Vec<Out> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    let mut closed: Vec<usize> = Vec::new();
    for (index, field) in block.fields.iter().enumerate() {
        let mut chain = Vec::new();
        let mut group = field.group;
        while let Some(number) = group {
            chain.push(number);
            group = block.groups.get(number).and_then(|group| group.parent);
        }
        chain.reverse();
        let shared = open.iter().zip(&chain).take_while(|(left, right)| left == right).count();
        closed.extend(open.drain(shared..));
        if chain.iter().any(|group| closed.contains(group)) {
            return Err(format!("the fields around {} do not stand side by side", field.name));
        }
        let mut level = &mut root;
        let mut path = String::new();
        for (depth, number) in chain.iter().enumerate() {
            let Some(group) = block.groups.get(*number) else { return Err("a group is missing".to_owned()) };
            let required = contract.requires(&path, &group.key);
            path = if path.is_empty() { group.key.clone() } else { format!("{path}.{}", group.key) };
            if depth >= shared {
                level.push(Out { lead: lead(&group.key), what: OutValue::Group(Vec::new()), required });
            }
            match level.last_mut().map(|out| &mut out.what) {
                Some(OutValue::Group(inner)) => level = inner,
                _ => return Err("a group is missing".to_owned()),
            }
        }
        let required = contract.requires(&path, &field.key);
        level.push(Out { lead: lead(&field.key), what: OutValue::Field(index, field.as_number), required });
        open = chain;
    }
    contract.check_required("", &root)?;
    Ok(root)
}
