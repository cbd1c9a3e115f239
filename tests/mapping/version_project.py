"""A project with two versions of one contract and three sinks, for tests of versions."""

import pytest

import mfgroute

from .conftest import MAIN, Project

V1 = """\
type: plant.order
version: 1.3.0
kind: event
stream: business
owner: tests
lifecycle: {status: deprecated, successor: plant.order/2}
key: {order: [data.number]}
idempotency: [data.number]
business: {process: orders, transaction: data.number, step: old-step}
schema:
  type: object
  required: [number, quantity, unit]
  additionalProperties: false
  properties:
    number: {type: string, minLength: 1}
    quantity: {type: string, format: decimal, x-decimal: {digits: 13, places: 3}}
    unit: {type: string}
"""
V2 = """\
type: plant.order
version: 2.0.1
kind: event
stream: business
owner: tests
lifecycle: {status: active}
key: {order: [data.order]}
idempotency: [data.order]
business: {process: orders, transaction: data.order, step: new-step}
schema:
  type: object
  required: [order, amount]
  additionalProperties: false
  properties:
    order: {type: string, minLength: 1}
    amount:
      type: object
      required: [value, unit]
      additionalProperties: false
      properties:
        value: {type: string, format: decimal, x-decimal: {min: "0", digits: 13, places: 3}}
        unit: {type: string, enum: [KGM, GRM]}
"""
V3 = V2.replace("version: 2.0.1", "version: 3.0.0").replace("amount", "total")

UP = """\
from: {contract: plant.order/1}
emit:
  - to: plant.order/2
    fields:
      order: {path: number}
      amount.value: {path: quantity}
      amount.unit: {path: unit, codes: {kg: KGM, g: GRM}}
"""
DOWN = """\
from: {contract: plant.order/2}
emit:
  - to: plant.order/1
    fields:
      number: {path: order}
      quantity: {path: amount.value}
      unit: {path: amount.unit, codes: {KGM: kg, GRM: g}}
"""
NEXT = """\
from: {contract: plant.order/2}
emit:
  - to: plant.order/3
    fields: {order: {path: order}, total.value: {path: amount.value}, total.unit: {path: amount.unit}}
"""
MAKES_1 = """\
from: {decode: json}
time: {path: at}
emit:
  - to: plant.order/1
    fields: {number: {path: no}, quantity: {path: qty}, unit: {path: uom}}
"""
MAKES_2 = """\
from: {decode: json}
emit:
  - to: plant.order/2
    fields: {order: {path: no}, amount.value: {path: qty}, amount.unit: {path: uom}}
"""
MESSAGE = {"no": "4711", "qty": "2.5", "uom": "kg", "at": "2026-03-01T06:00:00Z"}
OLD = {"number": "4711", "quantity": "2.5", "unit": "kg"}
NEW = {"order": "4711", "amount": {"value": "2.5", "unit": "KGM"}}


class Versions(Project):
    """A project with three sinks, whose files are those that a test names."""

    def __init__(self, root):
        super().__init__(root)
        self.files(v1=V1, v2=V2)

    def files(self, **texts):
        for name, text in texts.items():
            contract = name.startswith("v") and name[1:].isdigit()
            folder = (
                f"contracts/plant.order.{name}.yaml"
                if contract
                else f"mappings/{name.replace('_', '-')}.yaml"
            )
            self.write(folder, text)
        return self

    def main(self, *routes, sources=("src",), mappings="m"):
        text = MAIN[: MAIN.index("sources:")] + "sources:\n"
        for index, name in enumerate(sources):
            used = mappings if isinstance(mappings, str) else mappings[index]
            used = f", mappings: [{used}]" if used else ""
            text += f"  {name}: {{adapter: files, path: ./{name}/*.jsonl{used}}}\n"
        text += "sinks:\n" + "".join(
            f"  {name}: {{adapter: console, owner: tests}}\n" for name in ("erp", "wms", "log")
        )
        text += "routes:\n" + "".join(f"  - {{{route}}}\n" for route in routes)
        self.write("mfgroute.yaml", text)
        return self

    def refused(self):
        with pytest.raises(mfgroute.ConfigError) as info:
            self.load()
        return [
            (p.file, p.line, p.column, p.message, p.hint)
            for p in info.value.problems
            if p.severity == "error"
        ]


def as_route(name, pattern, to, **more):
    extra = "".join(f", {key}: {value}" for key, value in more.items())
    return f'name: {name}, match: {{type: "{pattern}"}}, to: {to}{extra}'
