"""What docs/ci_cd.md shows of the workflow that checks pull requests."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "ci_cd.md").read_text()


def pieces(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def workflow(text: str) -> dict[str, Any]:
    """YAML takes the key `on` for true."""
    return {"on" if key is True else key: value for key, value in yaml.safe_load(text).items()}


def check_workflow() -> dict[str, Any]:
    """Return the workflow that starts the check."""
    [found] = [piece for piece in map(workflow, pieces("yaml")) if "jobs" in piece]
    return found


def filled_in(text: str, **values: str) -> str:
    """``${{ github.x }}`` and the like, as GitHub would fill them in."""

    def value(match: re.Match[str]) -> str:
        return values[re.sub(r"\W+", "_", match[1].strip()).strip("_")]

    return re.sub(r"\$\{\{(.*?)\}\}", value, text)
