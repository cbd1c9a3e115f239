//! Codes of SAP.

use super::Pairs;

/// Internal units (T006-MSEHI, the German keys that every client has).
#[rustfmt::skip]
pub(super) const INTERNAL: Pairs = &[
    ("ST", "H87"), ("EA", "EA"), ("PAA", "PR"), ("DZ", "DZN"), ("GRO", "GRO"), ("SET", "SET"), ("ROL", "NRL"),
    ("KAR", "XCT"), ("PAL", "XPX"), ("KI", "XCR"), ("PAK", "XPK"), ("FL", "XBO"), ("KAN", "XCI"),
    ("KG", "KGM"), ("G", "GRM"), ("MG", "MGM"), ("TO", "TNE"), ("LB", "LBR"), ("OZ", "ONZ"), ("TON", "STN"),
    ("M", "MTR"), ("KM", "KMT"), ("DM", "DMT"), ("CM", "CMT"), ("MM", "MMT"), ("µM", "4H"),
    ("M2", "MTK"), ("KM2", "KMK"), ("CM2", "CMK"), ("MM2", "MMK"), ("HAR", "HAR"),
    ("M3", "MTQ"), ("DM3", "DMQ"), ("CCM", "CMQ"), ("CM3", "CMQ"), ("MM3", "MMQ"),
    ("L", "LTR"), ("CL", "CLT"), ("ML", "MLT"), ("HL", "HLT"), ("µL", "4G"), ("GAL", "GLL"), ("QT", "QTL"), ("PT", "PTL"),
    ("STD", "HUR"), ("H", "HUR"), ("MIN", "MIN"), ("S", "SEC"), ("MS", "C26"), ("TAG", "DAY"), ("WCH", "WEE"), ("MON", "MON"), ("JHR", "ANN"),
    ("K", "KEL"), ("°C", "CEL"), ("°F", "FAH"),
    ("PA", "PAL"), ("KPA", "KPA"), ("MPA", "MPA"), ("BAR", "BAR"), ("MBA", "MBR"),
    ("N", "NEW"), ("KN", "B47"), ("NM", "NU"),
    ("W", "WTT"), ("KW", "KWT"), ("MW", "MAW"), ("J", "JOU"), ("KJ", "KJO"), ("KWH", "KWH"), ("MWH", "MWH"),
    ("A", "AMP"), ("MA", "4K"), ("V", "VLT"), ("MV", "2Z"), ("KV", "KVT"), ("OHM", "OHM"), ("KVA", "KVA"), ("HZ", "HTZ"), ("KHZ", "KHZ"), ("MHZ", "MHZ"),
    ("FT", "FOT"), ("YD", "YRD"), ("MI", "SMI"), ("FT2", "FTK"), ("YD2", "YDK"), ("FT3", "FTQ"), ("YD3", "YDQ"),
    ("%", "P1"), ("PPM", "59"), ("%O", "NX"),
];

/// ISO codes (T006-ISOCODE). `PCE` is not in Rec 20; SAP keeps it for pieces.
#[rustfmt::skip]
pub(super) const ISO: Pairs = &[
    ("PCE", "H87"), ("EA", "EA"), ("C62", "C62"), ("PR", "PR"), ("DZN", "DZN"), ("GRO", "GRO"), ("SET", "SET"), ("KT", "KT"),
    ("ROL", "NRL"), ("NRL", "NRL"), ("RO", "NRL"), ("CT", "XCT"), ("PF", "XPX"), ("PX", "XPX"), ("CR", "XCR"), ("PK", "XPK"), ("BG", "XBG"), ("BX", "XBX"), ("CS", "XCS"), ("DR", "XDR"), ("BO", "XBO"), ("CI", "XCI"),
    ("KGM", "KGM"), ("GRM", "GRM"), ("MGM", "MGM"), ("MC", "MC"), ("TNE", "TNE"), ("DTN", "DTN"), ("LBR", "LBR"), ("ONZ", "ONZ"), ("STN", "STN"), ("LTN", "LTN"),
    ("MTR", "MTR"), ("KMT", "KMT"), ("DMT", "DMT"), ("CMT", "CMT"), ("MMT", "MMT"), ("4H", "4H"), ("INH", "INH"), ("FOT", "FOT"), ("YRD", "YRD"), ("SMI", "SMI"),
    ("MTK", "MTK"), ("KMK", "KMK"), ("DMK", "DMK"), ("CMK", "CMK"), ("MMK", "MMK"), ("HAR", "HAR"), ("ARE", "ARE"), ("INK", "INK"), ("FTK", "FTK"), ("YDK", "YDK"), ("ACR", "ACR"),
    ("MTQ", "MTQ"), ("DMQ", "DMQ"), ("CMQ", "CMQ"), ("MMQ", "MMQ"), ("INQ", "INQ"), ("FTQ", "FTQ"), ("YDQ", "YDQ"),
    ("LTR", "LTR"), ("DLT", "DLT"), ("CLT", "CLT"), ("MLT", "MLT"), ("HLT", "HLT"), ("4G", "4G"), ("GLL", "GLL"), ("GLI", "GLI"), ("QTL", "QTL"), ("PTL", "PTL"), ("OZA", "OZA"), ("BLL", "BLL"),
    ("SEC", "SEC"), ("C26", "C26"), ("B98", "B98"), ("MIN", "MIN"), ("HUR", "HUR"), ("DAY", "DAY"), ("WEE", "WEE"), ("MON", "MON"), ("ANN", "ANN"),
    ("KEL", "KEL"), ("CEL", "CEL"), ("FAH", "FAH"),
    ("PAL", "PAL"), ("KPA", "KPA"), ("MPA", "MPA"), ("BAR", "BAR"), ("MBR", "MBR"), ("NEW", "NEW"), ("B47", "B47"), ("NU", "NU"),
    ("WTT", "WTT"), ("KWT", "KWT"), ("MAW", "MAW"), ("JOU", "JOU"), ("KJO", "KJO"), ("WHR", "WHR"), ("KWH", "KWH"), ("MWH", "MWH"),
    ("AMP", "AMP"), ("4K", "4K"), ("VLT", "VLT"), ("2Z", "2Z"), ("KVT", "KVT"), ("OHM", "OHM"), ("KVA", "KVA"), ("HTZ", "HTZ"), ("KHZ", "KHZ"), ("MHZ", "MHZ"),
    ("P1", "P1"), ("59", "59"), ("NX", "NX"),
];
