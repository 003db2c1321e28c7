"""`data check`: every planted fault is found and named, and clean data raise no alarm."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance

from nearkin.cli.check import DataProblems, data_check
from nearkin.data import Item, decode, load_data
from nearkin.data.looks import look_at
from nearkin.data.sources import open_source
from nearkin.datacheck import Report, backbone_before_training, check_source, suspects
from nearkin.datacheck.check import check_items
from nearkin.datacheck.giveaways import giveaway_findings
from nearkin.errors import DataError, UsageError
from nearkin.plugins import load_registries
from nearkin.recipe import read_recipe
from nearkin.recipe.data_options import DataOptions

Change = Callable[[Image.Image], Image.Image]
RECIPE = (
    "name: x\ndata: {{source: manifest, path: {manifest}, shots: 5, select: 3, calibrate: 9}}\n"
    "backbone: {{type: conv4}}\nmethod: {{type: embedding}}\nloss: {{type: contrastive}}\n"
    "sampler: {{type: balanced_pairs}}\ntrain: {{steps: 1}}\n"
)
CLASSES, EACH, TEST = ("round", "square"), 30, 10


def texture(rng: np.random.Generator, size: int = 96) -> Image.Image:
    """A smooth random background that no two images share."""
    rough = rng.integers(60, 200, (6, 6), dtype=np.uint8)
    return Image.fromarray(rough).resize((size, size), Image.Resampling.BICUBIC)


def drawn(label: str, rng: np.random.Generator) -> Image.Image:
    """The class is a small shape somewhere in the middle, as bright or dark as the background."""
    image = texture(rng)
    draw = ImageDraw.Draw(image)
    x, y = rng.integers(30, 54, 2).tolist()
    shape = draw.ellipse if label == "round" else draw.rectangle
    shape((x, y, x + 12, y + 12), outline=int(rng.choice([0, 255])), width=2)
    return image


def made(root: Path, change: dict[str, Change] | None = None) -> Path:
    """A manifest of two classes, 30 images each, the last ten of each test; `change` plants a fault in a class."""
    rng, rows = np.random.default_rng(0), ["path,label,split"]
    for label in CLASSES:
        for number in range(EACH):
            image = drawn(label, rng)
            image = change[label](image) if change and label in change else image
            image.save(root / f"{label}{number:02}.png")
            rows.append(f"{label}{number:02}.png,{label},{'test' if number >= EACH - TEST else 'train'}")
    (root / "manifest.csv").write_text("\n".join(rows))
    return root / "manifest.csv"


def checked(manifest: Path) -> Report:
    options = DataOptions(source="manifest", path=str(manifest), shots=5, select=3, calibrate=9)
    return check_source(options)


def problems(manifest: Path) -> set[str]:
    return {finding.what for finding in checked(manifest).problems}


def with_letter(image: Image.Image) -> Image.Image:
    ImageDraw.Draw(image).text((4, 4), "R", fill=255, font_size=16)
    return image


def with_border(image: Image.Image) -> Image.Image:
    ImageDraw.Draw(image).rectangle((0, 0, 95, 95), outline=0, width=4)
    return image


def test_clean_data_raise_no_alarm(tmp_path: Path) -> None:
    report = checked(made(tmp_path))
    assert report.problems == ()
    assert report.leaks == ()
    assert report.counts == {label: {"test": TEST, "train": EACH - TEST} for label in CLASSES}
    assert report.sizes == {"96x96, 1 channels, 8 bits": 2 * EACH}


def test_a_class_of_one_patient_alone_is_not_judged_and_that_is_said(tmp_path: Path) -> None:
    def groups(text: str, alone: set[str]) -> str:
        lines = [line.split(",") for line in text.splitlines()[1:]]
        rows = [f"{path},{label},{'one patient' if label in alone else path}" for path, label, _ in lines]
        return "\n".join(["path,label,group", *rows])

    manifest = made(tmp_path, {"round": with_letter})
    text = manifest.read_text()
    manifest.write_text(groups(text, {"round"}))
    found = {finding.what: finding.message for finding in checked(manifest).findings}
    assert "'round': images of one group alone." in found["giveaways_not_judged"]
    assert not any(what.endswith("tells_little") for what in found)


@pytest.mark.parametrize("corner", ["top_left", "bottom_right"])
def test_a_letter_in_a_corner_of_one_class_is_flagged(tmp_path: Path, corner: str) -> None:
    def turned(image: Image.Image) -> Image.Image:
        return with_letter(image) if corner == "top_left" else with_letter(image.rotate(180)).rotate(180)

    found = problems(made(tmp_path, {"round": turned}))
    assert f"corner_{corner}_gives_the_class_away" in found
    assert "sizes_give_the_class_away" not in found


def test_a_border_around_one_class_is_flagged(tmp_path: Path) -> None:
    assert "border_gives_the_class_away" in problems(made(tmp_path, {"square": with_border}))


def test_a_brightness_that_answers_at_8x8_is_flagged(tmp_path: Path) -> None:
    found = problems(made(tmp_path, {"square": lambda image: ImageEnhance.Brightness(image).enhance(0.4)}))
    assert "shrunk_to_8x8_gives_the_class_away" in found


def test_images_of_8x8_are_not_judged_shrunk_to_8x8() -> None:
    """Of digits it would say that the images themselves tell the class."""
    source = open_source(DataOptions(source="digits"))
    looks, _ = look_at(source, [item for item in source.items if item.label in "01"][:60])
    found = {finding.what for finding in giveaway_findings(looks)}
    assert "shrunk_to_8x8_not_judged" in found
    assert not [name for name in found if name.startswith("shrunk") and name != "shrunk_to_8x8_not_judged"]


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image.resize((120, 120)),
        lambda image: image.convert("RGB").resize((97, 96)),
        lambda i: i.convert("1"),
    ],
    ids=["size", "width", "bits"],
)
def test_a_resolution_that_differs_by_class_is_flagged(tmp_path: Path, change: Change) -> None:
    assert "sizes_give_the_class_away" in problems(made(tmp_path, {"square": change}))


def copied(root: Path, source: str, target: str, change: Change | None = None) -> None:
    image = Image.open(root / source)
    (change(image) if change else image).save(root / target)


NEAR: dict[str, Change] = {
    "jpeg": lambda image: _through_jpeg(image),
    "smaller": lambda image: image.resize((80, 80), Image.Resampling.BILINEAR),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.8),
    "more contrast": lambda image: ImageEnhance.Contrast(image).enhance(1.3),
}


def _through_jpeg(image: Image.Image) -> Image.Image:
    from io import BytesIO

    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=40)
    return Image.open(buffer).convert("L")


def test_an_exact_copy_across_splits_is_found(tmp_path: Path) -> None:
    manifest = made(tmp_path)
    copied(tmp_path, "round03.png", "round25.png")
    report = checked(manifest)
    (finding,) = report.problems
    assert (finding.what, finding.pairs) == ("copies_across_splits", (("round03.png", "round25.png"),))
    assert report.leaks == ("round25.png",)


@pytest.mark.parametrize("change", NEAR.values(), ids=NEAR)
def test_a_near_copy_across_splits_is_found(tmp_path: Path, change: Change) -> None:
    manifest = made(tmp_path)
    copied(tmp_path, "round03.png", "round25.png", change)
    report = checked(manifest)
    assert ("round03.png", "round25.png") in [pair for finding in report.problems for pair in finding.pairs]
    assert report.leaks == ("round25.png",)


def test_a_copy_under_another_label_is_found(tmp_path: Path) -> None:
    manifest = made(tmp_path)
    copied(tmp_path, "round03.png", "square04.png")
    assert "copies_across_classes" in problems(manifest)


def test_copies_on_one_side_are_a_note(tmp_path: Path) -> None:
    manifest = made(tmp_path)
    copied(tmp_path, "round03.png", "round04.png")
    report = checked(manifest)
    assert report.problems == ()
    assert "copies" in {finding.what for finding in report.findings}


@pytest.mark.parametrize("change", [None, NEAR["darker"]], ids=["exact", "near"])
def test_copies_that_the_draw_parts_are_found_where_nothing_is_marked(tmp_path: Path, change: Change | None) -> None:
    """As PNG and as BMP, so that no byte tells; the same seed draws the same splits when it is trained."""
    manifest = made(tmp_path)
    rows = [line.rsplit(",", 1)[0] for line in manifest.read_text().splitlines()]
    for number in range(20):
        copied(tmp_path, f"round{number:02}.png", f"again{number:02}.bmp", change)
        rows.append(f"again{number:02}.bmp,round")
    manifest.write_text("\n".join(rows))
    options = DataOptions(source="manifest", path=str(manifest), shots=8, select=4, calibrate=9)
    sides = {item.key: split for split, items in load_data(options, 0)[1].items.items() for item in items}
    found = {finding.what: finding for finding in check_source(options).findings}
    name = "near_copies" if change else "copies"
    parted = found[f"{name}_across_drawn_splits"]
    assert parted.level == "problem"
    assert all(sides[a] != sides[b] for a, b in parted.pairs)
    together = found[name]
    assert together.level == "note"
    assert all(len({sides.get(a), sides.get(b)} - {None}) < 2 for a, b in together.pairs)
    assert len(parted.pairs) + len(together.pairs) == 20


def test_what_drop_leaks_leaves_out_is_no_problem_any_more(tmp_path: Path) -> None:
    manifest = made(tmp_path)
    copied(tmp_path, "round03.png", "round25.png")
    options = DataOptions(source="manifest", path=str(manifest), shots=5, select=3, calibrate=9, drop_leaks=True)
    report = check_source(options)
    assert report.problems == ()
    assert [f.pairs for f in report.findings if f.what == "copies_left_out"] == [(("round03.png", "round25.png"),)]
    assert report.leaks == ("round25.png",)


def test_what_drop_leaks_cannot_answer_stays_a_problem(tmp_path: Path) -> None:
    """A copy under another label, whichever is wrong; and a source that marks no test images, in the report."""
    manifest = made(tmp_path)
    copied(tmp_path, "round03.png", "square25.png")
    options = DataOptions(source="manifest", path=str(manifest), shots=5, select=3, calibrate=9, drop_leaks=True)
    assert {f.what for f in check_source(options).problems} == {"copies_across_classes"}
    manifest.write_text("\n".join(line.rsplit(",", 1)[0] for line in manifest.read_text().splitlines()))
    assert "splits_cannot_be_drawn" in {f.what for f in check_source(options).problems}


def test_the_picture_shows_what_few_of_16_bits_hold(tmp_path: Path) -> None:
    """12 bits in files of 16 are all dark as they are."""
    manifest = made(tmp_path)
    for path in tmp_path.glob("*.png"):
        Image.fromarray(np.asarray(Image.open(path).convert("L"), np.uint16) * 16).save(path)
    copied(tmp_path, "round03.png", "round25.png")
    assert np.asarray(suspects(checked(manifest)).convert("L"))[40:120, 20:120].std() > 20


def test_a_patient_on_both_sides_is_found(tmp_path: Path) -> None:
    manifest = made(tmp_path)
    lines = manifest.read_text().splitlines()
    grouped = [lines[0] + ",group"] + [
        line + (",p7" if line.startswith(("round03", "round25")) else ",") for line in lines[1:]
    ]
    manifest.write_text("\n".join(grouped))
    finding = next(f for f in checked(manifest).problems if f.what == "groups_in_two_splits")
    assert finding.keys == ("round03.png", "round25.png")


def test_unreadable_files_are_all_named(tmp_path: Path) -> None:
    manifest = made(tmp_path)
    (tmp_path / "round03.png").write_bytes(b"")
    (tmp_path / "square04.png").write_bytes(b"not an image")
    finding = next(f for f in checked(manifest).problems if f.what == "unreadable_files")
    assert "round03.png" in finding.message
    assert "square04.png" in finding.message


def test_classes_too_small_for_the_recipe_are_named(tmp_path: Path) -> None:
    options = DataOptions(source="manifest", path=str(made(tmp_path)), shots=25)
    finding = next(f for f in check_source(options).problems if f.what == "splits_cannot_be_drawn")
    assert "class 'round': train needs 25" in finding.message


def test_copies_are_together_where_splits_are_asked_after_as_where_they_are_drawn(tmp_path: Path) -> None:
    manifest = made(tmp_path)
    for label in CLASSES:
        for number in range(4, EACH - TEST):
            (tmp_path / f"{label}{number:02}.png").write_bytes((tmp_path / f"{label}{number % 4:02}.png").read_bytes())
    options = DataOptions(source="manifest", path=str(manifest), shots=6, select=3, calibrate=9)
    with pytest.raises(DataError, match="calibrate needs 9"):
        load_data(options, 0)
    found = {finding.what: finding.message for finding in check_source(options).problems}
    assert "calibrate needs 9" in found["splits_cannot_be_drawn"]


def test_copies_do_not_answer_for_each_other_in_what_a_border_tells() -> None:
    """Random images under random labels, each four times: nothing tells the class, unless a copy was learned."""
    rng = np.random.default_rng(0)
    images = {f"{number}.png": rng.integers(0, 256, (32, 32), dtype=np.uint8) for number in range(60)}
    items = [
        Item(f"{copy}-{name}", str(int(name.split(".")[0]) % 2), f"{copy}-{name}", None, Path(name))
        for copy in range(4)
        for name in images
    ]
    source = SimpleNamespace(items=tuple(items), load=lambda item: decode(images[str(item.place)]))
    found = check_items(source, items).findings
    told = {
        finding.what: finding.figures["balanced_accuracy"]
        for finding in found
        if "balanced_accuracy" in finding.figures
    }
    assert len(told) > 3, found
    assert all(accuracy < 0.65 for accuracy in told.values()), told


def test_leaks_cannot_be_dropped_where_nothing_is_marked_as_test(tmp_path: Path) -> None:
    manifest = made(tmp_path)
    lines = [line.rsplit(",", 1)[0] for line in manifest.read_text().splitlines()]
    manifest.write_text("\n".join(lines))
    options = DataOptions(source="manifest", path=str(manifest), shots=5, select=3, calibrate=9, drop_leaks=True)
    with pytest.raises(DataError, match="this source marks none as test"):
        load_data(options, 0)


def test_leaks_are_dropped_from_test_and_told(tmp_path: Path) -> None:
    manifest = made(tmp_path)
    copied(tmp_path, "round03.png", "round25.png", NEAR["smaller"])
    said: dict[str, Any] = {"source": "manifest", "path": str(manifest), "shots": 5, "select": 3, "calibrate": 9}
    _, kept = load_data(DataOptions(**said), 0)
    _, dropped = load_data(DataOptions(**said, drop_leaks=True), 0)
    assert {i.key for i in kept.items["test"]} - {i.key for i in dropped.items["test"]} == {"round25.png"}
    assert kept.items["train"] == dropped.items["train"]
    assert any("round25.png" in note for note in dropped.notes())


def test_the_command_prints_draws_and_fails_where_there_are_problems(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = made(tmp_path)
    copied(tmp_path, "round03.png", "round25.png")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE.format(manifest=manifest))
    with pytest.raises(DataProblems, match="1 problems: copies_across_splits"):
        data_check(str(recipe), [], picture=tmp_path / "suspects.png", plugins=(), as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert said["leaks"] == ["round25.png"]
    assert Image.open(tmp_path / "suspects.png").width > 200
    with pytest.raises(UsageError, match=r"\.png"):
        data_check(str(recipe), [], picture=tmp_path / "suspects.gif", plugins=(), as_json=False)


def test_what_looks_alike_to_the_network_is_a_hint_and_no_leak(tmp_path: Path) -> None:
    """A copy drawn over, which ranks of pixels no longer know: the embedding still does."""
    manifest = made(tmp_path)
    copied(tmp_path, "round03.png", "round25.png", _drawn_over)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE.format(manifest=manifest))
    registries = load_registries(entry_points=False)
    read = read_recipe(recipe, registries)
    report = check_source(read.data, embed=backbone_before_training(read, registries))
    assert report.problems == ()
    assert report.leaks == ()
    [hint] = [finding for finding in report.findings if finding.what == "look_alikes"]
    assert ("round03.png", "round25.png") in hint.pairs
    assert hint.figures["cosine"] == sorted(hint.figures["cosine"], reverse=True)
    assert "look_alikes" not in {finding.what for finding in checked(manifest).findings}


def _drawn_over(image: Image.Image) -> Image.Image:
    ImageDraw.Draw(image).rectangle((0, 78, 96, 96), fill=255)
    return image


def test_the_picture_shows_every_pair(tmp_path: Path) -> None:
    manifest = made(tmp_path)
    without = suspects(checked(manifest)).height
    for number in range(5, 11):
        copied(tmp_path, f"round{number:02}.png", f"round{number + 15}.png")
    assert suspects(checked(manifest)).height > without


@pytest.mark.skipif("NEARKIN_DATA" not in os.environ, reason="NEARKIN_DATA names no folder with cxr3/")
def test_the_leaks_of_cxr3_are_those_that_the_docs_list() -> None:
    """The public split holds nine COVID images on both sides; the list in docs is the rule's own."""
    report = check_source(DataOptions(source="manifest", path="cxr3/manifest.csv"))
    page = (Path(__file__).parents[2] / "docs" / "xrays.md").read_text(encoding="utf-8")
    assert len(report.leaks) == 9
    assert all(f"`{key}`" in page for key in report.leaks)
    assert {"border_gives_the_class_away", "shrunk_to_8x8_gives_the_class_away"} <= {f.what for f in report.problems}
