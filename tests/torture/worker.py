"""One life of a node: it opens a data folder, submits, delivers, and tells its ledgers on standard output.

Run as ``worker.py PROJECT DATA LIFE REPORTS [final]``, with the numbers of the reports to send between commas. Each line is a JSON object with one of these names:
``opened``, what opening found; ``ack``, a report that was acknowledged, with its level and when it was sent and answered;
``failed``, why a report was refused; ``effect``, a report that the target took, with its id and order; and of the final
life ``stats``. The target's line is written before the node is told: its ledger is ahead of the node, as in a plant.
"""

import json
import sys
import time

import mfgroute
from mfgroute import errors

ORDERS = 3
#: A report that the target refuses, until a person tries it again.
REFUSED = "r5"
#: Enough for a few events to fill a segment.
TEXT = "x" * 60_000


def message(number):
    """A report of an order."""
    body = {"id": f"r{number}", "ts": "2026-11-24T10:00:00Z", "order": str(number % ORDERS + 1), "mat": "A"}
    return json.dumps({**body, "qty": "1", "uom": "KG", "text": TEXT}).encode()


def say(**line):
    """One line for a ledger."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def deliver(engine, life, *, final):
    """Take what the sink has now; in the final life until nothing waits."""
    while True:
        with engine.poll("erp", wait_s=1.0 if final else 0.0) as batch:
            for event in batch:
                data = json.loads(event.json)["data"]
                if data["report"] == REFUSED and not final:
                    batch.refused(event, "M7/053", "period closed")
                    continue
                say(effect=data["report"], life=life, id=event.id, order=data["order"])
                batch.done(event, reference=data["report"])
        counts = engine.stats()["sinks"]["erp"]
        if not final or not counts["queued"] + counts["in_flight"]:
            return


def letters(engine, **request):
    """Ask about what is parked."""
    return json.loads(engine.dead_letters(json.dumps({"kind": "parked", "sink": "erp", **request}).encode()))


def submit(engine, number):
    """One event; two submissions bring more."""
    messages = [message(number)]
    if number == 4:
        messages.append(b"{")
    sent = time.time()
    receipt = engine.submit("mes-a", messages, position=str(number).encode(), wait_s=20.0)
    say(ack=f"r{number}", level=receipt.level, sent=sent, answered=time.time())


def live(engine, life, numbers, *, final):
    """What a client and a target do with the node."""
    for number in numbers:
        try:
            submit(engine, number)
        except (errors.MfgrouteError, OSError) as error:
            # A client tries the next one as well: none of them may be acknowledged any more.
            say(failed=f"r{number}", why=str(error))
            continue
        deliver(engine, life, final=False)
        try:
            if number == 6:
                engine.pause("erp", who="ann", why="stocktaking")
            elif number == 8:
                engine.resume("erp", who="ann", why="counted")
        except errors.MfgrouteError as error:
            # The node's own log has failed: nobody is told that it was done.
            say(failed="what ann did", why=str(error))
    if final:
        engine.resume("erp", who="ann", why="the end")
        for key in sorted({letter["key"] for letter in letters(engine, verb="list")}):
            letters(engine, verb="retry-key", key=key, who="ann")
        deliver(engine, life, final=True)
        say(stats=engine.stats())


def main():
    """Live."""
    project, data, life, numbers, *final = sys.argv[1:]
    engine = mfgroute.Engine(mfgroute.load_plan(project), data_dir=data)
    say(opened=engine.opened)
    live(engine, int(life), [int(number) for number in numbers.split(",") if number], final=bool(final))
    engine.close()


if __name__ == "__main__":
    main()
