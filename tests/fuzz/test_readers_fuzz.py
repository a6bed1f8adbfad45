"""Mutated inputs to every reader, a seeded few thousand; what fuzzers have found interesting; and what they found wrong."""

from __future__ import annotations

import os

import pytest

from tests.fuzz import corpus
from tests.fuzz.law import Reader, law, quiet
from tests.fuzz.mutation import mutations
from tests.fuzz.readers import READERS

MANY = int(os.environ.get("IPVSNL_FUZZ_READERS", "150"))
"""Mutated inputs of each reader."""


@pytest.fixture(autouse=True)
def no_name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names in inputs are not looked up."""
    from ipvsnl.text import values

    monkeypatch.setattr(values, "_resolve", values._resolve)
    quiet()


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_whatever_comes_in_is_read_or_refused_by_name(reader: Reader) -> None:
    """A value or the reader's own typed error, and soon: for nothing at all, for the seeds, for what fuzzers have found
    interesting, and for mutations of these."""
    kept = [data for name, data in corpus.inputs().items() if name.startswith(f"reader-{reader.name}/")]
    seeds = [*reader.seeds(), *kept]
    for data in [b"", *seeds, *mutations(seeds, MANY, seed=1)]:
        law(reader, data)
