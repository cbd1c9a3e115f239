//! Canonical events: the bytes of `data` stay as they stand, and the verdict is that of trees.

use super::*;

/// The contracts of [`RICH`] and [`W1`] at a node that gets their events as canonical ones, with and without conditions
/// of routes; and those of the pack.
static CANONICAL: LazyLock<[Plan; 4]> = LazyLock::new(|| {
    let all = json!({"name": "all", "match": {"type": ">"}, "to": "out"});
    let few = "has(data.quantity) && has(data.plant) && data.plant.startsWith('DE')";
    let few = json!({"name": "few", "match": {"type": "shop.report"}, "where": few, "to": "few"});
    let rich = here().join("tests/flat");
    [
        plan(&rich, &[], &json!([all])),
        plan(&rich, &[], &json!([all, few])),
        plan(&here().join("../../bench/w1"), &[], &json!([all])),
        plan(&here().join("../../python/mfgroute/packs/canonical"), &[], &json!([all])),
    ]
});

/// The events that a message becomes, as they are handed to a sink.
fn events_of(plan: &Plan, message: &[u8]) -> Vec<Vec<u8>> {
    let intake = Intake { plan, source: 0, recorded: "2026-01-02T03:04:05Z", mapping: None };
    let mut batch = Batch::default();
    Worker::default().message(&intake, Read::Bytes(message), message, &[], &mut batch);
    let records = batch.items.iter().filter_map(|item| match item {
        Prepared::Event { record, .. } => Some(batch.get(record)),
        _ => None,
    });
    let envelope = |record| {
        let (header, data) = mfgroute_core::record::read(record).unwrap();
        let mut out = Vec::new();
        mfgroute_core::record::write_envelope(&header, data, &mut out);
        out
    };
    records.map(envelope).collect()
}

/// The examples of the contracts of a plan, as events.
fn examples(plan: &Plan) -> Vec<Vec<u8>> {
    let event = |kind: &str, data: &Value| {
        let head = r#"{"specversion":"1.0","id":"7","source":"//DE04/erp""#;
        format!(r#"{head},"type":"{kind}","time":"2026-01-01T00:00:00Z","data":{data}}}"#).into_bytes()
    };
    let contracts = plan.contracts.iter();
    contracts.flat_map(|one| one.examples.iter().map(|data| event(&one.full_type, data))).collect()
}

/// An event of each contract, with the plans that know it.
static EVENTS: LazyLock<Vec<(usize, Vec<u8>)>> = LazyLock::new(|| {
    let rich = events_of(&RICH, report().to_string().as_bytes());
    let plain = events_of(&W1, W1_MESSAGE.as_bytes());
    let at = |plan: usize, events: &[Vec<u8>]| events.iter().map(|event| (plan, event.clone())).collect();
    let all: [Vec<_>; 4] = [at(0, &rich), at(1, &rich), at(2, &plain), at(3, &examples(&CANONICAL[3]))];
    all.concat()
});

#[test]
fn canonical_events_run_flat() {
    for plan in &CANONICAL[..3] {
        let why: Vec<_> = plan.canonical.iter().filter_map(|one| one.as_ref().err()).collect();
        assert!(why.is_empty(), "{why:?}");
    }
    let (own, pack) = EVENTS.split_at(5);
    for (plan, event) in own {
        assert_eq!(both(&CANONICAL[*plan], event), (true, 1), "{}", String::from_utf8_lossy(event));
    }
    let mut flat = 0;
    for (plan, event) in pack {
        let (taken, events) = both(&CANONICAL[*plan], event);
        assert_eq!(events, 1, "{}", String::from_utf8_lossy(event));
        flat += usize::from(taken);
    }
    // Contracts that combine schemas stay on trees.
    assert!(pack.len() > 60 && flat * 2 > pack.len(), "{flat} of {}", pack.len());
}

#[test]
fn what_a_canonical_event_may_be_besides_runs_flat() {
    let (plan, event) = &EVENTS[4];
    let event = String::from_utf8(event.clone()).unwrap();
    let taken = |event: &str| both(&CANONICAL[*plan], event.as_bytes());
    let with =
        |attributes: &str| event.replacen("{\"specversion\"", &format!("{{{attributes},\"specversion\""), 1);
    // White space and other attributes around data, attributes behind it, and another namespace.
    assert_eq!(taken(&event.replacen(",\"time\":", " ,\n\"time\" : ", 1)), (true, 1));
    assert_eq!(taken(&with(r#""a":"x\u00e4","b":true,"c":-1.50,"d":null,"ä":"\u2028ß""#)), (true, 1));
    assert_eq!(taken(&event.replacen("com.example.", "org.another.", 1)), (true, 1));
    let behind = event.strip_suffix('}').unwrap().replacen("\"specversion\":\"1.0\",", "", 1);
    assert_eq!(taken(&format!("{behind},\"specversion\":\"1.0\"}}\n")), (true, 1));
    // These are for trees: data that is written otherwise, an attribute that is no scalar, a type that comes late.
    assert_eq!(taken(&event.replacen("\"plant\":", "\"plant\": ", 1)), (false, 1));
    assert_eq!(taken(&event.replacen("DE04\",\"line", "\\u0044E04\",\"line", 1)), (false, 1));
    assert_eq!(taken(&with(r#""a":{"b":1}"#)), (false, 1));
    let late = event.replacen("\"type\":", "\"tipe\":", 1);
    let kind = event.split("\"type\":").nth(1).unwrap().split(',').next().unwrap();
    assert_eq!(taken(&format!("{},\"type\":{kind}}}", late.strip_suffix('}').unwrap())), (false, 1));
    // And these are wrong.
    for bad in [
        event.replacen("\"1.0\"", "\"0.3\"", 1),
        event.replacen("\"id\":\"", "\"id\":\"\",\"ie\":\"", 1),
        event.replacen(".v1\"", ".v2\"", 1),
        with(r#""id":"twice""#),
        with(r#""a":1,"a":2"#),
        format!("{event}x"),
        event.replacen("\"data\":", "\"date\":", 1),
        event.replacen("\"work_center\":", "\"work_centre\":", 1),
    ] {
        assert_eq!(taken(&bad), (false, 0), "{bad}");
    }
}

proptest! {
    #![proptest_config({
        let set = ProptestConfig::default();
        ProptestConfig { cases: set.cases.max(2000), ..set }
    })]
    #[test]
    fn changed_canonical_events_become_the_same_on_both_ways(
        changes in prop::collection::vec(change(), 0..4),
        style in 0_u8..8,
        which in any::<prop::sample::Index>(),
    ) {
        let (plan, event) = which.get(&EVENTS);
        let mut document: Value = serde_json::from_slice(event).unwrap();
        for change in &changes {
            apply(&mut document, change);
        }
        let mut text = String::new();
        written(&document, style, &mut text);
        both(&CANONICAL[*plan], text.as_bytes());
        both(&CANONICAL[*plan], document.to_string().as_bytes());
    }

    #[test]
    fn damaged_canonical_events_become_the_same_on_both_ways(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..3), 1..4),
        which in any::<prop::sample::Index>(),
    ) {
        let (plan, event) = which.get(&EVENTS);
        let mut bytes = event.clone();
        for (at, byte, how) in edits {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, byte),
            }
        }
        both(&CANONICAL[*plan], &bytes);
    }
}
