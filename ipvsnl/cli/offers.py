"""What may stand at the cursor of a command line that an argparse parser reads: sub-commands, options, values, files."""

from __future__ import annotations

from argparse import REMAINDER, Action, ArgumentParser, _SubParsersAction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    Values = Mapping[str, Callable[[], Iterable[str]]]
    """What else may be offered as the value of an argument, by its name."""

_OF_FILES = frozenset(("FILE", "DIR", "PATH"))
"""What arguments are called whose values are files. A positional one without choices is a file, too."""


class Offers:
    """Candidates, each with what it means (or nothing), and whether files go as well."""

    def __init__(self, found: Iterable[tuple[str, str]] = (), *, files: bool = False) -> None:
        self.found = list(found)
        self.files = files

    def lines(self, prefix: str) -> str:
        """Those that begin so, a line each, as the shells' scripts read them."""
        chosen = [(word, why) for word, why in self.found if word.startswith(prefix)]
        return "".join(f"{word}\t{why}\n" if why else f"{word}\n" for word, why in chosen)


def names(words: Iterable[str]) -> Offers:
    """Words without a meaning to tell."""
    return Offers((word, "") for word in words)


def behind(option: str, offers: Offers) -> Offers:
    """The same values, written ``--option=VALUE``."""
    return Offers(((f"{option}={word}", why) for word, why in offers.found), files=offers.files)


def of_parser(parser: ArgumentParser, words: Sequence[str], values: Values) -> Offers:
    """What the parser would take as the last of ``words``."""
    *before, current = words
    options = {name: action for action in parser._actions for name in action.option_strings}
    positional = [action for action in parser._actions if not action.option_strings]
    given: set[str] = set()
    at, only_words = 0, False
    index = 0
    while index < len(before):
        word = before[index]
        index += 1
        if word == "--":
            only_words = True
        elif word.startswith("-") and not only_words:
            name, equals, _ = word.partition("=")
            action = options.get(name)
            given.add(action.dest if action is not None else name)
            if action is not None and action.nargs != 0 and not equals:
                if index == len(before):
                    return _values(action, values)
                index += 1
        elif at < len(positional) and isinstance(positional[at], _SubParsersAction):
            chosen = positional[at].choices
            below = chosen.get(word) if isinstance(chosen, dict) else None
            return of_parser(below, words[index:], values) if below is not None else Offers()
        elif at < len(positional):
            if positional[at].nargs == REMAINDER:
                return Offers(files=True)
            at += positional[at].nargs not in ("+", "*")
    if current.startswith("--") and "=" in current:
        action = options.get(name := current.partition("=")[0])
        return behind(name, _values(action, values)) if action is not None else Offers()
    if current.startswith("-") and not only_words:
        return _options(parser, given, current)
    return _values(positional[at], values) if at < len(positional) else _options(parser, given, current)


def _options(parser: ArgumentParser, given: set[str], current: str) -> Offers:
    """The options that are not there yet, or may be there again; short names only where no long one is begun."""
    return Offers(
        (name, action.help or "")
        for action in parser._actions
        if action.dest not in given or type(action).__name__ == "_AppendAction"
        for name in action.option_strings
        if name.startswith("--") or not current.startswith("--")
    )


def _values(action: Action, values: Values) -> Offers:
    if isinstance(action, _SubParsersAction):
        return Offers((one.dest, one.help or "") for one in action._choices_actions)
    found = [(str(word), "") for word in action.choices or ()]
    found += [(word, "") for word in values[action.dest]()] if action.dest in values else []
    files = action.metavar in _OF_FILES or (not action.option_strings and not action.choices)
    return Offers(found, files=files)
