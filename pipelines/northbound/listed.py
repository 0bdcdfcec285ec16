"""Errors of an account that stands in an accounts file: they name it, and its settings as they are written there."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pipelines.northbound.errors import NorthboundError

_SETTING: Final = re.compile(r"SMARTPVMS_[A-Z_]+")


@contextmanager
def named(account: str | None) -> Iterator[None]:
    """Whatever is raised in here advises about that account of the file; None: there is no file."""
    try:
        yield
    except NorthboundError as error:
        name_account(error, account)
        raise


def name_account(error: NorthboundError, account: str | None) -> None:
    """Put the account's name into the advice: its settings' keys, and the option of `pvms login`."""
    where = f" The account is [{account}] of PVMS_ACCOUNTS_FILE."
    if account is None or error.advice.endswith(where):
        return
    told = error.advice.replace("`pvms login", f"`pvms login --account {account}")
    told = _SETTING.sub(lambda found: found[0].lower(), told)
    if told != error.advice:
        error.advice = told + where
