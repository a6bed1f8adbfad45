"""Docstrings name things as Sphinx does (:class:`ipvsnl.model.Service`); the site's links are made of that."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

ROLE = re.compile(r":(?:class|meth|func|mod|data|attr|exc):`(~?)([^`]+)`")
CODE = re.compile(r"``([^`]+)``")


class Roles(Extension):
    """A role becomes a link where the site has the name, and stays a word where it has not."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Called with every object that has been read."""
        if obj.docstring is None:
            return
        around = obj if obj.is_class else obj.parent

        def link(found: re.Match[str]) -> str:
            short, name = found.groups()
            shown = name.rpartition(".")[2] if short else name
            whole = name if "." in name or around is None else f"{around.path}.{name}"
            return f'<autoref identifier="{whole}" optional><code>{shown}</code></autoref>'

        text = ROLE.sub(link, obj.docstring.value)
        obj.docstring.value = CODE.sub(r"`\1`", text).replace("::\n\n", "\n\n")
