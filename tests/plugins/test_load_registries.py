"""Plugins handed over in Python or as a file: they come in whole, or the user hears why at once."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib import import_module, invalidate_caches
from pathlib import Path
from shutil import copytree
from types import ModuleType
from typing import Any

import pytest

from nearkin import Options, hookimpl, load_registries
from nearkin.contracts import Build, Register
from nearkin.errors import PluginError

FILE = """\
from nearkin import hookimpl

nearkin_api = 1


@hookimpl
def nearkin_losses(register):
    register("from_file", lambda options, build: None, takes=("pairs",), summary="A loss.")


@hookimpl
def nearkin_samplers(register):
    register("file_pairs", lambda options, build: None, yields="pairs", summary="A sampler.")
"""


def make(options: Options, build: Build) -> Any:
    """A factory that is never called here."""


class MyPlugin:
    """A plugin as an object, with one sampler and one loss."""

    nearkin_api = 1

    @hookimpl
    def nearkin_samplers(self, register: Register) -> None:
        register("my_pairs", make, yields="pairs", summary="A sampler.")

    @hookimpl
    def nearkin_losses(self, register: Register) -> None:
        register("my_loss", make, takes=("pairs",), summary="A loss.")


def module(name: str, **content: Any) -> ModuleType:
    made = ModuleType(name)
    vars(made).update({"nearkin_api": 1, **content})
    return made


def a_loss(name: str, **changes: Any) -> Callable[[Register], None]:
    """A hook that registers one loss."""

    @hookimpl
    def nearkin_losses(register: Register) -> None:
        arguments: dict[str, Any] = {"factory": make, "takes": ("pairs",), "summary": "A loss.", **changes}
        register(name, **arguments)

    return nearkin_losses


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(FILE, encoding="utf-8")
    return path


def test_the_built_ins_come_in_through_the_same_hooks() -> None:
    registries = load_registries(entry_points=False)
    (built_in,) = registries.plugins
    assert (built_in.name, built_in.distribution, built_in.broken) == ("built-in", "nearkin", False)
    assert len(built_in.components) == sum(len(registry) for registry in registries.all()) > 0


def test_an_object_is_a_plugin() -> None:
    registries = load_registries(MyPlugin(), entry_points=False)
    assert registries.loss.get("my_loss").qualified == "MyPlugin:my_loss"
    assert registries.plugins[-1].components == ("sampler my_pairs", "loss my_loss")


def test_a_module_is_a_plugin_with_its_own_version() -> None:
    mine = module("mine", nearkin_losses=a_loss("my_loss"), __version__="4.5")
    assert load_registries(mine, entry_points=False).loss.get("mine:my_loss").version == "4.5"


def test_a_file_is_a_plugin(file: Path) -> None:
    registries = load_registries(entry_points=False, files=[file])
    assert registries.loss.get("from_file").qualified == "mine.py:from_file"
    assert registries.sampler.get("file_pairs").yields == "pairs"


def test_two_loads_share_nothing() -> None:
    load_registries(MyPlugin(), entry_points=False)
    with pytest.raises(PluginError, match="unknown loss 'my_loss'"):
        load_registries(entry_points=False).loss.get("my_loss")


def test_two_files_of_one_name_in_two_folders_are_told_apart_by_the_user(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "mine.py"
    other.parent.mkdir()
    other.write_text(FILE.replace("from_file", "from_other_file"), encoding="utf-8")
    with pytest.raises(PluginError, match=r"two plugins are called mine\.py"):
        load_registries(entry_points=False, files=[file, other])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"nowhere\.py: there is no such file"):
        load_registries(entry_points=False, files=[tmp_path / "nowhere.py"])


def test_a_file_that_is_no_python_file_is_named_with_the_mend(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text(FILE, encoding="utf-8")
    with pytest.raises(PluginError, match=r"mine\.txt: not a Python file; its name must end in \.py"):
        load_registries(entry_points=False, files=[path])


@pytest.mark.parametrize("line", ["raise RuntimeError('no')", "raise SystemExit('no')", "import nowhere", "def ("])
def test_a_file_that_cannot_be_imported_is_named_and_leaves_no_module_behind(file: Path, line: str) -> None:
    file.write_text(line, encoding="utf-8")
    before = set(sys.modules)
    with pytest.raises(PluginError, match=r"mine\.py: cannot be imported: .*Mend the file") as caught:
        load_registries(entry_points=False, files=[file])
    assert caught.value.exit_code == 3
    assert not [name for name in set(sys.modules) - before if "mine" in name]


def test_the_error_of_a_plugin_that_was_handed_over_keeps_its_cause() -> None:
    @hookimpl
    def nearkin_losses(register: Register) -> None:
        raise RuntimeError("deep inside")

    with pytest.raises(PluginError, match="plugin mine: its hook nearkin_losses raised RuntimeError: deep inside"):
        load_registries(module("mine", nearkin_losses=nearkin_losses), entry_points=False)


def test_a_class_in_place_of_its_object_is_told_by_its_arguments() -> None:
    with pytest.raises(PluginError, match=r"'nearkin_losses' takes \(self, register\)"):
        load_registries(MyPlugin, entry_points=False)


def test_one_plugin_handed_over_twice_is_an_error() -> None:
    with pytest.raises(PluginError, match="two plugins are called MyPlugin"):
        load_registries(MyPlugin(), MyPlugin(), entry_points=False)


def test_an_attribute_that_raises_is_that_plugins_problem() -> None:
    class Moody(MyPlugin):
        @property
        def nearkin_helper(self) -> str:
            raise RuntimeError("not now")

    with pytest.raises(PluginError, match="plugin Moody: cannot be looked at: RuntimeError: not now"):
        load_registries(Moody(), entry_points=False)


def test_a_hook_that_is_no_function_is_told() -> None:
    with pytest.raises(PluginError, match="hook 'nearkin_losses' is not marked"):
        load_registries(module("mine", nearkin_losses=["my_loss"]), entry_points=False)


def test_a_plugin_that_swallows_the_refusal_of_a_component_is_told_nevertheless() -> None:
    @hookimpl
    def nearkin_losses(register: Register) -> None:
        try:
            register("", make, takes=("pairs",), summary="No name.")
        except Exception:
            return

    with pytest.raises(PluginError, match="loss '': a name is"):
        load_registries(module("mine", nearkin_losses=nearkin_losses), entry_points=False)


class Typed(Options):
    """Would overwrite the loss's name in a run's recipe."""

    type: str = "soft"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"takes": "pairs"}, "no such structure: 'p', 'a', 'i', 'r', 's'"),
        ({"takes": ()}, "say which structures it takes"),
        ({"takes": ("pairs", "quads")}, "no such structure: 'quads'"),
        ({"yields": "quads"}, "no such structure: 'quads'"),
        ({"options": dict}, "options must be a subclass of nearkin.Options"),
        ({"options": Typed}, "its options have the field 'type', which is a key of the recipe's own. Rename it"),
        ({"options": Options()}, "options must be a subclass of nearkin.Options"),
        ({"factory": None}, "must be callable"),
        ({"factory": lambda options: None}, "too many positional arguments"),
        ({"factory": lambda options, build, more: None}, "missing a required argument: 'more'"),
        ({"summary": 3}, "its summary must be a line of text"),
        ({"sumary": "x"}, "unexpected keyword argument 'sumary'"),
    ],
)
def test_a_registration_says_what_is_wrong_with_it(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(PluginError) as caught:
        load_registries(module("mine", nearkin_losses=a_loss("my_loss", **changes)), entry_points=False)
    assert told in str(caught.value)


def test_a_sampler_must_say_what_it_yields() -> None:
    @hookimpl
    def nearkin_samplers(register: Register) -> None:
        register("my_pairs", make, summary="A sampler.")

    with pytest.raises(PluginError, match="say what its batches are"):
        load_registries(module("mine", nearkin_samplers=nearkin_samplers), entry_points=False)


def test_conflicts_lists_every_name_that_several_offer() -> None:
    plugins = [module(name, nearkin_losses=a_loss("shared")) for name in ("one", "two")]
    usurper = module("three", nearkin_losses=a_loss("contrastive"))
    hidden, shared = load_registries(*plugins, usurper, entry_points=False).conflicts()
    assert "the loss 'shared' is registered by one and two" in shared
    assert "'one:shared' or 'two:shared'" in shared
    assert hidden == "the loss 'contrastive' of three is hidden by the built-in one; 'three:contrastive' names it."


def test_there_are_no_conflicts_among_the_built_ins() -> None:
    assert load_registries(entry_points=False).conflicts() == []


# ------------------------------------------------------------------------------- beside installed plugins


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ModuleType]]:
    """Put a module with an entry point on this interpreter's path; without `metadata`, as a cut uninstallation does."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(name: str, source: str, *, metadata: bool = True) -> ModuleType:
        (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "entry_points.txt").write_text(f"[nearkin]\n{name} = {name}\n", encoding="utf-8")
        if metadata:
            whose = f"Metadata-Version: 2.1\nName: {name}-dist\nVersion: 1.0\n"
            (info / "METADATA").write_text(whose, encoding="utf-8")
        invalidate_caches()
        return import_module(name)

    before = set(sys.modules)
    yield install
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_an_installed_module_that_is_handed_over_too_is_one_plugin(installed: Callable[..., ModuleType]) -> None:
    mine = installed("scratch_mine", FILE)
    assert load_registries(mine).loss.get("from_file").qualified == "scratch_mine-dist:from_file"


def test_a_broken_installed_module_that_is_handed_over_too_raises(installed: Callable[..., ModuleType]) -> None:
    mine = installed("scratch_old", FILE.replace("nearkin_api = 1", ""))
    assert "scratch_old-dist" in {plugin.distribution for plugin in load_registries().broken}
    with pytest.raises(PluginError, match="plugin scratch_old: declares no nearkin_api"):
        load_registries(mine)


def test_what_a_cut_uninstallation_leaves_behind_takes_no_one_down(installed: Callable[..., ModuleType]) -> None:
    installed("scratch_mine", FILE)
    installed("scratch_rest", "", metadata=False)
    registries = load_registries()
    assert registries.loss.get("from_file").distribution == "scratch_mine-dist"
    assert "(the unnamed distribution of scratch_rest)" in {plugin.distribution for plugin in registries.broken}


def test_what_a_cut_upgrade_leaves_behind_is_no_second_plugin(
    installed: Callable[..., ModuleType], tmp_path: Path
) -> None:
    installed("scratch_mine", FILE)
    copytree(tmp_path / "scratch_mine-1.0.dist-info", tmp_path / "~cratch_mine-0.9.dist-info")
    registries = load_registries()
    assert registries.loss.get("from_file").distribution == "scratch_mine-dist"
    assert [plugin.broken for plugin in registries.plugins if plugin.name == "scratch_mine"] == [False]
