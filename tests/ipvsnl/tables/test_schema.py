"""The JSON of tables: both ways, strictly read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from ipvsnl.model import Destination, DestinationStatus, Entry, Service, ServiceStatus, Statistics
from ipvsnl.tables import json_out
from ipvsnl.tables.json_in import read
from ipvsnl.tables.table import TableError, normal_server
from tests.ipvsnl.strategies import DESTINATIONS, SERVICES

FULL = 2**64 - 1


def entry(service: Service, *servers: Destination, counted: Statistics | None = None) -> Entry:
    statistics = counted or Statistics()
    return Entry(
        ServiceStatus(service, statistics), tuple(DestinationStatus(one, 3, 2, 1, statistics) for one in servers)
    )


def text(*entries: Entry) -> str:
    return "".join(json_out.stream("services", map(json_out.entry, entries)))


NAMES: dict[str | int, str] = {6: "tcp", 17: "udp", 132: "sctp"}


@given(SERVICES)
def test_every_service_survives_json(service: Service) -> None:
    """What the kernel can hold comes back as it was."""
    if isinstance(service.protocol, int) and service.protocol > 255:
        service = service.replace(protocol=service.protocol % 200)
    (found,) = read(text(entry(service))).services.values()
    expected = service.replace(protocol=NAMES.get(service.protocol, service.protocol))
    if service.persistence is None:
        expected = expected.replace(netmask=None)
    assert found == expected


@given(DESTINATIONS)
def test_every_server_survives_json(server: Destination) -> None:
    """But for the fields of a tunnel where there is none; negative weights, which no kernel takes, are refused."""
    web = Service("tcp", "192.0.2.1", 80)
    document_text = text(entry(web, server))
    if server.weight < 0:
        with pytest.raises(TableError, match=r"services\[0\]\.servers\[0\]\.weight"):
            read(document_text)
        return
    ((found,),) = [tuple(servers.values()) for servers in read(document_text).servers.values()]
    assert normal_server(found) == normal_server(server)


def test_counters_are_whole() -> None:
    """All 64 bits, as numbers."""
    counted = Statistics(*[FULL] * 10)
    whole = json.loads(text(entry(Service(fwmark=7), counted=counted)))
    statistics = whole["services"][0]["statistics"]
    assert {*statistics["rates"].values(), *(statistics[name] for name in json_out.COUNTERS)} == {FULL}


MINIMAL: dict[str, Any] = {"protocol": "tcp", "address": "192.0.2.1", "port": 80}


def wanted(service: Any, **parts: Any) -> str:
    return json.dumps({"ipvsnl": 1, "services": [service], **parts})


def test_what_is_not_said_takes_ipvsadms_defaults() -> None:
    """wlc, direct routing, weight 1, the service's port."""
    table = read(wanted({**MINIMAL, "servers": [{"address": "10.0.0.1"}]}))
    assert list(table.services.values()) == [Service("tcp", "192.0.2.1", 80)]
    assert [list(one.values()) for one in table.servers.values()] == [[Destination("10.0.0.1", 80)]]


@pytest.mark.parametrize(
    ("document_text", "words"),
    [
        ("{", "no JSON"),
        ("{}", '"ipvsnl": 1 is missing'),
        ('{"ipvsnl": 2, "services": []}', '"ipvsnl": 1 is missing'),
        ('{"ipvsnl": 1, "daemons": []}', "unknown field 'daemons'"),
        ('{"ipvsnl": 1}', "neither services nor timeouts"),
        (wanted(MINIMAL, unknown=["services[].flags"]), "does not know everything"),
        (wanted({**MINIMAL, "shceduler": "rr"}), "services[0]: unknown field 'shceduler'"),
        (wanted({**MINIMAL, "port": 65536}), "services[0].port: not a number from 0 to 65535: 65536"),
        (wanted({**MINIMAL, "port": "80"}), "services[0].port"),
        (wanted({**MINIMAL, "port": True}), "services[0].port"),
        (wanted({**MINIMAL, "address": "192.0.2.256"}), "services[0].address: not an IP address"),
        (wanted({**MINIMAL, "flags": ["sh-port"]}), "services[0].flags[0]: not one of flag-1"),
        (wanted({**MINIMAL, "one_packet": 1}), "services[0].one_packet: neither true nor false"),
        (wanted({**MINIMAL, "fwmark": 7}), "services[0].protocol: a firewall mark has none"),
        (wanted({**MINIMAL, "netmask": 24}), "services[0].netmask"),
        (wanted({**MINIMAL, "servers": {}}), "services[0].servers: not an array"),
        (wanted({**MINIMAL, "servers": [{"address": "10.0.0.1", "tunnel": {}}]}), "the forwarding method is no tunnel"),
        (wanted({**MINIMAL, "servers": [{"address": "10.0.0.1"}, {"address": "10.0.0.1"}]}),
         "services[0].servers[1]: the same as services[0].servers[0]"),
        (json.dumps({"ipvsnl": 1, "services": [MINIMAL, MINIMAL]}), "services[1]: the same as services[0]"),
        (json.dumps({"ipvsnl": 1, "timeouts": {"tcp": -1}}), "timeouts.tcp"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_by_its_place(document_text: str, words: str) -> None:
    """A typo is never passed over."""
    with pytest.raises(TableError) as wrong:
        read(document_text)
    assert words in str(wrong.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"ipvsnl": 1, "services": [{"address": "10.0.0.1", "port": 80, "port": 81}]}', "the field 'port'"),
        ('{"ipvsnl": 1, "services": [], "services": []}', "^the document: the field 'services'"),
        ('{"ipvsnl": 1, "services": [{"servers": [{}, {"weight": 1, "weight": 1}]}]}', r"^services\[0\].servers\[1\]: "),
        ('{"ipvsnl": 1, "services": ' + "[" * 100_000, "too deep"),
    ],
)  # fmt: skip
def test_a_field_stands_there_once(text: str, words: str) -> None:
    """JSON would silently take the last one; and nothing is so deep that reading it fails in another way."""
    with pytest.raises(TableError, match=words):
        read(text)
