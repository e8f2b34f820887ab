"""What `varley cluster up` has chosen for the nodes of a local cluster, so that it comes back as it was.

In FOLDER/cluster.json; FOLDER/etcd/ has etcd's data and log, and the rest is as in local_nodes.py.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field

from varley.cli.local_nodes import SavedPlan
from varley.settings import flag_of


@dataclass(frozen=True)
class Place:
    """One node, as it is started again each time."""

    name: str
    zone: str
    port: int
    link_port: int
    admin_port: int


@dataclass
class Plan(SavedPlan[Place]):
    folder: str
    etcd_port: int
    places: list[Place]
    flags: dict[str, str] = field(default_factory=dict)     # "cluster.replicas" -> "3", as given to `up`
    control_port: int = 0
    secret: str = ""

    kind = "cluster"
    file = "cluster.json"
    place_type = Place
    without_it = "What the nodes and etcd have is in the folders beside it"

    def command(self, place: Place) -> list[str]:
        words = [sys.executable, "-m", "varley", "serve", "--cluster", f"etcd://127.0.0.1:{self.etcd_port}"]
        words += ["--name", place.name, "--zone", place.zone, "--port", str(place.port)]
        words += ["--link-port", str(place.link_port), "--admin-port", str(place.admin_port)]
        words += ["--data-dir", os.path.join(self.folder, place.name)]
        for name, value in self.flags.items():
            flag = flag_of(name)
            switches = {"True": [flag], "False": ["--no-" + flag.removeprefix("--")]}     # what a switch holds, as text
            words += switches.get(value, [flag, value])
        return words
