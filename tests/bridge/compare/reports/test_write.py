from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from llm_bridge.compare.reports import FORMATS, write
from llm_bridge.errors import BadInput, NotInstalled
from tests.bridge.compare.reports.samples import answered, hostile, partial


def test_every_format_is_written_and_nothing_else_is_left(tmp_path: Path) -> None:
    names = write(partial(), tmp_path / "new" / "folder")
    assert names == ["report.md", "report.csv", "report.json", "report.html", "report.png"]
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == sorted(names)
    assert json.loads((tmp_path / "new/folder/report.json").read_text(encoding="utf-8"))["counts"]["cells"] == 8
    assert b"\r\r\n" not in (tmp_path / "new/folder/report.csv").read_bytes()


def test_hostile_results_are_written_as_utf_8(tmp_path: Path) -> None:
    for name in write(hostile(), tmp_path):
        if not name.endswith("png"):
            (tmp_path / name).read_bytes().decode("utf-8")


def test_pictures_of_an_earlier_writing_go_and_other_files_stay(tmp_path: Path) -> None:
    (tmp_path / "report-photo.png").write_bytes(b"mine")
    many = write(answered(("word " * 2000,) * 12), tmp_path, ["png"])
    assert many[:2] == ["report-1.png", "report-2.png"]
    assert write(partial(), tmp_path, ["png"]) == ["report.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report-photo.png", "report.png"]
    Image.open(BytesIO((tmp_path / "report.png").read_bytes())).verify()


def test_an_unknown_format_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="pdf") as refused:
        write(partial(), tmp_path / "out", ["md", "pdf"])
    assert ", ".join(FORMATS) in refused.value.hint
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_told_without_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput) as refused:
        write(partial(), tmp_path / "file" / "sub", ["md"])
    assert str(tmp_path) not in str(refused.value)


def test_without_pillow_the_pictures_alone_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "PIL.Image", None)
    assert write(partial(), tmp_path, ["md", "csv", "json", "html"])
    with pytest.raises(NotInstalled, match="pip install pillow"):
        write(partial(), tmp_path, ["png"])
