"""Tables as they stand in mails, tickets and terminals: what pasting puts around a table does not hide it, or empty it."""

from __future__ import annotations

import pytest

from ipvsnl.cli.convert import rules
from ipvsnl.tables.wanted import read_table
from ipvssim import Kernel

SERVICE, SERVER = "TCP  192.0.2.1:80 rr", "  -> 10.0.0.1:80                  Masq    1      13         0"
MEANT = ["-A -t 192.0.2.1:80 -s rr", "-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 1"]
PROC = "TCP  C0000201:0050 rr \n  -> 0A000001:0050      Masq    1      0          0         \n"
TITLES = "IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port Scheduler Flags\n"
PASTED = {
    "a mail's quotation": f"> {SERVICE}\n> {SERVER}\n",
    "a fence of code": f"```\n{TITLES}{SERVICE}\n{SERVER}\n```\n",
    "a fence with its language": f"```console\n$ sudo ipvsadm -Ln\n{SERVICE}\n{SERVER}\n$\n```\n",
    "HTML": f"{SERVICE}\n{SERVER.replace('->', '-&gt;')}\n",
    "JSON's escapes": f"{SERVICE}\n{SERVER.replace('->', chr(92).join(['-', 'u003e']))}\n",
    "a typographer's arrow": f"{SERVICE}\n{SERVER.replace('->', '→')}\n",
    "colours of a terminal": f"\x1b[1;32m{SERVICE}\x1b[0m\n\x1b[K{SERVER}\n",
    "no-break spaces": f"{SERVICE}\n{SERVER}\n".replace("  ", "\u00a0 "),
    "watch": f"Every 1.0s: ipvsadm -Ln       lb1: Mon Jan  1 00:00:00 2024\n\n{TITLES}{SERVICE}\n{SERVER}\n",
    "grep's separator": f"{SERVICE}\n{SERVER}\n--\n",
    "the kernel's file with its command": f"root@lb1:~# cat /proc/net/ip_vs\n{TITLES}{PROC}",
    "a part of the kernel's file": f"$ tail -n2 /proc/net/ip_vs\n{PROC}$\n",
    "rules with their command": f"$ sudo ipvsadm -S -n\n{MEANT[0]}\n{MEANT[1]}\n$\n",
    "rules with the script's name": f"# ipvsadm-save -n\nroot@lb1:~# ipvsadm-save -n\n{MEANT[0]}\n{MEANT[1]}\n",
}


@pytest.mark.parametrize("text", PASTED.values(), ids=PASTED)
def test_what_was_pasted_is_the_table(text: str) -> None:
    """Prompts, quotation marks, fences, colours and escapes are no part of a table, and take nothing from it."""
    assert list(rules(read_table(text))) == MEANT
    kernel = Kernel("\n".join(MEANT))
    assert kernel.ipvsnl("plan", "--prune", "-", stdin=text).stdout == "nothing to do\n"


@pytest.mark.parametrize(("text", "reason"), [
    ("$ some command\n-A -t 192.0.2.1:80\n", "<stdin>:1: $ some command"),
    ("upstream web {\n server a\n}\n", "line 1: nothing here is keepalived's: 'upstream' is no keyword"),
    ("vs web\n{\n}\n", "<stdin>:1: vs web"),
])  # fmt: skip
def test_what_is_no_table_is_no_empty_table(text: str, reason: str) -> None:
    """A text of which nothing is known is refused with a line: an empty table with --prune would be the end of all."""
    done = Kernel(MEANT[0]).ipvsnl("plan", "--prune", "-", stdin=text)
    assert (done.status, done.stdout) == (1, "") and reason in done.stderr


def test_another_ipvs_is_told() -> None:
    """A method that Linux does not have is named as such (DPVS and others list FullNat)."""
    done = Kernel().ipvsnl("plan", "-", stdin=f"{SERVICE}\n{SERVER.replace('Masq', 'FullNat')}\n")
    assert done.status == 1 and "'FullNat' is no forwarding method of Linux's" in done.stderr
