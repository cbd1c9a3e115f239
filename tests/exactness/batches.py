"""Batches of a thousand values through one plan, on both ways that a message can take."""

import json
from decimal import Decimal
from fractions import Fraction

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from mfgroute import _core
from tests.mapping.conftest import Project

SIZE = 1000
#: Batches of one test: a thousand values each.
BATCHES = 2
BATCHES_TORTURE = 60


def batches(test):
    """Run a test with several `random.Random`s. A failure names the value, so nothing is lost by not shrinking."""
    torture = settings.get_current_profile_name() == "torture"
    limits = settings(
        max_examples=BATCHES_TORTURE if torture else BATCHES,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
    )
    return limits(given(draw=st.randoms(use_true_random=True))(test))


class Plant:
    """One mapping, as single messages (which run flat, if they can) and as the items of one message (on trees).

    Args:
        root: an empty folder.
        fields: YAML of the fields, one per line.
        files: further files of the project, a contract or configuration among them.
    """

    def __init__(self, root, fields, *, files=None):
        self.project = Project(root)
        for name, text in (files or {}).items():
            self.project.write(name, text)
        self.project.write("mappings/e.yaml", self._mapping(fields, "    each: v\n    items: each\n"))
        self.plan = self.project.load(self._mapping(fields, ""))
        self._engine = _core.Engine(self.plan)
        self._count = 0

    @staticmethod
    def _mapping(fields, more):
        rows = "".join(f"      {row}\n" for row in fields.strip().splitlines())
        return f"from: {{decode: json}}\nemit:\n  - to: thing/1\n{more}    fields:\n      id: {{path: i}}\n{rows}"

    @property
    def runs_flat(self):
        return all(one["flat"] for one in self.plan.summary["mappings"])

    def number(self):
        """A number that no item had before: an item that comes twice is no event."""
        self._count += 1
        return self._count

    def run(self, items):
        """What became of each item, a dict: `data` of its event or the code of its reject; the same on both ways."""
        items = [{"i": str(self.number()), **item} for item in items]
        flat, trees = self.singly(items), self._together(items)
        for item, one, other in zip(items, flat, trees, strict=True):
            assert one == other, f"{item}: flat {one}, on trees {other}"
        return flat

    def _together(self, items):
        message = json.dumps({"v": items}, ensure_ascii=False).encode()
        place = {item["i"]: number for number, item in enumerate(items)}
        made = [None] * len(items)
        for line in map(json.loads, _core.run_mapping(self.plan, "e", message, {}).splitlines()):
            if "reject" in line:
                made[line["reject"]["item"]] = line["reject"]["code"]
            else:
                made[place[line["data"].pop("id")]] = line["data"]
        return made

    def singly(self, items):
        """What became of each item, a dict or the bytes of a message, through an engine."""
        texts = [
            item if isinstance(item, bytes) else json.dumps(item, ensure_ascii=False).encode()
            for item in items
        ]
        receipt = self._engine.submit_lines("src", b"\n".join(texts))
        assert receipt.resume is None
        made = [None] * len(items)
        for reject in receipt.rejects:
            made[reject.message] = reject.code
        events = []
        while batch := self._engine.poll("log", events_max=5000, bytes_max=1 << 30):
            with batch:
                events += [json.loads(event.json)["data"] for event in batch]
                batch.done_all()
        accepted = iter(events)
        made = [one or next(accepted) for one in made]
        assert next(accepted, None) is None
        for one in made:
            if isinstance(one, dict):
                one.pop("id")
        return made


def canonical(value):
    """A fraction with a finite decimal form as the specification prints it: no exponent, no zero that says nothing."""
    value = Fraction(value)
    places = 0
    while (value.numerator * 10**places) % value.denominator:
        places += 1
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    text = digits[: len(digits) - places] + ("." + digits[len(digits) - places :] if places else "")
    return ("-" if value < 0 else "") + text


def terminates(value):
    """Whether a fraction has a finite decimal form."""
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest == 1


def fits(value):
    """Whether a fraction with a finite decimal form has at most 38 digits, and 38 after the point."""
    whole, _, fraction = canonical(abs(value)).partition(".")
    return len((whole + fraction).lstrip("0")) <= 38 and len(fraction) <= 38


def written(draw, digits_max=38):
    """A number as JSON writes it: up to so many digits, in all magnitudes, often short or near a tie."""
    digits = draw.choice(
        [1, 2, 3, 6, 17, 18, 19, 20, digits_max - 1, digits_max, draw.randint(1, digits_max)]
    )
    digits = min(digits, digits_max)
    text = "".join(draw.choice(draw.choice(["0123456789", "05", "9"])) for _ in range(digits))
    whole = draw.choice([0, digits, draw.randint(0, digits)])
    left, right = text[:whole].lstrip("0") or "0", text[whole:]
    sign = draw.choice(["", "", "-"])
    return sign + left + ("." + right if right else "")


def exact(text):
    """The value of a JSON number."""
    return Fraction(Decimal(text))
