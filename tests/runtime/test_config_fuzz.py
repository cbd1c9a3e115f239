import json

from fakes_runtime import FakeInbox, FakeSink, FakeSource
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mfgroute._core import parse_yaml
from mfgroute.config.convert import Notes
from mfgroute.config.load import _Reader
from mfgroute.registry import Registry

REGISTRY = Registry({"fake": FakeSource, "box": FakeInbox}, {"fake": FakeSink})
WORDS = [
    "apiVersion",
    "mfgroute/v1",
    "node",
    "id",
    "namespace",
    "http",
    "listen",
    "0.0.0.0:80",
    "streams",
    "durability",
    "memory",
    "fsync",
    "capacity",
    "1GiB",
    "sources",
    "sinks",
    "adapter",
    "fake",
    "box",
    "record",
    "keep",
    "filter",
    "effect",
    "by",
    "key",
    "lookup",
    "limits",
    "rate",
    "5/s",
    "in_flight",
    "retry",
    "tries",
    "parked_max",
    "routes",
    "name",
    "match",
    "type",
    "source",
    "to",
    "where",
    "mappings",
    "a/b~c",
    "",
    ">",
    "token",
    "password",
    "#key",
]
WORD = st.sampled_from(WORDS)
VALUE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | WORD
    | st.text(alphabet="abZ0 é𐀀-~/$", max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORD, inner, max_size=5),
    max_leaves=25,
)
SECTION = st.dictionaries(WORD, VALUE, max_size=5)
NAMED = st.dictionaries(st.sampled_from(["erp", "mes", "A", "a/b"]), SECTION | VALUE, max_size=3)
DOCUMENT = st.fixed_dictionaries(
    {},
    optional={
        "apiVersion": VALUE,
        "node": SECTION,
        "http": SECTION,
        "streams": NAMED,
        "sources": NAMED,
        "sinks": NAMED,
        "routes": st.lists(SECTION | VALUE, max_size=3) | VALUE,
        "x": VALUE,
    },
)


@given(DOCUMENT | VALUE)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_document_is_a_model_or_has_problems_with_places(document):
    text = json.dumps(document, ensure_ascii=False).encode()
    read, places, _ = parse_yaml(text, "mfgroute.yaml")
    notes = Notes("mfgroute.yaml", places, frozenset())
    model = _Reader(notes, REGISTRY).model(read)
    assert (model is None) == any(problem.severity == "error" for problem in notes.problems)
    assert all(problem.line >= 1 and problem.column >= 1 for problem in notes.problems)
