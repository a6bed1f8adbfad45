"""Arguments to a request: what a command line asks for, or the refusal that ipvsadm would give, in its order.

The order of refusals is part of the behaviour: an option's value is judged when it is met, then the words that are left
over, then the scheduler's flags, then which option goes with which command, then what the values mean together.
"""

from __future__ import annotations

from ipvsnl._value import Value, value
from ipvsnl.cli.draft import HANDLERS, Draft
from ipvsnl.cli.errors import UsageError, try_help
from ipvsnl.cli.options import ALLOWED, COMMAND_KEYS, NAMES, TUNNEL_NAMES, TUNNELS, Table
from ipvsnl.cli.popt import Popt, PoptError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ipvsnl import rules
    from ipvsnl.cli import values
    from ipvsnl.model import Daemon, Destination, Service, Timeouts
    from ipvsnl.rules import Plain, Rule
else:
    from ipvsnl._later import Later

    rules, values = Later("ipvsnl.rules"), Later("ipvsnl.cli.values")

_TUNNEL_OPTIONS = frozenset((*TUNNEL_NAMES, "tun-type"))
_BARE_LISTS = frozenset(("timeout", "daemon"))
_FORMATS = frozenset(("stats", "rate", "thresholds"))


@value
class Request(Value):
    """A command line, understood: ``command`` (a key of ``options.COMMANDS``) and what it is about.

    ``options`` holds the names of the options given, for the commands that look at them (list, save, daemons).
    """

    command: str
    service: Service | None = None
    destination: Destination | None = None
    timeouts: Timeouts | None = None
    daemon: Daemon | None = None
    options: frozenset[str] = frozenset()


def parse(argv: Sequence[str], prog: str, *, nested: bool = False) -> Request:
    """The request of ``argv`` (without the program's name); :class:`UsageError` for a refused one.

    ``nested`` is a line of a restore, where another restore is not understood.
    """
    popt = Popt(argv)
    command, role = _command(popt, prog)
    if command in ("help", "version"):
        return Request(command)
    draft = Draft()
    _read_options(popt, draft)
    timeouts = _timeouts(popt.leftovers) if command == "set" else None
    if popt.leftovers:
        raise UsageError(f"unexpected argument {popt.leftovers[0]}")
    _read_flags(draft)
    _check(draft.given, ALLOWED[command], NAMES, f"'{command}' command")
    if nested and command == "restore":
        raise try_help(prog)
    return _request(command, role, draft, timeouts)


def read_rules(lines: Iterable[str]) -> Iterator[Rule]:
    """The rules of lines, in any form that ``-R`` takes; :class:`~ipvsnl.rules.RuleError` names the line that is none."""
    return rules.parse(lines, read_rule)


def read_numbered(lines: Iterable[str]) -> Iterator[tuple[int, Plain]]:
    """The same, faster: number and rule, and no value made of both."""
    return rules.numbered(lines, read_rule)


def read_rule(words: list[str]) -> Plain:
    """What the words of one rule line mean; ValueError with ipvsadm's reason where they are none (a ``Grammar``)."""
    try:
        request = parse(words, "ipvsadm", nested=True)
    except UsageError as error:
        raise ValueError(error.message.rstrip("\n")) from None
    if request.command not in rules.OPERATIONS or request.service is None:
        raise ValueError(f"'{request.command}' is no rule")
    return request.command, request.service, request.destination


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


def _read_options(popt: Popt, draft: Draft) -> None:
    try:
        while (option := popt.read()) is not None:
            key, text = option
            handler = HANDLERS.get(key)
            if handler is None:
                raise UsageError(f"invalid option `{popt.word}'")
            handler(draft, key, text)
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


def _read_flags(draft: Draft) -> None:
    if draft.flag_names is None:
        return
    try:
        draft.flags = values.scheduler_flags(draft.flag_names, draft.scheduler)
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


def _request(command: str, role: str, draft: Draft, timeouts: Timeouts | None) -> Request:
    if command in ("add-service", "edit-service"):
        _check_service(draft)
    elif command in ("add-server", "edit-server"):
        _check_server(draft)
    elif command == "list":
        _check_list(draft.given)
    service = draft.service() if "service-address" in draft.given else None
    destination = draft.destination() if "real-server" in draft.given else None
    daemon = draft.daemon(role) if role else None
    return Request(command, service, destination, timeouts, daemon, frozenset(draft.given))


def _check_service(draft: Draft) -> None:
    if not draft.fwmark and not draft.port and draft.persistence is None:
        raise UsageError("Zero port specified for non-persistent service")
    if draft.one_packet and not draft.fwmark and draft.protocol != "udp":
        raise UsageError("One-Packet Scheduling is only for UDP virtual services")


def _check_server(draft: Draft) -> None:
    """Direct routing and tunnels leave the packet's port alone, so the service's is taken; families may mix in tunnels."""
    if not draft.fwmark and draft.forwarding != "masq":
        draft.server_port = draft.port
    if draft.forwarding != "tunnel":
        if draft.server_family != draft.family:
            raise UsageError("Different address family is allowed only for tunneling servers")
        if draft.given & _TUNNEL_OPTIONS:
            raise UsageError("Tunnel options conflict with forward method")
    else:
        kind = draft.tunnel_type
        _check(draft.given, TUNNELS[kind], TUNNEL_NAMES, f"'{kind}' tunnel type")


def _check_list(given: set[str]) -> None:
    bare = given & _BARE_LISTS
    if ((bare or "connection" in given) and given & _FORMATS) or (bare and "persistent-conn" in given):
        raise UsageError("options conflicts in the list command")
