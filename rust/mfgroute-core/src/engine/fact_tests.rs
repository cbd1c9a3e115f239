//! Facts as they are written.

use super::booked::Booking;
use super::effect::{Step, Stepped};
use super::fact::*;

#[test]
fn every_fact_reads_back_and_a_cut_one_does_not() {
    let at = At { sink: 1, stream: 2, seq: 3, ordinal: 4, copy: true };
    let text = Some("4900");
    let end = End { how: 1, at_ms: 5, id: 6, lane: 7, tries: 8, text, posted_as: None };
    let facts = [
        Fact::Begin,
        Fact::Whole,
        Fact::Torn,
        Fact::Seed(1, 2),
        Fact::Next { ordinal: 1, reject: 2 },
        Fact::Name { what: Named::DurableStream, number: 1, name: "business" },
        Fact::Low { sink: 1, stream: 2, seq: 3 },
        Fact::Above { sink: 1, stream: 2, seq: 3 },
        Fact::Paused { sink: 1, on: true },
        Fact::Removed { sink: 1 },
        Fact::Ended { at, end: end.clone() },
        Fact::Journal { at, end: end.clone() },
        Fact::Tried { at, tries: 1, attempts: 2 },
        Fact::Parked {
            at,
            cause: 0,
            code: "M7",
            reason: "closed",
            tries: 1,
            blocking: true,
            redelivered: false,
            at_ms: 3,
            admitted_ms: 4,
            record: b"r",
        },
        Fact::Unparked { sink: 1, ordinal: 2 },
        Fact::Rejected { source: 1, number: 2, at_ms: 3, rejects: b"[]", raw: b"{", meta: b"{}" },
        Fact::Explained { source: 1, number: 2, rejects: b"[]" },
        Fact::Taken { source: 1, number: 2 },
        Fact::Position { source: 1, position: b"p" },
        Fact::Acted { at_ms: 1, who: "a", what: "b", on: "c", why: "d" },
        Fact::Edited { at, end: end.clone(), admitted_ms: 9, record: b"r" },
        Fact::Keys(b"keys"),
        Fact::Log { stream: 1, id: 2 },
        Fact::Replay { sink: 1, at_ms: 2, about: "{}", rate: 3 },
        Fact::Chosen { sink: 1, chosen: b"26 bytes each" },
        Fact::Replayed { sink: 1 },
        Fact::Effect {
            at,
            stepped: Stepped {
                step: Step::Accepted,
                at_ms: 3,
                id: 4,
                key: "k",
                request: b"POST",
                about: b"{}",
            },
        },
        Fact::Booked {
            sink: 1,
            booking: Booking { at_ms: 2, id: 3, document: Some("49"), who: "a", why: "b" },
        },
        Fact::Booked { sink: 1, booking: Booking { at_ms: 2, id: 3, document: None, who: "a", why: "b" } },
        Fact::Document { sink: 1, id: 2, document: "49" },
        Fact::Effects { sink: 1, first: 2 },
        Fact::Line { sink: 1, line: b"{}" },
        Fact::Begun {
            at,
            id: 3,
            key: "k",
            request: b"POST",
            attempts: 4,
            first_ms: 5,
            last_ms: 6,
            accepted: None,
            rests: true,
        },
    ];
    for fact in facts {
        let mut out = Vec::new();
        fact.write(&mut out);
        assert_eq!(Fact::read(&out), Some(fact.clone()));
        for length in 0..out.len() {
            assert_eq!(Fact::read(&out[..length]), None, "{fact:?} cut at {length}");
        }
    }
}
