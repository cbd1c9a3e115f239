"""Who we say we are, and to whom."""

import base64
from urllib.parse import parse_qs

import pytest
from aiohttp import web

from mfgroute.adapters.sap.session import NotReady, Session
from mfgroute.errors import AdapterError, Disconnected

from .sap_cases import config

SERVICE = "API_X_SRV"


class Peer:
    """A target with its own authorization server; says no to a token as often as it is told to."""

    def __init__(self):
        self.seen, self.tokens, self.refuse, self.lives, self.csrf = [], [], 0, 3600, True

    async def token(self, request):
        body = (await request.read()).decode()
        self.seen.append(("token", dict(request.headers), parse_qs(body)))
        if self.lives is None:
            return web.json_response({"error": "invalid_client"}, status=401)
        self.tokens.append(f"t{len(self.tokens)}")
        return web.json_response({"access_token": self.tokens[-1], "expires_in": self.lives})

    async def serve(self, request):
        self.seen.append((request.method, dict(request.headers), request.path_qs))
        if self.refuse:
            self.refuse -= 1
            return web.json_response({}, status=401)
        response = web.json_response({"d": {}})
        if self.csrf and request.headers.get("X-CSRF-Token") == "Fetch":
            response.headers["X-CSRF-Token"] = "abc"
            response.set_cookie("SAP_SESSIONID", "s1", path="/")
        return response


@pytest.fixture
async def peer():
    found = Peer()
    app = web.Application()
    app.router.add_post("/oauth/token", found.token)
    app.router.add_route("*", "/{any:.*}", found.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield found
    await runner.cleanup()


@pytest.fixture
async def session(peer, context):
    made = []

    async def opened(**more):
        oauth = {
            "token_url": peer.url + "/oauth/token",
            "client_id": "mfg",
            "client_secret": "s3",
            "scope": "a b",
        }
        one = Session(
            config(**({"url": peer.url + "/sap", "auth": oauth, "allow_private": True} | more)), context
        )
        await one.open()
        made.append(one)
        return one

    yield opened
    for one in made:
        await one.close()


async def send(session):
    return await session.send("POST", SERVICE, "X", b"{}", {}, "application/json")


async def test_a_token_is_got_with_the_clients_credentials_and_kept(peer, session):
    one = await session(client="100")
    assert (await send(one)).status == 200
    assert (await send(one)).status == 200
    assert peer.tokens == ["t0"]
    kind, headers, form = peer.seen[0]
    assert kind == "token"
    assert headers["Authorization"] == "Basic " + base64.b64encode(b"mfg:s3").decode()
    assert form == {"grant_type": ["client_credentials"], "scope": ["a b"]}
    assert "Cookie" not in headers
    fetch, first, second = peer.seen[1:]
    assert fetch[2] == "/sap/API_X_SRV/?sap-client=100&sap-language=EN"
    assert fetch[1]["Authorization"] == "Bearer t0"
    assert "Cookie" not in fetch[1]
    for _, headers, path in (first, second):
        assert (headers["X-CSRF-Token"], headers["Cookie"]) == ("abc", "SAP_SESSIONID=s1")
        assert path.startswith("/sap/API_X_SRV/X?sap-client=100")


async def test_a_token_that_is_refused_is_got_anew_once(peer, session):
    one = await session()
    await send(one)
    peer.refuse = 1
    assert (await send(one)).status == 200
    assert peer.tokens == ["t0", "t1"]
    peer.refuse = 10
    assert (await send(one)).status == 401
    assert len(peer.tokens) == 3
    peer.refuse = 1
    assert (await one.get(SERVICE, "X")).status == 200


async def test_a_token_that_is_about_to_expire_is_not_used(peer, session):
    peer.lives = 0
    one = await session()
    await send(one)
    assert len(peer.tokens) == 1
    peer.lives = 1
    one._bearer = None
    await one.get(SERVICE, "X")
    assert one._bearer[0] == "t1"


async def test_without_a_token_nothing_is_posted(peer, session):
    peer.lives = None
    one = await session()
    with pytest.raises(Disconnected, match="no token: http_401") as failure:
        await send(one)
    assert failure.value.sent is False
    assert [kind for kind, _, _ in peer.seen] == ["token"]


async def test_a_fixed_token_is_not_got_anew(peer, session):
    one = await session(auth={"token": "fixed"})
    peer.refuse = 1
    with pytest.raises(NotReady) as failure:
        await send(one)
    assert failure.value.answer.status == 401
    assert peer.tokens == []
    assert peer.seen[-1][1]["Authorization"] == "Bearer fixed"


async def test_a_target_without_csrf_tokens_is_posted_to_without_one(peer, session):
    peer.csrf = False
    one = await session(auth={"token": "fixed"})
    assert (await send(one)).status == 200
    assert "X-CSRF-Token" not in peer.seen[-1][1]


async def test_only_the_target_itself_is_followed(peer, session):
    one = await session(auth={"token": "fixed"})
    assert (await one.follow(peer.url + "/jobs/1")).status == 200
    before = len(peer.seen)
    for url in (
        "http://169.254.169.254/x",
        peer.url.replace("127.0.0.1", "127.0.0.1.example"),
        peer.url + "1/x",
        "/x",
    ):
        with pytest.raises(AdapterError, match="is not under"):
            await one.follow(url)
    assert len(peer.seen) == before
    assert one.absolute(SERVICE, "/jobs/1") == peer.url + "/jobs/1"
    assert one.absolute(SERVICE, "jobs/1") == peer.url + "/sap/API_X_SRV/jobs/1"


async def test_a_token_server_in_a_forbidden_place_is_not_asked(peer, session):
    auth = {"token_url": "http://169.254.169.254/t", "client_id": "a", "client_secret": "b"}
    one = await session(auth=auth)
    with pytest.raises(AdapterError, match="never allowed"):
        await send(one)
    assert peer.seen == []
