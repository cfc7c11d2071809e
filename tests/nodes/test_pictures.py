"""Batches of pictures as ComfyUI has them, to files and back."""

from __future__ import annotations

import io
from typing import Any

import numpy
import pytest
from PIL import Image

from comfy_nodes.pictures import MOST_PIXELS, batch_of, images_of
from llm_bridge.errors import BadInput


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def png(size: tuple[int, int], color: tuple[int, int, int]) -> bytes:
    Image.new("RGB", size, color).save(target := io.BytesIO(), "PNG")
    return target.getvalue()


def test_every_picture_of_a_batch_is_a_png_of_its_own() -> None:
    batch = numpy.zeros((2, 4, 6, 3), "float32")
    batch[1, :, :, 0] = 1.0
    first, second = images_of(batch)
    assert first.mime == "image/png" and opened(first.data).size == (6, 4)
    assert opened(first.data).getpixel((5, 3)) == (0, 0, 0)
    assert opened(second.data).getpixel((5, 3)) == (255, 0, 0)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_masks_and_pictures_with_a_background_are_pictures_too(channels: int, mode: str) -> None:
    (image,) = images_of(numpy.full((1, 2, 2, channels), 0.5, "float32"))
    assert opened(image.data).mode == mode


def test_a_picture_without_a_batch_is_a_batch_of_one() -> None:
    assert len(images_of(numpy.zeros((4, 4, 3), "float32"))) == 1


def test_what_is_beyond_the_scale_or_no_number_is_brought_into_it() -> None:
    batch = numpy.array([[[[-1.0, 2.0, numpy.nan]]]], "float32")
    assert opened(images_of(batch)[0].data).getpixel((0, 0)) == (0, 255, 0)


def test_a_large_picture_is_shrunk_and_keeps_its_shape() -> None:
    (image,) = images_of(numpy.zeros((1, 100, 2 * MOST_PIXELS, 3), "float32"))
    assert opened(image.data).size == (MOST_PIXELS, 50)
    (small,) = images_of(numpy.zeros((1, 10, 20, 3), "float32"), most=10)
    assert opened(small.data).size == (10, 5)


class Tensor:
    """As torch has it: on a card, of a type that numpy has not, and with a history of how it came to be."""

    def __init__(self, array: Any, done: tuple[str, ...] = ()) -> None:
        self._array, self._done = array, done

    def detach(self) -> Tensor:
        return Tensor(self._array, (*self._done, "detach"))

    def float(self) -> Tensor:
        return Tensor(self._array, (*self._done, "float"))

    def cpu(self) -> Tensor:
        return Tensor(self._array, (*self._done, "cpu"))

    def __array__(self, *_: Any, **__: Any) -> Any:
        if set(self._done) != {"detach", "float", "cpu"}:
            raise TypeError("Got unsupported ScalarType BFloat16")
        return self._array


def test_a_tensor_is_taken_off_its_card_and_made_numbers_that_numpy_knows() -> None:
    (image,) = images_of(Tensor(numpy.ones((1, 2, 2, 3), "float32")))
    assert opened(image.data).getpixel((0, 0)) == (255, 255, 255)


NO_BATCHES = [
    *(None, "text", 3, [[1.0]], {}, {"samples": 1}, object()),
    *(numpy.zeros((0, 4, 4, 3)), numpy.zeros((1, 4, 4, 2)), numpy.full((1, 4, 4, 3), "text")),
    [numpy.zeros((1, 4, 4, 3)), numpy.zeros((1, 5, 4, 3))],
    [[Tensor(numpy.zeros((4, 4, 3)))]],
    [[[[10**400]]]],
]


@pytest.mark.parametrize("batch", NO_BATCHES, ids=range(len(NO_BATCHES)))
def test_what_is_no_batch_is_told_so(batch: Any) -> None:
    with pytest.raises(BadInput, match=r"no batch of pictures.*Link an IMAGE\."):
        images_of(batch)


def test_files_become_a_batch_of_their_largest_size_with_borders_of_their_own_colour() -> None:
    batch = batch_of([png((4, 2), (255, 0, 0)), png((2, 3), (0, 255, 0))])
    assert batch.shape == (2, 3, 4, 3) and batch.dtype == numpy.float32
    assert (batch[0] == [1, 0, 0]).all() and (batch[1] == [0, 1, 0]).all()


def test_a_batch_that_went_to_files_and_came_back_is_the_same() -> None:
    batch = (numpy.arange(48) % 2).astype("float32").reshape(1, 4, 4, 3)
    assert (batch_of([image.data for image in images_of(batch)]) == batch).all()
