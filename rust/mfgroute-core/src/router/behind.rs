//! Events that wait behind one that was handed out, by what they are and what they say.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::Router;
use crate::engine::{Ahead, DeliveryId, IntendError, SinkNo};
use crate::record;
use crate::tree::write_json_string;

/// Most events in one answer.
const FOUND_MAX: usize = 64;

/// A sink, and the contracts of events that are looked for there.
type Place = (SinkNo, Vec<String>);

/// Where events lie that were asked for.
#[derive(Debug, Default)]
pub(super) struct Aheads(Mutex<HashMap<Place, Arc<Mutex<Ahead>>>>);

impl Aheads {
    fn of(&self, sink: SinkNo, contracts: &[String]) -> Arc<Mutex<Ahead>> {
        let mut aheads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(aheads.entry((sink, contracts.to_vec())).or_default())
    }
}

impl Router {
    /// CloudEvents of some contracts (`production.confirmation.reversed`, in any version) that wait behind a delivery at
    /// its sink, with the same key, and hold `text` as a whole JSON string in their data; the oldest first, at most 64.
    /// Nothing was sent for them, and they are durable if their stream is. `None` if much has come since the last question
    /// and the caller is not `patient`.
    ///
    /// # Errors
    ///
    /// The delivery is not in flight.
    pub fn behind(
        &self,
        sink: SinkNo,
        delivery: DeliveryId,
        contracts: &[String],
        text: &str,
        patient: bool,
    ) -> Result<Option<Vec<Vec<u8>>>, IntendError> {
        let mut quoted = Vec::new();
        write_json_string(text, &mut quoted);
        let ahead = self.ahead.of(sink, contracts);
        let mut ahead = ahead.lock().unwrap_or_else(PoisonError::into_inner);
        let pick =
            |body: &[u8]| record::read(body).is_some_and(|(header, _)| is_of(header.full_type, contracts));
        let says = |data: &[u8]| data.windows(quoted.len()).any(|window| window == quoted);
        let wanted = |body: &[u8]| record::read(body).is_some_and(|(_, data)| says(data));
        let found = self.engine().behind(sink, delivery, &mut ahead, (&pick, &wanted), patient)?;
        drop(ahead);
        let Some(mut found) = found else { return Ok(None) };
        found.truncate(FOUND_MAX);
        let active = self.active();
        let mut names = active.plan.engine.sinks.iter().zip(&active.installed.sinks);
        let name = names.find(|(_, number)| **number == sink).map_or("", |(sink, _)| &sink.name);
        let event = |body: &Vec<u8>| {
            let (header, data) = record::read(body)?;
            Some(self.event_for(name, &header, data).1)
        };
        Ok(Some(found.iter().filter_map(event).collect()))
    }
}

/// Whether a type such as `com.example.material.consumed.v1` is one of some contracts.
fn is_of(full_type: &str, contracts: &[String]) -> bool {
    let bare = full_type.rsplit_once(".v").map_or(full_type, |(bare, _)| bare);
    contracts.iter().any(|contract| {
        bare.strip_suffix(contract.as_str()).is_some_and(|before| before.is_empty() || before.ends_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use super::is_of;

    #[test]
    fn a_contract_is_known_by_its_name_in_any_version_and_of_anybody() {
        let contracts = ["material.consumed".to_owned()];
        for (full_type, known) in [
            ("com.example.material.consumed.v1", true),
            ("material.consumed.v12", true),
            ("com.example.rawmaterial.consumed.v1", false),
            ("com.example.material.consumed.twice.v1", false),
        ] {
            assert_eq!(is_of(full_type, &contracts), known, "{full_type}");
        }
    }
}
