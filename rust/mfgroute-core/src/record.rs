//! An event as the log stores it: a compact header and `data`; and the CloudEvent made of it.
//!
//! A record is `version (1 byte) | 16 header texts, each u32 little-endian length and bytes | data`. It
//! holds everything the envelope needs, so a record can be delivered without the plan that made it. The texts
//! that change with each event stand first: the others are written once for many events.

use crate::tree::write_json_string;

const VERSION: u8 = 4;
const TEXTS: usize = 16;
const OWN: usize = 6;

/// What the envelope says about an event. Empty texts are left out of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header<'a> {
    /// CloudEvents `id`.
    pub id: &'a str,
    /// CloudEvents `source`.
    pub source: &'a str,
    /// CloudEvents `type`.
    pub full_type: &'a str,
    /// CloudEvents `time`, RFC 3339 in UTC.
    pub time: &'a str,
    /// The key: `subject` and `partitionkey`.
    pub key: &'a str,
    /// CloudEvents `dataschema`.
    pub dataschema: &'a str,
    /// Business transaction: `correlationid` and `bamtxid`.
    pub transaction: &'a str,
    /// Process model: `bampid`.
    pub process: &'a str,
    /// Step: `bamptxsid`.
    pub step: &'a str,
    /// W3C trace context.
    pub traceparent: &'a str,
    /// When this node admitted it: `recordedtime`.
    pub recorded: &'a str,
    /// Site: `mfgsite`.
    pub site: &'a str,
    /// `event`, `command` or `telemetry`: `mfgkind`.
    pub kind: &'a str,
    /// Sinks that get another major version than the event has, and which: `erp=2 wms=2`. It is no attribute.
    pub versions: &'a str,
    /// `name@hash` of the mapping: `mfgmapping`; or, for a canonical event, its further attributes as
    /// the inside of a JSON object.
    pub mapping: &'a str,
    /// What the contract says of its end, as the inside of a JSON object: `,"deprecated":true`.
    pub deprecation: &'a str,
}

impl<'a> Header<'a> {
    /// The major version that a sink gets, when it is not the event's own.
    #[must_use]
    pub fn version_for(&self, sink: &str) -> Option<u32> {
        let pairs = self.versions.split(' ').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(name, _)| *name == sink).find_map(|(_, major)| major.parse().ok())
    }

    /// Name and version of its contract, as `dataschema` says: `quality.hold` and `1.2.0`.
    #[must_use]
    pub fn contract(&self) -> Option<(&'a str, &'a str)> {
        self.dataschema.strip_prefix("mfgroute:contract:")?.split_once(':')
    }

    /// Texts that change with each event.
    fn own(&self) -> [&'a str; OWN] {
        [self.id, self.time, self.key, self.transaction, self.traceparent, self.versions]
    }

    /// Texts that all events of one mapping and contract have in a submit.
    fn shared(&self) -> [&'a str; TEXTS - OWN] {
        [
            self.source,
            self.full_type,
            self.dataschema,
            self.process,
            self.step,
            self.recorded,
            self.site,
            self.kind,
            self.mapping,
            self.deprecation,
        ]
    }

    /// Appends the record with the `data` that follows; the caller appends `data` itself.
    pub fn write(&self, out: &mut Vec<u8>) {
        self.write_own(out);
        self.write_shared(out);
    }

    /// Where the key stands in the record.
    #[must_use]
    pub fn key_at(&self) -> usize {
        const LENGTH: usize = 4;
        1 + LENGTH + self.id.len() + LENGTH + self.time.len() + LENGTH
    }

    /// Appends the first part of a record: what changes with each event.
    pub fn write_own(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        write_texts(&self.own(), out);
    }

    /// Appends the second part of a record, behind [`Header::write_own`].
    pub fn write_shared(&self, out: &mut Vec<u8>) {
        write_texts(&self.shared(), out);
    }
}

fn write_texts(texts: &[&str], out: &mut Vec<u8>) {
    out.reserve(texts.iter().map(|text| 4 + text.len()).sum());
    for text in texts {
        out.extend_from_slice(&(text.len() as u32).to_le_bytes());
        out.extend_from_slice(text.as_bytes());
    }
}

/// Reads a record; `None` when it is not one.
#[must_use]
pub fn read(record: &[u8]) -> Option<(Header<'_>, &[u8])> {
    let (&version, mut rest) = record.split_first()?;
    if version != VERSION {
        return None;
    }
    let mut texts = [""; TEXTS];
    for text in &mut texts {
        let (length, after) = rest.split_at_checked(4)?;
        let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
        let (bytes, after) = after.split_at_checked(length)?;
        *text = std::str::from_utf8(bytes).ok()?;
        rest = after;
    }
    let [
        id,
        time,
        key,
        transaction,
        traceparent,
        versions,
        source,
        full_type,
        dataschema,
        process,
        step,
        recorded,
        site,
        kind,
        mapping,
        deprecation,
    ] = texts;
    let header = Header {
        id,
        source,
        full_type,
        time,
        key,
        dataschema,
        transaction,
        process,
        step,
        traceparent,
        recorded,
        site,
        kind,
        versions,
        mapping,
        deprecation,
    };
    Some((header, rest))
}

/// Appends the CloudEvent (structured JSON, one line) of a record.
pub fn write_envelope(header: &Header<'_>, data: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"specversion\":\"1.0\",\"id\":");
    write_json_string(header.id, out);
    let mut member = |name: &str, text: &str| {
        if !text.is_empty() {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            write_json_string(text, out);
        }
    };
    member("source", header.source);
    member("type", header.full_type);
    member("time", header.time);
    member("subject", header.key);
    member("datacontenttype", "application/json");
    member("dataschema", header.dataschema);
    member("partitionkey", header.key);
    member("correlationid", header.transaction);
    member("traceparent", header.traceparent);
    member("recordedtime", header.recorded);
    member("bampid", header.process);
    member("bamtxid", header.transaction);
    member("bamptxsid", header.step);
    member("mfgsite", header.site);
    member("mfgkind", header.kind);
    if header.mapping.starts_with(',') {
        out.extend_from_slice(header.mapping.as_bytes());
    } else {
        member("mfgmapping", header.mapping);
    }
    out.extend_from_slice(header.deprecation.as_bytes());
    out.extend_from_slice(b",\"data\":");
    out.extend_from_slice(data);
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_and_makes_a_cloudevent() {
        let header = Header {
            id: "1",
            source: "//DE04/mes",
            full_type: "com.example.a.v1",
            key: "order/\"x\"",
            deprecation: ",\"deprecated\":true",
            versions: "erp=2 erp-2=3",
            ..Header::default()
        };
        let mut record = Vec::new();
        header.write(&mut record);
        record.extend_from_slice(b"{\"a\":1}");
        let (found, data) = read(&record).unwrap();
        assert_eq!(found, header);
        assert!(record[header.key_at()..].starts_with(header.key.as_bytes()));
        let mut out = Vec::new();
        write_envelope(&found, data, &mut out);
        let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(json["subject"], "order/\"x\"");
        assert_eq!(json["data"]["a"], serde_json::json!(1));
        assert_eq!(json.get("time"), None);
        assert_eq!(json["deprecated"], true);
        assert_eq!(
            ["erp", "erp-2", "er", "wms"].map(|sink| found.version_for(sink)),
            [Some(2), Some(3), None, None]
        );
    }

    #[test]
    fn a_cut_record_is_no_record() {
        let mut record = Vec::new();
        Header::default().write(&mut record);
        for length in 0..record.len() {
            assert_eq!(read(&record[..length]), None);
        }
    }
}
