"""Refusals that both servers give for the same reason in words of their own: Varley's text, DynamoDB Local's.

Each is a pattern of the whole of "400 ValidationException: text". Those that tests of the API meet are in
tests/aws/known_differences.py.
"""

from __future__ import annotations

_INVALID = r"400 ValidationException: "
_VALUES = _INVALID + r"One or more parameter values were invalid: "
_TABLE_MISSING = r"400 ResourceNotFoundException: Requested resource not found: Table: \S+ not found"
_INDEX_MISSING = r"400 ResourceNotFoundException: Requested resource not found: Index \S+ for table \S+"
_REDEFINED = _INVALID + r"invalid attribute, SchemaElement redefined should be of same type as previously defined.*"
_UNDEFINED = (
    _INVALID + r"((Hash|Range) Key not specified in Attribute Definitions\.  Type unknown\."
    r"|Global Secondary Index (hash|range) key not specified in Attribute Definitions\. ?Type unknown\."
    r"|Local Secondary Index (hash|range) key not specified in Attribute Definitions\. ?Type unknown\.)"
)
_NO_THROUGHPUT = _INVALID + r"No provisioned throughput specified for the (table|global secondary index)"

TABLES: tuple[tuple[str, str], ...] = (
    (r"400 ResourceInUseException: Table already exists: \S+",
     r"400 ResourceInUseException: Cannot create preexisting table"),
    (_TABLE_MISSING, r"400 ResourceNotFoundException: Cannot do operations on a non-existent table"),
    (_INDEX_MISSING, r"400 ResourceNotFoundException: Requested resource not found"),
    (_INDEX_MISSING, _INVALID + r"Invalid global secondary index name"),
    (_INVALID + r"Both the Hash Key and the Range Key element in the KeySchema have the same name",
     _INVALID + r"Two keys can not have the same name"),
    (_INVALID + r"Invalid KeySchema: Some index key attribute have no definition", _UNDEFINED),
    (_VALUES + r"Some index key attributes are not defined in AttributeDefinitions\. Keys: .*", _UNDEFINED),
    (_VALUES + r"Some index key attributes are not defined in AttributeDefinitions\. Keys: .*",
     _INVALID + r"Local Secondary indices must have the same hash key as the main table"),
    (_VALUES + r"Number of attributes in KeySchema does not exactly match number of attributes defined in "
     r"AttributeDefinitions|" + _VALUES + r"Some AttributeDefinitions are not used\. AttributeDefinitions: .*",
     _INVALID + r"The number of attributes in key schema must match the number of attributes ?defined in attribute "
     r"definitions\."),
    (_VALUES + r"All HASH key attributes must precede RANGE key attributes in the KeySchema",
     _INVALID + r"Key Schema too big\.  Key Schema must at most consist of the hash and range key of a table"),
    (_VALUES + r"ProjectionType is (ALL|KEYS_ONLY), but NonKeyAttributes is specified",
     _INVALID + r"No attributes should be specified to be projected unless projection type is INCLUDE"),
    (_VALUES + r"ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED",
     _NO_THROUGHPUT),
    (_VALUES + r"ProvisionedThroughput must be specified when BillingMode is PROVISIONED", _NO_THROUGHPUT),
    (_VALUES + r"ProvisionedThroughput is not specified for index: \S+", _NO_THROUGHPUT),
    (_VALUES + r"Unknown ProjectionType: null", _INVALID + r"Indexes must have a projection specified"),
    (_VALUES + r"GlobalSecondaryIndex count exceeds the per-table limit of 20",
     _INVALID + r"GlobalSecondaryIndex count exceeds the per-table limit.*"),
    (_INVALID + r"(The KeySchema contains multiple key attributes with the same name"
     r"|Both the Hash Key and the Range Key element in the KeySchema have the same name)",
     _INVALID + r"(Too many hash keys specified\.  All Dynamo DB tables must have exactly one hash key"
     r"|Key Schema too big\.  Key Schema must at most consist of the hash and range key of a table)"),
    (_VALUES + r"List of GlobalSecondaryIndexes is empty", _INVALID + r"GSI list is empty/invalid"),
    (_INVALID + r"Invalid KeySchema: The first KeySchemaElement is not a HASH key type",
     _INVALID + r"Invalid key order\. Hash Key must be specified first in key schema, .*"),
    (_VALUES + r"AttributeDefinitions is not specified for index: \S+", _INVALID + r"No Attribute Schema Defined"),
    (_VALUES + r"Neither ReadCapacityUnits nor WriteCapacityUnits can be specified for index: \S+ when BillingMode is "
     r"PAY_PER_REQUEST", _REDEFINED),
    (_VALUES + r"The only Updates for index: \S+ when TableThroughputMode is PAY_PER_REQUEST can be to "
     r"OnDemandThroughput, WarmThroughput", _REDEFINED),
    (_INVALID + r"The provisioned throughput for the (table|index \S+) will not change\. .*",
     _INVALID + r"The requested throughput value equals the current value"),
)  # fmt: skip

_MALFORMED = _INVALID + r"Statement wasn't well formed, can't be processed: "

STATEMENTS: tuple[tuple[str, str], ...] = (
    # DynamoDB Local repeats the statement; the service says what is wrong with it.
    (_MALFORMED + r"[A-Z][a-z]+ [a-z ]+", _MALFORMED + r"(SELECT|INSERT|UPDATE|DELETE|EXISTS) .*"),
)
