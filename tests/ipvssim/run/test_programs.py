"""Programs on a kernel of the test's own: time and packets between their steps."""

from __future__ import annotations

import signal
import sys

import pytest
from scapy.layers.inet import IP, TCP

from ipvssim import Kernel
from ipvssim.run.programs import Programs
from tests.ipvssim.run.programs import needs

RULES = "-A -t 192.0.2.1:80 -s rr\n-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m"


@needs("ipvsadm")
@pytest.mark.ipvs(rules=RULES)
def test_a_program_sees_what_packets_did(kernel: Kernel, ipvs_run: Programs) -> None:
    """A packet comes in, and ipvsadm lists its connection; a minute of virtual time passes, and it lists none."""
    kernel.receive(IP(src="198.51.100.7", dst="192.0.2.1") / TCP(sport=1024, dport=80))
    assert "SYN_RECV    198.51.100.7:1024" in ipvs_run(["ipvsadm", "-Lnc"]).stdout
    kernel.advance(61)
    assert "SYN_RECV" not in ipvs_run(["ipvsadm", "-Lnc"]).stdout


@needs("ipvsadm")
def test_the_kernel_sees_what_a_program_did() -> None:
    """Status, output and messages come back; the table is this kernel's."""
    kernel = Kernel()
    assert kernel.run(["ipvsadm", "-R"], stdin=RULES) == (0, "", "")
    assert [str(entry.service.address) for entry in kernel.snapshot()] == ["192.0.2.1"]
    assert kernel.run(["ipvsadm", "-A", "-t", "192.0.2.1:80"]) == (255, "", "Service already exists\n")
    kernel.programs.close()


@needs()
def test_a_program_stands_still_between_steps(ipvs_run: Programs) -> None:
    """Nothing is answered while nobody waits; a signal ends it, and the status says which."""
    program = ipvs_run.start(["sh", "-c", "cat /proc/net/ip_vs; echo done; exec sleep 60"])
    assert program.stdout == ""
    program.until(lambda: "done" in program.stdout)
    assert program.stdout.startswith("IP Virtual Server")
    with pytest.raises(TimeoutError):
        program.wait(0.1)
    program.signal(signal.SIGTERM)
    assert program.wait().status == -signal.SIGTERM


@needs()
def test_a_program_that_is_not_there(ipvs_run: Programs) -> None:
    """As in a shell: 127, and a line that names it."""
    done = ipvs_run(["no-such-program"])
    assert done.status == 127 and "no-such-program: No such file or directory" in done.stderr


@needs()
def test_what_a_program_left_behind_is_ended(ipvs_run: Programs) -> None:
    """A daemon in its session goes with it."""
    words = [sys.executable, "-c", "import subprocess; print(subprocess.Popen(['sleep', '60']).pid)"]
    done = ipvs_run(words)
    with pytest.raises(ProcessLookupError):
        import os
        import time

        for _ in range(50):
            os.kill(int(done.stdout), 0)
            time.sleep(0.1)


@needs("unshare")
def test_another_namespace_has_the_same_modules() -> None:
    """Modules are the kernel's, not the namespace's: what was loaded with its parameters is there in every one."""
    kernel = Kernel(modules=["ip_vs_ftp ports=2121"])
    done = kernel.run(["unshare", "-rn", "cat", "/proc/net/ip_vs_app"])
    assert done.stdout == "".join(kernel.proc("ip_vs_app")) and "2121" in done.stdout
