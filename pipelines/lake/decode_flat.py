"""Flat records: plants (5.1.1.1), devices (5.1.1.2) and active alarms (5.1.3.1)."""

from datetime import datetime

from pipelines.lake.records import Decoded


def decode_plants(data: bytes, *, extracted_at: datetime, account: str) -> Decoded:
    """Turn the plant list into rows of PLANT_LISTING."""
    raise NotImplementedError


def decode_devices(data: bytes, *, extracted_at: datetime, account: str) -> Decoded:
    """Turn the device list into rows of DEVICE_LISTING."""
    raise NotImplementedError


def decode_alarms(data: bytes, *, extracted_at: datetime, account: str) -> Decoded:
    """Turn the active alarms into rows of ALARM_POLL."""
    raise NotImplementedError
