"""The image and mask nodes, which work for real. Images are float32 [B, H, W, 3 or 4], masks [B, H, W], both 0..1."""

from __future__ import annotations

import hashlib
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps

from comfy_mcp.embedded.host import NOTICE, Host, to_image

__all__ = ["IMAGE_NODES"]

Array = NDArray[np.floating[Any]]
METHODS = ["nearest-exact", "bilinear", "area", "bicubic", "lanczos"]
_FILTERS = {
    "nearest-exact": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "area": Image.Resampling.BOX,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
SIDE = {"default": 512, "min": 1, "max": 16384, "step": 1}


def resized(images: Array, width: int, height: int, method: str) -> Array:
    parts = [to_image(array).resize((max(1, width), max(1, height)), _FILTERS[method]) for array in images]
    return np.stack([np.asarray(part, np.float32) / 255 for part in parts])


def mask_resized(mask: Array, width: int, height: int) -> Array:
    parts = [Image.fromarray((array * 255).astype(np.uint8)).resize((width, height)) for array in mask]
    return np.stack([np.asarray(part, np.float32) / 255 for part in parts])


class EmptyImage:
    CATEGORY, RETURN_TYPES, FUNCTION = "image", ("IMAGE",), "run"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "width": ("INT", SIDE),
                "height": ("INT", SIDE),
                "batch_size": ("INT", {"default": 1, "min": 1, "max": 4096}),
                "color": ("INT", {"default": 0, "min": 0, "max": 0xFFFFFF, "step": 1, "display": "color"}),
            }
        }

    def run(self, width: int, height: int, batch_size: int = 1, color: int = 0) -> tuple[Array]:
        rgb = np.array([color >> 16 & 255, color >> 8 & 255, color & 255], np.float32) / 255
        return (np.broadcast_to(rgb, (batch_size, height, width, 3)).astype(np.float32),)


class _Loader:
    host: Host
    NEEDS_HOST = True

    @classmethod
    def VALIDATE_INPUTS(cls, image: str, host: Host) -> bool | str:
        return True if host.input_file(image) is not None else f"Invalid image file: {image}"

    @classmethod
    def IS_CHANGED(cls, image: str, host: Host, **kwargs: Any) -> str:
        path = host.input_file(image)
        return hashlib.sha256(path.read_bytes()).hexdigest() if path else ""

    def open(self, image: str) -> Image.Image:
        path = self.host.input_file(image)
        if path is None:
            raise FileNotFoundError(f"Invalid image file: {image}")
        with Image.open(path, formats=("PNG", "JPEG", "WEBP", "GIF")) as opened:
            opened.load()
            return ImageOps.exif_transpose(opened)


class LoadImage(_Loader):
    CATEGORY, RETURN_TYPES, FUNCTION, DISPLAY_NAME = "image", ("IMAGE", "MASK"), "run", "Load Image"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"image": ("models:input", {"image_upload": True})}}

    def run(self, image: str) -> tuple[Array, Array]:
        picture = self.open(image)
        rgb = np.asarray(picture.convert("RGB"), np.float32) / 255
        mask = np.zeros((64, 64), np.float32)
        if "A" in picture.getbands():
            mask = 1 - np.asarray(picture.getchannel("A"), np.float32) / 255
        return rgb[None], mask[None]


class LoadImageMask(_Loader):
    CATEGORY, RETURN_TYPES, FUNCTION, DISPLAY_NAME = "mask", ("MASK",), "run", "Load Image (as Mask)"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        channels = ["alpha", "red", "green", "blue"]
        return {"required": {"image": ("models:input", {"image_upload": True}), "channel": (channels,)}}

    def run(self, image: str, channel: str) -> tuple[Array]:
        picture = self.open(image)
        if channel == "alpha":
            if "A" not in picture.getbands():
                return (np.zeros((1, 64, 64), np.float32),)
            return ((1 - np.asarray(picture.getchannel("A"), np.float32) / 255)[None],)
        plane = picture.convert("RGB").getchannel(channel[0].upper())
        return ((np.asarray(plane, np.float32) / 255)[None],)


class _Saver:
    host: Host
    NEEDS_HOST = OUTPUT_NODE = True
    RETURN_TYPES = ()

    def told(self, images: list[dict[str, str]]) -> dict[str, Any]:
        return {"ui": {"images": images, **({"notice": [NOTICE]} if self.host.procedural else {})}}


class SaveImage(_Saver):
    CATEGORY, FUNCTION, DISPLAY_NAME = "image", "run", "Save Image"
    DESCRIPTION = "Saves the input images to your ComfyUI output directory."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {"images": ("IMAGE", {}), "filename_prefix": ("STRING", {"default": "ComfyUI"})},
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"},
        }

    def run(self, images: Array, filename_prefix: str = "ComfyUI") -> dict[str, Any]:
        return self.told(self.host.save(images, "output", filename_prefix))


class PreviewImage(_Saver):
    CATEGORY, FUNCTION, DISPLAY_NAME = "image", "run", "Preview Image"
    DESCRIPTION = "Saves the input images to your ComfyUI output directory."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {"images": ("IMAGE",)},
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"},
        }

    def run(self, images: Array) -> dict[str, Any]:
        return self.told(self.host.save(images, "temp", "", compress=1))


class SaveImageWebsocket(_Saver):
    CATEGORY, FUNCTION = "api/image", "run"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"images": ("IMAGE",)}}

    @classmethod
    def IS_CHANGED(cls, **kwargs: Any) -> float:
        return float("nan")

    def run(self, images: Array) -> dict[str, Any]:
        for index, array in enumerate(images):
            self.host.on_frame(to_image(array))
            self.host.step(index + 1, len(images))
        return {}


class ImageScale:
    CATEGORY, RETURN_TYPES, FUNCTION, DISPLAY_NAME = "image/upscaling", ("IMAGE",), "run", "Upscale Image"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        side = {"default": 512, "min": 0, "max": 16384, "step": 1}
        return {
            "required": {
                "image": ("IMAGE",),
                "upscale_method": (METHODS,),
                "width": ("INT", side),
                "height": ("INT", side),
                "crop": (["disabled", "center"],),
            }
        }

    def run(self, image: Array, upscale_method: str, width: int, height: int, crop: str) -> tuple[Array]:
        old_height, old_width = image.shape[1:3]
        width = width or max(1, round(old_width * height / old_height))
        height = height or max(1, round(old_height * width / old_width))
        if crop == "center":
            scale = min(old_width / width, old_height / height)
            keep_w, keep_h = round(width * scale), round(height * scale)
            left, top = (old_width - keep_w) // 2, (old_height - keep_h) // 2
            image = image[:, top : top + keep_h, left : left + keep_w]
        return (resized(image, width, height, upscale_method),)


class ImageScaleBy:
    CATEGORY, RETURN_TYPES, FUNCTION, DISPLAY_NAME = "image/upscaling", ("IMAGE",), "run", "Upscale Image By"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        scale = {"default": 1.0, "min": 0.01, "max": 8.0, "step": 0.01}
        return {"required": {"image": ("IMAGE",), "upscale_method": (METHODS,), "scale_by": ("FLOAT", scale)}}

    def run(self, image: Array, upscale_method: str, scale_by: float) -> tuple[Array]:
        height, width = image.shape[1:3]
        return (resized(image, round(width * scale_by), round(height * scale_by), upscale_method),)


class ImageScaleToTotalPixels:
    CATEGORY, RETURN_TYPES, FUNCTION = "image/upscaling", ("IMAGE",), "run"
    DISPLAY_NAME = None

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        size = {"default": 1.0, "min": 0.01, "max": 16.0, "step": 0.01}
        return {"required": {"image": ("IMAGE",), "upscale_method": (METHODS,), "megapixels": ("FLOAT", size)}}

    def run(self, image: Array, upscale_method: str, megapixels: float) -> tuple[Array]:
        height, width = image.shape[1:3]
        scale = (megapixels * 1024 * 1024 / (width * height)) ** 0.5
        return (resized(image, round(width * scale), round(height * scale), upscale_method),)


class ImageInvert:
    CATEGORY, RETURN_TYPES, FUNCTION, DISPLAY_NAME = "image", ("IMAGE",), "run", "Invert Image"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"image": ("IMAGE",)}}

    def run(self, image: Array) -> tuple[Array]:
        return (1 - image,)


class ImageBatch:
    CATEGORY, RETURN_TYPES, FUNCTION, DISPLAY_NAME = "image", ("IMAGE",), "run", "Batch Images"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"image1": ("IMAGE",), "image2": ("IMAGE",)}}

    def run(self, image1: Array, image2: Array) -> tuple[Array]:
        if image1.shape[1:] != image2.shape[1:]:
            image2 = resized(image2, image1.shape[2], image1.shape[1], "bilinear")
        return (np.concatenate([image1, image2]),)


class ImageBlur:
    CATEGORY, RETURN_TYPES, FUNCTION, DISPLAY_NAME = "image/postprocessing", ("IMAGE",), "run", None

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "image": ("IMAGE",),
                "blur_radius": ("INT", {"default": 1, "min": 1, "max": 31, "step": 1}),
                "sigma": ("FLOAT", {"default": 1.0, "min": 0.1, "max": 10.0, "step": 0.1}),
            }
        }

    def run(self, image: Array, blur_radius: int, sigma: float) -> tuple[Array]:
        parts = [to_image(array).filter(ImageFilter.GaussianBlur(min(blur_radius, sigma * 3))) for array in image]
        return (np.stack([np.asarray(part, np.float32) / 255 for part in parts]),)


class ImageCompositeMasked:
    CATEGORY, RETURN_TYPES, FUNCTION = "image", ("IMAGE",), "run"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        place = {"default": 0, "min": 0, "max": 16384, "step": 1}
        return {
            "required": {
                "destination": ("IMAGE",),
                "source": ("IMAGE",),
                "x": ("INT", place),
                "y": ("INT", place),
                "resize_source": ("BOOLEAN", {"default": False}),
            },
            "optional": {"mask": ("MASK",)},
        }

    def run(
        self, destination: Array, source: Array, *, x: int, y: int, resize_source: bool, mask: Array | None = None
    ) -> tuple[Array]:
        found = destination.copy()
        height, width = found.shape[1:3]
        if resize_source:
            source = resized(source, width, height, "bilinear")
        part = source[:, : height - y, : width - x]
        rows, columns = part.shape[1:3]
        weight: Any = 1.0
        if mask is not None:
            whole = mask_resized(mask, source.shape[2], source.shape[1])
            weight = whole[:, :rows, :columns, None]
        target = found[:, y : y + rows, x : x + columns]
        found[:, y : y + rows, x : x + columns] = part * weight + target * (1 - weight)
        return (found,)


class MaskToImage:
    CATEGORY, RETURN_TYPES, FUNCTION, DISPLAY_NAME = "mask", ("IMAGE",), "run", "Convert Mask to Image"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"mask": ("MASK",)}}

    def run(self, mask: Array) -> tuple[Array]:
        return (np.repeat(mask[..., None], 3, -1),)


class ImageToMask:
    CATEGORY, RETURN_TYPES, FUNCTION, DISPLAY_NAME = "mask", ("MASK",), "run", "Convert Image to Mask"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"image": ("IMAGE",), "channel": (["red", "green", "blue", "alpha"],)}}

    def run(self, image: Array, channel: str) -> tuple[Array]:
        return (image[..., ["red", "green", "blue", "alpha"].index(channel)],)


class InvertMask:
    CATEGORY, RETURN_TYPES, FUNCTION = "mask", ("MASK",), "run"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"mask": ("MASK",)}}

    def run(self, mask: Array) -> tuple[Array]:
        return (1 - mask,)


class GrowMask:
    CATEGORY, RETURN_TYPES, FUNCTION, DISPLAY_NAME = "mask", ("MASK",), "run", "GrowMask"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "mask": ("MASK",),
                "expand": ("INT", {"default": 0, "min": -16384, "max": 16384, "step": 1}),
                "tapered_corners": ("BOOLEAN", {"default": True}),
            }
        }

    def run(self, mask: Array, expand: int, tapered_corners: bool) -> tuple[Array]:
        kind = ImageFilter.MaxFilter if expand > 0 else ImageFilter.MinFilter
        parts: list[Any] = []
        for array in mask:
            picture = Image.fromarray((array * 255).astype(np.uint8))
            for _ in range(min(abs(expand), 64)):
                picture = picture.filter(kind(3))
            parts.append(np.asarray(picture, np.float32) / 255)
        return (cast(Array, np.stack(parts)),)


class SolidMask:
    CATEGORY, RETURN_TYPES, FUNCTION = "mask", ("MASK",), "run"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        value = {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.01}
        return {"required": {"value": ("FLOAT", value), "width": ("INT", SIDE), "height": ("INT", SIDE)}}

    def run(self, value: float, width: int, height: int) -> tuple[Array]:
        return (np.full((1, height, width), value, np.float32),)


IMAGE_NODES = {
    cls.__name__: cls
    for cls in (
        EmptyImage, LoadImage, LoadImageMask, SaveImage, PreviewImage, SaveImageWebsocket, ImageScale, ImageScaleBy,
        ImageScaleToTotalPixels, ImageInvert, ImageBatch, ImageBlur, ImageCompositeMasked, MaskToImage, ImageToMask,
        InvertMask, GrowMask, SolidMask,
    )
}  # fmt: skip
