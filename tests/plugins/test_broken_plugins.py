"""Every way a plugin can fail: it is named, with the mend, and breaks nothing but the recipes that need it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.plugins.conftest import Install, Project, Scratch

GOOD = """\
from nearkin import Options, hookimpl

nearkin_api = 1


class MarginOptions(Options):
    margin: float = 0.2


def make_loss(options, build):
    raise NotImplementedError


@hookimpl
def nearkin_losses(register):
    register("NAME_loss", make_loss, options=MarginOptions, takes=("pairs",), summary="A loss.")
"""


def changed(*changes: tuple[str, str]) -> str:
    """GOOD with one thing wrong."""
    source = GOOD
    for old, new in changes:
        assert old in source
        source = source.replace(old, new)
    return source


@dataclass(frozen=True)
class Broken:
    """One way to fail. The distribution is `scratch-NAME`, and what it should have brought is the loss `NAME_loss`."""

    name: str
    source: str
    says: tuple[str, ...]
    """What is told of it: the reason, then the mend."""
    also: str = ""
    """Told beside the rest by `nearkin plugins` alone, which has room for every problem."""

    @property
    def distribution(self) -> str:
        return f"scratch-{self.name}"


BROKEN = [
    Broken(
        "unimportable",
        changed(("nearkin_api = 1", "import a_library_that_is_not_there")),
        ("No module named 'a_library_that_is_not_there'", "Reinstall or upgrade scratch-unimportable"),
    ),
    Broken(
        "unparsable",
        changed(("def make_loss(", "def make_loss((")),
        ("cannot be imported: SyntaxError", "Reinstall or upgrade scratch-unparsable"),
    ),
    Broken(
        "exiting",
        changed(("nearkin_api = 1", "raise SystemExit(0)")),
        ("cannot be imported: SystemExit: 0", "Reinstall or upgrade scratch-exiting"),
    ),
    Broken(
        "raising",
        changed(('    register("', '    raise RuntimeError("no licence found")\n    register("')),
        ("its hook nearkin_losses raised RuntimeError: no licence found", "Report it to scratch-raising"),
    ),
    Broken(
        "hookexit",
        changed(('    register("', '    raise SystemExit("bye")\n    register("')),
        ("its hook nearkin_losses raised SystemExit: bye", "Report it to scratch-hookexit"),
    ),
    Broken(
        "halfway",
        GOOD + '    raise RuntimeError("the second one failed")\n',
        ("its hook nearkin_losses raised RuntimeError: the second one failed", "Report it to scratch-halfway"),
    ),
    Broken(
        "misspelt",
        changed(("nearkin_losses", "nearkin_loses")),
        ("unknown hook 'nearkin_loses'", "Did you mean 'nearkin_losses'?"),
    ),
    Broken(
        "misspelttwice",
        changed(("nearkin_losses", "nearkin_loses"))
        + "\n\ndef nearkin_smaplers(register):\n    pass\n\n\n@hookimpl\ndef nearkin_evaluator(register):\n    pass\n"
        "\n\n@hookimpl\ndef nearkin_xyz(register):\n    pass\n",
        ("unknown hook 'nearkin_evaluator'", "Did you mean 'nearkin_evaluators'?"),
        also="unknown hook 'nearkin_loses'. Did you mean 'nearkin_losses'?; "
        "unknown hook 'nearkin_smaplers'. Did you mean 'nearkin_samplers'?; "
        "unknown hook 'nearkin_xyz'. The hooks are nearkin_backbones, nearkin_samplers, nearkin_losses",
    ),
    Broken(
        "unmarked",
        changed(("@hookimpl\n", "")),
        ("hook 'nearkin_losses' is not marked", "put @hookimpl (from nearkin) above its function"),
    ),
    Broken(
        "misargued",
        changed(("nearkin_losses(register)", "nearkin_losses(registry)"), ("    register(", "    registry(")),
        ("hook 'nearkin_losses' takes (registry)", "its one argument must be named 'register'"),
    ),
    Broken(
        "argueless",
        changed(("nearkin_losses(register)", "nearkin_losses()"), ("    register(", "    print(")),
        ("hook 'nearkin_losses' takes ()", "its one argument must be named 'register'"),
    ),
    Broken(
        "badfactory",
        changed(("make_loss(options, build)", "make_loss(options)")),
        ("loss 'badfactory_loss': its factory", "must be callable as factory(options, build): too many positional"),
    ),
    Broken(
        "badoptions",
        changed(("class MarginOptions(Options):", "class MarginOptions:")),
        ("loss 'badoptions_loss'", "options must be a subclass of nearkin.Options"),
    ),
    Broken(
        "lateoptions",
        changed(
            ("from nearkin", "from __future__ import annotations\n\nfrom typing import TYPE_CHECKING\n\nfrom nearkin"),
            ("nearkin_api = 1", "nearkin_api = 1\n\nif TYPE_CHECKING:\n    from decimal import Decimal"),
            ("margin: float = 0.2", "margin: Decimal"),
        ),
        ("loss 'lateoptions_loss': its options cannot be read", "Use types of plain values, imported at run time"),
    ),
    Broken(
        "untold",
        changed((', takes=("pairs",)', "")),
        ("loss 'untold_loss'", "say which structures it takes, for instance takes=('pairs',)"),
    ),
    Broken(
        "mistold",
        changed(('takes=("pairs",)', 'takes=("couples",)')),
        ("loss 'mistold_loss': no such structure: 'couples'", "There are 'labels', 'pairs', 'triplets', 'episode'"),
    ),
    Broken(
        "misnamed",
        changed(('"NAME_loss"', '"my misnamed:loss"')),
        ("loss 'my misnamed:loss'", "a name is a text of letters, digits and _, such as 'my_margin'"),
    ),
    Broken(
        "manyfaults",
        changed(("make_loss(options, build)", "make_loss()"), (', takes=("pairs",)', ""), ('"A loss."', "None"))
        + '    raise RuntimeError("and this")\n',
        ("loss 'manyfaults_loss': say which structures it takes",),
        also="must be callable as factory(options, build): too many positional arguments; "
        "loss 'manyfaults_loss': its summary must be a line of text; "
        "its hook nearkin_losses raised RuntimeError: and this",
    ),
    Broken(
        "tomorrow",
        changed(("nearkin_api = 1", "nearkin_api = 2")),
        ("made for nearkin_api 2, and this nearkin has nearkin_api 1", "Install a scratch-tomorrow made for 1"),
    ),
    Broken(
        "undeclared",
        changed(("nearkin_api = 1", "")),
        ("declares no nearkin_api", "write 'nearkin_api = 1' in it, or upgrade it"),
    ),
    Broken(
        "twice",
        GOOD + GOOD.splitlines()[-1] + "\n",
        ("scratch-twice registers the loss 'twice_loss' twice",),
    ),
]
NAMESAKES = ("scratch-north", "scratch-south")
each = pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name)


@pytest.fixture(scope="module")
def everything(project: type[Project], install: Install) -> Scratch:
    """All that can be broken, in one environment."""
    projects = [project(broken.distribution, broken.source.replace("NAME", broken.name)) for broken in BROKEN]
    projects += [project(name, GOOD.replace("NAME", name[8:]), entry_point="compass") for name in NAMESAKES]
    return install(projects)


@pytest.fixture(scope="module")
def table(everything: Scratch) -> dict[str, dict[str, Any]]:
    """What `nearkin plugins --json` says, by distribution."""
    done = everything.nearkin("plugins", "--json")
    assert done.code == 0
    return {plugin["distribution"]: plugin for plugin in json.loads(done.out)["plugins"]}


# ------------------------------------------------------------------ all of them at once break nothing else


def test_help_works_beside_any_number_of_broken_plugins(everything: Scratch) -> None:
    assert everything.nearkin("--help").code == 0


def test_plugins_lists_every_broken_one_with_reason_and_mend(everything: Scratch) -> None:
    done = everything.nearkin("plugins")
    assert done.code == 0
    for broken in BROKEN:
        assert re.search(rf"{broken.distribution} +1\.2\.3 +broken ", done.out), broken
        for said in (*broken.says, broken.also):
            assert said in done.text, broken


def test_components_lists_the_built_in_ones_and_none_of_a_broken_plugin(everything: Scratch) -> None:
    done = everything.nearkin("components", "--json")
    assert done.code == 0
    listed = json.loads(done.out)
    assert "contrastive" in {component["name"] for component in listed}
    assert not [component for component in listed if "scratch" in component["from"]]


def test_a_recipe_that_needs_none_of_the_broken_plugins_is_valid(everything: Scratch) -> None:
    assert everything.validate("contrastive").code == 0


def test_a_typing_slip_in_a_recipe_stays_a_bad_recipe(everything: Scratch) -> None:
    done = everything.validate("contrastiv")
    assert done.code == 2
    assert "Did you mean 'contrastive'?" in done.text


@each
def test_a_broken_plugin_says_of_itself_what_is_wrong(table: dict[str, dict[str, Any]], broken: Broken) -> None:
    plugin = table[broken.distribution]
    assert (plugin["state"], plugin["version"], plugin["components"]) == ("broken", "1.2.3", [])
    told = "; ".join(plugin["problems"])
    for said in (*broken.says, broken.also):
        assert said in told


@each
def test_a_recipe_that_needs_a_broken_plugin_exits_3_and_names_it(
    everything: Scratch, tmp_path: Path, broken: Broken
) -> None:
    done = everything.holding(tmp_path, broken.distribution).validate(f"{broken.name}_loss")
    assert done.code == 3
    assert broken.distribution in done.err
    for said in broken.says:
        assert said in done.text


# --------------------------------------------------------------------------------- plugins of one name


def test_of_two_plugins_of_one_name_none_decides_what_a_recipe_means(table: dict[str, dict[str, Any]]) -> None:
    for distribution in NAMESAKES:
        assert table[distribution]["state"] == "broken"
        (reason,) = table[distribution]["problems"]
        assert "the plugin name 'compass' is used by scratch-north and scratch-south" in reason
        assert "Uninstall one" in reason


@pytest.mark.parametrize("loss", ["north_loss", "scratch-south:south_loss"])
def test_a_recipe_that_needs_one_of_two_namesakes_names_both(everything: Scratch, tmp_path: Path, loss: str) -> None:
    done = everything.holding(tmp_path, *NAMESAKES).validate(loss)
    assert done.code == 3
    assert "is used by scratch-north and scratch-south" in done.text
    assert "Uninstall one" in done.text


def test_once_its_namesake_is_gone_a_plugin_works(everything: Scratch, tmp_path: Path) -> None:
    assert everything.holding(tmp_path, "scratch-north").validate("north_loss").code == 0
