//! Faults of the log that were found once, each in its smallest form.

use mfgroute_log::{Frame, Keeper, OpenError, Store, Writer, open, stat, verify};

use crate::damage::{SEGMENT, make_ready, options};
use mfgroute_log::testing::{Dice, Faults, Machine};

/// A small log with some durable records, on a machine without faults.
fn small(machine: &Machine, records: u64) -> (Writer, Keeper, Store) {
    let (mut writer, mut keeper, mut store, _) =
        open(machine.disk(), &options(3), &mut |_, _, _| ()).unwrap();
    let mut frame = Frame::new();
    for _ in 0..records {
        make_ready(&mut writer, &mut keeper, &mut store);
        frame.clear();
        frame.push(&[7; 3_000]);
        store.append(&frame, 1).unwrap();
        let group = store.take_pending();
        store.committed(writer.write(&group).unwrap());
    }
    (writer, keeper, store)
}

#[test]
fn a_segment_whose_retirement_failed_is_retired_when_asked_again() {
    let machine = Machine::new(Dice::new(1));
    let (_, mut keeper, mut store) = small(&machine, 5);
    let names = store.free_to(4);
    assert_eq!(names.len(), 1);
    for _ in 0..3 {
        machine.set_faults(Faults { names: 2, ..Faults::default() });
        let _ = keeper.retire(&names[0], true);
    }
    machine.set_faults(Faults::default());
    keeper.retire(&names[0], true).unwrap();
    assert!(machine.durable_file(&names[0]).is_none());
}

#[test]
fn a_seal_takes_no_room_from_frames_that_wait() {
    let machine = Machine::new(Dice::new(1));
    let (mut writer, mut keeper, mut store) = small(&machine, 1);
    make_ready(&mut writer, &mut keeper, &mut store);
    let mut frame = Frame::new();
    // One that just fits, and so many others as the next segment takes.
    let used = stat(&*machine.disk()).unwrap()[0].used;
    let left = SEGMENT - used - 40;
    for _ in 0..3 {
        frame.clear();
        frame.push(&vec![1; left as usize / 4 - 44]);
        store.append(&frame, 1).unwrap();
    }
    let rest = left - 3 * (left / 4);
    frame.clear();
    frame.push(&vec![1; rest as usize - 44]);
    store.append(&frame, 1).unwrap();
    frame.clear();
    frame.push(b"in the next segment");
    store.append(&frame, 1).unwrap();
    if store.begin_seal() {
        store.committed(writer.seal().unwrap());
    }
    frame.clear();
    frame.push(&[2; 10]);
    while store.fits(&frame).is_ok() {
        store.append(&frame, 1).unwrap();
    }
    let group = store.take_pending();
    store.committed(writer.write(&group).unwrap());
    assert_eq!(store.durable(), store.next_seq());
}

#[test]
fn a_seal_that_does_not_fit_into_its_segment_is_the_head_of_the_next_one() {
    for rest in 0..80 {
        let machine = Machine::new(Dice::new(1));
        let (mut writer, mut keeper, mut store) = small(&machine, 1);
        let used = stat(&*machine.disk()).unwrap()[0].used;
        let mut frame = Frame::new();
        // Pieces of a quarter of a segment, and one that leaves so many bytes.
        let mut left = SEGMENT - used - rest;
        while left > 0 {
            let piece = if left > 2_000 { 1_000 } else { left };
            frame.clear();
            frame.push(&vec![1; piece as usize - 44]);
            store.append(&frame, 1).unwrap();
            let group = store.take_pending();
            store.committed(writer.write(&group).unwrap());
            left -= piece;
        }
        assert!(store.sealed() < store.durable());
        make_ready(&mut writer, &mut keeper, &mut store);
        assert!(store.begin_seal(), "{rest} bytes are left");
        store.committed(writer.seal().unwrap());
        assert_eq!(store.sealed(), store.durable(), "{rest} bytes are left");
        frame.clear();
        frame.push(b"goes on");
        store.append(&frame, 1).unwrap();
        let group = store.take_pending();
        store.committed(writer.write(&group).unwrap());
        assert_eq!(verify(&*machine.disk()).unwrap().next, store.next_seq());
    }
}

/// Flips a bit of a file of a log of one segment.
fn flip(machine: &Machine, at: usize) {
    let file = machine.disk().open("00000000000000000000-000001.log").unwrap();
    let byte = file.read_up_to(1, at as u64).unwrap()[0] ^ 4;
    file.write_all_at(&[byte], at as u64).unwrap();
}

#[test]
fn a_damaged_attestation_does_not_take_the_durable_records_behind_it_along() {
    let machine = Machine::new(Dice::new(1));
    let (mut writer, _, mut store) = small(&machine, 1);
    let attestation = stat(&*machine.disk()).unwrap()[0].used;
    assert!(store.begin_seal());
    store.committed(writer.seal().unwrap());
    let mut frame = Frame::new();
    frame.push(b"durable, and nothing attests it");
    store.append(&frame, 1).unwrap();
    let group = store.take_pending();
    store.committed(writer.write(&group).unwrap());
    assert_eq!(verify(&*machine.disk()).unwrap().next, 2);
    flip(&machine, attestation as usize + 9);
    match verify(&*machine.disk()) {
        Err(OpenError::Corrupt(found)) => {
            assert_eq!((found.offset, found.first, found.next), (attestation, 1, Some(1)));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_last_record_is_not_cut_without_a_word_whatever_byte_of_it_is_damaged() {
    let machine = Machine::new(Dice::new(1));
    let _running = small(&machine, 2);
    let used = stat(&*machine.disk()).unwrap()[0].used as usize;
    for at in used - 3_044..used {
        flip(&machine, at);
        let found = verify(&*machine.disk()).unwrap();
        assert_eq!(found.next, 1, "byte {at}");
        assert_eq!(found.torn.unwrap().1 as usize, used - 3_044, "byte {at}");
        flip(&machine, at);
    }
    assert_eq!(verify(&*machine.disk()).unwrap().next, 2);
}
