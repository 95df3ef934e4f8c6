"""Send a message by every channel whose Airflow connection exists.

| connection | type | content |
|---|---|---|
| `notify_email` | `smtp` | the mail server; in the extra `from_email` and `to` |
| `notify_slack` | `slackwebhook` | the incoming webhook's address or token as password |
| `notify_webhook` | `http` | the receiver's address as host; headers such as a token in the extra |
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from html import escape
from typing import Any

from airflow.sdk import BaseHook
from jinja2 import Environment

from ..airflow.compat import AirflowNotFoundException
from ..api.loose_json import text

SECONDS = 30  # for one call of a receiver
MAX_SUBJECT = 200  # characters
BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")  # control characters and line breaks
MAX_SLACK_DETAILS = 2500  # characters; Slack splits longer messages
EMAIL = Environment(autoescape=True).from_string(
    '<pre style="white-space: pre-wrap">{{ text | urlize }}</pre>'
)
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Message:
    """A subject, lines of text, and details written by dbt or Python.

    ``event`` and ``facts`` are for programs.
    """

    event: str
    subject: str
    lines: list[str]
    details: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return "\n".join([*self.lines, *([f"\n{self.details}"] if self.details else [])])


def one_line(value: Any) -> str:
    """Return a name as text without line breaks, which are invalid in a header."""
    return " ".join(BREAKS.sub(" ", text(value)).split())


def sendable(message: Message) -> Message:
    """Return the message with text that every channel accepts."""
    subject = one_line(message.subject) or "(no subject)"
    if len(subject) > MAX_SUBJECT:
        subject = f"{subject[: MAX_SUBJECT - 2]} …"
    lines = [text(line) for line in message.lines]
    return replace(message, subject=subject, lines=lines, details=text(message.details))


def send(message: Message) -> list[str]:
    """Send the message, or log it if no channel accepts it; return the used connections.

    Never raise, so that a failed notification never fails the task.
    """
    message = sendable(message)
    used = [conn_id for conn_id in CHANNELS if sent_by(conn_id, message)]
    if used:
        log.info("Sent by %s: %s", " and ".join(used), message.subject)
    else:
        log.warning("%s\n%s", message.subject, message.text)
    return used


def sent_by(conn_id: str, message: Message) -> bool:
    try:
        if not exists(conn_id):
            return False
        CHANNELS[conn_id](conn_id, message)
    except Exception as error:  # providers raise their libraries' exceptions
        log.error("Not sent by %s: %s: %s", conn_id, type(error).__name__, error)
        return False
    return True


def exists(conn_id: str) -> bool:
    try:
        BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        return False
    return True


def by_email(conn_id: str, message: Message) -> None:
    from airflow.providers.smtp.hooks.smtp import SmtpHook

    with SmtpHook(smtp_conn_id=conn_id) as smtp:
        to = BaseHook.get_connection(conn_id).extra_dejson.get("to")
        if not to:
            raise ValueError('the extra of the connection has no "to": add the recipients.')
        body = EMAIL.render(text=message.text)
        smtp.send_email_smtp(to=to, subject=message.subject, html_content=body)


def by_slack(conn_id: str, message: Message) -> None:
    from airflow.providers.slack.hooks.slack_webhook import SlackWebhookHook

    SlackWebhookHook(slack_webhook_conn_id=conn_id, timeout=SECONDS).send(text=slack_text(message))


def slack_text(message: Message) -> str:
    """Return the message in Slack's format.

    https://docs.slack.dev/messaging/formatting-message-text
    """
    lines = [f"*{escape(message.subject, quote=False)}*"]
    lines += [escape(line, quote=False) for line in message.lines]
    if message.details:
        details = message.details[:MAX_SLACK_DETAILS].replace("```", "'''")
        lines.append(f"```{escape(details, quote=False)}```")
    return "\n".join(lines)


def by_webhook(conn_id: str, message: Message) -> None:
    from airflow.providers.http.hooks.http import HttpHook

    body = {"event": message.event, "subject": message.subject, "text": message.text}
    HttpHook(method="POST", http_conn_id=conn_id).run(
        json=body | message.facts, extra_options={"timeout": SECONDS}
    )


CHANNELS: dict[str, Callable[[str, Message], None]] = {
    "notify_email": by_email,
    "notify_slack": by_slack,
    "notify_webhook": by_webhook,
}
