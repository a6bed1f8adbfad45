"""Where the rows of a sweep go: a journal line by line as they come, and CSV or Parquet of all of them at the end."""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Iterable
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

from ipvsnl import _files as files
from ipvsnl import _json
from ipvssim.lab.scenario.reader import ScenarioError

Row = dict[str, Any]
SUFFIXES = (".csv", ".parquet")


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
            self._replace([json.dumps({"scenario": self._what})])

    def _read(self) -> None:
        try:
            head, *lines = self.path.read_text(encoding="utf-8").splitlines()
            known = _json.loads(head)["scenario"]
        except (ValueError, KeyError, TypeError):
            raise ScenarioError(f"{self.path}: no journal of a sweep") from None
        if known != self._what:
            raise ScenarioError(f"{self.path} is of another scenario: remove it to begin anew")
        kept = []
        for line in lines:
            try:
                entry = _json.loads(line)
            except ValueError:  # the line that was being written when the machine stopped
                continue
            kept.append(line)
            try:
                self.rows[entry["key"]] = entry["row"]
            except (KeyError, TypeError):
                raise ScenarioError(f"{self.path}: no journal of a sweep") from None
        self._replace([head, *kept])

    def _replace(self, lines: list[str]) -> None:
        files.replace(self.path, ("\n".join(lines) + "\n").encode("utf-8"))

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
    text = StringIO(newline="")
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(listed)
    files.replace(out, text.getvalue().encode("utf-8"))


def check(out: Path) -> None:
    """Say before a sweep what would keep :func:`write` from writing: ScenarioError, or OSError."""
    if out.suffix not in SUFFIXES:
        raise ScenarioError(f"--out {out}: a sweep's results are {' or '.join(SUFFIXES)}")
    if out.suffix == ".parquet":
        _parquet()
    check_folder(out.parent, [out, out.with_name(out.name + ".journal")])


def check_folder(folder: Path, paths: Iterable[Path]) -> None:
    """Make a folder; OSError where it, or one of the files that will be in it, can't be written."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        files.check_writable(path)
    with tempfile.TemporaryFile(dir=folder):
        pass


def _write_parquet(rows: list[Row], columns: list[str], out: Path) -> None:
    pyarrow, parquet = _parquet()
    data = BytesIO()
    parquet.write_table(pyarrow.table({name: [row.get(name) for row in rows] for name in columns}), data)
    files.replace(out, data.getvalue())


def _parquet() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ScenarioError("Parquet needs the package pyarrow: pip install 'ipvsnl[sweep]'; or name a .csv") from None
    return pyarrow, parquet
