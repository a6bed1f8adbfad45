"""Every reader of bytes that come from outside, for fuzzers.

The law of each: whatever comes in, it answers with a value, or with its own typed error, and soon. What a reader says of its
value beyond that (a table that was read can be saved and read again, say) is checked on the way.
"""

from __future__ import annotations

from tests.fuzz import reader_files, reader_texts, reader_wire

READERS = [*reader_texts.READERS, *reader_files.READERS, *reader_wire.READERS]
BY_NAME = {reader.name: reader for reader in READERS}
