"""A node whose inbox holds keys: a final report does not overtake a rejected one, also over a `kill -9`."""

import signal

from cli_projects import report, until  # isort: skip


def test_later_reports_of_an_order_wait_for_a_rejected_one(mfgroute, start, target, project):
    file = project / "mfgroute.yaml"
    text = file.read_text().replace("mappings: [done],", "mappings: [done], on_reject: hold_key,")
    file.write_text(text.replace("durability: memory", "durability: fsync"))
    node = start(SAP_URL=target.url)
    rejected = node.post(report(1, center="P2"))
    assert (rejected["status"], rejected["errors"][0]["code"]) == (422, "lookup_missing")
    kept = node.post(report(2), report(3))
    assert (kept["accepted"], kept["rejected"], kept["level"]) == (0, 2, "durable")
    assert {one["code"] for one in kept["errors"]} == {"key_held"}
    node.stop(signal.SIGKILL)

    node = start(SAP_URL=target.url)
    listed = mfgroute("rejects", "list").out.splitlines()
    assert "lookup_missing at /wc" in listed[1]
    assert [line.split("  ")[-1] for line in listed[2:]] == ["waiting behind 0"] * 2
    inbox = mfgroute("inbox").out
    assert "mes: rejected, lookup_missing (1)" in inbox
    assert "message 0 of mes, 2 waiting behind" in inbox
    early = mfgroute("rejects", "retry", 1)
    assert (early.code, "key_held" in early.out) == (65, True)
    assert target.taken == []

    with (project / "lookups" / "centers.csv").open("a") as table:
        table.write("P2,20-P2\n")
    node.process.send_signal(signal.SIGHUP)
    node.logged('"reloaded"')
    assert mfgroute("rejects", "retry", 0, "--reason", "P2 is in").code == 0
    until(lambda: list(target.taken), lambda taken: len(taken) == 3)
    assert target.taken == ["A-1", "A-2", "A-3"]
    assert mfgroute("inbox").out == "nothing waits for a person\n"
