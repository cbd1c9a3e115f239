#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panic")]

use proptest::prelude::*;

use super::*;

fn berlin(ambiguous: Ambiguous, nonexistent: Nonexistent) -> ZoneRule {
    ZoneRule::new("Europe/Berlin", Some(ambiguous), Some(nonexistent)).unwrap()
}

fn strict() -> ZoneRule {
    berlin(Ambiguous::Reject, Nonexistent::Reject)
}

fn time(format: Option<&str>, zone: Option<ZoneRule>, text: &str) -> Result<String, TimeError> {
    Ok(TimeReader::compile(format, zone).unwrap().read(text)?.to_string())
}

fn utc(text: &str) -> String {
    time(None, None, text).unwrap()
}

fn column(error: Result<String, TimeError>) -> u32 {
    match error {
        Err(TimeError::Bad { column, .. }) => column,
        other => panic!("{other:?}"),
    }
}

fn date(
    format: Option<&str>,
    zone: Option<ZoneRule>,
    day_starts: Option<&str>,
    text: &str,
) -> Result<String, TimeError> {
    Ok(DateReader::compile(format, zone, day_starts).unwrap().read(text)?.to_string())
}

#[test]
fn rfc_3339_is_read_without_a_format_and_printed_canonically() {
    for (text, expected) in [
        ("2026-11-24T10:07:12Z", "2026-11-24T10:07:12Z"),
        ("2026-11-24t10:07:12z", "2026-11-24T10:07:12Z"),
        ("2026-11-24 10:07:12-00:00", "2026-11-24T10:07:12Z"),
        ("2026-12-01T00:41:00+01:00", "2026-11-30T23:41:00Z"),
        ("2026-11-24T10:31:40.500Z", "2026-11-24T10:31:40.5Z"),
        ("2026-11-24T10:31:40.123456789999Z", "2026-11-24T10:31:40.123456789Z"),
        ("2026-11-24T10:31:40.000000000Z", "2026-11-24T10:31:40Z"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999999Z"),
        ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"),
    ] {
        assert_eq!(utc(text), expected);
    }
}

#[test]
fn a_text_of_another_form_is_refused_at_its_column() {
    for (text, at) in [
        ("", 1),
        ("26-11-24T10:00:00Z", 1),
        ("2026-13-24T10:00:00Z", 6),
        ("2026-02-29T10:00:00Z", 9),
        ("2026-11-24", 11),
        ("2026-11-24T24:00:00Z", 12),
        ("2026-11-24T10:00Z", 17),
        ("2026-11-24T10:00:61Z", 18),
        ("2026-11-24T10:00:00,5Z", 20),
        ("2026-11-24T10:00:00.Z", 21),
        ("2026-11-24T10:00:00+0100", 23),
        ("2026-11-24T10:00:00Zulu", 21),
        ("2026-11-24T10:00:00", 20),
        ("0000-01-01T00:00:00Z", 1),
        ("0001-01-01T00:00:00+01:00", 1),
        ("２026-11-24T10:00:00Z", 1),
    ] {
        assert_eq!(column(time(None, None, text)), at, "{text:?}");
    }
}

#[test]
fn a_local_time_is_read_in_its_zone_and_an_offset_overrides_the_zone() {
    assert_eq!(time(None, Some(strict()), "2026-11-24T10:00:00").unwrap(), "2026-11-24T09:00:00Z");
    assert_eq!(time(None, Some(strict()), "2026-07-24T10:00:00.5").unwrap(), "2026-07-24T08:00:00.5Z");
    assert_eq!(time(None, Some(strict()), "2026-11-24T10:00:00Z").unwrap(), "2026-11-24T10:00:00Z");
}

#[test]
fn the_repeated_hour_has_two_readings() {
    let read = |ambiguous| time(None, Some(berlin(ambiguous, Nonexistent::Reject)), "2026-10-25T02:30:00");
    assert_eq!(read(Ambiguous::Earlier).unwrap(), "2026-10-25T00:30:00Z");
    assert_eq!(read(Ambiguous::Later).unwrap(), "2026-10-25T01:30:00Z");
    let error = read(Ambiguous::Reject).unwrap_err();
    assert_eq!(error.code(), Code::TimeAmbiguous);
    assert!(error.to_string().contains("2026-10-25T00:30:00Z and 2026-10-25T01:30:00Z"), "{error}");
}

#[test]
fn the_skipped_hour_is_shifted_or_refused() {
    let read = |nonexistent| time(None, Some(berlin(Ambiguous::Reject, nonexistent)), "2026-03-29T02:30:00");
    assert_eq!(read(Nonexistent::Shift).unwrap(), "2026-03-29T01:30:00Z");
    assert_eq!(read(Nonexistent::Reject).unwrap_err().code(), Code::TimeNonexistent);
}

#[test]
fn declared_formats_are_read() {
    for (format, text, expected) in [
        ("%d.%m.%Y %H:%M:%S", "24.11.2026 10:00:00", "2026-11-24T09:00:00Z"),
        ("%d.%m.%Y %H:%M", "4.1.2026 7:05", "2026-01-04T06:05:00Z"),
        ("%Y%m%d %H%M%S", "20261123 054412", "2026-11-23T04:44:12Z"),
        ("%Y%m%d%H%M%S%f", "20261123054412123", "2026-11-23T04:44:12.123Z"),
        ("%Y-%m-%d PT%HH%MM%SS", "2026-11-23 PT10H17M53S", "2026-11-23T09:17:53Z"),
        ("%m/%d/%y %I:%M:%S %p", "11/24/26 12:30:00 AM", "2026-11-23T23:30:00Z"),
        ("%m/%d/%Y %I:%M %p", "11/24/2026 1:30 pm", "2026-11-24T12:30:00Z"),
        ("%a, %d %b %Y %T %Z", "Tue, 24 Nov 2026 10:00:00 GMT", "2026-11-24T10:00:00Z"),
        ("%d %B %Y %R", "24 november 2026 10:00", "2026-11-24T09:00:00Z"),
        ("%Y-%jT%T%.f%z", "2026-328T10:00:00.25+0100", "2026-11-24T09:00:00.25Z"),
        ("%FT%T%.f%z", "2026-11-24T10:00:00+01", "2026-11-24T09:00:00Z"),
        ("%G-W%V-%u %H:%M", "2026-W48-2 10:00", "2026-11-24T09:00:00Z"),
        ("%Y%m%d %H%M%S", "20261123 240000", "2026-11-23T23:00:00Z"),
        ("%d.%m.%Y", "24.11.2026", "2026-11-23T23:00:00Z"),
        ("%y%m%d %H Uhr", "690101 10 Uhr", "1969-01-01T09:00:00Z"),
        ("100%% %F %R", "100% 2026-11-24 10:00", "2026-11-24T09:00:00Z"),
    ] {
        assert_eq!(time(Some(format), Some(strict()), text).as_deref(), Ok(expected), "{format} {text}");
    }
}

#[test]
fn a_text_that_does_not_fit_its_format_is_refused_at_its_column() {
    for (format, text, at) in [
        ("%d.%m.%Y %H:%M", "24/11/2026 10:00", 3),
        ("%d.%m.%Y %H:%M", "24.11.26 10:00", 7),
        ("%Y%m%d %H%M%S", "20261123 54412", 10),
        ("%Y%m%d %H%M%S", "20261123 14412", 14),
        ("%d %b %Y %R", "24 Okt 2026 10:00", 4),
        ("%a %F %R", "Mon 2026-11-24 10:00", 1),
        ("%F %R", "2026-11-24 10:00 Uhr", 17),
        ("%Y%m%d %H%M%S", "20261123 240001", 1),
        ("%G-W%V-%u", "2026-W54-1", 7),
        ("%G-W%V-%u", "2025-W53-1", 1),
        ("%Y-%j", "2026-366", 1),
    ] {
        assert_eq!(column(time(Some(format), Some(strict()), text)), at, "{format} {text}");
    }
}

#[test]
fn numbers_since_1970_are_exact() {
    for (format, text, expected) in [
        ("epoch_s", "1700000000", "2023-11-14T22:13:20Z"),
        ("epoch_s", "1700000000.25", "2023-11-14T22:13:20.25Z"),
        ("epoch_s", "1.7e9", "2023-11-14T22:13:20Z"),
        ("epoch_s", "-0.5", "1969-12-31T23:59:59.5Z"),
        ("epoch_ms", "1700000000123", "2023-11-14T22:13:20.123Z"),
        ("epoch_us", "1700000000123456", "2023-11-14T22:13:20.123456Z"),
        ("epoch_ns", "1700000000123456789", "2023-11-14T22:13:20.123456789Z"),
        ("epoch_ms", "-1", "1969-12-31T23:59:59.999Z"),
        ("epoch_s", "-0.00000000000000000000000000000000000001", "1969-12-31T23:59:59.999999999Z"),
        ("epoch_ns", "0.00000000000000000000000000000000000001", "1970-01-01T00:00:00Z"),
        ("dotnet", "/Date(1700000000000+0100)/", "2023-11-14T22:13:20Z"),
        ("dotnet", "/Date(-1000)/", "1969-12-31T23:59:59Z"),
        ("dotnet", "/Date(-1000-0500)/", "1969-12-31T23:59:59Z"),
    ] {
        assert_eq!(time(Some(format), None, text).as_deref(), Ok(expected), "{format} {text}");
    }
    for (format, text) in [
        ("epoch_s", "now"),
        ("epoch_s", "+1"),
        ("epoch_s", "253402300800"),
        ("epoch_s", "1e30"),
        ("dotnet", "/Date()/"),
        ("dotnet", "/Date(1+0100x)/"),
        ("dotnet", "Date(1)"),
        ("dotnet", "/Date(ä-)/"),
    ] {
        assert_eq!(time(Some(format), None, text).unwrap_err().code(), Code::BadTime, "{text}");
    }
}

#[test]
fn what_a_format_leaves_open_is_refused_before_any_message() {
    let refused = |format: &str, zone| TimeReader::compile(Some(format), zone).unwrap_err();
    assert_eq!(refused("%F %T", None), TimeFormatError::NoZone);
    assert_eq!(refused("%T", None), TimeFormatError::NoDate);
    assert_eq!(refused("%m/%d %T", None), TimeFormatError::NoDate);
    assert_eq!(refused("%F %I:%M", None), TimeFormatError::NoHour);
    assert_eq!(refused("%F %M", None), TimeFormatError::NoHour);
    assert_eq!(refused("%F %Q", None), TimeFormatError::Directive("%Q".into()));
    assert_eq!(refused("%F %", None), TimeFormatError::Directive("%".into()));
    assert_eq!(refused("iso", None), TimeFormatError::Unknown("iso".into()));
    assert!(TimeReader::compile(Some("%F %T%z"), None).is_ok());
    let refused = |format, day_starts| DateReader::compile(format, None, day_starts).unwrap_err();
    assert_eq!(refused(Some("epoch_ms"), None), TimeFormatError::NoZoneForDate);
    assert_eq!(refused(Some("%F"), Some("06:00")), TimeFormatError::DayStarts);
    assert_eq!(refused(None, Some("6:00")), TimeFormatError::DayStarts);
}

#[test]
fn a_zone_with_clock_changes_must_say_what_it_does_with_them() {
    assert_eq!(zone_has_changes("Europe/Berlin"), Ok(true));
    assert_eq!(zone_has_changes("America/New_York"), Ok(true));
    assert_eq!(zone_has_changes("Asia/Tokyo"), Ok(false));
    assert_eq!(zone_has_changes("Asia/Shanghai"), Ok(false));
    assert_eq!(zone_has_changes("UTC"), Ok(false));
    assert_eq!(zone_has_changes("Europe/Bärlin"), Err(ZoneError::Unknown("Europe/Bärlin".into())));
    assert!(zone_has_changes("Etc/Unknown").is_err());
    let undeclared = ZoneRule::new("Europe/Berlin", Some(Ambiguous::Earlier), None).unwrap_err();
    assert_eq!(undeclared, ZoneError::Undeclared("Europe/Berlin".into()));
    assert!(ZoneRule::new("Asia/Tokyo", None, None).is_ok());
}

#[test]
fn a_plant_local_date_follows_zone_and_start_of_day() {
    let berlin = || Some(ZoneRule::for_dates("Europe/Berlin").unwrap());
    let text = "2026-12-01T00:41:00+01:00";
    assert_eq!(date(None, berlin(), None, text).unwrap(), "2026-12-01");
    assert_eq!(date(None, berlin(), Some("06:00"), text).unwrap(), "2026-11-30");
    assert_eq!(date(None, berlin(), Some("06:00"), "2026-12-01T05:00:00Z").unwrap(), "2026-12-01");
    assert_eq!(date(None, berlin(), Some("06:00"), "2026-12-01T04:59:59.9Z").unwrap(), "2026-11-30");
    assert_eq!(date(Some("%d.%m.%Y"), None, None, "24.11.2026").unwrap(), "2026-11-24");
    assert_eq!(date(None, None, None, "2026-11-24").unwrap(), "2026-11-24");
    assert_eq!(date(None, None, Some("06:00"), "2026-11-24T05:59:00").unwrap(), "2026-11-23");
    assert_eq!(date(None, berlin(), None, "2026-10-25T02:30:00").unwrap(), "2026-10-25");
    assert_eq!(date(None, berlin(), None, "2026-03-29T02:30:00").unwrap_err().code(), Code::TimeNonexistent);
    assert_eq!(date(None, None, None, "2026-11-24T10:00:00Z").unwrap_err().code(), Code::BadTime);
    assert_eq!(date(None, None, Some("06:00"), "0001-01-01T05:00:00").unwrap_err().code(), Code::BadTime);
}

fn day_of(zone: &str, day_starts: &str, text: &str) -> String {
    date(None, Some(ZoneRule::for_dates(zone).unwrap()), Some(day_starts), text).unwrap()
}

#[test]
fn a_day_that_has_started_stays_when_the_clock_is_set_back() {
    // 02:30 is shown at 00:30Z and again at 01:30Z; the day starts the first time.
    for (day_starts, text, expected) in [
        ("02:30", "2026-10-25T00:29:59.999Z", "2026-10-24"),
        ("02:30", "2026-10-25T00:30:00Z", "2026-10-25"),
        ("02:30", "2026-10-25T00:59:59Z", "2026-10-25"),
        ("02:30", "2026-10-25T01:00:00Z", "2026-10-25"),
        ("02:30", "2026-10-25T01:29:59Z", "2026-10-25"),
        ("02:30", "2026-10-25T01:30:00Z", "2026-10-25"),
        ("02:30", "2026-10-26T01:29:59Z", "2026-10-25"),
        ("02:30", "2026-10-26T01:30:00Z", "2026-10-26"),
        ("02:00", "2026-10-24T23:59:59Z", "2026-10-24"),
        ("02:00", "2026-10-25T00:00:00Z", "2026-10-25"),
        ("02:00", "2026-10-25T01:00:00Z", "2026-10-25"),
        ("03:00", "2026-10-25T00:59:59Z", "2026-10-24"),
        ("03:00", "2026-10-25T01:00:00Z", "2026-10-24"),
        ("03:00", "2026-10-25T02:00:00Z", "2026-10-25"),
        // 02:30 is left out; the day starts where the clock is set forward.
        ("02:30", "2026-03-29T00:59:59Z", "2026-03-28"),
        ("02:30", "2026-03-29T01:00:00Z", "2026-03-29"),
    ] {
        assert_eq!(day_of("Europe/Berlin", day_starts, text), expected, "{day_starts} {text}");
    }
    // One minute of the new day is shown before the clock goes back into the old one.
    assert_eq!(day_of("America/St_Johns", "00:00", "2010-11-07T02:30:30Z"), "2010-11-07");
    assert_eq!(day_of("America/St_Johns", "00:00", "2010-11-07T02:31:00Z"), "2010-11-07");
    let calendar =
        |text| date(None, Some(ZoneRule::for_dates("America/St_Johns").unwrap()), None, text).unwrap();
    assert_eq!(calendar("2010-11-07T02:30:30Z"), "2010-11-07");
    assert_eq!(calendar("2010-11-07T02:31:00Z"), "2010-11-06");
}

#[test]
fn a_local_time_that_is_in_two_days_is_refused_unless_declared() {
    let read = |ambiguous, text| {
        let zone = ZoneRule::new("Europe/Berlin", Some(ambiguous), Some(Nonexistent::Reject)).unwrap();
        date(None, Some(zone), Some("02:30"), text)
    };
    let text = "2026-10-25T02:15:00";
    assert_eq!(read(Ambiguous::Earlier, text).unwrap(), "2026-10-24");
    assert_eq!(read(Ambiguous::Later, text).unwrap(), "2026-10-25");
    assert_eq!(read(Ambiguous::Reject, text).unwrap_err().code(), Code::TimeAmbiguous);
    assert_eq!(read(Ambiguous::Reject, "2026-10-25T02:45:00").unwrap(), "2026-10-25");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    // Near changes of the clock, among them days left out or repeated where a date line moved.
    #[test]
    fn the_day_of_the_plant_never_goes_back(
        change in 0_usize..300,
        from in -100_000_i64..100_000,
        step in 0_i64..90_000,
        start in 0_u32..1440,
        zone in prop::sample::select(vec![
            "Europe/Berlin", "America/New_York", "America/St_Johns", "Australia/Lord_Howe", "Africa/Casablanca",
            "Pacific/Apia", "Pacific/Kwajalein", "America/Juneau", "Asia/Manila", "Antarctica/Troll", "Asia/Tokyo",
        ]),
    ) {
        let starts = format!("{:02}:{:02}", start / 60, start % 60);
        let reader = DateReader::compile(None, Some(ZoneRule::for_dates(zone).unwrap()), Some(&starts)).unwrap();
        let day = |seconds| reader.date(Instant::new(seconds, 0).unwrap()).unwrap();
        let changes = jiff::tz::TimeZone::get(zone).unwrap();
        let until = jiff::Timestamp::from_second(2_840_140_800).unwrap();
        let changes: Vec<i64> = changes.preceding(until).take(300).map(|at| at.timestamp().as_second()).collect();
        let seconds = changes[change % changes.len()] + from;
        prop_assert!(day(seconds) <= day(seconds + step), "{} {} {} {}", zone, starts, seconds, step);
    }
}

proptest! {
    #[test]
    fn every_instant_prints_as_jiff_does_and_reads_back(seconds in SECONDS_MIN..=253_402_207_200_i64, nanoseconds in 0_u32..1_000_000_000) {
        let instant = Instant::new(seconds, nanoseconds).unwrap();
        let text = instant.to_string();
        let jiff = jiff::Timestamp::new(seconds, nanoseconds.cast_signed()).unwrap();
        prop_assert_eq!(&text, &jiff.to_string());
        prop_assert_eq!(TimeReader::compile(None, None).unwrap().read(&text), Ok(instant));
    }

    #[test]
    fn an_instant_survives_the_way_through_a_local_clock(seconds in 0_i64..4_000_000_000, nanoseconds in 0_u32..1_000_000_000) {
        let instant = Instant::new(seconds, nanoseconds).unwrap();
        let zone = strict();
        let local = zone.local(instant).unwrap();
        match zone.resolve(local, nanoseconds) {
            Ok(found) => prop_assert_eq!(found, instant),
            Err(TimeError::Ambiguous { earlier, later }) => prop_assert!(earlier == instant || later == instant),
            Err(error) => prop_assert!(false, "{}", error),
        }
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,30}", format in "(%[YymdejbBaAGVuHIMSfzZpFTR.%]|[ :ä])*") {
        let _ = TimeReader::compile(None, Some(strict())).unwrap().read(&text);
        if let Ok(reader) = TimeReader::compile(Some(&format), Some(strict())) {
            let _ = reader.read(&text);
        }
    }
}

proptest! {
    #[test]
    fn what_is_read_as_our_own_text_is_what_any_reader_reads_and_is_written_the_same(
        seconds in SECONDS_MIN..=SECONDS_MAX,
        nanoseconds in prop_oneof![Just(0), 0_u32..1_000_000_000, (0_u32..1000).prop_map(|ms| ms * 1_000_000)],
        edits in prop::collection::vec((0_usize..40, prop::sample::select(b"0139Z.T:-t+ ".to_vec())), 0..3),
    ) {
        let reader = TimeReader::compile(None, None).unwrap();
        let instant = Instant::new(seconds, nanoseconds).unwrap();
        prop_assert_eq!(reader.read_own(instant.to_string().as_bytes()), Some(instant));
        let mut text = instant.to_string().into_bytes();
        for (at, byte) in edits {
            let at = at % text.len();
            text[at] = byte;
        }
        let text = String::from_utf8(text).unwrap();
        if let Some(found) = reader.read_own(text.as_bytes()) {
            prop_assert_eq!(reader.read(&text), Ok(found));
            prop_assert_eq!(found.to_string(), text);
        }
    }
}
