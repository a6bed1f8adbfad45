"""The arrows between the rooms: who may import whom. The table below is the architecture; the test holds the code to it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {"ipvsnl": ROOT / "ipvsnl", "ipvssim": ROOT / "sim" / "ipvssim"}

LAYERS = [
    "ipvsnl.consts ipvsnl.family ipvsnl._value ipvsnl._later",
    "ipvsnl.causes",
    "ipvsnl.errors",
    "ipvsnl.address",
    "ipvsnl.model",
    "ipvsnl._native",
    "ipvsnl.backends",
    "ipvsnl.wire.control",
    "ipvsnl.wire.records ipvsnl.wire.exchange",
    "ipvsnl.wire.columns",
    "ipvsnl.wire.snapshot",
    "ipvsnl.link.namespaces",
    "ipvsnl.link.links",
    "ipvsnl.link.transfer",
    "ipvsnl.wire.verbs ipvsnl.procfs ipvsnl.procfs",
    "ipvsnl.bulk.batch ipvsnl.bulk.load",
    "ipvsnl.text.rules",
    "ipvsnl.bulk.feed",
    "ipvsnl.bulk.reload",
    "ipvsnl.tables.table",
    "ipvsnl.tables.plan ipvsnl.tables.json_in",
    "ipvsnl.tables.json_out ipvsnl.tables.journal ipvsnl.tables.undo",
    "ipvsnl.tables.apply",
    "ipvsnl.client",
    "ipvsnl.client",
    "ipvsnl.cli",
]
"""A room imports from the layers before its own, and from its own package."""
ONLY_SOCKETS = {"ipvsnl.link.links", "ipvssim.doors.server", "ipvsnl.cli"}
ONLY_SCAPY = {"ipvssim.net.scapy_packets"}
ONLY_CLOCK = {"ipvssim.clock"}
TO_THE_SIMULATOR = {"ipvsnl.link.links"}


def modules(package: str) -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGES[package].rglob("*.py")):
        parts = path.relative_to(PACKAGES[package]).with_suffix("").parts
        yield ".".join((package, *[part for part in parts if part != "__init__"])), path


def imports(path: Path) -> Iterator[str]:
    """Every module that the file imports at run time: what stands under ``if TYPE_CHECKING`` is no arrow."""

    def walk(nodes: list[ast.stmt]) -> Iterator[str]:
        for node in nodes:
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                yield from walk(node.orelse)
            elif isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            else:
                for field in ("body", "orelse", "finalbody", "handlers"):
                    yield from walk(getattr(node, field, []))

    tree = ast.parse(path.read_text())
    yield from walk(tree.body)
    for node in ast.walk(tree):  # a module that is imported later is an arrow all the same
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Later":
            yield ast.literal_eval(node.args[0])


def room(module: str) -> str:
    return ".".join(module.split(".")[:2])


RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names.split()}
CLIENT = [module for module in modules("ipvsnl") if module[0] != "ipvsnl"]


@pytest.mark.parametrize(("module", "path"), CLIENT, ids=[name for name, _ in CLIENT])
def test_a_room_imports_only_from_the_layers_below_it(module: str, path: Path) -> None:
    """No arrow of ipvsnl turns round."""
    assert room(module) in RANK, f"{module} has no place in the architecture: give it one in LAYERS"
    for imported in imports(path):
        target = room(imported)
        if imported.startswith("ipvsnl.") and target in RANK and target != room(module):
            assert RANK[target] < RANK[room(module)], f"{module} imports {imported}"


def test_the_binding_reaches_the_simulator_in_one_place() -> None:
    """ipvsnl imports ipvssim only where the target ``sim:`` is opened."""
    reaching = {module for module, path in modules("ipvsnl") for name in imports(path) if name.startswith("ipvssim")}
    assert reaching == TO_THE_SIMULATOR


def test_sockets_scapy_and_time_have_one_home_each() -> None:
    """Only the links open sockets, only scapy_io imports scapy, and the simulator's clock is the only one it has."""
    for package in PACKAGES:
        for module, path in modules(package):
            for name in imports(path):
                top = name.split(".")[0]
                assert top != "socket" or room(module) in ONLY_SOCKETS, f"{module} imports socket"
                assert top != "scapy" or module in ONLY_SCAPY, f"{module} imports scapy"
                if package == "ipvssim" and top in ("time", "random"):
                    assert module in ONLY_CLOCK or room(module) == "ipvssim.doors.command", f"{module} imports {top}"


def test_nothing_leans_on_the_laboratory() -> None:
    """The simulator does without the laboratory of schedulers and its packages: nothing but its command knows of it."""
    for module, path in modules("ipvssim"):
        if room(module) != "ipvssim.lab":
            for name in imports(path):
                assert not name.startswith(("ipvssim.lab", "numpy", "matplotlib")), f"{module} imports {name}"
