"""UpdateTableReplicaAutoScaling: of a table's replicas in other Regions, and no table has any."""

from __future__ import annotations

from varley.api.absences import no_replicas
from varley.api.auto_scaling import AUTO_SCALING_SETTINGS, AutoScalingSettingsUpdate
from varley.api.constraints import INDEX_NAME, NOT_NULL, TABLE_NAME, Each, Length, Members, check
from varley.api.requests import Request, Structure, decoder
from varley.api.services import Services
from varley.http.call import Call
from varley.table.table_name import table_name


class GlobalSecondaryIndexAutoScalingUpdate(Structure):
    index_name: str | None = None
    provisioned_write_capacity_auto_scaling_update: AutoScalingSettingsUpdate | None = None


class ReplicaGlobalSecondaryIndexAutoScalingUpdate(Structure):
    index_name: str | None = None
    provisioned_read_capacity_auto_scaling_update: AutoScalingSettingsUpdate | None = None


class ReplicaAutoScalingUpdate(Structure):
    region_name: str | None = None
    replica_global_secondary_index_updates: list[ReplicaGlobalSecondaryIndexAutoScalingUpdate] | None = None
    replica_provisioned_read_capacity_auto_scaling_update: AutoScalingSettingsUpdate | None = None


class UpdateTableReplicaAutoScalingRequest(Request):
    global_secondary_index_updates: list[GlobalSecondaryIndexAutoScalingUpdate] | None = None
    table_name: str | None = None
    provisioned_write_capacity_auto_scaling_update: AutoScalingSettingsUpdate | None = None
    replica_updates: list[ReplicaAutoScalingUpdate] | None = None


_decode = decoder(UpdateTableReplicaAutoScalingRequest)
_UPDATE_TABLE_REPLICA_AUTO_SCALING = Members(
    global_secondary_index_updates=(
        Length(1),
        Each(
            Members(index_name=INDEX_NAME, provisioned_write_capacity_auto_scaling_update=AUTO_SCALING_SETTINGS)
        ),
    ),
    table_name=TABLE_NAME,
    provisioned_write_capacity_auto_scaling_update=AUTO_SCALING_SETTINGS,
    replica_updates=(
        Length(1),
        Each(
            Members(
                region_name=(NOT_NULL,),
                replica_global_secondary_index_updates=(
                    Each(
                        Members(
                            index_name=INDEX_NAME,
                            provisioned_read_capacity_auto_scaling_update=AUTO_SCALING_SETTINGS,
                        )
                    ),
                ),
                replica_provisioned_read_capacity_auto_scaling_update=AUTO_SCALING_SETTINGS,
            )
        ),
    ),
)


def run(_services: Services, call: Call) -> bytes:
    request = _decode(call.body)
    check(_UPDATE_TABLE_REPLICA_AUTO_SCALING, request)
    assert request.table_name is not None
    raise no_replicas(table_name(request.table_name))
