#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panic")]

use std::collections::HashSet;

use super::*;
use crate::value::{Round, RoundMode, terminates_always};

fn converted(value: &str, from: &str, to: &str, places: u32) -> String {
    let conversion = convert(unit(from).unwrap(), unit(to).unwrap()).unwrap();
    let round = Round { places, mode: RoundMode::HalfEven };
    conversion.convert(Decimal::parse(value).unwrap(), Some(round)).unwrap().to_string()
}

fn exactly(value: &str, from: &str, to: &str) -> String {
    let conversion = convert(unit(from).unwrap(), unit(to).unwrap()).unwrap();
    conversion.convert(Decimal::parse(value).unwrap(), None).unwrap().to_string()
}

#[test]
fn every_formula_of_the_tables_is_readable_and_has_a_way_back() {
    for unit in all() {
        let there = formula(unit.formula()).unwrap_or_else(|| panic!("{unit}: {}", unit.formula()));
        assert!(there.inverse().is_some(), "{unit}");
    }
}

#[test]
fn no_code_names_two_units() {
    assert_eq!(all().map(Unit::code).collect::<HashSet<_>>().len(), all().count());
    for set in CodeSet::ALL {
        let codes: Vec<_> = set.pairs().iter().map(|(code, _)| code).collect();
        assert_eq!(codes.iter().collect::<HashSet<_>>().len(), codes.len(), "{set:?}");
    }
}

#[test]
fn every_code_of_a_set_has_a_unit_and_a_way_back() {
    for set in CodeSet::ALL {
        assert_eq!(CodeSet::by_name(set.name()), Some(set));
        for (code, rec20) in set.pairs() {
            let found = set.unit(code);
            assert!(found.is_some() && found == unit(rec20), "{set:?} {code} {rec20}");
        }
        for (code, unit) in set.codes() {
            let preferred = set.code(unit).unwrap();
            assert_eq!(set.unit(preferred), Some(unit), "{set:?} {code}");
        }
    }
}

#[test]
fn known_conversions_are_exact() {
    assert_eq!(exactly("1", "LBR", "KGM"), "0.45359237");
    assert_eq!(exactly("1", "INH", "MMT"), "25.4");
    assert_eq!(exactly("16", "ONZ", "LBR"), "1");
    assert_eq!(exactly("2000", "LBR", "STN"), "1");
    assert_eq!(exactly("231", "INQ", "GLL"), "1");
    assert_eq!(exactly("42", "GLL", "BLL"), "1");
    assert_eq!(exactly("-40", "FAH", "CEL"), "-40");
    assert_eq!(exactly("0", "CEL", "FAH"), "32");
    assert_eq!(exactly("0", "CEL", "KEL"), "273.15");
    assert_eq!(exactly("491.67", "A48", "CEL"), "0");
    assert_eq!(exactly("760", "UA", "ATM"), "1");
    assert_eq!(exactly("3", "DZN", "H87"), "36");
    assert_eq!(exactly("7", "EA", "C62"), "7");
    assert_eq!(exactly("1", "KWH", "3B"), "3.6");
    assert_eq!(exactly("60", "RPM", "RPS"), "1");
    assert_eq!(exactly("1", "KNT", "KMH"), "1.852");
}

#[test]
fn the_readings_of_the_first_benchmark_convert_as_expected() {
    assert_eq!(converted("240.9", "FAH", "CEL", 6), "116.055556");
    assert_eq!(converted("49", "PS", "BAR", 6), "3.378431");
    assert_eq!(converted("384", "LBR", "KGM", 6), "174.17947");
    assert_eq!(converted("513.25", "SEC", "MIN", 6), "8.554167");
    assert_eq!(converted("1", "PS", "PAL", 9), "6894.757293168");
}

#[test]
fn only_units_of_one_dimension_convert() {
    for (from, to) in [
        ("H87", "NRL"),
        ("KGM", "LTR"),
        ("RPM", "HTZ"),
        ("NU", "JOU"),
        ("MON", "DAY"),
        ("SET", "EA"),
        ("XPX", "XCT"),
    ] {
        let (from, to) = (unit(from).unwrap(), unit(to).unwrap());
        assert_eq!(convert(from, to), None, "{from} {to}");
        assert_eq!(convert(to, from), None, "{to} {from}");
    }
    for from in all() {
        for to in all() {
            assert_eq!(
                convert(from, to).is_some(),
                from.dimension_name() == to.dimension_name(),
                "{from} {to}"
            );
        }
    }
}

#[test]
fn there_and_back_changes_nothing_in_any_pair() {
    for from in all() {
        for to in all() {
            if let (Some(there), Some(back)) = (convert(from, to), convert(to, from)) {
                assert_eq!(there.then(back), Affine::IDENTITY, "{from} {to}");
            }
        }
    }
}

#[test]
fn whether_rounding_is_needed_is_known_before_any_message() {
    let needs_round = |from, to| !terminates_always(convert(unit(from).unwrap(), unit(to).unwrap()).unwrap());
    assert!(!needs_round("GRM", "KGM"));
    assert!(needs_round("FAH", "CEL"));
    assert!(!needs_round("CEL", "FAH"));
    assert!(needs_round("SEC", "MIN"));
}

#[test]
fn codes_are_case_sensitive_and_mean_what_their_set_says() {
    let code = |set: CodeSet, code: &str| set.unit(code).map(Unit::code);
    assert_eq!(code(CodeSet::Sap, "ST"), Some("H87"));
    assert_eq!(code(CodeSet::X12, "ST"), Some("SET"));
    assert_eq!(code(CodeSet::Sap, "PAL"), Some("XPX"));
    assert_eq!(code(CodeSet::Rec20, "PAL"), Some("PAL"));
    assert_eq!(unit("PAL").unwrap().name(), "pascal");
    assert_eq!(code(CodeSet::Ucum, "cel"), None);
    assert_eq!(code(CodeSet::Ucum, "l"), Some("LTR"));
    assert_eq!(CodeSet::Ucum.code(unit("LTR").unwrap()), Some("L"));
    assert_eq!(CodeSet::Sap.code(unit("H87").unwrap()), Some("ST"));
    assert_eq!(code(CodeSet::SapIso, "PCE"), Some("H87"));
}

#[test]
fn what_only_a_material_converts_counts() {
    for code in ["H87", "EA", "DZN", "XCT", "SET"] {
        assert!(unit(code).unwrap().is_count(), "{code}");
    }
    for code in ["KGM", "LTR", "HUR", "CEL", "P1"] {
        assert!(!unit(code).unwrap().is_count(), "{code}");
    }
}
