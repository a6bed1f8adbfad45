"""Where this command line leaves ipvsadm 1.31, in one place; docs/use/differences.md says why of each."""

from __future__ import annotations

from ipvsnl._value import Value, filled, value


@value
class Compat(Value):
    """One switch a difference; all of them False is ipvsadm to the byte (but for its crashes)."""

    save_thresholds: bool = True
    """``-S`` writes ``-x`` and ``-y`` (ipvsadm loses them)."""
    unsigned_marks: bool = True
    """Firewall marks from 2^31 on are shown as they are (ipvsadm: negative, and its own ``-R`` refuses them)."""
    third_flag: bool = True
    """``flag-3`` of sh and mh is named (ipvsadm: ``()``, and ``-b`` with nothing after it in ``-S``)."""
    whole_names: bool = True
    """``-S`` with names never cuts ``host:port`` (ipvsadm: at 59 characters)."""
    wide_counters: bool = True
    """Counters of real servers have 64 bits in ``--stats`` and ``--rate`` (ipvsadm: 32 of them)."""
    protocol_numbers: bool = True
    """A service of a protocol without an option is listed and saved by its number (ipvsadm: ``?``, ``--xxx-service``)."""
    comments: bool = True
    """``-R`` skips lines that begin with ``#`` (ipvsadm stops at them)."""
    locate: bool = True
    """A refused line of ``-R`` is named on standard error: file, line number, rule."""
    own_options: bool = True
    """``--as-is`` and ``--forward`` are read, and ``-S`` writes them where ipvsadm's text would be another rule."""
    replaced_ports: bool = True
    """A port that direct routing or a tunnel replaces by the service's is told on standard error (ipvsadm: silence)."""
    formats: bool = True
    """``-R`` reads listings, JSON and ``keepalived.conf``, too (ipvsadm: ``Try ...``)."""
    explain: bool = True
    """Why there is no kernel, and what can be had instead, follows ipvsadm's two lines."""

    escape_names: bool = True
    """A name that can't be printed, or would end its line, is shown with escapes (ipvsadm: as it is)."""


OURS = filled(Compat, *[True] * len(Compat.__fields__))
STRICT = filled(Compat, *[False] * len(Compat.__fields__))
