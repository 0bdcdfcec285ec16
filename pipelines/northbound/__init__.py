"""The vendor's protocol: session, flow control, endpoints, errors.

Start at :mod:`~pipelines.northbound.client`. A call goes through the ledger (may it be made now?), the session (with
which token?), the transport (bytes there and back) and the judge (success, or which error?).
"""
