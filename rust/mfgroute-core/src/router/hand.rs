//! Events as sinks get them: in their version, as CloudEvents.

use std::sync::Arc;
use std::time::Duration;

use super::{Handed, Router, RouterError};
use crate::engine::{Delivery, DeliveryId, Outcome, SinkNo};
use crate::pipeline::{Batch, Worker};
use crate::plan::project::Plan;
use crate::record::{self, Header};
use crate::reject::Reject;

impl Router {
    /// Hands out events of a sink, each with its CloudEvent in the version that the sink asked for when the
    /// event was admitted. One that cannot be converted any more, because the plan has changed since, is refused
    /// in the name of the sink and so waits for a person.
    ///
    /// # Errors
    ///
    /// No sink has this name.
    pub fn poll(
        &self,
        sink: &str,
        events_max: usize,
        bytes_max: u64,
        mut wait: Duration,
    ) -> Result<(SinkNo, Vec<Handed>), RouterError> {
        let number = self.sink(sink)?;
        self.release_rest();
        loop {
            let deliveries = if wait.is_zero() {
                self.engine().poll(number, events_max, bytes_max)
            } else {
                self.engine().poll_wait(number, events_max, bytes_max, wait)
            };
            let (handed, refused) = self.hand(sink, deliveries);
            if refused.is_empty() {
                return Ok((number, handed));
            }
            self.settle(number, refused)?;
            if !handed.is_empty() {
                return Ok((number, handed));
            }
            wait = Duration::ZERO;
        }
    }

    fn hand(&self, sink: &str, deliveries: Vec<Delivery>) -> (Vec<Handed>, Vec<(DeliveryId, Outcome)>) {
        let mut forms = Forms { router: self, plan: None, worker: None };
        let (mut handed, mut refused) = (Vec::with_capacity(deliveries.len()), Vec::new());
        for delivery in deliveries {
            let Some((header, data)) = record::read(delivery.record()) else { continue };
            let mut json = Vec::with_capacity(data.len() + 640);
            match forms.write(sink, &header, data, &mut json) {
                Ok(full_type) => handed.push(Handed {
                    id: header.id.to_owned(),
                    full_type,
                    key: header.key.to_owned(),
                    json,
                    delivery,
                }),
                Err(reject) => {
                    let (code, reason) = (reject.code.as_str().to_owned(), sentence(&reject));
                    refused.push((delivery.id, Outcome::Refused { code, reason }));
                }
            }
        }
        forms.give_back();
        (handed, refused)
    }

    /// The CloudEvent of a record as a sink gets it, with its type; as it was produced when it cannot be converted.
    pub(super) fn event_for(&self, sink: &str, header: &Header<'_>, data: &[u8]) -> (String, Vec<u8>) {
        let mut forms = Forms { router: self, plan: None, worker: None };
        let mut out = Vec::new();
        let written = forms.write(sink, header, data, &mut out);
        forms.give_back();
        let full_type = written.unwrap_or_else(|_| {
            out.clear();
            record::write_envelope(header, data, &mut out);
            header.full_type.to_owned()
        });
        (full_type, out)
    }
}

fn sentence(reject: &Reject) -> String {
    format!("found {}, expected {}", reject.found, reject.expected)
}

/// What conversions need, taken when the first event needs one.
struct Forms<'r> {
    router: &'r Router,
    plan: Option<Arc<Plan>>,
    worker: Option<(Worker, Batch)>,
}

impl Forms<'_> {
    /// Appends the CloudEvent of a record as a sink gets it, and gives its type.
    fn write(
        &mut self,
        sink: &str,
        header: &Header<'_>,
        data: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<String, Reject> {
        if header.versions.is_empty() {
            record::write_envelope(header, data, out);
            return Ok(header.full_type.to_owned());
        }
        let plan = self.plan.get_or_insert_with(|| Arc::clone(&self.router.active().plan));
        let (worker, _) = self.worker.get_or_insert_with(|| self.router.worker());
        let Some(form) = worker.form_for(plan, header, data, sink)? else {
            record::write_envelope(header, data, out);
            return Ok(header.full_type.to_owned());
        };
        form.write_envelope(plan, header, out);
        let full_type = plan.contracts.get(form.contract).map(|contract| contract.full_type.to_string());
        Ok(full_type.unwrap_or_default())
    }

    fn give_back(self) {
        if let Some((worker, batch)) = self.worker {
            self.router.give_back(worker, batch);
        }
    }
}
