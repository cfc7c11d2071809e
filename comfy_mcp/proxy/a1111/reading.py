"""A request of A1111's txt2img or img2img, read as what our template takes.

Owns which of its keys mean what (`modules/api/models.py`). A key that means nothing here is ignored; what would have
changed the picture and cannot be had is noted for the answer. Values are checked where all values are, on submitting.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from comfy_mcp.errors import InvalidParameter
from comfy_mcp.proxy.a1111.names import from_a1111
from comfy_mcp.proxy.a1111.offers import Offers, without_hash
from comfy_mcp.proxy.a1111.prompts import without_networks
from comfy_mcp.workflows import Style

__all__ = ["MOST_PICTURES", "Wanted", "read"]

MOST_PICTURES = 16
"""Of one request, as in A1111's own form."""

_SAME = {
    "prompt": "prompt",
    "negative_prompt": "negative",
    "seed": "seed",
    "steps": "steps",
    "cfg_scale": "cfg",
    "width": "width",
    "height": "height",
}
_NEVER_AS_IT_IS = ("batch", "sampler", "scheduler")
_MEGAPIXEL, _MOST_SIDE, _MOST_DIGITS = 1024 * 1024, 65_535, 20
_CANNOT = {
    "enable_hr": "enable_hr was left out: the workflow {template} has no second pass.",
    "restore_faces": "restore_faces was left out: the workflow {template} does not restore faces.",
    "tiling": "tiling was left out: the workflow {template} makes no tiles.",
    "script_name": "The script was left out: what is done is up to the workflow {template}.",
    "alwayson_scripts": "alwayson_scripts were left out: what is done is up to the workflow {template}.",
}


@dataclass(slots=True)
class Wanted:
    """Values by parameter of the template, not yet checked, for each of ``runs`` jobs; and what was left out."""

    values: dict[str, Any] = field(default_factory=dict[str, Any])
    style: str | None = None
    runs: int = 1
    notes: list[str] = field(default_factory=list[str])


def read(body: Mapping[str, Any], offers: Offers, styles: Mapping[str, Style], remembered: str | None) -> Wanted:
    """What is wanted of the template. ``remembered`` is the checkpoint that its owner chose before.

    Raises:
        InvalidParameter: more than 16 pictures, or a number of them that is none.
    """
    wanted, template = Wanted(), offers.template
    # Workflows of people's own may well have parameters that A1111 has no word for.
    given = {name: value for name, value in body.items() if value is not None}
    others = template.parameters.keys() - {*template.pictures, *_NEVER_AS_IT_IS}
    wanted.values |= {name: value for name, value in given.items() if name in others}
    wanted.values |= {ours: given[theirs] for theirs, ours in _SAME.items() if theirs in given}
    wanted.values.setdefault("prompt", "")
    if (seed := _whole(given.get("seed"))) is not None:
        wanted.values["seed"] = seed
    _read_number_of_pictures(body, offers, wanted)
    _read_redrawing(body, offers, wanted)
    _read_sampling(body, offers, wanted)
    _read_settings(body, offers, wanted, remembered)
    _read_styles(body, offers, styles, wanted)
    _read_networks(offers, wanted)
    for key, told in _CANNOT.items():
        if key not in template.parameters and body.get(key):
            wanted.notes.append(told.format(template=template.id))
    known = template.parameters
    wanted.values = {name: value for name, value in wanted.values.items() if name in known and value is not None}
    return wanted


def _read_number_of_pictures(body: Mapping[str, Any], offers: Offers, wanted: Wanted) -> None:
    batch, runs = _count(body, "batch_size"), _count(body, "n_iter")
    if batch * runs > MOST_PICTURES:
        raise InvalidParameter("batch_size", "These are too many pictures.", hint=f"Ask for at most {MOST_PICTURES}.")
    one_by_one = "batch" not in offers.template.parameters
    wanted.runs = runs * batch if one_by_one else runs
    wanted.values["batch"] = None if body.get("batch_size") is None else batch


def _count(body: Mapping[str, Any], name: str) -> int:
    if body.get(name) in (None, ""):
        return 1
    count = _whole(body[name])
    if count is None or count < 1:
        raise InvalidParameter(name, f"{name} is no number of pictures.", hint="Give a whole number from 1 on.")
    return count


def _whole(value: Any) -> int | None:
    if isinstance(value, str) and len(value) <= _MOST_DIGITS and value.strip().isdecimal():
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _read_redrawing(body: Mapping[str, Any], offers: Offers, wanted: Wanted) -> None:
    """How much of a picture is painted anew, and how large. In txt2img, `denoising_strength` belongs to A1111's second
    pass: as the denoising of the first, it would spoil the picture."""
    parameters = offers.template.parameters
    if not offers.template.pictures:
        return
    if body.get("denoising_strength") is not None:
        wanted.values["denoise"] = body["denoising_strength"]
    size, width, height = parameters.get("megapixels"), _whole(body.get("width")), _whole(body.get("height"))
    if size is None or "megapixels" in wanted.values or width is None or height is None:
        return
    if 0 < width <= _MOST_SIDE and 0 < height <= _MOST_SIDE:
        fitting = max(width * height / _MEGAPIXEL, size.min or 0.0)
        wanted.values["megapixels"] = round(fitting if size.max is None else min(fitting, size.max), 6)


def _read_sampling(body: Mapping[str, Any], offers: Offers, wanted: Wanted) -> None:
    sampler = _text(body.get("sampler_name")) or _text(body.get("sampler_index"))
    asked = {"sampler": sampler, "scheduler": _text(body.get("scheduler"))}
    for name, own in zip(asked, from_a1111(sampler, asked["scheduler"]), strict=True):
        wanted.values[name] = offers.match(name, own) if own else None
        if asked[name] and own and wanted.values[name] is None:
            wanted.notes.append(f"The {name} {asked[name][:64]!r} is not to be had here; the default was taken.")


def _read_settings(body: Mapping[str, Any], offers: Offers, wanted: Wanted, remembered: str | None) -> None:
    told = body.get("override_settings")
    settings = cast("dict[str, Any]", told) if isinstance(told, dict) else {}
    checkpoint, vae = _text(settings.get("sd_model_checkpoint")), _text(settings.get("sd_vae"))
    if offers.model is not None:
        # One that the request itself names is refused where it is not to be had: any other makes another picture.
        named = without_hash(checkpoint)
        wanted.values[offers.model] = (offers.match(offers.model, named) or named) if named else None
        if not named and remembered:
            wanted.values[offers.model] = offers.match(offers.model, remembered)
            if wanted.values[offers.model] is None:
                wanted.notes.append(f"The checkpoint {remembered!r} is gone; the default was taken.")
    elif checkpoint:
        wanted.notes.append(f"The checkpoint was left out: the workflow {offers.template.id} takes none.")
    if vae and vae.casefold() not in ("automatic", "none"):
        wanted.values["vae"] = offers.match("vae", vae)
        if wanted.values["vae"] is None:
            wanted.notes.append(f"The VAE {vae[:64]!r} is not to be had here; that of the workflow was taken.")


def _read_styles(body: Mapping[str, Any], offers: Offers, styles: Mapping[str, Style], wanted: Wanted) -> None:
    told = body.get("styles")
    listed = cast("list[Any]", told) if isinstance(told, list) else [told]
    by_name = {title.casefold(): name for name, style in styles.items() for title in (style.title, name)}
    for each in listed[:MOST_PICTURES]:
        text = _text(each)
        name = by_name.get(text.casefold())
        if name is not None and wanted.style is None and offers.template.takes_style:
            wanted.style = name
        elif text:
            reason = "is unknown" if name is None else "was left out: a picture has one style at most"
            wanted.notes.append(f"The style {text[:64]!r} {reason}.")


def _read_networks(offers: Offers, wanted: Wanted) -> None:
    """The first LoRA that the words name and the template can take; all others are noted."""
    if not isinstance(wanted.values["prompt"], str):
        return
    wanted.values["prompt"], found = without_networks(wanted.values["prompt"])
    taken = False
    for each in found[:MOST_PICTURES]:
        lora = None if taken else offers.match("lora", each.name)
        if lora is None:
            wanted.notes.append(f"The LoRA {each.name[:64]!r} was left out: the workflow does not take it.")
            continue
        taken = True
        wanted.values |= {"lora": lora, "lora_strength": each.strength}


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""
