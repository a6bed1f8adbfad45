"""Values to records and back."""

from __future__ import annotations

import pytest
from hypothesis import given

from ipvsnl._value import maker
from ipvsnl.backends.choice import chosen
from ipvsnl.errors import EncodeError
from ipvsnl.family import DAEMON, DEST, SERVICE, Command
from ipvsnl.model import Daemon, Destination, Service, ServiceStatus, Statistics, Timeouts
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


UNCHECKED_SERVICE = maker(Service)
"""Makes a service as the bulk paths do: its fields are taken as they are."""
BAD_SERVICES = {
    "unknown protocol": ("tpc", "192.0.2.1", 80, 0, 2),
    "no address": ("tcp", "web.example", 80, 0, 2),
    "spelling": ("tcp", "192.0.2.01", 80, 0, 2),
    "port": ("tcp", "192.0.2.1", 65536, 0, 2),
    "mark too large": ("", "", 0, 2**32, 2),
    "families differ": ("tcp", "192.0.2.1", 80, 0, 10),
}


@pytest.mark.parametrize("fields", BAD_SERVICES.values(), ids=BAD_SERVICES)
def test_what_the_wire_has_no_form_for_is_the_callers_error(fields: tuple[object, ...]) -> None:
    """A service that was made unchecked is checked when it is encoded: EncodeError (and ValueError), nothing is sent."""
    with pytest.raises(EncodeError) as refused:
        records.service_record(UNCHECKED_SERVICE(*fields, "rr", 0, False, None, None, ""))
    assert isinstance(refused.value, ValueError)


@pytest.mark.parametrize("bad", [None, "192.0.2.1:80", ServiceStatus(Service(fwmark=1), Statistics())])
def test_a_value_of_another_kind_is_the_callers_error(bad: object) -> None:
    """Where a service or a server belongs, anything else is refused by name."""
    for encode in (records.service_record, records.service_key):
        with pytest.raises(EncodeError, match="this takes a Service, not"):
            encode(bad)  # type: ignore[arg-type]
    for encode_server in (records.destination_record, records.destination_key):
        with pytest.raises(EncodeError, match="this takes a Destination, not"):
            encode_server(bad)  # type: ignore[arg-type]


def test_a_timeout_that_is_none_is_left_out() -> None:
    """None keeps a timeout by not naming it."""
    assert records.read_config(records.config_record(Timeouts(tcp=5))) == Timeouts(5, 0, 0)
    assert records.config_record(Timeouts())[:4] == bytes(4)
