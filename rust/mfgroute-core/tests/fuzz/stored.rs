//! Records as the log stores them.

use mfgroute_core::record::{self, Header};
use mfgroute_log::{AppendError, Frame, Limits, MemoryLog};
use serde_json::Value;

use crate::drive::Print;
use crate::print;

/// Bytes that are a record are written again as they were; texts that are written are read again, and make an
/// envelope that another parser reads.
pub(crate) fn record(bytes: &[u8]) -> Print {
    let mut seen = print("none", 0);
    if let Some((header, data)) = record::read(bytes) {
        let mut again = Vec::new();
        header.write(&mut again);
        again.extend_from_slice(data);
        assert_eq!(again, bytes);
        seen = print("record", data.len());
    }
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.split('\n');
    let mut part = || parts.next().unwrap_or_default();
    let header = Header {
        id: part(),
        source: part(),
        full_type: part(),
        time: part(),
        key: part(),
        transaction: part(),
        traceparent: part(),
        ..Header::default()
    };
    let mut written = Vec::new();
    header.write(&mut written);
    written.extend_from_slice(b"{\"a\":1}");
    let (found, data) = record::read(&written).unwrap();
    assert_eq!((found, data), (header, &b"{\"a\":1}"[..]));
    let mut envelope = Vec::new();
    record::write_envelope(&found, data, &mut envelope);
    let json: Value = serde_json::from_slice(&envelope).unwrap();
    assert_eq!(json["id"], header.id);
    assert_eq!(json.get("subject").and_then(Value::as_str).unwrap_or_default(), header.key);
    assert_eq!(json["data"]["a"], 1);
    assert!(!envelope.iter().any(|&byte| byte < 0x20), "an envelope is one line");
    seen
}

/// The bytes say what happens to a log of 64 bytes and 5 records; a list does the same.
pub(crate) fn log(bytes: &[u8]) -> Print {
    let mut log = MemoryLog::new(Limits { bytes: 64, count: 5 });
    let (mut model, mut frame) = (Model::default(), Frame::new());
    let mut rest = &bytes[..bytes.len().min(600)];
    let mut refused = 0;
    while let Some((&step, after)) = rest.split_first() {
        rest = after;
        let size = usize::from(step >> 2);
        match step & 3 {
            0 | 1 => {
                frame.clear();
                let mut records = Vec::new();
                for _ in 0..=step & 1 {
                    let (record, after) = rest.split_at(size.min(rest.len()));
                    frame.push(record);
                    records.push(record.to_vec());
                    rest = after;
                }
                let found = log.append(&frame, 1);
                assert_eq!(found, model.append(&records));
                refused += usize::from(found.is_err());
            }
            2 => {
                log.finish_to(log.first_seq() + size as u64);
                model.finished = (model.first + size as u64).clamp(model.finished, model.next());
            }
            _ => {
                let seq = log.first_seq() + size as u64;
                log.free_to(seq);
                model.finished = seq.clamp(model.finished, model.next());
                model.free_to(seq.min(model.next()));
            }
        }
        let found: Vec<&[u8]> = log.from_seq(0).map(|(_, record)| record.bytes()).collect();
        assert_eq!(found, model.records.iter().map(Vec::as_slice).collect::<Vec<_>>());
        assert_eq!(
            (log.first_seq(), log.finished_seq(), log.next_seq()),
            (model.first, model.finished, model.next())
        );
        assert_eq!(log.bytes(), model.bytes());
    }
    print("log", refused * 64 + model.records.len())
}

/// What a log of 64 bytes and 5 records is, written the simplest way.
#[derive(Default)]
struct Model {
    records: Vec<Vec<u8>>,
    first: u64,
    finished: u64,
}

impl Model {
    fn next(&self) -> u64 {
        self.first + self.records.len() as u64
    }

    fn bytes(&self) -> u64 {
        self.records.iter().map(|record| record.len() as u64).sum()
    }

    fn free_to(&mut self, seq: u64) {
        self.records.drain(..(seq.max(self.first) - self.first) as usize);
        self.first = self.first.max(seq);
    }

    fn append(&mut self, records: &[Vec<u8>]) -> Result<u64, AppendError> {
        let size = |records: &[Vec<u8>]| records.iter().map(Vec::len).sum::<usize>();
        if size(records) > 64 {
            return Err(AppendError::TooLarge);
        }
        let open = &self.records[(self.finished - self.first) as usize..];
        if size(open) + size(records) > 64 || open.len() + records.len() > 5 {
            return Err(AppendError::NoRoom);
        }
        while size(&self.records) + size(records) > 64 || self.records.len() + records.len() > 5 {
            self.free_to(self.first + 1);
        }
        let first = self.next();
        self.records.extend_from_slice(records);
        Ok(first)
    }
}
