//! Which sinks an event goes to, and in which version.

use std::ops::Range;

use super::batch::Batch;
use super::finish::Finish;
use super::message::Intake;
use crate::contract::Contract;
use crate::plan::project::Plan;
use crate::record::Header;
use crate::reject::{Code, Reject};
use crate::route::Index;
use crate::tree::{NodeId, Tree};

impl Finish {
    /// The version that a sink of the event before gets, if it is not the event's own.
    pub(super) fn version_for(&self, sink: &str) -> Option<u32> {
        Header { versions: &self.versions, ..Header::default() }.version_for(sink)
    }

    /// Adds the sinks of the routes that take an event, and notes those that get another version. Without
    /// `data`, no route may have a condition or ask for another version.
    pub(super) fn routes(
        &mut self,
        intake: &Intake<'_>,
        (index, contract): (usize, &Contract),
        uri: &str,
        data: Option<(&Tree, NodeId)>,
        batch: &mut Batch,
    ) -> Result<Range<usize>, Reject> {
        let source_name = intake.source().map(|source| source.name.as_str()).unwrap_or_default();
        self.routes_of(intake.plan, (index, contract), (source_name, uri), data, batch)
    }

    /// As [`Finish::routes`], of an event of any source.
    pub(super) fn routes_of(
        &mut self,
        plan: &Plan,
        (index, contract): (usize, &Contract),
        source: (&str, &str),
        data: Option<(&Tree, NodeId)>,
        batch: &mut Batch,
    ) -> Result<Range<usize>, Reject> {
        self.forms.clear();
        let mut candidates = std::mem::take(&mut self.candidates);
        candidates.clear();
        for group in plan.route_index.get(index).into_iter().flat_map(Index::groups) {
            let seen = match group.looks_at(source) {
                None => data,
                // A conversion that fails does so again for the first route that asked for it.
                Some(form) => {
                    data.and_then(|data| self.forms.of(plan, (index, form), data).ok()).map(|form| (form, 0))
                }
            };
            group.find(source, seen, &mut candidates);
        }
        if candidates.len() > 1 {
            candidates.sort_unstable();
            candidates.dedup();
        }
        let taken = self.taken(plan, (index, contract), source, data, &candidates, batch);
        self.candidates = candidates;
        taken
    }

    /// Evaluates routes in their order, and adds the sinks of those that take the event.
    fn taken(
        &mut self,
        plan: &Plan,
        (index, contract): (usize, &Contract),
        (source_name, uri): (&str, &str),
        data: Option<(&Tree, NodeId)>,
        candidates: &[usize],
        batch: &mut Batch,
    ) -> Result<Range<usize>, Reject> {
        let first = batch.sinks.len();
        self.versions.clear();
        for route in candidates.iter().filter_map(|route| plan.routes.get(*route)) {
            if !route.takes_source(source_name, uri) {
                continue;
            }
            let other = route.delivers(index).filter(|form| *form != index);
            let other = other.and_then(|form| Some((form, plan.contracts.get(form)?)));
            let (event_type, seen) = match (other, data) {
                (None, data) => (&contract.full_type, data),
                (Some((form, to)), Some(data)) => {
                    (&to.full_type, Some((self.forms.of(plan, (index, form), data)?, 0)))
                }
                (Some(_), None) => {
                    return Err(Reject::new(Code::ConversionFailed, "no data", "data to convert"));
                }
            };
            if let Some(seen) = seen
                && !route.holds(index, event_type, source_name, seen)?
            {
                continue;
            }
            for sink in &route.sinks {
                if batch.sinks.get(first..).unwrap_or_default().contains(sink) {
                    continue;
                }
                batch.sinks.push(*sink);
                if let (Some((_, to)), Some(sink)) = (other, plan.engine.sinks.get(*sink)) {
                    let blank = if self.versions.is_empty() { "" } else { " " };
                    self.versions.push_str(&format!("{blank}{}={}", sink.name, to.major));
                }
            }
        }
        Ok(first..batch.sinks.len())
    }
}

#[cfg(test)]
#[path = "routing_tests.rs"]
mod tests;
