"""A daemon with a target, and small file systems of its own."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.runtime.durable_node import Node, Target, serving, write_project


@pytest.fixture
def target():
    with serving(Target()) as one:
        yield one


@pytest.fixture
def project(tmp_path, target):
    return write_project(tmp_path / "project", target.url)


@pytest.fixture
def start(project):
    """Starts daemons; they are killed at the end."""
    nodes = []

    def of(*arguments, folder=project, ready=True, **more):
        nodes.append(Node(folder, *arguments, life=len(nodes), **more))
        assert (nodes[-1].ready is not None) == ready, nodes[-1].log
        return nodes[-1]

    yield of
    for node in nodes:
        if not node.process.stdout.closed:
            node.process.send_signal(signal.SIGCONT)
            node.stop(signal.SIGKILL)


def run(*command):
    """Run a command as root; answers why it failed, or `None`."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    if not shutil.which(command[0], path=path):
        return f"{command[0]} is not installed"
    done = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return None if done.returncode == 0 else f"{command[0]}: {done.stderr.strip() or done.returncode}"


class Loop:
    """A small ext4 in a file.

    Attributes:
        place: where it is mounted.
    """

    def __init__(self, folder):
        self.image, self.place, self.mounted = folder / "image", folder / "disk", False
        self.place.mkdir()

    def make(self, mebibytes, *options):
        """Make it anew; skips where that needs more than this machine has."""
        with self.image.open("wb") as file:
            file.truncate(mebibytes << 20)
        if reason := run("mkfs.ext4", "-q", "-F", *options, self.image):
            pytest.skip(f"no ext4 can be made: {reason}")

    def mount(self):
        """Mount it, as a machine does after a start."""
        if reason := run("mount", "-o", "loop,errors=remount-ro", self.image, self.place):
            pytest.skip(f"no ext4 can be mounted: {reason}")
        self.mounted = True

    def unmount(self):
        """Unmount it; nobody uses it any more."""
        assert run("umount", self.place) is None
        self.mounted = False

    @property
    def device(self):
        """Name of the device that it is mounted from."""
        mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
        (found,) = [source for source, place, *_ in mounts if place == str(self.place)]
        return found.rpartition("/")[2]


@pytest.fixture
def loop(tmp_path):
    """A small ext4, not yet made."""
    one = Loop(tmp_path)
    yield one
    if one.mounted:
        run("umount", "-l", one.place)
