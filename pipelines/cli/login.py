"""`pvms login`: an owner's consent by OAuth Connect, or a check of an API account's login."""

import os
import secrets
import sys
import webbrowser
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pipelines.cli.common import guarded, say, settings_for_command
from pipelines.load.request import EXIT_ERROR, UsageError
from pipelines.settings import Account, Settings, SettingsError

if TYPE_CHECKING:
    from pipelines.northbound.oauth_grants import Grant
    from pipelines.northbound.oauth_session import OAuthSession
    from pipelines.northbound.session import Session

WAIT_FOR_OWNER: Final = timedelta(minutes=15)
"""How long the loopback page waits for the owner to log in and to consent."""

HELP = """Connect to the plants of an owner by OAuth, or check the login of an API account.

With SMARTPVMS_AUTH=oauth it prints the link on which the plants' owner logs in to FusionSolar and consents, waits for
the answer, and keeps the tokens in state/tokens.json under PVMS_HOME (readable by you alone). From then on every
command refreshes them by itself. If SMARTPVMS_REDIRECT_URI is an address of this machine with a port, such as
http://127.0.0.1:8976/pvms, the answer arrives by itself; if not, paste the address that the browser shows after
consent. The code in it is good for five minutes.

With an API account it logs in once and says whether that worked. A session that is alive is left alone.

Exit codes: 0 connected; 1 refused or no answer; 2 wrong usage.

Examples:

  pvms login

  pvms login --account north --no-browser

  pvms login --paste

  pvms login --again
"""


def login(
    account: Annotated[
        str | None, typer.Option(help="The account, by its name in PVMS_ACCOUNTS_FILE; needed if there are several.")
    ] = None,
    paste: Annotated[bool, typer.Option("--paste", help="Paste the redirected address instead of waiting.")] = False,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the link and open no browser.")] = False,
    without_state: Annotated[
        bool,
        typer.Option(
            "--without-state",
            help="For an OAuth service that doesn't send the link's state back. The answer can't be checked to "
            "belong to the link then, so it has to be pasted: paste only what your own browser shows.",
        ),
    ] = False,
    again: Annotated[
        bool,
        typer.Option(
            "--again", help="API account: log in even if a session is alive, or if this password was refused before."
        ),
    ] = False,
) -> None:
    """Connect to the plants of an owner by OAuth, or check the login of an API account."""

    def command() -> int:
        from pipelines.load.clients import client_for
        from pipelines.load.services import state_dir
        from pipelines.northbound.clock import SystemClock
        from pipelines.northbound.oauth_session import OAuthSession

        if without_state and not paste:
            raise UsageError("--without-state needs --paste: nothing would tell the right answer from a wrong one.")
        settings = settings_for_command()
        chosen = chosen_account(settings, account)
        if not settings.home.is_dir():
            raise UsageError(
                f"PVMS_HOME ({settings.home}) isn't there, so the tokens would have no place. `pvms init` makes it in "
                "a new folder; for an .env of your own, make that folder, or correct PVMS_HOME."
            )
        clock = SystemClock()
        with client_for(chosen, state_dir(settings.home), clock) as client:
            if not isinstance(client.session, OAuthSession):
                return _check_login(client.session, chosen, again=again)
            status = _connect(
                client.session,
                chosen,
                now=clock.now,
                paste=paste,
                browser=not no_browser,
                state=None if without_state else secrets.token_urlsafe(32),
            )
            if status == 0:
                # The owner may just have granted what was denied before.
                client.forget_denials()
            return status

    raise typer.Exit(guarded(command))


def chosen_account(settings: Settings, name: str | None) -> Account:
    """The account of that name; without a name the only one.

    Raises:
        SettingsError: there is none.
        UsageError: there are several and none is named, or none has that name.
    """
    names = ", ".join(each.name for each in settings.accounts)
    if name is None:
        if len(settings.accounts) > 1:
            raise UsageError(f"Which account? Name one of {names} with --account.")
        return settings.account
    found = next((each for each in settings.accounts if each.name == name), None)
    if found is None:
        raise UsageError(f"No account is called {name}; known: {names or 'none'}.")
    return found


def _check_login(session: "Session", account: Account, *, again: bool) -> int:
    if again:
        session.login_again(why="pvms login --again")
        say(f"{account.name}: logged in at {account.base_url}.")
    elif session.at_hand():
        say(f"{account.name}: a session is alive at {account.base_url}, and nothing was called. --again logs in anew.")
    else:
        session.token(why="pvms login")
        say(f"{account.name}: logged in at {account.base_url}.")
    say("What next: pvms plan --from yesterday --to yesterday")
    return 0


def _connect(
    session: "OAuthSession",
    account: Account,
    *,
    now: Callable[[], datetime],
    paste: bool,
    browser: bool,
    state: str | None,
) -> int:
    """Link, answer, exchange, and what came of it."""
    from pipelines.northbound.oauth_errors import ConsentNeeded
    from pipelines.northbound.oauth_redirect import CODE_MINUTES

    if not account.redirect_uri:
        raise SettingsError(
            "SMARTPVMS_REDIRECT_URI must be set too: the redirect address that the app was registered with, letter "
            "by letter (reference 3.1.1)."
        )
    link = session.app.link(state)
    say("Open this link where the owner of the plants can log in to FusionSolar, and tick Basic APIs:")
    begun = now()
    code = _code(link, account.redirect_uri, paste=paste, browser=browser, state=state)
    if code is None:
        return EXIT_ERROR
    try:
        grant = session.exchange(code, why="pvms login")
    except ConsentNeeded as error:
        minutes = (now() - begun) / timedelta(minutes=1)
        if minutes > CODE_MINUTES:
            error.message += f"; the link was printed {minutes:.0f} minutes ago"
        raise
    return _tell(grant, account)


def _code(link: str, redirect_uri: str, *, paste: bool, browser: bool, state: str | None) -> str | None:
    """The code of the redirected address, by whichever way it comes; None, after a sentence, if it doesn't."""
    from pipelines.northbound.oauth_redirect import RedirectReceiver, is_loopback_redirect, read_redirect

    if paste or state is None or not is_loopback_redirect(redirect_uri):
        _show(link, browser=browser)
        return _pasted_code(state)
    try:
        receiver = RedirectReceiver(redirect_uri, state=state)
    except OSError as error:
        raise UsageError(
            f"{redirect_uri} can't be listened on ({error.strerror}). End the program that has the port, or paste the "
            "redirected address: pvms login --paste"
        ) from error
    with receiver:
        _show(link, browser=browser)
        minutes = WAIT_FOR_OWNER / timedelta(minutes=1)
        say(f"Waiting up to {minutes:.0f} minutes for the answer at {redirect_uri} ...")
        address = receiver.wait(WAIT_FOR_OWNER.total_seconds())
    if address is None:
        say("No answer came. Run pvms login again; with a browser on another machine, use --paste.")
        return None
    return read_redirect(address, state=state)


def _show(link: str, *, browser: bool) -> None:
    typer.echo(link)
    sys.stdout.flush()
    if browser and _has_window() and webbrowser.open(link):
        say("It was opened in your browser.")


def _has_window() -> bool:
    """Is there a screen? A browser in the terminal would take it over."""
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _pasted_code(state: str | None) -> str | None:
    from pipelines.northbound.oauth_redirect import NotTheAnswer, read_redirect

    refused: NotTheAnswer | None = None
    say("After consent, copy the whole address from the browser's address bar (the page itself may fail to load),")
    say("paste it here within five minutes, and press Enter:")
    while address := sys.stdin.readline().strip():
        try:
            return read_redirect(address, state=state)
        except NotTheAnswer as error:
            refused = error
            say(f"{error.describe()} Paste another one, or press Enter to end:")
    if refused is not None:
        raise refused
    say("Nothing was pasted. Run pvms login --paste again.")
    return None


def _tell(grant: "Grant", account: Account) -> int:
    from pipelines.northbound.oauth_app import BASIC_SCOPE, CONTROL_SCOPE, SCOPES
    from pipelines.northbound.oauth_errors import WHERE_OWNERS_AUTHORIZE

    scopes = (grant.scope or "").split()
    granted = ", ".join(f"{SCOPES.get(each, 'unknown')} ({each})" for each in scopes) or "not said by the service"
    say(f"{account.name}: connected. Granted: {granted}.")
    if scopes and BASIC_SCOPE not in scopes:
        say(f"Basic APIs are missing, so nothing can be read. The owner can add them: {WHERE_OWNERS_AUTHORIZE}.")
        return EXIT_ERROR
    if CONTROL_SCOPE in scopes:
        say("Control APIs aren't needed: this project only reads, and the owner may switch them off.")
    if grant.refresh_token is None:
        say("The service gave no refresh token: the connection ends within the hour. Ask the vendor's support.")
    say("What next: pvms plan --from yesterday --to yesterday")
    return 0
