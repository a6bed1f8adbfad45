"""The table of a campaign (compare.py): by kind of trace, how much was compared, and what differs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ipvssim.behaviours import BEHAVIOURS, DEFAULT, TABLE, resolve
from tests.kernel.forms import PLAIN, Form
from tests.kernel.judges import Judge
from tests.places import ROOT


@dataclass
class Row:
    """A kind's line in the table."""

    traces: int = 0
    steps: int = 0
    differing: int = 0
    unrecorded: int = 0
    unreplayed: int = 0
    unsteady: int = 0
    """Traces to which the kernel itself gave another answer when it was asked again."""


@dataclass
class Campaign:
    """What has been found so far."""

    judge: Judge
    first: int
    command: str
    comparable: bool
    forms: list[Form] = field(default_factory=list)
    """What is compared besides the simulator as its files are."""
    rows: dict[str, Row] = field(default_factory=dict)
    different: list[Path] = field(default_factory=list)

    @property
    def total(self) -> Row:
        return Row(*(sum(getattr(row, name) for row in self.rows.values()) for name in Row.__dataclass_fields__))

    def table(self) -> str:
        lines = [
            "# Fidelity",
            "",
            "Random traces, replayed on a real kernel and on the simulator, and compared step by step.",
            "This page is generated; do not edit it.",
            "",
            f"- kernel: Linux {self.judge.image.release} ({self.judge.booted}),"
            f" compared with the simulator's `--kernel {self.judge.kernel}`",
            f"- the simulator: {'; '.join([PLAIN.name, *(form.name for form in self.forms)])}",
            f"- first seed: {self.first}",
            f"- command: `{self.command}`",
            "",
            *otherwise(self.judge.kernel),
            "| kind | traces | steps | differing steps |",
            "| --- | ---: | ---: | ---: |",
        ]
        for name, row in [*sorted(self.rows.items()), ("**all**", self.total)]:
            found = str(row.differing) if self.comparable else "recorded, not yet comparable"
            found += f" ({row.unreplayed} traces not replayable)" if row.unreplayed else ""
            found += f" ({row.unrecorded} traces not recorded)" if row.unrecorded else ""
            found += (
                f" ({row.unsteady} traces to which the kernel answered otherwise when asked again)"
                if row.unsteady
                else ""
            )
            lines.append(f"| {name} | {row.traces} | {row.steps} | {found} |")
        return "\n".join(lines) + "\n"


def otherwise(kernel: str) -> list[str]:
    """What this kernel does otherwise than the one that is modelled by default, as lines of a page."""
    has = resolve(kernel).behaviours
    found = [one for one in TABLE if (one.name in has.names) != (one.name in BEHAVIOURS.names)]
    if not found:
        return []
    rows = [f"| `{one.name}` | {'yes' if one.name in has.names else 'no'} | {one.what} |" for one in found]
    words = f"What it does otherwise than {DEFAULT} ([what is not modelled](../../use/kernels.md#not-modelled)):"
    return [words, "", "| behaviour | here | |", "| --- | --- | --- |", *rows, ""]


def page(asked: Judge) -> Path:
    """The page of docs that shows how this kernel compares: the modelled kernel's, or that of another release. What QEMU
    boots has pages of its own, since user-mode-linux may be of the same release."""
    inside = ROOT / "docs" / "inside"
    if asked.emulated:
        return inside / "kernels" / f"qemu-{asked.kernel}.md"
    return inside / "fidelity.md" if asked.kernel == DEFAULT else inside / "kernels" / f"{asked.kernel}.md"
