"""Ground floor: what the data is. The catalog of endpoints and data items, and all that is made from it.

Imports nothing of ours.
"""
