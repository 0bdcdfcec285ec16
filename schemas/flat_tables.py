"""Tables of flat records: plants, devices, their versions, and alarms (reference 5.1.1 and 5.1.3)."""

from typing import Final

from schemas.columns import (
    DEVICE_ID,
    DEVICE_SN,
    DEVICE_TYPE_ID,
    FIRST_SEEN,
    LAST_SEEN,
    PLANT_CODE,
    TAIL,
    Column,
    Table,
    must,
)


def _inventory(name: str, what: str, key: str, columns: tuple[Column, ...]) -> tuple[Table, Table]:
    """Build the table of an inventory and the table of its observed versions."""
    versions = (
        must("valid_from", "TIMESTAMPTZ", "When this state was first observed."),
        Column("valid_to", "TIMESTAMPTZ", "When another state was first observed; null while it lasts."),
    )
    retired = Column(
        "retired_at",
        "TIMESTAMPTZ",
        f"When no account had listed the {name[:-1]} for a day, by two complete listings; null while one lists it. "
        "Nothing is asked about it any more; its data stay.",
    )
    current = Table(
        name,
        "raw",
        name,
        None,
        f"{what}, as last listed; what the vendor no longer lists keeps its row. One row per {name[:-1]}.",
        (key,),
        (*columns[: -len(TAIL)], retired, *columns[-len(TAIL) :]),
    )
    history = Table(
        f"{name[:-1]}_versions",
        "raw",
        name,
        None,
        f"{what}, as they were over time, from the first load on. One row per {name[:-1]} and observed change.",
        (key, "valid_from"),
        columns + versions,
    )
    return current, history


PLANTS: Final = _inventory(
    "plants",
    "Plants",
    "plant_code",
    (
        must("plant_key", "VARCHAR", "Our own id of the plant, stable across accounts and changes of its code."),
        PLANT_CODE,
        Column("plant_name", "VARCHAR", "Name of the plant."),
        Column("plant_address", "VARCHAR", "Detailed address of the plant."),
        Column("longitude", "DOUBLE", "Longitude, east positive.", unit="degree"),
        Column("latitude", "DOUBLE", "Latitude, north positive.", unit="degree"),
        Column("capacity", "DOUBLE", "Total string capacity (DC).", unit="kWp"),
        Column("contact_person", "VARCHAR", "Contact of the plant."),
        Column("contact_method", "VARCHAR", "Phone number or mail address of the contact."),
        Column("grid_connection_date", "VARCHAR", "Grid connection as sent, with the offset of that moment."),
        Column("time_zone", "VARCHAR", "IANA time zone of the plant."),
        Column(
            "time_zone_source",
            "VARCHAR",
            "Where the zone comes from: plants_file, coordinates, grid_connection_date or default.",
        ),
        FIRST_SEEN,
        LAST_SEEN,
        *TAIL,
    ),
)

DEVICES: Final = _inventory(
    "devices",
    "Devices",
    "device_id",
    (
        DEVICE_ID,
        Column("device_dn", "VARCHAR", "Unique id of the device in the management system (devDn)."),
        Column("device_name", "VARCHAR", "Name of the device."),
        PLANT_CODE,
        DEVICE_SN,
        DEVICE_TYPE_ID,
        Column("software_version", "VARCHAR", "Software version."),
        Column("optimizer_number", "INTEGER", "Number of optimizers."),
        Column("inverter_model", "VARCHAR", "Model; inverters only."),
        Column("longitude", "DOUBLE", "Longitude, east positive.", unit="degree"),
        Column("latitude", "DOUBLE", "Latitude, north positive.", unit="degree"),
        FIRST_SEEN,
        LAST_SEEN,
        *TAIL,
    ),
)

ALARMS: Final = Table(
    "alarms",
    "raw",
    "alarms",
    None,
    "Alarms that were active when polled; clearing is inferred from absence in a later poll that covered plant and "
    "time. One row per alarm.",
    ("plant_code", "device_sn", "device_name", "alarm_id", "cause_id", "raise_time"),
    (
        PLANT_CODE,
        DEVICE_SN,
        Column("device_name", "VARCHAR", "Name of the device."),
        Column("device_type_id", "INTEGER", DEVICE_TYPE_ID.description),
        must("alarm_id", "BIGINT", "The vendor's id of the kind of alarm."),
        Column("cause_id", "BIGINT", "The vendor's id of the cause."),
        Column("alarm_name", "VARCHAR", "Name of the alarm, in the language asked for."),
        Column("alarm_cause", "VARCHAR", "Cause, in the language asked for."),
        Column("alarm_type", "INTEGER", "Kind of alarm (reference 5.1.3.1)."),
        Column("severity", "INTEGER", "Severity: 1 critical, 2 major, 3 minor, 4 warning."),
        Column("status", "INTEGER", "Status; 1 is active, the only one that the interface knows."),
        must("raise_time", "TIMESTAMPTZ", "When the alarm was raised."),
        Column("repair_suggestion", "VARCHAR", "The vendor's advice, in the language asked for."),
        must("first_seen_at", "TIMESTAMPTZ", "Poll that first held the alarm."),
        must("last_seen_at", "TIMESTAMPTZ", "Poll that last held the alarm."),
        Column("cleared_after", "TIMESTAMPTZ", "The alarm was still active then; null while it is."),
        Column("cleared_before", "TIMESTAMPTZ", "The first covering poll without it; null while it is active."),
        *TAIL,
    ),
)
