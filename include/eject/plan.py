"""The plan of the new project: kept, rewritten and deleted files."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from include.eject.dag_file import DBT_CLOUD, PROVIDER, DagFile, dag_files, named_dags

TEMPLATES = Path(__file__).with_name("templates")
SUFFIX = ".template"  # so that tools ignore the templates
LIBRARY = "include/dbt_cloud/"
# They belong to the library.
PLUGINS = {"plugins/airflow_local_settings.py", "plugins/log_dbt_cloud_advice.py"}
FIRST = "run_dbt_cloud_job"  # the simplest Dag
LINEAGE = "include/lineage/"
EMPTY_LINEAGE = '{"version": 1, "nodes": []}\n'  # until write_lineage has run
SHOP = {"include/jaffle_shop/", "include/shop/"}  # the example's dbt project and loaders
# Kept besides the Dags and the files they are copied with. All other files are deleted.
KEPT = (
    ".astro/",
    ".github/dependabot.yml",
    ".github/workflows/deploy.yml",
    ".gitignore",
    "LICENSE",
    "constraints.txt",
    "include/.local/",
    "include/__init__.py",
    "packages.txt",
)
DBT_VENV = "# dbt in a separate virtual environment: Airflow calls it and never imports it.\n"
POOL = re.compile(r"the pool\s+`(\w+)`")


@dataclass(frozen=True)
class Plan:
    """The plan for these Dags in this checkout.

    ``tracked`` are all files in git, ``commit`` is the last commit of the template.
    """

    root: Path
    name: str
    dags: tuple[DagFile, ...]
    tracked: tuple[str, ...]
    commit: str

    @cached_property
    def kept(self) -> list[str]:
        places = {*KEPT, *(f"dags/{dag.path.name}" for dag in self.dags)}
        places |= {place for dag in self.dags for place in (*dag.copied_with, *dag.named_files)}
        places |= PLUGINS if LIBRARY in places else set()
        return [file for file in self.tracked if is_in(file, places)]

    @cached_property
    def deleted(self) -> list[str]:
        return sorted(set(self.tracked) - set(self.kept) - self.written.keys())

    @cached_property
    def written(self) -> dict[str, str]:
        """Return the new text of each rewritten file."""
        new = {
            str(file.relative_to(TEMPLATES)).removesuffix(SUFFIX): self._filled(file.read_text())
            for file in sorted(TEMPLATES.rglob("*"))
            if file.suffix in (SUFFIX, ".py")
        }
        new["requirements.txt"] = self._requirements()
        new["Dockerfile"] = self._dockerfile()
        new["plugins/.gitkeep"] = ""  # the Astro CLI mounts the folder
        config = (self.root / ".astro" / "config.yaml").read_text()
        new[".astro/config.yaml"] = re.sub("(?<=  name: ).+", self.name, config, count=1)
        new |= {name: EMPTY_LINEAGE for name in self.kept if name.startswith(LINEAGE)}
        for name in self.kept:
            text = text_of(self.root / name)
            if (own := without_local_words(text)) != text:
                new.setdefault(name, own)
        return new

    def text(self, file: str) -> str:
        """Return the text of a file in the new project."""
        return self.written[file] if file in self.written else text_of(self.root / file)

    def _filled(self, text: str) -> str:
        names = [dag.name for dag in self.dags]
        pools = {name for dag in self.dags for name in POOL.findall(dag.docstring)}
        [airflow] = re.findall(
            r'"(apache-airflow==.+)"', (self.root / "pyproject.toml").read_text()
        )
        dependencies = sorted([airflow, *self._requirements().splitlines()])
        values = {
            "$airflow": airflow,
            "$commit": self.commit,
            "$connections": self._connections(),
            "$first": FIRST if FIRST in names else names[0],
            "$name": self.name,
            "$table": self._table(),
            "$dependencies": "\n".join(f'    "{line}",' for line in dependencies),
            "$pool": " ".join(pools),
            "$slots": "1" if pools else "",
        }
        for key, value in values.items():
            text = text.replace(key, value)
        return re.sub(r" +$", "", text, flags=re.MULTILINE)

    def _table(self) -> str:
        """Return the README's table of these Dags, with its first two columns."""
        readme = without_local_words((self.root / "README.md").read_text())
        names = {dag.name for dag in self.dags}
        rows = re.findall(r"^(\| \[(\w+)\]\(dags/\S+ \| [^|\n]+\|)", readme, re.MULTILINE)
        own = [row for row, name in rows if name in names]
        return "\n".join(["| Dag | what it shows |", "|---|---|", *own])

    def _connections(self) -> str:
        """Return the paragraphs of .env.example about connections of the kept files."""
        kept = [(self.root / name).read_text() for name in self.kept if name.endswith(".py")]
        named = set(re.findall(r"`(\w+)`", "".join(kept))) - {DBT_CLOUD}
        variables = {f"AIRFLOW_CONN_{name.upper()}" for name in named}
        text = without_local_words((self.root / ".env.example").read_text())
        paragraphs = text.split("\n\n")
        own = [each.strip() for each in paragraphs if variables & set(re.findall(r"\w+", each))]
        return "".join(f"\n{each}\n" for each in own)

    def _requirements(self) -> str:
        packages = {PROVIDER}.union(*(dag.packages() for dag in self.dags))
        if any(LIBRARY in dag.copied_with for dag in self.dags):
            packages.add("apache-airflow-providers-slack")  # for its notifications
        lines = (self.root / "requirements.txt").read_text().splitlines()
        named = {re.split("[<>=~!]", line)[0]: line for line in lines if not line.startswith("#")}
        return "".join(f"{named[package]}\n" for package in sorted(packages))

    def _dockerfile(self) -> str:
        """Return the Dockerfile: the image, and dbt if a Dag runs it."""
        text = (self.root / "Dockerfile").read_text()
        if any("`dbt_venv`" in dag.docstring for dag in self.dags):
            return re.sub(r"^# dbt in .*?(?=^RUN)", DBT_VENV, text, flags=re.MULTILINE | re.DOTALL)
        return text.partition("\n")[0] + "\n"


def choose(root: Path, names: Collection[str]) -> tuple[DagFile, ...]:
    """Return the Dags of these names, and the Dags they are copied with.

    Without names, return the Dags that need only a dbt Cloud account.
    """
    chosen = set(names) or {dag.name for dag in dag_files(root) if needs_only_dbt_cloud(dag)}
    copied_with = {place for dag in named_dags(chosen, root) for place in dag.copied_with}
    others = {Path(place).stem for place in copied_with if place.startswith("dags/")}
    return tuple(named_dags(chosen | others, root))


def needs_only_dbt_cloud(dag: DagFile) -> bool:
    return dag.connections == {DBT_CLOUD} and not dag.copied_with & SHOP


def text_of(file: Path) -> str:
    """Return a file's text; empty for a binary file."""
    try:
        return file.read_text()
    except UnicodeDecodeError:
        return ""


def is_in(file: str, places: Iterable[str]) -> bool:
    return any(file == place or (place[-1] == "/" and file.startswith(place)) for place in places)


def without_local_words(text: str) -> str:
    """Remove text marked as local: ``(as cloned, ...)`` and paragraphs that start ``As cloned,``.

    The section "What to copy" goes too, and links to docs/ become their text.
    """
    text = re.sub(r"^## What to copy\n.*?(?=^## )", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"\[([^]]+)\]\((?:\.\./)*docs/[^)]*\)", r"\1", text)
    text = re.sub(r"\s\(as\scloned,[^)]*\)", "", text)
    return re.sub(r"^As cloned, .*?\n\n", "", text, flags=re.MULTILINE | re.DOTALL)
