//! Codes of ASC X12.

use super::Pairs;

/// Data element 355, Unit or Basis for Measurement Code.
#[rustfmt::skip]
pub(super) const X12: Pairs = &[
    ("EA", "EA"), ("PC", "H87"), ("UN", "C62"), ("PR", "PR"), ("DZ", "DZN"), ("GS", "GRO"), ("ST", "SET"), ("KT", "KT"), ("LO", "LO"), ("RO", "NRL"),
    ("BG", "XBG"), ("BX", "XBX"), ("CT", "XCT"), ("CA", "XCS"), ("PK", "XPK"), ("PL", "XPX"), ("DR", "XDR"), ("RE", "XRL"), ("BO", "XBO"),
    ("KG", "KGM"), ("GR", "GRM"), ("ME", "MGM"), ("MP", "TNE"), ("LB", "LBR"), ("OZ", "ONZ"), ("TN", "STN"),
    ("MR", "MTR"), ("DK", "KMT"), ("CM", "CMT"), ("MM", "MMT"), ("IN", "INH"), ("FT", "FOT"), ("LF", "FOT"), ("YD", "YRD"),
    ("SM", "MTK"), ("SF", "FTK"), ("SY", "YDK"), ("SI", "INK"),
    ("CR", "MTQ"), ("CF", "FTQ"), ("CI", "INQ"), ("CY", "YDQ"), ("LT", "LTR"), ("ML", "MLT"), ("GA", "GLL"), ("QT", "QTL"), ("PT", "PTL"), ("FO", "OZA"),
    ("03", "SEC"), ("MJ", "MIN"), ("HR", "HUR"), ("DA", "DAY"), ("WK", "WEE"), ("MO", "MON"), ("YR", "ANN"),
    ("CE", "CEL"), ("FA", "FAH"), ("KV", "KEL"), ("PS", "PS"), ("KH", "KWH"), ("P1", "P1"),
];
