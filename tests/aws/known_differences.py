"""What an endpoint is known to do otherwise than Amazon DynamoDB itself.

The tests say what the service does, as its documentation and its users report it: they have not yet been run
against AWS, and a first run there may well prove one of them wrong rather than the endpoints below. Each
difference below was seen at that endpoint and names its reason, so that a run against
another endpoint is green only if it differs in exactly these points: a test listed here must fail there
(pytest's strict xfail), and a name that no test bears stops the run.

FILES: whole files that would tell nothing there, and are skipped: file -> why.
WORDS: refusals that are right but worded otherwise: (pattern of AWS's words, pattern of that endpoint's).
TESTS: tests that fail there: name, or name[parameters] -> why.

Seen with DynamoDB Local (the build on Jetty 9.4.53), in memory, with a shared database, November 2026.
"""

from __future__ import annotations

_LOCAL_NAME = (
    r"Invalid table/index name\.  Table/index names must be between 3 and 255 characters long, and may contain only "
    r"the characters a-z, A-Z, 0-9, '_', '-', and '\.'"
)

_LOCAL_WORDS = [
    # Time to live and streams
    (
        r".*'timeToLiveSpecification.*",
        r"AttributeName cannot be null when time to live is being enabled|TimeToLiveSpecification cannot be null|"
        r"Names of key attributes and attributes projected into an index must be .*",
    ),
    (r"Requested resource not found: Stream: .* not found", r"Stream does not exist"),
    (r"Requested resource not found: Shard does not exist", r"Shard does not exist"),
    (r"Table already has an enabled stream: .*", r"Table already has an enabled stream"),
    (r"Table has no stream to disable: .*", r"Table has no stream to disable"),
    # Tables
    (r"Requested resource not found.*", r"Cannot do operations on a non-existent table"),
    (r"Table already exists: .*", r"Cannot create preexisting table"),
    (r".*(at 'tableName' failed|at 'tableName').*", _LOCAL_NAME),
    (
        r".*at 'provisionedThroughput.*",
        r"Table read and write throughput must be at least 1, and cannot be null",
    ),
    (
        r"One or more parameter values were invalid: .* must (both )?be specified when BillingMode is PROVISIONED",
        r"No provisioned throughput specified for the table",
    ),
    (
        r"One or more parameter values were invalid: Number of attributes in KeySchema .*",
        r"The number of attributes in key schema must match the number of attributes defined in "
        r"attribute definitions\.",
    ),
    (
        r".*Some index key attributes are not defined.*",
        r"(Hash|Range) Key not specified in Attribute Definitions\.  Type unknown\.",
    ),
    (
        r"Invalid KeySchema: The first KeySchemaElement is not a HASH key type",
        r"No Hash Key specified in schema\.  All Dynamo DB tables must have exactly one hash key",
    ),
    (
        r"Invalid KeySchema: The second KeySchemaElement is not a RANGE key type",
        r"Too many hash keys specified\.  All Dynamo DB tables must have exactly one hash key",
    ),
    (r".*have the same name.*", r"Two keys can not have the same name"),
    (
        r".*'keySchema.*",
        r"No Hash Key specified in schema\.  All Dynamo DB tables must have exactly one hash key"
        r"|Key Schema too big\.  Key Schema must at most consist of the hash and range key of a table"
        r"|One or more keys is not specified as being hash or range\."
        r"|Hash Key not specified in Attribute Definitions\.  Type unknown\.",
    ),
    (r".*'attributeDefinitions.*", r"Member must satisfy enum value set: \[B, N, S\]"),
    (
        r".*at 'limit' failed.*",
        r"Limit must be greater than or equal to 1|Limit in ListTables must be <= 100",
    ),
    (
        r"The provisioned throughput for the table will not change.*",
        r"The requested throughput value equals the current value",
    ),
    (r"At least one of ProvisionedThroughput.*", r"Nothing to update"),
    (r".*tableClass.*|.*table-\?.*", r"Nothing to update"),
    # Local indexes
    (
        r".*Table KeySchema does not have a range key.*",
        r"Local Secondary indices are not allowed on hash tables, only hash and range tables",
    ),
    (r".*Duplicate index name: .*", r"Two local secondary indices have the same name"),
    (
        r".*Number of LocalSecondaryIndexes exceeds per-table limit of 5",
        r"Cannot have more than 5 local secondary indexes per table",
    ),
    (
        r".*ProjectionType is ALL, but NonKeyAttributes is specified",
        r"No attributes should be specified to be projected unless projection type is INCLUDE",
    ),
    (
        r".*ProjectionType is INCLUDE, but NonKeyAttributes is not specified",
        r"If Projection type INCLUDE is specified, some non-key attributes to include in the projection must be "
        r"specified as well",
    ),
    (
        r".*Some index key attributes are not defined.*",
        r"Local Secondary Index range key not specified in Attribute Definitions\.Type unknown\.",
    ),
    (
        r".*Type mismatch for Index Key .*",
        r"One or more parameter values were invalid: Type mismatch for Index Key|Invalid attribute value type"
        r"|Updates on index keys must be of the same data type as the key attribute",
    ),
    (r".*Size limit exceeded for Index Key .*", r"One or more parameter values were invalid: Size limit exceeded"),
    (r"The provided starting key is invalid.*", r"Exclusive Start Key must have same size as table's key schema"),
    # Global indexes
    (
        r"Consistent reads are not supported on global secondary indexes",
        r"Consistent read cannot be true when (querying|scanning) a GSI",
    ),
    # Keys and items
    (
        r"One or more parameter values were invalid: Missing the key .* in the item",
        r"One of the required keys was not given a value",
    ),
    (
        r"One or more parameter values were invalid: Type mismatch for key .*",
        r"One or more parameter values were invalid: Type mismatch for key|Invalid attribute value type",
    ),
    (
        r"The provided key element does not match the schema",
        r"The number of conditions on the keys is invalid"
        r"|One of the required keys was not given a value"
        r"|One or more parameter values were invalid: Type mismatch for key"
        r"|Invalid attribute value type",
    ),
    (
        r".*(Size of hashkey|Aggregated size of all range keys).*",
        r"Hash primary key values must be under 2048 bytes, and range primary key values must be under 1024 bytes",
    ),
    (r".*at 'key' failed .*", r"Cannot have null key for GetItem, DeleteItem, or UpdateItem"),
    (r".*at 'item' failed .*", r"Item to put in PutItem cannot be null"),
    (r"ReturnValues can only be ALL_OLD or NONE", r"Return values set to invalid value"),
    (r".*at 'returnValues' failed .*", r"Return values set to invalid value"),
    # Query, Scan and batches
    (
        r".*at 'select' failed .*",
        r"Select must be ALL_ATTRIBUTES, ALL_PROJECTED_ATTRIBUTES, COUNT, or SPECIFIC_ATTRIBUTES",
    ),
    (r"The provided starting key is invalid.*", r"Type mismatch for attribute to update"),
    (
        r"The provided starting key is outside query boundaries based on provided conditions",
        r"The provided starting key does not match the range key predicate",
    ),
    (
        r"The TotalSegments parameter is required .*",
        r"If segment is specified, total segment must also be specified",
    ),
    (
        r"The Segment parameter is required .*",
        r"If total segments is specified, a particular segment must also be specified for this request",
    ),
    (
        r"The Segment parameter is zero-based .*|.*at '(segment|totalSegments)' failed .*",
        r"1 validation error detected: Value '-?\d+' at 'segment' failed to satisfy constraint: "
        r"Member must have value less than or equal to -?\d+",
    ),
    (
        r".*'requestItems.*",
        r"BatchGetItem must have some requests set"
        r"|The list of keys in RequestItems for BatchGetItem is required: .* has empty list"
        r"|BatchWriteItem cannot have a null or no requests set"
        r"|The batch write request list for a table cannot be null or empty: .*",
    ),
    # Values
    (
        r"(.*)The parameter cannot be converted to a numeric value.*",
        r".*A value provided cannot be converted into a number.*",
    ),
    (
        r"(.*)Attempting to store more than 38 significant digits in a Number(.*)",
        r".*DynamoDB only supports precision up to 38 digits.*",
    ),
    (r".* (ADD|DELETE) action.* is not supported for the type .*", r".* is not supported for the type .*"),
    (r"The provided starting key is invalid.*", r"The query can return at most one row and cannot be restarted\. .*"),
    (r".* contains duplicates\..*", r".* contains duplicates.*"),
    (r"Query condition missed key schema element: .*", r"Query condition missed key schema element"),
    # One text for an unknown ReturnConsumedCapacity in every operation, whatever it is about
    (
        r".*at 'returnConsumedCapacity' failed .*",
        r"Cannot have null key for GetItem, DeleteItem, or UpdateItem",
    ),
]

_LOCAL_TESTS = {
    # Transactions: each small action counts 4 units, not 2; constraints are looked at when somebody stumbles over them
    "test_transact_write_items.py::test_a_table_may_be_named_by_its_arn": "takes no ARNs",
    "test_transact_write_items.py::test_each_action_has_its_own_reason": "a full stop after the text",
    "test_transact_write_items.py::test_the_item_is_shown_to_who_asks_for_it": "not for a check",
    "test_transact_write_items.py::test_what_an_update_cannot_do_cancels": "refuses the request",
    "test_transact_write_items.py::test_two_actions_on_one_item_are_refused": "finds it after the conditions",
    "test_transact_write_items.py::test_no_actions_and_too_many": "in its own words",
    "test_transact_write_items.py::test_what_an_action_must_have": "in its own words, or looks for the table first",
    "test_transact_write_items.py::test_words_that_are_none": "takes them",
    "test_transact_write_items.py::test_a_key_that_does_not_fit_cancels": "some refuse the request",
    "test_transact_write_items.py::test_a_request_that_comes_again_is_done_once": "counts capacity wrong",
    "test_transact_write_items.py::test_a_token_belongs_to_one_request": "has no text for it",
    "test_transact_write_items.py::test_tokens_have_1_to_36_characters": "takes an empty one",
    "test_transact_write_items.py::test_each_action_counts_twice": "counts capacity wrong",
    "test_transact_write_items.py::test_what_indexes_take_counts_once": "counts capacity wrong",
    "test_transact_get_items.py::test_what_must_be_there": "in its own words",
    "test_transact_get_items.py::test_keys_that_do_not_fit": "gives no reasons",
    "test_create_table.py::test_a_new_table_has_an_identifier_of_its_own": "answers no TableId",
    "test_create_table.py::test_the_table_class_can_be_chosen": "knows no table classes",
    "test_create_table.py::test_tags_are_put_on_the_table_as_it_is_made": "knows no tags",
    "test_create_table.py::test_names_that_differ_only_in_case_are_two_tables": "folds the case of table names",
    "test_create_table.py::test_an_on_demand_table_takes_no_throughput": "ignores the throughput",
    "test_create_table.py::test_these_parameters_break_the_service_model[odd billing mode]": "answers 500",
    "test_create_table.py::test_an_unknown_table_class_is_refused": "knows no table classes",
    "test_create_table.py::test_a_new_table_can_be_named_by_its_arn": "takes no ARN for a name",
    "test_delete_table.py::test_deleting_describes_the_table_that_goes": "says ACTIVE of a table that is going",
    "test_delete_table.py::test_a_table_can_be_deleted_by_its_arn": "takes no ARN for a name",
    "test_describe_table.py::test_a_table_can_be_named_by_its_arn": "takes no ARN for a name",
    "test_update_table.py::test_an_on_demand_table_takes_no_throughput": "takes it, and the table is provisioned",
    "test_update_table.py::test_the_table_class_can_be_changed": "knows no table classes",
    "test_update_table.py::test_unknown_words_are_refused[billing mode]": "answers 500",
    "test_global_indexes_read.py::test_a_page_is_a_megabyte_of_what_is_projected": "counts what is not projected too",
    "test_global_indexes_write.py::test_rows_and_bytes_are_told": "counts what is not projected too",
    "test_global_indexes_write.py::test_partiql_pays_too": "counts nothing",
    "test_global_indexes_write.py::test_the_largest_keys": "knows no keys of several attributes",
    "test_global_indexes_write.py::test_an_update_may_not_make_an_index_key_impossible[type]": "takes it",
    "test_global_indexes_write.py::test_an_update_may_not_make_an_index_key_impossible[too long]": "takes it",
    "test_local_indexes.py::test_rows_and_bytes_of_each_index_are_told": "counts what is not projected too",
    "test_local_indexes.py::test_these_indexes_are_refused[21 attributes]": "takes any number",
    "test_local_indexes.py::test_an_update_may_not_make_an_index_key_impossible[type]": "takes it",
    "test_local_indexes.py::test_an_update_may_not_make_an_index_key_impossible[too long]": "takes it",
    "test_local_indexes.py::test_what_is_not_projected_is_fetched_at_the_price_of_each_item[expression within]": (
        "reads the table for every ProjectionExpression"
    ),
    "test_local_indexes.py::test_what_is_not_projected_is_fetched_at_the_price_of_each_item[included expression]": (
        "reads the table for every ProjectionExpression"
    ),
    "test_local_indexes.py::test_a_page_that_fetches_ends_earlier": "counts the index only",
    "test_local_indexes.py::test_a_write_tells_how_large_its_collection_is": "tells nothing of item collections",
    "test_local_indexes.py::test_a_batch_of_statements_tells_it_by_index_too": "tells no capacity of statements",
    "test_local_indexes.py::test_a_batch_tells_it_once_for_each_collection": "tells nothing of item collections",
    "test_local_indexes.py::test_an_item_and_its_index_row_have_400_kb_together": "looks at the item only",
    "test_put_item.py::test_the_table_can_be_named_by_its_arn": "takes no ARN for a name",
    "test_put_item.py::test_unknown_words_are_refused[metrics]": "does not look at it",
    "test_put_item.py::test_every_broken_constraint_is_told_at_once": "tells the first only",
    "test_query.py::test_the_megabyte_is_counted_before_anything_is_left_out[filtered away]": "counts what passes only",
    "test_batch_get_item.py::test_equal_numbers_are_the_same_key": "compares keys by their text",
    "test_batch_get_item.py::test_a_table_can_be_named_by_its_arn": "takes no ARN for a name",
    "test_batch_write_item.py::test_a_table_can_be_named_by_its_arn": "takes no ARN for a name",
    "test_update_expression.py::test_arithmetic_is_decimal_and_exact[1.10-ADD n :d-0.90-2]": "keeps zeros at the end",
    "test_consumed_capacity.py::test_a_query_that_finds_nothing_costs_the_least": "costs nothing",
    "test_consumed_capacity.py::test_a_query_tells_the_tables_share_too": "costs nothing",
    "test_consumed_capacity.py::test_batch_reads_round_each_item": "an item that is not there costs nothing in a batch",
    "test_numbers.py::test_numbers_inside_documents_have_the_same_normal_form": "keeps them as they were written",
    "test_numbers.py::test_digits_of_other_scripts_are_no_number": "takes the digits of every script",
    "test_order_of_checks.py::test_the_service_model_comes_before_the_values": "checks it last",
    "test_order_of_checks.py::test_the_service_model_comes_before_the_table": "looks for the table first",
    "test_order_of_checks.py::test_values_come_before_the_table": "looks for the table first",
    "test_order_of_checks.py::test_return_values_come_before_the_table": "looks for the table first",
    "test_order_of_checks.py::test_expressions_come_before_the_table": "looks for the table first",
    "test_order_of_checks.py::test_placeholders_come_before_the_table": "looks for the table first",
    "test_order_of_checks.py::test_expressions_come_before_the_key": "looks at the key first",
    "test_transact_write_items.py::test_items_that_are_updated_count_whole": "counts what the request carries only",
    "test_update_item.py::test_updated_values_inside_a_map_come_without_their_neighbours": "returns the whole map",
    "test_update_item.py::test_updated_elements_of_a_list_come_without_their_neighbours": "returns the whole list",
}

_LOCAL_FILES = {
    "test_wire.py": "its HTTP and JSON layers are not the service's: numbers are taken for texts, bad UTF-8 and bad "
    "base64 are stored, a missing target and deep nesting are answered with 500, there are no 52-character request ids",
    "test_global_indexes.py": "other words for most refusals; knows no keys of several attributes",
    "test_global_indexes_keys.py": "knows no keys of several attributes",
    "test_global_indexes_partiql.py": "knows no keys of several attributes; fails on ORDER BY an index's key",
    "test_global_indexes_update.py": "other words and other states for most of it",
    "test_tag_resource.py": "knows no tags",
    "test_untag_resource.py": "knows no tags",
    "test_list_tags_of_resource.py": "knows no tags",
    "test_describe_endpoints.py": "does not know the operation",
    "test_batch_execute_statement.py": "other words for most refusals; wrong about sort-key ranges",
    "test_bulk_operations.py": "does not know the operations",
    "test_create_backup.py": "does not know the operation",
    "test_create_global_table.py": "does not know the operation",
    "test_delete_backup.py": "does not know the operation",
    "test_delete_resource_policy.py": "does not know the operation",
    "test_search_vectors.py": "does not know the operation",
    "test_describe_backup.py": "does not know the operation",
    "test_describe_continuous_backups.py": "does not know the operation",
    "test_describe_contributor_insights.py": "does not know the operation",
    "test_describe_export.py": "does not know the operation",
    "test_describe_global_table.py": "does not know the operation",
    "test_describe_global_table_settings.py": "does not know the operation",
    "test_describe_import.py": "does not know the operation",
    "test_describe_kinesis_streaming_destination.py": "does not know the operation",
    "test_describe_table_replica_auto_scaling.py": "does not know the operation",
    "test_disable_kinesis_streaming_destination.py": "does not know the operation",
    "test_enable_kinesis_streaming_destination.py": "does not know the operation",
    "test_execute_statement.py": "other words for most refusals; wrong about sort-key ranges",
    "test_execute_transaction.py": "counts no capacity, has other codes, looks at no constraints",
    "test_export_table_to_point_in_time.py": "does not know the operation",
    "test_get_resource_policy.py": "does not know the operation",
    "test_import_table.py": "does not know the operation",
    "test_infrastructure_tools.py": "does not know the operation",
    "test_list_backups.py": "does not know the operation",
    "test_list_contributor_insights.py": "does not know the operation",
    "test_list_exports.py": "does not know the operation",
    "test_list_global_tables.py": "does not know the operation",
    "test_list_imports.py": "does not know the operation",
    "test_partiql_model.py": "tells no capacity of statements",
    "test_put_resource_policy.py": "does not know the operation",
    "test_restore_table_from_backup.py": "does not know the operation",
    "test_restore_table_to_point_in_time.py": "does not know the operation",
    "test_update_continuous_backups.py": "does not know the operation",
    "test_update_contributor_insights.py": "does not know the operation",
    "test_update_global_table.py": "does not know the operation",
    "test_update_global_table_settings.py": "does not know the operation",
    "test_update_kinesis_streaming_destination.py": "does not know the operation",
    "test_update_table_replica_auto_scaling.py": "does not know the operation",
}

FILES: dict[str, dict[str, str]] = {"dynamodb-local": _LOCAL_FILES}
WORDS: dict[str, list[tuple[str, str]]] = {"dynamodb-local": _LOCAL_WORDS}
TESTS: dict[str, dict[str, str]] = {"dynamodb-local": _LOCAL_TESTS}
