"""Where a sink may connect to, whatever a name resolves to."""

import pytest

from mfgroute.adapters.http import HttpSink, HttpSinkConfig
from mfgroute.adapters.web.destination import forbidden
from mfgroute.errors import AdapterError, Disconnected

from .conftest import make_event
from .http_target import Dns, named, posted


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


@pytest.mark.parametrize("url", ["http://2130706433/", "http://0x7f.1/", "http://127.1/", "http://[::1]/"])
async def test_odd_spellings_of_an_address_are_seen_through(context, url):
    sink = HttpSink(HttpSinkConfig(url=url), context)
    with pytest.raises((AdapterError, Disconnected)):
        await sink.open()
    await sink.close()
