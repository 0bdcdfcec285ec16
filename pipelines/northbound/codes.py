"""The vendor's error codes.

Reference 6.1, complete. A code's meaning is quoted in every error that carries it, so that a user can look it up.
What a code means for the client (retry, stop, set a plant aside) is decided in :mod:`pipelines.northbound.errors`.
"""

from typing import Final

FAIL_CODES: Final[dict[int, str]] = {
    1: "The task is partially successful.",
    2: "The task fails.",
    305: "You are not online and need to log in again.",
    401: "You do not have the related data API permission.",
    407: "The API access frequency is too high.",
    20001: "The third-party system ID does not exist.",
    20002: "The third-party system is forbidden.",
    20003: "The third-party system has expired.",
    20004: "The server is abnormal.",
    20005: "The device ID cannot be empty.",
    20006: "Some devices do not match the device type.",
    20007: "The system does not have the desired power plant resources.",
    20008: "The system does not have the desired device resources.",
    20009: "Queried KPIs are not configured in the system.",
    20010: "The plant list cannot be empty.",
    20011: "The device list cannot be empty.",
    20012: "The query time cannot be empty.",
    20013: "The device type is incorrect. The API does not support operations on some devices.",
    20014: "A maximum of 100 plants can be queried at a time.",
    20015: "A maximum of 100 plants can be queried at a time.",
    20016: "A maximum of 100 devices can be queried at a time.",
    20017: "A maximum of 100 devices can be queried at a time.",
    20018: "A maximum of 10 devices can be operated at a time.",
    20019: "The switch type is incorrect. 1 and 2 indicate switch-on and switch-off respectively.",
    20020: "The upgrade package corresponding to the device version cannot be found.",
    20021: "The upgrade file does not exist.",
    20022: "The upgrade records of the devices in the system are not found.",
    20023: "The query start time cannot be later than the query end time.",
    20024: "The language cannot be empty.",
    20025: "The language parameter value is incorrect.",
    20026: "Only data of the latest 365 days can be queried.",
    20027: "The query time period cannot span more than 31 days.",
    20028: "The system does not have related user information.",
    20029: "Invalid user information.",
    20030: "Failed to create the I-V curve diagnosis task.",
    20034: "The task does not exist.",
    20035: "MPPT devices do not support backfeed current.",
    20036: "The backfeed current duration of the MPPT device exceeds the maximum limit.",
    20037: "The backfeed current of the MPPT device is out of range. The allowed value is (0, 15].",
    20038: (
        "In the input parameters, the authorization code list is empty (null), or the number of "
        "authorization codes is out of range. The allowed range is [0, 1000]."
    ),
    20039: "In the input parameters, the DOD value is out of range. The allowed range is [0, 100].",
    20040: "The charge/discharge switch parameter value is invalid.",
    20041: "The control type cannot be empty for forced charge and discharge.",
    20042: "The target SOC for charge/discharge is empty or invalid.",
    20043: "The charge/discharge duration is empty or invalid.",
    20044: "The unique ID of a charge/discharge task cannot be empty.",
    20045: "Unauthorized PV plants exist in the input parameters.",
    20046: "Unauthorized PV plants exist in the input parameters.",
    20047: "The forced charge/discharge power in the input parameters is invalid.",
    20048: "Duplicate charge and discharge task ID.",
    20049: "Failed to deliver the charging and discharging task.",
    20050: "The charging and discharging task query parameter does not exist.",
    20051: "Failed to set the battery DOD.",
    20055: "The plant list and device list parameters cannot be empty at the same time.",
    20056: "Resources that are not authorized by the owner exist.",
    20116: (
        "The inverter control parameter is incorrect. (The number of PV plants is greater than "
        "100 or equal to 0, or the total number of inverters in the PV plants is greater than 200 "
        "or equal to 0.)"
    ),
    20200: "The system is busy. Try again later.",
    20400: (
        "The API account name or password is incorrect; or the account is locked; or the password "
        "has expired; or the number of online sessions reaches the upper limit; or the "
        "third-party system ID does not exist."
    ),
    20403: "The API account login is restricted.",
    20604: "The time parameter is incorrect. The start time cannot be later than or equal to the end time.",
    20605: "The time parameter is incorrect. The time parameter contains a negative value.",
    20606: (
        "If only the start time is entered and the end time is empty, the start time cannot be "
        "later than or equal to the current time."
    ),
    20607: "The task list is empty.",
    20608: "Duplicate plant IDs exist in the input parameters.",
    20609: "The plant networking is abnormal.",
    20610: "The plant does not support default configuration.",
    20611: "The values of input parameters exceed the valid range.",
    20612: "The value of an input parameter is empty.",
    20613: "The default setting task fails to be sent for all plants.",
    20614: "The network communication is abnormal.",
    20615: "The same task is being executed in the current plant.",
    20616: "The task ID is empty.",
    20617: "The query result of the default plant setting task is empty.",
    20618: "The number of API calls has reached the maximum number per API account per day.",
    20619: "The number of task IDs exceeds 100.",
    20620: "The task ID does not exist.",
    20621: "The resource is not authorized by the owner.",
    20622: "The plant DN is invalid or the account does not have permission on the plant.",
    20623: "The plant DN does not belong to the company or subsidiary of the owner.",
    20624: "The owner has been bound to the plant.",
    20625: "It is not allowed to bind a plant whose sharing request has been accepted by the owner.",
    20626: "Failed to bind the plant due to an internal error.",
    21000: "The basic information for the plant creation is empty.",
    21001: "The plant name is empty or in an incorrect format.",
    21002: "The plant type is empty or incorrect.",
    21003: "The grid connection time must be a positive number.",
    21004: "The format of the contact name is incorrect.",
    21005: "The format of the contact information is incorrect.",
    21006: "The C&I plant and utility plant cannot be EV-charger-only plants.",
    21007: "The grid connection time cannot be set for an EV-charger-only plant.",
    21008: "The string capacity cannot be set for an EV-charger-only plant.",
    21009: "The electricity price cannot be set for an EV-charger-only plant.",
    21010: "pureChange can only be set to 0 or 1.",
    21011: "The plant name already exists.",
    22000: "No related data of connected devices was found.",
    22001: "The device registration code is empty.",
    22002: "The device is an unauthorized device.",
    22003: "The device registration code is incorrect.",
    22004: "You will be locked out for 5 minutes due to five consecutive incorrect registration codes.",
    22005: "Devices other than chargers are connected to an EV-charger-only plant.",
    22006: "The device SN is empty.",
    22007: "The device has been bound to another plant.",
    22008: "The parameters of connected devices are empty.",
    22009: "iSitePower-M cannot be connected.",
    22010: "The plant with the iSitePower-M cannot connect to other devices.",
    23000: "The plant-level string capacity and PV-level string capacity cannot be empty at the same time.",
    23001: "The format of the plant string capacity is incorrect.",
    23002: "The inverter SN does not exist.",
    23003: "The number of inverter SNs is incorrect.",
    23005: "The inverter PV string capacity is incorrectly set.",
    23006: "The inverter SN or PV string capacity is empty.",
    23007: "The quantity in the inverter PV string capacity setting is incorrect.",
    24000: "The electricity price must be a positive number.",
    24001: "The electricity price date settings must cover a complete year and without overlapping.",
    24002: "The electricity price time segments must cover 24 hours of the day without overlapping.",
    24003: "The date range is invalid.",
    24004: "The time range is invalid.",
    24005: "The company electricity price is empty.",
    24006: "useCompanyPrice can only be set to 0 or 1.",
    25000: "Additional information configuration is empty.",
    25001: "The area code is empty or in an incorrect format.",
    25002: "The plant address is empty.",
    25003: "The longitude and latitude are empty or in incorrect format.",
    25004: "The safe running time of the plant must be a positive number.",
    25005: "The time zone is empty or the format is incorrect.",
    25006: "loadStatus can only be set to 0 or 1 .",
    25007: "The plant introduction can contain a maximum of 128 characters.",
    26000: "Failed to create plants.",
    26001: "A maximum of 1000 plants can be created in a day.",
    26002: "The company authorized by the API account does not exist.",
    26003: "Failed to bind the API account to the device.",
    26004: "Failed to unbind the API account from the device.",
    30001: "The device ESN list cannot be empty.",
    30002: "The ESNs queried at a time cannot exceed 50.",
    30003: "The account cannot be empty in the input parameter.",
    30004: "The value of pageNo cannot be empty.",
    30005: "The value of pageSize cannot be empty.",
    30006: "The value of pageSize is out of range. The allowed range is {10, 20, 30, 50, 100}.",
    30007: "The values of startTime and endTime must be both provided or empty.",
    30008: "Failed to call the internal API.",
    30009: "The value of taskName is empty.",
    30010: "The value of dns is empty.",
    30011: "The value of cleanStatus is empty or invalid.",
    30012: "The value of environmentalParameters is empty or invalid.",
    30013: (
        "The value of modulePanelIrradiance or moduleBackSurfaceTemperature is empty when "
        "environmentalParameters is set to 1."
    ),
    30014: "The value of scanPointNum must be set to 128.",
    30015: "The value of taskId is empty.",
    30016: "The value of dn is empty.",
    30017: (
        "The value of dns is invalid. The number of devices exceeds 100 or devices on which the "
        "API account does not have permission exist."
    ),
    30018: "The value of taskName is invalid (for example, null field).",
    30019: "The value of moduleBackSurfaceTemperature is out of range. The allowed range is [0.0, 100.0].",
    30020: "The value of modulePanelIrradiance is out of range. The allowed range is [600.0, 1500.0].",
    30021: "The value of pageNo is smaller than 0.",
    30022: "The value of timestamp is empty.",
    30023: "The command type is invalid (for example, null).",
    30024: "The power supply duration is invalid.",
    30025: "The MPPT list is empty.",
    30026: "The value of mppts is empty.",
    30027: (
        "The number of MPPTs connected to a single inverter exceeds the maximum limit (3), or the "
        "total number of MPPTs in a single task exceeds the maximum limit (32)."
    ),
    30028: "The backfeed current input value is invalid.",
    30029: "Authentication failed. The entered plant or device parameter is invalid.",
    30030: "The input parameter is incorrect.",
    30031: "A maximum of 10 devices can be queried at a time.",
    30032: "The time parameter is invalid. The query time segment cannot be longer than three days.",
    30033: "The task is in progress.",
    30034: "The returned list is empty.",
    30035: "The task is to be executed.",
    30036: "The task has been canceled.",
    30037: "The number of reservation tasks exceeds the maximum (10).",
    30040: "The PV string is not configured.",
}
"""Code to meaning, as printed in reference 6.1."""

UNLISTED_CODES: Final[dict[int, str]] = {
    306: "You are not online and need to log in again.",
    307: "You are not online and need to log in again.",
    402: "The API has been taken offline for this account.",
    403: "The API is called too often by all users together.",
    429: "The API is called too often by all users together.",
}
"""Codes that 6.1 leaves out: 306 and 307 (servers answer them like 305), 402 (8.7), 403 and 429 (4)."""


def meaning_of(code: int | None) -> str | None:
    """The vendor's words for a code, or None for a code that the reference doesn't know."""
    if code is None:
        return None
    return FAIL_CODES.get(code) or UNLISTED_CODES.get(code)
