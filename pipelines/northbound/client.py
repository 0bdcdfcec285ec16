"""One account's client. (Interface first; the body follows.)"""
