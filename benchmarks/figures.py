"""One line of a table of figures: what was measured, the value, and the target where there is one."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Figure"]


@dataclass(frozen=True, slots=True)
class Figure:
    """``most`` and ``least`` are targets; with both, the value must be that one."""

    what: str
    value: float
    unit: str = "ms"
    most: float | None = None
    least: float | None = None
    digits: int = 2

    @property
    def target(self) -> str:
        if self.most is not None and self.most == self.least:
            return f"exactly {self.most:g}"
        if self.most is not None:
            return f"at most {self.most:g}"
        return "" if self.least is None else f"at least {self.least:g}"

    @property
    def verdict(self) -> str:
        if not self.target:
            return ""
        over = self.most is not None and self.value > self.most
        under = self.least is not None and self.value < self.least
        return "MISSED" if over or under else "ok"

    def __str__(self) -> str:
        value = f"{self.value:>10.{self.digits}f} {self.unit}"
        return f"{self.what:<72}{value:<18}{self.target:<14}{self.verdict}".rstrip()
