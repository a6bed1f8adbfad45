"""Why values have no form on the wire: which field, its value, and what is allowed, in the words of the values."""

from __future__ import annotations

from ipvsnl.family import CONFIG, DAEMON, DEST, SERVICE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ipvsnl.family import Field, Group

_RANGES = {"B": (0, 0xFF), "H": (0, 0xFFFF), "I": (0, 0xFFFFFFFF), "i": (-0x80000000, 0x7FFFFFFF)}
_WORDS = {
    SERVICE: {"fwmark": "firewall mark", "timeout": "persistence", "af": "family"},
    DEST: {
        "fwd_method": "forwarding method", "u_thresh": "upper threshold", "l_thresh": "lower threshold",
        "addr_family": "family", "tun_port": "tunnel port", "tun_flags": "tunnel flags", "tun_type": "tunnel type",
    },
    DAEMON: {
        "state": "role", "sync_id": "synchronisation id", "sync_maxlen": "length", "mcast_port": "port",
        "mcast_ttl": "time to live",
    },
    CONFIG: {"timeout_tcp": "TCP timeout", "timeout_tcp_fin": "TCP FIN timeout", "timeout_udp": "UDP timeout"},
}  # fmt: skip
_BY_FORMAT = {group.record_format.lstrip("=Q"): group for group in _WORDS}


def unfit(record_format: str, fields: tuple[object, ...]) -> str:
    """What is wrong with the fields of a record of that format, which :mod:`struct` refused."""
    group = _BY_FORMAT[record_format.lstrip("=x0123456789Q")]
    for field, found in zip(_numbers(group), fields, strict=False):
        low, high = _RANGES.get(field.format, (0, 0))
        if high and not (isinstance(found, int) and low <= found <= high):
            name = _WORDS[group].get(field.name, field.name.replace("_", " "))
            return f"{name} {found!r}: {_article(name)} {name} is {low} to {high}"
    return "a field has no form on the wire"


def _numbers(group: Group) -> list[Field]:
    return [field for field in group.fields if field.format in _RANGES]


def _article(name: str) -> str:
    return "an" if name[0] in "aeiou" else "a"
