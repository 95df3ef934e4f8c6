"""docs/start.md: which Dags have a schedule, what starts at once, and the words of Airflow's UI."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import airflow
import pendulum
import pytest
from airflow.configuration import conf
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook
from airflow.timetables.base import TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable
from airflow.timetables.trigger import CronTriggerTimetable

from tests.docs.test_words import PROJECT

PAGE = (PROJECT / "docs" / "start.md").read_text()
CRON = re.compile(r"^[\d*/, -]+$")
WORDS = Path(airflow.__file__).parent / "ui" / "dist" / "i18n" / "locales" / "en"


def schedules() -> Iterator[tuple[str, str]]:
    """Each Dag with a schedule; the second is a cron expression, or empty for assets."""
    for file in (PROJECT / "dags").glob("*.py"):
        text = file.read_text()
        yield from re.findall(r'^run_on_schedule\("(\w+)", .*schedule="(.+)"\)', text, re.MULTILINE)
        schedule = re.search(r"^    schedule=(.+),$", text, re.MULTILINE)
        if schedule and schedule[1] != "None":
            cron = re.search(r'"(.+?)"', schedule[1])
            yield file.stem, cron[1] if cron else ""


def listed() -> Iterator[tuple[str, str]]:
    table = PAGE.partition("| switching it on starts |")[2].partition("\n\n")[0]
    for dags, schedule in re.findall(r"^\| (`.+?`) \| (.+?) \|", table, re.MULTILINE):
        cron = schedule.strip("`")
        for dag in re.findall(r"`(\w+)`", dags):
            yield dag, cron if CRON.match(cron) else ""


def test_page_lists_every_dag_with_a_schedule() -> None:
    assert dict(listed()) == dict(schedules())


@pytest.mark.parametrize("timetable", [CronTriggerTimetable, CronDataIntervalTimetable])
def test_first_run_after_switching_on_is_due_at_once(
    timetable: type[CronTriggerTimetable | CronDataIntervalTimetable],
) -> None:
    start_date = pendulum.datetime(2026, 4, 1, tz="UTC")
    restriction = TimeRestriction(earliest=start_date, latest=None, catchup=False)
    for cron in filter(None, dict(schedules()).values()):
        run = timetable(cron, timezone="UTC").next_dagrun_info(
            last_automated_data_interval=None, restriction=restriction
        )
        assert run
        assert run.run_after <= pendulum.now("UTC")


def test_new_dags_are_paused() -> None:
    assert conf.getboolean("core", "dags_are_paused_at_creation")


def test_fields_of_the_connection_have_the_names_of_the_form() -> None:
    rows = re.findall(r"^\| `(host|login|password)` \| ([\w ]+) \|", PAGE, re.MULTILINE)

    assert dict(rows) == DbtCloudHook.get_ui_field_behaviour()["relabeling"]


def test_buttons_have_the_words_of_the_ui() -> None:
    recovering = (PROJECT / "docs" / "recovering.md").read_text()
    dag, dags, common, components = (
        json.loads((WORDS / f"{name}.json").read_text())
        for name in ("dag", "dags", "common", "components")
    )
    clear = dags["runAndTaskActions"]

    assert f"Details → {dag['extraLinks']} → Monitor Job Run" in PAGE
    assert f"*{clear['clear']['buttonTooltip']}*" in recovering
    assert f"*{clear['options']['downstream']}*" in recovering
    assert f"**{common['modal']['confirm']}**" in recovering
    unpause = re.sub(r"{{\w+}}", "…", components["triggerDag"]["unpause"])
    assert f"*{unpause}*" in PAGE
