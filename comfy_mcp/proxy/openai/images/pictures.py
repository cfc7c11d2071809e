"""The pictures that an edit begins with: found in its form or its JSON, let in by the image gate, and stored.

Owns which parameter of a template each one is for. An address is fetched only where the settings allow it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from starlette.datastructures import FormData, UploadFile

from comfy_mcp import images
from comfy_mcp.errors import InvalidImage, InvalidParameter, NotFound, TooLarge
from comfy_mcp.jobs import Asset
from comfy_mcp.proxy.asking import picture_in
from comfy_mcp.workbench import Workbench
from comfy_mcp.workflows import Template

__all__ = ["Sent", "in_form", "in_json", "stored"]

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


Told = tuple[dict[str, Any], dict[str, list[Sent]]]
"""The other fields, and the pictures by their field, where `image` is the one that may hold several."""


async def in_form(form: FormData) -> Told:
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


def in_json(told: Mapping[str, Any]) -> Told:
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


async def stored(
    workbench: Workbench, owner: str, template: Template, sent: Mapping[str, Sequence[Sent]]
) -> dict[str, Asset]:
    """The pictures by parameter: those of `image` fill the template's in their order, and what is left over is not
    used; the mask, transparent where to paint, becomes one that is white there.

    Raises:
        InvalidParameter: one is missing, or the template has no place for it.
        InvalidImage, TooLarge: one is no picture that we take; the details name the field.
    """
    places = _placed(template, sent)
    found = {name: await _asset(workbench, owner, each) for name, each in places.items()}
    if "mask" in found:
        found["mask"] = await _mask(workbench, owner, places["mask"], found)
    return found


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


async def _asset(workbench: Workbench, owner: str, sent: Sent) -> Asset:
    try:
        if sent.named:
            return await workbench.picture(str(sent.content), owner)
        content = sent.content
        if isinstance(content, str):
            content = await picture_in(content, workbench.settings.max_body)
        if isinstance(content, str):
            return await workbench.upload_from(content, owner)
        return await workbench.upload(content, owner)
    except NotFound as failure:
        raise InvalidParameter(sent.field, failure.message, hint="Give the id of one of your own.") from None
    except (InvalidImage, TooLarge) as failure:
        failure.details.setdefault("parameter", sent.field)
        raise


async def _mask(workbench: Workbench, owner: str, sent: Sent, found: Mapping[str, Asset]) -> Asset:
    mask, image = found["mask"], found.get("image")
    if image is not None and (mask.width, mask.height) != (image.width, image.height):
        told = f"The mask is {mask.width}×{mask.height} pixels, the picture {image.width}×{image.height}."
        raise InvalidParameter("mask", told, hint="Send one of the same size.")
    try:
        white = await images.mask_in(await workbench.read(mask), inverted=True, only_alpha=True)
    except InvalidImage as failure:
        failure.details.setdefault("parameter", sent.field)
        raise
    return await workbench.upload(white, owner)
