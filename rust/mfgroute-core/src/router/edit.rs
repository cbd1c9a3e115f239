//! Editing parked events by name.

use serde_json::{Value as Json, json};

use super::letters::{Request, act};
use super::{Router, RouterError, recorded_now};
use crate::engine::Edit;
use crate::identity;
use crate::pipeline::edit::Change;
use crate::pipeline::explain::reject_json;
use crate::record;

impl Router {
    /// Puts a new event in the place of a parked one. What the contract does not allow is answered as `rejected`, and
    /// nothing is changed.
    pub(super) fn edit_parked(&self, request: &Request<'_>) -> Result<Json, RouterError> {
        let (name, number) = (request.required("sink")?, request.number()?);
        let sink = self.sink(name)?;
        let event = act(self.engine().parked(sink))?.into_iter().find(|event| event.number == number);
        let event =
            event.ok_or_else(|| RouterError::Request(format!("sink {name} has no parked event {number}")))?;
        let (header, data) = record::read(event.record())
            .ok_or_else(|| RouterError::Request(format!("event {number} cannot be read")))?;
        let set = request.pairs("set")?;
        let change = match (request.text("data"), set.is_empty()) {
            (Some(data), true) => Change::Data(data.as_bytes()),
            (None, false) => Change::Set(&set),
            _ => {
                let message =
                    "an edit needs either data, a JSON document as text, or set, pairs of pointer and text";
                return Err(RouterError::Request(message.to_owned()));
            }
        };
        let (mut worker, batch) = self.worker();
        let edited = worker.edit(&self.active().plan, (&header, data), name, change, &recorded_now());
        self.give_back(worker, batch);
        let edited = match edited {
            Ok(edited) => edited,
            Err(reject) => return Ok(json!({"rejected": [reject_json(&reject)]})),
        };
        let edit = Edit { seen: event.id(), id: edited.id, record: &edited.record };
        act(self.engine().edit_parked(sink, number, &edit, request.actor()))?;
        Ok(json!({
            "edited": 1, "id": identity::text(edited.id), "supersedes": header.id,
            "original": edited.original, "revision": edited.revision, "rejected": [],
        }))
    }
}
