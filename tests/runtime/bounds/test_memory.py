"""Free memory is the least of what system, container and limits leave."""

import pytest

from spair.runtime.bounds import memory
from spair.runtime.bounds.memory import MemoryShortError, find_free_memory, require_memory, say_gigabytes

MEMINFO = "MemTotal:       100000 kB\nMemAvailable:    50000 kB\n"


def write(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({}, None),
        ({"proc/meminfo": "MemTotal: 5 kB\n"}, None),
        ({"proc/meminfo": MEMINFO}, 50000 * 1024),
        ({"sys/fs/cgroup/memory.max": "max\n", "sys/fs/cgroup/memory.current": "5\n"}, None),
        ({"sys/fs/cgroup/memory.max": "9000\n", "sys/fs/cgroup/memory.current": "5000\n"}, 4000),
        (
            {
                "proc/meminfo": MEMINFO,
                "sys/fs/cgroup/memory.max": "9000\n",
                "sys/fs/cgroup/memory.current": "5000\n",
                "sys/fs/cgroup/memory.stat": "anon 1\nfile 700\n",
            },
            4700,
        ),
        (
            {
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9000\n",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "9100\n",
            },
            0,
        ),
        (
            {
                "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{2**63 - 4096}\n",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "9100\n",
            },
            None,
        ),
        (
            {
                "proc/meminfo": MEMINFO,
                "proc/self/limits": "Max address space         40960000             unlimited            bytes\n",
                "proc/self/status": "VmPeak:\t 99 kB\nVmSize:\t 30000 kB\n",
            },
            40960000 - 30000 * 1024,
        ),
        (
            {
                "proc/self/limits": "Max address space         unlimited            unlimited            bytes\n",
                "proc/self/status": "VmSize:\t 30000 kB\n",
            },
            None,
        ),
    ],
)
def test_the_least_of_all_limits_counts(tmp_path, files, free):
    assert find_free_memory(write(tmp_path, files)) == free


def test_this_machine_answers_with_a_sensible_number():
    free = find_free_memory()
    assert free is None or free > 2**20


def test_bytes_are_said_in_gigabytes():
    assert [say_gigabytes(count) for count in (33.4e9, 2.51e8, 5e7)] == ["33.4 GB", "0.3 GB", "50 MB"]


def test_work_beyond_free_memory_is_refused(monkeypatch):
    monkeypatch.setattr(memory, "find_free_memory", lambda: 2_000_000_000)
    require_memory(2_000_000_000, "the work", "do less")
    with pytest.raises(
        MemoryShortError, match=r"^the work needs 33.0 GB of memory and 2.0 GB are free; do less$"
    ) as got:
        require_memory(33_000_000_000, "the work", "do less")
    assert (got.value.exit_code, got.value.http_status) == (2, 413)
