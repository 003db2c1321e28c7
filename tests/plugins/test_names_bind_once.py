"""Components of one name: both keep their qualified names, and none wins in silence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugins.conftest import Install, Project, Scratch

SOURCE = """\
from nearkin import hookimpl

nearkin_api = 1


@hookimpl
def nearkin_losses(register):
    register("NAME", lambda options, build: None, takes=("pairs",), summary="A loss.")
"""


@pytest.fixture(scope="module")
def scratch(project: type[Project], install: Install) -> Scratch:
    """Two plugins that both bring `perimeter`, and one that brings a built-in name."""
    names = {"scratch-east": "perimeter", "scratch-west": "perimeter", "scratch-usurper": "contrastive"}
    return install(project(distribution, SOURCE.replace("NAME", name)) for distribution, name in names.items())


def test_plugins_reports_every_conflict_and_all_of_them_work(scratch: Scratch) -> None:
    done = scratch.nearkin("plugins", "--json")
    assert done.code == 0
    told = json.loads(done.out)
    mine = [plugin for plugin in told["plugins"] if plugin["distribution"].startswith("scratch-")]
    assert [plugin["state"] for plugin in mine] == ["ok"] * 3
    hidden, shared = sorted(told["conflicts"], key=lambda conflict: "perimeter" in conflict)
    assert "'perimeter' is registered by scratch-east and scratch-west" in shared
    assert "'contrastive' of scratch-usurper is hidden by the built-in one" in hidden


def test_plugins_prints_conflicts_for_people_too(scratch: Scratch) -> None:
    assert "'scratch-east:perimeter' or 'scratch-west:perimeter'" in scratch.nearkin("plugins").text


def test_help_and_components_work_beside_conflicts(scratch: Scratch) -> None:
    assert scratch.nearkin("--help").code == 0
    done = scratch.nearkin("components", "losses", "--json")
    assert done.code == 0
    owners = [component["from"] for component in json.loads(done.out) if component["name"] == "perimeter"]
    assert owners == ["scratch-east 1.2.3", "scratch-west 1.2.3"]


def test_a_name_of_two_plugins_is_an_error_that_names_both_and_the_way_out(scratch: Scratch) -> None:
    done = scratch.validate("perimeter")
    assert done.code == 3
    assert "'perimeter' is registered by scratch-east and scratch-west" in done.text
    assert "'scratch-east:perimeter' or 'scratch-west:perimeter'" in done.text


def test_a_name_of_two_plugins_is_no_error_once_one_of_them_is_gone(scratch: Scratch, tmp_path: Path) -> None:
    assert scratch.holding(tmp_path, "scratch-east").validate("perimeter").code == 0


@pytest.mark.parametrize("loss", ["scratch-east:perimeter", "scratch-west:perimeter", "scratch-usurper:contrastive"])
def test_a_qualified_name_always_resolves(scratch: Scratch, loss: str) -> None:
    assert scratch.validate(loss).code == 0


@pytest.mark.parametrize("loss", ["contrastive", "nearkin:contrastive"])
def test_a_built_in_name_keeps_its_meaning_whatever_is_installed(scratch: Scratch, loss: str) -> None:
    assert scratch.validate(loss).code == 0


def test_a_component_that_no_plugin_brings_is_told_with_what_there_is_and_the_mend(scratch: Scratch) -> None:
    done = scratch.validate("xyzzy")
    assert done.code == 3
    assert "unknown loss 'xyzzy'" in done.text
    assert "Install the plugin that brings it" in done.text
