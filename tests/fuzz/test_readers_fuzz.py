"""Mutated inputs to every reader, a seeded few thousand; what fuzzers have found interesting; and what they found wrong."""

from __future__ import annotations

import os

import pytest

from tests.fuzz import corpus
from tests.fuzz.law import Reader, law, quiet
from tests.fuzz.mutation import mutations
from tests.fuzz.readers import BY_NAME, READERS

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


@pytest.mark.parametrize("deep", [b"[" * 100_000, b'{"a":' * 100_000], ids=["arrays", "objects"])
@pytest.mark.parametrize(
    ("name", "words"), [("json", "too deep"), ("trace", "too deep"), ("journal", "no journal"), ("sweep", "no journal")]
)
def test_what_is_too_deep_is_refused_in_our_words(name: str, words: str, deep: bytes) -> None:
    """Python's own words for it change from release to release, and its RecursionError is no ValueError."""
    refused = law(BY_NAME[name], deep)
    assert words in str(refused)


def test_a_row_of_a_sweep_that_is_too_deep_is_the_line_that_was_being_written() -> None:
    """A journal of a sweep whose last line is damaged goes on from the lines before, whatever the damage."""
    (whole,) = BY_NAME["sweep"].seeds()
    assert law(BY_NAME["sweep"], whole + b"[" * 100_000) is None
