"""The manual pages ``docs/man/*.1``, made of what the programs say of themselves; ``make man`` writes them."""

from __future__ import annotations

import re
from argparse import REMAINDER, SUPPRESS, Action, ArgumentParser, _SubParsersAction
from collections.abc import Iterable, Iterator
from pathlib import Path
from textwrap import fill

from ipvsnl import __version__
from ipvsnl.cli.help import usage
from ipvsnl.cli.operate import parsers
from ipvsnl.lab_kernel.command import parser as lab_kernel
from ipvssim.command import parser as ipvssim

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "man"
DATE = "2026-11-26"
"""When the pages were last looked through."""
ENVIRONMENT = {
    "IPVSNL_TARGET": "the target where the command line names none",
    "IPVSNL_BACKEND": "native or ctypes: what makes the bytes",
    "IPVSNL_DEBUG": "1: every message of the kernel's is shown on standard error",
}
STATUSES = {
    "0": "done",
    "1": "wrong: standard error says what. Of apply: the table is not as wanted",
    "2": "the command line is no sentence, or no kernel can be reached. Of plan: there is something to do",
    "130": "interrupted",
}


def pages() -> dict[str, str]:
    """Every page's text, by the name of its file."""
    return {
        "ipvsnl.1": _ipvsnl(),
        "ipvssim.1": _ipvssim(),
        "ipvsnl-save.1": ".so man1/ipvsnl.1\n",
        "ipvsnl-restore.1": ".so man1/ipvsnl.1\n",
    }


def roff(text: str) -> str:
    """Plain text as roff has it: no line is taken for a request, and a hyphen is one that can be copied."""
    plain = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", plain, flags=re.MULTILINE)


def _head(name: str, words: str, names: str = "") -> str:
    title = f'.TH {name.upper()} 1 {DATE} "ipvsnl {__version__}" "User Commands"'
    return f"{title}\n.SH NAME\n{roff(f'{names or name} - {words}')}\n"


def _literal(text: str) -> str:
    return f".nf\n{roff(text.rstrip())}\n.fi\n"


def _ipvsnl() -> str:
    title, synopsis, *sections = usage("ipvsnl").split("\n\n")
    lines = [
        _head("ipvsnl", title.partition(": ")[2], "ipvsnl, ipvsnl-save, ipvsnl-restore"),
        ".SH SYNOPSIS\n", _literal(_outdented(synopsis)),
        ".br\n", _literal("ipvsnl-save [-n] > FILE        ipvsnl-restore < FILE"),
        ".SH DESCRIPTION\n",
        roff(
            "ipvsnl drives the load balancer of the Linux kernel, IPVS, over generic netlink. What the manual page of "
            "ipvsadm(8) says holds; options and sub-commands that ipvsadm has not stand below, too. ipvsnl-save and "
            "ipvsnl-restore stand for ipvsadm-save(8) and ipvsadm-restore(8): the table as text, and back; restoring "
            "clears the table first.\n"
        ),
        ".SH OPTIONS\n",
    ]  # fmt: skip
    for section in sections:
        for part in re.split(r"\n(?=\w[^\n]*:\n)", section):
            name, _, rest = part.partition("\n")
            lines += [f".SS {roff(name.rstrip(':'))}\n", _literal(_outdented(rest))]
    lines.append(".SH SUB-COMMANDS\n")
    for command, parser in [*parsers().items(), ("lab-kernel", lab_kernel())]:
        lines += _command(f"ipvsnl {command}", parser)
    lines += [".SH ENVIRONMENT\n", *_terms(ENVIRONMENT.items()), ".SH EXIT STATUS\n", *_terms(STATUSES.items())]
    lines += [
        ".SH EXAMPLES\n", _literal("ipvsnl -A -t 192.0.2.1:80 -s wrr\nipvsnl -a -t 192.0.2.1:80 -r 10.0.0.1:80 -m"),
        _literal("ipvsnl --target sim plan --prune wanted.rules"),
        ".SH SEE ALSO\n.BR ipvssim (1),\n.BR ipvsadm (8)\n",
    ]  # fmt: skip
    return "".join(lines)


def _ipvssim() -> str:
    whole = ipvssim()
    lines = [
        _head("ipvssim", "a twin of the Linux kernel's IPVS, without root"),
        ".SH SYNOPSIS\n", _literal("ipvssim COMMAND [ARGUMENT...]\nipvssim --version"),
        ".SH DESCRIPTION\n",
        roff(
            "ipvssim answers the netlink bytes of the Linux kernel's IPVS, and sends packets to the servers that the "
            "kernel would choose: to try rules, to replay captures, to compare schedulers under traffic.\n"
        ),
        ".SH COMMANDS\n",
    ]  # fmt: skip
    for name, parser in _below(whole):
        deeper = list(_below(parser))
        for title, one in [(f"{name} {inner}", found) for inner, found in deeper] or [(name, parser)]:
            lines += _command(f"ipvssim {title}", one)
    lines.append(".SH SEE ALSO\n.BR ipvsnl (1)\n")
    return "".join(lines)


def _below(parser: ArgumentParser) -> Iterator[tuple[str, ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            yield from action.choices.items()


def _command(title: str, parser: ArgumentParser) -> list[str]:
    """A sub-command: how it is called, and what each of its arguments is."""
    parts = [_shown(action) for action in parser._actions if action.help != SUPPRESS]
    parts = [part.replace(" ", "\0") for part in parts]  # an option stays beside its value
    used = fill(
        " ".join(parts), 76, initial_indent=f"{title} ", subsequent_indent="    ", break_on_hyphens=False
    ).replace("\0", " ")
    words = (parser.description or "").strip()
    described = []
    for action in parser._actions:
        if action.help and action.help != SUPPRESS:
            value = _value(action)
            names = ", ".join(action.option_strings)
            described.append((f"{names} {value}".strip() if names else value, action.help))
    return [
        f".SS {roff(title)}\n",
        _literal(used),
        *([".PP\n", roff(words) + "\n"] if words else []),
        *_terms(described),
    ]


def _value(action: Action) -> str:
    """What a value is called, or what there is to choose from; nothing for an option without one."""
    return str(action.metavar or ("" if action.nargs == 0 else "|".join(map(str, action.choices or [action.dest]))))


def _shown(action: Action) -> str:
    """An argument in a synopsis. (argparse's own differs from one Python to the next.)"""
    value = _value(action)
    if action.option_strings:
        text = f"{action.option_strings[-1]} {value}".strip()
        return text if action.required else f"[{text}]"
    if action.nargs == REMAINDER:
        return f"[--] {value} [ARGUMENT...]"
    return {"+": f"{value}...", "*": f"[{value}...]", "?": f"[{value}]"}.get(str(action.nargs), value)


def _terms(pairs: Iterable[tuple[str, str]]) -> list[str]:
    return [f".TP\n.B {roff(term)}\n{roff(words)}\n" for term, words in pairs]


def _outdented(text: str) -> str:
    return "\n".join(line.removeprefix("  ") for line in text.splitlines())


def main() -> None:
    """Write them."""
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
