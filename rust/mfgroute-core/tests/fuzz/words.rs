//! Words of each language, for changes at random.

pub(crate) const JSON: &[&[u8]] = &[
    b"{", b"}", b"[", b"]", b":", b",", b"\"", b"\\", b"\"a\":", b"null", b"true", b"false", b"\\u0000",
    b"\\ud83d\\ude00", b"\\ud800", b"\\udc00", b"\\n", b"{}", b"[]", b"\"\"", b"-0", b"1e5", b"1.50",
    b"\"\\u0061\":1", b" ", b"\n", b"\"b\":", b"NaN",
];

pub(crate) const XML: &[&[u8]] = &[
    b"<a>", b"</a>", b"<a/>", b"<!--", b"-->", b"<![CDATA[", b"]]>", b"<?p", b"?>", b"<!DOCTYPE a [",
    b"<!ENTITY x \"y\">", b"&amp;", b"&#x41;", b"&#0;", b"&x;", b" b=\"1\"", b" xmlns=\"u\"", b" xmlns:p=\"u\"",
    b"<p:a>", b"xml:", b"<?xml version=\"1.0\" encoding=\"utf-8\"?>", b"'", b"\"", b"encoding=\"utf-16\"",
    b"&#xD800;", b"<", b">", b"=", b"/",
];

pub(crate) const CSV: &[&[u8]] = &[
    b",", b";", b"\t", b"\"", b"\"\"", b"\n", b"\r\n", b"\r", b"a", b"b", b"sum", b"#", b"1.234,5",
    b"\xef\xbb\xbf", b"\"\n\"", b"'", b"\0",
];

pub(crate) const TEXT: &[&[u8]] = &[
    b"-", b"/", b"00", b"a", b"\xc3\xa9/", b" ", b"\xc2\xa0", b"12", b"\xff", b"\x80\x30\x81\x30", b"\0", b"\n",
    b"\x03\0\0\0", "ß".as_bytes(), "İ".as_bytes(),
];

pub(crate) const YAML: &[&[u8]] = &[
    b"a: ", b"- ", b"\n", b"  ", b"{", b"}", b"[", b"]", b", ", b"&a ", b"*a", b"<<: ", b"!!str ",
    b"!!python/object:x ", b"|\n", b">-\n", b"\"", b"'", b"# ", b"---\n", b"...\n", b"${X}", b"$${X}", b"${",
    b"${file:x}", b": ", b"? ", b"%YAML 1.2\n", b"0x1F", b"007", b"1_000", b"~", b"yes", b"\t", b".inf",
];

pub(crate) const PATH: &[&[u8]] = &[
    b".", b"[*]", b"[0]", b"[-1]", b"[", b"]", b"^.", b"$", b"$.", b"#", b"@k", b"#text", b"**", b"*", b"'a.b'",
    b"\"", b"[a=1]", b"[?", b"item", b"[c='1']", b"[2147483648]", b"?",
];

pub(crate) const CEL: &[&[u8]] = &[
    b"data.", b"message.", b"item.", b"meta['file.name']", b"type", b"source", b" && ", b" || ", b"!", b" == ",
    b" != ", b" < ", b" >= ", b" in ", b"has(", b")", b"(", b"size(", b".all(x, ", b".exists(x, ", b".filter(x, ",
    b".map(x, ", b".startsWith('x')", b".matches('^a')", b"[", b"]", b"{", b"}", b"'", b"\"", b" ? ", b" : ",
    b" + ", b" * ", b"1.5", b"-1", b"9223372036854775807", b"1u", b"null", b"true", b"data.qty.good", b"data.n",
    b"data.list", b"int(", b"string(", b"timestamp(", b"duration('1s')", b"\\u00e9", b"b'x'", b"sum(", b"1e400",
];

pub(crate) const SCHEMA: &[&[u8]] = &[
    b"\"type\":", b"\"object\"", b"\"string\"", b"\"properties\":{", b"\"a\":", b"\"$ref\":\"#\"",
    b"\"$ref\":\"#/$defs/a\"", b"\"$defs\":{", b"\"allOf\":[", b"\"anyOf\":[", b"\"oneOf\":[", b"\"not\":",
    b"\"enum\":[", b"\"const\":", b"\"pattern\":\"^(a+)+$\"", b"\"format\":\"decimal\"", b"\"minimum\":",
    b"\"multipleOf\":0", b"\"items\":", b"\"prefixItems\":[", b"\"required\":[\"a\"]",
    b"\"additionalProperties\":false", b"\"unevaluatedProperties\":false", b"\"$dynamicRef\":\"#x\"", b"\"if\":",
    b"\"then\":", b"\"x-decimal\":{\"digits\":3}", b"\"x-codes\":\"rec20\"", b"true", b"false", b"{}", b"{", b"}",
    b",", b"\"uniqueItems\":true", b"\"dependentRequired\":{\"a\":[\"b\"]}", b"\"$id\":\"http://x/\"",
    b"\"$anchor\":\"x\"", b"\"$schema\":\"http://json-schema.org/draft-07/schema#\"", b"\"contains\":",
    b"\"minContains\":2", b"\"propertyNames\":",
];

pub(crate) const NUMBER: &[&[u8]] = &[
    b"-", b"+", b".", b",", b"e", b"E-", b"0", b"00000000000000000000", b"9",
    b"99999999999999999999999999999999999999", b"5", b"\n", b" ", b"\xe2\x80\xaf", b"1.234", b"/", b"e+38", b"e-38",
    b"\xe2\x80\x99", b"170141183460469231731687303715884105727",
];

pub(crate) const TIME: &[&[u8]] = &[
    b"%Y", b"%m", b"%d", b"%H", b"%M", b"%S", b"%f", b"%.f", b"%z", b"%Z", b"%j", b"%G", b"%V", b"%u", b"%b", b"%p",
    b"%I", b"%F", b"%T", b"%a", b"T", b"Z", b"+01:00", b"-", b":", b"\n", b"epoch_ms", b"dotnet", b"/Date(", b")/",
    b"60", b"24", b"9999", b"0001", b"02-29", b".999999999999", b"Oct", b"PT", b"\xef\xbc\x91", b"e", b"PM",
    b"-0000",
];
