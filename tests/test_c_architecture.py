"""The arrows between the rooms of the C core: bytes, then text, then talk; what lies beside the rooms is below them all."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

NATIVE = Path(__file__).parent.parent / "ipvsnl" / "_native"
ROOMS = ["bytes", "text", "talk"]
"""A file includes and calls its own room, the rooms before it, and the headers beside them."""

INCLUDE = re.compile(r'^#\s*include\s+"([^"]+)"', re.MULTILINE)
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
DEFINITION = re.compile(r"^\w[^;{}]*?\b(ipvsnl_\w+)\([^;{}]*\)\s*\{", re.MULTILINE)
CALL = re.compile(r"\b(ipvsnl_\w+)\(")


def rank(path: str) -> int:
    """Of a path below ``_native``: 0 beside the rooms, then one a room."""
    return ROOMS.index(Path(path).parts[0]) + 1 if "/" in path else 0


def files(native: Path) -> dict[str, str]:
    """Every C file of the core and its code without comments. Generated files are made of nothing that is looked at."""
    paths = [path for path in native.rglob("*.[ch]") if not path.name.startswith(("_core", "generated"))]
    return {str(path.relative_to(native)): COMMENT.sub("", path.read_text()) for path in sorted(paths)}


def include_faults(native: Path) -> Iterator[str]:
    """Includes of a later room or of a .c file. An include names its room: ``"text/lines.h"``, also from inside it."""
    for name, code in files(native).items():
        for included in INCLUDE.findall(code):
            if not (native / included).exists() and not included.startswith("generated"):
                yield f'{name} includes "{included}", which is no path from _native'
            elif not included.endswith(".h"):
                yield f'{name} includes "{included}", which is no header'
            elif rank(included) > rank(name):
                yield f'{name} includes "{included}" of a later room'


def calls(native: Path) -> dict[str, set[str]]:
    """Each .c file to the others whose functions it calls."""
    codes = {name: code for name, code in files(native).items() if name.endswith(".c")}
    home = {function: name for name, code in codes.items() for function in DEFINITION.findall(code)}
    return {name: {home[f] for f in CALL.findall(code) if f in home} - {name} for name, code in codes.items()}


def call_faults(native: Path) -> Iterator[str]:
    """Calls into a later room, and circles of files that call each other."""
    graph = calls(native)
    for name, called in graph.items():
        yield from (f"{name} calls {other} of a later room" for other in sorted(called) if rank(other) > rank(name))
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        yield "a circle: " + " -> ".join(error.args[1])


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the core, to break a law in."""
    return Path(shutil.copytree(NATIVE, tmp_path / "native"))


def test_a_room_includes_only_the_rooms_before_it() -> None:
    """No include points to a later room or to a .c file."""
    assert list(include_faults(NATIVE)) == []


def test_a_room_calls_only_the_rooms_before_it() -> None:
    """No function of a later room is called, and no two files call each other, however long the circle."""
    assert list(call_faults(NATIVE)) == []


def test_every_file_is_seen() -> None:
    """The checks above look at every source that is built, and find the functions that core.h declares in them."""
    from ipvsnl._native import build

    assert {name for name in files(NATIVE) if name.endswith(".c")} == set(build.SOURCES)
    assert {name for name in files(NATIVE) if name.endswith(".h")} == {
        name for name in build.HEADERS if not name.startswith("generated")
    }
    defined = {f for name, code in files(NATIVE).items() if name.endswith(".c") for f in DEFINITION.findall(code)}
    assert set(CALL.findall(COMMENT.sub("", build.declarations()))) <= defined


@pytest.mark.parametrize(
    ("name", "line", "fault"),
    [
        ("bytes/x.c", '#include "text/lines.h"', 'bytes/x.c includes "text/lines.h" of a later room'),
        ("text/words.h", '#include "talk/socket.h"', 'text/words.h includes "talk/socket.h" of a later room'),
        ("internal.h", '#include "bytes/reply_shape.h"', 'internal.h includes "bytes/reply_shape.h" of a later room'),
        ("talk/x.c", '#include "bytes/encode.c"', 'talk/x.c includes "bytes/encode.c", which is no header'),
        ("talk/x.c", '#include "socket.h"', 'talk/x.c includes "socket.h", which is no path from _native'),
    ],
)
def test_a_wrong_include_is_refused(copy: Path, name: str, line: str, fault: str) -> None:
    """The check of includes finds a planted one, in a source or a header."""
    with (copy / name).open("a") as file:
        file.write(line + "\n")
    assert list(include_faults(copy)) == [fault]


def test_a_call_of_a_later_room_is_refused(copy: Path) -> None:
    """core.h declares every public function to every room, so calls are checked besides includes."""
    (copy / "bytes" / "x.c").write_text("int ipvsnl_x(void)\n{\n    return ipvsnl_rules(0);\n}\n")
    assert list(call_faults(copy)) == ["bytes/x.c calls text/requests.c of a later room"]


def test_a_circle_is_refused(copy: Path) -> None:
    """Two files of a room that call each other are one file, cut in the wrong place."""
    (copy / "text" / "x.c").write_text("int ipvsnl_x(void)\n{\n    return ipvsnl_y();\n}\n")
    (copy / "text" / "y.c").write_text("int ipvsnl_y(void)\n{\n    return ipvsnl_x();\n}\n")
    (fault,) = call_faults(copy)
    assert fault.startswith("a circle: ") and {"text/x.c", "text/y.c"} <= set(fault.split())
