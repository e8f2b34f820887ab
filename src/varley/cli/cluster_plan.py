"""What `varley cluster up` has chosen for the nodes of a local cluster, so that it comes back as it was.

    FOLDER/cluster.json    etcd's port, nodes with their ports and zones, and how `start` reaches the running `up`
    FOLDER/lock            locked while `up` runs
    FOLDER/etcd/           etcd's data and log
    FOLDER/n1/             the data of n1
    FOLDER/n1.log          what n1 has to say
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field
from typing import Final

from varley.errors import WorldError
from varley.settings import flag_of
from varley.storage.disk import failure

FILE: Final = "cluster.json"


@dataclass(frozen=True)
class Place:
    """One node, as it is started again each time."""

    name: str
    zone: str
    port: int
    link_port: int
    admin_port: int


@dataclass
class Plan:
    folder: str
    etcd_port: int
    places: list[Place]
    flags: dict[str, str] = field(default_factory=dict)     # "cluster.replicas" -> "3", as given to `up`
    control_port: int = 0
    secret: str = ""

    @classmethod
    def read(cls, folder: str) -> Plan | None:
        """None if no cluster was ever there. Raises WorldError if the file is not what it should be."""
        path = os.path.join(folder, FILE)
        try:
            with open(path, encoding="utf-8") as file:
                saved = json.load(file)
            places = [Place(**each) for each in saved.pop("nodes")]
            return cls(folder, places=places, **saved)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise WorldError(
                f"The cluster's file cannot be read: {error}", path=path, operation="read",
                hint="What the nodes and etcd have is in the folders beside it",
            ) from None  # fmt: skip

    def save(self) -> None:
        """Raises WorldError if it cannot be written."""
        path = os.path.join(self.folder, FILE)
        saved = {
            "etcd_port": self.etcd_port,
            "nodes": [vars(place) for place in self.places],
            "flags": self.flags,
            "control_port": self.control_port,
            "secret": self.secret,
        }
        try:
            os.makedirs(self.folder, exist_ok=True)
            file = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(file, "w", encoding="utf-8") as text:
                json.dump(saved, text, indent=1)
            os.replace(path + ".new", path)
        except OSError as error:
            raise failure(error, "The cluster's file cannot be written", path, "write") from error

    def place(self, name: str) -> Place | None:
        return next((each for each in self.places if each.name == name), None)

    def log(self, name: str) -> str:
        return os.path.join(self.folder, f"{name}.log")

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
