"""What the architecture's test looks with: the rooms in their order, every import of a tree, and the checks.

The checks take the tree's root, so that the test can plant a wrong import in a copy and see it refused.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGES = {"ipvsnl": "ipvsnl", "ipvssim": "sim/ipvssim"}

ROOMS = {
    "ipvsnl": [
        "consts family sockopt _later _files _held _json",
        "errors",
        "address _value",
        "model",
        "causes",
        "refusals procfs",
        "_native",
        "backends",
        "wire",
        "text",
        "link",
        "bulk",
        "tables",
        "client lab_kernel",
        "aio",
        "cli",
        "__main__",
    ],
    "ipvssim": [
        "_compiling distributions",
        "behaviours",
        "_parts",
        "clock",
        "schedulers",
        "net",
        "state",
        "netlink",
        "path",
        "lane",
        "run",
        "kernel",
        "doors",
        "lab",
        "completion",
        "command",
        "replay",
        "__main__",
    ],
    "ipvsnl.cli": [
        "ending progress help extras offers shells serving",
        "streams as_json node_metrics",
        "fallback top export planning",
        "convert",
        "formats",
        "requests atomic operate",
        "restore completion",
        "dispatch",
        "main",
        "scripts __main__",
    ],
    "ipvssim.path": [
        "connections forwarding.local forwarding.route forwarding.tunnel debug_picks engines.sip",
        "debug_log shadowed",
        "protocols.machine forwarding.nat memory engines loads",
        "protocols.ah_esp protocols.sctp protocols.tcp protocols.udp helpers.entries",
        "protocols forwarding helpers.words",
        "connection_table rows explain protocols.diagram quoting",
        "result accounts defence allowance",
        "host helpers.ftp tracking lessons",
        "helpers.application selection",
        "helpers",
        "transmit initiated",
        "icmp_errors",
        "outbound inbound",
        "witness",
        "strays",
        "reasons",
        "director",
        "changes sockets",
        "whatif",
    ],
    "ipvssim.run": [
        "_held calls outcome",
        "filter notify system",
        "core",
        "memory tracee launch ends",
        "worlds paths messages",
        "passing native",
        "native_ready",
        "native_gate",
        "reach",
        "endpoint",
        "options trace",
        "sockets files old_options",
        "receiving sending",
        "supervisor",
        "joining",
        "session programs",
    ],
    "ipvssim.lab": ["scenario", "run", "show", "api", "command send"],
}
"""The layers, ground first. A room imports from the layers before its own, and from inside itself."""

GROUND = frozenset(("consts", "family", "sockopt", "address", "errors", "model", "_json"))
"""The words of ipvsnl that every room of the simulator speaks, and its reading of JSON; the front door, the doors and the
lab use all of ipvsnl."""
USES_ALL_OF_IPVSNL = frozenset(("kernel", "run", "doors", "lab", "completion", "command"))
PLUG = "ipvsnl.link.opening"
"""The one module of ipvsnl that reaches the simulator: it names the module that opens its tables."""
SOCKETS = frozenset(("ipvsnl.link", "ipvssim.doors", "ipvssim.run"))
CONVERSIONS = frozenset((
    "AF_INET", "AF_INET6", "gethostbyaddr", "gethostbyname_ex", "getservbyname", "getservbyport", "inet_aton", "inet_ntoa",
    "inet_ntop", "inet_pton", "ntohs",
))  # fmt: skip
"""What of the C module under ``socket`` opens none."""
SCAPY = frozenset(("ipvssim.net.scapy_packets",))
TIME = frozenset((
    "ipvssim.clock", "ipvssim.doors.arriving", "ipvssim.doors.running", "ipvssim.doors.sending", "ipvssim.doors.serve",
    "ipvssim.doors.table_file", "ipvssim.run.programs", "ipvssim.run.receiving", "ipvssim.run.session", "ipvssim.run.worlds",
))  # fmt: skip

Import = tuple[str, str]
"""The importing module, and the name that it imports: a module, or something in one."""


def modules(root: Path) -> dict[str, Path]:
    """Every module of the two packages and its file."""
    found = {}
    for package, folder in PACKAGES.items():
        for path in sorted((root / folder).rglob("*.py")):
            parts = path.relative_to(root / folder).with_suffix("").parts
            found[".".join((package, *[part for part in parts if part != "__init__"]))] = path
    return found


def imports(module: str, path: Path, known: dict[str, Path]) -> Iterator[str]:
    """Whatever the file imports: at its top, in functions, for type hints alone, or by a module's name as text."""
    for name, is_text in _found(module, path.name == "__init__.py", path.read_text()):
        if not is_text or name in known:  # import_module, __import__, Later, a table of commands, whatever it is called
            yield name


@cache
def _found(module: str, is_root: bool, text: str) -> tuple[tuple[str, bool], ...]:
    """The names that a file imports, and those that stand in it as text."""
    tree = ast.parse(text)
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found: list[tuple[str, bool]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, False) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(module, is_root, node)
            found += [(f"{base}.{alias.name}", False) for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            name = node.value.partition(":")[0].rstrip(".")
            if "." in name:
                found.append((name, True))
    return tuple(found)


def _absolute(module: str, is_root: bool, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    return ".".join(parts[: len(parts) - node.level + is_root] + ([node.module] if node.module else []))


def arrows(root: Path) -> list[Import]:
    """Every arrow from a module to a name."""
    known = modules(root)
    return [(module, name) for module, path in known.items() for name in imports(module, path, known)]


# --- the checks: what is wrong, a line each ---


def turned(root: Path) -> list[str]:
    """Arrows that do not lead down."""
    wrong = []
    ranks = {area: _ranks(layers) for area, layers in ROOMS.items()}
    for module, name in arrows(root):
        for area, rank in ranks.items():
            if not (module.startswith(area + ".") and (name == area or name.startswith(area + "."))):
                continue
            mine, its = _room(module, area, rank), _room(name, area, rank)
            if mine is None:
                wrong.append(f"{module} has no place in the architecture: give it one in ROOMS[{area!r}]")
            elif its is not None and its != mine and rank[its] >= rank[mine]:
                wrong.append(f"{module} imports {name}")
    return sorted(set(wrong))


def _ranks(layers: list[str]) -> dict[str, int]:
    return {room: rank for rank, rooms in enumerate(layers) for room in rooms.split()}


def _room(name: str, area: str, rank: dict[str, int]) -> str | None:
    """The room of a module, or of a name in one: the longest of the area's rooms that it begins with."""
    parts = name[len(area) + 1 :].split(".")
    return next((room for end in range(len(parts), 0, -1) if (room := ".".join(parts[:end])) in rank), None)


def crossed(root: Path) -> list[str]:
    """Arrows between the packages that are not agreed upon."""
    wrong = []
    for module, name in arrows(root):
        if module.startswith("ipvsnl") and name.startswith("ipvssim") and module != PLUG:
            wrong.append(f"{module} imports {name}: only {PLUG} reaches the simulator")
        if module.startswith("ipvssim.") and name.startswith("ipvsnl."):
            room, its = module.split(".")[1], name.split(".")[1]
            if room not in USES_ALL_OF_IPVSNL and its not in GROUND:
                wrong.append(f"{module} imports {name}: rooms of the simulator speak ipvsnl's words, and no more")
    return wrong


def homeless(root: Path) -> list[str]:
    """Sockets, scapy, time and chance outside of the one home that each has."""
    wrong = []
    for module, name in arrows(root):
        top, _, rest = name.partition(".")
        room = ".".join(module.split(".")[:2])
        opens = top == "socket" or (top == "_socket" and rest not in CONVERSIONS)
        if opens and room not in SOCKETS:
            wrong.append(f"{module} imports {name}: sockets are opened in {', '.join(sorted(SOCKETS))}")
        if top == "scapy" and module not in SCAPY:
            wrong.append(f"{module} imports {name}")
        if module.startswith("ipvssim") and top in ("time", "random") and module not in TIME:
            wrong.append(f"{module} imports {name}: the simulator has one clock and one source of chance")
        if room != "ipvssim.lab" and module.startswith("ipvssim") and top in ("numpy", "matplotlib"):
            wrong.append(f"{module} imports {name}: only the laboratory needs it")
    return wrong


def circles(root: Path) -> list[list[str]]:
    """Groups of files that import each other, however long the way round; re-exporting packages' roots are left out."""
    known = modules(root)
    graph: dict[str, set[str]] = {module: set() for module in known}
    for module, name in arrows(root):
        target = next((one for one in (name, name.rpartition(".")[0]) if one in known), None)
        if target is not None and target != module and (module, target[:8]) != (PLUG, "ipvssim."):
            graph[module].add(target)
    for package in PACKAGES:
        graph[package].clear()  # it names its modules for others to import
    return _strong(graph)


def _strong(graph: dict[str, set[str]]) -> list[list[str]]:
    """The strongly connected components of more than one node (Kosaraju, without recursion)."""
    order: list[str] = []
    seen: set[str] = set()
    for start in graph:
        stack = [(start, iter(sorted(graph[start])))] if start not in seen else []
        seen.add(start)
        while stack:
            node, rest = stack[-1]
            step = next((one for one in rest if one not in seen), None)
            if step is None:
                order.append(node)
                stack.pop()
            else:
                seen.add(step)
                stack.append((step, iter(sorted(graph[step]))))
    back: dict[str, set[str]] = {node: set() for node in graph}
    for node, targets in graph.items():
        for target in targets:
            back[target].add(node)
    found, placed = [], set[str]()
    for start in reversed(order):
        group, stack_ = [], [start]
        while stack_:
            node = stack_.pop()
            if node not in placed:
                placed.add(node)
                group.append(node)
                stack_ += back[node]
        if len(group) > 1:
            found.append(sorted(group))
    return found
