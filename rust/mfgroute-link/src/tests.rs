//! Blocks of the edge link: what is written reads back, and of anything else nothing is read.

use proptest::prelude::*;

use super::*;

const HEAD: Head<'_> = Head {
    stream: "business",
    epoch: 7,
    edge: "edge-1",
    session: 9,
    settled: 1,
    number: 4,
    before: [b'd'; 16],
};

/// The frame with a right checksum, so that what stands behind it is reached.
fn signed(mut frame: Vec<u8>) -> Vec<u8> {
    frame.truncate(frame.len().saturating_sub(CRC));
    let crc = checksum(&frame);
    frame.extend_from_slice(&crc.to_be_bytes());
    frame
}

#[test]
fn a_block_reads_back_and_a_cut_one_does_not() {
    let frame = write(&HEAD, &[(103, b"{}"), (100, b""), (u64::from(u32::MAX) + 100, b"three")]).unwrap();
    let (head, items) = read(&frame).unwrap();
    assert_eq!(head, HEAD);
    let found: Vec<(u64, &[u8])> =
        items.iter().map(|item| (item.offset, &frame[item.bytes.clone()])).collect();
    assert_eq!(found, [(103, &b"{}"[..]), (100, b""), (u64::from(u32::MAX) + 100, b"three")]);
    for end in 0..frame.len() {
        assert!(read(&frame[..end]).is_err(), "cut at {end}");
        assert!(read(&signed(frame[..end].to_vec())).is_err(), "cut at {end}, with a right checksum");
    }
}

#[test]
fn what_cannot_be_a_block_is_not_written() {
    let many = vec![(1, &b""[..]); EVENTS_MAX + 1];
    let name = "n".repeat(256);
    for (head, events) in [
        (HEAD, &[][..]),
        (HEAD, &many),
        (HEAD, &[(0, &b""[..]), (1 << 32, b"")]),
        (Head { stream: &name, ..HEAD }, &many[..1]),
        (Head { edge: &name, ..HEAD }, &many[..1]),
    ] {
        assert!(write(&head, events).is_err(), "{} events", events.len());
    }
    assert!(write(&HEAD, &many[..EVENTS_MAX]).is_ok());
}

#[test]
fn lengths_that_lie_read_nothing_beyond_the_frame() {
    let frame = write(&HEAD, &[(u64::MAX, b"{}")]).unwrap();
    let count = frame.len() - CRC - 2 - EVENT_HEAD - 4;
    for (at, bytes) in [
        (count, u32::MAX.to_be_bytes()),
        (count, 0_u32.to_be_bytes()),
        (count, 1025_u32.to_be_bytes()),
        (count + 4, 1_u32.to_be_bytes()), // The offset would be above what 64 bits hold.
        (count + 8, u32::MAX.to_be_bytes()),
        (count + 8, 3_u32.to_be_bytes()),
        (count + 8, 1_u32.to_be_bytes()),
    ] {
        let mut wrong = frame.clone();
        wrong[at..at + 4].copy_from_slice(&bytes);
        assert!(read(&signed(wrong)).is_err(), "{bytes:?} at {at}");
    }
}

#[test]
fn id_and_source_are_found_wherever_they_stand() {
    let found =
        |text: &str| about(text.as_bytes()).map(|about| (about.id.into_owned(), about.source.into_owned()));
    let both = Some(("i".to_owned(), "s".to_owned()));
    assert_eq!(found(r#"{"id":"i","source":"s"}"#), both);
    assert_eq!(found(r#" {"a":{"id":"x"},"source":"s","b":[[1e999]],"\u0069d":"\u0069"}"#), both);
    assert_eq!(found(r#"{"id":"i"}"#), Some(("i".to_owned(), String::new())));
    assert_eq!(found("{}"), Some((String::new(), String::new())));
    for text in
        ["", "1", "[]", "{", r#"{"id":1}"#, r#"{"source":null}"#, r#"{"id":"i"} x"#, r#"{"id":"\ud800"}"#]
    {
        let ends = text.ends_with('x');
        assert_eq!(found(text).is_none(), !ends, "{text}");
    }
}

#[test]
fn depth_costs_no_stack() {
    let deep = format!("{{\"a\":{}", "[".repeat(1 << 20));
    assert_eq!(about(deep.as_bytes()), None);
    let closed = format!("{{\"a\":{}{},\"source\":\"s\"}}", "[".repeat(1 << 19), "]".repeat(1 << 19));
    assert_eq!(about(closed.as_bytes()).unwrap().source, "s");
}

#[test]
fn an_event_is_recognised_by_its_id_or_else_by_itself() {
    let of = |event: &[u8]| mark(about(event).as_ref(), event);
    assert_eq!(of(br#"{"id":"i","source":"a"}"#), of(br#"{"source":"b","id":"i"}"#));
    assert_ne!(of(br#"{"id":"i","source":"a"}"#), of(br#"{"id":"j","source":"a"}"#));
    assert_ne!(of(b"no event"), of(b"another"));
    assert_ne!(of(b"{}"), of(b"{ }"));
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<String>().prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
            prop::collection::vec((prop_oneof!["id", "source", ".{0,4}"], inner), 0..6)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_block_reads_back(
        stream in "\\PC{1,60}", edge in "\\PC{0,60}", numbers in any::<(u64, u64, u64, u64)>(),
        before in any::<[u8; 16]>(), first in any::<u64>(),
        events in prop::collection::vec((0..200_u64, prop::collection::vec(any::<u8>(), 0..50)), 1..20),
    ) {
        let (epoch, session, one, other) = numbers;
        let (settled, number) = (one.min(other), one.max(other));
        let head = Head { stream: &stream, epoch, edge: &edge, session, settled, number, before };
        let pairs: Vec<(u64, &[u8])> =
            events.iter().map(|(at, event)| ((first >> 1) + at, event.as_slice())).collect();
        let frame = write(&head, &pairs).unwrap();
        if settled == number {
            prop_assert!(read(&frame).is_err());
            return Ok(());
        }
        let (found, items) = read(&frame).unwrap();
        prop_assert_eq!(found, head);
        let again: Vec<(u64, &[u8])> =
            items.iter().map(|item| (item.offset, &frame[item.bytes.clone()])).collect();
        prop_assert_eq!(again, pairs);
    }

    /// Bytes that an edge has broken on purpose: never a panic, and what is read is written as it was.
    #[test]
    fn what_is_read_of_broken_frames_is_within_them(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 0..6),
        sign in any::<bool>(),
    ) {
        let mut frame = write(&HEAD, &[(100, b"{}"), (103, b"{\"a\":1}")]).unwrap();
        for (at, byte, how) in changes {
            let at = at.index(frame.len());
            match how {
                0 => frame[at] = byte,
                1 => frame.insert(at, byte),
                _ => drop(frame.remove(at)),
            }
        }
        let frame = if sign { signed(frame) } else { frame };
        if let Ok((head, items)) = read(&frame) {
            let pairs: Vec<(u64, &[u8])> =
                items.iter().map(|item| (item.offset, &frame[item.bytes.clone()])).collect();
            prop_assert_eq!(write(&head, &pairs).unwrap(), frame);
        }
    }

    /// The core asks whether an edge may send this source before the engine reads it: what the engine takes for
    /// an event is never taken for something else here.
    #[test]
    fn the_source_is_what_the_engines_decoder_finds(
        value in any_json(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(
            b"\"\\{}[]:,0idsourc/u \n\x00\x80".to_vec())), 0..3),
    ) {
        let mut text = serde_json::to_vec(&value).unwrap();
        for (at, byte) in changes {
            let at = at.index(text.len());
            text[at] = byte;
        }
        let mut tree = mfgroute_core::tree::Tree::new();
        let mut decoder = mfgroute_core::decode::json::JsonDecoder::new(mfgroute_core::decode::Limits::default());
        if decoder.decode(&text, &mut tree).is_err() || tree.kind(0) != mfgroute_core::tree::Kind::Object {
            return Ok(());
        }
        let theirs = tree.to_serde(0);
        let text_of = |name: &str| theirs.get(name).map(|value| value.as_str().map(str::to_owned));
        let found = about(&text);
        match (text_of("id"), text_of("source")) {
            (Some(None), _) | (_, Some(None)) => {}
            (id, source) => {
                let found = found.unwrap();
                prop_assert_eq!(Some(found.id.into_owned()), Some(id.flatten().unwrap_or_default()));
                prop_assert_eq!(found.source.into_owned(), source.flatten().unwrap_or_default());
            }
        }
    }
}
