import os
import subprocess
import sys

import pytest

from udsph import memory


def test_what_is_left_is_no_more_than_the_machine_has():
    left = memory.available()
    if not os.path.exists("/proc/meminfo"):
        pytest.skip("memory is known by way of Linux")
    assert 0 < left <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="memory is limited by way of Linux")
def test_a_limit_of_the_process_counts():
    program = (
        "import resource; from udsph import memory; used = int(open('/proc/self/statm').read().split()[0]) * 4096\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + (50 << 20),) * 2); assert memory.available() <= 51 << 20"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_limits_of_a_container_count(tmp_path):
    limit, used = tmp_path / "limit", tmp_path / "used"
    used.write_text("300\n")
    for text, left in (("1000\n", 700), ("max\n", None)):
        limit.write_text(text)
        assert memory._of_cgroup((str(limit), str(used))) == left
    assert memory._of_cgroup((str(tmp_path / "none"), str(used))) is None


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (480e6, "480 MB"), (2.44e9, "2.4 GB"), (3e12, "3000 GB")],
)
def test_sizes_are_readable(count, text):
    assert memory.size(count) == text
