"""Claims about memory that steps reuse."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import threading

import pytest
import torch

from nearkin.memory import kept_memory

COUNTED = """
import json, resource, torch
from contextlib import nullcontext
from nearkin.memory import kept_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def resident():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS"))

def work():
    tensors = [torch.ones(2**20 * size) for size in (5, 1, 3)]
    return sum(tensor[0].item() for tensor in tensors)

found = {}
for kept in (False, True):
    with kept_memory(torch.device("cpu")) if kept else nullcontext():
        for _ in range(3):
            work()
        before = faults()
        for _ in range(50):
            work()
        found[f"faults {kept}"], found[f"resident {kept}"] = faults() - before, resident()
found["resident after"] = resident()
print(json.dumps(found))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what is set is glibc's malloc")
def test_steps_reuse_their_memory_while_it_is_kept_and_it_goes_back_afterwards() -> None:
    done = subprocess.run([sys.executable, "-c", COUNTED], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["faults True"] < found["faults False"] / 20, found
    assert found["resident after"] < found["resident True"] - 2**14, found  # of 36 MiB, in KiB


def test_memory_is_kept_while_any_work_lasts_nested_or_in_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr("nearkin.memory._glibc", lambda: Told(told))
    cpu, go_on = torch.device("cpu"), threading.Event()

    def work() -> None:
        with kept_memory(cpu):
            go_on.wait()

    thread = threading.Thread(target=work)
    with kept_memory(cpu):
        thread.start()
        with pytest.raises(ZeroDivisionError), kept_memory(cpu):
            raise ZeroDivisionError
        assert "given back" not in told
        while len(told) < 6:  # three times two thresholds: the thread is at work
            go_on.wait(0.01)
    assert "given back" not in told
    go_on.set()
    thread.join()
    assert told[-1] == "given back"


def test_nothing_is_set_where_the_network_is_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr("nearkin.memory._glibc", lambda: Told(told))
    with kept_memory(torch.device("meta")):
        pass
    assert not told


class Told:
    """glibc's part, written down."""

    def __init__(self, told: list[str]) -> None:
        self.told = told

    def mallopt(self, option: int, size: int) -> int:
        self.told.append(f"{option} {size}")
        return 1

    def malloc_trim(self, pad: int) -> int:
        self.told.append("given back")
        return 1
