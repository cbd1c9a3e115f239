"""CSV through the engine: rows, headers, encodings, totals, and where a reject was found."""

import json
from contextlib import closing

import pytest

from mfgroute import _core

FIELDS = "{id: {path: B}, n: {path: A, number: {}}, line: {meta: file.line}, file: {meta: file.name}}"


def run(project, head, slab, fields=FIELDS):
    """Data of the events, and the rejects, of one file `x.csv`."""
    text = f"from: {{decode: csv{head}}}\nemit:\n  - to: thing/1\n    fields: {fields}\n"
    with closing(_core.Engine(project.load(text))) as engine:
        receipt = engine.submit_lines("src", slab, meta={"file.name": "x.csv"})
        assert receipt.resume is None
        found = []
        while True:
            with engine.poll("log", events_max=100) as batch:
                if not len(batch):
                    break
                found += [json.loads(event.json)["data"] for event in batch]
                batch.done_all()
        stats = engine.stats()
        assert stats["unaccounted"] == 0
        return found, receipt.rejects


def test_a_file_that_cannot_be_taken_apart_is_one_reject_that_names_the_file(project):
    text = f"from: {{decode: csv, header: [A, B]}}\nemit:\n  - to: thing/1\n    fields: {FIELDS}\n"
    with closing(_core.Engine(project.load(text))) as engine:
        receipt = engine.submit_lines("src", b'A,B\n"1,x\n', meta={"file.name": "x.csv"})
        assert (receipt.unsplittable, receipt.rejected) == (True, 1)
        (kept,) = json.loads(engine.dead_letters(b'{"kind": "rejects", "verb": "list"}'))
    assert receipt.rejects[0].place == kept["place"] == "x.csv"


def ids(found):
    return [(one["id"], one.get("n")) for one in found]


GOOD = [
    ("", b"A,B\n1,x\n2,y\n", [("x", "1"), ("y", "2")]),
    (", header: true", b"A,B\n1,x", [("x", "1")]),
    (", header: true", b"A,B\r\n1,x\r\n2,y\r\n", [("x", "1"), ("y", "2")]),
    (", header: true", b"B,A\nx,1\n", [("x", "1")]),
    (", header: true", b"\xef\xbb\xbfA,B\n1,x\n", [("x", "1")]),
    (", header: [A, B]", b"1,x\n", [("x", "1")]),
    (", header: [A, B]", b"\xef\xbb\xbf1,x\n", [("x", "1")]),
    (', delimiter: ";"', b"A;B\n1;x,y\n", [("x,y", "1")]),
    (', delimiter: "\\t"', b"A\tB\n1\tx\n", [("x", "1")]),
    ("", b'A,B\n1,"x,y"\n', [("x,y", "1")]),
    ("", b'A,B\n1,"x ""y"""\n', [('x "y"', "1")]),
    ("", b'A,B\n1,"x\ny"\n2,z\n', [("x\ny", "1"), ("z", "2")]),
    ("", b'"A","B"\n"1","x"\n', [("x", "1")]),
    (', quote: "\'"', b"A,B\n1,'x,y'\n", [("x,y", "1")]),
    ("", b"A,B\n1, x \n", [(" x ", "1")]),
    ("", b"A,B\n\n1,x\n\n", [("x", "1")]),
    (", skip_rows: 2", b"Report\nfor,plant,4\nA,B\n1,x\n", [("x", "1")]),
    (", skip_rows: {B: Summe}", b"A,B\n1,x\n1,Summe\n2,y\n", [("x", "1"), ("y", "2")]),
    (", skip_rows: {B: Summe}", b"A,B\n1,x\n1,Summen\n", [("x", "1"), ("Summen", "1")]),
    (", encoding: windows-1252", "A,B\n1,Stück €\n".encode("cp1252"), [("Stück €", "1")]),
    (", encoding: iso-8859-1", "A,B\n1,Stück\n".encode("latin-1"), [("Stück", "1")]),
    (', number: {decimal: ",", group: "."}, delimiter: ";"', b"A;B\n1.234,50;x\n", [("x", "1234.5")]),
    (', empty: [""]', b"A,B\n,x\n", [("x", None)]),
    (", trailer: {when: {B: S}, sums: [A]}", b"A,B\n1.5,x\n2,y\n3.50,S\n", [("x", "1.5"), ("y", "2")]),
    (", trailer: {when: {B: S}, sums: [A]}", b"A,B\n0,S\n", []),
]


@pytest.mark.parametrize(("head", "slab", "expected"), GOOD, ids=range(len(GOOD)))
def test_a_row_is_a_message(project, head, slab, expected):
    found, rejects = run(project, head, slab)
    assert [(one.code, one.found) for one in rejects] == []
    assert sorted(ids(found)) == sorted(expected)


BAD_ROWS = [
    ("", b"A,B\n1,x\n1\n2,y\n", "bad_csv"),
    ("", b"A,B\n1,x\n1,2,3\n2,y\n", "bad_csv"),
    ("", b"A,B\n1,x\nq,z\n2,y\n", "bad_number"),
    ("", b"A,B\n1,x\n1,\xff\n2,y\n", "encoding"),
    ("", b'A,B\n1,x\n1,"z"q\n2,y\n', "bad_csv"),
    ("", b"A,B\n1,x\n1,\n2,y\n", "contract_invalid"),
]


@pytest.mark.parametrize(("head", "slab", "code"), BAD_ROWS, ids=range(len(BAD_ROWS)))
def test_a_bad_row_is_one_reject_and_the_others_are_admitted(project, head, slab, code):
    found, rejects = run(project, head, slab)
    assert sorted(ids(found)) == [("x", "1"), ("y", "2")]
    assert [one.code for one in rejects] == [code]


@pytest.mark.parametrize(("head", "slab", "code"), BAD_ROWS, ids=range(len(BAD_ROWS)))
def test_the_reject_of_a_row_names_file_and_line(project, head, slab, code):
    _, [reject] = run(project, head, slab)
    assert reject.place == "x.csv:3"


def test_the_line_of_a_row_counts_lines_within_quotes(project):
    found, _ = run(project, "", b'A,B\n1,"x\ny"\n2,z\n')
    assert {one["id"]: one["line"] for one in found} == {"x\ny": "2", "z": "4"}
    assert {one["file"] for one in found} == {"x.csv"}


def test_the_line_of_a_row_counts_skipped_rows_and_crlf(project):
    found, _ = run(project, ", skip_rows: 2", b"Report\r\nof\r\nA,B\r\n1,x\r\n")
    assert [one["line"] for one in found] == ["4"]


def test_the_byte_that_is_not_in_the_encoding_is_named(project):
    _, [reject] = run(project, "", b"A,B\n1,\xff\n")
    assert "0xFF" in reject.found
    assert "UTF-8" in reject.expected


WHOLE = [
    (", trailer: {when: {B: S}, sums: [A]}", b"A,B\n1,x\n2,y\n4,S\n", "4"),
    (", trailer: {when: {B: S}, sums: [A]}", b"A,B\n1,x\n2,y\n", "S"),
    (", trailer: {when: {B: S}, sums: [A]}", b"A,B\n1,x\n1,S\n2,y\n", ""),
    (", trailer: {when: {B: S}, sums: [A]}", b"A,B\n1,x\nq,y\n1,S\n", ""),
    ("", b"A,A\n1,2\n", "A"),
    ("", b'A,B\n1,"x\n2,y\n', ""),
]


@pytest.mark.parametrize(("head", "slab", "word"), WHOLE, ids=range(len(WHOLE)))
def test_a_file_that_is_not_whole_is_refused_as_a_whole(project, head, slab, word):
    found, rejects = run(project, head, slab)
    assert found == []
    assert rejects
    assert any(word in f"{one.found} {one.expected}" for one in rejects)


def test_a_wrong_total_names_its_line_once(project):
    _, [reject] = run(project, ", trailer: {when: {B: S}, sums: [A]}", b"A,B\n1,x\n2,y\n4,S\n")
    assert "?" not in reject.found


GROUP = "{id: {path: B}, items: {list: 'rows[*]', fields: {n: {path: A}}}}"


def test_rows_of_one_document_are_one_message(project):
    found, rejects = run(project, ", group_by: B", b"A,B\n1,x\n2,x\n3,y\n", GROUP)
    assert rejects == []
    items = {one["id"]: [item["n"] for item in one["items"]] for one in found}
    assert items == {"x": ["1", "2"], "y": ["3"]}


def test_a_bad_row_refuses_its_document(project):
    fields = GROUP.replace("{path: A}", "{path: A, number: {}}")
    found, rejects = run(project, ", group_by: B", b"A,B\n1,x\nq,x\n3,y\n", fields)
    assert [one["id"] for one in found] == ["y"]
    assert [one.code for one in rejects] == ["bad_number"]


CONFIG = [
    ", delimiter: ab",
    ", delimiter: ''",
    ", encoding: klingon",
    ", header: 1",
    ", quote: ab",
    ", skip_rows: -1",
    ", trailer: {when: {B: S}}",
    ", trailer: {sums: [A]}",
    ", root: [m]",
    ", header: [A, A]",
    ", skip_rows: {A: x, B: y}",
    ", group_by: ''",
    ", header: false, group_by: B",
    ", header: [A, B], group_by: C",
    ", header: [A, B], skip_rows: {C: x}",
    ", header: [A, B], trailer: {when: {C: S}, sums: [A]}",
    ", header: [A, B], trailer: {when: {B: S}, sums: [C]}",
    ", delimiter: ';', quote: ';'",
]


@pytest.mark.parametrize("head", CONFIG)
def test_a_wrong_declaration_of_a_file_is_refused(project, head):
    text = f"from: {{decode: csv{head}}}\nemit:\n  - to: thing/1\n    fields: {FIELDS}\n"
    error = project.problems(text)
    assert any((p.file, p.line) == ("mappings/m.yaml", 1) for p in error.problems), str(error)


# The declaration, the character of the line where the problem is (`|`), and a word of message or hint.
CONTRADICTIONS = [
    (", header: [A, B, |A]", "twice"),
    (", header: [A, |'']", "column 2"),
    (", header: [A, |' ']", "column 2"),
    (", header: |[]", "header: false"),
    (", skip_rows: |{}", "0 columns"),
    (", skip_rows: |{A: x, B: y, C: z}", "3 columns"),
    (", skip_rows: {|'': x}", "without a name"),
    (", header: [Auftrag, Menge], skip_rows: {|Menga: x}", "did you mean Menge?"),
    (", header: [A, B], skip_rows: {|a: x}", "A, B"),
    (", header: false, skip_rows: {|A: x}", "c1"),
    (", header: false, skip_rows: {|c0: x}", "c1"),
    (", header: false, skip_rows: {|c01: x}", "c1"),
    (", header: false, skip_rows: {|c: x}", "c1"),
    (", group_by: |[]", "each row"),
    (", group_by: [A, |'']", "without a name"),
    (", group_by: [A, B, |A]", "twice"),
    (", group_by: |rows", "rows"),
    (", header: [A, B], group_by: [B, |C]", "A, B"),
    (", header: false, group_by: [c1, |B]", "c2"),
    (", header: false, trailer: {when: {|B: S}, sums: [c1]}", "c1"),
    (", header: false, trailer: {when: {c2: S}, sums: [|A]}", "c1"),
    (", header: [A, B], trailer: {when: {B: S}, sums: [A, |C]}", "A, B"),
    (", trailer: {when: {B: S}, sums: [A, |B]}", "other columns"),
    (", trailer: {when: {|'': S}, sums: [A]}", "without a name"),
    (", trailer: {when: {B: S}, sums: |''}", "without a name"),
    (", delimiter: |'\"'", "quote: false"),
    (", quote: |','", "quote: false"),
    (", delimiter: ';', quote: |';'", "quote: false"),
    (', delimiter: |"\\n"', "line end"),
    (', quote: |"\\r"', "line end"),
    (", encoding: windows-1252, skip_rows: {A: |Σ}", "windows-1252"),
    (", encoding: windows-1252, trailer: {when: {B: |Σ}, sums: [A]}", "windows-1252"),
    (", encoding: windows-1252, header: [A, |Σ]", "windows-1252"),
]


@pytest.mark.parametrize(("head", "word"), CONTRADICTIONS)
def test_a_declaration_that_contradicts_itself_is_refused_at_its_place(project, head, word):
    text = f"from: {{decode: csv{head.replace('|', '')}}}\nemit:\n  - to: thing/1\n    fields: {FIELDS}\n"
    [problem] = project.problems(text).problems
    column = len("from: {decode: csv") + head.index("|") + 1
    assert (problem.file, problem.line, problem.column) == ("mappings/m.yaml", 1, column), str(problem)
    assert word in f"{problem.message} {problem.hint}"
    assert problem.hint


CONSISTENT = [
    (", header: false", b"1,x\n", "{id: {path: c2}}"),
    (", header: false, skip_rows: {c2: Summe}, group_by: c2", b"1,x\n1,Summe\n2,x\n", "{id: {path: c2}}"),
    (", header: false, trailer: {when: {c2: S}, sums: [c1]}", b"1,x\n1,S\n", "{id: {path: c2}}"),
    (", header: [A, B, C10], group_by: [B, C10]", b"1,x,2\n", "{id: {path: B}}"),
    (", header: [A, a]", b"1,x\n", "{id: {path: a}}"),
    (", quote: false, delimiter: '\"'", b'A"B\n1"x\n', "{id: {path: B}}"),
    (", skip_rows: {B: ''}", b"A,B\n1,x\n2,\n", "{id: {path: B}}"),
    (", skip_rows: {B: S}, trailer: {when: {B: S}, sums: [A]}", b"A,B\n1,x\n1,S\n", "{id: {path: B}}"),
    (", encoding: windows-1252, skip_rows: {B: €}", b"A,B\n1,x\n2,\x80\n", "{id: {path: B}}"),
]


@pytest.mark.parametrize(("head", "slab", "fields"), CONSISTENT)
def test_a_declaration_that_is_only_unusual_is_accepted(project, head, slab, fields):
    found, rejects = run(project, head, slab, fields)
    assert ([one["id"] for one in found], rejects) == (["x"], [])


def test_a_header_without_a_column_of_the_mapping_is_never_an_empty_column(project):
    found, rejects = run(project, "", b"A,C\n1,x\n")
    assert found == []
    assert rejects
