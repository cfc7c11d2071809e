"""The pictures that an edit begins with: found in its form or its JSON, and given to the jobs that it asks for.

Owns which parameter of a template each one is for. An address is fetched only where the settings allow it.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

from starlette.datastructures import FormData, UploadFile

from comfy_mcp import images
from comfy_mcp.errors import InvalidImage, InvalidParameter, NotFound, TooLarge
from comfy_mcp.jobs import Asset, JobRequest
from comfy_mcp.proxy.asking import picture_in
from comfy_mcp.proxy.pictures import Kept, Sending, not_enlarged, with_pictures
from comfy_mcp.workbench import Workbench
from comfy_mcp.workflows import Template

__all__ = ["Edit", "Sent", "in_form", "in_json", "sending"]

_MOST = 16
_FIELDS = ("image", "images")


@dataclass(frozen=True, slots=True)
class Sent:
    """A picture as it came: its bytes, or a text that is an address, base64, or (``named``) the id of an earlier one.

    ``field`` is the name that a refusal gives.
    """

    field: str
    content: bytes | str
    named: bool = False


Edit = tuple[dict[str, Any], dict[str, list[Sent]]]
"""The other fields, and the pictures by their field, where `image` is the one that may hold several."""


async def in_form(form: FormData) -> Edit:
    """The fields of a form, `image[]` for `image`. Raises InvalidParameter for one that is given twice."""
    fields: dict[str, Any] = {}
    sent: dict[str, list[Sent]] = {}
    for name, value in form.multi_items():
        field = name.removesuffix("[]")
        if isinstance(value, UploadFile):
            sent.setdefault(field, []).append(Sent(field, await value.read()))
        elif field in ("image", "mask"):
            sent.setdefault(field, []).append(Sent(field, value))
        elif name in fields:
            raise InvalidParameter(name[:64], f"{name[:64]} is given twice.", hint="Give every field once.")
        else:
            fields[name] = value
    return fields, sent


def in_json(told: Mapping[str, Any]) -> Edit:
    """The fields of a JSON body; pictures are texts or, as OpenAI has them, `{"image_url": …}` and `{"file_id": …}`."""
    sent: dict[str, list[Sent]] = {}
    for field in (*_FIELDS, "mask"):
        value = told.get(field)
        if value is not None:
            listed = cast("list[Any]", value) if isinstance(value, list) else [value]
            sent.setdefault("mask" if field == "mask" else "image", []).extend(_sent(field, each) for each in listed)
    return {name: value for name, value in told.items() if name not in (*_FIELDS, "mask")}, sent


def _sent(field: str, value: Any) -> Sent:
    match value:
        case str() as text if text:
            return Sent(field, text)
        case {"image_url": str() as text} | {"image_url": {"url": str() as text}} if text:
            return Sent(field, text)
        case {"file_id": str() as name} if name:
            return Sent(field, name, named=True)
        case _:
            hint = 'Give base64, a data URL, {"image_url": …}, or {"file_id": …} with the id of an earlier picture.'
            raise InvalidParameter(field, f"{field} holds no picture.", hint=hint)


async def sending(
    workbench: Workbench, template: Template, sent: Mapping[str, Sequence[Sent]], asked: Sequence[JobRequest]
) -> Sending:
    """The pictures by parameter: those of `image` fill the template's in their order, and what is left over is not
    used; the mask, transparent where to paint, becomes one that is white there.

    Raises, also when they are taken:
        InvalidParameter: one is missing, or the template has no place for it.
        InvalidImage, TooLarge: one is no picture that we take; the details name the field.
    """
    places = _placed(template, sent)
    for name, each in places.items():
        with _naming(each.field):
            places[name] = await _decoded(each, workbench.settings.max_body)

    async def complete(kept: Kept) -> list[JobRequest]:
        found: dict[str, Asset] = {}
        for name in sorted(places, key="mask".__eq__):
            with _naming(places[name].field):
                found[name] = await _kept(workbench, asked[0].owner, kept, places[name], found.get("image"))
        first = found[template.pictures[0]]
        return [not_enlarged(with_pictures(each, found), template, first) for each in asked]

    return Sending(tuple(places), complete)


def _placed(template: Template, sent: Mapping[str, Sequence[Sent]]) -> dict[str, Sent]:
    several = sent.get("image", ())
    slots = [name for name in template.pictures if template.parameters[name].type == "image"]
    if not several:
        raise InvalidParameter("image", "image is missing.", hint="Send the picture that is to be changed.")
    if len(several) > _MOST:
        raise InvalidParameter("image", f"There are {len(several)} pictures.", hint=f"Send at most {_MOST}.")
    if not slots:
        hint = "Name another workflow as the model, or set images.img2img."
        raise InvalidParameter("image", f"{template.id} takes no picture.", hint=hint)
    places = dict(zip(slots, several, strict=False))
    for field, each in sent.items():
        if field != "image":
            if field not in template.pictures:
                raise InvalidParameter(field[:64], f"{template.id} takes no {field[:64]}.", hint="Leave it out.")
            places[field] = each[0]
    return places


@contextmanager
def _naming(field: str) -> Generator[None]:
    """A refusal tells which field it is about."""
    try:
        yield
    except (InvalidImage, TooLarge) as failure:
        failure.details.setdefault("parameter", field)
        raise


async def _decoded(sent: Sent, most: int) -> Sent:
    if sent.named or isinstance(sent.content, bytes):
        return sent
    return replace(sent, content=await picture_in(sent.content, most))


async def _kept(workbench: Workbench, owner: str, kept: Kept, sent: Sent, image: Asset | None) -> Asset:
    """The picture as an input; if it is the mask, of this ``image``."""
    earlier = await _earlier(workbench, owner, sent)
    if sent.field != "mask":
        return earlier or await kept.keep(sent.content)
    data = await kept.data_of(sent.content) if earlier is None else await workbench.read(earlier)
    mask = await images.accept_upload(data)
    if image is not None and (mask.width, mask.height) != (image.width, image.height):
        told = f"The mask is {mask.width}×{mask.height} pixels, the picture {image.width}×{image.height}."
        raise InvalidParameter("mask", told, hint="Send one of the same size.")
    return await kept.keep(await images.mask_in(mask.data, inverted=True, only_alpha=True))


async def _earlier(workbench: Workbench, owner: str, sent: Sent) -> Asset | None:
    try:
        return await workbench.picture(str(sent.content), owner) if sent.named else None
    except NotFound as failure:
        raise InvalidParameter(sent.field, failure.message, hint="Give the id of one of your own.") from None
