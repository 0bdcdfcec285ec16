"""The code location: `dagster dev`, `pvms ui` and the daemon load `defs` from here."""

from assets.defs import build_defs
from assets.instance import refuse_temporary_instance
from assets.resources import Pvms
from pipelines.settings import load_settings

refuse_temporary_instance()

defs = build_defs(Pvms(load_settings()))
