"""Secrets of a node appear nowhere, although the target repeats every one of them."""

import json
import urllib.error
import urllib.request

import pytest
from aiohttp import web
from cli_projects import PROJECT, Target, report, serving, until, write_project

#: How each secret comes into the configuration.
CANARIES = {
    "WMS_TOKEN": "canary-token-4f1c",
    "WMS_QUERY": "canary-query-77ab",
    "file": "canary-file-90de",
    "literal": "canary-literal-5512",
}
SINK = """\
  sap:
    adapter: http
    url: "${SAP_URL}?client=100&key=${WMS_QUERY}&plain=canary-inurl-0a0b"
    token: "${WMS_TOKEN}"
    headers: {X-Api-Key: "${file:secret.txt}", X-Other: canary-literal-5512}
    allow_private: true
    effect: {by: key, kept: 24h}
    retry: {delay_max: 50ms}
    owner: erp-team
"""
ALL = {*CANARIES.values(), "canary-inurl-0a0b"}


class Echo(Target):
    """A target that says back all that it was sent, in every way it can."""

    def __init__(self):
        super().__init__()
        self.heard = []

    async def handle(self, request):
        said = json.dumps({"url": str(request.rel_url), "headers": dict(request.headers)})
        self.heard.append(said)
        text = json.dumps({"detail": f"not accepted: {said}"})
        match (await request.json())["data"]["report"]:
            case "A-1":
                return web.Response(status=422, text=text)
            case "A-2":
                return web.Response(status=500, text=text)
            case "A-3":
                return web.Response(status=302, headers={"Location": f"http://elsewhere.example/?{said}"})
            case "A-4":
                return web.Response(status=429, text=text, headers={"Retry-After": said})
            case "A-5":
                return web.Response(status=201, headers={"Location": str(request.rel_url)})
        request.transport.write(f"HTTP/1.1 {said}\r\n\r\n".encode())
        request.transport.close()
        return web.Response()


@pytest.fixture
def echo():
    with serving(Echo()) as target:
        yield target


def everything(folder):
    """The content of every file of the data folder."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.timeout(180)
def test_no_secret_is_logged_measured_stored_or_shown(tmp_path, start, mfgroute, echo):
    head, rest = PROJECT.split("  sap:\n")
    text = head + SINK + "  log:" + rest.split("  log:")[1]
    text = text.replace("{durability: memory, capacity: 16MiB, when_full: block}", "{durability: fsync}")
    folder = write_project(tmp_path / "secrets", text)
    (folder / "secret.txt").write_text(CANARIES["file"] + "\n")
    env = {"SAP_URL": echo.url, **{name: CANARIES[name] for name in ("WMS_TOKEN", "WMS_QUERY")}}
    node = start("-v", folder=folder, **env)
    node.post(*(report(number, order=f"47{number}") for number in range(1, 7)))
    until(lambda: len(echo.heard), lambda count: count >= 12)
    shown = {}
    for words in (
        ["parked", "list", "--output", "json"],
        ["inbox"],
        ["effects", "list", "--output", "json"],
        ["trace", "order/DE04/471", "--output", "json"],
        ["config", "show", "--origin"],
    ):
        ended = mfgroute(*words, folder=folder, **env)
        shown[" ".join(words)] = ended.out + ended.err
    for path in ("metrics", "readyz", "openapi.json"):
        request = urllib.request.Request(f"{node.ready['url']}/{path}")
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                shown[path] = answer.read().decode()
        except urllib.error.HTTPError as error:
            shown[path] = error.read().decode()
    assert node.stop() == 0
    shown["log"] = "".join(node.log)
    heard = "".join(echo.heard)
    assert all(secret in heard for secret in ALL), "the target was sent every one of them"
    found = {where for where, said in shown.items() if any(secret in said for secret in ALL)}
    stored = everything(folder / "data")
    assert b"not accepted" in b"".join(stored.values()), "what the target said is kept"
    found |= {where for where, content in stored.items() if any(secret.encode() in content for secret in ALL)}
    # The address is written in the configuration as it is; only `config show` shows that, and nothing else.
    assert found <= {"config show --origin"}
    assert not any(secret in shown["config show --origin"] for secret in CANARIES.values())
    assert "********" in shown["parked list --output json"]
