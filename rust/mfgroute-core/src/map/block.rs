//! Writing the fields of an object into the tree of `data`.

use super::scratch::Scratch;
use super::value::{Val, Value};
use super::{Block, Field, FieldOp, List};
use crate::reject::{Code, Reject};
use crate::tree::{Kind, NONE, NodeId, Span};

impl Block {
    /// Writes all fields as children of `object`.
    pub fn write<'p>(&'p self, object: NodeId, scratch: &mut Scratch<'p>) -> Result<(), Reject> {
        scratch.open_block(self.fields.len(), self.groups.len());
        for (index, field) in self.fields.iter().enumerate() {
            field.write(self, index, object, scratch).map_err(|reject| name_field(reject, field, scratch))?;
        }
        scratch.close_block();
        Ok(())
    }

    /// Writes those fields that can be written, and leaves the others out.
    pub fn write_what_maps<'p>(&'p self, object: NodeId, scratch: &mut Scratch<'p>) {
        scratch.open_block(self.fields.len(), self.groups.len());
        let open = (scratch.items.len(), scratch.work.len(), scratch.blocks.len(), scratch.slots.len());
        for (index, field) in self.fields.iter().enumerate() {
            if field.write(self, index, object, scratch).is_err() {
                scratch.items.truncate(open.0);
                scratch.work.truncate(open.1);
                scratch.blocks.truncate(open.2);
                scratch.slots.truncate(open.3);
            }
        }
        scratch.close_block();
    }

    /// The object of a group, made when its first field is written.
    fn group(&self, group: Option<usize>, object: NodeId, scratch: &mut Scratch<'_>) -> NodeId {
        let Some(index) = group else { return object };
        let known = scratch.group(index);
        if known != NONE {
            return known;
        }
        let Some(group) = self.groups.get(index) else { return object };
        let parent = self.group(group.parent, object, scratch);
        let key = scratch.out.push_text(&group.key);
        let made = scratch.out.add(parent, key, Kind::Object, Span::default(), NONE);
        scratch.set_group(index, made);
        made
    }
}

/// A reject says the field that was being written, unless a deeper one was.
fn name_field(mut reject: Reject, field: &Field, scratch: &Scratch<'_>) -> Reject {
    reject.field = Some(match reject.field {
        None => field.name.clone(),
        Some(inner) => format!("{}[{}].{inner}", field.name, scratch.list_position()),
    });
    reject
}

impl Field {
    fn write<'p>(
        &'p self,
        block: &'p Block,
        index: usize,
        object: NodeId,
        scratch: &mut Scratch<'p>,
    ) -> Result<(), Reject> {
        match &self.op {
            FieldOp::Value(chain) => {
                let mut value = chain.eval(scratch)?;
                if value.is_absent() {
                    match &self.default {
                        Some(default) => value = Value { origin: value.origin, ..Value::json(default) },
                        None => return Ok(()),
                    }
                }
                if value.is_absent() {
                    return Ok(());
                }
                let parent = block.group(self.group, object, scratch);
                let key = scratch.out.push_text(&self.key);
                let id = put(&value, parent, key, self.as_number, scratch);
                scratch.set_slot(index, id);
            }
            FieldOp::List(list) => {
                let parent = block.group(self.group, object, scratch);
                let key = scratch.out.push_text(&self.key);
                let array = scratch.out.add(parent, key, Kind::Array, Span::default(), NONE);
                list.write(array, self.as_number, scratch)?;
                scratch.set_slot(index, array);
            }
        }
        Ok(())
    }
}

impl List {
    fn write<'p>(&'p self, array: NodeId, as_number: bool, scratch: &mut Scratch<'p>) -> Result<(), Reject> {
        let base = scratch.work.len();
        scratch.find_items(&self.path, self.split.as_deref())?;
        let end = scratch.work.len();
        for index in base..end {
            let Some(item) = scratch.work.get(index).copied() else { break };
            scratch.enter(item);
            let result = self.write_item(array, index - base, as_number, scratch);
            scratch.leave();
            result?;
        }
        scratch.work.truncate(base);
        Ok(())
    }

    fn write_item<'p>(
        &'p self,
        array: NodeId,
        position: usize,
        as_number: bool,
        scratch: &mut Scratch<'p>,
    ) -> Result<(), Reject> {
        scratch.set_list_position(position);
        if let Some(when) = &self.when
            && !when.holds(scratch)?
        {
            return Ok(());
        }
        if let Some(block) = &self.block {
            let item = scratch.item();
            let object = scratch.out.add(array, Span::default(), Kind::Object, Span::default(), item);
            return block.write(object, scratch).inspect_err(|_| scratch.set_list_position(position));
        }
        let item = scratch.item();
        let item = crate::path::scalar(&scratch.message, item).unwrap_or(item);
        if scratch.is_empty_text(item) {
            return Ok(());
        }
        let mut value = Value::node(&scratch.message, item);
        for step in &self.steps {
            if value.is_absent() {
                return Ok(());
            }
            value = step.apply(value, scratch)?;
        }
        if value.is_absent() {
            return Ok(());
        }
        if value.text(&scratch.message).is_none() {
            return Err(value.reject(
                &scratch.message,
                Code::WrongType,
                "a list of plain values, or `fields`",
            ));
        }
        put(&value, array, Span::default(), as_number, scratch);
        Ok(())
    }
}

/// Writes one value under `parent`.
fn put(value: &Value<'_>, parent: NodeId, key: Span, as_number: bool, scratch: &mut Scratch<'_>) -> NodeId {
    let Scratch { message, out, .. } = scratch;
    match &value.val {
        Val::Node(id) => {
            let node = message.node(*id);
            if matches!(node.kind, Kind::Object | Kind::Array) {
                return out.copy(parent, key, message, *id, *id);
            }
            let text = out.push_text(message.span(node.text));
            out.add(parent, key, node.kind, text, value.origin)
        }
        Val::Text(text) => {
            let text = out.push_text(text);
            out.add(parent, key, Kind::String, text, value.origin)
        }
        Val::Number(text) => {
            let text = out.push_text(text);
            out.add(parent, key, Kind::Number, text, value.origin)
        }
        Val::Decimal(decimal) => {
            let start = out.text_len() as u32;
            decimal.write_to(out.text_mut());
            let len = out.text_len() as u32 - start;
            let kind = if as_number { Kind::Number } else { Kind::String };
            out.add(parent, key, kind, Span { start, len }, value.origin)
        }
        Val::Bool(truth) => out.add(parent, key, Kind::Bool(*truth), Span::default(), value.origin),
        Val::Json(json) => {
            let id = out.add_serde_at(parent, key, json);
            out.set_origin(id, value.origin);
            id
        }
        Val::Absent => NONE,
    }
}
