"""Virtual servers and their real servers of a ``keepalived.conf``: statements become values."""

from __future__ import annotations

from ipvsnl.consts import AF_INET, AF_INET6, GENERIC_SCHEDULER_FLAGS, SCHEDULER_FLAGS, TUNNEL_F_CSUM, TUNNEL_F_REMCSUM
from ipvsnl.errors import EncodeError
from ipvsnl.model import Destination, Service
from ipvsnl.tables.keepalived_groups import address_of, number_of, port_of, word_of
from ipvsnl.tables.keepalived_words import at, wrong

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from ipvsnl.tables.keepalived_groups import Group, Member
    from ipvsnl.tables.keepalived_words import Place, Statement


PERSISTENCE = 360
"""Seconds of persistence where it is asked for without a number, or follows from something else."""
_FLAGS = dict(GENERIC_SCHEDULER_FLAGS)
_OWN_FLAGS = {name: (scheduler, bit) for scheduler, flags in SCHEDULER_FLAGS.items() for name, bit in flags.items()}
_METHODS = {"NAT": "masq", "DR": "route", "TUN": "tunnel"}
SCHEDULERS = ("rr", "wrr", "lc", "wlc", "lblc", "sh", "mh", "dh", "fo", "ovf", "lblcr", "sed", "nq", "twos")
_SUMS = {"nocsum": 0, "csum": TUNNEL_F_CSUM, "remcsum": TUNNEL_F_REMCSUM}
_CHECKS = frozenset((
    "BFD_CHECK", "DNS_CHECK", "FILE_CHECK", "HTTP_GET", "MISC_CHECK", "PING_CHECK", "SMTP_CHECK", "SSL_GET", "TCP_CHECK",
    "UDP_CHECK", "alpha", "connect_timeout", "delay_before_retry", "delay_loop", "inhibit_on_failure", "log_all_failures",
    "notify_down", "notify_up", "retry", "smtp_alert", "snmp_name", "virtualhost", "warmup",
))  # fmt: skip
"""Keywords about health and who is told of it, which is no table; of virtual and of real servers."""
_VIRTUAL_CHECKS = _CHECKS | {
    "ha_suspend", "hysteresis", "omega", "quorum", "quorum_down", "quorum_up",
}  # fmt: skip


class _Real:
    """A real server as it stands there."""

    def __init__(self, statement: Statement, notes: list[str]) -> None:
        self.place = statement.place
        self.address = address_of(statement, 1)
        self.port = port_of(statement, 2)
        self.method: dict[str, Any] | None = None
        self.fields: dict[str, int] = {}
        for one in statement.block or []:
            word = one.words[0]
            if word == "weight":
                self.fields["weight"] = number_of(one, 1, 0, 2**31 - 1, "weight")
            elif word in ("uthreshold", "lthreshold"):
                name = "upper_threshold" if word[0] == "u" else "lower_threshold"
                self.fields[name] = number_of(one, 1, 0, 2**31 - 1, word)
            elif word in ("lb_kind", "lvs_method"):
                self.method = _method(one)
            elif word not in _CHECKS:
                notes.append(f"{at(one.place)}: {word!r} is no keyword of a real server that is known here: left out")
        upper, lower = self.fields.get("upper_threshold", 0), self.fields.get("lower_threshold", 0)
        if lower > upper:  # the kernel's ERANGE (ip_vs_add_dest, ip_vs_ctl.c, Linux 6.1): keepalived loses the server
            raise wrong(self.place, f"lthreshold {lower} is above uthreshold {upper}")


def _method(of: Statement) -> dict[str, Any]:
    """``NAT``, ``DR``, or ``TUN [type {ipip|gue port N|gre} [nocsum|csum|remcsum]]`` as fields of a real server."""
    word = word_of(of, 1, "the method")
    if word not in _METHODS:
        raise wrong(of.place, f"{word!r} is none of {', '.join(_METHODS)}")
    found: dict[str, Any] = {"forwarding": _METHODS[word]}
    at_word = 2
    while word == "TUN" and at_word < len(of.words):
        option = of.words[at_word]
        if option == "type":
            found["tunnel_type"] = kind = word_of(of, at_word + 1, "the type")
            if kind not in ("ipip", "gue", "gre"):
                raise wrong(of.place, f"{kind!r} is none of ipip, gue, gre")
            at_word += 2
        elif option == "port":
            found["tunnel_port"] = number_of(of, at_word + 1, 1, 65535, "port")
            at_word += 2
        elif option in _SUMS:
            found["tunnel_flags"] = _SUMS[option]
            at_word += 1
        else:
            break
    if at_word < len(of.words):
        raise wrong(of.place, f"{of.words[at_word]!r} does not belong to {word}")
    if found.get("tunnel_type") == "gue" and "tunnel_port" not in found:
        raise wrong(of.place, "a gue tunnel needs its port")
    return found


class Virtual:
    """A virtual server: one service, or one for each member of its group."""

    def __init__(self, statement: Statement, groups: dict[str, Group], notes: list[str]) -> None:
        self.place = statement.place
        self._notes = notes
        self._statement = statement
        self._fields: dict[str, Any] = {"scheduler": "wlc", "flags": 0}
        self._protocol = ""
        self._granularity: str | None = None
        self._mask_place = statement.place
        self._one_packet = False
        self._family = 0
        self._method: dict[str, Any] = {"forwarding": "masq"}
        self._servers: list[_Real] = []
        self._sorry: _Real | None = None
        self._sorry_stays = False
        self._members = self._named(groups)
        for one in statement.block or []:
            self._keyword(one)

    def _named(self, groups: dict[str, Group]) -> Iterator[Member]:
        of = self._statement
        what = word_of(of, 1, "the address")
        if what == "group":
            name = word_of(of, 2, "the group")
            if name not in groups:
                raise wrong(of.place, f"there is no virtual_server_group {name!r}")
            return groups[name].members()
        if what == "fwmark":
            return iter([({"fwmark": number_of(of, 2, 1, 2**32 - 1, "fwmark"), "family": 0}, of.place)])
        return iter([({"address": address_of(of, 1), "port": port_of(of, 2) or 0}, of.place)])

    def _keyword(self, one: Statement) -> None:
        word = one.words[0]
        take = _KEYWORDS.get(word)
        if word in _FLAGS:
            self._fields["flags"] |= _FLAGS[word]
        elif word in _OWN_FLAGS or word == "hashed":
            self._own_flag(one)
        elif take is not None:
            take(self, one)
        elif word not in _VIRTUAL_CHECKS:
            self._note(one, f"{word!r} is no keyword of a virtual server that is known here: left out")

    def _note(self, one: Statement | _Real, words: str) -> None:
        self._notes.append(f"{at(one.place)}: {words}")

    def _own_flag(self, one: Statement) -> None:
        """A flag of a scheduler counts where the scheduler was named before it; ``hashed`` is set anyway."""
        scheduler, bit = _OWN_FLAGS.get(one.words[0], ("sh", 0))
        if self._fields["scheduler"] == scheduler:
            self._fields["flags"] |= bit
        else:
            self._note(one, f"{one.words[0]} takes effect after 'lb_algo {scheduler}' alone: left out")

    def _scheduler(self, one: Statement) -> None:
        word = word_of(one, 1, "the scheduler")
        if word not in SCHEDULERS:
            raise wrong(one.place, f"{word!r} is none of keepalived's schedulers: {', '.join(SCHEDULERS)}")
        self._fields["scheduler"] = word

    def _kind(self, one: Statement) -> None:
        self._method = _method(one)

    def _of_protocol(self, one: Statement) -> None:
        self._protocol = word_of(one, 1, "the protocol").lower()
        if self._protocol not in ("tcp", "udp", "sctp"):
            raise wrong(one.place, f"{one.words[1]!r} is none of TCP, UDP, SCTP")

    def _persistent(self, one: Statement) -> None:
        given = len(one.words) > 1
        seconds = number_of(one, 1, 0, 31 * 24 * 3600, "timeout") if given else PERSISTENCE
        if seconds:
            self._fields["persistence"] = seconds
        else:  # people write it, and keepalived passes over it
            self._note(one, "persistence_timeout 0 is no persistence: left out")

    def _mask(self, one: Statement) -> None:
        self._granularity = word = word_of(one, 1, "the netmask")
        self._mask_place = one.place
        if not (word.isascii() and word.isdecimal() and len(word) <= 3 and 1 <= int(word) <= 128):
            address_of(one, 1)

    def _engine(self, one: Statement) -> None:
        self._fields["persistence_engine"] = word_of(one, 1, "the engine")

    def _packets(self, _: Statement) -> None:
        self._one_packet = True

    def _of_family(self, one: Statement) -> None:
        self._family = AF_INET6 if word_of(one, 1, "the family") == "inet6" else AF_INET

    def _sorry_server(self, one: Statement) -> None:
        self._sorry = _Real(one, self._notes)

    def _sorry_inhibit(self, one: Statement) -> None:
        if self._sorry is None:
            self._note(one, "sorry_server_inhibit takes effect after its sorry_server alone: left out")
        self._sorry_stays = self._sorry is not None

    def _sorry_method(self, one: Statement) -> None:
        if self._sorry is not None:
            self._sorry.method = _method(one)

    def _real(self, one: Statement) -> None:
        self._servers.append(_Real(one, self._notes))

    # --- values ---

    def services(self) -> Iterator[Service]:
        """The services; none where there is no real server, as keepalived has it."""
        if not self._servers:
            self._notes.append(f"{at(self.place)}: a virtual server without real servers is none: left out")
            return
        if self._sorry is not None:
            told = "has weight 0" if self._sorry_stays else "is left out"
            self._note(self._sorry, f"the sorry_server {told}: it is for when too few others are well")
        if not self._protocol and self._statement.words[1] != "fwmark":
            self._notes.append(f"{at(self.place)}: without 'protocol' it is UDP")
        for key, place in self._members:
            try:
                yield self._service(dict(key))
            except EncodeError as fault:
                raise wrong(place, str(fault)) from None

    def _service(self, key: dict[str, Any]) -> Service:
        fields = dict(self._fields)
        if "fwmark" in key:
            key["family"] = key["family"] or self._family or self._mask_family() or self._servers_family()
        else:
            key["protocol"] = self._protocol or "udp"
        fields["one_packet"] = self._one_packet and key.get("protocol") in (None, "udp")
        six = key["family"] == AF_INET6 if "fwmark" in key else ":" in key["address"]
        if self._granularity is not None:
            prefix = self._granularity.isdecimal()
            if prefix is not six:
                told = "a length (64) for IPv6" if six else "an address (255.255.255.0) for IPv4"
                raise wrong(self._mask_place, f"persistence_granularity {self._granularity!r}: the mask is {told}")
            fields["netmask"] = int(self._granularity) if six else self._granularity
        if self._granularity is not None or not (key.get("port") or key.get("fwmark")):
            fields.setdefault("persistence", PERSISTENCE)
        if "persistence" not in fields and fields.pop("persistence_engine", ""):
            self._notes.append(f"{at(self.place)}: a persistence_engine without persistence: left out")
        return Service(**key, **fields)

    def _mask_family(self) -> int:
        """A prefix length is a mask of IPv6, an address one of IPv4; 0 where there is none."""
        if self._granularity is None:
            return 0
        return AF_INET6 if self._granularity.isdecimal() else AF_INET

    def _servers_family(self) -> int:
        """The family of the servers that are no tunnel's, for these have the service's; else of all, where they have one."""
        bound = [one for one in self._servers if (one.method or self._method)["forwarding"] != "tunnel"]
        families = {AF_INET6 if ":" in server.address else AF_INET for server in bound or self._servers}
        return families.pop() if len(families) == 1 else AF_INET

    def servers_of(self, service: Service) -> Iterator[tuple[Destination, Place]]:
        """Its real servers; direct routing and tunnels leave the port alone, so it is the service's.

        One without a port has the service's, too, but 0 in a group, where there is no one port.
        """
        unsaid = 0 if self._statement.words[1] == "group" else service.port
        sorry = [self._sorry] if self._sorry is not None and self._sorry_stays else []
        for one in self._servers + sorry:
            method = one.method or self._method
            port = (one.port or unsaid) if method["forwarding"] == "masq" else service.port
            fields = {"weight": 0} if one is self._sorry else one.fields
            try:
                server = Destination(one.address, port, **method, **fields)
            except EncodeError as fault:
                raise wrong(one.place, str(fault)) from None
            if method["forwarding"] != "tunnel" and server.family != service.family:
                raise wrong(one.place, f"{service} {server}: only a tunnel may lead to another address family")
            yield server, one.place


_KEYWORDS: dict[str, Callable[[Virtual, Statement], None]] = {
    "lb_algo": Virtual._scheduler, "lvs_sched": Virtual._scheduler, "lb_kind": Virtual._kind, "lvs_method": Virtual._kind,
    "protocol": Virtual._of_protocol, "persistence_timeout": Virtual._persistent, "persistence_granularity": Virtual._mask,
    "persistence_engine": Virtual._engine, "ops": Virtual._packets, "ip_family": Virtual._of_family,
    "sorry_server": Virtual._sorry_server, "sorry_server_inhibit": Virtual._sorry_inhibit,
    "sorry_server_lvs_method": Virtual._sorry_method, "real_server": Virtual._real,
}  # fmt: skip
