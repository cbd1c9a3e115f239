//! Stored events looked at once more: which sinks the routes of today give them to, and what a condition says.

use super::Batch;
use super::message::Worker;
use crate::contract::Contract;
use crate::expr::{Expr, ExprCtx};
use crate::plan::project::Plan;
use crate::record::Header;
use crate::reject::{Code, Reject};

/// A sink that the routes of today give an event to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Today {
    /// By its index in the plan.
    pub sink: usize,
    /// It asks for another version than the event was stored for it in.
    pub other_version: bool,
}

impl Worker {
    /// Reads a stored event. `None` if the plan has its contract no more.
    ///
    /// # Errors
    ///
    /// Its `data` is no JSON.
    pub fn read_again(
        &mut self,
        plan: &Plan,
        header: &Header<'_>,
        data: &[u8],
    ) -> Result<Option<usize>, Reject> {
        let (name, version) = header.contract().unwrap_or_default();
        let major = version.split('.').next().unwrap_or_default();
        let wanted = |one: &Contract| one.name == name && one.major.to_string() == major;
        self.json.decode(data, &mut self.space.message)?;
        Ok(plan.contracts.iter().position(wanted))
    }

    /// The sinks of the routes of today, of the event that was read last.
    ///
    /// # Errors
    ///
    /// A condition has no value, or a conversion fails.
    pub fn sinks_today(
        &mut self,
        plan: &Plan,
        contract: usize,
        header: &Header<'_>,
        batch: &mut Batch,
    ) -> Result<Vec<Today>, Reject> {
        let Some(found) = plan.contracts.get(contract) else { return Ok(Vec::new()) };
        let (data, source) = ((&self.space.message, 0), source_name(plan, header.source));
        let taken =
            self.finish.routes_of(plan, (contract, found), (source, header.source), Some(data), batch)?;
        let today = |&sink: &usize| {
            let name = plan.engine.sinks.get(sink).map_or("", |sink| sink.name.as_str());
            Today { sink, other_version: self.finish.version_for(name) != header.version_for(name) }
        };
        let sinks = batch.sinks.get(taken).unwrap_or_default().iter().map(today).collect();
        batch.sinks.clear();
        Ok(sinks)
    }

    /// Whether a condition holds for the event that was read last.
    ///
    /// # Errors
    ///
    /// The condition has no value.
    pub fn holds_again(&self, plan: &Plan, condition: &Expr, header: &Header<'_>) -> Result<bool, Reject> {
        let context = ExprCtx {
            data: Some((&self.space.message, 0)),
            event_type: header.full_type,
            source: source_name(plan, header.source),
            ..ExprCtx::default()
        };
        condition.eval_bool(&context).map_err(|failure| {
            Reject::new(Code::ExpressionFailed, failure.message, "the filter to be true or false")
        })
    }
}

/// What the project calls the source of a URI; nothing if it does not know it.
fn source_name<'p>(plan: &'p Plan, uri: &str) -> &'p str {
    plan.sources.iter().find(|source| source.uri == uri).map_or("", |source| source.name.as_str())
}
