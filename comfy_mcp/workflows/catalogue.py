"""All templates and styles of some folders. A folder that cannot be used is a diagnostic, never a crash.

Owns the finding, on disk and in the installed package. Later folders win, so that a person can replace a shipped one.
Used by the workbench, which loads it again when its fingerprint changes, and by the command line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from comfy_mcp.errors import NotFound, TemplateError, nearest
from comfy_mcp.workflows.styles import Style, read_styles
from comfy_mcp.workflows.template import Template, load_template

__all__ = ["Catalogue", "Diagnostic", "shipped_folder"]

Fingerprint = tuple[tuple[str, int, int], ...]
_STYLES, _FILES = "styles.toml", ("manifest.toml", "workflow.json")


def shipped_folder() -> Path:
    """Where the shipped templates are: inside the package when it is installed, beside it in a checkout."""
    package = Path(__file__).parent / "shipped"
    return package if package.is_dir() else Path(__file__).parents[2] / "workflows"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """``fatal`` means that the template or style is not there for anybody."""

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
        """Everything that can be used in these folders; of two with one id, that of the later folder.

        A folder that does not exist is empty: a person's own is made when the first template is written.
        """
        folders = tuple(folders)
        # Taken first: what changes while the files are read is then noticed the next time.
        seen = cls.fingerprint(folders)
        shelf = _Shelf()
        for folder in folders:
            shelf.add(folder, shipped=folder == shipped_folder())
        return cls(shelf.templates, shelf.styles, tuple(shelf.diagnostics), seen)

    @staticmethod
    def fingerprint(folders: Iterable[Path]) -> Fingerprint:
        """Changes when a file of a template or style is added, changed or removed."""
        found: list[tuple[str, int, int]] = []
        for folder in folders:
            places, _ = _folders_in(folder)
            for path in (folder / _STYLES, *(place / name for place in places for name in _FILES)):
                try:
                    status = path.stat()
                except OSError:
                    continue
                found.append((str(path), status.st_mtime_ns, status.st_size))
        return tuple(found)

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


@dataclass
class _Shelf:
    templates: dict[str, Template] = field(default_factory=dict[str, Template])
    styles: dict[str, Style] = field(default_factory=dict[str, Style])
    diagnostics: list[Diagnostic] = field(default_factory=list[Diagnostic])

    def add(self, folder: Path, *, shipped: bool) -> None:
        self._add_styles(folder)
        places, problem = _folders_in(folder)
        if problem:
            self.diagnostics.append(Diagnostic(folder.name, problem))
        for place in places:
            try:
                template = load_template(place, shipped=shipped)
            except TemplateError as failure:
                kept = " The other one of this id stays." if place.name in self.templates else ""
                self.diagnostics.append(Diagnostic(place.name, f"{failure}{kept}"))
                continue
            if template.id in self.templates:
                self._note_replaced(template.id)
            self.templates[template.id] = template

    def _add_styles(self, folder: Path) -> None:
        try:
            styles, problems = read_styles(folder / _STYLES)
        except TemplateError as failure:
            styles, problems = {}, [str(failure)]
        self.styles |= styles
        self.diagnostics += [Diagnostic("styles", problem) for problem in problems]

    def _note_replaced(self, name: str) -> None:
        what = "the shipped one" if self.templates[name].shipped else "that of an earlier folder"
        self.diagnostics.append(Diagnostic(name, f"Your own template replaces {what}.", fatal=False))


def _folders_in(folder: Path) -> tuple[list[Path], str]:
    """The template folders, and what is wrong when the folder is there but cannot be listed."""
    try:
        named = sorted(path for path in folder.iterdir() if not path.name.startswith((".", "_")))
        return [path for path in named if path.is_dir()], ""
    except FileNotFoundError:
        return [], ""
    except OSError as failure:
        return [], f"The folder cannot be read: {failure.strerror}."


def _not_found(what: str, name: str, known: Iterable[str]) -> NotFound:
    names = list(known)
    alike = nearest(name[:64], names) or names[:8]
    return NotFound(
        f"There is no {what} {name[:64]!r}.", hint=f"Nearest: {', '.join(alike)}." if alike else "", nearest=alike
    )
