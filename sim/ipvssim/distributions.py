"""What the names of distributions' kernels mean: each is a release, with more or less in it than its numbers tell."""

from __future__ import annotations

import re
from typing import NamedTuple

_LATE = frozenset(
    (
        "offsets6",
        "tunnel_mtu",
        "quoted_headers",
        "overload_by_all",
        "bounded_thresholds",
        "icmp_checksums",
        "own_errors6",
        "quoted_fragments",
        "helper_checksums6",
        "bounded_caches",
        "others_merge",
        "sctp_stale_inits",
        "reset_sides",
    )
)
"""The stable fixes of 2026."""
_CHECKSUMS = frozenset(("icmp_checksums", "own_errors6", "quoted_fragments", "helper_checksums6"))


class Distribution(NamedTuple):
    """One form of a name, and what it means."""

    pattern: str
    base: str
    """The release whose behaviours it has; ``\\1`` is what the pattern found."""
    note: str
    more: frozenset[str] = frozenset()


DISTRIBUTIONS = (
    Distribution(r"debian11", "5.10.261", "Debian 11 with its last fixes"),
    Distribution(r"debian12", "6.1.192", "Debian 12 with its last fixes"),
    Distribution(r"debian13", "6.12.118", "Debian 13 with its last fixes"),
    Distribution(r"5\.10\.0-\d+(-\w+)*", "5.10.261", "Debian 11, whose name does not tell its stable release: the last"),
    Distribution(r"6\.1\.0-\d+(-\w+)*", "6.1.192", "Debian 12, whose name does not tell its stable release: the last"),
    Distribution(r"(\d+\.\d+\.\d+)\+deb\d+.*", r"\1", ""),
    Distribution(r"4\.18\.0-\d.*\.el8.*", "4.18", "RHEL 8 and its kin: 4.18, with HASHED masked as in its late sources; "
                  "other backports its name does not tell", frozenset(("hashed_masked",))),
    Distribution(r"5\.14\.0-\d.*\.el9.*", "5.14", "RHEL 9 and its kin: 5.14 with backports that its name does not tell"),
    Distribution(r"6\.12\.0-\d.*\.el10.*", "6.12", "RHEL 10 and its kin: 6.12 with backports that its name does not tell"),
    Distribution(r"5\.15\.0-\d+\.(\d+)\.\d.*uek.*", r"5.15.\1", "Oracle's UEK 7: 5.15 with the stable fixes that its name "
                  "tells, and backports that it does not"),
    Distribution(r"(\d+\.\d+)\.\d+-1[56]0\d00\.\d.*", r"\1", "SUSE Linux Enterprise and its kin, with backports that its "
                  "name does not tell"),
    Distribution(r"5\.4\.0-\d+(-.+)?", "5.4.291", "5.4 as Ubuntu 20.04 had it last"),
    Distribution(r"5\.15\.0-\d+(-.+)?", "5.15.200", "Ubuntu 22.04: 5.15 with late stable fixes, but those of ICMP "
                  "checksums and quoted fragments", _LATE - _CHECKSUMS),
    Distribution(r"6\.8\.0-\d+(-.+)?", "6.8", "Ubuntu 24.04: 6.8 with late stable fixes", _LATE),
    Distribution(r"6\.17\.0-\d+(-.+)?", "6.17", "Ubuntu's 6.17, without the late stable fixes"),
    Distribution(r"7\.0\.0-\d+(-.+)?", "7.0", "Ubuntu 26.04: 7.0 with late stable fixes", _LATE),
    Distribution(r"(\d+\.\d+\.\d+)\.\d+-microsoft.*", r"\1", ""),
)  # fmt: skip
"""What a distribution's name or its ``uname -r`` means; the first that fits. All others are taken by their numbers."""


def meant(name: str) -> tuple[str, Distribution] | None:
    """The release that a distribution's name or its ``uname -r`` stands for, and what is known of it; None where the name is
    none of a distribution's."""
    for one in DISTRIBUTIONS:
        if found := re.fullmatch(one.pattern, name):
            return found.expand(one.base), one
    return None
