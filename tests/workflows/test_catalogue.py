"""Finding templates: on disk, in a checkout and in an installed wheel; what is bad is told, and nothing falls over."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from comfy_mcp.errors import NotFound
from comfy_mcp.workflows import Catalogue, shipped_folder
from tests.nodes.shipping import TEMPLATES
from tests.workflows.samples import MANIFEST, NAMES, write_folder

ROOT = Path(__file__).parents[2]


def told(catalogue: Catalogue) -> list[tuple[str, bool]]:
    return [(each.template, each.fatal) for each in catalogue.diagnostics]


def test_everything_that_ships_loads() -> None:
    catalogue = Catalogue.load([shipped_folder()])
    assert set(catalogue.templates) == {*NAMES, *TEMPLATES}
    assert catalogue.diagnostics == ()
    assert all(template.shipped for template in catalogue.templates.values())


def test_a_bad_folder_is_a_diagnostic_and_the_good_ones_stay(tmp_path: Path) -> None:
    write_folder(tmp_path / "good")
    write_folder(tmp_path / "Bad-Name")
    write_folder(tmp_path / "no_toml", "title =")
    write_folder(tmp_path / "no_node", MANIFEST.replace("#1", "#77"))
    (tmp_path / "empty").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "_notes").mkdir()
    (tmp_path / "README.md").write_text("not a template")

    catalogue = Catalogue.load([tmp_path])

    assert list(catalogue.templates) == ["good"]
    assert told(catalogue) == [("Bad-Name", True), ("empty", True), ("no_node", True), ("no_toml", True)]
    assert "no node 77" in str(catalogue.diagnostics[2])
    assert str(tmp_path) not in "".join(map(str, catalogue.diagnostics))


def test_an_own_template_and_an_own_style_replace_the_shipped_ones(tmp_path: Path) -> None:
    write_folder(tmp_path / "txt2img")
    (tmp_path / "styles.toml").write_text(
        '[anime]\ntitle = "Mine"\nprompt = "my {prompt}"\n[dreamy]\ntitle = "D"\nprompt = "d {prompt}"\n[bad]\n'
    )
    catalogue = Catalogue.load([shipped_folder(), tmp_path])
    assert catalogue.get("txt2img").title == "Small"
    assert not catalogue.get("txt2img").shipped and catalogue.get("img2img").shipped
    assert told(catalogue) == [("styles", True), ("txt2img", False)]
    assert "replaces the shipped one" in str(catalogue.diagnostics[1])
    assert (catalogue.style("anime").title, catalogue.style("dreamy").title) == ("Mine", "D")
    assert "cinematic" in catalogue.styles


def test_a_broken_own_template_leaves_the_shipped_one(tmp_path: Path) -> None:
    write_folder(tmp_path / "txt2img", "title =")
    catalogue = Catalogue.load([shipped_folder(), tmp_path])
    assert catalogue.get("txt2img").shipped
    assert "The other one of this id stays." in str(catalogue.diagnostics[0])


def test_a_folder_that_is_not_there_is_empty_and_a_file_in_its_place_is_told(tmp_path: Path) -> None:
    assert told(Catalogue.load([tmp_path / "later"])) == []
    (tmp_path / "file").write_text("x")
    catalogue = Catalogue.load([tmp_path / "file"])
    assert ("file", True) in told(catalogue)
    assert Catalogue.fingerprint([tmp_path / "file", tmp_path / "later"]) == ()


def test_links_that_lead_nowhere_or_in_a_circle_are_no_crash(tmp_path: Path) -> None:
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "round").symlink_to(tmp_path / "round")
    folder = write_folder(tmp_path / "linked")
    (folder / "workflow.json").unlink()
    (folder / "workflow.json").symlink_to(folder / "workflow.json")
    assert told(Catalogue.load([tmp_path])) == [("linked", True)]
    Catalogue.fingerprint([tmp_path])


def test_every_change_of_a_file_changes_the_fingerprint(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "small")
    seen = [Catalogue.load([tmp_path]).fingerprint_seen]
    assert Catalogue.fingerprint([tmp_path]) == seen[0]

    (folder / "manifest.toml").write_text(MANIFEST + "# longer")
    seen.append(Catalogue.fingerprint([tmp_path]))
    status = (folder / "workflow.json").stat()
    os.utime(folder / "workflow.json", ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))
    seen.append(Catalogue.fingerprint([tmp_path]))
    (tmp_path / "styles.toml").write_text("")
    seen.append(Catalogue.fingerprint([tmp_path]))
    write_folder(tmp_path / "other")
    seen.append(Catalogue.fingerprint([tmp_path]))
    shutil.rmtree(folder)
    seen.append(Catalogue.fingerprint([tmp_path]))

    assert len(set(seen)) == len(seen)


def test_unknown_names_are_answered_with_near_ones() -> None:
    catalogue = Catalogue.load([shipped_folder()])
    with pytest.raises(NotFound, match="txt2img"):
        catalogue.get("txt2image")
    with pytest.raises(NotFound, match="watercolor"):
        catalogue.style("watercolour")
    with pytest.raises(NotFound) as caught:
        catalogue.get("x" * 1000)
    assert len(str(caught.value)) < 300


def test_a_wheel_brings_the_templates_along(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = (
        "from comfy_mcp.workflows import Catalogue, shipped_folder as f;"
        "c = Catalogue.load([f()]); print(f().parts[-2:], *sorted(c.templates), len(c.styles), len(c.diagnostics))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path / "site",
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    styles = len(Catalogue.load([shipped_folder()]).styles)
    names = " ".join(sorted([*NAMES, *TEMPLATES]))
    assert found.stdout.strip() == f"('workflows', 'shipped') {names} {styles} 0", found.stderr
