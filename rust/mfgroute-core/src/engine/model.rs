//! A random model test: the log is a list, what became of each event a map, dedup a dict.
//!
//! The model does not predict what a poll gives; it says what it may give, and recounts the
//! structures of the engine after each step.

use std::collections::HashMap;

use proptest::prelude::*;

use super::tests::TestClock;
use super::*;
use crate::dedup::Prints;
use crate::reject::{Code, Reject};
use lanes::Phase;
use stored::Stored;

mod held;
mod home;
mod people;

use home::{Home, check_progress, config, options};

const ME: Actor<'static> = Actor { who: "model", why: "because" };
const SINKS: [&str; 3] = ["park-key", "park-event", "files"];
const PARKED_MAX: u64 = 4;

#[derive(Clone, Debug)]
enum Step {
    Admit { messages: Vec<(bool, Vec<Piece>)> },
    Poll { sink: u16, max: usize },
    Settle { sink: u16, pick: usize, how: u8 },
    Act { sink: u16, pick: usize, how: u8 },
    Advance { ms: u64 },
    Install { capacity: u64, discard: bool, first: u8 },
    Reopen,
}

/// One item: what kind, its key, its stream, its sinks as bits, and which id.
type Piece = (u8, u8, u16, u8, u8);

fn step() -> impl Strategy<Value = Step> {
    let piece = (0_u8..12, 0_u8..3, 0_u16..2, 0_u8..8, 0_u8..40);
    let message = (any::<bool>(), prop::collection::vec(piece, 0..4));
    prop_oneof![
        5 => prop::collection::vec(message, 1..3).prop_map(|messages| Step::Admit { messages }),
        5 => (0_u16..3, 1_usize..5).prop_map(|(sink, max)| Step::Poll { sink, max }),
        9 => (0_u16..3, 0_usize..8, 0_u8..9).prop_map(|(sink, pick, how)| Step::Settle { sink, pick, how }),
        2 => (0_u16..3, 0_usize..8, 0_u8..7).prop_map(|(sink, pick, how)| Step::Act { sink, pick, how }),
        2 => (0_u64..4_000).prop_map(|ms| Step::Advance { ms }),
        1 => Just(Step::Reopen),
        1 => (2_u64..12, prop::bool::weighted(0.1), 0_u8..4)
            .prop_map(|(capacity, discard, first)| Step::Install { capacity, discard, first }),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Open,
    InFlight(DeliveryId),
    Refused,
    InDoubt,
    Final,
}

struct Admitted {
    key: u8,
    stream: u16,
    seq: u64,
    fates: [Option<Fate>; 3],
}

struct Model {
    engine: Engine,
    clock: Arc<TestClock>,
    events: Vec<Admitted>,
    seen: HashMap<u128, Prints>,
    next: [u64; 2],
    kind: Arc<str>,
    /// Where the engine lives, if it does on a disk.
    home: Option<Home>,
    capacity: u64,
    /// Streams whose events go first, as bits.
    first: u8,
    /// The id of what took the place of an event at a sink, by sink, stream and number.
    edited: HashMap<(u16, u16, u64), u128>,
    /// Edits of this life of the engine, by sink.
    edits: [u64; 3],
}

impl Model {
    fn new(home: Option<Home>) -> Self {
        let clock = Arc::new(TestClock::default());
        let engine = match &home {
            Some(home) => home.open(&options(), &clock),
            None => Engine::new(&options(), clock.clone()),
        };
        engine.install(&config((8, 0), None, home.is_some()), &[], "model").unwrap();
        let kind = "done/1".into();
        let (events, seen) = (Vec::new(), HashMap::new());
        let (next, edited, edits) = ([0; 2], HashMap::new(), [0; 3]);
        Self { engine, clock, events, seen, next, kind, home, capacity: 8, first: 0, edited, edits }
    }

    /// Waits until everything that was said is durable and has taken effect.
    fn quiesce(&self) {
        let ticket = self.engine.lock().node.as_ref().map_or(0, |node| node.ticket);
        drop(self.engine.wait_for(ticket));
    }

    /// Ends the engine and opens its folder again: what was in flight comes again, all else is as it was.
    fn reopen(&mut self) {
        let Some(home) = &self.home else { return };
        let _ = self.engine.close();
        self.edits = [0; 3];
        self.engine = home.open(&options(), &self.clock);
        self.engine.install(&config((self.capacity, self.first), None, true), &[], "model").unwrap();
        for fate in self.events.iter_mut().flat_map(|event| &mut event.fates) {
            if let Some(Fate::InFlight(_)) = fate {
                *fate = Some(Fate::Open);
            }
        }
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Admit { messages } => self.admit(&messages),
            Step::Poll { sink, max } => self.poll(sink, max),
            Step::Settle { sink, pick, how } => self.settle(sink, pick, how),
            Step::Act { sink, pick, how } => self.act(sink, pick, how),
            Step::Advance { ms } => self.clock.advance(ms),
            Step::Install { capacity, discard, first } => {
                self.first = first;
                self.install(capacity, discard);
            }
            Step::Reopen => self.reopen(),
        }
        self.quiesce();
        self.check();
    }

    fn admit(&mut self, messages: &[(bool, Vec<Piece>)]) {
        let keys: Vec<String> = (0..3).map(|key| format!("key{key}")).collect();
        let sinks: Vec<Vec<u16>> =
            (0_u8..8).map(|bits| (0..3).filter(|n| bits >> n & 1 == 1).collect()).collect();
        let kind = self.kind.clone();
        let item = |&(what, key, stream, bits, id): &Piece| match what {
            0 => Item::Reject(Reject::new(Code::Missing, "", "")),
            1 => Item::Filtered { rule: "rule" },
            2 => Item::Dropped,
            // Most ids are new; some come again with the same or another content.
            _ => {
                let again = what == 3;
                let id = if again {
                    u128::from(id)
                } else {
                    1_000 + self.seen.len() as u128 * 64 + u128::from(id)
                };
                let print = id + u128::from(again && bits > 5);
                let (key, sinks) = (keys[usize::from(key)].as_bytes(), &sinks[usize::from(bits)][..]);
                let prints = Prints { raw: print, body: print };
                Item::Event(Event { item: 0, stream, key, id, prints, kind: &kind, sinks, record: key })
            }
        };
        let items: Vec<Vec<Item<'_>>> =
            messages.iter().map(|(_, pieces)| pieces.iter().map(item).collect()).collect();
        let prepared: Vec<Message<'_>> = messages
            .iter()
            .zip(&items)
            .map(|((independent, _), items)| Message {
                raw: b"",
                meta: Attributes::Json(b""),
                independent: *independent,
                items,
            })
            .collect();
        let before = self.engine.stats();
        match self.engine.admit(&Admission { source: 0, sync: false, messages: &prepared, position: None }) {
            Ok(receipt) => {
                self.engine.wait(&receipt, false).unwrap();
                self.admitted(&prepared, &receipt);
            }
            Err(AdmitError::RejectsFull { .. }) => {
                for message in self.engine.rejects(0, false).unwrap() {
                    self.engine.skip_reject(0, message.number, ME).unwrap();
                }
            }
            Err(_) => assert_eq!(self.engine.stats(), before, "a refused admission changes nothing"),
        }
    }

    /// Repeats the decision with a dict and compares the counts.
    fn admitted(&mut self, messages: &[Message<'_>], receipt: &Receipt) {
        let mut frames: [Vec<Admitted>; 2] = Default::default();
        let mut order = Vec::new();
        for (message, counts) in messages.iter().zip(&receipt.messages) {
            let mut seen = self.seen.clone();
            let (mut expected, mut bad, mut new) = (Counts::default(), message.items.is_empty(), Vec::new());
            for item in message.items {
                match item {
                    Item::Reject(_) => (expected.rejected, bad) = (expected.rejected + 1, true),
                    Item::Filtered { .. } => expected.filtered += 1,
                    Item::Dropped => expected.dropped += 1,
                    Item::Event(event) => match seen.get(&event.id) {
                        None => {
                            seen.insert(event.id, event.prints);
                            expected.accepted += 1;
                            new.push(*event);
                        }
                        Some(first) if *first == event.prints => expected.duplicates += 1,
                        Some(_) => (expected.rejected, bad) = (expected.rejected + 1, true),
                    },
                }
            }
            if bad && !message.independent || message.items.is_empty() {
                expected = Counts { rejected: message.items.len().max(1) as u64, ..Counts::default() };
                new.clear();
            } else {
                self.seen = seen;
            }
            assert_eq!(*counts, expected);
            order.extend(new);
        }
        for event in order {
            let stream = usize::from(event.stream);
            let fate = |sink: u16| event.sinks.contains(&sink).then_some(Fate::Open);
            let (key, seq) = (event.key[3] - b'0', self.next[stream]);
            self.next[stream] += 1;
            self.events.push(Admitted { key, stream: event.stream, seq, fates: [fate(0), fate(1), fate(2)] });
            frames[stream].push(Admitted { key, stream: event.stream, seq, fates: [None; 3] });
        }
        for offsets in &receipt.offsets {
            let frame = &frames[usize::from(offsets.stream)];
            assert_eq!((offsets.first, offsets.last), (frame[0].seq, frame[frame.len() - 1].seq));
        }
    }

    fn poll(&mut self, sink: u16, max: usize) {
        let gone: Vec<bool> = {
            let state = self.engine.lock();
            let finished = |event: &Admitted| {
                let number = usize::from(event.stream);
                let cursor = &state.sinks[usize::from(sink)].cursors[number];
                number == 1
                    && (cursor.is_finished(event.seq) || event.seq < state.streams[number].log.floor())
            };
            self.events.iter().map(finished).collect()
        };
        for delivery in self.engine.poll(sink, max, u64::MAX) {
            let at = usize::from(sink);
            let this = |event: &Admitted| event.stream == delivery.stream && event.seq == delivery.seq;
            let index = self.events.iter().position(this).expect("no phantom");
            let key = self.events[index].key;
            assert_eq!(delivery.key(), format!("key{key}").as_bytes());
            let edited = self.edited.get(&(sink, delivery.stream, delivery.seq));
            assert_eq!(delivery.record() == b"edited", edited.is_some(), "an edit is what is delivered");
            assert!(edited.is_none_or(|&id| id == delivery.event_id()));
            let fate = self.events[index].fates[at].expect("only what a route wants");
            assert!(!matches!(fate, Fate::InFlight(_) | Fate::Final), "handed out twice: {fate:?}");
            for (other, event) in self.events.iter().enumerate().filter(|(_, event)| event.key == key) {
                let Some(fate) = event.fates[at].filter(|_| other != index) else { continue };
                let in_flight = matches!(fate, Fate::InFlight(_));
                assert!(sink == 2 || !in_flight, "two of one key in flight");
                let gone = gone[other] && fate == Fate::Open;
                let passes = fate == Fate::Final || sink != 0 && fate == Fate::Refused || in_flight;
                assert!(
                    other > index || passes || gone,
                    "sink {sink}: {index} before {other}, which is {fate:?}"
                );
            }
            self.events[index].fates[at] = Some(Fate::InFlight(delivery.id));
        }
    }

    fn settle(&mut self, sink: u16, pick: usize, how: u8) {
        let at = usize::from(sink);
        let flying = self.events.iter_mut().filter_map(|event| match event.fates[at] {
            Some(Fate::InFlight(id)) => Some((id, event)),
            _ => None,
        });
        let mut flying: Vec<_> = flying.collect();
        if flying.is_empty() {
            let stale = DeliveryId(pick as u64);
            assert_eq!(self.engine.settle(sink, [(stale, Outcome::Released)]), Err(Stale(vec![stale])));
            return;
        }
        let count = flying.len();
        let (id, event) = &mut flying[pick % count];
        let reason = String::new();
        let (outcome, fate) = match how {
            0 | 1 => (Outcome::Refused { code: "c".into(), reason }, Fate::Refused),
            2 => (Outcome::InDoubt { code: String::new(), reason }, Fate::InDoubt),
            3 | 4 => (Outcome::Retry { after_ms: Some(100), judged: true, reason }, Fate::Open),
            5 => (Outcome::Released, Fate::Open),
            6 => (Outcome::TakenBack { reason }, Fate::Final),
            _ => (Outcome::Done { reference: None }, Fate::Final),
        };
        // A counted try may park it: then it is as if refused.
        let parked = |engine: &Engine| {
            let parked = engine.parked(sink).unwrap();
            parked.iter().any(|p| p.stream == event.stream && p.seq == event.seq && p.cause.is_own())
        };
        self.engine.settle(sink, [(*id, outcome)]).unwrap();
        let ticket = self.engine.lock().node.as_ref().map_or(0, |node| node.ticket);
        drop(self.engine.wait_for(ticket));
        event.fates[at] = Some(if fate == Fate::Open && parked(&self.engine) { Fate::Refused } else { fate });
    }

    fn install(&mut self, capacity: u64, discard: bool) {
        self.capacity = capacity;
        let durable = self.home.is_some();
        if discard
            && self.engine.install(&config((capacity, self.first), Some(1), durable), &[], "model").is_err()
        {
            self.engine
                .install(&config((capacity, self.first), Some(1), durable), &[SINKS[1].to_owned()], "model")
                .unwrap();
            self.set_final(1, |_| true);
        }
        let numbers =
            self.engine.install(&config((capacity, self.first), None, durable), &[], "model").unwrap();
        assert_eq!(numbers.sinks, [0, 1, 2]);
    }

    /// Recounts the structures.
    fn check(&self) {
        let stats = self.engine.stats();
        assert_eq!(stats.unaccounted, 0, "{stats:#?}");
        assert_eq!(stats.sinks.iter().map(|sink| sink.superseded).collect::<Vec<_>>(), self.edits);
        let state = self.engine.lock();
        for sink in &state.sinks {
            let held = |in_flight| {
                let of = |held: &&lanes::Held| (held.phase == Phase::InFlight) == in_flight;
                sink.lanes.iter().map(|(_, held)| held).filter(of).count() as u64
            };
            let new = state.streams.iter().zip(&sink.cursors).map(|(stream, cursor)| {
                // What was dropped for room, and finished by an earlier life, holds nothing.
                let open = (cursor.low()..cursor.next()).filter(|&seq| !cursor.is_finished(seq)).count();
                assert!(open <= 6, "the distance is bounded");
                let ahead = stream.log.records_from(cursor.next());
                let open = |(seq, record): &(u64, mfgroute_log::Record)| {
                    !cursor.is_finished(*seq) && Stored::read(record.bytes()).wants(sink.no)
                };
                ahead.filter(open).count() as u64
            });
            assert_eq!(sink.counts.queued, held(false) + new.sum::<u64>(), "{}", sink.config.name);
            assert_eq!(sink.counts.in_flight, held(true));
            let copies = sink.lanes.iter().filter(|(_, held)| held.copy).count() + sink.parked.iter().count();
            assert_eq!(sink.parked.load().0, copies as u64);
            // With several of a key in flight, an event before retried ones may pass the bound: `must_pass`.
            let committed = sink.parked.load().0 + sink.reserved.0;
            assert!(sink.no == 2 || committed <= PARKED_MAX, "the bound on parked events holds");
            let reserved = |held: &&lanes::Held| held.phase == Phase::InFlight && !held.copy;
            assert_eq!(sink.reserved.0, sink.lanes.iter().filter(|(_, held)| reserved(held)).count() as u64);
        }
        let now = self.clock.now().steady_ms;
        state.sinks.iter().for_each(|sink| check_progress(sink, now));
        for (number, stream) in state.streams.iter().enumerate() {
            let open = |seq: u64| {
                let record = stream.log.get(seq)?;
                let mut sinks = Stored::read(record.bytes()).sinks();
                sinks.find(|&no| !state.sinks[usize::from(no)].cursors[number].is_finished(seq))
            };
            let first_open = (stream.log.floor()..stream.log.next_seq()).find(|&seq| open(seq).is_some());
            assert_eq!(stream.log.finished_seq(), first_open.unwrap_or(stream.log.next_seq()));
        }
    }

    /// Without faults and with a person who retries, everything drains.
    fn drain(&mut self) {
        for sink in 0..3 {
            self.engine.resume(sink, ME).unwrap();
        }
        for _ in 0..self.events.len() * 6 + 10 {
            for sink in 0..3 {
                if let Some(event) = self.engine.parked(sink).unwrap().first() {
                    self.engine.retry_key(sink, event.key(), ME).unwrap();
                }
                self.poll(sink, 4);
                self.settle(sink, 0, 9);
            }
            self.clock.advance(3_000);
            self.quiesce();
            self.check();
        }
        for sink in self.engine.stats().sinks {
            assert_eq!((sink.queued, sink.in_flight, sink.parked, sink.in_doubt), (0, 0, 0, 0), "{sink:#?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(512)))]

    #[test]
    fn no_history_loses_doubles_or_reorders_an_event(steps in prop::collection::vec(step(), 1..120)) {
        let mut model = Model::new(None);
        for step in steps {
            model.run(step);
        }
        model.drain();
    }

}

proptest! {
    // Each case opens folders and waits for syncs.
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(256) / 4))]

    #[test]
    fn on_a_disk_no_history_with_reopenings_does_either(steps in prop::collection::vec(step(), 1..120)) {
        let mut model = Model::new(Some(Home::new()));
        for step in steps {
            model.run(step);
        }
        model.drain();
        model.reopen();
        model.check();
        for sink in model.engine.stats().sinks {
            prop_assert_eq!((sink.queued, sink.in_flight, sink.parked), (0, 0, 0), "{:#?}", sink);
        }
    }
}
