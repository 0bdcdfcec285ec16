"""The code location: `dagster dev`, `pvms ui` and the daemon load `defs` from here."""

from assets.defs import build_defs
from assets.instance import refuse_other_instance
from assets.resources import Pvms
from pipelines.settings import load_settings

settings = load_settings()
refuse_other_instance(settings)

defs = build_defs(Pvms(settings))
