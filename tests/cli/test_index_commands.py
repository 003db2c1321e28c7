"""`nearkin index`: made, looked at, changed, asked, checked, taken elsewhere; each change one step on disk."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import nearkin as package
from nearkin.cli import run
from nearkin.files import read_manifest, write_manifest
from nearkin.indexes import load_index

Shell = Callable[..., Any]
DIGITS = load_digits()


def write_digits(folder: Path, label: str, rows: slice) -> list[str]:
    """Images of one digit as PNG files, in a folder of its name."""
    (folder / label).mkdir(parents=True, exist_ok=True)
    paths = []
    for row in np.flatnonzero(DIGITS.target == int(label))[rows]:
        path = folder / label / f"{row}.png"
        Image.fromarray((DIGITS.images[row] / 16 * 255).round().astype(np.uint8)).save(path)
        paths.append(str(path))
    return paths


@pytest.fixture(scope="module")
def ready(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders of digits that trained nothing: 2, 4 and 7; and an index of them, calibrated."""
    folder = tmp_path_factory.mktemp("ready")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        for label in "247":
            write_digits(Path("refs"), label, slice(-40, -36))
            write_digits(Path("held"), label, slice(-30, -10))
            write_digits(Path("new"), label, slice(-5, None))
        build = ["index", "build", "x.index", "--run", str(trained / "runs/tiny/1")]
        assert run([*build, "--images", "refs", "--calibrate", "held"]) == 0
    return folder


@pytest.fixture
def built(nearkin: Shell, ready: Path) -> str:
    """All that, copied to where the shell is."""
    shutil.copytree(ready, ".", dirs_exist_ok=True)
    return "x.index"


def info(nearkin: Shell, index: str) -> dict[str, Any]:
    done = nearkin("index", "info", index, "--json")
    assert done.code == 0, done.err
    said: dict[str, Any] = json.loads(done.out)
    return said


def test_an_index_is_built_of_a_runs_model_and_a_folder_of_classes(nearkin: Shell, built: str) -> None:
    said = info(nearkin, built)
    assert said["references"] == 12
    assert said["classes"]["7"] == {"references": 4, "groups": 20, "state": "calibrated"}
    assert (said["way"], said["alpha"], said["metric"]) == ("held_out", 0.1, "l2")
    assert [event["call"] for event in said["history"]] == ["add", "calibrate"]
    plain = nearkin("index", "info", built, "--alphas")
    assert "On average over draws, at most 0.1 of the images of '2' (20 groups)" in plain.out
    assert "too few: 20 of needed 99 for alpha 0.01" in plain.out
    again = nearkin("index", "build", built, "--run", "nowhere")
    assert (again.code, "exists already" in again.err) == (2, True)


def test_alphas_are_compared_by_false_flags_and_by_the_review_load_of_images(nearkin: Shell, built: str) -> None:
    images = sorted(str(path) for path in Path("new").rglob("*.png"))
    plain = nearkin("index", "alphas", built, *images, "--alpha", "0.05", "--alpha", "0.1")
    assert plain.code == 0, plain.err
    assert all(word in plain.out for word in ("looked at by a person", "known", "ambiguous", "unknown", "0.05"))
    rows = json.loads(nearkin("index", "alphas", built, *images, "--json").out)
    assert [row["alpha"] for row in rows] == [0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3]
    for row in rows[2:5:2]:
        answers = json.loads(nearkin("index", "query", built, *images, "--alpha", str(row["alpha"]), "--json").out)
        known = sum(answer["status"] == "known" for answer in answers)
        assert (row["load"]["known"], sum(row["load"].values())) == (known, len(images))
    wrong = nearkin("index", "alphas", built, images[0], "--alpha", "1.5")
    assert (wrong.code, "it is a share above 0 and below 1" in wrong.err) == (2, True)


def test_an_index_without_images_is_the_runs_own_with_the_model_inside(nearkin: Shell, trained: Path) -> None:
    run = str(trained / "runs/tiny/1")
    assert nearkin("index", "build", "y.index", "--run", run, "--alpha", "0.2").code == 0
    assert info(nearkin, "y.index")["classes"] == info(nearkin, run)["classes"]
    assert info(nearkin, "y.index")["alpha"] == 0.2
    assert nearkin("index", "query", "y.index", str(trained / "a.png")).code == 0


def test_a_manifest_gives_references_and_calibration_by_its_splits(nearkin: Shell, trained: Path, built: str) -> None:
    rows = [
        f"refs/{label}/{path.name},{label},train,p{path.stem}"
        for label in "24"
        for path in Path("refs", label).iterdir()
    ]
    rows += [
        f"held/{label}/{path.name},{label},calibrate,q{path.stem}"
        for label in "24"
        for path in Path("held", label).iterdir()
    ]
    rows += [f"new/7/{path.name},7,test,r{path.stem}" for path in Path("new/7").iterdir()]
    Path("m.csv").write_text("\n".join(["path,label,split,group", *rows]))
    done = nearkin("index", "build", "m.index", "--run", str(trained / "runs/tiny/1"), "--images", "m.csv")
    assert done.code == 0, done.err
    assert "left out: 5 of split 'test'" in done.err
    said = info(nearkin, "m.index")
    assert {label: (c["references"], c["groups"]) for label, c in said["classes"].items()} == {
        "2": (4, 20),
        "4": (4, 20),
    }


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["calibrate", "x.index", "m.csv"], "calibrate"),
        (["add", "x.index", "m.csv"], "train"),
        (["build", "new.index", "--run", "RUN", "--images", "m.csv"], "train"),
        (["build", "new.index", "--run", "RUN", "--calibrate", "m.csv"], "calibrate"),
        (["build", "new.index", "--run", "RUN", "--images", "refs", "--calibrate", "m.csv"], "calibrate"),
    ],
)
def test_a_manifest_without_an_image_of_the_split_that_is_asked_for_is_refused(
    nearkin: Shell, trained: Path, built: str, arguments: list[str], wanted: str
) -> None:
    rows = [f"new/7/{path.name},7,test" for path in Path("new/7").iterdir()]
    Path("m.csv").write_text("\n".join(["path,label,split", *rows]))
    before = info(nearkin, built)
    run = str(trained / "runs/tiny/1")
    done = nearkin("index", *(run if word == "RUN" else word for word in arguments))
    said = f"m.csv: none of its images is of split {wanted!r}; there are 5 of split 'test'."
    assert (done.code, done.out, said in done.err) == (2, "", True), done.err
    assert info(nearkin, built) == before
    assert not Path("new.index").exists()


def test_options_of_image_files_are_refused_where_no_images_are_named(nearkin: Shell, built: str) -> None:
    for option in (["--label", "2"], ["--group", "g"]):
        assert "--label and --group go with image files" in nearkin("index", "calibrate", built, *option).err
    done = nearkin("index", "calibrate", built, "--on-references", "--group", "g")
    assert "--group goes with image files" in done.err


def test_an_index_whose_classes_were_all_replaced_calibrates_on_the_new_ones(nearkin: Shell, built: str) -> None:
    write_digits(Path("extra"), "3", slice(0, 12))
    assert nearkin("index", "remove", built, *(word for label in "247" for word in ("--label", label))).code == 0
    assert nearkin("index", "add", built, "extra").code == 0
    done = nearkin("index", "calibrate", built, "--on-references")
    assert done.code == 0, done.err
    assert "calibration images of '2', '4', '7' were dropped: the index holds no reference of" in done.err
    said = info(nearkin, built)
    assert (said["way"], said["classes"]["3"]["state"]) == ("leave_one_group_out", "calibrated")
    assert said["history"][-1]["details"]["dropped"] == {"2": 20, "4": 20, "7": 20}
    assert nearkin("index", "verify", built).code == 0


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["add", "x.index", "new/2/FILE", "--label", "z\udcff"], "labels"),
        (["add", "x.index", "new/2/FILE", "--label", "2", "--group", "z\udcff"], "groups"),
        (["calibrate", "x.index", "new/2/FILE", "--label", "2", "--group", "z\udcff"], "groups"),
        (["relabel", "x.index", "z\udcff", "--label", "2"], "to"),
    ],
)
def test_text_that_is_not_utf_8_is_refused_before_anything_changes(
    nearkin: Shell, built: str, arguments: list[str], what: str
) -> None:
    before, file = info(nearkin, built), next(Path("new/2").iterdir()).name
    done = nearkin("index", *(word.replace("FILE", file) for word in arguments))
    assert (done.code, done.out) == (1, "")
    assert f"{what}: not UTF-8, so no file can hold it: 'z\\udcff' at 0. Write it in UTF-8." in done.err
    assert info(nearkin, built) == before


def test_an_image_file_whose_name_is_not_utf_8_calibrates_and_is_named_as_it_is(nearkin: Shell, built: str) -> None:
    name = "odd\udcff.png"
    try:
        shutil.copy(next(Path("new/2").iterdir()), name)
    except OSError:
        pytest.skip("this file system holds no such names")
    assert nearkin("index", "calibrate", built, name, "--label", "2").code == 0
    assert name in load_index(built)._state.calibration.sources
    assert nearkin("index", "verify", built).code == 0


def test_images_are_added_from_files_and_folders_and_their_classes_calibrated_again(nearkin: Shell, built: str) -> None:
    files = write_digits(Path("more"), "3", slice(0, 3))
    done = nearkin("index", "add", built, *files, "--label", "3", "--group", "writer 1", "--json")
    assert json.loads(done.out) == {"ids": [12, 13, 14], "references": 15, "stale": []}
    assert info(nearkin, built)["classes"]["3"]["state"] == "uncalibrated: none given"
    done = nearkin("index", "add", built, "new")
    assert done.code == 0
    assert "to be calibrated again: '2', '4', '7'" in done.err
    done = nearkin("index", "calibrate", built, "--alpha", "0.2")
    assert done.err.startswith("On average over draws, at most 0.2 of")
    assert done.out == "calibrated; the index holds 30 references of 4 classes.\n"
    assert info(nearkin, built)["stale"] == []


def test_references_calibrate_themselves_but_for_those_chosen_for_review(nearkin: Shell, built: str) -> None:
    write_digits(Path("extra"), "3", slice(0, 12))
    write_digits(Path("odd"), "3", slice(12, 14))
    assert nearkin("index", "add", built, "extra").code == 0
    assert nearkin("index", "add", built, "odd", "--reviewed").code == 0
    done = nearkin("index", "calibrate", built, "--on-references", "held")
    assert (done.code, "name no images" in done.err) == (2, True)
    assert nearkin("index", "calibrate", built, "--on-references").code == 0
    said = info(nearkin, built)
    assert (said["way"], said["classes"]["3"]) == (
        "leave_one_group_out",
        {"references": 14, "groups": 12, "state": "calibrated"},
    )
    assert "3: at most 7.7" in nearkin("index", "info", built, "--alphas").out
    assert nearkin("index", "remove", built, "--id", "12").code == 0
    done = nearkin("index", "add", built, "new")
    assert "with --on-references those that were added calibrate too" in done.err


def test_images_that_are_added_twice_are_told(nearkin: Shell, built: str) -> None:
    (file,) = write_digits(Path("more"), "3", slice(0, 1))
    assert "more than once" not in nearkin("index", "add", built, file, "--label", "3").err
    done = nearkin("index", "add", built, file, "--label", "3")
    assert f"in the index more than once, pixel for pixel: {file}." in done.err
    assert done.out == "added 1 reference; the index holds 14 references of 4 classes.\n"


def test_references_are_removed_and_relabelled_by_id_class_or_group(nearkin: Shell, built: str) -> None:
    assert json.loads(nearkin("index", "remove", built, "--id", "0", "--id", "5", "--json").out)["removed"] == 2
    assert json.loads(nearkin("index", "relabel", built, "seven", "--label", "7", "--json").out)["relabelled"] == 4
    said = info(nearkin, built)
    assert said["classes"]["seven"] == {"references": 4, "groups": 20, "state": "calibrated"}
    assert said["stale"] == ["2", "4"]
    for wrong in (["--id", "99"], ["--label", "sevem"], ["--group", "x"]):
        done = nearkin("index", "remove", built, *wrong)
        assert (done.code, done.out) == (1, "")
    assert info(nearkin, built)["history"] == said["history"]


def test_two_indexes_of_one_model_are_merged(nearkin: Shell, built: str, trained: Path) -> None:
    run = str(trained / "runs/tiny/1")
    assert nearkin("index", "build", "z.index", "--run", run, "--images", "new").code == 0
    done = nearkin("index", "merge", built, "z.index")
    assert done.code == 1
    assert "new ones: 'nearkin index merge --renumber'" in done.err
    said = json.loads(nearkin("index", "merge", built, "z.index", "--renumber", "--json").out)
    assert (said["references"], said["copies"]) == (27, 0)
    again = nearkin("index", "merge", built, "z.index", "--renumber")
    assert "15 of them are of images that were references before: they count twice" in again.err


def test_a_build_with_images_to_calibrate_of_their_own_says_which_of_the_others_it_leaves_out(
    nearkin: Shell, trained: Path, built: str
) -> None:
    rows = [f"refs/{label}/{path.name},{label},train" for label in "247" for path in Path(f"refs/{label}").iterdir()]
    rows += [f"new/7/{path.name},7,calibrate" for path in Path("new/7").iterdir()]
    Path("m.csv").write_text("\n".join(["path,label,split", *rows]))
    run = str(trained / "runs/tiny/1")
    done = nearkin("index", "build", "y.index", "--run", run, "--images", "m.csv", "--calibrate", "held")
    assert (done.code, "left out: 5 of split 'calibrate'" in done.err) == (0, True), done.err


def test_a_query_is_answered_filtered_and_recorded(nearkin: Shell, built: str) -> None:
    images = sorted(str(path) for path in Path("new").rglob("*.png"))
    answers = json.loads(nearkin("index", "query", built, *images, "--json", "--record").out)
    assert len(answers) == 15
    assert answers == json.loads(nearkin("query", built, *images, "--json").out)
    day = info(nearkin, built)["drift"][0]
    assert day["known"] + day["ambiguous"] + day["unknown"] + day["undecided"] == 15
    assert day["flagged"] == sum(answer["status"] == "unknown" for answer in answers) / 15
    assert "flagged unknown" in nearkin("index", "info", built).out
    done = nearkin("index", "query", built, images[0], "--where", "label=2", "--where", "label=4", "--json")
    assert set(json.loads(done.out)[0]["distances"]) == {"2", "4"}
    done = nearkin("index", "query", built, images[0], "--where", "label")
    assert (done.code, "write it as label=..." in done.err) == (2, True)


def test_verify_says_what_it_looked_at_and_ends_with_4_where_something_is_wrong(nearkin: Shell, built: str) -> None:
    done = nearkin("index", "verify", built)
    assert done.code == 0
    assert done.out.count("ok ") == 4
    assert json.loads(nearkin("index", "verify", built, "--json").out)[0]["problem"] == ""
    with package.edit_index(built) as index:
        calibration = index._state.calibration
        scores = calibration.scores + np.float32(0.5)  # planted: scores of other references
        object.__setattr__(calibration, "scores", scores)
        index.record([])
        index._state = index._state.noted("planted", 0)
    done = nearkin("index", "verify", built)
    assert done.code == 4
    assert "WRONG stored calibration scores" in done.out
    assert "Recalibrate" in done.err
    file = next(Path(built).glob("calibration-*.json"))
    file.write_bytes(file.read_bytes()[:-2])
    done = nearkin("index", "verify", built)
    assert (done.code, file.name in done.err) == (4, True)


def test_an_index_is_exported_with_labels_and_paths(nearkin: Shell, built: str) -> None:
    import pyarrow.parquet as pq

    assert nearkin("index", "export", built, "x.npz").out == "x.npz\n"
    assert nearkin("index", "export", built, "x.parquet").code == 0
    references = package.load_index(built).references
    arrays, table = np.load("x.npz"), pq.read_table("x.parquet")
    np.testing.assert_array_equal(arrays["vectors"], references.vectors)
    np.testing.assert_array_equal(np.stack(table["vector"].to_numpy()), references.vectors)
    assert arrays["labels"].tolist() == table["label"].to_pylist() == list(references.labels)
    assert arrays["sources"].tolist() == table["source"].to_pylist() == list(references.sources)
    assert table["id"].to_pylist() == arrays["ids"].tolist() == references.ids.tolist()
    assert json.loads(arrays["about"].item()) == json.loads(table.schema.metadata[b"nearkin"])
    assert json.loads(arrays["about"].item())["metric"] == "l2"
    for name, said in (
        ("x.npz", "exists already"),
        ("no/x.npz", "there is no folder no"),
        ("x.csv", "end its name in .parquet or .npz"),
    ):
        done = nearkin("index", "export", built, name)
        assert (done.code, said in done.err) == (2, True)
    assert not [path for path in Path().iterdir() if path.name.startswith(".x")]


@pytest.mark.parametrize(
    "arguments",
    [
        ["info", "nowhere"],
        ["add", "x.index"],
        ["add", "x.index", "nowhere"],
        ["add", "x.index", "refs/2/image.png"],
        ["add", "x.index", "tiny.yaml"],
        ["add", "x.index", "refs", "--group", "g"],
        ["remove", "x.index"],
        ["remove", "x.index", "--id", "1", "--label", "2"],
        ["relabel", "x.index", "new"],
        ["calibrate", "x.index", "--alpha", "2"],
        ["calibrate", "x.index", "--label", "2"],
        ["calibrate", "x.index", "--group", "g"],
        ["calibrate", "x.index", "--on-references", "--group", "g"],
        ["query", "x.index", "a.png", "--alpha", "0"],
        ["nonsense"],
    ],
)
def test_what_cannot_be_meant_ends_with_2_and_a_reason(nearkin: Shell, built: str, arguments: list[str]) -> None:
    before = info(nearkin, built)
    done = nearkin("index", *arguments)
    assert done.code == 2
    assert done.err.strip()
    assert not done.out
    assert info(nearkin, built) == before


def test_every_bad_image_is_named_and_nothing_is_added(nearkin: Shell, built: str) -> None:
    Path("refs/2/aa.png").write_text("no image")
    Path("refs/7/zz.png").write_bytes(b"")
    done = nearkin("index", "add", built, "refs")
    assert done.code == 1
    assert "refs/2/aa.png" in done.err
    assert "refs/7/zz.png" in done.err
    assert info(nearkin, built)["references"] == 12


def test_calibrating_on_what_trained_the_model_is_refused(nearkin: Shell, trained: Path) -> None:
    run = str(trained / "runs/tiny/1")
    assert nearkin("index", "build", "y.index", "--run", run).code == 0
    trained_on = package.load_run(run).index.references.sources
    row = int(trained_on[0].split("/")[1])
    Path("t", str(DIGITS.target[row])).mkdir(parents=True)
    pixels = (DIGITS.images[row] / 16 * 255).round().astype(np.uint8)
    Image.fromarray(pixels).save(Path("t", str(DIGITS.target[row]), "x.png"))
    done = nearkin("index", "calibrate", "y.index", "t")
    assert done.code == 1
    assert "trained the model" in done.err


def test_a_command_beside_another_writer_is_refused_at_once(nearkin: Shell, built: str) -> None:
    hold = "import sys, pathlib\nfrom nearkin.index.writing import writing\n"
    hold += "with writing(pathlib.Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, built], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        done = nearkin("index", "remove", built, "--id", "0")
        assert (done.code, "another process is changing this index" in done.err) == (1, True)
        assert nearkin("index", "info", built).code == 0
        other.kill()
    assert nearkin("index", "remove", built, "--id", "0").code == 0


def test_looking_at_an_index_and_removing_from_it_needs_no_plugin_and_no_torch(nearkin: Shell, built: str) -> None:
    commands = [["info", built], ["verify", built], ["remove", built, "--id", "0"], ["export", built, "e.npz"]]
    code = f"import sys; from nearkin.cli import run; assert not any(run(['index', *c]) for c in {commands})\n"
    code += "print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1:] == ["False"], done.stderr
    assert nearkin("index", "query", built, str(next(Path("new/2").iterdir()))).code == 0


def test_a_runs_own_index_is_changed_in_place_and_still_the_runs(nearkin: Shell, trained: Path) -> None:
    shutil.copytree(trained / "runs/tiny/1", "own")
    files = write_digits(Path("more"), "3", slice(0, 2))
    assert nearkin("index", "add", "own", *files, "--label", "3").code == 0
    assert "3" in package.load_run("own").index.labels
    assert not list(Path("own/index").glob("model*"))


def test_an_index_of_another_model_than_the_run_is_refused(nearkin: Shell, trained: Path, built: str) -> None:
    shutil.copytree(trained / "runs/tiny/1", "own")
    body = read_manifest(Path("own/index"), format_name="nearkin index", version=_version())
    write_manifest(Path("own/index"), {**body, "meta": {**body["meta"], "model": "0" * 64}})
    assert nearkin("index", "query", "own", "new/2").code == 4
    done = nearkin("index", "merge", built, "own", "--renumber")
    assert (done.code, "of another model" in done.err) == (1, True)


def _version() -> int:
    from nearkin.index import storage

    return storage.VERSION


ENGINE = """
from nearkin import Options, hookimpl

nearkin_api = 1


def make(options, build):
    from nearkin.index.engines.flat import FlatEngine

    return FlatEngine(build.metric)


@hookimpl
def nearkin_engines(register):
    register("mine", make, options=Options, summary="Mine.", metrics=("l1", "l2"))
"""


def test_an_index_with_the_engine_of_a_plugin_is_looked_at_and_changed(nearkin: Shell) -> None:
    Path("mine.py").write_text(ENGINE)
    index = package.Index(
        metric="l2", class_rule="nearest", dim=2, engine=package.engine("mine", plugin_files=["mine.py"])
    )
    index.add(np.eye(2, dtype=np.float32), ["a", "b"])
    index.save("e.index")
    assert nearkin("index", "info", "e.index").code == 3
    for command in (["info"], ["verify"], ["remove", "--id", "0"]):
        done = nearkin("index", command[0], "e.index", *command[1:], "--plugin", "mine.py")
        assert done.code == 0, done.err
    said = nearkin("index", "info", "e.index", "--plugin", "mine.py", "--json").out
    assert json.loads(said)["engine"] == "mine.py:mine"


def test_an_operating_point_is_named_in_a_query_and_told_by_info(nearkin: Shell) -> None:
    index = package.Index(metric="l2", class_rule="nearest", dim=2, operating_points={"triage": 0.3})
    index.add(np.eye(2, dtype=np.float32), ["a", "b"])
    index.save("o.index")
    assert "operating point triage: alpha 0.3" in nearkin("index", "info", "o.index").out
    assert info(nearkin, "o.index")["operating_points"] == {"triage": 0.3}
    done = nearkin("index", "query", "o.index", "a.png", "--alpha", "triagee")
    assert (done.code, "Did you mean 'triage'" in done.err) == (1, True)
    done = nearkin("index", "query", "o.index", "a.png", "--alpha", "triage")
    assert "has no model" in done.err
