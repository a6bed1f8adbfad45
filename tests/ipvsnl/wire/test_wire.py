"""Values to records and back."""

from __future__ import annotations

import pytest
from hypothesis import given

from ipvsnl.backends.choice import chosen
from ipvsnl.errors import EncodeError
from ipvsnl.family import DAEMON, DEST, SERVICE, Command
from ipvsnl.model import Daemon, Destination, Service, Timeouts
from ipvsnl.wire import records
from tests.ipvsnl.strategies import DAEMONS, DESTINATIONS, SERVICES


@given(SERVICES)
def test_a_service_survives_the_record(service: Service) -> None:
    """Nothing of a service is lost or changed on its way to a record and back."""
    assert records.read_service(records.service_record(service)).service == service


@given(DESTINATIONS)
def test_a_destination_survives_the_record(destination: Destination) -> None:
    """Nothing of a destination is lost or changed on its way to a record and back."""
    assert records.read_destination(records.destination_record(destination)).destination == destination


@given(DAEMONS)
def test_a_daemon_survives_the_record(daemon: Daemon) -> None:
    """Nothing of a daemon is lost or changed on its way to a record and back."""
    assert records.read_daemon(records.daemon_record(daemon)) == daemon


@given(SERVICES, DESTINATIONS)
def test_values_survive_the_wire(service: Service, destination: Destination) -> None:
    """Through the bytes of a message and back, a service and a destination are the same values."""
    backend = chosen()
    message = backend.encode(28, Command.NEW_SERVICE, 1, 7, service=records.service_record(service))
    ((_, _, _, _, start, end),) = backend.split(message)
    assert records.read_service(backend.decode("service", message, start, end)).service == service
    message = backend.encode(28, Command.NEW_DEST, 1, 7, dest=records.destination_record(destination))
    ((_, _, _, _, start, end),) = backend.split(message)
    assert records.read_destination(backend.decode("dest", message, start, end)).destination == destination


def test_the_packers_follow_the_tables() -> None:
    """The order in which wire packs fields is the order in which the family lays them out."""
    names = [field.name for field in SERVICE.fields if field.format != "Q" and field.name]
    assert names == [
        "present",
        "fwmark",
        "flags",
        "flags_mask",
        "timeout",
        "netmask",
        "af",
        "protocol",
        "port",
        "addr",
        "sched_name",
        "pe_name",
    ]
    names = [field.name for field in DEST.fields if field.format != "Q" and field.name]
    assert names == [
        "present",
        "fwd_method",
        "weight",
        "u_thresh",
        "l_thresh",
        "active_conns",
        "inact_conns",
        "persist_conns",
        "port",
        "addr_family",
        "tun_port",
        "tun_flags",
        "tun_type",
        "addr",
    ]
    names = [field.name for field in DAEMON.fields if field.name]
    assert names == [
        "present",
        "state",
        "sync_id",
        "sync_maxlen",
        "mcast_port",
        "mcast_ttl",
        "mcast_ifn",
        "mcast_group",
        "mcast_group6",
    ]


BAD_SERVICES = {
    "no key": Service(),
    "unknown protocol": Service("tpc", "192.0.2.1", 80),
    "no address": Service("tcp", "web.example", 80),
    "spelling": Service("tcp", "192.0.2.01", 80),
    "port": Service("tcp", "192.0.2.1", 65536),
    "negative port": Service("tcp", "192.0.2.1", -1),
    "long scheduler": Service("tcp", "192.0.2.1", 80, scheduler="s" * 16),
    "NUL in scheduler": Service("tcp", "192.0.2.1", 80, scheduler="r\0r"),
    "mask of the other family": Service("tcp", "192.0.2.1", 80, netmask=24),
    "text mask for IPv6": Service("tcp", "2001:db8::1", 80, netmask="255.255.255.0"),
    "mark too large": Service(fwmark=2**32),
    "families differ": Service("tcp", "192.0.2.1", 80, family=10),
}


@pytest.mark.parametrize("service", BAD_SERVICES.values(), ids=BAD_SERVICES)
def test_what_the_wire_has_no_form_for_is_the_callers_error(service: Service) -> None:
    """A bad service is an EncodeError (and a ValueError) before anything is sent."""
    with pytest.raises(EncodeError) as refused:
        records.service_record(service)
    assert isinstance(refused.value, ValueError)


@pytest.mark.parametrize(
    "destination",
    [
        Destination("nowhere", 80),
        Destination("10.0.0.1", 70000),
        Destination("10.0.0.1", 80, "mask"),
        Destination("10.0.0.1", 80, 8),
        Destination("10.0.0.1", 80, weight=2**31),
        Destination("10.0.0.1", 80, tunnel_type="vxlan"),
        Destination("10.0.0.1", 80, tunnel_port=-1),
    ],
)
def test_a_bad_destination_is_the_callers_error(destination: Destination) -> None:
    """A bad destination is an EncodeError before anything is sent."""
    with pytest.raises(EncodeError):
        records.destination_record(destination)


def test_a_timeout_that_is_none_is_left_out() -> None:
    """None keeps a timeout by not naming it."""
    assert records.read_config(records.config_record(Timeouts(tcp=5))) == Timeouts(5, 0, 0)
    assert records.config_record(Timeouts())[:4] == bytes(4)
