"""Where the rows of a sweep go: a journal line by line as they come, and CSV or Parquet of all of them at the end."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from ipvsnl._files import whole
from ipvssim.lab.scenario.reader import ScenarioError

Row = dict[str, Any]


class Journal:
    """The rows that a sweep has so far, in a file beside its results: whoever starts the sweep again goes on from there."""

    def __init__(self, out: Path, what: Any) -> None:
        """``what`` is the sweep's scenario: a journal of another one is not continued but refused."""
        self.path = out.with_name(out.name + ".journal")
        self._what = json.dumps(what, sort_keys=True, default=str)
        self.rows: dict[str, Row] = {}
        if self.path.exists():
            self._read()
        else:
            self.path.write_text(json.dumps({"scenario": self._what}) + "\n", encoding="utf-8")

    def _read(self) -> None:
        try:
            head, *lines = self.path.read_text(encoding="utf-8").splitlines()
            known = json.loads(head)["scenario"]
        except (ValueError, KeyError, TypeError):
            raise ScenarioError(f"{self.path}: no journal of a sweep") from None
        if known != self._what:
            raise ScenarioError(f"{self.path} is of another scenario: remove it to begin anew")
        kept = []
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:  # the line that was being written when the machine stopped
                continue
            self.rows[entry["key"]] = entry["row"]
            kept.append(line)
        with whole(self.path) as file:
            file.write(("\n".join([head, *kept]) + "\n").encode())

    def add(self, key: str, row: Row) -> None:
        """Keep a row, on the disk when this returns."""
        self.rows[key] = row
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": key, "row": row}) + "\n")


def write(rows: Iterable[Row], out: Path) -> None:
    """Rows as CSV, or as Parquet where the name ends so; a column for every key of any row."""
    listed = list(rows)
    columns = list(dict.fromkeys(key for row in listed for key in row))
    if out.suffix == ".parquet":
        _write_parquet(listed, columns, out)
        return
    with whole(out) as file:
        text = TextIOWrapper(file, encoding="utf-8", newline="")
        writer = csv.DictWriter(text, columns)
        writer.writeheader()
        writer.writerows(listed)
        text.detach()  # flushed; the file is closed by its own


def _write_parquet(rows: list[Row], columns: list[str], out: Path) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ScenarioError("Parquet needs the package pyarrow: pip install 'ipvsnl[sweep]'; or name a .csv") from None
    table = pyarrow.table({name: [row.get(name) for row in rows] for name in columns})
    with whole(out) as file:
        parquet.write_table(table, file)
