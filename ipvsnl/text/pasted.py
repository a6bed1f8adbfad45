"""What pasting puts around a table: prompts, commands, quotation marks, fences of code, colours, escaped arrows."""

from __future__ import annotations

import re

_COMMAND = re.compile(
    r"(ipvsadm|ipvsnl)\b.*\s(-\w*[LlS]|--list|--save)|ipvsadm-save|\b(cat|tail|head|grep|less)\s.*\bip_vs\b"
)  # fmt: skip
_COLOUR = re.compile(r"\x1b\[[0-9;]*[mK]")
_ARROWS = ("-&gt;", "-\\u003e", "→")


def echoes(line: str) -> bool:
    """Whether a line is the command that made a table, pasted along (with the shell's prompt)."""
    return bool(_COMMAND.search(line))


def pasted(raw: str) -> str:
    """A line without what pasting put around it: blanks, colours, a mail's ``>``, fences of code, bare prompts."""
    line = _COLOUR.sub("", raw).strip()
    if line[:1] == ">":
        line = line[1:].lstrip()
    for arrow in _ARROWS:
        if line.startswith(arrow):
            line = f"->{line[len(arrow) :]}"
    return "" if line in ("$", "#", "%", "--") or line.startswith("```") else line
