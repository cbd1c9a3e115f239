"""Where a sink may connect to, whatever a name resolves to."""

import msgspec
import pytest

from mfgroute.adapter import dec_hook
from mfgroute.adapters.http import HttpSink, HttpSinkConfig
from mfgroute.adapters.web.destination import Forbidden, GuardedResolver, forbidden
from mfgroute.errors import AdapterError, Disconnected
from mfgroute.events import Done

from .conftest import make_event
from .http_target import BY_LOOKUP, Dns, NoBooks, made, named, one, posted


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "192.168.1.1", "100.64.0.1"])
async def test_a_private_target_needs_a_word_in_the_configuration(context, address):
    sink = named(context, Dns(address))
    with pytest.raises(AdapterError, match="allow_private"):
        await sink.open()
    await sink.close()
    sink = named(context, Dns(address), allow_private=True)
    await sink.open()
    await sink.close()


async def test_a_name_that_is_rebound_after_the_start_is_refused_at_connect(context):
    sink = named(context, Dns("93.184.216.34", "169.254.169.254"))
    await sink.open()
    with pytest.raises(Disconnected, match="never allowed") as failure:
        await posted(sink, make_event())
    assert failure.value.sent is False
    await sink.close()


async def test_a_name_that_is_unknown_is_a_lost_connection(context):
    sink = named(context, Dns(None))
    with pytest.raises(Disconnected, match="resolve") as failure:
        await sink.open()
    assert failure.value.sent is False
    await sink.close()


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "fe80::1",
        "fe80::1%eth0",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "100.100.100.200",
        "fd00:ec2::254",
        "168.63.129.16",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "255.255.255.255",
        "ff02::1",
    ],
)
def test_some_addresses_are_never_allowed(address):
    assert forbidden(address, allow_private=True) is not None


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "10.0.0.1", "fd12::1", "::ffff:10.0.0.1", "64:ff9b::7f00:1"]
)
def test_private_addresses_are_allowed_only_when_listed(address):
    assert forbidden(address, allow_private=False) is not None
    assert forbidden(address, allow_private=True) is None


THIS_MACHINE = ["2130706433", "0x7f000001", "0x7f.1", "127.1", "0177.0.0.1", "017700000001"]
METADATA = ["2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518"]


@pytest.mark.parametrize("host", [*THIS_MACHINE, *METADATA, "4294967296", "1.2.3.256", "0x", "erp.0x7f"])
def test_an_odd_spelling_of_an_address_is_no_target(context, host):
    with pytest.raises(msgspec.ValidationError, match="odd form"):
        made(context, f"http://{host}/x")


@pytest.mark.parametrize("host", THIS_MACHINE)
async def test_a_resolver_that_reads_odd_spellings_is_seen_through(host):
    resolver = GuardedResolver()
    with pytest.raises(Forbidden, match=r"resolves to 127\.0\.0\.1: private"):
        await resolver.resolve(host)
    await resolver.close()


@pytest.mark.parametrize("host", METADATA)
@pytest.mark.parametrize("more", [{"allow_private": True}, {"networks": ["0.0.0.0/0", "::/0"]}])
async def test_no_spelling_of_the_metadata_service_is_resolved(host, more):
    resolver = GuardedResolver(**more)
    with pytest.raises(Forbidden, match="never allowed"):
        await resolver.resolve(host)
    await resolver.close()


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("[::1]", "private and loopback"),
        ("[::ffff:127.0.0.1]", "private and loopback"),
        ("[::ffff:7f00:1]", "private and loopback"),
        ("[::ffff:a9fe:a9fe]", "never allowed"),
        ("[64:ff9b::169.254.169.254]", "never allowed"),
        ("[fe80::1]", "never allowed"),
        ("127.0.0.1", "private and loopback"),
        ("169.254.169.254", "never allowed"),
    ],
)
async def test_an_address_in_the_configuration_is_judged_as_any_other(context, host, said):
    sink = made(context, f"http://{host}/x", allow_private=False)
    with pytest.raises(AdapterError, match=said):
        await sink.open()
    await sink.close()


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("10.20.1.1", True),
        ("::ffff:10.20.1.1", True),
        ("64:ff9b::a14:101", True),
        ("93.184.216.34", True),
        ("fd12::1", True),
        ("10.21.1.1", False),
        ("127.0.0.1", False),
        ("93.184.216.35", False),
        ("fd13::1", False),
        ("169.254.169.254", False),
        ("100.100.100.200", False),
        ("0.0.0.0", False),
        ("255.255.255.255", False),
        ("224.0.0.1", False),
    ],
)
def test_listed_networks_are_the_only_ones(address, allowed):
    networks = ["10.20.0.0/16", "93.184.216.34/32", "fd12::/16", "169.254.0.0/16", "100.64.0.0/10"]
    networks += ["0.0.0.0/8", "224.0.0.0/3"]
    assert (forbidden(address, networks=networks) is None) is allowed


@pytest.mark.parametrize("more", [{"allow_private": True}, {"networks": ["10.20.0.0/16"]}])
async def test_one_address_of_a_name_that_is_not_allowed_is_one_too_many(context, more):
    class Both(Dns):
        async def resolve(self, host, port=0, family=0):
            return [one for address in self.answers for one in await Dns(address).resolve(host, port)]

    sink = named(context, Both("10.20.0.1", "169.254.169.254"), **more)
    with pytest.raises(AdapterError, match=r"169\.254\.169\.254: link-local"):
        await sink.open()
    await sink.close()


@pytest.mark.parametrize(
    ("rebound", "more"),
    [
        ("::ffff:169.254.169.254", {"allow_private": True}),
        ("10.21.0.1", {"networks": ["10.20.0.0/16"]}),
        ("127.0.0.1", {"networks": ["10.20.0.0/16"]}),
    ],
)
async def test_a_rebound_name_is_refused_by_post_ask_and_follow(context, rebound, more):
    settings = {"url": "http://erp.example:8/x", **BY_LOOKUP, **more}
    settings["follow"] = {"done": {"pointer": "/x"}, "refused": {"pointer": "/y"}}
    config = msgspec.convert(settings, HttpSinkConfig, dec_hook=dec_hook)
    sink = HttpSink(config, context, resolver=Dns("10.20.0.1", rebound))
    await sink.open()
    request = await sink.render(make_event(), NoBooks())
    for call in (sink.post([request]), sink.ask(request), sink.follow(request, "/jobs/1")):
        with pytest.raises(Disconnected, match=f"resolves to {rebound}") as failure:
            await call
        assert failure.value.sent is False
    await sink.close()


async def test_a_target_in_a_listed_network_is_posted_to(context, erp):
    more = {"allow_private": False, "networks": ["127.0.0.0/8"]}
    assert await one(context, erp.url, **more) == Done("/confirmations/1")
