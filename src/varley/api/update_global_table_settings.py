"""UpdateGlobalTableSettings: of the first version of global tables (2017.11.29), of which there are none."""

from __future__ import annotations

from typing import Annotated

from varley.api.absences import no_global_table_settings
from varley.api.auto_scaling import AUTO_SCALING_SETTINGS, AutoScalingSettingsUpdate
from varley.api.constraints import INDEX_NAME, NOT_NULL, Each, Length, Members, OneOf, Range, check
from varley.api.named_table import NAME_ONLY
from varley.api.requests import LONG, Request, Structure, decoder
from varley.api.services import Services
from varley.http.call import Call


class GlobalTableGlobalSecondaryIndexSettingsUpdate(Structure):
    index_name: str | None = None
    provisioned_write_capacity_units: Annotated[int, LONG] | None = None
    provisioned_write_capacity_auto_scaling_settings_update: AutoScalingSettingsUpdate | None = None


class ReplicaGlobalSecondaryIndexSettingsUpdate(Structure):
    index_name: str | None = None
    provisioned_read_capacity_units: Annotated[int, LONG] | None = None
    provisioned_read_capacity_auto_scaling_settings_update: AutoScalingSettingsUpdate | None = None


class ReplicaSettingsUpdate(Structure):
    region_name: str | None = None
    replica_provisioned_read_capacity_units: Annotated[int, LONG] | None = None
    replica_provisioned_read_capacity_auto_scaling_settings_update: AutoScalingSettingsUpdate | None = None
    replica_global_secondary_index_settings_update: list[ReplicaGlobalSecondaryIndexSettingsUpdate] | None = None
    replica_table_class: str | None = None


class UpdateGlobalTableSettingsRequest(Request):
    global_table_name: str | None = None
    global_table_billing_mode: str | None = None
    global_table_provisioned_write_capacity_units: Annotated[int, LONG] | None = None
    global_table_provisioned_write_capacity_auto_scaling_settings_update: AutoScalingSettingsUpdate | None = None
    global_table_global_secondary_index_settings_update: (
        list[GlobalTableGlobalSecondaryIndexSettingsUpdate] | None
    ) = None
    replica_settings_update: list[ReplicaSettingsUpdate] | None = None


_decode = decoder(UpdateGlobalTableSettingsRequest)
_REPLICA_INDEX = Members(
    index_name=(NOT_NULL, *INDEX_NAME),
    provisioned_read_capacity_units=(Range(1),),
    provisioned_read_capacity_auto_scaling_settings_update=AUTO_SCALING_SETTINGS,
)
_REPLICA = Members(
    region_name=(NOT_NULL,),
    replica_provisioned_read_capacity_units=(Range(1),),
    replica_provisioned_read_capacity_auto_scaling_settings_update=AUTO_SCALING_SETTINGS,
    replica_global_secondary_index_settings_update=(Length(1, 20), Each(_REPLICA_INDEX)),
    replica_table_class=(OneOf("STANDARD", "STANDARD_INFREQUENT_ACCESS"),),
)
_UPDATE_GLOBAL_TABLE_SETTINGS = Members(
    global_table_name=(NOT_NULL, *NAME_ONLY),
    global_table_billing_mode=(OneOf("PROVISIONED", "PAY_PER_REQUEST"),),
    global_table_provisioned_write_capacity_units=(Range(1),),
    global_table_provisioned_write_capacity_auto_scaling_settings_update=AUTO_SCALING_SETTINGS,
    global_table_global_secondary_index_settings_update=(
        Length(1, 20),
        Each(
            Members(
                index_name=(NOT_NULL, *INDEX_NAME),
                provisioned_write_capacity_units=(Range(1),),
                provisioned_write_capacity_auto_scaling_settings_update=AUTO_SCALING_SETTINGS,
            )
        ),
    ),
    replica_settings_update=(Length(1, 50), Each(_REPLICA)),
)


def run(_services: Services, call: Call) -> bytes:
    request = _decode(call.body)
    check(_UPDATE_GLOBAL_TABLE_SETTINGS, request)
    assert request.global_table_name is not None
    raise no_global_table_settings(request.global_table_name)
