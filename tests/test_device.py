"""Claims about the devices and processes that work is shared among."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from nearkin import device
from nearkin.errors import WorkFailed


def test_processes_that_do_not_know_of_each_other_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = SimpleNamespace(num_processes=1)
    device._refuse_strangers(alone)  # type: ignore[arg-type]
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(WorkFailed, match="2 processes were launched, but each of them sees 1"):
        device._refuse_strangers(alone)  # type: ignore[arg-type]


def test_a_device_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(WorkFailed, match=r"train\.device is 'cuda', but this machine .* has none"):
        device.make_accelerator("cuda")
