"""A job's schedule: as posted, as a cron expression, as times, and in words."""

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
    """Return the expression unchanged; raise ValueError if it is invalid. Empty means unset."""
    from croniter import croniter  # only jobs with their own schedule need it

    if cron and not croniter.is_valid(cron):
        raise ValueError(f"{cron!r} is not a cron expression")
    return cron


Cron = Annotated[str, AfterValidator(checked_cron)]


class AsPosted(BaseModel):
    """Keeps unknown fields and nulls, because responses repeat the posted schedule."""

    model_config = ConfigDict(extra="allow")

    @model_serializer(mode="wrap")
    def as_posted(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = serialize(self)
        return {name: fields[name] for name in fields if name in self.model_fields_set}


class DateRule(AsPosted):
    """The days; Sunday is 0."""

    type: Literal["every_day", "days_of_week", "custom_cron", "interval_cron"]
    days: list[Annotated[int, Field(ge=0, le=6)]] | None = None
    cron: Cron | None = None


class TimeRule(AsPosted):
    """The hours of the day, in UTC: every ``interval`` hours, or exactly at ``hours``."""

    type: Literal["every_hour", "at_exact_hours"]
    interval: Annotated[int, Field(ge=1, le=24)] | None = None
    hours: list[Annotated[int, Field(ge=0, le=23)]] | None = None


class Schedule(AsPosted):
    cron: Cron | None = None
    date: DateRule | None = None
    time: TimeRule | None = None


def checked_schedule(schedule: dict[str, Any]) -> dict[str, Any]:
    """Return the schedule unchanged; raise ValueError with the invalid field."""
    try:
        Schedule.model_validate(schedule)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise ValueError(f"{field}: {first['msg'].removeprefix('Value error, ')}") from None
    return schedule


def with_defaults(schedule: dict[str, Any]) -> dict[str, Any]:
    """Return the posted schedule with the parts that clients read: ``cron``, ``date``, ``time``.

    The days of ``interval_cron`` are only in its cron expression: clients read them from ``days``.
    """
    given = {name: value for name, value in schedule.items() if value or name not in DEFAULT}
    cron = cron_of(schedule)
    filled = {**DEFAULT, **given, "cron": cron}
    if filled["date"]["type"] == "interval_cron" and not filled["date"].get("days"):
        filled["date"] = {**filled["date"], "days": _days_in(cron)}
    return filled


def _days_in(cron: str) -> list[int]:
    from croniter import croniter  # only jobs with their own schedule need it

    days: list[Any] = croniter.expand(cron)[0][4]
    return list(range(7)) if "*" in days else days


def cron_of(schedule: dict[str, Any]) -> str:
    """Return the posted cron expression, else that of the days and hours."""
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
    """Return the first time later than ``after``; None if there is none, as on 30 February."""
    from croniter import CroniterBadDateError, croniter  # only jobs with a schedule need it

    try:
        moment: datetime = croniter(cron, after).get_next(datetime)
    except CroniterBadDateError:
        return None
    return moment


def describe_cron(cron: str) -> str:
    """Return ``Every hour``; the expression itself if it has no description, as ``@daily``."""
    # It has no types. Imported here because only lists of jobs need it.
    from cron_descriptor import (  # type: ignore[import-untyped]
        FormatException,
        Options,
        get_description,
    )

    try:
        return str(get_description(cron, Options(locale_code="en_US")))  # as in dbt Cloud
    except FormatException:
        return cron
