//! Looking into one log of a data folder, which may be damaged or in use. Nothing on the disk is changed.

use std::io;
use std::path::Path;

use mfgroute_log::{Corruption, Folder, OpenError, SegmentHead, SegmentStat, SegmentState};
use serde_json::{Value, json};

use crate::{engine, record};

/// Reads the whole log of a folder: the numbers of its records, what was torn, and what is damaged.
///
/// # Errors
///
/// The disk refuses, or a later version wrote the log; with a sentence.
pub fn verify(folder: &Path) -> Result<Value, String> {
    let disk = looking(folder)?;
    let damage = |segment: &str, offset, first, next: Option<u64>, why: &str| {
        let damage = json!({"segment": segment, "offset": offset, "first": first, "next": next, "why": why});
        json!({
            "first": null, "next": null, "sealed": null, "torn": null, "half_heads": [], "damage": damage,
        })
    };
    let error = match mfgroute_log::verify(&disk) {
        Ok(found) => {
            let torn = found.torn.map(|(segment, offset)| json!({"segment": segment, "offset": offset}));
            let (first, next, sealed) = (found.first, found.next, found.sealed);
            return Ok(json!({
                "first": first, "next": next, "sealed": sealed, "torn": torn, "half_heads": found.half_heads,
                "damage": null,
            }));
        }
        Err(error) => error,
    };
    let why = error.to_string();
    match &error {
        OpenError::Io(_) | OpenError::Newer { .. } => Err(why),
        OpenError::Corrupt(Corruption { segment, offset, first, next }) => {
            Ok(damage(segment, Some(*offset), Some(*first), *next, &why))
        }
        OpenError::Foreign { segment } | OpenError::Misnamed { segment, .. } => {
            Ok(damage(segment, None, None, None, &why))
        }
    }
}

/// The durable streams that the node's own log in a folder knows, each with the id of its log, as [`stat`] writes it.
///
/// # Errors
///
/// The disk refuses; with a sentence.
pub fn known_streams(node: &Path) -> Result<Value, String> {
    let found = engine::known_streams(&looking(node)?).map_err(|error| error.to_string())?;
    Ok(found.iter().map(|(name, log)| json!({"name": name, "log": format!("{log:032x}")})).collect())
}

/// Says what is in each file of the log of a folder, oldest record first.
///
/// # Errors
///
/// The disk refuses; with a sentence.
pub fn stat(folder: &Path) -> Result<Value, String> {
    let segments = mfgroute_log::stat(&looking(folder)?).map_err(|error| error.to_string())?;
    Ok(segments.iter().map(segment).collect())
}

/// What is called with each record: its number, its time, its bytes, and its CloudEvent if it is an event.
pub type Each<'a> = dyn FnMut(u64, u64, &[u8], Option<&[u8]>) + 'a;

/// Reads every readable record of the log of a folder, and calls `each` with its number, the time in milliseconds
/// since 1970, its bytes and, if it is an event, the CloudEvent made of it. What could not be read is the answer.
///
/// # Errors
///
/// The disk refuses; with a sentence.
pub fn salvage(folder: &Path, each: &mut Each<'_>) -> Result<Value, String> {
    let mut envelope = Vec::new();
    let mut one = |number: u64, at_ms: u64, bytes: &[u8]| {
        envelope.clear();
        let event = engine::body_of(bytes).and_then(record::read);
        if let Some((header, data)) = &event {
            record::write_envelope(header, data, &mut envelope);
        }
        each(number, at_ms, bytes, event.is_some().then_some(&envelope));
    };
    let found = mfgroute_log::salvage(&looking(folder)?, &mut one).map_err(|error| error.to_string())?;
    let damaged: Value = found.damaged.iter().map(corruption).collect();
    Ok(json!({"records": found.records, "damaged": damaged, "left_out": found.left_out}))
}

fn looking(folder: &Path) -> Result<Folder, String> {
    Folder::looking(folder).map_err(|error: io::Error| error.to_string())
}

fn corruption(found: &Corruption) -> Value {
    let Corruption { segment, offset, first, next } = found;
    json!({
        "segment": segment, "offset": offset, "first": first, "next": next, "why": found.to_string(),
    })
}

fn segment(stat: &SegmentStat) -> Value {
    let SegmentStat { name, bytes, head, records, used, watermark, newest_ms, state } = stat;
    let (state, why) = match state {
        SegmentState::Whole => ("whole", None),
        SegmentState::Torn => ("torn", None),
        SegmentState::HalfHead => ("half_head", Some("one copy of its head is damaged".to_owned())),
        SegmentState::Damaged(found) => ("damaged", Some(found.to_string())),
        SegmentState::Superseded => ("superseded", None),
        SegmentState::Newer(version) => ("newer", Some(format!("it has format {version}"))),
        SegmentState::Misnamed(made_as) => ("misnamed", Some(format!("it was made as {made_as}"))),
    };
    let head = head.as_ref().map(|SegmentHead { log, first, life, created_ms, .. }| {
        json!({"log": format!("{log:032x}"), "first": first, "life": life, "created_ms": created_ms})
    });
    json!({
        "name": name, "bytes": bytes, "head": head, "records": records, "used": used, "watermark": watermark,
        "newest_ms": newest_ms, "state": state, "why": why,
    })
}
