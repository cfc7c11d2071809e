"""The procedural painter: a deterministic picture from a prompt and the settings of a sampler. Not a diffusion model.

Owns the picture and nothing else. The words choose palette and scenery; seed, sampler, scheduler, cfg, negative prompt
and checkpoint each shift it; every step refines it. Arrays are float32, [height, width, 3], 0..1.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

__all__ = ["Brief", "paint"]

Picture = NDArray[np.floating[Any]]

_WORD = re.compile(r"[^\W\d_]+", re.UNICODE)
_PALETTES: dict[str, tuple[str, str, str, str]] = {
    # sky above, sky at the horizon, far land, near land
    "sunset": ("2b2d5b", "ff9e5e", "7a3b5d", "2a1a2e"),
    "sunrise": ("6f8fcf", "ffd3a5", "8a6f8f", "3a3348"),
    "dusk": ("1f2a52", "d98c8c", "4d3f66", "1d1830"),
    "night": ("070b1f", "24345f", "18233f", "080c18"),
    "storm": ("2f3844", "8a97a3", "46525c", "1f262c"),
    "forest": ("9cc5c9", "e9efcf", "4f7a52", "1f3b27"),
    "autumn": ("a9c0cf", "f6e3bd", "b5652b", "5a2a16"),
    "snow": ("8fb0d6", "eef4fb", "c3d3e6", "8194b0"),
    "desert": ("6fb2d8", "fbe6bf", "d9a05f", "8f5430"),
    "sea": ("5fa3d6", "d7eef5", "3f7fa6", "173e5c"),
    "city": ("2a3558", "c8a2b5", "3d4263", "171a2c"),
    "space": ("04050f", "2c1b4b", "3b2a63", "0c0a1c"),
    "fire": ("2a0d0b", "ff7a2f", "7f1f12", "220a08"),
    "spring": ("8cc7ea", "f8e6ee", "7fb567", "2f6a38"),
    "neon": ("0b0620", "ff3fa4", "2a1a6e", "0a0618"),
    "day": ("4f97d9", "dcefFb", "6d9a63", "33562f"),
}
_WORDS = {
    "evening": "sunset", "golden": "sunset", "warm": "sunset", "morning": "sunrise", "dawn": "sunrise",
    "twilight": "dusk", "moon": "night", "moonlight": "night", "star": "night", "stars": "night", "dark": "night",
    "rain": "storm", "cloudy": "storm", "fog": "storm", "mist": "storm", "tree": "forest", "trees": "forest",
    "fox": "autumn", "leaves": "autumn", "winter": "snow", "ice": "snow", "mountain": "snow", "mountains": "snow",
    "sand": "desert", "dune": "desert", "dunes": "desert", "ocean": "sea", "beach": "sea", "lake": "sea",
    "river": "sea", "boat": "sea", "wave": "sea", "waves": "sea", "lighthouse": "sea", "street": "city",
    "tower": "city", "house": "day", "castle": "dusk", "planet": "space", "galaxy": "space", "nebula": "space",
    "lava": "fire", "volcano": "fire", "dragon": "fire", "flower": "spring", "flowers": "spring", "garden": "spring",
    "meadow": "spring", "cat": "spring", "dog": "day", "bird": "day", "cyberpunk": "neon", "robot": "neon",
}  # fmt: skip
_MOTIFS = {
    "sea": {"sea", "ocean", "beach", "lake", "river", "boat", "wave", "waves", "lighthouse", "island", "harbour"},
    "towers": {"city", "street", "tower", "towers", "house", "houses", "castle", "lighthouse", "cyberpunk", "village"},
    "trees": {"forest", "tree", "trees", "garden", "wood", "jungle", "fox", "autumn", "park", "meadow", "spring"},
    "stars": {"night", "star", "stars", "space", "galaxy", "nebula", "planet", "moon"},
    "snow": {"snow", "winter", "ice", "blizzard"},
}
_COLOURS = {
    "red": "d8342c", "blue": "2c62d8", "green": "2f9e4a", "yellow": "f2c62e", "orange": "f28a2e", "purple": "7d3cc9",
    "pink": "f27ab5", "white": "f4f4f0", "black": "16161a", "brown": "7a4f2c", "teal": "1f9e9a", "gold": "d9ab3a",
    "grey": "8a8f98", "gray": "8a8f98", "silver": "c0c6cf", "turquoise": "2ec7c0", "crimson": "b3122f",
}  # fmt: skip


@dataclass(frozen=True)
class Brief:
    """Everything that decides a picture."""

    prompt: str = ""
    negative: str = ""
    seed: int = 0
    steps: int = 20
    cfg: float = 8.0
    sampler: str = "euler"
    scheduler: str = "normal"
    model: str = ""


def paint(brief: Brief, width: int, height: int) -> Iterator[Picture]:
    """One picture per step, each finer than the one before; the last is the result."""
    scene = _Scene(brief, width, height)
    final = scene.compose()
    noise = scene.random.standard_normal((height, width, 3), dtype=np.float32)
    steps = max(1, brief.steps)
    for step in range(1, steps + 1):
        if step == steps:
            yield final
        else:
            left = (1 - step / steps) ** 1.5
            rough = _coarse(final, max(1, round(16 * left)))
            yield np.clip(rough + noise * (0.35 * left), 0, 1)


def _number(*parts: object) -> int:
    return int.from_bytes(hashlib.sha256(repr(parts).encode("utf-8", "replace")).digest()[:8], "big")


def _colour(code: str) -> Picture:
    return np.array([int(code[at : at + 2], 16) / 255 for at in (0, 2, 4)], dtype=np.float32)


def _coarse(picture: Picture, block: int) -> Picture:
    height, width = picture.shape[:2]
    small = picture[::block, ::block]
    return np.repeat(np.repeat(small, block, 0), block, 1)[:height, :width]


class _Scene:
    def __init__(self, brief: Brief, width: int, height: int) -> None:
        self.brief, self.width, self.height = brief, width, height
        self.words = [word.lower() for word in _WORD.findall(brief.prompt)]
        self.refused = {word.lower() for word in _WORD.findall(brief.negative)}
        self.random = np.random.default_rng(_number(brief.seed, brief.prompt, brief.model))
        self.y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
        self.x = np.linspace(0, 1, width, dtype=np.float32)[None, :]
        self.horizon = float(self.random.uniform(0.52, 0.66))
        self.sun = float(self.random.uniform(0.2, 0.8))

    def has(self, motif: str) -> bool:
        return any(word in _MOTIFS[motif] and word not in self.refused for word in self.words)

    def palette(self) -> list[Picture]:
        named = [_WORDS.get(word, word) for word in self.words if word not in self.refused]
        known = [name for name in named if name in _PALETTES]
        # The time of day colours a scene more than its things do.
        first = [name for name in known if name in ("sunset", "sunrise", "dusk", "night", "storm", "neon", "snow")]
        name = (first or known or [sorted(_PALETTES)[_number(self.brief.prompt) % len(_PALETTES)]])[0]
        colours = [_colour(code) for code in _PALETTES[name]]
        wanted = [_colour(_COLOURS[word]) for word in self.words if word in _COLOURS and word not in self.refused]
        for at, colour in enumerate(wanted[:3]):
            colours[(1, 2, 0)[at]] = colours[(1, 2, 0)[at]] * 0.45 + colour * 0.55
        return colours

    def noise(self, scale: float, octaves: int = 5) -> Picture:
        """Smooth fractal noise, [height, width], about 0..1."""
        total = np.zeros((self.height, self.width), np.float32)
        weight, sum_of_weights = 1.0, 0.0
        for octave in range(octaves):
            cells = max(2, round(scale * 2**octave))
            grid = self.random.random((cells + 2, cells + 2), dtype=np.float32)
            total += weight * self._stretched(grid, cells)
            sum_of_weights, weight = sum_of_weights + weight, weight * 0.5
        return total / sum_of_weights

    def _stretched(self, grid: Picture, cells: int) -> Picture:
        ys, xs = self.y[:, 0] * cells, self.x[0] * cells
        y0, x0 = ys.astype(int), xs.astype(int)
        fy, fx = (ys - y0)[:, None], (xs - x0)[None, :]
        fy, fx = fy * fy * (3 - 2 * fy), fx * fx * (3 - 2 * fx)
        rows = grid[y0] * (1 - fy) + grid[y0 + 1] * fy
        return rows[:, x0] * (1 - fx) + rows[:, x0 + 1] * fx

    def ridge(self, base: float, rough: float, scale: float) -> Picture:
        """The height of a line of hills over the width, as y of 0..1 (0 is the top)."""
        line: Picture = np.zeros(self.width, np.float32)
        for octave in range(6):
            cells = max(2, round(scale * 2**octave))
            points = self.random.standard_normal(cells + 2).astype(np.float32)
            heights = cast(Picture, np.interp(self.x[0] * cells, np.arange(cells + 2), points))  # pyright: ignore[reportUnknownMemberType]
            line = line + heights * 0.5**octave
        return base + rough * line

    def compose(self) -> Picture:
        above, at_horizon, far, near = self.palette()
        ground = np.clip(self.y / self.horizon, 0, 1)[..., None] ** 1.3
        picture = above * (1 - ground) + at_horizon * ground + np.zeros((self.height, self.width, 1), np.float32)
        picture = self._light(picture, at_horizon)
        picture = self._clouds(picture, at_horizon)
        picture = self._land(picture, far, near, at_horizon)
        return self._finish(picture)

    def _light(self, picture: Picture, glow: Picture) -> Picture:
        cx, cy = self.sun, self.random.uniform(0.18, self.horizon * 0.85)
        ratio = self.width / self.height
        distance = np.sqrt(((self.x - cx) * ratio) ** 2 + (self.y - cy) ** 2)
        radius = self.random.uniform(0.035, 0.07)
        disc = np.clip((radius - distance) / 0.004, 0, 1)[..., None]
        halo = np.exp(-distance / 0.18)[..., None] * 0.5
        warm = np.clip(glow * 0.5 + 0.55, 0, 1)
        if self.has("stars"):
            sparks = (self.random.random((self.height, self.width)) > 0.9985)[..., None] * (self.y < self.horizon)[
                ..., None
            ]
            picture = np.maximum(picture, sparks.astype(np.float32) * self.random.uniform(0.6, 1.0))
        return picture * (1 - halo) + warm * halo + disc * (warm - picture) * 0.9

    def _clouds(self, picture: Picture, colour: Picture) -> Picture:
        drift = self.noise(3)
        mask = np.clip((drift - 0.5) * 3.2, 0, 0.75) * np.clip(1.15 - self.y / self.horizon, 0, 1)
        light = np.clip(colour * 0.6 + 0.45, 0, 1)
        return picture * (1 - mask[..., None]) + light * mask[..., None]

    def _land(self, picture: Picture, far: Picture, near: Picture, haze: Picture) -> Picture:
        layers = 5
        for layer in range(layers):
            depth = layer / (layers - 1)
            if self.has("sea") and 0.2 < depth < 0.9:
                if layer == 1:
                    picture = self._sea(picture, far, haze)
                continue
            base = self.horizon - 0.1 + 0.42 * depth
            line = self.ridge(base, 0.075 * (1 - 0.5 * depth), 2 + 2 * layer)
            colour = far * (1 - depth) + near * depth
            colour = colour * (0.45 + 0.55 * depth) + haze * (0.55 - 0.55 * depth)
            if self.has("snow"):
                colour = colour * 0.5 + 0.5 * (1 - 0.35 * depth)
            if self.has("towers") and layer in (1, 3):
                line = self._with_towers(line, depth)
            if self.has("trees") and layer >= 2:
                line = self._with_trees(line, depth)
            mask = np.clip((self.y - line[None, :]) * self.height / 1.5, 0, 1)[..., None]
            shade = 1 - 0.35 * np.clip(self.y - line[None, :], 0, 1)[..., None]
            picture = picture * (1 - mask) + colour * shade * mask
        return picture

    def _sea(self, picture: Picture, colour: Picture, haze: Picture) -> Picture:
        below = np.clip((self.y - self.horizon) * self.height / 1.5, 0, 1)[..., None]
        depth = np.clip((self.y - self.horizon) / (1 - self.horizon), 0, 1)
        # Rows crowd together towards the horizon, as they do for the eye.
        rows = 1.0 / (depth + 0.08)
        wave = np.sin(rows * 22 + self.noise(5) * 9 + np.sin(self.x * 9) * 0.6)
        water = colour * (1.05 - 0.5 * depth[..., None]) + haze * (0.28 * (1 - depth))[..., None]
        water = water + (np.clip(wave, 0.35, 1) - 0.35)[..., None] * (0.10 + 0.16 * haze)
        glitter = np.exp(-(((self.x - self.sun) / (0.03 + 0.16 * depth)) ** 2)) * np.clip(wave + 0.4, 0, 1)
        water = water + (0.45 * glitter)[..., None] * haze
        return picture * (1 - below) + water * below

    def _with_towers(self, line: Picture, depth: float) -> Picture:
        found = line.copy()
        for _ in range(int(self.random.integers(3, 9))):
            left, width = self.random.uniform(0, 0.95), self.random.uniform(0.015, 0.05) * (0.6 + depth)
            tall = self.random.uniform(0.06, 0.3) * (0.5 + 0.5 * depth)
            where = (self.x[0] >= left) & (self.x[0] <= left + width)
            if where.any():
                found[where] = np.minimum(found[where], found[where].mean() - tall)
        return found

    def _with_trees(self, line: Picture, depth: float) -> Picture:
        found = line.copy()
        for _ in range(int(20 + 40 * depth)):
            centre, width = self.random.uniform(0, 1), self.random.uniform(0.006, 0.016) * (0.6 + depth)
            tall = self.random.uniform(0.04, 0.12) * (0.5 + depth)
            shape = np.clip(1 - np.abs(self.x[0] - centre) / width, 0, 1)
            found = np.minimum(found, line - tall * shape)
        return found

    def _finish(self, picture: Picture) -> Picture:
        """The settings of the sampler as a darkroom would have them: contrast, tint, grain, vignette."""
        brief = self.brief
        contrast = 0.85 + 0.035 * min(brief.cfg, 14.0)
        picture = (picture - 0.5) * contrast + 0.5
        tint = np.random.default_rng(_number(brief.sampler, brief.scheduler, brief.negative)).uniform(-0.02, 0.02, 3)
        detail = (self.noise(24, 3) - 0.5)[..., None] * (0.02 + 0.05 * min(brief.steps, 40) / 40)
        edge = 1 - 0.35 * (((self.x - 0.5) ** 2 + (self.y - 0.5) ** 2)[..., None] * 1.6)
        return np.clip((picture + tint.astype(np.float32) + detail) * edge, 0, 1).astype(np.float32)
