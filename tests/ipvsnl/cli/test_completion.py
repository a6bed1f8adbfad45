"""What completion offers at the cursor; tests/e2e/test_shells.py asks the shells themselves."""

from __future__ import annotations

import io

import pytest

from ipvsnl.cli.completion import SUB_COMMANDS, complete
from ipvsnl.cli.main import main
from ipvsnl.text.options import ALLOWED, COMMANDS
from ipvssim.command import COMMANDS as SIMULATORS
from ipvssim.command import main as simulator

from .fake import FakeIPVS
from .recordings import command

RULES = """\
-A -t 10.0.0.1:80
-a -t 10.0.0.1:80 -r 10.1.0.1:80
-A -t 10.0.0.1:81
-a -t 10.0.0.1:81 -r 10.1.0.2:81
-A -u [::1]:53
-A -f 7
"""


def offered(*words: str) -> list[str]:
    """What is offered for the last of the words, without meanings; FILES at the end where files go, too."""
    ipvs = FakeIPVS()
    assert command(ipvs, "-R", stdin=RULES) == (0, "", "")
    stdout = io.StringIO()
    status = complete(["offers", *words], lambda: ipvs, stdout, io.StringIO())  # type: ignore[arg-type, return-value]
    return [line.partition("\t")[0] for line in stdout.getvalue().splitlines()] + ["FILES"] * (status == 3)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["pl"], ["plan"]),
        (["--target", "sim", "pl"], ["plan"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
        (["apply", "--p"], ["--prune"]),
        (["top", "--p"], []),
        (["plan", ""], ["FILES"]),
        (["lab-kernel", "--", ""], ["FILES"]),
        (["--target", "k"], ["kernel", "FILES"]),
        (["--target=k"], ["--target=kernel", "FILES"]),
        (["-A", "-t", "x:1", "-s", "l"], ["lc", "lblc", "lblcr"]),
        (["-A", "-t", "x:1", "--scheduler=wr"], ["--scheduler=wrr"]),
        (["-A", "-t", "x:1", "--real"], []),
        (["-A", "-t", "x:1", "--tcp"], []),
        (["-A", "-t", ""], []),
        (["-D", "-t", ""], ["10.0.0.1:80", "10.0.0.1:81"]),
        (["-Dt", ""], ["10.0.0.1:80", "10.0.0.1:81"]),
        (["-D", "-u", "["], ["[::1]:53"]),
        (["-E", "--fwmark-service", ""], ["7"]),
        (["-d", "-t", "10.0.0.1:80", "-r", ""], ["10.1.0.1:80"]),
        (["-a", "-t", "10.0.0.1:80", "-r", ""], ["10.1.0.2:81"]),
        (["-L", "--tim"], ["--timeout"]),
        (["-L", "-c", "--tim"], []),
        (["-L", "-c", "--sta"], ["--stats", "--state"]),
        (["-L", "--js"], ["--json"]),
        (["-R", "--"], ["--atomic"]),
        (["-C", "--"], []),
        (["--start-daemon", "m"], ["master"]),
        (["nonsense", ""], []),
    ],
)  # fmt: skip
def test_what_is_offered(words: list[str], found: list[str]) -> None:
    """Only what may stand there: of the sub-command or the command at hand, and of the live table."""
    assert offered(*words) == found


@pytest.mark.parametrize("option", [f"--{long}" for key, _, long, _ in COMMANDS if key in ALLOWED])
def test_every_command_offers_exactly_its_options(option: str) -> None:
    """An option that is offered is one that the grammar's table has for the command, and the other way round."""
    key = next(key for key, _, long, _ in COMMANDS if f"--{long}" == option)
    words = [option, "master"] if key.endswith("daemon") else [option]
    ours = {"list": {"--json"}, "restore": {"--atomic"}}.get(key, set())
    assert bool(set(offered(*words, "--")) - ours) == bool(ALLOWED[key][1])


def test_an_unreadable_table_offers_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Tab never prints an error over the line that is being typed."""
    assert main(["completion", "offers", "--target", "sim:/dev/null/none", "-D", "-t", ""]) == 0
    assert capsys.readouterr() == ("", "")


def test_the_sub_commands_are_the_programs() -> None:
    """Each is one that the program knows: another word would go to the grammar."""
    from ipvsnl.cli.help import usage

    assert all(name in usage("ipvsnl") for name in SUB_COMMANDS)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([""], list(SIMULATORS)),
        (["lab", "sw"], ["sweep"]),
        (["lab", "run", "na"], ["nat-client"]),
        (["lab", "gallery", "--"], ["--help"]),
        (["pcap", "--on", ""], ["client", "server"]),
        (["why", "--on", ""], ["client", "server"]),
        (["replay", "--ch"], ["--check"]),
        (["completion", "z"], ["zsh"]),
    ],
)
def test_the_simulators_program(words: list[str], found: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The same for ipvssim, whose parsers argparse has."""
    simulator(["completion", "offers", *words])
    assert [line.partition("\t")[0] for line in capsys.readouterr().out.splitlines()] == found
