"""A SmartPVMS to develop and show with, written from the vendor's reference alone.

It imports nothing of the client's rooms and has its own keys and calendar, so that it can prove them wrong.
"""
