"""Rule text both ways: the lines that ``ipvsadm -S`` writes and ``-R`` reads.

A rule line is a command line without the program's name, cut at blanks, tabs and carriage returns; there is no quoting.
:func:`parse` reads lines as typed rules and names the line that is none. The lines that ``-S`` writes with numbers are
read by :class:`PlainReader`, some ten times as fast; it knows what it understands and leaves the rest to the grammar of
the command line, which stands above this module and is handed in, so that both mean the same.
"""

from __future__ import annotations

from _socket import AF_INET6 as HOST_AF_INET6
from _socket import inet_ntop, inet_pton

from ipvsnl._value import Value, maker, value
from ipvsnl.consts import (
    AF_INET,
    AF_INET6,
    GENERIC_SCHEDULER_FLAGS,
    SCHEDULER_FLAGS,
    SVC_F_HASHED,
    SVC_F_ONEPACKET,
    SVC_F_PERSISTENT,
    SVC_F_SCHED1,
    SVC_F_SCHED2,
    SVC_F_SCHED3,
    TUNNEL_F_CSUM,
    TUNNEL_F_REMCSUM,
)
from ipvsnl.errors import IPVSError
from ipvsnl.model import Destination, Service, endpoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ipvsnl.model import Entry

    Plain = tuple[str, Service, Destination | None]
    """What a rule does, to which service, with which real server."""
    Grammar = Callable[[list[str]], Plain]

ALL_SCHEDULER_FLAGS = SVC_F_SCHED1 | SVC_F_SCHED2 | SVC_F_SCHED3
INT_MAX = 2147483647
TIMEOUT_MAX = 31 * 24 * 3600
"""The largest threshold, and persistence in seconds, that ipvsadm's options take."""
_NAMED_FLAGS = ALL_SCHEDULER_FLAGS | SVC_F_PERSISTENT | SVC_F_HASHED | SVC_F_ONEPACKET
OPERATIONS = frozenset(
    ("add-service", "edit-service", "delete-service", "add-server", "edit-server", "delete-server")
)  # fmt: skip


@value
class Rule(Value):
    """One line, understood: its number (from 1), what it does (one of :data:`OPERATIONS`), and to what."""

    number: int
    operation: str
    service: Service
    destination: Destination | None = None


class RuleError(IPVSError, ValueError):
    """A line that is no rule: ``number`` (from 1), ``line`` and ``reason``, in ipvsadm's words."""

    def __init__(self, number: int, line: str, reason: str) -> None:
        super().__init__(f"line {number}: {line}: {reason}")
        self.number = number
        self.line = line
        self.reason = reason


# --- text from values -------------------------------------------------------------------------------------------------


def flag_names(scheduler: str, flags: int, *, third: bool = True) -> str:
    """The scheduler flags by name, comma-separated. ``third`` off leaves flag 3 of sh and mh out, as ipvsadm does."""
    own = SCHEDULER_FLAGS.get(scheduler)
    names = {**own, "flag-3": SVC_F_SCHED3} if own and third else own or GENERIC_SCHEDULER_FLAGS
    return ",".join([name for name, bit in names.items() if flags & bit])


def mark_text(mark: int, *, unsigned: bool = True) -> str:
    """A firewall mark; ``unsigned`` off shows the 32 bits as a signed number, as ipvsadm does."""
    return str(mark if unsigned or mark < 2**31 else mark - 2**32)


def selector(service: Service, where: str, *, unsigned: bool = True, numbers: bool = True) -> str:
    """The options that name a service: ``-t 10.0.0.1:80``, ``-f 7 -6``. ``where`` is its address and port as text;
    ``numbers`` off writes what ipvsadm does for a protocol without an option."""
    if service.fwmark:
        return f"-f {mark_text(service.fwmark, unsigned=unsigned)}{' -6' if service.family == AF_INET6 else ''}"
    other = f"--protocol-{service.protocol}" if numbers else "--xxx-service"
    return f"{_OPTION.get(service.protocol, other)} {where}"


_OPTION: dict[str | int, str] = {"tcp": "-t", "udp": "-u", "sctp": "--sctp-service"}
_METHOD = {"-m": "masq", "-i": "tunnel", "-g": "route"}
_OPTION_OF: dict[str | int, str] = {method: option for option, method in _METHOD.items()}
_FORWARDING: dict[str | int, str] = {"local": "-g", **_OPTION_OF}


def _word(name: str, *, escaped: bool) -> str:
    """A name as one word of a line: a kernel may hold any, and what reads the line takes it for more than a name."""
    if not escaped or (name.isprintable() and " " not in name):
        return name
    from ipvsnl.text.hints import printable

    return printable(name).replace(" ", "\\x20")


def format_service(
    service: Service, named: str, *, third: bool = True, own: bool = False, escaped: bool = True
) -> str:  # fmt: skip
    """The line that adds a service; ``named`` is its :func:`selector`. ``own``: with what ipvsadm has no option for;
    ``escaped`` keeps a name from being more than one."""
    line = f"-A {named} -s {_word(service.scheduler, escaped=escaped)}"
    if service.persistence is not None:
        line += f" -p {service.persistence}"
        if service.netmask is not None:
            line += f" -M {service.netmask}"
    if service.persistence_engine:
        line += f" --pe {_word(service.persistence_engine, escaped=escaped)}"
    if service.one_packet:
        line += " -o"
    names = flag_names(service.scheduler, service.flags, third=third) if service.flags & ALL_SCHEDULER_FLAGS else ""
    nameless = service.flags & ~_NAMED_FLAGS if own else 0
    if nameless:
        names += f"{',' if names else ''}{nameless}"
    if names or service.flags & ALL_SCHEDULER_FLAGS:
        line += f" -b {names}"
    return f"{line} --as-is" if own and (nameless or _is_beyond(service)) else line


def _is_beyond(service: Service) -> bool:
    """Whether ipvsadm's options can't say what a service is."""
    if service.persistence is not None and not 0 < service.persistence <= TIMEOUT_MAX:
        return True
    if service.fwmark:
        return False
    return (service.one_packet and service.protocol != "udp") or (not service.port and service.persistence is None)


def format_server(
    named: str, server: Destination, where: str, *, thresholds: bool = True, of: Service | None = None
) -> str:  # fmt: skip
    """The line that adds a real server to the service of :func:`selector` ``named``.

    ``of`` is that service: with it, what ipvsadm has no option for is written with our own.
    """
    # As ipvsadm writes it: there is no option for any other method, and -R refuses the line.
    forwarding = _FORWARDING.get(server.forwarding, "(null)")
    if of is not None and server.forwarding not in _OPTION_OF:
        forwarding = f"--forward {server.forwarding}"
    line = f"-a {named} -r {where} {forwarding} -w {server.weight}"
    if thresholds and server.upper_threshold:
        line += f" -x {server.upper_threshold}"
    if thresholds and server.lower_threshold:
        line += f" -y {server.lower_threshold}"
    if forwarding == "-i":
        line += _tunnel(server)
    return line if of is None else line + _server_as_is(of, server)


def _server_as_is(of: Service, server: Destination) -> str:
    """The option of our own for a server that ipvsadm's options can't say."""
    both = TUNNEL_F_CSUM | TUNNEL_F_REMCSUM
    if server.forwarding == "tunnel" and server.tunnel_type in ("gue", "gre"):
        if server.tunnel_flags & both == both:
            return " --tun-remcsum --as-is"
        if server.tunnel_type == "gre" and server.tunnel_flags & TUNNEL_F_REMCSUM:  # ipvsadm writes it, and refuses it
            return " --as-is"
    other_port = server.forwarding != "masq" and not of.fwmark and server.port != of.port
    return " --as-is" if other_port or max(server.upper_threshold, server.lower_threshold) > INT_MAX else ""


def _tunnel(server: Destination) -> str:
    if server.tunnel_type not in ("gue", "gre"):  # ipvsadm writes nothing for a type that it does not know
        return " --tun-type ipip" if server.tunnel_type == "ipip" else ""
    port = f" --tun-port {server.tunnel_port}" if server.tunnel_type == "gue" else ""
    if server.tunnel_flags & TUNNEL_F_CSUM:
        checksum = "csum"
    elif server.tunnel_flags & TUNNEL_F_REMCSUM:
        checksum = "remcsum"
    else:
        checksum = "nocsum"
    return f" --tun-type {server.tunnel_type}{port} --tun-{checksum}"


def format_rules(entries: Iterable[Entry]) -> Iterator[str]:
    """The lines that make a table, in the order given, with numbers and without line ends."""
    for entry in entries:
        service = entry.service
        named = selector(service, endpoint(service.address, service.port))
        yield format_service(service, named, own=True)
        for status in entry.destinations:
            server = status.destination
            yield format_server(named, server, endpoint(server.address, server.port), of=service)


# --- values from text -------------------------------------------------------------------------------------------------


def split(line: str) -> list[str]:
    """The words of a line; a word ends at a NUL, as every word does in C."""
    words = line.replace("\t", " ").replace("\r", " ").replace("\n", " ").split(" ")
    if "\0" in line:
        return [word.partition("\0")[0] for word in words if word]
    return [word for word in words if word]


def parse(lines: Iterable[str], grammar: Grammar) -> Iterator[Rule]:
    """The rules of lines, streaming; :class:`RuleError` for the first line that is none.

    Blank lines, lines that begin with ``#``, and the word ``ipvsadm`` are passed over. ``grammar`` reads the words of
    the lines that are not plain, and raises ValueError with its reason; ``ipvsnl.text.grammar.read_rules`` brings it.
    """
    return (Rule(number, *plain) for number, plain in numbered(lines, grammar))


def numbered(lines: Iterable[str], grammar: Grammar) -> Iterator[tuple[int, Plain]]:
    """The same as :func:`parse` without a value a line: its number, and what it says."""
    read = PlainReader()
    for number, line in enumerate(lines, start=1):
        plain = read(line)
        if plain is None:
            words = [word for word in split(line) if word != "ipvsadm"]
            if not words or words[0].startswith("#"):
                continue
            try:
                plain = grammar(words)
            except ValueError as error:
                raise RuleError(number, line.rstrip("\r\n"), str(error)) from None
        yield number, plain


_PROTOCOL = {option: protocol for protocol, option in _OPTION.items()}
_make_server = maker(Destination)


class PlainReader:
    """Reads the lines that saved tables are made of: ``-A -t A:P -s S [-p N]``, ``-a -t A:P -r A:P -m -w N``.

    None for any other line, right or wrong. Services are kept, since each of their servers names them again.
    """

    def __init__(self) -> None:
        self._services: dict[str, Service] = {}

    def __call__(self, line: str) -> Plain | None:
        """What the line does, to which service, with which real server; None: not plain."""
        if not line.isascii():
            return None
        # Cut at single blanks only: any other white space stays in a word, and makes it one that is not plain.
        words = line[:-1].split(" ") if line.endswith("\n") else line.split(" ")
        try:
            if words[0] == "-a":
                return self._server(words)
            return self._service(words) if words[0] == "-A" else None
        except (OSError, ValueError, KeyError):
            return None

    def _server(self, words: list[str]) -> Plain | None:
        _, option, where, dash_r, server, method, dash_w, weight, *rest = words
        if dash_r != "-r" or dash_w != "-w" or len(weight) > 9 or not weight.isdecimal():
            return None
        if (rest != ["--tun-type", "ipip"] or method != "-i") if rest else False:
            return None
        named = f"{option} {where}"
        service = self._services.get(named)
        if service is None:
            protocol = _PROTOCOL[option]
            self._services[named] = service = Service(protocol, *_endpoint(where))
        address, port = _endpoint(server)
        if method != "-m" and port != service.port:
            return None  # these methods leave the packet's port alone: the grammar says what comes of it
        if method != "-i" and (":" in address) is not (":" in service.address):
            return None
        return "add-server", service, _make_server(address, port, _METHOD[method], int(weight), 0, 0, "ipip", 0, 0)

    def _service(self, words: list[str]) -> Plain | None:
        _, option, where, dash_s, scheduler, *rest = words
        if dash_s != "-s" or not 0 < len(scheduler) <= 15:
            return None
        address, port = _endpoint(where)
        persistence = None
        if rest:
            dash_p, seconds = rest
            if dash_p != "-p" or len(seconds) > 6 or not seconds.isdecimal():
                return None
            persistence = int(seconds) or None
        if persistence is None and (rest or not port):
            return None
        return "add-service", Service(
            _PROTOCOL[option], address, port, scheduler=scheduler, persistence=persistence
        ), None  # fmt: skip


def _endpoint(text: str) -> tuple[str, int]:
    """Address and port of ``10.0.0.1:80`` or ``[::1]:80`` as they are saved; OSError or ValueError for other forms."""
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or len(port) > 5 or (number := int(port)) > 65535:
        raise ValueError(text)
    if host[:1] == "[" and host[-1:] == "]":
        return inet_ntop(HOST_AF_INET6, inet_pton(HOST_AF_INET6, host[1:-1])), number
    inet_pton(AF_INET, host)  # takes only the one spelling that is saved
    return host, number
