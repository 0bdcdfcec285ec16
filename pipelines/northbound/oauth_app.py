"""The registered app and the link that an owner follows (reference 3.1.1, 3.1.2.2)."""

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

from pipelines.northbound.transport import checked_base_url

OAUTH_PATH: Final = "/rest/dp/uidm/oauth2/v1"
BASIC_SCOPE: Final = "pvms.openapi.basic"
CONTROL_SCOPE: Final = "pvms.openapi.control"
SCOPES: Final = {BASIC_SCOPE: "Basic APIs", CONTROL_SCOPE: "Control APIs"}
"""Permission sets by their names in the owner's app."""


@dataclass(frozen=True, slots=True)
class OAuthApp:
    """An OAuth client as the vendor registered it. Secrets stay out of every printed form.

    ``oauth_url`` is the service's host, or the whole address of its authorization page where the vendor names
    another one than the reference does (``/login-page`` is in use too). ``refresh_token`` is the owner's, if it
    came from elsewhere than `pvms login`. WrongAddress for an address that isn't https (or http to loopback).
    """

    client_id: str
    client_secret: str = field(repr=False)
    oauth_url: str
    redirect_uri: str | None = None
    refresh_token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Refuse an address over which secrets would travel in the clear."""
        checked_base_url(self.oauth_url)

    @property
    def host(self) -> str:
        """Scheme and host of the OAuth service."""
        parts = urlsplit(checked_base_url(self.oauth_url))
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def authorize_path(self) -> str:
        """The path of the page where the owner consents."""
        path = urlsplit(self.oauth_url.strip()).path.rstrip("/")
        if not path:
            return f"{OAUTH_PATH}/authorize"
        return path if path.endswith(("/authorize", "/login-page")) else f"{self._folder}/authorize"

    @property
    def token_path(self) -> str:
        """The path of the token API: it stands beside that page."""
        return f"{self._folder}/token"

    @property
    def _folder(self) -> str:
        path = urlsplit(self.oauth_url.strip()).path.rstrip("/")
        for page in ("/authorize", "/login-page", "/token"):
            path = path.removesuffix(page)
        return path or OAUTH_PATH

    def link(self, state: str | None) -> str:
        """The address to open in the owner's browser.

        The basic APIs alone are asked for: the reference calls the scope optional in one place (3.1.2.2) and
        required in another (8.1.1), and without it all that the app is registered for would be asked, control of
        plants included, which this project never uses. ``state`` None leaves it out.
        """
        if not self.redirect_uri:
            raise ValueError("an app without a redirect address has no link")
        asked = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": BASIC_SCOPE,
        }
        if state is not None:
            asked["state"] = state
        # A space becomes %20, as 3.1.2.2 wants it, and nothing of the redirect address is left unquoted.
        return f"{self.host}{self.authorize_path}?{urlencode(asked, quote_via=quote, safe='')}"
