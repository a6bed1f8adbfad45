"""Words to options, as the popt library reads them (it is what gives ipvsadm its habits).

Short options bundle, long ones stand whole; a value may follow in the same word, after ``=``, or as the next word;
an optional value is the next word unless that begins with a dash; ``--`` ends the options; other words are left over.
What is said of a wrong command line begins here, too.
"""

from __future__ import annotations

from ipvsnl.text.options import LONG, NONE, OPTIONAL, OWN_PROTOCOL, REQUIRED, SHORT, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class UsageError(Exception):
    """A refused command line: the text for standard error, the exit status, and whether it ends a restore.

    ipvsadm leaves the process at its own refusals, so that a restore ends there; popt's refusals it only reports.
    """

    def __init__(self, message: str, status: int = 2, *, final: bool = True) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.final = final
        self.word: str | None = None
        """The value that is refused, where it is one."""
        self.unknown = False
        """Whether not even the command was understood."""

    @property
    def about_address(self) -> bool:
        """Whether the value was to be an address."""
        return "address" in self.message


def try_help(prog: str) -> UsageError:
    """The answer to what can't be understood at all."""
    error = UsageError(f"Try `{prog} -h' or '{prog} --help' for more information.", 255)
    error.unknown = True
    return error


class PoptError(Exception):
    """What popt refuses: its words, and :attr:`word`, the word of the command line that it names."""

    def __init__(self, word: str, reason: str) -> None:
        super().__init__(f"{word}: {reason}")
        self.word = word


class Popt:
    """Reads options one by one; :attr:`leftovers` collects the words that are none."""

    def __init__(self, argv: Sequence[str], long: Mapping[str, Option] = LONG) -> None:
        self.long = long
        self.argv = argv
        self.next = 0
        self.bundle = ""
        self.only_words = False
        self.leftovers: list[str] = []

    @property
    def word(self) -> str:
        """The last word taken, which messages name (a value counts, too)."""
        return self.argv[self.next - 1]

    def read(self) -> tuple[str, str | None] | None:
        """The next option's key and value, None at the end; PoptError for one that is unknown or lacks its value."""
        while not self.bundle:
            if self.next >= len(self.argv):
                return None
            word = self.argv[self.next]
            self.next += 1
            if self.only_words or len(word) < 2 or word[0] != "-":
                self.leftovers.append(word)
            elif word == "--":
                self.only_words = True
            elif word.startswith("--"):
                return self._long(word)
            else:
                self.bundle = word[1:]
        return self._short()

    def _long(self, word: str) -> tuple[str, str | None]:
        name, equals, value = word[2:].partition("=")
        option = self.long.get(name)
        if option is None and OWN_PROTOCOL in self.long and name.startswith(OWN_PROTOCOL) and name[9:].isdecimal():
            option = (name, name, REQUIRED)
        if option is None:
            raise PoptError(word, "unknown option")
        return self._value(option, value if equals else None)

    def _short(self) -> tuple[str, str | None]:
        option = SHORT.get(self.bundle[0])
        if option is None:
            raise PoptError(self.word, "unknown option")
        rest = self.bundle[1:]
        if option[2] == NONE and not rest.startswith("="):
            self.bundle = rest
            return option[0], None
        self.bundle = ""
        return self._value(option, rest.removeprefix("=") if rest else None)

    def _value(self, option: Option, attached: str | None) -> tuple[str, str | None]:
        key, _, takes = option
        if takes == NONE:
            if attached is not None:
                raise PoptError(self.word, "option does not take an argument")
            return key, None
        if attached is not None:
            return key, attached
        if self.next >= len(self.argv):
            if takes == OPTIONAL:
                return key, None
            raise PoptError(self.word, "missing argument")
        if takes == OPTIONAL and self.argv[self.next].startswith("-"):
            return key, None
        self.next += 1
        return key, self.word
