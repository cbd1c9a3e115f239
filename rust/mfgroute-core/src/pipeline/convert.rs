//! Events in another version of their contract, as the sinks of some routes get them.
//!
//! An event is converted twice: when it is admitted, because conditions of routes ask the version that is
//! delivered and because what cannot be converted must be refused while its sender listens; and when it is
//! handed out. In between, the stream keeps it as it was produced.

use serde_json::{Map, Value as Json};

use super::finish;
use super::message::Worker;
use crate::contract::{Contract, lifecycle};
use crate::map::Mapping;
use crate::map::run::Outcome;
use crate::map::scratch::{Given, Scratch, Workspace};
use crate::plan::project::Plan;
use crate::record::{self, Header};
use crate::reject::{Code, Reject};
use crate::schema::Violation;
use crate::tree::{Kind, NONE, NodeId, Span, Tree, write_json_string};

/// The attribute that names the conversions of an event, each as `name@hash`.
const ATTRIBUTE: &str = "mfgconversion";

/// Memory for conversions: the other forms of one event.
#[derive(Debug, Default)]
pub struct Forms {
    space: Workspace,
    violations: Vec<Violation>,
    made: Vec<(usize, Tree)>,
    spare: Vec<Tree>,
}

impl Forms {
    /// Forgets the forms of the event before.
    pub fn clear(&mut self) {
        self.spare.extend(self.made.drain(..).map(|(_, tree)| tree));
    }

    /// `data` of an event of the contract `from` in the form of the contract `to`; its root is node 0.
    ///
    /// # Errors
    ///
    /// The reject `conversion_failed`; its pointer is one into `data`.
    pub fn of(
        &mut self,
        plan: &Plan,
        (from, to): (usize, usize),
        data: (&Tree, NodeId),
    ) -> Result<&Tree, Reject> {
        let at = match self.made.iter().position(|(form, _)| *form == to) {
            Some(at) => at,
            None => {
                self.convert(plan, (from, to), data)?;
                let mut form = self.spare.pop().unwrap_or_default();
                std::mem::swap(&mut form, &mut self.space.message);
                self.made.push((to, form));
                self.made.len() - 1
            }
        };
        self.made.get(at).map(|(_, tree)| tree).ok_or_else(|| no_way(plan, from, to))
    }

    /// Leaves the other form as the message of the workspace.
    fn convert(
        &mut self,
        plan: &Plan,
        (from, to): (usize, usize),
        (data, root): (&Tree, NodeId),
    ) -> Result<(), Reject> {
        let way = plan.conversions.way(from, to).ok_or_else(|| no_way(plan, from, to))?;
        self.space.message.clear();
        self.space.message.copy(NONE, Span::default(), data, root, NONE);
        for (position, mapping) in way.iter().enumerate() {
            let Some(mapping) = plan.mappings.get(*mapping) else { return Err(no_way(plan, from, to)) };
            self.step(plan, mapping).map_err(|reject| {
                let field = reject.field.map(|field| format!("{field}: ")).unwrap_or_default();
                let code = reject.code.as_str();
                let expected =
                    format!("{field}{}, to make {} by {}", reject.expected, label(plan, to), mapping.name);
                let failed =
                    Reject::new(Code::ConversionFailed, format!("{} ({code})", reject.found), expected);
                // Later conversions point into what the first one made.
                if position == 0 { failed.at(reject.pointer) } else { failed }
            })?;
        }
        Ok(())
    }

    /// Runs one conversion on the message of the workspace, and makes what comes of it the message.
    fn step(&mut self, plan: &Plan, mapping: &Mapping) -> Result<(), Reject> {
        let mut scratch = Scratch::take(&mut self.space, mapping, &[], Given::default());
        let mut found = Err(Reject::new(Code::NoOutput, "nothing", "one event"));
        mapping.run(&mut scratch, &mut |_, _, _, outcome| {
            found = match outcome {
                Outcome::Event { contract, .. } => Ok(contract),
                Outcome::Reject(reject) => Err(reject),
                Outcome::Filtered(rule) => Err(Reject::new(Code::NoOutput, rule, "one event")),
            };
        });
        scratch.give_back(&mut self.space);
        let Workspace { message, out, .. } = &mut self.space;
        let contract = plan.contracts.get(found?);
        let contract =
            contract.ok_or_else(|| Reject::new(Code::TypeUnknown, "nothing", "an installed contract"))?;
        finish::check(contract, &mut self.violations, out, 0, |node| finish::pointer_of(message, out, node))?;
        std::mem::swap(message, out);
        Ok(())
    }
}

fn no_way(plan: &Plan, from: usize, to: usize) -> Reject {
    let expected = format!("a conversion that leads from {} to {}", label(plan, from), label(plan, to));
    Reject::new(Code::ConversionFailed, "none", expected)
}

fn label(plan: &Plan, contract: usize) -> String {
    plan.contracts.get(contract).map(Contract::label).unwrap_or_default()
}

/// The value of `data` at a pointer that starts there.
pub(super) fn at_pointer(data: &Tree, root: NodeId, pointer: &str) -> Option<NodeId> {
    pointer.split('/').skip(1).try_fold(root, |at, part| match data.kind(at) {
        Kind::Array => data.children(at).nth(part.parse().ok()?),
        _ => data.child(at, &part.replace("~1", "/").replace("~0", "~")),
    })
}

/// An event in the form in which a sink gets it.
#[derive(Debug)]
pub struct Form {
    /// Its contract, by index in the plan.
    pub contract: usize,
    /// Its `data` as JSON.
    pub data: Vec<u8>,
    /// The conversions that made it, each as `name@hash`, in order.
    pub by: Vec<String>,
}

impl Form {
    /// Appends the CloudEvent: that of the record, with type and `data` of this form.
    pub fn write_envelope(&self, plan: &Plan, header: &Header<'_>, out: &mut Vec<u8>) {
        let Some(contract) = plan.contracts.get(self.contract) else { return };
        let further = self.attributes(header);
        let header = Header {
            full_type: &contract.full_type,
            dataschema: &contract.dataschema,
            process: contract.business.process.as_deref().unwrap_or(""),
            step: contract.business.step.as_deref().unwrap_or(""),
            kind: &contract.kind,
            mapping: &further,
            deprecation: contract.deprecation.as_ref().map_or("", |known| &known.attributes),
            ..*header
        };
        record::write_envelope(&header, &self.data, out);
    }

    /// The further attributes as the inside of a JSON object, with the conversions after those of another node.
    /// What the envelope said of the end of its contract is not said of this one.
    pub(super) fn attributes(&self, header: &Header<'_>) -> String {
        let mut members: Map<String, Json> = match header.mapping.strip_prefix(',') {
            Some(inside) => serde_json::from_str(&format!("{{{inside}}}")).unwrap_or_default(),
            None => [("mfgmapping".to_owned(), Json::from(header.mapping))].into_iter().collect(),
        };
        members.retain(|name, _| !lifecycle::ATTRIBUTES.contains(&name.as_str()));
        let earlier = members.remove(ATTRIBUTE);
        let by: Vec<&str> =
            earlier.iter().filter_map(Json::as_str).chain(self.by.iter().map(String::as_str)).collect();
        members.insert(ATTRIBUTE.to_owned(), Json::from(by.join(" ")));
        let mut out = Vec::new();
        for (name, value) in members.iter().filter(|(_, value)| value.as_str() != Some("")) {
            out.push(b',');
            write_json_string(name, &mut out);
            out.push(b':');
            out.extend_from_slice(value.to_string().as_bytes());
        }
        String::from_utf8(out).unwrap_or_default()
    }
}

impl Worker {
    /// The form in which a sink gets the event of a record; `None` when it gets it as it was produced.
    ///
    /// # Errors
    ///
    /// It was promised another form when it was admitted, and the plan cannot make that any more.
    pub fn form_for(
        &mut self,
        plan: &Plan,
        header: &Header<'_>,
        data: &[u8],
        sink: &str,
    ) -> Result<Option<Form>, Reject> {
        let Some(major) = header.version_for(sink) else { return Ok(None) };
        let gone = |label: String| {
            let expected = format!("the contract {label}, which the project had when the event was admitted");
            Reject::new(Code::ConversionFailed, "no contract", expected)
        };
        let (name, version) = header.contract().unwrap_or_default();
        let produced = version.split('.').next().unwrap_or_default();
        let find = |major: &str| {
            let wanted = |one: &Contract| one.name == name && one.major.to_string() == major;
            plan.contracts.iter().position(wanted).ok_or_else(|| gone(format!("{name}/{major}")))
        };
        let (from, to) = (find(produced)?, find(&major.to_string())?);
        self.json.decode(data, &mut self.space.message)?;
        let forms = &mut self.finish.forms;
        forms.clear();
        let form = forms.of(plan, (from, to), (&self.space.message, 0))?;
        let mut out = Vec::with_capacity(data.len());
        form.write_json(0, &mut out);
        let way = plan.conversions.way(from, to).unwrap_or_default();
        let by =
            way.iter().filter_map(|index| plan.mappings.get(*index)).map(|mapping| mapping.label.clone());
        Ok(Some(Form { contract: to, data: out, by: by.collect() }))
    }

    /// What one conversion makes of `data` given as JSON: the label of the contract, and `data` in its form.
    ///
    /// # Errors
    ///
    /// The `data` does not satisfy its contract, or cannot be converted; with the code of the cause.
    pub fn converted(&mut self, plan: &Plan, mapping: usize, given: &[u8]) -> Result<(String, Json), Reject> {
        let nothing = || Reject::new(Code::NoMapping, "none", "a conversion");
        let mapping = plan.mappings.get(mapping).ok_or_else(nothing)?;
        let version = mapping.from.version.as_ref().ok_or_else(nothing)?;
        let forms = &mut self.finish.forms;
        self.json.decode(given, &mut forms.space.message)?;
        let contract = plan.contracts.get(version.contract).ok_or_else(nothing)?;
        let message = &forms.space.message;
        finish::check(contract, &mut forms.violations, message, 0, |node| message.pointer(node))?;
        forms.step(plan, mapping)?;
        let to = mapping
            .sets
            .first()
            .and_then(|set| set.entries.first())
            .map_or(usize::MAX, |entry| entry.contract);
        Ok((label(plan, to), forms.space.message.to_serde(0)))
    }
}
