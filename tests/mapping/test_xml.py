"""XML: which documents a mapping means, what is never read, encodings and repeated siblings."""

import codecs

import pytest

from .conftest import lines, mapping

B2 = "http://www.mesa.org/xml/B2MML"


def run(project, message, *, guard="", fields="v: {path: a}", entry=""):
    text = mapping(fields, head=f"from: {{decode: xml{guard}}}", entry=entry)
    return lines(project.load(text), message if isinstance(message, bytes) else message.encode())


def outcome(line):
    if "reject" in line:
        return "!" + line["reject"]["code"]
    return "-" if "filtered" in line else line["data"].get("v")


GUARDS = [
    (", root: [m, n]", "<m><a>x</a></m>", "x"),
    (", root: [n]", "<m><a>x</a></m>", "!no_mapping"),
    (", root: [m]", f'<p:m xmlns:p="{B2}"><p:a>x</p:a></p:m>', "x"),
    (f', root: [m], namespace: ["{B2}"]', f'<m xmlns="{B2}"><a>x</a></m>', "x"),
    (f', root: [m], namespace: ["{B2}"]', f'<q:m xmlns:q="{B2}"><q:a>x</q:a></q:m>', "x"),
    (f', root: [m], namespace: ["{B2}"]', f'<m xmlns="{B2}-V0401"><a>x</a></m>', "!no_mapping"),
    (f', root: [m], namespace: ["{B2}"]', "<m><a>x</a></m>", "!no_mapping"),
    (f', namespace: ["{B2}"]', f'<m xmlns:q="{B2}"><a>x</a></m>', "!no_mapping"),
    (", root: [M]", "<m><a>x</a></m>", "!no_mapping"),
]


@pytest.mark.parametrize(("guard", "message", "expected"), GUARDS)
def test_root_and_namespace_guard_which_documents_a_mapping_means(project, guard, message, expected):
    [line] = run(project, message, guard=guard)
    assert outcome(line) == expected


REFUSED = [
    ("<!DOCTYPE m><m><a>x</a></m>", "doctype"),
    ('<!DOCTYPE m [<!ENTITY e "x">]><m><a>&e;</a></m>', "doctype"),
    ('<!DOCTYPE m SYSTEM "file:///etc/passwd"><m><a>x</a></m>', "doctype"),
    ('<?xml version="1.0"?>\n<!-- c --><!DOCTYPE m><m/>', "doctype"),
    ("<m><a>&e;</a></m>", "bad_xml"),
    ("<m><a>&nbsp;</a></m>", "bad_xml"),
    ("<m><a>&</a></m>", "bad_xml"),
    ("<m><a>&#0;</a></m>", "bad_xml"),
    ("<m><a>&#x1;</a></m>", "bad_xml"),
    ("<m><a>&#xD800;</a></m>", "bad_xml"),
    ("<m><a>&#x110000;</a></m>", "bad_xml"),
    ("<m><a>x</b></m>", "bad_xml"),
    ("<m><a>x</a>", "bad_xml"),
    ("<m><a>x</a></m><m/>", "bad_xml"),
    ("<m/>text", "bad_xml"),
    ("text<m/>", "bad_xml"),
    ("<m a='1' a='2'/>", "bad_xml"),
    ("<m a=1/>", "bad_xml"),
    ("<m a='<'/>", "bad_xml"),
    ("<m><p:a>x</p:a></m>", "bad_xml"),
    ("<m><a>]]></a></m>", "bad_xml"),
    ("<m><!-- a -- b --></m>", "bad_xml"),
    ("<m><a>\x01</a></m>", "bad_xml"),
    ("<1m/>", "bad_xml"),
    (' <?xml version="1.0"?><m/>', "bad_xml"),
    ("<m xmlns:p='u' xmlns:q='u' p:a='1' q:a='2'/>", "bad_xml"),
    ("", "payload_empty"),
    ("  \n", "payload_empty"),
    ("<a>" * 70 + "</a>" * 70, "too_deep"),
    (b"<m><a>\xff</a></m>", "encoding"),
    (b'<?xml version="1.0" encoding="utf-8"?><m><a>\xe4</a></m>', "encoding"),
    (b'<?xml version="1.0" encoding="klingon"?><m><a>x</a></m>', "encoding"),
    ("<m><a>" + "x" * (256 * 1024 + 1) + "</a></m>", "string_too_long"),
]


@pytest.mark.parametrize(("message", "code"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_not_well_formed_or_dangerous_is_refused(project, message, code):
    [line] = run(project, message)
    assert outcome(line) == "!" + code


ENTITIES = [
    ("<m><a>&lt;&gt;&amp;&quot;&apos;</a></m>", "<>&\"'"),
    ("<m><a>Pressen &amp; Entgraten</a></m>", "Pressen & Entgraten"),
    ("<m><a>&#228;&#xE4;&#x1F600;</a></m>", "ää\U0001f600"),
    ("<m><a>&amp;lt;</a></m>", "&lt;"),
    ("<m><a><![CDATA[<&]]]]><![CDATA[>]]></a></m>", "<&]]>"),
    ("<m><a> x </a></m>", " x "),
    ("<m><a>1\r\n2\r3</a></m>", "1\n2\n3"),
    ("<m><a>&#13;</a></m>", "\r"),
]


@pytest.mark.parametrize(("message", "value"), ENTITIES)
def test_text_is_what_the_document_says(project, message, value):
    assert outcome(run(project, message)[0]) == value


ATTRIBUTES = [
    ('<m a="1&#10;2"/>', "1\n2"),
    ('<m a="1\n2"/>', "1 2"),
    ("<m a='\"'/>", '"'),
    ('<m a="&lt;"/>', "<"),
]


@pytest.mark.parametrize(("message", "value"), ATTRIBUTES)
def test_attributes_are_normalised_as_xml_says(project, message, value):
    assert outcome(run(project, message, fields='v: {path: "@a"}')[0]) == value


BODY = '<?xml version="1.0" encoding="{}"?><m><a>Rückmeldung ä</a></m>'
ENCODINGS = [
    ("utf-8", "utf-8", b""),
    ("UTF-8", "utf-8", codecs.BOM_UTF8),
    ("ISO-8859-1", "iso-8859-1", b""),
    ("windows-1252", "cp1252", b""),
    ("ISO-8859-15", "iso-8859-15", b""),
    ("UTF-16", "utf-16-le", codecs.BOM_UTF16_LE),
    ("UTF-16", "utf-16-be", codecs.BOM_UTF16_BE),
]


@pytest.mark.parametrize(("name", "codec", "bom"), ENCODINGS)
def test_the_declared_encoding_is_read_or_refused_by_name(project, name, codec, bom):
    [line] = run(project, bom + BODY.format(name).encode(codec))
    assert outcome(line) in {"Rückmeldung ä", "!encoding"}
    if name.lower() in {"utf-8", "iso-8859-1", "windows-1252"}:
        assert outcome(line) == "Rückmeldung ä"


def test_a_bom_is_accepted(project):
    assert outcome(run(project, codecs.BOM_UTF8 + b"<m><a>x</a></m>")[0]) == "x"


def test_an_empty_element_is_an_empty_text_and_absent_when_declared_so(project):
    for message in ("<m><a/></m>", "<m><a></a></m>"):
        assert outcome(run(project, message)[0]) == ""
        assert outcome(run(project, message, guard=', empty: [""]')[0]) is None


def test_repeated_siblings_are_many_and_need_not_be_neighbours(project):
    message = "<m><a>1</a><b>x</b><a>2</a><c/><a>3</a></m>"
    result = run(project, message, fields='v: {path: "#text"}', entry="each: a")
    assert [outcome(line) for line in result] == ["1", "2", "3"]
    [line] = run(project, message, fields="list: {list: a}")
    assert line["data"]["list"] == ["1", "2", "3"]
    [line] = run(project, "<m><a>1</a></m>", fields="list: {list: a}")
    assert line["data"]["list"] == ["1"]


def test_the_reject_of_a_repeated_sibling_names_the_second(project):
    [line] = run(project, "<m><a>1</a><b/><a>2</a></m>")
    assert line["reject"]["code"] == "not_single"
    assert "a" in line["reject"]["pointer"]


def test_the_root_is_known_as_meta(project):
    assert outcome(run(project, "<m/>", fields="v: {meta: xml.root}")[0]) == "m"


def test_mixed_content_is_no_single_value_of_its_children(project):
    found = outcome(run(project, "<m><a>x<b>y</b>z</a></m>")[0])
    assert found != "xyz"


def test_a_quadratic_document_is_read_in_linear_time(project):
    message = "<m>" + "<a>x</a>" * 20_000 + "</m>"
    [line] = run(project, message, fields="list: {list: a}")
    assert len(line["data"]["list"]) == 20_000


@pytest.mark.parametrize("guard", [", root: 1", ", roots: [m]", ", header: true"])
def test_a_guard_that_means_nothing_is_refused(project, guard):
    error = project.problems(mapping("v: {path: a}", head=f"from: {{decode: xml{guard}}}"))
    assert any((p.file, p.line) == ("mappings/m.yaml", 1) for p in error.problems), str(error)
