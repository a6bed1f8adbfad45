"""Releases are sets of behaviours; each set answers as the kernels of that release did."""

from __future__ import annotations

import io
import json
from errno import EINVAL
from pathlib import Path

import pytest

from ipvsnl.model import Timeouts
from ipvsnl.refusals import KernelError
from ipvssim import Kernel
from ipvssim.behaviours import BEHAVIOURS, NAMES, TABLE, Behaviours, Release, resolve
from ipvssim.doors import kernels, replay
from ipvssim.doors.replay import DIFFERENT, SAME, Job
from tests.ipvssim.worlds import udp
from tests.places import DATA, unpacked

UNPADDED = '{"recording": 1, "padding": false}\n'
RECORDED = {
    "uml-5.10.46": "5.10.46", "debian-6.1.192": "6.1.192", "uml-6.12.113": "6.12.113",
    "debian-6.12.118": "6.12.118+deb13-amd64", "uml-7.2.7": "7.2.7", "debian-7.3.4": "7.3.4",
}  # fmt: skip
"""Whose answers are kept, and what ``uname -r`` says there."""
MODULES = {"debian-6.12.118": {"twos"}, "debian-7.3.4": {"twos"}}
"""Probes that ask for a module that only these packages have."""


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive, unpacked: ``traces``, ``probes``, and a folder of answers for each kernel in both."""
    place = tmp_path_factory.mktemp("kernels")
    unpacked(DATA / "kernels.tar.xz", place)
    return place


def differing(trace: Path, recording: Path, release: str | Release, place: Path, *, unpadded: bool = False) -> str:
    """What differs, as ``replay --check`` shows it."""
    if unpadded:
        whole = place / recording.name
        whole.write_text(UNPADDED + recording.read_text())
        recording = whole
    out = io.StringIO()
    status = replay.replay(Job(trace, recording), check=True, release=release, out=out)
    assert status == (DIFFERENT if out.getvalue() else SAME)
    return out.getvalue()


@pytest.mark.parametrize("kernel", RECORDED)
def test_a_release_answers_as_it_was_recorded(kernel: str, recordings: Path, tmp_path: Path) -> None:
    """Small traces of all that releases differ in, on kernels from 5.10 to 7.3: no step differs."""
    for trace in sorted((recordings / "probes").glob("*.trace")):
        if trace.stem not in MODULES.get(kernel, ()):
            recording = recordings / "probes" / kernel / f"{trace.stem}.kernel"
            found = differing(trace, recording, RECORDED[kernel], tmp_path, unpadded="debian" in kernel)
            assert not found, (trace.stem, found)


@pytest.mark.parametrize("kernel", [name for name in RECORDED if name.startswith("uml")])
def test_random_traces_are_answered_as_they_were_recorded(kernel: str, recordings: Path, tmp_path: Path) -> None:
    """One random trace of each of 29 kinds. (Under QEMU timers run late, so that its recordings have edges of their own.)"""
    traces = sorted((recordings / "traces").glob("*-7001.trace"))
    assert len(traces) == 29
    for trace in traces:
        found = differing(trace, recordings / kernel / f"{trace.stem}.kernel", RECORDED[kernel], tmp_path)
        assert not found, (trace.stem, found)


SHOWN = {
    "reuse0_reschedules": ("reuse0", "uml-6.12.113"), "run_estimation": ("sysctls_all", "uml-6.12.113"),
    "estimator_sysctls": ("sysctls_all", "uml-6.12.113"), "tables_grow": ("grow", "uml-7.2.7"),
    "load_factors": ("sysctls_all", "uml-7.2.7"), "dead_templates_keep_ports": ("template", "uml-7.2.7"),
    "conn_max": ("conn_max", "uml-7.2.7"), "hooks_follow_services": ("hooks", "uml-6.12.113"),
}  # fmt: skip
"""A behaviour, the probe that shows it, and a kernel that has it."""


@pytest.mark.parametrize("name", SHOWN)
def test_the_other_way_round_is_caught(name: str, recordings: Path, tmp_path: Path) -> None:
    """With one behaviour flipped, its probe differs from what the kernel answered."""
    probe, kernel = SHOWN[name]
    turned = Release(kernel, resolve(RECORDED[kernel]).behaviours.changed(name))
    trace = recordings / "probes" / f"{probe}.trace"
    assert differing(trace, recordings / "probes" / kernel / f"{probe}.kernel", turned, tmp_path)


def test_timeouts_that_no_int_holds() -> None:
    """Kernels before 5.0 take any number of seconds; ipvsadm 1.31 does not send them, so no recording of it shows this."""
    for release, errno in (("4.20", 0), ("5.0", EINVAL)):
        kernel = Kernel(release=release)
        with kernel.connect() as ipvs:
            try:
                ipvs.set_timeouts(Timeouts(tcp=0x7FFFFFFF))
                found = 0
            except KernelError as refused:
                found = refused.errno or 0
        assert found == errno


def sized(release: str, rules: str = "-A -u 192.0.2.1:80 -s rr\n-a -u 192.0.2.1:80 -r 10.0.0.1 -m") -> Kernel:
    """A kernel with a service of UDP, whose connections last three seconds."""
    kernel = Kernel(rules, release=release)
    kernel.ipvsadm("--set", "0", "0", "3")
    return kernel


def connect(kernel: Kernel, count: int) -> int:
    """So many clients that come at once; the rows of the connection table then."""
    for number in range(count):
        kernel.receive(udp(1024 + number, source=b"\xc6\x33\x64\x01", target=b"\xc0\x00\x02\x01"))
    return kernel.namespace.connection_table_size


def test_growing_tables_end_at_their_bound() -> None:
    """From the first service on 256 rows, with more connections up to those that the table may have, and no further."""
    assert Kernel(release="7.2").namespace.connection_table_size == 0
    assert [connect(sized("7.2"), count) for count in (0, 64, 65, 513, 1025, 5000)] == [256, 256, 512, 4096, 4096, 4096]
    assert connect(sized("7.0"), 65) == 4096


def test_a_table_shrinks_when_the_kernel_looks_again() -> None:
    """Two seconds after it grew, and every two from then on, down to twice what is left, if that is a sixteenth at most."""
    kernel = sized("7.2")
    sizes = [connect(kernel, 600)]
    kernel.advance(1.5)
    connect(kernel, 40)  # these are known, and last from now on
    for _ in range(5):
        kernel.advance(1)
        sizes.append(kernel.namespace.connection_table_size)
    assert sizes == [4096, 4096, 4096, 512, 512, 256]


def test_a_load_factor_that_is_written_again_changes_no_rows() -> None:
    """A table is made as small as its connections allow for another factor; for the same one only if it is nearly empty."""
    kernel = sized("7.2")
    assert connect(kernel, 130) == 1024
    kernel.advance(2)
    connect(kernel, 40)
    kernel.advance(1.5)
    kernel.sysctl["conn_lfactor"] = -2
    assert kernel.namespace.connection_table_size == 1024
    kernel.sysctl["conn_lfactor"] = -3
    assert kernel.namespace.connection_table_size == 512


LATE = frozenset(
    (
        "offsets6",
        "tunnel_mtu",
        "quoted_headers",
        "overload_by_all",
        "bounded_thresholds",
        "icmp_checksums",
        "quoted_fragments",
        "bounded_caches",
    )
)


@pytest.mark.parametrize(
    ("asked", "name", "has", "lacks"),
    [
        ("6.1.176", "6.1.176", {"run_estimation"}, {*LATE, "estimator_sysctls"}),
        ("6.1.192", "6.1.192", {*LATE}, {"estimator_sysctls"}),
        ("6.1.178", "6.1.178", {"offsets6", "tunnel_mtu", "quoted_headers"}, {"overload_by_all", "icmp_checksums"}),
        ("6.1.0-48-amd64", "6.1.192", {*LATE}, set()),
        ("5.10.0-44-amd64", "5.10.261", {"offsets6"}, {"icmp_checksums", "overload_by_all"}),
        ("5.10.46", "5.10.46", {"hooks_follow_services"}, {"reuse0_reschedules", "run_estimation"}),
        ("6.12.118+deb13-amd64", "6.12.118", {*LATE, "estimator_sysctls"}, {"tables_grow"}),
        ("5.15.0-204-generic", "5.15.200", {"overload_by_all", "offsets6"}, {"icmp_checksums", "quoted_fragments"}),
        ("6.8.0-45-generic", "6.8", {*LATE}, {"tables_grow"}),
        ("6.17.0-5-generic", "6.17", {"estimator_sysctls"}, {*LATE}),
        ("7.0.0-3-generic", "7.0", {*LATE}, {"tables_grow", "conn_max"}),
        ("5.4.0-216-generic", "5.4.291", {"sync_version_checked"}, {"hooks_follow_services", "run_estimation"}),
        ("4.18.0-553.el8_10.x86_64", "4.18", set(), {"timeout_limits", "sync_version_checked"}),
        ("5.14.0-503.11.1.el9_5.x86_64", "5.14", {"hooks_follow_services"}, {"run_estimation"}),
        ("6.12.0-55.el10.x86_64", "6.12", {"estimator_sysctls"}, {*LATE}),
        ("7.2.7", "7.2.7", {*LATE, "conn_max", "tables_grow"} - {"bounded_caches"}, {"bounded_caches"}),
        ("7.1.3", "7.1.3", {"tables_grow", "load_factors"}, {"conn_max"}),
        ("5.15.167.4-microsoft-standard-WSL2", "5.15.167", {"reuse0_reschedules"}, {"offsets6"}),
        ("debian13", "6.12.118", {*LATE}, {"tables_grow"}),
        ("9.1", "9.1", set(NAMES), set()),
    ],
)
def test_what_uname_says_is_a_set_of_behaviours(asked: str, name: str, has: set[str], lacks: set[str]) -> None:
    """Stable releases, distributions' names, and what is newer than all that was looked at."""
    found = resolve(asked)
    assert (found.name, has - found.behaviours.names, lacks & found.behaviours.names) == (name, set(), set())


OLD = frozenset(
    (
        "template_states",
        "timeout_limits",
        "sync_version_checked",
        "gue_tunnels",
        "gre_tunnels",
        "merged_fragments",
        "nodest_reschedules",
        "routed_replies",
        "hashed_masked",
    )
)
"""What came between 4.18 and 5.13."""


@pytest.mark.parametrize(
    ("uname", "name", "has", "lacks", "said"),
    [
        ("4.18.0-553.58.1.el8_10.x86_64", "4.18", {"hashed_masked"}, {*OLD} - {"hashed_masked"}, "RHEL 8"),
        ("5.14.0-570.21.1.el9_6.x86_64", "5.14", {*OLD, "hooks_follow_services"}, {"run_estimation"}, "RHEL 9"),
        ("6.12.0-55.16.1.el10_0.x86_64", "6.12", {*OLD, "estimator_sysctls", "small_heads"}, {*LATE}, "RHEL 10"),
        ("5.4.0-216-generic", "5.4.291", {*OLD} - {"nodest_reschedules", "routed_replies", "hashed_masked"},
         {"nodest_reschedules", "routed_replies", "hashed_masked", "hooks_follow_services"}, "Ubuntu 20.04"),
        ("5.15.0-1086-azure", "5.15.200", {*OLD, "overload_by_all"}, {"icmp_checksums", "small_heads"}, "Ubuntu 22.04"),
        ("6.8.0-60-generic", "6.8", {*OLD, *LATE, "small_heads"}, {"tables_grow"}, "Ubuntu 24.04"),
        ("7.0.0-14-generic", "7.0", {*OLD, *LATE}, {"tables_grow", "conn_max"}, "Ubuntu 26.04"),
        ("5.10.0-35-cloud-amd64", "5.10.261", {*OLD, "offsets6"}, {"icmp_checksums", "run_estimation"}, "Debian 11"),
        ("6.1.0-37-amd64", "6.1.192", {*OLD, *LATE}, {"estimator_sysctls", "small_heads"}, "Debian 12"),
        ("6.12.48+deb13-amd64", "6.12.48", {*OLD, "small_heads"}, {*LATE, "tables_grow"}, ""),
        ("6.6.87.2-microsoft-standard-WSL2", "6.6.87", {*OLD, "estimator_sysctls", "small_heads"}, {*LATE}, ""),
        ("6.1.141-155.222.amzn2023.x86_64", "6.1.141", {*OLD, "run_estimation"}, {*LATE, "small_heads"}, ""),
        ("6.4.0-150600.23.53-default", "6.4", {*OLD, "estimator_sysctls", "small_heads"}, {*LATE}, "SUSE"),
        ("5.15.0-309.180.4.el9uek.x86_64", "5.15.180", {*OLD, "reuse0_reschedules"}, {"overload_by_all"}, "Oracle"),
    ],
)  # fmt: skip
def test_pasted_names_of_distributions(uname: str, name: str, has: set[str], lacks: set[str], said: str) -> None:
    """What people paste resolves to the behaviours of its release; where the name does not tell all, that is said."""
    found = resolve(uname)
    assert (found.name, has - found.behaviours.names, lacks & found.behaviours.names) == (name, set(), set())
    assert said in found.note and bool(said) is bool(found.note)


def test_what_had_to_be_guessed_is_said() -> None:
    """A name that does not tell, a kernel that is newer or older than what is modelled: the note says so."""
    assert "last" in resolve("6.1.0-48-amd64").note and "backports" in resolve("6.12.0-55.el10").note
    assert "not looked at" in resolve("9.1").note and "not all is modelled" in resolve("5.4").note
    assert not resolve("6.1.176").note


@pytest.mark.parametrize("wrong", ["", "x", "6", "6.1.x", "6..1", "3.10", "6.1.1.1", "debian9", "-6.1", "6.1.99999"])
def test_what_is_no_release_is_refused(wrong: str) -> None:
    """ValueError that shows what was asked for."""
    with pytest.raises(ValueError, match=repr(wrong)[1:-1] or "''"):
        resolve(wrong)


def test_behaviours_are_asked_for_by_name() -> None:
    """Every name of the table is an attribute; another name is an error."""
    assert all(isinstance(getattr(BEHAVIOURS, name), bool) for name in NAMES)
    assert not any(getattr(Behaviours(frozenset()), name) for name in NAMES)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = BEHAVIOURS.nonsense
    with pytest.raises(ValueError, match="nonsense"):
        BEHAVIOURS.changed("nonsense")


def test_the_command_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    """All behaviours, or what named kernels do otherwise than the one that is modelled by default."""
    assert kernels.main([]) == 0
    shown = capsys.readouterr().out
    assert all(f"{one.name}: from" in shown for one in TABLE)
    assert kernels.main(["7.2.7", "6.1.176"]) == 0
    shown = capsys.readouterr().out
    assert "  + conn_max: " in shown and "6.1.176: 6.1.176\n  as 6.1.176\n" in shown
    assert kernels.main(["--json", "5.4"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["release"] == "5.4"
    assert kernels.main(["3.2"]) == 2 and "not modelled" in capsys.readouterr().err
