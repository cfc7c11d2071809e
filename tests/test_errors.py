"""The error tree: every error has a code of its own, a status, and survives storage."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from comfy_mcp import errors
from comfy_mcp.errors import InternalError, InvalidParameter, WorkbenchError, nearest


def tree(root: type[WorkbenchError]) -> Iterator[type[WorkbenchError]]:
    yield root
    for child in root.__subclasses__():
        yield from tree(child)


OURS = [kind for kind in tree(WorkbenchError) if kind.__module__ == "comfy_mcp.errors"]


def test_every_error_is_public_and_has_its_own_code() -> None:
    assert {kind.__name__ for kind in OURS} <= set(errors.__all__)
    assert len({kind.code for kind in OURS}) == len(OURS)


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.__name__)
def test_every_error_is_drawn_and_has_a_status(kind: type[WorkbenchError]) -> None:
    assert errors.__doc__ is not None and kind.__name__ in errors.__doc__
    assert 400 <= kind.status <= 599


def test_a_record_holds_what_the_error_said() -> None:
    record = InvalidParameter("steps", "steps is 0.", hint="Give 1 to 150.", nothing=None).record

    assert record.code == "invalid_parameter"
    assert record.details == {"parameter": "steps"}
    assert str(record) == "steps is 0. Give 1 to 150."


def test_a_defect_says_nothing_of_itself() -> None:
    assert "log" in str(InternalError())


@pytest.mark.parametrize(
    ("name", "first"), [("karas", "karras"), ("EULER", "euler"), ("dpmpp", "dpmpp_2m"), ("sdxl", "models/SDXL_base")]
)
def test_nearest_names_come_first(name: str, first: str) -> None:
    assert nearest(name, ["euler", "karras", "dpmpp_2m", "models/SDXL_base", "normal"])[0] == first


def test_nothing_near_is_nothing() -> None:
    assert nearest("zzz", ["euler", "karras"]) == []
