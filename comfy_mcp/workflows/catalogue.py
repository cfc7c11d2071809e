"""All templates and styles of some folders. A folder that cannot be used is a diagnostic, never a crash.

Owns the finding, on disk and in the installed package. Later folders win, so that a person can replace a shipped one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from comfy_mcp.errors import NotFound, TemplateError, nearest
from comfy_mcp.workflows.styles import Style, load_styles
from comfy_mcp.workflows.template import Template, load_template

__all__ = ["Catalogue", "Diagnostic", "shipped_folder"]

Fingerprint = tuple[tuple[str, int], ...]


def shipped_folder() -> Path:
    """Where the shipped templates are: inside the package when it is installed, beside it in a checkout."""
    package = Path(__file__).parent / "shipped"
    return package if package.is_dir() else Path(__file__).parents[2] / "workflows"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """``fatal`` means that the template or style file is not there for anybody."""

    template: str
    told: str
    fatal: bool = True

    def __str__(self) -> str:
        return f"{self.template}: {self.told}"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What could be loaded, and what could not. Make it with `load`."""

    templates: Mapping[str, Template]
    styles: Mapping[str, Style]
    diagnostics: Sequence[Diagnostic]
    fingerprint_seen: Fingerprint = ()

    @classmethod
    def load(cls, folders: Iterable[Path]) -> Catalogue:
        folders = tuple(folders)
        seen = cls.fingerprint(folders)
        templates: dict[str, Template] = {}
        styles: dict[str, Style] = {}
        told: list[Diagnostic] = []
        for folder in folders:
            shipped = folder == shipped_folder()
            try:
                styles |= load_styles(folder / "styles.toml")
            except TemplateError as failure:
                told.append(Diagnostic("styles", str(failure)))
            for place in _folders_in(folder):
                try:
                    template = load_template(place, shipped=shipped)
                except TemplateError as failure:
                    told.append(Diagnostic(place.name, str(failure)))
                    continue
                if template.id in templates:
                    told.append(Diagnostic(template.id, "Your own template replaces this one.", fatal=False))
                templates[template.id] = template
        return cls(templates, styles, tuple(told), seen)

    @staticmethod
    def fingerprint(folders: Iterable[Path]) -> Fingerprint:
        """Changes when a file of a template or style is added, changed or removed."""
        files = [
            path
            for folder in folders
            for place in (folder, *_folders_in(folder))
            for path in (place / "manifest.toml", place / "workflow.json", place / "styles.toml")
        ]
        return tuple((str(path), path.stat().st_mtime_ns) for path in files if path.is_file())

    def get(self, name: str) -> Template:
        """The template of this id. Raises NotFound with the nearest ids."""
        if name not in self.templates:
            raise _not_found("template", name, self.templates)
        return self.templates[name]

    def style(self, name: str) -> Style:
        """The style of this id. Raises NotFound with the nearest ids."""
        if name not in self.styles:
            raise _not_found("style", name, self.styles)
        return self.styles[name]


def _folders_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "_")))


def _not_found(what: str, name: str, known: Iterable[str]) -> NotFound:
    names = list(known)
    alike = nearest(name, names) or names[:8]
    return NotFound(
        f"There is no {what} {name[:64]!r}.", hint=f"Nearest: {', '.join(alike)}." if alike else "", nearest=alike
    )
