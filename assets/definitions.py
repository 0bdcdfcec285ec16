"""The code location: `dagster dev`, `pvms ui` and the daemon load `defs` from here."""

import os
from pathlib import Path

from assets.defs import build_defs
from assets.home import FOLDER_VARIABLE
from assets.instance import refuse_other_instance
from assets.resources import Pvms
from pipelines.settings import load_settings

folder = os.environ.get(FOLDER_VARIABLE)
settings = load_settings(Path(folder) if folder else None)
refuse_other_instance(settings)

defs = build_defs(Pvms(settings))
