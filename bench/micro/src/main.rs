//! The Rust side of workload W1, without Python: `mfgroute-micro PROJECT EVENTS [ROUNDS]`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use mfgroute_core::plan::project;
use mfgroute_core::router::Router;

fn main() {
    let mut args = std::env::args().skip(1);
    let (Some(root), Some(events)) = (args.next(), args.next()) else {
        eprintln!("mfgroute-micro PROJECT EVENTS [ROUNDS]");
        std::process::exit(2);
    };
    let rounds: usize = args.next().and_then(|text| text.parse().ok()).unwrap_or(7);
    let config = std::env::var("MICRO_CONFIG").expect("MICRO_CONFIG");
    let config: serde_json::Value = serde_json::from_slice(&std::fs::read(config).expect("config")).expect("JSON");
    let plan = project::compile(root.as_ref(), &config, &BTreeMap::new()).unwrap_or_else(|problems| {
        problems.iter().for_each(|problem| eprintln!("{problem}"));
        std::process::exit(78);
    });
    let plan = Arc::new(plan);
    let bytes = std::fs::read(&events).expect("events");
    let lines: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
    let slabs: Vec<Vec<u8>> = lines.chunks(512).map(<[&[u8]]>::concat).collect();
    let mut numbers = Vec::new();
    for _ in 0..=rounds {
        let router = Router::new(Arc::clone(&plan)).expect("router");
        let started = Instant::now();
        let mut accepted = 0;
        for slab in &slabs {
            let answer = router.submit_lines("mes", slab, &[], None, false, None).expect("admitted");
            accepted += answer.receipt.counts.accepted;
        }
        let spent = started.elapsed();
        assert_eq!(accepted as usize, lines.len());
        numbers.push(spent.as_nanos() as f64 / lines.len() as f64);
    }
    numbers.remove(0);
    numbers.sort_by(f64::total_cmp);
    println!("submit_lines: {:.0} ns/message (min {:.0}, max {:.0})", numbers[numbers.len() / 2], numbers[0], numbers[numbers.len() - 1]);
}
