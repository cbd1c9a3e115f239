//! Every reader of bytes that come from outside, run on seeds and on what mutation makes of them.
//!
//! A *target* is a plain function of bytes that panics when something is wrong: when a reader crashes, points
//! outside its input, or disagrees with another reader of the same bytes. [`drive`] runs a target on the inputs
//! that once failed (`tests/fuzz/regressions/<target>/`), on its seeds, and then on mutated ones for
//! `FUZZ_SECONDS` (2). An input that fails is made smaller and kept among the regressions.
//!
//! `FUZZ_SEED`, or else `PROPTEST_RNG_SEED`, repeats a run as far as the clock allows; without either, every
//! run is another one.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says so when it fails")]

mod configuration;
mod csv;
mod drive;
mod flat;
mod json;
mod mutate;
mod numbers;
mod seeds;
mod stored;
mod texts;
mod times;
#[rustfmt::skip]
mod words;
mod xml;

use drive::Print;

/// Makes a test of a target: its function, what to start from, and words that it may find interesting.
macro_rules! fuzz {
    ($($name:ident: $target:path, $seeds:expr, $words:expr;)+) => {$(
        #[test]
        fn $name() {
            drive::test(stringify!($name), $target, &$seeds, $words);
        }
    )+};
}

fuzz! {
    json_is_judged_as_another_parser_judges_it: json::strict, seeds::json(), words::JSON;
    json_escapes_mean_what_another_parser_says: json::escapes, seeds::escapes(), words::JSON;
    a_line_runs_flat_as_on_trees: flat::line, seeds::lines(), words::JSON;
    a_slab_runs_flat_as_on_trees_and_in_parts_as_whole: flat::slab, seeds::slabs(), words::JSON;
    xml_is_whole_or_refused: xml::document, seeds::xml(), words::XML;
    csv_is_cut_into_messages_that_read_again: csv::file, seeds::csv(), words::CSV;
    any_encoding_is_read_or_refused_at_its_byte: texts::encodings, seeds::texts(), words::TEXT;
    text_rules_keep_their_bounds: texts::rules, seeds::texts(), words::TEXT;
    configuration_has_a_place_for_everything: configuration::yaml, seeds::yaml(), words::YAML;
    a_path_prints_as_it_reads: configuration::path, seeds::paths(), words::PATH;
    an_expression_compiles_or_says_where_not: configuration::expression, seeds::expressions(), words::CEL;
    a_schema_compiles_and_gives_one_verdict: configuration::schema, seeds::schemas(), words::SCHEMA;
    a_payload_has_one_verdict_from_both_validators: configuration::payload, seeds::payloads(), words::JSON;
    a_decimal_is_the_number_that_is_written: numbers::decimal, seeds::numbers(), words::NUMBER;
    a_declared_form_of_numbers_is_read_exactly: numbers::declared, seeds::numbers(), words::NUMBER;
    a_time_that_is_read_prints_and_reads_again: times::time, seeds::times(), words::TIME;
    a_record_of_the_log_reads_as_it_was_written: stored::record, seeds::records(), words::TEXT;
    a_log_gives_back_what_was_appended: stored::log, seeds::records(), words::TEXT;
}

/// A number for what happened, which is new when the input showed something new.
fn print(what: &str, size: usize) -> Print {
    let words = what.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // Sizes count in steps of doubling.
    Print(
        words ^ u64::from(size.checked_ilog2().map_or(0, |log| log + 1)).wrapping_mul(0x9e37_79b9_7f4a_7c15),
    )
}

/// Panics unless a place in the input is inside it, or just behind it.
#[track_caller]
fn inside(reject: &mfgroute_core::reject::Reject, length: usize) {
    if let Some(offset) = reject.offset {
        assert!(offset <= length as u64, "offset {offset} of {length} bytes: {reject:?}");
    }
}
