"""Small dbt projects that are not this repository's."""

from __future__ import annotations

from pathlib import Path


def write_project(folder: Path, name: str, **models: str) -> Path:
    """Write a dbt project without a profile; return its folder."""
    (folder / "models").mkdir(parents=True)
    (folder / "dbt_project.yml").write_text(f"name: {name}\nconfig-version: 2\n")
    for model, sql in models.items():
        (folder / "models" / f"{model}.sql").write_text(f"{sql}\n")
    return folder
