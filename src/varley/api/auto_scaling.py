"""The auto scaling settings that requests about replicas carry: their shape and constraints.

No table here has replicas, so nobody ever looks what the settings say.
"""

from __future__ import annotations

from typing import Annotated, Final

from varley.api.constraints import NOT_NULL, Length, Members, Range
from varley.api.java_pattern import JavaPattern
from varley.api.requests import LONG, Structure


class AutoScalingTargetTrackingScalingPolicyConfigurationUpdate(Structure):
    disable_scale_in: bool | None = None
    scale_in_cooldown: int | None = None
    scale_out_cooldown: int | None = None
    target_value: float | None = None


class AutoScalingPolicyUpdate(Structure):
    policy_name: str | None = None
    target_tracking_scaling_policy_configuration: AutoScalingTargetTrackingScalingPolicyConfigurationUpdate | None = (
        None
    )


class AutoScalingSettingsUpdate(Structure):
    minimum_units: Annotated[int, LONG] | None = None
    maximum_units: Annotated[int, LONG] | None = None
    auto_scaling_disabled: bool | None = None
    auto_scaling_role_arn: str | None = None
    scaling_policy_update: AutoScalingPolicyUpdate | None = None


_TEXT: Final = JavaPattern(
    r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\r\n\t]*",
    r"[\u0020-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF\r\n\t]*",
)
_PRINTABLE: Final = JavaPattern(r"\p{Print}+", r"[\x20-\x7E]+")

AUTO_SCALING_SETTINGS: Final = (
    Members(
        minimum_units=(Range(1),),
        maximum_units=(Range(1),),
        auto_scaling_role_arn=(Length(1, 1600), _TEXT),
        scaling_policy_update=(
            Members(
                policy_name=(Length(1, 256), _PRINTABLE),
                target_tracking_scaling_policy_configuration=(NOT_NULL, Members(target_value=(NOT_NULL,))),
            ),
        ),
    ),
)
