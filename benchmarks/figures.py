"""Measured figures and their format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Figure:
    """One quantity that was measured several times."""

    name: str
    values: Sequence[float]
    unit: str

    def __str__(self) -> str:
        spread = f"{min(self.values):.4g} to {max(self.values):.4g}"
        return f"{self.name}: {median(self.values):.4g} {self.unit} ({spread})"
