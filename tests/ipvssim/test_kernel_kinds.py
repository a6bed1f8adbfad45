"""Kinds of traces that releases differ in, as seven kernels answered them: each behaviour is shown by one of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ipvssim.behaviours import NAMES
from tests.kernel.teeth import release_of, same, turned
from tests.places import DATA, unpacked

KERNELS = {
    "uml-5.10.46": "5.10.46", "uml-6.1.176": "6.1.176", "debian-6.1.192": "6.1.192", "uml-6.12.113": "6.12.113",
    "debian-6.12.118": "6.12.118", "uml-7.2.7": "7.2.7", "debian-7.3": "7.3",
}  # fmt: skip
"""Whose answers are kept: user-mode-linux, and Debian's ordinary kernels under QEMU."""
SHOWN = {
    "timeout_limits": "settings-503", "sync_version_checked": "settings-503", "hooks_follow_services": "hooks-502",
    "reuse0_reschedules": "reuse-505", "later_options": "pieces-603", "run_estimation": "settings-503",
    "estimator_sysctls": "settings-503", "offsets6": "corners-501", "tunnel_mtu": "narrow-602",
    "overload_by_all": "corners-506", "bounded_thresholds": "settings-503", "icmp_checksums": "corners-501",
    "quoted_fragments": "corners-502", "helper_checksums6": "ftp_tracked-612", "helper_numbers": "ftp_tracked-505",
    "bounded_caches": "caches-503", "tables_grow": "growth-501", "load_factors": "settings-503",
    "dead_templates_keep_ports": "dead-504", "conn_max": "limits-501", "template_states": "dead-504",
    "gue_tunnels": "narrow-602", "gre_tunnels": "narrow-602", "merged_fragments": "uneven-501",
    "nodest_reschedules": "nodest-501", "routed_replies": "replies-508", "hashed_masked": "hashed-501",
    "small_heads": "heads-1", "own_errors6": "own_errors-72001", "whole_headers6": "ipsec-71000",
    "same_flow_merges": "tracked_tunables-73000", "redirects_apart": "places6-73002",
    "byte_retrans": "tracked_reuse-1012", "stale_resets": "tracked_reuse-1002", "syns_begin_anew": "tracked_reuse-1003",
    "misfits_pass": "tracked_reuse-1024", "whole_sweeps": "left-1", "others_merge": "tracked_ipsec-1001",
    "syns_keep_time": "tracked_cases-2200", "lasting_liberality": "tracked_cases-2201",
    "challenge_answers": "tracked_cases-2202", "reset_sides": "tracked_cases-2203", "resets_keep_time": "tracked_cases-2204",
    "sctp_paths": "tracked_sctp-1002", "sctp_inits_keep_time": "tracked_cases-2206", "sctp_shutdowns": "tracked_cases-2207",
    "sctp_collisions": "tracked_cases-2208", "sctp_stale_inits": "tracked_cases-2209",
    "sctp_shutdown_tags": "tracked_cases-2210", "twos": "twos-1", "gathering_ends": "defrag-1", "ioam_options": "ioam-1",
    "negative_longs": "longs-1", "reserved_checked": "genl-1", "helper_offsets6": "ftpext0-1",
    "later_headers6": "hopfrag-1", "udp_errors_teach": "teach-1", "udp_errors_teach6": "teach6-1",
    "split_policies": "policies-1", "dump_ids": "policies-1", "header_limit6": "headers-1",
    "quoted_headers": "misquoted-1000", "udp_lite_gone": "taught6-2014",
}  # fmt: skip
"""Each behaviour, and the trace that shows it."""
BESIDE = {
    "challenge_answers": ("syns_begin_anew", True), "reset_sides": ("stale_resets", True),
    "sctp_stale_inits": ("sctp_collisions", True), "others_merge": ("same_flow_merges", False),
    "dump_ids": ("split_policies", True), "udp_lite_gone": ("udp_errors_teach6", True),
}  # fmt: skip
"""Behaviours that show only in a kernel which has another, or has it not."""


FEW = {"twos": 2, "udp_lite_gone": 2}
"""Of these kernels two have the module of ``twos``, and two have ``udp_errors_teach6``."""


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The traces, and a folder of answers for each kernel."""
    place = tmp_path_factory.mktemp("kinds")
    unpacked(DATA / "kernels.tar.xz", place)
    return place / "kinds"


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_kernel_answers_as_the_simulated_one_of_its_release(kernel: str, kinds: Path) -> None:
    """The recording says which kernel made it; no step differs from what the simulator is for that release."""
    recordings = sorted((kinds / kernel).glob("*.kernel"))
    assert len(recordings) >= 16
    for recording in recordings:
        release = release_of(recording)
        assert release.name == KERNELS[kernel]
        assert same(kinds / f"{recording.stem}.trace", recording, release), recording.stem


def test_an_ordinary_kernels_small_buffers_are_larger_than_user_mode_linuxs(kinds: Path, tmp_path: Path) -> None:
    """Where pieces are moved into the first one's buffer, its size shows in how a packet is cut anew; the
    recording's machine tells which it is."""
    trace, recording = kinds / "uneven-61000.trace", kinds / "debian-6.12.118" / "uneven-61000.kernel"
    told = recording.read_text()
    assert '"machine": "x86_64"' in told
    other = tmp_path / recording.name
    other.write_text(told.replace('"machine": "x86_64"', '"machine": "uml"', 1))
    assert same(trace, recording, release_of(recording))
    assert not same(trace, other, release_of(recording))


def test_kernels_for_several_processors_send_no_error_in_the_midst_of_another(kinds: Path, tmp_path: Path) -> None:
    """Where a tunnel's server has no neighbour, the director tells itself; on user-mode-linux, a kernel for one processor,
    it tells the client meanwhile, and elsewhere not, for the lock is taken. The recording's machine tells which it is."""
    trace = kinds / "unanswered-71005.trace"
    for kernel, machine, other in (("debian-6.12.118", "x86_64", "uml"), ("uml-6.12.113", "uml", "x86_64")):
        recording = kinds / kernel / "unanswered-71005.kernel"
        told = recording.read_text()
        changed = tmp_path / recording.name
        changed.write_text(told.replace(f'"machine": "{machine}"', f'"machine": "{other}"', 1))
        assert same(trace, recording, release_of(recording))
        assert not same(trace, changed, release_of(recording))


@pytest.mark.parametrize("kernel", KERNELS)
def test_timers_fire_when_the_recorded_kernels_did(kernel: str, kinds: Path, tmp_path: Path) -> None:
    """Connections, levels of defence, and errors about packets that were given up come at the jiffy at which the kernel's
    timer wheel turned to them; a recording that does not say when its namespace was made has them earlier."""
    found = set()
    for trace in [one for kind in ("lapses", "given_up", "levels") for one in sorted(kinds.glob(f"{kind}-*.trace"))]:
        recording, silent = kinds / kernel / f"{trace.stem}.kernel", tmp_path / f"{trace.stem}.kernel"
        first, *rest = recording.read_text().splitlines(keepends=True)
        about = json.loads(first)
        del about["born"]
        silent.write_text("".join((json.dumps(about) + "\n", *rest)))
        assert same(trace, recording, release_of(recording)), trace.stem
        if not same(trace, silent, release_of(recording)):
            found.add(trace.stem.partition("-")[0])
    assert found >= {"lapses", "levels"}


@pytest.mark.parametrize("kernel", KERNELS)
def test_limits_of_times_hang_on_the_jiffies_of_a_second(kernel: str, kinds: Path, tmp_path: Path) -> None:
    """Ordinary kernels count 250 of them, user-mode-linux 100: what does not fit into an int of jiffies is refused."""
    recording, other = kinds / kernel / "hz-1.kernel", tmp_path / "hz-1.kernel"
    told = recording.read_text()
    hz, wrong = (100, 250) if "uml" in kernel else (250, 100)
    assert f'"hz": {hz},' in told
    other.write_text(told.replace(f'"hz": {hz},', f'"hz": {wrong},', 1))
    assert same(kinds / "hz-1.trace", recording, release_of(recording))
    assert not same(kinds / "hz-1.trace", other, release_of(recording))


def test_every_behaviour_is_met_by_a_trace() -> None:
    """A behaviour without one could be wrong unseen."""
    assert set(SHOWN) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_behaviour_the_other_way_round_is_caught(name: str, kinds: Path) -> None:
    """On every kernel where it can show, whether the kernel has it or not, its trace differs once it is turned round."""
    trace = kinds / f"{SHOWN[name]}.trace"
    other, has = BESIDE.get(name, (name, None))
    caught = 0
    for recording in sorted(kinds.glob(f"*/{trace.stem}.kernel")):
        release = release_of(recording)
        if has is None or getattr(release.behaviours, other) is has:
            assert not same(trace, recording, turned(release, name)), recording
            caught += 1
    assert caught >= FEW.get(name, 3)
