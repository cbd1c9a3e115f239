//! The main file: streams, sinks and sources as the engine takes them; sizes and durations.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::decode::Limits;
use crate::engine::{Bound, OnRefused, Room, SinkConfig, SourceConfig, StreamConfig, WhenFull};
use crate::plan::project::Plan;
use crate::plan::read::{File, nearest};
use crate::problem::Place;
use crate::yaml::{Key, Node, Value};

/// Rejects that a source keeps unless it says otherwise.
const REJECTS: Bound = Bound { count: 10_000, bytes: 64 << 20 };
/// Capacity of a stream that does not say it.
const CAPACITY: u64 = 256 << 20;
/// How long finished events stay for replay unless a stream says otherwise: 7 days.
const KEEP_MS: u64 = 7 * 24 * 3_600_000;
/// Most events of a stream, whatever their size.
const EVENTS_MAX: u64 = 100_000_000;

/// The values of the main file with their places.
#[must_use]
#[expect(clippy::needless_pass_by_value, reason = "each call makes the pointer of its value")]
pub fn located(json: &Json, places: &BTreeMap<String, Place>, pointer: String) -> Node {
    let place = places.get(&pointer).copied().unwrap_or_default();
    let value = match json {
        Json::Null => Value::Null,
        Json::Bool(truth) => Value::Bool(*truth),
        Json::Number(number) => Value::Number(number.to_string()),
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(items) => Value::List(
            items
                .iter()
                .enumerate()
                .map(|(index, item)| located(item, places, format!("{pointer}/{index}")))
                .collect(),
        ),
        Json::Object(members) => Value::Map(
            members
                .iter()
                .map(|(name, member)| {
                    let below = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
                    let key_place = places.get(&format!("{below}#key")).copied().unwrap_or_default();
                    let key = Key { text: name.clone(), place: key_place };
                    (key, located(member, places, below))
                })
                .collect(),
        ),
    };
    Node { value, place, replaced: false }
}

/// Reads streams, sinks and sources into the engine's configuration.
pub fn engine(main: &Node, plan: &mut Plan, file: &mut File<'_>) {
    for (name, stream) in entries(main, "streams") {
        if let Some(partitions) = stream.get("partitions") {
            let message = "partitions changes nothing on one node: every key is a lane of its own";
            file.problems.warn(file.name, partitions.place, message, "leave partitions out");
        }
        let bytes = size(stream, "capacity", CAPACITY, file);
        let when_full = match stream.get("when_full").and_then(Node::text) {
            Some("drop_oldest") => WhenFull::DropOldest,
            _ => WhenFull::Block,
        };
        let capacity = Bound { count: EVENTS_MAX, bytes };
        let durable = stream.get("durability").and_then(Node::text) == Some("fsync");
        check_capacity(&name.text, stream, bytes, durable, file);
        let keep_ms =
            stream.get("keep").and_then(Node::text).map_or(Some(KEEP_MS), duration_ms).unwrap_or(KEEP_MS);
        let name = name.text.clone();
        let first = goes_first(&name, stream, plan);
        plan.engine.streams.push(StreamConfig { name, capacity, when_full, durable, keep_ms, first });
    }
    for contract in &plan.contracts {
        let found = plan.engine.streams.iter().position(|stream| stream.name == contract.stream);
        plan.stream_of.push(found.unwrap_or(usize::MAX));
    }
    check_streams(main, plan, file);
    for (name, sink) in entries(main, "sinks") {
        plan.engine.sinks.push(self::sink(name, sink, file));
    }
    for (name, source) in entries(main, "sources") {
        let rejects_max = match source.get("rejects_max") {
            Some(bound) => self::bound(bound, REJECTS, file),
            None => REJECTS,
        };
        let holds_keys = source.get("on_reject").and_then(Node::text) == Some("hold_key");
        plan.engine.sources.push(SourceConfig { name: name.text.clone(), rejects_max, holds_keys });
    }
    let window = main.get("node").and_then(|node| file.number(node, "dedup_window"));
    plan.dedup_window = window.map_or(crate::dedup::WINDOW_DEFAULT, |window| window as usize);
}

/// Whether a sink gets the events of a stream before those of others: commands wait for nobody, unless the stream says it.
fn goes_first(name: &str, stream: &Node, plan: &Plan) -> bool {
    if let Some(Value::Bool(first)) = stream.get("first").map(|first| &first.value) {
        return *first;
    }
    let mut contracts = plan.contracts.iter().filter(|contract| contract.stream == name).peekable();
    contracts.peek().is_some() && contracts.all(|contract| contract.kind == "command")
}

/// A stream that has no room for a message that a source may take would refuse it for good.
fn check_capacity(name: &str, stream: &Node, capacity: u64, durable: bool, file: &mut File<'_>) {
    let Some(place) = stream.get("capacity").map(|written| written.place) else { return };
    let message = Limits::default().message_bytes as u64;
    if capacity < message {
        let found = format!(
            "stream {name} has a capacity of {capacity} bytes, expected at least the {message} that one message may have"
        );
        file.error_hint(place, found, "write for example capacity: 64MiB");
        return;
    }
    let room = Room::of(capacity);
    if durable && room.event < message {
        let found = format!(
            "stream {name} refuses events of more than {} bytes for good, and a message may have {message}: an event \
             must fit into a segment, a sixteenth of the capacity and at least 256KiB",
            room.event
        );
        file.problems.warn(file.name, place, found, "write capacity: 32MiB or more");
    }
}

fn entries<'n>(main: &'n Node, key: &str) -> &'n [(Key, Node)] {
    main.get(key).map(Node::entries).unwrap_or_default()
}

/// A contract that a mapping makes, or that canonical events bring, needs its stream.
fn check_streams(main: &Node, plan: &Plan, file: &mut File<'_>) {
    let canonical = plan.sources.iter().any(|source| source.mappings.is_empty());
    let place = main.get("streams").map_or(main.place, |streams| streams.place);
    for (index, contract) in plan.contracts.iter().enumerate() {
        let made = plan
            .mappings
            .iter()
            .flat_map(|mapping| &mapping.sets)
            .flat_map(|set| &set.entries)
            .any(|entry| entry.contract == index);
        if plan.stream_of.get(index) == Some(&usize::MAX) && (made || canonical) {
            let hint =
                format!("add for example {}: {{durability: memory, capacity: 256MiB}}", contract.stream);
            let message = format!(
                "there is no stream {}, which the contract {} names",
                contract.stream,
                contract.label()
            );
            let names: Vec<&str> = plan.engine.streams.iter().map(|stream| stream.name.as_str()).collect();
            let hint = match nearest(&contract.stream, &names) {
                Some(name) => format!("did you mean {name}?"),
                None => hint,
            };
            // The files of a pack are not the reader's to mend.
            if contract.file.starts_with("pack:") {
                file.error_hint(place, message, hint);
            } else {
                file.problems.error_hint(&contract.file, contract.stream_place, message, hint);
            }
        }
    }
}

fn sink(name: &Key, node: &Node, file: &mut File<'_>) -> SinkConfig {
    let mut sink = SinkConfig::new(name.text.clone());
    if node.get("on_refused").and_then(Node::text) == Some("park_event") {
        sink.on_refused = OnRefused::ParkEvent;
    }
    if let Some(retry) = node.get("retry") {
        if retry.get("tries").is_some() {
            sink.tries = file.number(retry, "tries").unwrap_or(sink.tries);
        }
        if let Some(delay) = retry.get("delay_max") {
            match delay.text().and_then(duration_ms) {
                Some(ms) => sink.delay_max_ms = ms,
                None => file.error(delay.place, "delay_max is not a duration like 500ms, 30s, 5m"),
            }
        }
    }
    if let Some(bound) = node.get("parked_max") {
        sink.parked_max = self::bound(bound, sink.parked_max, file);
    }
    if let Some(Value::Bool(single)) = node.get("one_per_key").map(|single| &single.value) {
        sink.one_per_key = *single;
    }
    if node.get("owner").is_none() {
        let hint = "add owner: the team to call when events wait for a person";
        file.problems.warn(file.name, name.place, format!("the sink {} has no owner", name.text), hint);
    }
    sink
}

fn bound(node: &Node, default: Bound, file: &mut File<'_>) -> Bound {
    let count = if node.get("events").is_some() { file.number(node, "events").map(u64::from) } else { None };
    Bound { count: count.unwrap_or(default.count), bytes: size(node, "bytes", default.bytes, file) }
}

fn size(node: &Node, key: &str, default: u64, file: &mut File<'_>) -> u64 {
    let Some(member) = node.get(key) else { return default };
    let text = match &member.value {
        Value::Text(text) | Value::Number(text) => text.as_str(),
        _ => "",
    };
    size_bytes(text).unwrap_or_else(|| {
        file.error(member.place, format!("{key} is not a size like 512KiB, 64MiB, 20GiB"));
        default
    })
}

/// Bytes of `512KiB`, `20GiB`, `100B`.
#[must_use]
pub fn size_bytes(text: &str) -> Option<u64> {
    const UNITS: &[(&str, u64)] =
        &[("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
    let (digits, factor) =
        UNITS.iter().find_map(|(unit, factor)| text.strip_suffix(unit).map(|digits| (digits, *factor)))?;
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// Milliseconds of `250ms`, `30s`, `5m`, `24h`, `14d`.
#[must_use]
pub fn duration_ms(text: &str) -> Option<u64> {
    const UNITS: &[(&str, u64)] =
        &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    let (digits, factor) = UNITS
        .iter()
        .find_map(|(unit, factor)| text.strip_suffix(unit).map(|digits| (digits.trim(), *factor)))?;
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_have_units() {
        assert_eq!(size_bytes("20GiB"), Some(20 << 30));
        assert_eq!(size_bytes("100B"), Some(100));
        assert_eq!(size_bytes("1MB"), None);
        assert_eq!(size_bytes("100"), None);
        assert_eq!(size_bytes("x"), None);
        assert_eq!(duration_ms("250ms"), Some(250));
        assert_eq!(duration_ms("5m"), Some(300_000));
        assert_eq!(duration_ms("5"), None);
    }
}
