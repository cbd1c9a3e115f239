//! Shapes of XML documents, and what is refused.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
#![allow(clippy::format_collect, reason = "shorter, and speed does not matter here")]

use proptest::prelude::*;

use super::*;

fn decode_bytes(bytes: &[u8], limits: Limits) -> Result<(Tree, XmlHead), Reject> {
    let mut tree = Tree::new();
    let mut decoder = XmlDecoder::new(limits);
    decoder.decode(bytes, &mut tree)?;
    Ok((tree, decoder.head().clone()))
}

fn decode(text: &str) -> Result<Tree, Reject> {
    decode_bytes(text.as_bytes(), Limits::default()).map(|(tree, _)| tree)
}

fn json(text: &str) -> String {
    decode(text).unwrap_or_else(|reject| panic!("{text}: {reject:?}")).json(0)
}

fn code(text: &str) -> Option<Code> {
    decode(text).err().map(|reject| reject.code)
}

fn utf16(text: &str, bom: bool) -> Vec<u8> {
    let units = bom.then_some(0xFEFF).into_iter().chain(text.encode_utf16());
    units.flat_map(u16::to_le_bytes).collect()
}

#[test]
fn elements_take_the_shapes_of_the_tree() {
    let cases = [
        ("<a><b>x</b><b>y</b><c/></a>", r#"{"b":"x","b":"y","c":""}"#),
        ("<a><b> x </b><c>\n</c></a>", "{\"b\":\" x \",\"c\":\"\\n\"}"),
        ("<a n='1' m=\"2\"/>", r#"{"@n":"1","@m":"2"}"#),
        ("<a><b unit='KG'> 5 </b></a>", r##"{"b":{"@unit":"KG","#text":" 5 "}}"##),
        ("<a> one <b/> two\n</a>", r##"{"b":"","#text":"one  two"}"##),
        ("<a>\n  <b/>\n</a>", r#"{"b":""}"#),
        ("<a/>", r#""""#),
        ("<a>5</a>", r#""5""#),
        ("<a><b>x<!-- c -->y<?p i?>z</b></a>", r#"{"b":"xyz"}"#),
        ("<a><b><![CDATA[<x>&amp;]]]]><![CDATA[>]]></b></a>", r#"{"b":"<x>&amp;]]>"}"#),
        ("<a><b>&lt;&gt;&amp;&apos;&quot;&#65;&#x42;&#x1F600;</b></a>", "{\"b\":\"<>&'\\\"AB😀\"}"),
        ("<a><b>1\r\n2\r3</b></a>", "{\"b\":\"1\\n2\\n3\"}"),
        ("<a b='x\n&#10;&amp;y'/>", "{\"@b\":\"x \\n&y\"}"),
        ("<p:a xmlns:p='u' xmlns:q='v'><p:b q:c='1'>x</p:b></p:a>", r##"{"b":{"@c":"1","#text":"x"}}"##),
        ("<a><b xsi:nil='true' xmlns:xsi='u'/></a>", r#"{"b":{"@nil":"true"}}"#),
        ("<Größe><Maß>1</Maß></Größe>", r#"{"Maß":"1"}"#),
        ("<?xml version='1.0'?>\n<!-- c --><?p?><a>1</a>\n<!-- d --><?q r?>\n", r#""1""#),
        ("<a ><b\n/></a >", r#"{"b":""}"#),
        ("<a.b-c_d><e.f/></a.b-c_d>", r#"{"e.f":""}"#),
    ];
    for (text, expected) in cases {
        assert_eq!(json(text), expected, "{text}");
    }
}

#[test]
fn an_idoc_reads_as_its_segments() {
    let text = r#"<?xml version="1.0" encoding="UTF-8"?>
<LOIPRO03>
  <IDOC BEGIN="1">
    <EDI_DC40 SEGMENT="1"><DOCNUM>42</DOCNUM></EDI_DC40>
    <E1JSTKL SEGMENT="1"><STAT>I0002</STAT></E1JSTKL>
    <E1JSTKL SEGMENT="1"><STAT>I0028</STAT><LTXA1>Pressen &amp; Entgraten </LTXA1><CHARG/></E1JSTKL>
  </IDOC>
</LOIPRO03>"#;
    let expected = concat!(
        r#"{"IDOC":{"@BEGIN":"1","EDI_DC40":{"@SEGMENT":"1","DOCNUM":"42"},"#,
        r#""E1JSTKL":{"@SEGMENT":"1","STAT":"I0002"},"#,
        r#""E1JSTKL":{"@SEGMENT":"1","STAT":"I0028","LTXA1":"Pressen & Entgraten ","CHARG":""}}}"#
    );
    assert_eq!(json(text), expected);
}

#[test]
fn the_head_names_root_and_namespace() {
    let head = |text: &str| {
        let (_, head) = decode_bytes(text.as_bytes(), Limits::default()).unwrap();
        (head.root, head.namespace)
    };
    let pair = |root: &str, namespace: &str| (root.to_owned(), namespace.to_owned());
    assert_eq!(head("<a/>"), pair("a", ""));
    assert_eq!(head("<a xmlns='urn:x' xmlns:b='urn:y'/>"), pair("a", "urn:x"));
    assert_eq!(head("<b:a xmlns='urn:x' xmlns:b='urn:y'/>"), pair("a", "urn:y"));
    assert_eq!(head("<a><b xmlns='urn:x'/></a>"), pair("a", ""));
    assert_eq!(code("<b:a/>"), Some(Code::BadXml));
}

#[test]
fn the_origin_of_an_element_is_its_byte_offset() {
    let tree = decode("<a>\n<b x='1'>2</b></a>").unwrap();
    let b = tree.child(0, "b").unwrap();
    assert_eq!(tree.node(b).origin, 4);
}

#[test]
fn what_is_not_well_formed_is_refused() {
    let invalid = [
        "x",
        "<a>",
        "<a></b>",
        "</a>",
        "<a/><b/>",
        "<a/>x",
        "x<a/>",
        "<a/>&amp;",
        "<a/><![CDATA[x]]>",
        "<!-- only -->",
        "<a><b></a></b>",
        "<a",
        "<a b>",
        "<a b=1/>",
        "<a b='1' b='2'/>",
        "<a b='1'c='2'/>",
        "<a b='<'/>",
        "<a b='&'/>",
        "<a b='&x;'/>",
        "<a b='&#0;'/>",
        "<a b='&#1;'/>",
        "<a>&x;</a>",
        "<a>&nbsp;</a>",
        "<a>& </a>",
        "<a>&#0;</a>",
        "<a>&#1;</a>",
        "<a>&#xD800;</a>",
        "<a>&#xFFFF;</a>",
        "<a>&#x110000;</a>",
        "<a>&#-1;</a>",
        "<a>]]></a>",
        "<a>&amp</a>",
        "<a>\u{0}</a>",
        "<a>\u{1}</a>",
        "<a>\u{b}</a>",
        "<a>\u{fffe}</a>",
        "<a>\u{ffff}</a>",
        "<1a/>",
        "<-a/>",
        "<a:b:c/>",
        "<:a/>",
        "<a:/>",
        "< a/>",
        "<a$/>",
        "<a><!-- -- --></a>",
        "<a><!-- x",
        "<a><![CDATA[x</a>",
        "<a><?xml version='1.0'?></a>",
        " <?xml version='1.0'?><a/>",
        "<?xml version='2.0'?><a/>",
        "<?xml?><a/>",
        "<?xml version='1.0'?>",
        "<a><?p </a>",
        "<a>&lt</a>;<",
        "<a/><",
        "<a><b/>",
        "<a b='x/>",
        "<a></a",
        "<a><></a>",
    ];
    for text in invalid {
        assert_eq!(code(text), Some(Code::BadXml), "{text}");
    }
    assert_eq!(code(""), Some(Code::PayloadEmpty));
    assert_eq!(code(" \n "), Some(Code::PayloadEmpty));
}

#[test]
fn names_that_namespaces_forbid_are_refused_at_their_offset() {
    for (text, offset) in [
        ("<p:a/>", 1),
        ("<a><p:b/></a>", 4),
        ("<a b='1' p:c='2'/>", 9),
        ("<a>x<b xmlns:p='u'/><p:c/></a>", 21),
        ("<a><b xmlns:p='u'><c/></b><p:d/></a>", 27),
        ("<a xmlns='u'><p:b/></a>", 14),
        ("<a xmlns:P='u'><p:b/></a>", 16),
        ("<a xmlns:p='u'><p:b xmlns:p=''/></a>", 20),
        ("<a xmlns:p=''/>", 3),
        ("<a xmlns:='u'/>", 3),
        ("<a xmlns:1='u'/>", 3),
        ("<a xmlns:xmlns='u'/>", 3),
        ("<a xmlns:xmlns='http://www.w3.org/2000/xmlns/'/>", 3),
        ("<xmlns:a/>", 1),
        ("<a xmlns:xml='u'/>", 3),
        ("<a xmlns:xml=''/>", 3),
        ("<a xmlns:p='http://www.w3.org/XML/1998/namespace'/>", 3),
        ("<a xmlns='http://www.w3.org/XML/1998/namespace'/>", 3),
        ("<a xmlns='http://www.w3.org/2000/xmlns/'/>", 3),
        ("<a xmlns:p='http://www.w3.org/2000/xmlns/'/>", 3),
        ("<a xmlns:p='http://www.w3.org/2000/xmlns&#x2F;'/>", 3),
        ("<a xmlns:p='u' xmlns:q='u' p:b='1' q:b='2'/>", 35),
        ("<a p:b='1' q:b='2' xmlns:p='u' xmlns:q='&#117;'/>", 11),
        ("<a xmlns:p='u'><b xmlns:q='u' p:b='1' c='' q:b='2'/></a>", 43),
        ("<a\n  xmlns:p = 'u'\n  q:b = '1'/>", 21),
    ] {
        let reject = decode(text).unwrap_err();
        assert_eq!((reject.code, reject.offset), (Code::BadXml, Some(offset)), "{text} {reject:?}");
    }
    let reject = decode("<a xmlns:p='u' xmlns:q='u' p:b='1' q:b='2'/>").unwrap_err();
    assert_eq!(reject.found, r#"the attribute "b" of "u" twice"#);
    let wide = decode_bytes(&utf16("<a>\u{1F600}<p:b/></a>", true), Limits::default()).unwrap_err();
    assert_eq!(wide.offset, Some(2 + 2 * 6));
}

#[test]
fn names_that_namespaces_allow_are_read() {
    for text in [
        "<a xmlns:p='u' xmlns:q='v' p:b='1' q:b='2' b='3'/>",
        "<p:a p:b='1' b='2' xmlns:p='u'/>",
        "<a xmlns='u' xmlns:p='u' b='1' p:b='2'/>",
        "<a xmlns='u'><b xmlns=''><c/></b></a>",
        "<a xml:lang='de' xml:space='preserve'/>",
        "<a xmlns:xml='http://www.w3.org/XML/1998/namespace' xml:lang='de'/>",
        "<a xmlns:p='u'><p:b xmlns:p='v' xmlns:q='u' p:c='1' q:c='2'/><p:d/></a>",
        "<a xmlns:xmlfoo='u'><xmlfoo:b/></a>",
        "<a xmlns:p='u' xmlns:P='u'><P:b/></a>",
        "<a xmlns:p='a relative name'><p:b/></a>",
    ] {
        assert!(decode(text).is_ok(), "{text} {:?}", decode(text));
    }
    let (_, head) = decode_bytes(b"<p:a xmlns:p='u'><p:b xmlns:p='v'/></p:a>", Limits::default()).unwrap();
    assert_eq!(head.namespace, "u");
    // A decoder forgets the declarations of a message, also of one that it refused.
    let (mut decoder, mut tree) = (XmlDecoder::new(Limits::default()), Tree::new());
    for (text, fine) in
        [("<p:a xmlns:p='u'>", false), ("<p:a/>", false), ("<a xmlns:p='u'/>", true), ("<p:a/>", false)]
    {
        assert_eq!(decoder.decode(text.as_bytes(), &mut tree).is_ok(), fine, "{text}");
    }
}

#[test]
fn an_error_names_its_offset() {
    let reject = decode("<a><b>1</c></a>").unwrap_err();
    assert_eq!(reject.offset, Some(7), "{reject:?}");
    assert_eq!(decode("<a>&x;</a>").unwrap_err().offset, Some(3));
    assert_eq!(decode("<a><b>").unwrap_err().offset, Some(6));
    let reject = decode_bytes(&utf16("<a>&x;</a>", true), Limits::default()).unwrap_err();
    assert_eq!(reject.offset, Some(8));
    let latin = b"<?xml version='1.0' encoding='iso-8859-1'?><a>\xFC&x;</a>";
    assert_eq!(decode_bytes(latin, Limits::default()).unwrap_err().offset, Some(47));
}

#[test]
fn any_doctype_is_refused() {
    let documents = [
        "<!DOCTYPE a><a/>",
        "<!DOCTYPE a SYSTEM 'http://x/y.dtd'><a/>",
        "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>",
        "<?xml version='1.0'?><!DOCTYPE lolz [<!ENTITY l 'lol'><!ENTITY m '&l;&l;&l;'>]><lolz>&m;</lolz>",
        "<!DOCTYPE a [",
        "<!DOCTYPE",
    ];
    for text in documents {
        assert!(matches!(code(text), Some(Code::Doctype | Code::BadXml)), "{text}");
        if text.contains(" a") || text.contains("lolz") {
            assert_eq!(code(text), Some(Code::Doctype), "{text}");
        }
    }
}

#[test]
fn encodings_are_those_of_mark_and_declaration() {
    let read = |bytes: &[u8]| decode_bytes(bytes, Limits::default()).map(|(tree, _)| tree.json(0));
    assert_eq!(read("\u{feff}<a>ü</a>".as_bytes()).unwrap(), "\"ü\"");
    assert_eq!(read(&utf16("<a>ü😀</a>", true)).unwrap(), "\"ü😀\"");
    assert_eq!(read(&utf16("<?xml version='1.0' encoding='utf-16'?><a>ü</a>", true)).unwrap(), "\"ü\"");
    assert_eq!(read(&utf16("<a>ü</a>", false)).unwrap(), "\"ü\"");
    for name in ["iso-8859-1", "windows-1252", "ISO-8859-15", "latin1"] {
        let mut bytes = format!("<?xml version='1.0' encoding=\"{name}\" ?><a>").into_bytes();
        bytes.extend_from_slice(b"\xFC</a>");
        assert_eq!(read(&bytes).unwrap(), "\"ü\"", "{name}");
    }
}

#[test]
fn bytes_that_contradict_their_encoding_are_refused() {
    let refused = |bytes: &[u8]| decode_bytes(bytes, Limits::default()).unwrap_err();
    let reject = refused(b"<a>\xFC</a>");
    assert_eq!(
        (reject.code, reject.offset, reject.found.as_str()),
        (Code::Encoding, Some(3), "byte 0xFC at offset 3")
    );
    let reject = refused(b"\xEF\xBB\xBF<a>\xFC</a>");
    assert_eq!((reject.code, reject.offset), (Code::Encoding, Some(6)));
    for head in ["klingon", "utf-16", "iso-2022-cn"] {
        let reject = refused(format!("<?xml version='1.0' encoding='{head}'?><a/>").as_bytes());
        assert_eq!(reject.code, Code::Encoding, "{head}");
    }
    assert_eq!(
        refused("\u{feff}<?xml version='1.0' encoding='latin1'?><a/>".as_bytes()).code,
        Code::Encoding
    );
    let mut odd = utf16("<a/>", true);
    odd.push(0);
    assert_eq!(refused(&odd).code, Code::Encoding);
}

#[test]
fn each_limit_holds_at_its_bound() {
    let limits =
        Limits { depth: 3, keys: 4, nodes: 12, string_bytes: 10, message_bytes: 200, number_chars: 1 };
    let many = |n: usize| format!("<a>{}</a>", "<b/>".repeat(n));
    let names = |n: usize| format!("<a>{}</a>", (0..n).map(|i| format!("<b{i}/>")).collect::<String>());
    let cases = [
        ("<a><a><a/></a></a>".to_owned(), "<a><a><a><a/></a></a></a>".to_owned(), Code::TooDeep),
        (many(11), many(12), Code::TooManyNodes),
        (names(4), names(5), Code::TooManyKeys),
        ("<a>1234567890</a>".to_owned(), "<a>12345678901</a>".to_owned(), Code::StringTooLong),
        ("<a>123456789&lt;</a>".to_owned(), "<a>1234567890&lt;</a>".to_owned(), Code::StringTooLong),
        ("<a b='1234567890'/>".to_owned(), "<a b='12345678901'/>".to_owned(), Code::StringTooLong),
        ("<a>".to_owned() + &" ".repeat(0) + "</a>", " ".repeat(197) + "<a/>", Code::MessageTooLarge),
    ];
    for (at, over, expected) in cases {
        assert!(decode_bytes(at.as_bytes(), limits).is_ok(), "{at}");
        assert_eq!(decode_bytes(over.as_bytes(), limits).unwrap_err().code, expected, "{over}");
    }
}

#[test]
fn bombs_end_early() {
    assert_eq!(code(&"<a>".repeat(100_000)), Some(Code::TooDeep));
    assert_eq!(code(&format!("<a>{}</a>", "<b/>".repeat(150_000))), Some(Code::TooManyNodes));
    let attributes: String = (0..90_000).map(|n| format!(" a{n}=''")).collect();
    assert!(code(&format!("<a{attributes}/>")) == Some(Code::TooManyKeys));
    let declared: String = (0..60_000).map(|n| format!(" xmlns:a{n}='u'")).collect();
    assert!(code(&format!("<a{declared}/>")) == Some(Code::TooManyKeys));
    let declared: String = (0..30).map(|n| format!(" xmlns:a{n}='u'")).collect();
    let nested = (0..40)
        .fold(String::new(), |text, n| text + &format!("<a{}>", declared.replace(":a", &format!(":a{n}x"))));
    assert!(code(&nested) == Some(Code::TooManyKeys));
    let most: String = (0..1023).map(|n| format!(" xmlns:a{n}='u'")).collect();
    assert_eq!(code(&format!("<p:a xmlns:p='u'{most}>{}</p:a>", "<p:b/>".repeat(20_000))), None);
    assert_eq!(code(&format!("<a>{}</a>", "&lt;".repeat(250_000))), None);
    assert_eq!(code(&format!("<a>{}</a>", "&lt;".repeat(262_000))), None);
}

proptest! {
    #[test]
    fn mutated_documents_are_read_or_refused_and_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..3_u8, prop::sample::select(
            b"<>/!?-[]&;#x='\" ab:\n\x00\x80\xC3\xFE\xFF".to_vec())), 1..8),
        wide in any::<bool>(),
    ) {
        let text = "<?xml version='1.0' encoding='UTF-8'?><!--c--><p:a xmlns:p='u' b='1&lt;'>x<c>&#65;</c><![CDATA[y]]></p:a>";
        let mut bytes = if wide { utf16(text, true) } else { text.as_bytes().to_vec() };
        for (at, how, byte) in changes {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => { bytes.remove(at); }
            }
        }
        if let Ok((tree, head)) = decode_bytes(&bytes, Limits::default()) {
            prop_assert!(!tree.is_empty() && !head.root.is_empty());
        }
    }
}
