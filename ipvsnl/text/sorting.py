"""ipvsadm's order of services and real servers, which is no order in the mathematical sense.

It compares by subtracting 32-bit numbers into an ``int``, which wraps: 200.0.0.1 comes before 10.0.0.1, and three
addresses can each come before the next, in a circle. What comes out then depends on how the C library's qsort walks:
a merge sort from the top down, halves of n/2 and n-n/2, the left one first where both are equal.
"""

from __future__ import annotations

from _socket import AF_INET6 as HOST_AF_INET6
from _socket import inet_pton
from operator import itemgetter

from ipvsnl.consts import AF_INET, PROTOCOLS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    from ipvsnl.model import DestinationStatus, Entry, Service

    T = TypeVar("T")
    Key = tuple[int, ...]

_HALF = 2**31
_MASK = 2**32 - 1


def sort_entries(entries: Sequence[Entry]) -> list[Entry]:
    """Services by (mark, family, protocol, address, port)."""
    return _sort(entries, lambda entry: _service_key(entry.service), _before_or_equal)


def sort_servers(servers: Sequence[DestinationStatus]) -> list[DestinationStatus]:
    """Real servers by (address, port). The family of the left one says how many words of the addresses are compared."""
    return _sort(servers, lambda status: _address_key(*status.destination.key), _server_before_or_equal)


def _service_key(service: Service) -> Key:
    protocol = PROTOCOLS.get(service.protocol, 0) if isinstance(service.protocol, str) else service.protocol
    words = _words(service.address)[:4] if service.address else (0,)
    return (service.fwmark, service.family, protocol, *words, service.port)


def _address_key(address: str, port: int) -> Key:
    """Four words and the port; a leading 1 or 4 says how many words count when this one stands left."""
    words = _words(address)
    return (len(words), *words, *(0,) * (4 - len(words)), port)


def _words(address: str) -> Key:
    packed = inet_pton(HOST_AF_INET6, address) if ":" in address else inet_pton(AF_INET, address)
    return tuple([int.from_bytes(packed[at : at + 4], "big") for at in range(0, len(packed), 4)])


def _before_or_equal(left: Key, right: Key) -> bool:
    for one, other in zip(left, right, strict=False):
        if one != other:
            return (one - other) & _MASK >= _HALF
    return True


def _server_before_or_equal(left: Key, right: Key) -> bool:
    count = left[0]
    return _before_or_equal((*left[1 : 1 + count], left[5]), (*right[1 : 1 + count], right[5]))


def _sort(items: Sequence[T], key: Callable[[T], Key], not_after: Callable[[Key, Key], bool]) -> list[T]:
    keyed = [(key(item), item) for item in items]
    if _agrees(keyed):
        keyed.sort(key=itemgetter(0))
    else:
        keyed = _merge_sort(keyed, not_after)
    return [item for _, item in keyed]


def _agrees(keyed: list[tuple[Key, T]]) -> bool:
    """Whether plain numeric order is the same: each column stays within 2^31, so that no difference wraps."""
    if len({len(key) for key, _ in keyed}) > 1 or len({key[0] for key, _ in keyed}) > 1:
        return False
    return all(max(column) - min(column) < _HALF for column in zip(*[key for key, _ in keyed], strict=True))


def _merge_sort(items: list[tuple[Key, T]], not_after: Callable[[Key, Key], bool]) -> list[tuple[Key, T]]:
    count = len(items)
    if count < 2:
        return items
    left = _merge_sort(items[: count // 2], not_after)
    right = _merge_sort(items[count // 2 :], not_after)
    merged: list[tuple[Key, T]] = []
    i = j = 0
    while i < len(left) and j < len(right):
        if not_after(left[i][0], right[j][0]):
            merged.append(left[i])
            i += 1
        else:
            merged.append(right[j])
            j += 1
    return merged + left[i:] + right[j:]
