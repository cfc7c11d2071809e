"""The tools that a chat sees. Used by the server, the proxy and the command line.

Nothing is imported here: `registry` is all that a handshake needs, and the rest costs a chat its patience.
"""
