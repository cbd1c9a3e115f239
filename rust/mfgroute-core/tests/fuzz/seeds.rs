//! What the search starts from: ordinary inputs, and hostile ones of every kind that was ever sent to a parser.

fn all(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

pub(crate) fn json() -> Vec<Vec<u8>> {
    let mut seeds = all(&[
        r#"{"a":[1,2.50,-0,1e3],"b":{"c":null,"d":"x\u00e9\ud83d\ude00\n"},"e":true}"#,
        r#"{"a":1,"a":2}"#,
        r#"{"a":1,"\u0061":2}"#,
        "[1e999,18446744073709551616,0.1,99999999999999999999999999999999999999]",
        r#""\ud800""#,
        "{\"a\\u0000\":1}",
        "\u{feff}{}",
        " [ ] \n",
        "NaN",
        "[0e-999999999,0.00E+9999999999]",
        "[1,]",
        "\"\u{7f}\u{2028}\"",
        "1",
    ]);
    seeds.extend([
        b"[".repeat(100_000),
        b"{\"a\":".repeat(20_000),
        [&b"["[..], &b"1,".repeat(120_000), b"1]"].concat(),
        [&b"\""[..], &b"a".repeat(300_000), b"\""].concat(),
        b"9".repeat(100_000),
        [&b"1e"[..], &b"9".repeat(1_000)].concat(),
        wide(2_000),
        b"+ADw-script+AD4-".to_vec(),
        b"\xff\xfe[\0]\0".to_vec(),
        b"[\"\xc0\xaf\",\"\xed\xa0\x80\",\"\xf4\x90\x80\x80\"]".to_vec(),
    ]);
    seeds
}

fn wide(keys: usize) -> Vec<u8> {
    let members: Vec<String> = (0..keys).map(|key| format!("\"k{key}\":{key}")).collect();
    format!("{{{}}}", members.join(",")).into_bytes()
}

pub(crate) fn escapes() -> Vec<Vec<u8>> {
    all(&[
        "n",
        "u0041",
        "ud83d\\ude00",
        "ud800",
        "udc00\\ud800",
        "u00g0",
        "x",
        "",
        "ud800\\u0041",
        "uD83D\\uDE0",
        "\"",
        "u",
    ])
}

const W1: &str = r#"{"specversion":"1.0","id":"01J8ZQH7MDPJZ3HW4H3ZK81KFM","source":"/plant/DE04/line/L37/mes","type":"mes.operation.completed.v2","time":"2025-03-14T15:46:33.594Z","data":{"order":"000010042747","operation":"0150","workcenter":"WC-5591","material":"RM-29032-F","lot":"L240310-06","qty":{"good":466,"scrap":2,"uom":"LB"},"duration_s":897.06,"operator":"u90941","params":[{"n":"temp","v":240.9,"u":"degF"},{"n":"press","v":49.0,"u":"psi"}]}}"#;
const REPORT: &str = r#"{"type":"report","at":"2026-03-29T03:30:00.5+02:00","plant":" de04 ","order":"00A17","number":12,"note":"banana","press":"P1","place":"A","kind":"x","urgent":true,"level":7,"weight":10.5,"qty":{"good":12.25,"uom":"LB"},"cost":"1.50","tags":["a ",null,"","b"],"lines":[{"n":"M1","u":"PK","v":2},{"n":"M2","u":"PK","v":"1.5"},{"n":"x","skip":1}],"alarms":[{"code":"E1","t":"2026-01-01T00:00:00Z","val":1.50},{"code":"Q","t":"x"}]}"#;

pub(crate) fn lines() -> Vec<Vec<u8>> {
    all(&[
        W1,
        REPORT,
        r#"{"type":"other"}"#,
        "[]",
        r#"{"type":"report","type":"x"}"#,
        "{\"type\":\"report\",\"qty\":{\"good\":1e999}}",
    ])
}

pub(crate) fn slabs() -> Vec<Vec<u8>> {
    let mut seeds = all(&[
        &format!("{W1}\n{REPORT}\r\n\n  \n{W1}"),
        &format!("{REPORT}\nnot json\n{REPORT}\n"),
        "\n\n",
        "{}\n[]\n",
        "",
        "\r\n{\"type\":\"report\"}\r\r\n",
    ]);
    seeds.push(format!("{REPORT}\n").repeat(20).into_bytes());
    seeds
}

pub(crate) fn xml() -> Vec<Vec<u8>> {
    let mut seeds = all(&[
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<a xmlns=\"urn:x\" k=\"1\"><b>t &amp; u</b><b/><!-- c --><c><![CDATA[<x>]]></c>tail</a>\n",
        "<p:a xmlns:p=\"urn:p\"><p:b p:k=\"v\">&#x41;&#66;</p:b></p:a>",
        "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><a>&x;</a>",
        "<!DOCTYPE l [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;\">]><l>&b;</l>",
        "<a xmlns:xi=\"http://www.w3.org/2001/XInclude\"><xi:include href=\"x\"/></a>",
        "<a><b></a></b>",
        "<a b=\"1\" b=\"2\"/>",
        "<a b=1/>",
        "<a>]]></a>",
        "<a/><b/>",
        "<?xml version=\"1.1\"?><a/>",
        "<a><!-- -- --></a>",
        "<a xmlns:p=\"\"/>",
        "<é ü=\"ß\">日本</é>",
    ]);
    seeds.push("<a>".repeat(50_000).into_bytes());
    seeds.push(format!("<a>{}</a>", "<b/>".repeat(120_000)).into_bytes());
    let attributes: Vec<String> = (0..3_000).map(|number| format!(" k{number}=\"\"")).collect();
    seeds.push(format!("<a{}/>", attributes.concat()).into_bytes());
    seeds.push(format!("<a>{}</a>", "&amp;".repeat(100_000)).into_bytes());
    seeds.push(b"\xff\xfe<\0a\0/\0>\0".to_vec());
    seeds.push(b"\xfe\xff\0<\0a\0/\0>".to_vec());
    seeds.push(b"<?xml version=\"1.0\" encoding=\"windows-1252\"?><a>\x80\xfc</a>".to_vec());
    seeds.push(b"<?xml version=\"1.0\" encoding=\"utf-7\"?><a>+AGE-</a>".to_vec());
    seeds
}

pub(crate) fn csv() -> Vec<Vec<u8>> {
    let files: &[&[u8]] = &[
        b"a,b\n1,2\n3,\"4,\"\"5\"\"\"\n",
        b"a;b\r\nx;1,5\r\nx;2\r\ny;3\r\nsum;6,5\r\n",
        b"a,b\n1\n1,2,3\n",
        b"a,a\n1,2\n",
        b"a,b\n\"x\ny\",2\n# ,\n#,1\n\n",
        b"\xef\xbb\xbfa,b\n1,2\n",
        b"a,b\n\"open",
        b"a,b\n1,x\"y\n\"1\"z,2\n",
        b"\xff\xfea\0,\0b\0\n\x001\0,\x002\0\n\0",
        b"a,b\n\x80,\xfc\n",
        b"title\na,b\n1,2",
        b"",
        b"\n\n\n",
        b"=cmd|' /C calc'!A0,b\n1,2\n",
    ];
    let mut seeds = Vec::new();
    for file in files {
        for choice in [0, 1, 0x10, 0x20, 0x30, 0x40, 0x81, 4, 8] {
            for second in [0, 4, 8, 0x3c] {
                seeds.push([&[choice, second][..], *file].concat());
            }
        }
    }
    seeds.push([&b"\0\0a,b\n"[..], &b"1,2\n".repeat(20_000)].concat());
    seeds.push([&b"\0\0"[..], &b",".repeat(30_000), b"\n"].concat());
    seeds.push([&b"\0\x08a,b\n"[..], &b"1,2\n".repeat(3_000)].concat());
    seeds
}

pub(crate) fn texts() -> Vec<Vec<u8>> {
    let mut seeds =
        all(&["\0\0\0 000123-a-b ", "abcaaa", "\u{1}\u{6}xé/üé/", "Straße ﬁ İ", "\u{202e}\u{feff}\u{a0}"]);
    seeds.extend([
        b"\x82\xa0\x83\x5c\x81".to_vec(),
        b"\xd8\x3d\xde\x00a\0".to_vec(),
        b"\x84\x31\xa4\x37".to_vec(),
        b"+AGE-\x1b$B".to_vec(),
        b"\xc0\x80\xed\xa0\x80\xf8\x88\x80\x80\x80".to_vec(),
    ]);
    seeds
}

pub(crate) fn yaml() -> Vec<Vec<u8>> {
    let mut seeds = all(&[
        "apiVersion: mfgroute/v1\nnode: {id: edge-1, site: DE04}\nsources:\n  mes:\n    adapter: http\n    path: \"/in/${NAME}\"\n    tries: 5\n",
        "- a\n- |\n  text\n  more\n- >-\n  folded\n- 'it''s'\n- \"\\u00e9\\n\"\n",
        "a: &x [1, 2]\nb: *x\n<<: {c: 1}\n",
        "a: 1\na: 2\n",
        "a: !!python/object:os.system x\n",
        "a: [1, 1.50, -0, 1e3, 007, +5, 0x1F, ~, null, True, yes]\n",
        "? [a]\n: b\n",
        "--- 1\n--- 2\n",
        "\u{feff}a: 1\n",
        "{\"a\": [1, {\"b\": null}]}",
        "a: ${X}b$${Y}${",
        "",
        "\t",
    ]);
    seeds.push(b"[".repeat(5_000));
    seeds.push(b"- ".repeat(3_000));
    let keys: Vec<String> = (0..2_000).map(|number| format!("k{number}: {number}\n")).collect();
    seeds.push(keys.concat().into_bytes());
    seeds.push(format!("a: &a [x]\n{}", "b: [*a,*a,*a,*a]\n".repeat(50)).into_bytes());
    seeds
}

pub(crate) fn paths() -> Vec<Vec<u8>> {
    let mut seeds = all(&[
        "a.b[*].c",
        "$.a.@k",
        "^.^.id",
        "#",
        "a.b[0].d",
        "'ä.ö'",
        "\"a\".b",
        "a[c=1].d",
        "list[*]",
        "a.#text",
        "b[2][0]",
        "**.c",
        "",
        ".",
        "a..b",
        "a[d='x'].c",
        "a.b[-1]",
        "*.b",
    ]);
    seeds.push("a.".repeat(600).into_bytes());
    seeds.push("[*]".repeat(100).into_bytes());
    seeds
}

pub(crate) fn expressions() -> Vec<Vec<u8>> {
    let mut seeds = all(&[
        "data.qty.good > 1.5 && has(data.n) && data.n == '1.50'",
        "data.list.all(x, x.startsWith('p')) || size(data.list) > 1",
        "type == 'shop.cut/1' && source in ['s', 't']",
        "message.a.b.exists(x, x.c == 1)",
        "item.ok ? 'a' : 'b'",
        "meta['file.name'].endsWith('.csv')",
        "data.qty.unit.matches('^(a+)+$')",
        "1 + 2 * 3 == 7",
        "9223372036854775807 + 1 == 0",
        "1 / 0 == 1",
        "data.list.map(x, x + x)[0] == 'pp'",
        "[1, 2][5] == 1",
        "data",
        "{'a': 1}.a",
        "'\\u00e9' == 'é'",
        "!!!!true",
        "-9223372036854775808 < 0",
    ]);
    seeds.push("(".repeat(200).into_bytes());
    seeds.push(format!("{}true{}", "(".repeat(60), ")".repeat(60)).into_bytes());
    seeds.push(format!("true{}", " && true".repeat(200)).into_bytes());
    seeds.push("!".repeat(500).into_bytes());
    seeds.push(format!("data.list{}", ".map(x, x)".repeat(30)).into_bytes());
    seeds.push(format!("{}1", "-".repeat(500)).into_bytes());
    seeds.push(format!("{}1{}", "[".repeat(300), "]".repeat(300)).into_bytes());
    seeds
}

pub(crate) fn schemas() -> Vec<Vec<u8>> {
    let mut seeds = all(&[
        r#"{"type":"object","required":["a"],"properties":{"a":{"type":"object"},"n":{"type":"string","format":"decimal","x-decimal":{"digits":5,"places":2}}},"additionalProperties":true}"#,
        r##"{"$defs":{"a":{"anyOf":[{"type":"null"},{"$ref":"#"}]}},"properties":{"a":{"$ref":"#/$defs/a"}}}"##,
        r##"{"$ref":"#"}"##,
        r##"{"allOf":[{"$ref":"#/$defs/x"}],"$defs":{"x":{"allOf":[{"$ref":"#/$defs/y"}]},"y":{"allOf":[{"$ref":"#/$defs/x"}]}}}"##,
        r#"{"properties":{"c":{"pattern":"^(a+)+$"}},"patternProperties":{"(x+x+)+y":{}}}"#,
        r#"{"items":{"type":"integer"},"prefixItems":[true,false],"contains":{"const":1},"minContains":2,"uniqueItems":true}"#,
        r#"{"if":{"required":["a"]},"then":{"maxProperties":3},"else":{"minProperties":1},"unevaluatedProperties":false}"#,
        r#"{"$schema":"https://json-schema.org/draft/2020-12/schema","type":["string","null"],"minLength":1,"maxLength":3,"format":"date"}"#,
        r#"{"pattern":"\\p{L}{1,1000}{1,1000}"}"#,
        r#"{"minimum":1e999,"multipleOf":0.1}"#,
        "true",
        "false",
        "[]",
        r#"{"type":7,"properties":[]}"#,
        r##"{"$id":"urn:a","$dynamicAnchor":"n","properties":{"a":{"$dynamicRef":"#n"}}}"##,
    ]);
    let many: Vec<String> = (0..20_000).map(|n| n.to_string()).collect();
    seeds.push(format!("{{\"enum\":[{}]}}", many.join(",")).into_bytes());
    seeds.push(format!("{}true{}", "{\"allOf\":[".repeat(50), "]}".repeat(50)).into_bytes());
    seeds.push(format!("{}true{}", "{\"not\":".repeat(40), "}".repeat(40)).into_bytes());
    seeds
}

pub(crate) fn payloads() -> Vec<Vec<u8>> {
    all(&[
        r#"{"a":"abc","b":1,"c":[1],"d":0.75,"e":["a","b"],"f":1,"g":true,"h":{"a":"x"},"x1":null}"#,
        r#"{"a":"","b":1000,"c":{"x":0.1},"d":0.3,"e":["a","a"],"f":1.0}"#,
        r#"{"a":"é","b":1e2,"c":"1","h":[{"a":"b"}],"other":1}"#,
        r#"{"a":"abcdef","b":-3.0,"c":null,"e":[],"g":"no","x":1,"other":"text"}"#,
        "[]",
        "1",
    ])
}

pub(crate) fn numbers() -> Vec<Vec<u8>> {
    all(&[
        "1.50\n-0.25",
        "0\n0",
        "-0\n1e37",
        "99999999999999999999999999999999999999\n1",
        "0.00000000000000000000000000000000000001\n-1e37",
        "1e-38\n1E+5",
        "1e999999999999999999999\n1",
        "123456789012345678901234567890.12345678\n0.5",
        "\u{0}1.234,50",
        "\u{3}1,234.50-",
        "\u{1}-1.234.567,00",
        "\u{8}12,5-",
        "\u{c}1\u{202f}234,5",
        "\u{6}007,5",
        "1.\n.5",
        "+1",
        "0x1F",
        "1e",
        "\u{0}0.123",
        "170141183460469231731687303715884105728",
    ])
}

pub(crate) fn times() -> Vec<Vec<u8>> {
    let texts = [
        "\n2026-10-25T02:30:00.5+02:00",
        "\n2026-03-29T02:30:00",
        "\n2026-11-24",
        "\n9999-12-31T23:59:60Z",
        "\n0001-01-01T00:00:00-00:00",
        "\n2011-12-30T12:00:00",
        "%Y%m%d %H%M%S\n20261123 240000",
        "%d.%m.%Y %H:%M\n24.11.2026 7:05",
        "%a, %d %b %Y %T %Z\nTue, 24 Nov 2026 10:00:00 GMT",
        "%G-W%V-%u\n2026-W53-7",
        "%Y-%j%.f\n2024-366.25",
        "%m/%d/%y %I:%M:%S %p\n11/24/68 12:30:00 AM",
        "epoch_ms\n1700000000123.4",
        "epoch_s\n-62135596800",
        "epoch_us\n1e15",
        "epoch_ns\n1e37",
        "dotnet\n/Date(1700000000000+0100)/",
        "dotnet\n/Date(-1-0500)/",
        "%Y-%m-%d PT%HH%MM%SS\n2026-11-23 PT10H17M53S",
        "%F %T%z\n2026-11-24 10:00:00-2359",
        "%Y%m%d%H%M%S%f\n20261123054412123456789012",
    ];
    let mut seeds = Vec::new();
    for text in texts {
        for choice in [0_u8, 0x91, 0xa2, 0x23, 0x15, 0xff] {
            seeds.push([&[choice][..], text.as_bytes()].concat());
        }
    }
    seeds
}

pub(crate) fn records() -> Vec<Vec<u8>> {
    let mut record = vec![3];
    for text in [
        "1",
        "2026-01-01T00:00:00Z",
        "order/4711",
        "",
        "",
        "//DE04/mes",
        "com.example.a.v1",
        "",
        "",
        "",
        "",
        "",
        "event",
        "m@1",
        "",
    ] {
        record.extend_from_slice(&(text.len() as u32).to_le_bytes());
        record.extend_from_slice(text.as_bytes());
    }
    let mut seeds = vec![record.clone(), [&record[..], b"{\"a\":1}"].concat(), vec![3; 80]];
    seeds.extend(all(&[
        "id\n//s\nt\n2026\nkey/\"x\"\u{2028}\ntx\n00-",
        "\u{10}abcd\u{21}xyzxyzxyzxyzxyzxyz\u{12}\u{f}\u{b}",
        "\u{0}\u{1}\u{7f}",
    ]));
    seeds
}
