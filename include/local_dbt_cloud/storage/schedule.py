"""When a job runs by itself: as clients post it, as a cron expression, as times and words."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

EVERY_HOUR = "0 * * * *"
DEFAULT: dict[str, Any] = {
    "cron": EVERY_HOUR,
    "date": {"type": "every_day"},
    "time": {"type": "every_hour", "interval": 1},
}


def checked_cron(cron: str) -> str:
    """Returns the expression unchanged; raises ValueError if it is none. Empty means unset."""
    from croniter import croniter  # only jobs with a schedule of their own need it

    if cron and not croniter.is_valid(cron):
        raise ValueError(f"{cron!r} is not a cron expression")
    return cron


Cron = Annotated[str, AfterValidator(checked_cron)]


class AsPosted(BaseModel):
    """Fields nobody knows are kept, and so are nulls: the answer echoes what was posted."""

    model_config = ConfigDict(extra="allow")

    @model_serializer(mode="wrap")
    def as_posted(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = serialize(self)
        return {name: fields[name] for name in fields if name in self.model_fields_set}


class DateRule(AsPosted):
    """On which days; Sunday is 0."""

    type: Literal["every_day", "days_of_week", "custom_cron", "interval_cron"]
    days: list[Annotated[int, Field(ge=0, le=6)]] | None = None
    cron: Cron | None = None


class TimeRule(AsPosted):
    """At which hours of the day, in UTC: every ``interval`` hours, or exactly at ``hours``."""

    type: Literal["every_hour", "at_exact_hours"]
    interval: Annotated[int, Field(ge=1, le=24)] | None = None
    hours: list[Annotated[int, Field(ge=0, le=23)]] | None = None


class Schedule(AsPosted):
    cron: Cron | None = None
    date: DateRule | None = None
    time: TimeRule | None = None


def checked_schedule(schedule: dict[str, Any]) -> dict[str, Any]:
    """Returns the schedule unchanged; raises ValueError, naming the field at fault."""
    try:
        Schedule.model_validate(schedule)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise ValueError(f"{field}: {first['msg'].removeprefix('Value error, ')}") from None
    return schedule


def filled_in(schedule: dict[str, Any]) -> dict[str, Any]:
    """As posted, with the parts that every client reads: ``cron``, ``date`` and ``time``."""
    given = {name: value for name, value in schedule.items() if value or name not in DEFAULT}
    return {**DEFAULT, **given, "cron": cron_of(schedule)}


def cron_of(schedule: dict[str, Any]) -> str:
    """The cron expression: the one that was posted, else what the days and hours amount to."""
    date = schedule.get("date") or DEFAULT["date"]
    time = schedule.get("time") or DEFAULT["time"]
    posted: str | None = schedule.get("cron") or date.get("cron")
    return posted or f"0 {_hours(time)} * * {_days(date)}"


def _hours(time: dict[str, Any]) -> str:
    if time["type"] == "at_exact_hours":
        return ",".join(map(str, sorted(time.get("hours") or [0])))
    interval = time.get("interval") or 1
    return "*" if interval == 1 else f"*/{interval}"


def _days(date: dict[str, Any]) -> str:
    days = date.get("days") if date["type"] == "days_of_week" else None
    return ",".join(map(str, sorted(days))) if days else "*"


def next_time(cron: str, after: datetime) -> datetime | None:
    """The first moment later than ``after``; None for one that never comes, like 30 February."""
    from croniter import CroniterBadDateError, croniter  # only jobs with a schedule need it

    try:
        moment: datetime = croniter(cron, after).get_next(datetime)
    except CroniterBadDateError:
        return None
    return moment


def in_words(cron: str) -> str:
    """``Every hour``; the expression itself if there are no words for it, as for ``@daily``."""
    # It has no types. Imported here, since only lists of jobs need it.
    from cron_descriptor import (  # type: ignore[import-untyped]
        FormatException,
        Options,
        get_description,
    )

    try:
        return str(get_description(cron, Options(locale_code="en_US")))  # as dbt Cloud says it
    except FormatException:
        return cron
