"""The first file system of a kernel that QEMU boots: it mounts the host's files, and goes over to them."""

from __future__ import annotations

import lzma
from collections.abc import Iterable
from pathlib import Path

from ipvsnl.lab_kernel.modules import Tree

MODULES = ("virtio_pci", "virtio_console", "9pnet_virtio", "9p")
"""What reaches the host: its files, and the line to the laboratory."""
TAG = "host"
"""By this name QEMU offers the host's files."""
_INIT = """\
#!/busybox sh
/busybox mkdir /proc /host
/busybox mount -t proc proc /proc
for module in /modules/*; do /busybox insmod $module; done
/busybox mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,cache=loose,access=any {tag} /host
/busybox mount -t devtmpfs dev /host/dev
/busybox umount /proc
for port in /host/dev/vport*; do export IPVSNL_LAB_LINE="${{port#/host}}"; done
exec /busybox switch_root /host "$IPVSNL_LAB_PYTHON" -S -P -m ipvsnl.lab_kernel.guest
"""


def write(target: Path, busybox: Path, tree: Tree) -> None:
    """Write it, for the kernel whose modules are in ``tree``. ``busybox`` must be a static one."""
    entries = [("init", _INIT.format(tag=TAG).encode(), 0o100755), ("busybox", busybox.read_bytes(), 0o100755)]
    entries.append(("modules", b"", 0o40755))
    for number, path in enumerate(tree.needed(MODULES)):
        entries.append((f"modules/{number:02}.ko", plain(path), 0o100644))
    part = target.with_suffix(".part")
    part.write_bytes(archive(entries))
    part.rename(target)


def plain(module: Path) -> bytes:
    """A module's bytes, decompressed."""
    data = module.read_bytes()
    return lzma.decompress(data) if module.suffix == ".xz" else data


def archive(entries: Iterable[tuple[str, bytes, int]]) -> bytes:
    """A cpio archive (the kernel's "newc" format) of names, contents and modes."""
    made = bytearray()
    for number, (name, data, mode) in enumerate([*entries, ("TRAILER!!!", b"", 0)]):
        fields = (number + 1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        made += b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        made += bytes(-len(made) % 4) + data
        made += bytes(-len(made) % 4)
    return bytes(made)
