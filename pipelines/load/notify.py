"""Tells a person who is not looking: one JSON document to a webhook, or one command, for each event.

`PVMS_NOTIFY_URL` gets a POST; `PVMS_NOTIFY_COMMAND` is started without a shell, with the text on its standard input
and the rest in its environment. What fails here is logged and never ends a load.
"""

import json
import logging
import os
import shlex
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from pipelines.northbound.errors import NorthboundError
from pipelines.northbound.transport import post_elsewhere
from pipelines.settings import Settings

_log = logging.getLogger(__name__)

Severity = Literal["info", "warning", "error"]

WEBHOOK_TIMEOUT_S: Final = 5.0
"""A load's end doesn't wait longer for somebody else's server."""

COMMAND_TIMEOUT_S: Final = 30.0
"""Sending a mail takes seconds; what takes longer hangs."""

_SECRET: Final = ("PASSWORD", "SECRET", "TOKEN", "PVMS_NOTIFY_URL")
"""Variables with these in their names are not handed on to the command."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing worth telling. `event` is a word for programs, `text` is for people; no secret in either.

    `subject` is what it is about (an account, an endpoint; empty: the whole home), `at` an aware instant.
    """

    event: str
    severity: Severity
    text: str
    home: str
    at: datetime
    subject: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The document that the webhook gets."""
        return {
            "event": self.event,
            "severity": self.severity,
            "text": self.text,
            "home": self.home,
            "at": self.at.isoformat(),
            "details": {"subject": self.subject, **self.details},
        }


def wanted(settings: Settings) -> bool:
    """Whether anybody is to be told at all."""
    return settings.notify_url is not None or settings.notify_command is not None


def notify(settings: Settings, event: Event) -> bool:
    """Send the event wherever the settings say; whether it arrived anywhere. Raises nothing foreseeable."""
    arrived = False
    if settings.notify_url is not None:
        arrived = _post(settings.notify_url.get_secret_value(), event) or arrived
    if settings.notify_command is not None:
        arrived = _run(settings.notify_command, event) or arrived
    return arrived


def _post(url: str, event: Event) -> bool:
    try:
        status = post_elsewhere(url, json.loads(_as_json(event.as_dict())), timeout_s=WEBHOOK_TIMEOUT_S)
    except NorthboundError as error:
        _log.warning("PVMS_NOTIFY_URL could not be told of '%s': %s.", event.event, error.message)
        return False
    if not 200 <= status < 300:
        _log.warning("PVMS_NOTIFY_URL was told of '%s' and answered HTTP %d.", event.event, status)
        return False
    return True


def _run(command: str, event: Event) -> bool:
    try:
        arguments = shlex.split(command)
        if not arguments:
            raise ValueError("it is empty")
        # No shell, and nothing of the event in the arguments: a plant's name can't become a command.
        process = subprocess.Popen(  # noqa: S603  the owner's own command
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=_environment(event),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        _log.warning("PVMS_NOTIFY_COMMAND can't be started: %s.", error)
        return False
    try:
        process.communicate(f"{event.text}\n".encode(), timeout=COMMAND_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        _log.warning("PVMS_NOTIFY_COMMAND took longer than %.0f s and was ended.", COMMAND_TIMEOUT_S)
        return False
    if process.returncode:
        _log.warning("PVMS_NOTIFY_COMMAND ended with code %d.", process.returncode)
    return process.returncode == 0


def _environment(event: Event) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not any(each in name.upper() for each in _SECRET)}
    document = event.as_dict()
    told = {
        "PVMS_EVENT": event.event,
        "PVMS_EVENT_SEVERITY": event.severity,
        "PVMS_EVENT_TEXT": event.text,
        "PVMS_EVENT_HOME": event.home,
        "PVMS_EVENT_AT": document["at"],
        "PVMS_EVENT_DETAILS": _as_json(document["details"]),
    }
    return plain | {name: value.replace("\0", "") for name, value in told.items()}


def _as_json(document: Any) -> str:
    return json.dumps(document, ensure_ascii=False, default=str)
