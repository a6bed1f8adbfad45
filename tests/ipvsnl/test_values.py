"""Values: immutable, compared by their fields, canonical in their addresses."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given

from ipvsnl.model import Destination, Service, Statistics
from tests.ipvsnl.strategies import DESTINATIONS, SERVICES


def test_a_value_cannot_be_changed() -> None:
    """What was read stays what was read."""
    service = Service("tcp", "192.0.2.1", 80)
    with pytest.raises(AttributeError, match=r"use \.replace\(port=\.\.\.\)"):
        service.port = 81  # type: ignore[misc]
    with pytest.raises(AttributeError):
        del service.port
    assert service.port == 80


def test_replace_changes_what_it_names_and_refuses_what_there_is_not() -> None:
    """A change is another value; an unknown field is a TypeError, never silently lost."""
    service = Service("tcp", "192.0.2.1", 80, scheduler="rr")
    assert service.replace(scheduler="wrr") == Service("tcp", "192.0.2.1", 80, scheduler="wrr")
    with pytest.raises(TypeError):
        service.replace(sheduler="wrr")


def test_values_of_different_kinds_are_never_equal() -> None:
    """Equality asks for the type first."""
    assert Destination("10.0.0.1", 80) != Service("tcp", "10.0.0.1", 80)
    assert Statistics() != (0,) * 10


def test_an_address_has_one_spelling_and_tells_the_family() -> None:
    """Two spellings of an IPv6 address are one value, with one key."""
    one, other = Service("tcp", "2001:DB8:0:0::1", 80), Service("tcp", "2001:db8::1", 80)
    assert one == other and hash(one) == hash(other) and one.family == 10
    assert Destination("FD00::A").key == Destination("fd00::a").key


@given(SERVICES, DESTINATIONS)
def test_values_survive_copying_and_pickling(service: Service, destination: Destination) -> None:
    """A value that went to another process is the same value."""
    for value in (service, destination):
        assert pickle.loads(pickle.dumps(value)) == copy.deepcopy(value) == value
        assert eval(repr(value), {"Service": Service, "Destination": Destination}) == value
