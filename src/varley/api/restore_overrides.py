"""What a restored table may have otherwise than the table that it is restored from: shape and constraints.

There is nothing here to restore from, so nobody ever looks what the overrides say.
"""

from __future__ import annotations

import msgspec

from varley.api.constraints import Each, Members, OneOf, Rule
from varley.api.global_indexes import GlobalSecondaryIndex
from varley.api.local_indexes import LocalSecondaryIndex
from varley.api.requests import Request
from varley.api.table_structures import (
    INDEX,
    PROVISIONED_THROUGHPUT,
    SSE_SPECIFICATION,
    OnDemandThroughput,
    ProvisionedThroughput,
    SSESpecification,
)
from varley.api.vector_indexes import VECTOR_INDEX, VectorIndex


class RestoreOverrides(Request):
    """Base of the two requests."""

    billing_mode_override: str | None = None
    global_secondary_index_override: list[GlobalSecondaryIndex] | None = None
    local_secondary_index_override: list[LocalSecondaryIndex] | None = None
    provisioned_throughput_override: ProvisionedThroughput | None = None
    on_demand_throughput_override: OnDemandThroughput | None = None
    sse_specification_override: SSESpecification | None = msgspec.field(
        name="SSESpecificationOverride", default=None
    )
    vector_index_override: list[VectorIndex] | None = None


RESTORE_OVERRIDES: dict[str, tuple[Rule, ...]] = {
    "billing_mode_override": (OneOf("PROVISIONED", "PAY_PER_REQUEST"),),
    "global_secondary_index_override": (
        Each(Members(**INDEX, provisioned_throughput=(PROVISIONED_THROUGHPUT,))),
    ),
    "local_secondary_index_override": (Each(Members(**INDEX)),),
    "provisioned_throughput_override": (PROVISIONED_THROUGHPUT,),
    "sse_specification_override": (SSE_SPECIFICATION,),
    "vector_index_override": (Each(VECTOR_INDEX),),
}
