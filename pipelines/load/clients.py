"""A client for an account of the settings: the one place that knows which kind of access takes which settings."""

from collections.abc import Mapping
from pathlib import Path

from pipelines.northbound.client import Client
from pipelines.northbound.clock import Clock
from pipelines.northbound.oauth_app import OAuthApp
from pipelines.northbound.quotas import QuotaOverride
from pipelines.settings import Account


def client_for(
    account: Account, state_dir: Path, clock: Clock | None = None, quotas: Mapping[str, QuotaOverride] | None = None
) -> Client:
    """A client that asks with this account; nothing is called yet. ``quotas``: see `pipelines.quotas_file`.

    Raises:
        WrongAddress: an address of the account isn't https (or http to loopback).
    """
    return Client(
        base_url=account.base_url,
        username=account.username,
        password=account.password.get_secret_value(),
        oauth=app_of(account) if account.auth == "oauth" else None,
        account=account.name,
        state_dir=state_dir,
        flow_control=account.flow_control,
        quotas=quotas,
        clock=clock,
        language=account.language,
        listed=account.listed,
    )


def app_of(account: Account) -> OAuthApp:
    """The registered app of an OAuth account."""
    return OAuthApp(
        client_id=account.client_id,
        client_secret=account.client_secret.get_secret_value(),
        oauth_url=account.oauth_url,
        redirect_uri=account.redirect_uri,
        refresh_token=account.refresh_token.get_secret_value() if account.refresh_token else None,
    )
