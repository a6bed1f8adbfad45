"""What is wrong with a refused command line, beyond ipvsadm's words: which word it is, and which character of it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ipvsnl.text.popt import UsageError

_DASHES = frozenset("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d")
"""What editors make of a hyphen."""
_OF_ADDRESSES = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.:[]-_")
A_RULE = "a rule is a line of ipvsadm's that begins with -A (a service) or -a (a server), as -S writes them"


def hint(argv: Sequence[str], error: UsageError) -> str:
    """One line; empty where ipvsadm's message names the word already."""
    for word in argv:
        odd = _odd(word)
        if odd is not None:
            return f"{shown(word)}: {odd}"
    if error.word is None:
        return ""
    word = error.word
    if error.about_address:
        strange = next((one for one in word if one not in _OF_ADDRESSES), None)
        if strange is not None:
            return f"{shown(word)}: {_named(strange)} belongs to no address"
        return f"{shown(word)} is no address[:port], or a name that is not known here"
    return "" if word and word in error.message else shown(word)


def shown(word: str) -> str:
    """A word in quotes, with escapes for what can't be printed."""
    return f"'{printable(word)}'"


def printable(text: str) -> str:
    """A text with escapes for what can't be printed: it may be anything, and a terminal obeys some of it."""
    return text if text.isprintable() else "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def rule_reason(argv: Sequence[str], error: UsageError) -> str:
    """Why the words are no rule, where nobody asked ipvsadm's command line: without its ``Try ... -h``."""
    reason = error.message.rstrip("\n")
    more = hint(argv, error)
    if error.unknown:
        said = more or f"{shown(argv[0]) if argv[0] else 'an empty word'} begins no rule"
        return f"{said}; {A_RULE}"
    return f"{reason} ({more})" if more else reason


def _odd(word: str) -> str | None:
    """What a word holds that was never meant to be in a command line; None for nothing."""
    if word.isascii() and word.isprintable():
        return None
    if word[:1] in _DASHES:
        return f"it begins with {_named(word[0])}, not with a hyphen: -{word.lstrip(''.join(_DASHES))}"
    for one in word:
        if one in _DASHES or not one.isprintable():
            return f"it holds {_named(one)}"
    return None


def _named(character: str) -> str:
    """A character as messages name it."""
    if "!" <= character <= "~":
        return f"the character '{character}'"
    if "\udc80" <= character <= "\udcff":
        return f"the byte 0x{ord(character) - 0xDC00:02x}"
    from unicodedata import name

    return f"{name(character, 'the character')} (U+{ord(character):04X})"
