"""Limits that several files know, with where they come from.

Sources: [API] the service model of DynamoDB 2012-08-10; [DG] the DynamoDB Developer Guide, "Quotas" and
"Constraints"; [own] Varley's own choice.
"""

from __future__ import annotations

# Items
ITEM_BYTES_MAX = 400 * 1024             # [DG] names and values together
NESTING_MAX = 32                        # [DG] levels of lists and maps
PARTITION_KEY_BYTES_MAX = 2048          # [DG]
SORT_KEY_BYTES_MAX = 1024               # [DG]
ATTRIBUTE_NAME_BYTES_MAX = 65535        # [DG] 64 KB - 1
KEY_ATTRIBUTE_NAME_BYTES_MAX = 255      # [DG]
NUMBER_DIGITS_MAX = 38                  # [DG]
NUMBER_EXPONENT_MAX = 125               # [DG] 9.9999999999999999999999999999999999999E+125
NUMBER_EXPONENT_MIN = -130              # [DG] 1E-130

# Expressions
EXPRESSION_BYTES_MAX = 4096             # [DG] 4 KB for any expression
EXPRESSION_OPERATORS_MAX = 300          # [DG] operators or functions in one expression
EXPRESSION_IN_OPERANDS_MAX = 100        # [DG] operands of IN
EXPRESSION_PLACEHOLDER_BYTES_MAX = 255  # [DG]
EXPRESSION_SUBSTITUTES_BYTES_MAX = 2 * 1024 * 1024  # [DG] all names and values of a request, with their placeholders

# PartiQL
PARTIQL_STATEMENT_CHARS_MAX = 8192      # [API]
PARTIQL_NEXT_TOKEN_CHARS_MAX = 32768    # [API]
PARTIQL_BATCH_STATEMENTS_MAX = 25       # [API]
PARTIQL_HASH_VALUES_MAX = 50            # [DG] partition key values in one IN
PARTIQL_HASH_VALUES_PER_PAGE = 10       # [DG] "pages of up to 10 items" of an IN

# Requests
PAGE_BYTES_MAX = 1024 * 1024            # [DG] Query and Scan read at most 1 MB a page
BATCH_GET_KEYS_MAX = 100                # [API]
BATCH_GET_BYTES_MAX = 16 * 1024 * 1024  # [API]
BATCH_WRITE_REQUESTS_MAX = 25           # [API]
BATCH_WRITE_BYTES_MAX = 16 * 1024 * 1024       # [API]
TRANSACTION_ACTIONS_MAX = 100           # [API]
TRANSACTION_BYTES_MAX = 4 * 1024 * 1024 # [API]
CLIENT_TOKEN_CHARS_MAX = 36             # [API]
SCAN_SEGMENTS_MAX = 1_000_000           # [API]
LIST_TABLES_MAX = 100                   # [API]

# Tables
TABLES_MAX = 2500                       # [DG]
TABLE_NAME_CHARS_MIN = 3                # [DG]
TABLE_NAME_CHARS_MAX = 255              # [DG]
TAGS_MAX = 50                           # [DG]
TABLE_CAPACITY_UNITS_MAX = 40_000       # [DG] default per table, read and write alike
ACCOUNT_CAPACITY_UNITS_MAX = 80_000     # [DG] default per account and Region

# Local indexes
LOCAL_INDEXES_MAX = 5                   # [DG] per table
ITEM_COLLECTION_BYTES_MAX = 10 * 1024**3    # [DG] items and index rows of one partition key, with local indexes

# Streams
STREAM_RETENTION_SECONDS = 24 * 3600    # [DG] of records, and of streams that were disabled
STREAM_ITERATOR_SECONDS = 15 * 60       # [API] from GetShardIterator or GetRecords on
STREAM_RECORDS_MAX = 1000               # [API] GetRecords, one page
STREAM_PAGE_BYTES_MAX = 1024 * 1024     # [API] GetRecords, one page
STREAM_SHARDS_MAX = 100                 # [API] DescribeStream, one page
STREAM_LIST_MAX = 100                   # [API] ListStreams, one page
# Global indexes
GLOBAL_INDEXES_MAX = 20                 # [DG] default per table
INDEX_KEY_PARTS_MAX = 4                 # [DG] attributes of a partition key, and as many of a sort key

# All indexes of a table
PROJECTED_NAMES_MAX = 100               # [API] names in NonKeyAttributes, over all indexes

# Partitions
PARTITION_READ_UNITS_MAX = 3000         # [DG]
PARTITION_WRITE_UNITS_MAX = 1000        # [DG]

# Capacity units
READ_UNIT_BYTES = 4096                  # [DG]
WRITE_UNIT_BYTES = 1024                 # [DG]

# Front door
REQUEST_BODY_BYTES_MAX = 16 * 1024 * 1024      # [DG] 16 MB
QUOTED_CHARS_MAX = 64 * 1024            # [own] of a value that the text of an error quotes
REQUEST_HEAD_BYTES_MAX = 64 * 1024             # [own]
VECTOR_DIMENSIONS_MAX = 4096    # model: SearchVectorList
TOP_K_MAX = 100                 # [DG] "Troubleshooting vector indexes"
