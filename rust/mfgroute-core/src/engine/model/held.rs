//! A model of messages that wait for a rejected one of their key: whatever people do and whenever the node ends, the
//! events of a key go out in the order in which their messages came.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::super::tests::TestClock;
use super::super::{
    Admission, AdmitError, Again, Attributes, Engine, EngineConfig, Event, Item, Message, Outcome,
    RejectedMessage, Retried,
};
use super::home::{Home, config, options};
use super::{ME, SINKS};
use crate::dedup::Prints;
use crate::reject::{Code, Reject};

#[derive(Clone, Debug)]
enum Step {
    Send(Vec<Sent>),
    /// Somebody mends the cause of a message and retries it; the node may end before what waits goes on.
    Mend {
        pick: usize,
        ends: bool,
    },
    Skip {
        pick: usize,
        ends: bool,
    },
    /// What waits is retried by hand, which must not help it.
    Push {
        pick: usize,
    },
    Deliver {
        max: usize,
    },
    Reopen,
}

/// A message: the keys of its events, and what is wrong with it.
#[derive(Clone, Debug)]
struct Sent {
    keys: BTreeSet<u8>,
    fault: Fault,
    /// Its events are admitted one without the other.
    independent: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// Something of the event of the first key does not map, but its key does.
    Keyed,
    /// The key of the first event does not map.
    Keyless,
}

fn step() -> impl Strategy<Value = Step> {
    let fault = prop_oneof![4 => Just(Fault::None), 2 => Just(Fault::Keyed), 1 => Just(Fault::Keyless)];
    let sent = (prop::collection::btree_set(0_u8..4, 1..3), fault, prop::bool::weighted(0.3))
        .prop_map(|(keys, fault, independent)| Sent { keys, fault, independent });
    let one = || (0_usize..8, prop::bool::weighted(0.3));
    prop_oneof![
        6 => prop::collection::vec(sent, 1..4).prop_map(Step::Send),
        3 => one().prop_map(|(pick, ends)| Step::Mend { pick, ends }),
        1 => one().prop_map(|(pick, ends)| Step::Skip { pick, ends }),
        1 => (0_usize..8).prop_map(|pick| Step::Push { pick }),
        4 => (1_usize..6).prop_map(|max| Step::Deliver { max }),
        1 => Just(Step::Reopen),
    ]
}

struct Story {
    engine: Engine,
    clock: Arc<TestClock>,
    home: Option<Home>,
    kind: Arc<str>,
    sent: Vec<Sent>,
    mended: BTreeSet<usize>,
    skipped: BTreeSet<usize>,
    /// The messages of which each key was delivered, in order.
    delivered: BTreeMap<u8, Vec<usize>>,
}

fn holding() -> EngineConfig {
    let mut config = config((6, 0), None, true);
    config.sources.iter_mut().for_each(|source| source.holds_keys = true);
    config
}

impl Story {
    fn new(home: Option<Home>) -> Self {
        let clock = Arc::new(TestClock::default());
        let engine = open(home.as_ref(), &clock);
        let (sent, mended, skipped) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        let delivered = BTreeMap::new();
        Self { engine, clock, home, kind: "done/1".into(), sent, mended, skipped, delivered }
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Send(messages) => self.send(messages),
            Step::Mend { pick, ends } => {
                if let Some(message) = self.pick(pick, false) {
                    self.mended.insert(index(&message));
                    let _ = self.again(&[message]);
                    self.go_on(ends);
                }
            }
            Step::Skip { pick, ends } => {
                if let Some(message) = self.pick(pick, false) {
                    self.engine.skip_reject(0, message.number, ME).unwrap();
                    self.skipped.insert(index(&message));
                    self.go_on(ends);
                }
            }
            Step::Push { pick } => {
                if let Some(message) = self.pick(pick, true) {
                    let again = self.again(std::slice::from_ref(&message));
                    assert!(matches!(again, Err(_) | Ok(Retried::Refused)), "{message:?} does not wait");
                }
            }
            Step::Deliver { max } => self.deliver(max),
            Step::Reopen => self.reopen(),
        }
        let stats = self.engine.stats();
        assert_eq!(stats.unaccounted, 0, "{stats:#?}");
        assert!(stats.sources[0].rejects_kept <= 20, "the bound on rejects holds");
        let inbox: u64 = self.engine.lock().sources[0].causes().map(|(_, behind)| behind + 1).sum();
        assert_eq!(inbox, stats.sources[0].rejects_kept, "all are shown, each once");
    }

    /// What the stages make of a message, as far as it is mended.
    fn items<'a>(&'a self, index: usize, sent: &Sent, names: &'a [String]) -> Vec<Item<'a>> {
        let fault = if self.mended.contains(&index) { Fault::None } else { sent.fault };
        let item = |(place, &key): (usize, &u8)| {
            let name = &names[usize::from(key)];
            let mut reject = Reject::new(Code::LookupMissing, "", "");
            match (place, fault) {
                (0, Fault::Keyed) => reject.keys.push(name.clone()),
                (0, Fault::Keyless) => {}
                _ => {
                    let id = 1 + index as u128 * 8 + place as u128;
                    let prints = Prints { raw: id, body: id };
                    let (key, kind) = (name.as_bytes(), &self.kind);
                    let event = Event { item: 0, stream: 0, key, id, prints, kind, sinks: &[0], record: key };
                    return Item::Event(event);
                }
            }
            Item::Reject(reject)
        };
        sent.keys.iter().enumerate().map(item).collect()
    }

    fn admit<T>(
        &self,
        messages: &[(usize, &Sent)],
        admit: impl FnOnce(&Admission<'_>) -> Result<T, AdmitError>,
    ) -> Result<T, AdmitError> {
        let names: Vec<String> = (0..4).map(|key| format!("key{key}")).collect();
        let raws: Vec<[u8; 8]> = messages.iter().map(|(index, _)| (*index as u64).to_le_bytes()).collect();
        let items: Vec<Vec<Item<'_>>> =
            messages.iter().map(|(index, sent)| self.items(*index, sent, &names)).collect();
        let each: Vec<bool> = messages.iter().map(|(_, sent)| sent.independent).collect();
        let messages: Vec<Message<'_>> = raws
            .iter()
            .zip(&items)
            .zip(&each)
            .map(|((raw, items), &independent)| Message {
                raw,
                meta: Attributes::Json(b"{}"),
                independent,
                items,
            })
            .collect();
        admit(&Admission { source: 0, sync: false, messages: &messages, position: None })
    }

    fn send(&mut self, messages: Vec<Sent>) {
        let first = self.sent.len();
        let numbered: Vec<(usize, &Sent)> = (first..).zip(&messages).collect();
        if let Ok(receipt) = self.admit(&numbered, |admission| self.engine.admit(admission)) {
            self.engine.wait(&receipt, false).unwrap();
            self.sent.extend(messages);
        }
    }

    /// A rejected message that waits for another one, or with a cause of its own.
    fn pick(&self, pick: usize, held: bool) -> Option<RejectedMessage> {
        let mut found = self.engine.rejects(0, false).unwrap();
        found.retain(|message| (message.behind.is_some() && message.is_held()) == held);
        (!found.is_empty()).then(|| found.swap_remove(pick % found.len()))
    }

    fn again(&self, messages: &[RejectedMessage]) -> Result<Retried, AdmitError> {
        let numbers: Vec<u64> = messages.iter().map(|message| message.number).collect();
        let numbered: Vec<(usize, &Sent)> =
            messages.iter().map(|message| (index(message), &self.sent[index(message)])).collect();
        let again = Again { numbers: &numbers, same: true, actor: Some(("rejects retry", ME)) };
        let (receipt, retried) =
            self.admit(&numbered, |admission| self.engine.admit_again(admission, &again))?;
        self.engine.wait(&receipt, false)?;
        Ok(retried.into_iter().find(|one| *one != Retried::Refused).unwrap_or(Retried::Refused))
    }

    /// What waits for nothing goes on, unless the node ends first.
    fn go_on(&mut self, ends: bool) {
        if ends && self.home.is_some() {
            return self.reopen();
        }
        loop {
            let found = self.engine.waiting(0, 3).unwrap();
            if found.is_empty() || !matches!(self.again(&found), Ok(Retried::Admitted)) {
                return;
            }
        }
    }

    fn deliver(&mut self, max: usize) {
        for delivery in self.engine.poll(0, max, u64::MAX) {
            let key = delivery.key()[3] - b'0';
            let index = ((delivery.event_id() - 1) / 8) as usize;
            self.delivered.entry(key).or_default().push(index);
            self.engine.settle(0, [(delivery.id, Outcome::Done { reference: None })]).unwrap();
        }
        let ticket = self.engine.lock().node.as_ref().map_or(0, |node| node.ticket);
        drop(self.engine.wait_for(ticket));
        self.go_on(false);
    }

    fn reopen(&mut self) {
        if let Some(home) = &self.home {
            let _ = self.engine.close();
            self.engine = open(Some(home), &self.clock);
            self.go_on(false);
        }
    }

    /// All is mended, and everything goes out: once, and in order.
    fn end(mut self) {
        for _ in 0..self.sent.len() * 4 + 8 {
            self.go_on(false);
            if let Some(message) = self.pick(0, false) {
                self.mended.insert(index(&message));
                let _ = self.again(&[message]);
            }
            self.deliver(8);
        }
        assert_eq!(self.engine.rejects(0, false).unwrap().len(), 0);
        for key in 0..4 {
            let found = self.delivered.remove(&key).unwrap_or_default();
            let of_key =
                |(index, sent): &(usize, &Sent)| sent.keys.contains(&key) && !self.skipped.contains(index);
            let all: Vec<usize> =
                self.sent.iter().enumerate().filter(of_key).map(|(index, _)| index).collect();
            let mut sorted = found.clone();
            sorted.sort_unstable();
            // What is skipped of a message of several is what was rejected.
            sorted.retain(|index| !self.skipped.contains(index) || !self.sent[*index].independent);
            assert_eq!(sorted, all, "each event of key {key} goes out once");
            // Nothing is known of the first key of a message whose first key does not map.
            let known = |index: &&usize| {
                let sent = &self.sent[**index];
                sent.fault != Fault::Keyless || sent.keys.first() != Some(&key)
            };
            assert!(found.iter().filter(known).is_sorted(), "key {key}: {found:?} of {:#?}", self.sent);
        }
    }
}

fn open(home: Option<&Home>, clock: &Arc<TestClock>) -> Engine {
    let engine = match home {
        Some(home) => home.open(&options(), clock),
        None => Engine::new(&options(), clock.clone()),
    };
    let mut config = holding();
    config.streams.iter_mut().for_each(|stream| stream.durable = home.is_some());
    let installed = engine.install(&config, &[], "model").unwrap();
    assert_eq!(installed.sinks.len(), SINKS.len());
    engine
}

fn index(message: &RejectedMessage) -> usize {
    u64::from_le_bytes(message.raw[..8].try_into().unwrap()) as usize
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(512)))]

    #[test]
    fn no_message_overtakes_a_rejected_one_of_its_key(steps in prop::collection::vec(step(), 1..60)) {
        let mut story = Story::new(None);
        for step in steps {
            story.run(step);
        }
        story.end();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(256) / 4))]

    #[test]
    fn nor_does_it_when_the_node_ends_in_the_middle(steps in prop::collection::vec(step(), 1..60)) {
        let mut story = Story::new(Some(Home::new()));
        for step in steps {
            story.run(step);
        }
        story.end();
    }
}
