//! Codes of UCUM.

use super::Pairs;

/// Case-sensitive codes (`c/s`). Annotations in braces are not read.
#[rustfmt::skip]
pub(super) const UCUM: Pairs = &[
    ("1", "C62"), ("kg", "KGM"), ("g", "GRM"), ("mg", "MGM"), ("ug", "MC"), ("t", "TNE"), ("Mg", "2U"), ("[lb_av]", "LBR"), ("[oz_av]", "ONZ"), ("[oz_tr]", "APZ"), ("[gr]", "GRN"),
    ("[stone_av]", "STI"), ("[ston_av]", "STN"), ("[lton_av]", "LTN"),
    ("m", "MTR"), ("km", "KMT"), ("dm", "DMT"), ("cm", "CMT"), ("mm", "MMT"), ("um", "4H"), ("nm", "C45"), ("[in_i]", "INH"), ("[ft_i]", "FOT"), ("[yd_i]", "YRD"), ("[mi_i]", "SMI"),
    ("[nmi_i]", "NMI"), ("[mil_i]", "77"),
    ("m2", "MTK"), ("km2", "KMK"), ("dm2", "DMK"), ("cm2", "CMK"), ("mm2", "MMK"), ("har", "HAR"), ("ar", "ARE"), ("[sin_i]", "INK"), ("[sft_i]", "FTK"), ("[syd_i]", "YDK"),
    ("m3", "MTQ"), ("dm3", "DMQ"), ("cm3", "CMQ"), ("mm3", "MMQ"), ("[cin_i]", "INQ"), ("[cft_i]", "FTQ"), ("[cyd_i]", "YDQ"),
    ("L", "LTR"), ("l", "LTR"), ("dL", "DLT"), ("dl", "DLT"), ("cL", "CLT"), ("cl", "CLT"), ("mL", "MLT"), ("ml", "MLT"), ("uL", "4G"), ("ul", "4G"), ("hL", "HLT"), ("hl", "HLT"),
    ("[gal_us]", "GLL"), ("[gal_br]", "GLI"), ("[qt_us]", "QTL"), ("[pt_us]", "PTL"), ("[foz_us]", "OZA"), ("[bbl_us]", "BLL"),
    ("s", "SEC"), ("ms", "C26"), ("us", "B98"), ("ns", "C47"), ("min", "MIN"), ("h", "HUR"), ("d", "DAY"), ("wk", "WEE"), ("mo", "MON"), ("a", "ANN"),
    ("K", "KEL"), ("Cel", "CEL"), ("[degF]", "FAH"), ("[degR]", "A48"),
    ("Pa", "PAL"), ("hPa", "A97"), ("kPa", "KPA"), ("MPa", "MPA"), ("bar", "BAR"), ("mbar", "MBR"), ("[psi]", "PS"), ("atm", "ATM"), ("att", "ATT"), ("mm[Hg]", "HN"),
    ("N", "NEW"), ("kN", "B47"), ("MN", "B73"), ("mN", "C20"), ("kgf", "B37"), ("[lbf_av]", "C78"), ("dyn", "DU"), ("N/mm2", "C56"),
    ("N.m", "NU"), ("kN.m", "B48"), ("cN.m", "J72"), ("mN.m", "D83"), ("kgf.m", "B38"), ("[lbf_av].[ft_i]", "M92"), ("[lbf_av].[in_i]", "F21"),
    ("W", "WTT"), ("mW", "C31"), ("kW", "KWT"), ("MW", "MAW"), ("GW", "A90"), ("J", "JOU"), ("kJ", "KJO"), ("MJ", "3B"), ("GJ", "GV"),
    ("W.h", "WHR"), ("kW.h", "KWH"), ("MW.h", "MWH"), ("GW.h", "GWH"), ("kcal_IT", "E14"), ("cal_IT", "D70"), ("[Btu_IT]", "BTU"),
    ("V.A", "D46"), ("kV.A", "KVA"), ("MV.A", "MVA"),
    ("A", "AMP"), ("mA", "4K"), ("uA", "B84"), ("kA", "B22"), ("V", "VLT"), ("mV", "2Z"), ("uV", "D82"), ("kV", "KVT"), ("Ohm", "OHM"), ("mOhm", "E45"), ("kOhm", "B49"), ("MOhm", "B75"),
    ("C", "COU"), ("A.h", "AMH"), ("mA.h", "E09"), ("F", "FAR"), ("uF", "4O"), ("nF", "C41"), ("pF", "4T"), ("H", "81"), ("mH", "C14"), ("uH", "B90"), ("S", "SIE"), ("mS", "C27"), ("uS", "B99"),
    ("Hz", "HTZ"), ("kHz", "KHZ"), ("MHz", "MHZ"), ("GHz", "A86"),
    ("m/s", "MTS"), ("m/min", "2X"), ("km/h", "KMH"), ("mm/s", "C16"), ("mm/min", "H81"), ("cm/s", "2M"), ("[ft_i]/s", "FS"), ("[ft_i]/min", "FR"), ("[mi_i]/h", "HM"), ("[kn_i]", "KNT"),
    ("m/s2", "MSK"), ("[g]", "K40"), ("deg", "DD"), ("'", "D61"), ("''", "D62"), ("gon", "A91"), ("rad", "C81"), ("mrad", "C25"), ("urad", "B97"),
    ("kg/m3", "KMQ"), ("kg/L", "B35"), ("kg/l", "B35"), ("g/cm3", "23"), ("g/L", "GL"), ("g/l", "GL"), ("g/m3", "A93"), ("mg/L", "M1"), ("mg/l", "M1"), ("[lb_av]/[cft_i]", "87"),
    ("kg/m2", "28"), ("g/m2", "GM"), ("kg/m", "KL"), ("g/m", "GF"), ("mg/m", "C12"),
    ("m3/s", "MQS"), ("m3/h", "MQH"), ("L/h", "E32"), ("l/h", "E32"), ("L/min", "L2"), ("l/min", "L2"), ("L/s", "G51"), ("l/s", "G51"), ("mL/min", "41"), ("ml/min", "41"), ("[gal_us]/min", "G2"), ("[cft_i]/min", "2L"),
    ("kg/s", "KGS"), ("kg/h", "E93"), ("kg/min", "F31"), ("g/s", "F29"), ("g/min", "F28"), ("t/h", "E18"), ("[lb_av]/h", "4U"),
    ("%", "P1"), ("[ppth]", "NX"), ("[ppm]", "59"),
    ("Pa.s", "C65"), ("mPa.s", "C24"), ("cP", "C7"), ("P", "89"), ("m2/s", "S4"), ("mm2/s", "C17"), ("cSt", "4C"), ("St", "91"),
    ("bit", "A99"), ("By", "AD"), ("kBy", "2P"), ("MBy", "4L"), ("cd", "CDL"), ("lx", "LUX"), ("lm", "LUM"), ("mol", "C34"), ("mmol", "C18"), ("kmol", "B45"), ("T", "D33"), ("mT", "C29"),
    ("dB", "2N"), ("[pH]", "Q30"),
];
