"""Arguments to a request: what a command line asks for, or the refusal that ipvsadm would give, in its order.

The order of refusals is part of the behaviour: an option's value is judged when it is met, then the words that are left
over, then the scheduler's flags, then which option goes with which command, then what the values mean together.
"""

from __future__ import annotations

from ipvsnl._value import Value, value
from ipvsnl.text.gathered import HANDLERS, Gathered, protocol_address
from ipvsnl.text.options import ALLOWED, COMMAND_KEYS, LONG, NAMES, OWN_LONG, OWN_PROTOCOL, TUNNEL_NAMES, TUNNELS, Table
from ipvsnl.text.popt import Popt, PoptError, UsageError, try_help

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ipvsnl.model import Daemon, Destination, Service, Timeouts
    from ipvsnl.text import rules, values
    from ipvsnl.text.rules import Plain, Rule
else:
    from ipvsnl._later import Later

    rules, values = Later("ipvsnl.text.rules"), Later("ipvsnl.text.values")

_TUNNEL_OPTIONS = frozenset((*TUNNEL_NAMES, "tun-type"))
_BARE_LISTS = frozenset(("timeout", "daemon"))
_FORMATS = frozenset(("stats", "rate", "thresholds"))


@value
class Request(Value):
    """A command line, understood: ``command`` (a key of ``options.COMMANDS``) and what it is about.

    ``options`` holds the names of the options given, for the commands that look at them (list, save, daemons). ``note`` is
    what was changed of what it says.
    """

    command: str
    service: Service | None = None
    destination: Destination | None = None
    timeouts: Timeouts | None = None
    daemon: Daemon | None = None
    options: frozenset[str] = frozenset()
    note: str = ""


def parse(argv: Sequence[str], prog: str, *, nested: bool = False, own: bool = False) -> Request:
    """The request of ``argv`` (without the program's name); :class:`UsageError` for a refused one.

    ``nested`` is a line of a restore, where another restore is not understood. ``own``: options of ours are understood, too.
    """
    popt = Popt(argv, OWN_LONG if own else LONG)
    command, role = _command(popt, prog)
    if command in ("help", "version"):
        return Request(command)
    gathered = Gathered(as_is=own and "--as-is" in argv)
    _read_options(popt, gathered)
    timeouts = _timeouts(popt.leftovers) if command == "set" else None
    if popt.leftovers:
        raise UsageError(f"unexpected argument {popt.leftovers[0]}")
    _read_flags(gathered)
    _check(gathered.given, ALLOWED[command], NAMES, f"'{command}' command")
    if "as-is" in gathered.given and not command.startswith(("add-", "edit-")):
        raise UsageError(f"Illegal 'as-is' option with the '{command}' command")
    if nested and command == "restore":
        raise try_help(prog)
    return _request(command, role, gathered, timeouts)


def read_rules(lines: Iterable[str]) -> Iterator[Rule]:
    """The rules of lines, in any spelling that ``-R`` takes. RuleError names the line that is no rule."""
    return rules.parse(lines, read_rule)


def read_numbered(lines: Iterable[str]) -> Iterator[tuple[int, Plain]]:
    """The same, faster: number and rule, and no value made of both."""
    return rules.numbered(lines, read_rule)


def read_rule(words: list[str], notes: list[str] | None = None) -> Plain:
    """What the words of one rule line mean; ValueError with ipvsadm's reason where they are none (a ``Grammar``).

    ``notes`` takes what was changed of what they say.
    """
    try:
        request = parse(words, "ipvsadm", nested=True, own=True)
    except UsageError as error:
        from ipvsnl.text.hints import rule_reason

        raise ValueError(rule_reason(words, error)) from None
    if request.command not in rules.OPERATIONS or request.service is None:
        from ipvsnl.text.hints import A_RULE

        raise ValueError(f"'{request.command}' is no rule: {A_RULE}")
    if notes is not None and request.note:
        notes.append(request.note)
    return request.command, request.service, request.destination


class Reading:
    """Reads lines as :func:`read_numbered` does; :attr:`notes` are what was changed of what they say, with their lines."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def numbered(self, lines: Iterable[str]) -> Iterator[tuple[int, Plain]]:
        """Number and rule of each line."""
        fresh: list[str] = []
        for number, plain in rules.numbered(lines, lambda words: read_rule(words, fresh)):
            if fresh:
                self.notes.append(f"line {number}: {fresh.pop()}")
            yield number, plain


def _command(popt: Popt, prog: str) -> tuple[str, str]:
    try:
        first = popt.read()
    except PoptError:
        raise try_help(prog) from None
    if first is None or first[0] not in COMMAND_KEYS:
        raise try_help(prog)
    command, role = first[0], first[1] or ""
    if command.endswith("-daemon") and role not in ("master", "backup"):
        words = "start-daemon parameter" if command == "start-daemon" else "start_daemon"
        raise UsageError(f"illegal {words} specified")
    return command, role


def _read_options(popt: Popt, gathered: Gathered) -> None:
    try:
        while (option := popt.read()) is not None:
            key, text = option
            handler = protocol_address if key.startswith(OWN_PROTOCOL) else HANDLERS.get(key)
            if handler is None:
                raise UsageError(f"invalid option `{popt.word}'")
            try:
                handler(gathered, key, text)
            except UsageError as error:
                error.word = text
                raise
    except PoptError as error:
        raise UsageError(str(error), 255, final=False) from None


def _timeouts(words: list[str]) -> Timeouts:
    """The three words of ``--set``, taken off ``words``."""
    if len(words) < 3:
        raise UsageError("--set option requires 3 timeout values")
    from ipvsnl.model import Timeouts

    seconds = []
    for word in words[:3]:
        try:
            seconds.append(values.number(word, 0, values.TIMEOUT_MAX))
        except ValueError:
            raise UsageError(f"invalid timeout value `{word}' specified") from None
    del words[:3]
    return Timeouts(*seconds)


def _read_flags(gathered: Gathered) -> None:
    if gathered.flag_names is None:
        return
    try:
        gathered.flags = values.scheduler_flags(gathered.flag_names, gathered.scheduler, numbers=gathered.as_is)
    except values.FlagError as error:
        raise UsageError(str(error)) from None


def _check(given: set[str], table: Table, names: tuple[str, ...], where: str) -> None:
    """Hold the options given against a table; ``where`` is how the message goes on ("'list' command")."""
    must, may, one_of = table
    before = ""
    for name in names:
        if name not in given:
            if name in must:
                raise UsageError(f"You need to supply the '{name}' option for the {where}")
            continue
        if name not in may:
            raise UsageError(f"Illegal '{name}' option with the {where}")
        if name in one_of:
            if before:
                raise UsageError(f"The option '{name}' conflicts with the '{before}' option in the {where}")
            before = name


def _request(command: str, role: str, gathered: Gathered, timeouts: Timeouts | None) -> Request:
    if command in ("add-service", "edit-service"):
        _check_service(gathered)
    elif command in ("add-server", "edit-server"):
        _check_server(gathered)
    elif command == "list":
        _check_list(gathered.given)
    service = gathered.service() if "service-address" in gathered.given else None
    destination = gathered.destination() if "real-server" in gathered.given else None
    daemon = gathered.daemon(role) if role else None
    return Request(command, service, destination, timeouts, daemon, frozenset(gathered.given), gathered.note)


def _check_service(gathered: Gathered) -> None:
    if gathered.as_is:
        return
    if not gathered.fwmark and not gathered.port and gathered.persistence is None:
        raise UsageError("Zero port specified for non-persistent service")
    if gathered.one_packet and not gathered.fwmark and gathered.protocol != "udp":
        raise UsageError("One-Packet Scheduling is only for UDP virtual services")


def _check_server(gathered: Gathered) -> None:
    """Direct routing and tunnels leave the packet's port alone, so the service's is taken; families may mix in tunnels."""
    if not gathered.fwmark and gathered.forwarding != "masq" and not gathered.as_is:
        if gathered.server_port != gathered.port:
            gathered.note = (
                f"port {gathered.server_port} of {gathered.server} becomes {gathered.port}, the service's: direct routing "
                "and tunnels leave ports alone (--as-is keeps it)"
            )
        gathered.server_port = gathered.port
    if gathered.forwarding != "tunnel":
        if gathered.server_family != gathered.family:
            raise UsageError("Different address family is allowed only for tunneling servers")
        if gathered.given & _TUNNEL_OPTIONS:
            raise UsageError("Tunnel options conflict with forward method")
    else:
        kind = gathered.tunnel_type
        if gathered.as_is and (kind == "gre" or "tun-csum" in gathered.given):
            gathered.given.discard("tun-remcsum")  # the kernel takes it, and both
        _check(gathered.given, TUNNELS[kind], TUNNEL_NAMES, f"'{kind}' tunnel type")


def _check_list(given: set[str]) -> None:
    bare = given & _BARE_LISTS
    if ((bare or "connection" in given) and given & _FORMATS) or (bare and "persistent-conn" in given):
        raise UsageError("options conflicts in the list command")
