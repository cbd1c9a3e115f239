"""An edge and a core as processes over a line on which the kernel loses packets, in both directions or in one, or is slow.

The nodes, their clients and this test run in a network namespace of their own, so nothing else of the machine is
touched, and nothing is left when it ends.
"""

import os
import re
import shutil
import subprocess
import sys

import pytest
from durable_node import HERE, Target, serving
from link_nodes import Plant, counters, once_and_in_order, until
from test_link_process import posting

#: Set where this file runs in a network of its own.
INSIDE = "MFGROUTE_OWN_NETWORK"
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
#: Shares of packets that are lost, in percent; a long run has more of them.
LOSSES = [int(one) for one in os.environ.get("MFGROUTE_LINK_LOSSES", "20").split(",")]
#: Reports that are acknowledged by the edge under each fault.
REPORTS = 40
RULES = """\
table inet faults {{
  chain line {{
    type filter hook input priority 0;
    tcp {way} {port} {share} counter drop
  }}
}}
"""


def do(*command, given=None):
    """Run a command of the system; answers what it printed, or raises `OSError` with what it said."""
    path = shutil.which(command[0], path=PATH)
    if path is None:
        raise OSError(f"{command[0]} is not installed")
    done = subprocess.run([path, *command[1:]], input=given, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"{command[0]}: {done.stderr.strip().partition(chr(10))[0] or done.returncode}")
    return done.stdout


def some(share):
    """The condition for so many packets of a hundred."""
    return "" if share == 100 else f"numgen random mod 100 < {share}"


def skipped_here():
    """Why packets cannot be lost on this machine; empty if they can."""
    script = (
        "ip link set lo up && nft -f - && tc qdisc add dev lo root tbf rate 2mbit burst 16kb latency 400ms"
    )
    try:
        for tool in ("ip", "nft", "tc"):
            do(tool, "-V")
        do("unshare", "--net", "sh", "-c", f"PATH=$PATH:/usr/sbin:/sbin; {script}",
           given=RULES.format(way="dport", port=1, share=some(1)))  # fmt: skip
    except OSError as error:
        return str(error)
    return ""


@pytest.mark.timeout(900)
@pytest.mark.skipif(INSIDE in os.environ, reason="this is the network of its own")
@pytest.mark.parametrize("fault", ["loss", "one_way", "slow"])
def test_a_line_on_which_packets_are_lost_or_late_delays_and_nothing_else(fault):
    if reason := skipped_here():
        pytest.skip(f"packets cannot be lost here: {reason}")
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", f"inside and {fault}"],
        cwd=HERE, env={**os.environ, INSIDE: "1", "PATH": PATH}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, "1 passed" in done.stdout) == (0, True), (
        done.stdout[-8000:] + done.stderr[-2000:]
    )


@pytest.fixture
def target():
    with serving(Target()) as one:
        yield one


class Line:
    """What the kernel does with packets of one port."""

    def __init__(self, port):
        self.port = port
        do("ip", "link", "set", "lo", "up", "mtu", "1500")

    def lose(self, share, *ways):
        """Lose so many of a hundred packets to the port (`dport`) or from it (`sport`)."""
        self.mend()
        for way in ways:
            do("nft", "-f", "-", given=RULES.format(way=way, port=self.port, share=some(share)))

    def slow(self):
        """Two megabits a second, and a queue of 400 ms; what comes on top is lost."""
        do(
            "tc",
            "qdisc",
            "add",
            "dev",
            "lo",
            "root",
            "tbf",
            "rate",
            "2mbit",
            "burst",
            "16kb",
            "latency",
            "400ms",
        )

    def lost(self):
        """How many packets the rule has taken, or the queue has held back."""
        found = do("nft", "list", "ruleset") + do("tc", "-s", "qdisc", "show", "dev", "lo")
        return sum(int(one) for one in re.findall(r"(?:packets|overlimits) (\d+)", found))

    def await_lost(self):
        """Return once a packet was lost or held back: at the latest a heartbeat or another try is one."""
        until(self.lost)

    def mend(self):
        do("nft", "flush", "ruleset")


@pytest.mark.skipif(INSIDE not in os.environ, reason="runs in a network of its own, below the test above")
@pytest.mark.parametrize("fault", ["loss", "one_way", "slow"])
def test_inside_nothing_is_lost_doubled_or_out_of_order(tmp_path, target, fault):
    Line(0)  # Loopback is there before anything listens.
    plant = Plant(tmp_path, target.url, window=10)
    (port,) = re.findall(
        r"listen: \"tcp://127\.0\.0\.1:(\d+)\"", (plant.core_folder / "mfgroute.yaml").read_text()
    )
    edge = plant.edge_folder / "mfgroute.yaml"
    edge.write_text(edge.read_text().replace(f':{plant.relay.port}"', f':{port}"'))
    line = Line(port)
    try:
        plant.start_core()
        plant.start_edge()
        with posting(plant) as clients:
            clients.more(20)
            if fault == "loss":
                for share in LOSSES:
                    line.lose(share, "dport", "sport")
                    clients.more(REPORTS)
                    line.await_lost()
            elif fault == "one_way":
                # What the core answers is lost, acknowledgements among it; then what the edge says.
                for way in ("sport", "dport"):
                    line.lose(100, way)
                    clients.more(REPORTS)
                    line.await_lost()
            else:
                line.slow()
                clients.more(5 * REPORTS)
                line.await_lost()
            line.mend()
            clients.more(20)
        assert target.until(clients.ledger, 120) == set()
        assert once_and_in_order(target) >= set(clients.ledger)
        assert counters(plant.core, "edges").get("forks", 0) == 0
    finally:
        plant.close()
