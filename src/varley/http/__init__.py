"""The front door: bytes of a socket <-> one call of one DynamoDB operation.

`server.FrontDoor` listens, `protocol.Connection` is one client's connection, `call.Call` is one request as a
handler sees it. Nothing here knows what an operation does.
"""
