"""Other kernels for the laboratory, as far as it goes without fetching one: names, programs, file systems, modules."""

from __future__ import annotations

import lzma
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from ipvsnl.lab_kernel import archive, choosing, fetched, image, initramfs, loader, starting
from ipvsnl.lab_kernel.modules import Tree
from ipvsnl.lab_kernel.suites import SUITES, fits, named

LIBRARY = Path("/lib64/ld-linux-x86-64.so.2")


@pytest.mark.parametrize(
    ("text", "suite", "release", "emulated"),
    [
        ("bullseye", "bullseye", "", False), ("5.10", "bullseye", "5.10", False), ("6.1", "bookworm", "6.1", False),
        ("6.12", "trixie", "6.12", False), ("6.12.113", "trixie", "6.12.113", False), ("7.2", "sid", "7.2", False),
        ("bookworm-backports", "bookworm-backports", "", False), ("qemu:trixie", "trixie", "", True),
        ("qemu:7.3", "experimental", "7.3", True), ("qemu:6.1", "bookworm", "6.1", True),
    ],
)  # fmt: skip
def test_a_suite_or_a_series_names_a_kernel(text: str, suite: str, release: str, emulated: bool) -> None:
    """Stable series are their suites'; a newer one is sid's, or experimental's where QEMU boots it."""
    wanted = named(text)
    assert (wanted.suite.name, wanted.release, wanted.emulated) == (suite, release, emulated)


@pytest.mark.parametrize("text", ["", "buster", "6", "6.1.2.3", "6.x", "qemu:", "qemu:x", "-6.1", "6.1²"])
def test_what_names_no_kernel_is_refused(text: str) -> None:
    """ValueError that names the suites; the command's status is 2, and one line says why."""
    with pytest.raises(ValueError, match="bullseye"):
        named(text)
    done = subprocess.run(
        [sys.executable, "-m", "ipvsnl.lab_kernel", f"--release={text}", "--", "true"], capture_output=True, text=True
    )
    assert done.returncode == 2 and "neither a suite" in done.stderr


def test_a_release_has_to_begin_with_what_was_asked_for() -> None:
    """6.1 is 6.1.192, and not 6.12."""
    assert fits("6.1.192", "6.1") and fits("6.12.118+deb13-amd64", "6.12.118") and fits("6.12.118", "")
    assert not fits("6.12.118", "6.1") and not fits("6.12.118", "6.12.11") and not fits("7.2.7", "7.3")


def test_what_was_fetched_is_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is fetched for a kernel that lies there whole; another series than its own is refused."""
    monkeypatch.setenv("IPVSNL_LAB_CACHE", str(tmp_path))
    monkeypatch.setattr(fetched, "Archive", None)
    (tmp_path / "sid/usr/lib/uml/modules/7.2.7").mkdir(parents=True)
    (tmp_path / "sid/library/usr/lib").mkdir(parents=True)
    (tmp_path / "sid/library/usr/lib/libc.so.6").touch()
    (tmp_path / "sid/PACKAGE").write_text("user-mode-linux 7.2um1")
    (tmp_path / "sid/PLACE").write_text(str(tmp_path / "sid"))
    found = choosing.chosen("sid")
    assert found == choosing.chosen("7.2")
    assert (found.release, found.package, found.initramfs) == ("7.2.7", "user-mode-linux 7.2um1", "")
    assert found.program == str(tmp_path / "sid/usr/bin/linux.uml")
    assert found.libraries == str(tmp_path / "sid/library/usr/lib")
    with pytest.raises(image.MissingError, match=r"sid has 7\.2\.7"):
        choosing.chosen("7.4")
    fetched.forget("sid")
    assert not (tmp_path / "sid").exists()


@pytest.mark.parametrize("told", ["/elsewhere/sid", None])
def test_what_was_moved_or_is_half_there_is_fetched_again(
    told: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel names its C library by the path at which it was unpacked: moved with its directory it would not start."""

    class Asked(Exception):  # noqa: N818 (it is no error)
        pass

    def archive_of(*_: object) -> None:
        raise Asked

    monkeypatch.setenv("IPVSNL_LAB_CACHE", str(tmp_path))
    monkeypatch.setattr(fetched, "Archive", archive_of)
    (tmp_path / "sid/usr/lib/uml/modules/7.2.7").mkdir(parents=True)
    (tmp_path / "sid/PACKAGE").write_text("user-mode-linux 7.2um1")
    if told is not None:
        (tmp_path / "sid/PLACE").write_text(told)
    with pytest.raises(Asked):
        choosing.chosen("sid")


def test_without_keys_or_an_archive_the_message_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MissingError, and what to do about it."""
    monkeypatch.setattr(archive, "KEYS", str(tmp_path / "none"))
    with pytest.raises(image.MissingError, match="debian-archive-keyring"):
        archive.Archive(SUITES[0], tmp_path)


def test_sources_are_signed_by_debians_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line of apt's sources names the keys; the suites beside and the security archive are taken, too."""
    (tmp_path / "keys").touch()
    monkeypatch.setattr(archive, "KEYS", str(tmp_path / "keys"))
    monkeypatch.setenv("IPVSNL_LAB_ARCHIVE", "http://archive.example/debian")
    monkeypatch.setattr(archive, "_run", lambda *_, **__: "")
    archive.Archive(named("bookworm").suite, tmp_path / "apt")
    lines = (tmp_path / "apt/sources.list").read_text().splitlines()
    assert all(line.startswith(f"deb [signed-by={tmp_path}/keys] http://archive.example/debian") for line in lines)
    assert [line.split()[-2] for line in lines] == ["bookworm", "bookworm-updates", "bookworm-security"]
    settings = (tmp_path / "apt/settings").read_text()
    assert "#clear APT::Update::Post-Invoke;" in settings and f'Dir "{tmp_path}/apt";' in settings


@pytest.mark.skipif(not LIBRARY.exists(), reason="glibc's own loader for x86-64 is not here")
def test_a_program_gets_a_loader_of_its_own(tmp_path: Path) -> None:
    """The program names the loader that was unpacked, runs with it, and can't run once that is gone."""
    program = tmp_path / "true"
    shutil.copy("/bin/true", program)
    place = tmp_path / "a root" / "lib"
    place.mkdir(parents=True)
    shutil.copy(LIBRARY, place / LIBRARY.name)
    shutil.copy("/lib/x86_64-linux-gnu/libc.so.6", place)
    assert loader.own_library(program, tmp_path / "a root") == place
    assert os.fsencode(place / LIBRARY.name) in program.read_bytes()
    assert subprocess.run([program], env={"LD_LIBRARY_PATH": str(place)}).returncode == 0
    (place / LIBRARY.name).unlink()
    with pytest.raises(FileNotFoundError):
        subprocess.run([program])
    (tmp_path / "static").write_bytes(b"\x7fELF" + bytes(28) + struct.pack("<Q14xHH", 64, 56, 0) + bytes(8))
    with pytest.raises(ValueError, match="names no loader"):
        loader.name_loader(tmp_path / "static", LIBRARY)


def tree(place: Path) -> Tree:
    """A directory of modules: a needs b, b needs c, d is in the kernel, e is compressed."""
    place.mkdir(parents=True)
    lines = {"a": "net/b.ko net/c.ko", "net/b": "net/c.ko", "net/c": "", "net/e": "net/c.ko"}
    table = [f"kernel/{name}.ko{'.xz' * (name == 'net/e')}:" for name in lines]
    needs = [" ".join(f"kernel/{one}" for one in names.split()) for names in lines.values()]
    (place / "modules.dep").write_text("".join(f"{a} {b}\n" for a, b in zip(table, needs, strict=True)))
    (place / "modules.builtin").write_text("kernel/lib/d.ko\n")
    return Tree(place)


def test_modules_come_with_what_they_need(tmp_path: Path) -> None:
    """In the order of loading, each once; what is built in needs none; an unknown one is an error."""
    modules = tree(tmp_path / "6.1")
    assert [path.name for path in modules.needed(["a", "d", "b", "e"])] == ["c.ko", "b.ko", "a.ko", "e.ko.xz"]
    assert modules.under("net") == ["b", "c", "e"]
    with pytest.raises(LookupError, match="module z"):
        modules.needed(["z"])


def test_the_first_file_system_is_an_archive_that_cpio_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its modules are decompressed and numbered in the order of loading; the program and busybox can be executed."""
    modules = tree(tmp_path / "6.1")
    for path in modules.needed(["a", "e"]):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(lzma.compress(b"x" * 99) if path.suffix == ".xz" else path.name.encode())
    (tmp_path / "busybox").write_bytes(b"\x7fELF")
    monkeypatch.setattr(initramfs, "MODULES", ("b", "e", "d"))
    initramfs.write(tmp_path / "made", tmp_path / "busybox", modules)
    found = unpacked((tmp_path / "made").read_bytes())
    assert found.pop("TRAILER!!!") == (0, b"") and found.pop("modules")[0] == 0o40755
    assert found["busybox"] == (0o100755, b"\x7fELF") and found["init"][1].startswith(b"#!/busybox sh\n")
    assert {name: data for name, (_, data) in found.items() if name.startswith("modules/")} == {
        "modules/00.ko": b"c.ko", "modules/01.ko": b"b.ko", "modules/02.ko": b"x" * 99,
    }  # fmt: skip


def unpacked(data: bytes) -> dict[str, tuple[int, bytes]]:
    """Names, modes and contents of a cpio archive in the kernel's newc format."""
    found, at = {}, 0
    while at < len(data):
        assert data[at : at + 6] == b"070701" and at % 4 == 0
        fields = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        name = data[at + 110 : at + 110 + fields[11] - 1].decode()
        start = at + 110 + fields[11] + -(at + 110 + fields[11]) % 4
        found[name] = fields[1], data[start : start + fields[6]]
        at = start + fields[6] + -fields[6] % 4
    return found


def test_without_qemu_the_message_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """MissingError; with it the command line has all that the guest needs."""
    ordinary = image.Image("6.1", "/k/vmlinuz", "/k/modules", initramfs="/k/initramfs")
    monkeypatch.setattr(starting, "EMULATOR", "no-such-emulator")
    with pytest.raises(image.MissingError, match="qemu-system-x86"):
        starting.command_line(ordinary, "512M", starting.Lines(3, 4, 5))
    monkeypatch.setattr(starting, "EMULATOR", "true")
    words = starting.command_line(ordinary, "512M", starting.Lines(3, 4, 5))
    assert words[words.index("-initrd") + 1] == "/k/initramfs" and 'IPVSNL_LAB_MODULES="/k/modules"' in words[-1]


def test_time_travel_is_qemus(monkeypatch: pytest.MonkeyPatch) -> None:
    """An emulated kernel counts instructions and skips its idle time, if that was asked for; user-mode-linux refuses it."""
    monkeypatch.setattr(starting, "EMULATOR", "true")
    ordinary = image.Image("6.1", "/k/vmlinuz", "/k/modules", initramfs="/k/initramfs")
    lines = starting.Lines(3, 4, 5)
    assert "-icount" not in starting.command_line(ordinary, "512M", lines)
    words = starting.command_line(image.travelling(ordinary), "512M", lines)
    assert words[words.index("-icount") + 1] == "shift=0,sleep=off"
    with pytest.raises(ValueError, match="--time-travel is for kernels that QEMU emulates"):
        image.travelling(image.Image("6.1", "/k/linux.uml", "/k/modules"))
