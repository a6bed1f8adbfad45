"""Which kernel is booted: the installed one, or another that is fetched."""

from __future__ import annotations

from ipvsnl.lab_kernel.image import Image, installed


def chosen(release: str | None) -> Image:
    """The installed kernel (None), or that of a suite or series of Debian, fetched if need be: see ``suites.named``.

    ValueError: nothing is called so. MissingError: it can't be had here.
    """
    if release is None:
        return installed()
    from ipvsnl.lab_kernel.fetched import image

    return image(release)


def kernel_release(release: str | None = None) -> str:
    """What ``uname -r`` says in the kernel that would be booted; raises as `chosen`."""
    return chosen(release).release
