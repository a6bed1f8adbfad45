"""Every public name is documented: it has a docstring, and a page of docs/use/api shows it. A hook of mkdocs, and a test."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from inspect import getdoc, isclass, isroutine
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs" / "use" / "api"
MODULES = ["ipvsnl", "ipvssim", "ipvssim.schedulers", "ipvssim.lab"]
"""Whose ``__all__`` is the public interface."""
WHOLE = [
    "ipvssim.path.result", "ipvssim.path.explain", "ipvssim.path.whatif", "ipvssim.net.networks", "ipvssim.net.routes",
    "ipvssim.doors.pytest_plugin", "ipvssim.run.programs",
]  # fmt: skip
"""Modules of which every function and class without an underscore is public."""
ELSEWHERE = {"ipvsnl.backend": "a text that is made when it is asked for: described by hand on client.md"}


def public() -> Iterator[tuple[str, Any]]:
    """Every public name with what it is."""
    for module in MODULES:
        found = import_module(module)
        for name in found.__all__:
            yield f"{module}.{name}", getattr(found, name)
    for module in WHOLE:
        found = import_module(module)
        for name, thing in vars(found).items():
            if (isclass(thing) or isroutine(thing)) and not name.startswith("_") and thing.__module__ == module:
                yield f"{module}.{name}", thing


def undocumented() -> list[str]:
    """The names, members of classes included, that have no docstring."""
    bare = []
    for name, thing in public():
        if isclass(thing) or isroutine(thing):
            bare += [name] if not getdoc(thing) else []
        elif name not in ELSEWHERE and not described(name):
            bare.append(name)
        if isclass(thing):
            for member, what in vars(thing).items():
                if not member.startswith("_") and (isroutine(what) or isinstance(what, property)):
                    bare += [f"{name}.{member}"] if not getdoc(getattr(thing, member)) else []
    return bare


def described(name: str) -> bool:
    """Whether a docstring stands under the assignment of a constant, in the module that it comes from."""
    module, _, own = name.rpartition(".")
    for place in sorted({module, *(f"{module}.{one}" for one in submodules(module))}):
        file = import_module(place).__file__
        body = ast.parse(Path(str(file)).read_text(encoding="utf-8")).body
        for here, after in pairwise(body):
            targets = here.targets if isinstance(here, ast.Assign) else [getattr(here, "target", None)]
            if any(isinstance(one, ast.Name) and one.id == own for one in targets):
                return isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
    return False


def submodules(module: str) -> list[str]:
    """The modules beside a package's own."""
    file = import_module(module).__file__
    return [one.stem for one in Path(str(file)).parent.glob("_*.py") if one.stem != "__init__"]


def unlisted() -> list[str]:
    """The names that no page of the reference shows."""
    shown = {name for page in PAGES.glob("*.md") for name in re.findall(r"^::: (\S+)$", page.read_text(), re.MULTILINE)}
    return [
        name for name, _ in public()
        if name not in shown and name.rpartition(".")[0] not in shown and name not in ELSEWHERE
    ]  # fmt: skip


def on_config(config: Any) -> Any:
    """mkdocs asks before it builds anything: what is missing ends the build."""
    from mkdocs.exceptions import PluginError

    sys.path[:0] = [str(ROOT), str(ROOT / "sim")]
    missing = [f"{name}: no docstring" for name in undocumented()] + [f"{name}: on no page" for name in unlisted()]
    if missing:
        raise PluginError("public names that are not documented:\n  " + "\n  ".join(missing))
    return config
