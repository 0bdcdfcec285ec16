"""What can go wrong with an owner's consent: the OAuth branch of the tree in :mod:`pipelines.northbound.errors`.

    LoginRefused
      ConsentNeeded       no refresh token, or invalid_grant: it was revoked, replaced or has expired
      OAuthClientRefused  invalid_client: the app's id or secret
      OAuthRefused        unsupported_grant_type, invalid_scope and whatever else the OAuth service says

All of them are permanent: a person has to act (reference 3.1.4, 8.1.2).
"""

from typing import Final

from pipelines.northbound.errors import LoginRefused

WHERE_OWNERS_AUTHORIZE: Final = "FusionSolar app: Me > Settings > Account security > Authorization Management"
"""The path in the owner's app (reference 3.1.4)."""


class ConsentNeeded(LoginRefused):
    """Only the owner's consent helps: there is no refresh token, or the OAuth service doesn't take it any more."""

    outcome = "consent_needed"
    default_advice = (
        "Run `pvms login` and let the plants' owner consent. Consent ends when the owner revokes it "
        f"({WHERE_OWNERS_AUTHORIZE}) or gives it anew, and when another program uses the same refresh token; "
        "this one isn't tried again."
    )


class OAuthClientRefused(LoginRefused):
    """The OAuth service doesn't know the app under this id and secret."""

    outcome = "client_refused"
    default_advice = (
        "Check SMARTPVMS_CLIENT_ID and SMARTPVMS_CLIENT_SECRET: the vendor sent them when the app was registered. "
        "If they are right, the app may be registered in another region: ask the vendor for its "
        "SMARTPVMS_OAUTH_URL. They aren't tried again until one of the three changes, but by `pvms login`."
    )


class OAuthRefused(LoginRefused):
    """The OAuth service refused for another reason."""

    outcome = "oauth_refused"
    default_advice = "Run `pvms login`; if that is refused too, ask the vendor's support with these words."


UNSUPPORTED_GRANT_ADVICE: Final = (
    "The service at SMARTPVMS_OAUTH_URL doesn't take this kind of request: check that the address is the OAuth "
    "service's (https://oauth2.fusionsolar.huawei.com) and that no proxy rewrites it."
)
SCOPE_ADVICE: Final = (
    "The app isn't registered for pvms.openapi.basic: ask the vendor to open the basic APIs to it "
    "(reference 3.1.1), then run `pvms login`."
)
BASIC_APIS_ADVICE: Final = (
    f"The owner's consent doesn't cover it. The owner can add it in the {WHERE_OWNERS_AUTHORIZE} > this app > "
    "Basic APIs, or run `pvms login` again and tick Basic APIs (reference 3.1.4, 8.1.4)."
)
STILL_DEAD_ADVICE: Final = (
    "A fresh access token was refused too. The owner may have revoked the consent, SMARTPVMS_BASE_URL may be "
    "another region than the owner's, or another program refreshes with the same refresh token, and each refresh "
    "ends the token before. Check these, then run `pvms login` (reference 8.1.3)."
)
