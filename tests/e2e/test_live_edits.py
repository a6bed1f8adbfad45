"""Plans under traffic, on the simulated director: packets of a connection go on as before, whatever is edited around it."""

from __future__ import annotations

from hypothesis import given, settings

from ipvsnl.client import IPVS
from ipvsnl.model import Destination, Service
from tests.ipvsnl.random_tables import Tables, edited, meaning, server, tables
from tests.ipvssim import worlds as w

WEB = Service("tcp", "203.0.113.1", 80, scheduler="rr")
SERVER = Destination("10.0.0.10", 8080, "masq")


def under_traffic() -> tuple[w.World, IPVS]:
    """A director with one established connection from a client to the server."""
    world = w.World()
    ipvs = world.kernel.connect()
    ipvs.add_service(WEB)
    ipvs.add_server(WEB, SERVER)
    assert world.client(w.tcp(w.SYN)).opened
    world.client(w.tcp(w.ACK))
    return world, ipvs


@settings(max_examples=60, deadline=None)
@given(tables(), edited(WEB), server(SERVER.key, 2))
def test_packets_of_a_connection_take_the_same_way_after_any_edit(
    table: Tables, web: Service, kept: Destination
) -> None:
    """Service and server of a live connection are edited in every field, other rules come and go: its next packet goes
    where the one before went, byte for byte but for nothing, and the server still counts it."""
    world, ipvs = under_traffic()
    before = world.client(w.tcp(w.ACK)).out
    wanted = {**table, web: [kept, Destination("10.0.0.11", 8080, "masq")]}
    ipvs.apply(ipvs.plan(wanted, prune=True))
    assert meaning(ipvs.snapshot()) == meaning(wanted)
    assert world.client(w.tcp(w.ACK)).out == before and before
    status = ipvs.server(WEB, SERVER)
    assert status.active + status.inactive == 1


def test_a_rolled_back_deletion_revives_the_connection() -> None:
    """What a rollback adds again is what was deleted: out of the trash, with its connection."""
    world, ipvs = under_traffic()
    before = world.client(w.tcp(w.ACK)).out
    ipvs.delete_server(WEB, SERVER)
    assert world.client(w.tcp(w.ACK)).out != before
    ipvs.apply(ipvs.plan({WEB: [SERVER]}))
    assert world.client(w.tcp(w.ACK)).out == before
    assert ipvs.server(WEB, SERVER).active + ipvs.server(WEB, SERVER).inactive == 1
