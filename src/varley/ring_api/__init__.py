"""The ring over HTTP: one node's `RingService` behind the front door that DynamoDB's API has too.

    resources   paths and methods -> names of operations
    request     what a request asks for, parsed once
    answer      what a client is told: values, contexts, errors
    handler     the one table from operations to what they do
    readings    what /metrics says of the ring

docs/ring_api.md has it from the client's side.
"""
