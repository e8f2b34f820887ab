"""Settings, in frozen classes: what a whole cluster must agree on, what one node may choose, what a node of a ring has.

A setting comes from the first of these that has it:

    1. a flag               --port 8001                 --initial-partitions 4
    2. an environment       VARLEY_PORT=8001            VARLEY_CLUSTER__INITIAL_PARTITIONS=4
       variable             (a double underscore stands for the dot)
    3. a TOML file          port = 8001                 [cluster]
       (--config FILE)                                  initial_partitions = 4
    4. its default below

A setting that does not exist is an error that names the nearest one that does, wherever it came from: a
misspelt `max_conections` that is silently ignored is found in production. Fields are described once, here:
flags, `--help`, parsing and checks are all read from them.

The rule that protects people from themselves is checked in `NodeSettings` itself, so that no way of starting
a server avoids it: beyond loopback, anybody who reaches the port could read and drop every table, so such a
server does not start unless it is told `insecure`.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from varley.errors import BadSettings

PROCESSES_MAX: Final = 64
LEASE: Final = "lease"
STRONG_READS: Final = (LEASE, "read-index")
LOG_LEVELS: Final = ("debug", "info", "warning", "error")
ENVIRONMENT_PREFIX: Final = "VARLEY_"
CLUSTER_PREFIX: Final = "cluster."
MEMBER_PREFIX: Final = "member."
RING_PREFIX: Final = "ring."

# What a node of a ring takes from NodeSettings; the rest of a node's settings is about DynamoDB's API and its log.
SHARED_WITH_RINGS: Final = (
    "host", "port", "insecure", "tls_cert", "tls_key", "cors", "admin_host", "admin_port", "data_dir",
    "max_connections", "head_timeout_seconds", "body_timeout_seconds", "idle_timeout_seconds", "drain_seconds",
    "log_level",
)  # fmt: skip


def _setting(
    default: Any,
    description: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """A field with its description, the range of its values when it is a number (both ends included), and what it may
    be if that is one of a few words."""
    return field(default=default, metadata={"help": description, "low": low, "high": high, "choices": choices})


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSettings:
    """What all nodes of a cluster must agree on."""

    initial_partitions: int = _setting(1, "Partitions of a new table.", low=1, high=1024)
    replicas: int = _setting(3, "Replicas of each partition in a cluster, on as many nodes.", low=1, high=9)
    suspect_seconds: float = _setting(
        5.0, "Silence after which another member votes in a replica's place.", low=1, high=3600
    )
    replace_seconds: float = _setting(
        60.0, "Silence after which a replica is built on another node.", low=1, high=86_400
    )
    balance: bool = _setting(True, "Even out replicas and leaders over the nodes of a cluster.")
    strong_reads: str = _setting(
        LEASE, "How a leader makes sure that it is one before it answers: lease, or read-index (a majority is asked).",
        choices=STRONG_READS,
    )
    stream_shard_seconds: float = _setting(
        4 * 3600.0, "Age at which a shard of a stream ends and another begins.", low=1, high=86_400
    )
    split_keep_seconds: float = _setting(
        30.0, "How long a partition that was split keeps what went, for reads begun before.", low=0.1, high=86_400
    )

    def __post_init__(self) -> None:
        _check_all(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """What one node chooses for itself. Seconds are floats; sizes are bytes."""

    # Where it listens
    host: str = _setting("127.0.0.1", "Address to listen on.")
    port: int = _setting(8000, "Port to listen on; 0 takes a free one.", low=0, high=65535)
    insecure: bool = _setting(
        False, "Listen beyond this machine, with no authentication: any key can do everything."
    )
    tls_cert: str | None = _setting(None, "File with the TLS certificate chain (PEM); with tls_key: HTTPS.")
    tls_key: str | None = _setting(None, "File with the TLS private key (PEM).")
    cors: str = _setting(
        "*", 'Origins whose web pages may call this server: comma-separated, "*" for all, "" for none.'
    )
    admin_host: str = _setting("127.0.0.1", "Address of the admin port.")
    admin_port: int | None = _setting(
        None, "Port of metrics, health and clock: 0 is any free one; without it, none.", low=0, high=65535
    )

    # How many processes
    processes: int = _setting(
        1, "Node processes of this server, which share the port; with more than one, etcd must be installed.",
        low=1, high=PROCESSES_MAX,
    )

    # Where data is
    data_dir: str = _setting("varley-data", "Folder of the data; made if it is not there.")
    in_memory: bool = _setting(False, "Keep everything in memory; nothing is written to disk.")

    s3_dir: str | None = _setting(
        None, "Folder that stands for Amazon S3: a folder in it is a bucket. Without it there is no S3."
    )

    # What clients see
    region: str = _setting("us-east-1", "Region in ARNs when a request's signature names none.")
    development_clock: bool | None = _setting(
        None, "Let the admin port move the clock. By default only a server on loopback does."
    )
    ttl_delay: float = _setting(
        0.0, "Seconds that items stay after their time to live has ended; AWS takes up to two days.", low=0
    )

    # Global indexes
    index_delay_seconds: float = _setting(
        0.0, "Time for which global indexes do not show a change, to see what eventually consistent reads may miss.",
        low=0,
    )
    index_backlog_bytes: int = _setting(
        128 * 1024**2,
        "Changes that all global indexes may be behind together, one alone half of it; writes beyond are throttled.",
        low=4096,
    )

    # Vector indexes
    vector_cache_bytes: int = _setting(
        256 * 1024**2, "Memory for decoded vectors; those beyond are decoded anew by each search.", low=4096
    )

    # Log and checkpoints
    segment_bytes: int = _setting(64 * 1024**2, "Size of one log file.", low=64 * 1024, high=4 * 1024**3)
    checkpoint_overlay_bytes: int = _setting(
        64 * 1024**2, "Writes kept in memory by one replica before they are moved to its tree.", low=4096
    )
    checkpoint_log_bytes: int = _setting(
        512 * 1024**2, "Log kept, beside the file being written, before all of it is moved to the trees.", low=4096
    )

    # Limits of the front door
    max_connections: int = _setting(
        10_000, "Connections at once. One more is answered 503 and closed; SDKs try again.", low=1
    )
    head_timeout_seconds: float = _setting(10.0, "Time for a request's headers to arrive.", low=0.001)
    body_timeout_seconds: float = _setting(30.0, "Time for a request's body to arrive.", low=0.001)
    idle_timeout_seconds: float = _setting(
        180.0, "Time after which a connection with no request is closed.", low=0.001
    )
    drain_seconds: float = _setting(10.0, "Time for running requests to end when the server stops.", low=0)

    # What the operator sees
    log_level: str = _setting("info", f"How much is logged: {', '.join(LOG_LEVELS)}.", choices=LOG_LEVELS)

    def __post_init__(self) -> None:
        refuse_without_asserts()
        _check_all(self)
        if self.processes > 1 and self.in_memory:
            raise BadSettings(
                "processes and in_memory are both set, and a process that ends would take its part of tables with it",
                hint="Leave out one of the two",
            )
        if (self.tls_cert is None) != (self.tls_key is None):
            raise BadSettings(
                "TLS needs a certificate and its key, and only one of the two is set",
                hint="Set both tls_cert and tls_key, or neither",
            )
        if not self.insecure:
            self._refuse_unprotected("host", self.host)
            if self.admin_port is not None:
                self._refuse_unprotected("admin_host", self.admin_host)

    def _refuse_unprotected(self, name: str, address: str) -> None:
        if is_loopback(address):
            return
        raise BadSettings(
            f"{name} {address!r} can be reached from other machines, and this server does not check who "
            "calls: anybody who reaches the port could read, change and delete every table",
            hint="Listen on 127.0.0.1, or add --insecure (VARLEY_INSECURE=true) if the network itself "
            "keeps strangers out, as inside a container whose port is published on 127.0.0.1 only",
        )

    @property
    def clock_is_movable(self) -> bool:
        """Whether the admin port may move this server's clock."""
        if self.development_clock is not None:
            return self.development_clock
        return is_loopback(self.host) and is_loopback(self.admin_host)

    @property
    def scheme(self) -> str:
        return "http" if self.tls_cert is None else "https"


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberSettings:
    """How one node takes part in a cluster; of a single server none is set."""

    cluster: str | None = _setting(
        None, "The cluster's etcd: etcd://h1:2379,h2:2379,h3:2379/name. Without it: one server."
    )
    name: str | None = _setting(None, "Name of this node in the cluster; it keeps it for good, with its data folder.")
    zone: str = _setting("", "Zone (data centre, rack) of this node: replicas stand in as many as there are.")
    machine: str = _setting("", "Machine of this node, if others are on it too: no partition has two replicas there.")
    capacity: float = _setting(1.0, "Its share of replicas, beside that of other nodes.", low=0.001, high=1e6)
    link_port: int = _setting(0, "Port that other nodes connect to; 0 takes a free one.", low=0, high=65535)
    advertise: str | None = _setting(None, "Address that others reach this node by; without it: `host`.")
    share_port: bool = _setting(
        False, "Other nodes on this machine listen on the same port; --processes sees to that."
    )
    link_cert: str | None = _setting(
        None, "File with this node's certificate for links (PEM); with link_key and link_ca."
    )
    link_key: str | None = _setting(None, "File with its private key (PEM).")
    link_ca: str | None = _setting(None, "File with the authority that signs the nodes' certificates (PEM).")

    def __post_init__(self) -> None:
        _check_all(self)
        _check_link_tls(self)
        if self.cluster is not None and not self.name:
            raise BadSettings(
                "A node of a cluster has a name, and this one was given none", hint="Give it one with --name"
            )
        if self.name is not None and (not self.name or "#" in self.name or "/" in self.name):
            raise BadSettings(f"name is {self.name!r}", hint="It has neither # nor / in it, and is not empty")


@dataclass(frozen=True, slots=True, kw_only=True)
class RingFlags:
    """What `varley ring serve` has beside SHARED_WITH_RINGS. ring_server.py makes the ring's own settings of it.

    Numbers are checked here as far as they can be without each other.
    """

    # Who this node is
    name: str | None = _setting(None, "Name of this node in the ring; it keeps it for good.")
    zone: str = _setting("", "Zone (data centre, rack) of this node: copies of a key stand in as many as there are.")
    capacity: float = _setting(1.0, "Its share of the ring is its share of all capacity.", low=0.001, high=1e6)

    # How it finds the others
    seeds: str = _setting(
        "", "Nodes to join by: name=host:port of their link ports, comma-separated; without any this one founds a ring."
    )
    link_port: int | None = _setting(
        None, "Port that other nodes connect to; 0 takes a free one. Without it: 10000 above `port`.", low=0, high=65535
    )
    advertise: str | None = _setting(None, "Address that others reach this node by; without it: `host`.")
    join: bool = _setting(True, "Join the ring at the first start; with --no-join wait for `varley ring join`.")
    link_cert: str | None = _setting(
        None, "File with this node's certificate for links (PEM); with link_key and link_ca."
    )
    link_key: str | None = _setting(None, "File with its private key (PEM).")
    link_ca: str | None = _setting(None, "File with the authority that signs the nodes' certificates (PEM).")

    # What all nodes of the ring must agree on
    ring_name: str = _setting("ring", "Name of the ring: nodes of other rings are refused.")
    n: int = _setting(3, "Nodes that store each key.", low=1, high=255)
    r: int = _setting(2, "Nodes that a get waits for.", low=1, high=255)
    w: int = _setting(2, "Nodes that must have a put before it is acknowledged.", low=1, high=255)
    mode: str = _setting("siblings", "What becomes of concurrent versions: siblings or last-write-wins.")
    buckets: str = _setting(
        "", "Buckets with numbers of their own: sessions:n=3,r=1,w=1,mode=last-write-wins;carts:w=1."
    )
    strategy: int = _setting(3, "3: equal partitions. 1: random tokens, as the paper began.", low=1, high=3)
    partitions: int = _setting(256, "Equal partitions of the ring (strategy 3), for good.", low=1, high=1 << 20)
    tokens: int = _setting(32, "Tokens of a node of capacity 1 (strategy 1).", low=1, high=4096)

    # How it keeps what it has
    engine: str = _setting("lmdb", "lmdb, sqlite or memory.")
    write_buffer_bytes: int = _setting(
        0, "Puts acknowledged from memory, one of the N nodes durable; 0: every put is durable first.", low=0
    )
    tombstone_grace_seconds: float = _setting(86_400.0, "Time for which a delete is remembered at least.", low=0)

    # How long it waits
    replica_timeout_seconds: float = _setting(0.25, "Time of one node to answer; then another is asked.", low=0.001)
    request_timeout_seconds: float = _setting(2.0, "Time after which a client is answered in any case.", low=0.001)
    linger_seconds: float = _setting(0.1, "Time for which late answers to a get are waited for, to repair.", low=0)
    background_threshold_seconds: float = _setting(
        0.05, "Slowest hundredth of gets above which background work gives way.", low=0.0001
    )

    def __post_init__(self) -> None:
        refuse_without_asserts()
        _check_all(self)
        _check_link_tls(self)


def load(
    flags: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    config_path: str | None = None,
) -> tuple[NodeSettings, ClusterSettings]:
    """The settings of this process.

    `flags`: values by the setting's name ("port", "cluster.initial_partitions"); None means not given.
    `environment`: os.environ by default. `config_path`: the TOML file; by default what VARLEY_CONFIG names.
    Raises BadSettings, naming the setting, where it came from and what would be right (the operator's fault).
    """
    values = _values(flags, environment, config_path)
    node = {name: value for name, value in values.items() if "." not in name}
    return NodeSettings(**node), ClusterSettings(**_section(values, CLUSTER_PREFIX))


def load_member(
    flags: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    config_path: str | None = None,
) -> MemberSettings:
    """How this process takes part in a cluster; flags are named "member.name". Raises as `load` does."""
    return MemberSettings(**_section(_values(flags, environment, config_path), MEMBER_PREFIX))


def load_ring(
    flags: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    config_path: str | None = None,
) -> tuple[NodeSettings, RingFlags]:
    """The same for a node of a ring; flags are named "port" or "ring.n". Without a data_dir: varley-ring/NAME."""
    values = _values(flags, environment, config_path)
    ring = RingFlags(**_section(values, RING_PREFIX))
    node = {name: value for name, value in values.items() if name in SHARED_WITH_RINGS}
    node.setdefault("data_dir", os.path.join("varley-ring", ring.name or ""))
    return NodeSettings(**node), ring


def given(
    flags: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    config_path: str | None = None,
) -> frozenset[str]:
    """Names of the settings that were said somewhere: the others have their defaults. Raises as `load` does."""
    return frozenset(_values(flags, environment, config_path))


def as_environment(*all_given: ClusterSettings | NodeSettings | MemberSettings) -> dict[str, str]:
    """The variables that give another process these settings, whatever the defaults are."""
    prefixes = {ClusterSettings: CLUSTER_PREFIX, NodeSettings: "", MemberSettings: MEMBER_PREFIX}
    return {
        environment_name(prefixes[type(settings)] + each.name): str(value)
        for settings in all_given
        for each in dataclasses.fields(settings)
        if (value := getattr(settings, each.name)) is not None
    }


def _values(
    flags: Mapping[str, Any] | None, environment: Mapping[str, str] | None, config_path: str | None
) -> dict[str, Any]:
    environment = os.environ if environment is None else environment
    config_path = config_path or environment.get(ENVIRONMENT_PREFIX + "CONFIG") or None
    values: dict[str, Any] = {}
    if config_path is not None:
        values.update(_from_file(config_path))
    values.update(_from_environment(environment))
    values.update(_from_flags(flags or {}))
    return values


def _section(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}


def all_settings() -> dict[str, dataclasses.Field[Any]]:
    """Every setting of `varley serve` by its full name, in the order of `--help`."""
    named = {each.name: each for each in dataclasses.fields(NodeSettings)}
    named.update({CLUSTER_PREFIX + each.name: each for each in dataclasses.fields(ClusterSettings)})
    named.update({MEMBER_PREFIX + each.name: each for each in dataclasses.fields(MemberSettings)})
    return named


def ring_settings() -> dict[str, dataclasses.Field[Any]]:
    """Every setting that only a node of a ring has, likewise: "ring.n"."""
    return {RING_PREFIX + each.name: each for each in dataclasses.fields(RingFlags)}


def flag_of(setting_name: str) -> str:
    """ "cluster.initial_partitions" -> "--initial-partitions"."""
    return "--" + setting_name.rpartition(".")[2].replace("_", "-")


def _known_settings() -> dict[str, dataclasses.Field[Any]]:
    """One environment and one file may serve both kinds of servers, so both know all settings."""
    return all_settings() | ring_settings()


def kind_of(setting: dataclasses.Field[Any]) -> str:
    """ "int", "float", "str" or "bool": what the setting holds when it is not None."""
    # A string, since annotations are not evaluated in this module.
    kind = str(setting.type).removesuffix(" | None")
    assert kind in ("int", "float", "str", "bool"), kind
    return kind


def environment_name(setting_name: str) -> str:
    """ "cluster.initial_partitions" -> "VARLEY_CLUSTER__INITIAL_PARTITIONS"."""
    return ENVIRONMENT_PREFIX + setting_name.replace(".", "__").upper()


def refuse_without_asserts() -> None:
    """Raises BadSettings under `python -O` (PYTHONOPTIMIZE), which removes every assert from the program.

    The asserts are what stops a server before it writes down something that cannot be true.
    """
    if not __debug__:
        raise BadSettings(
            "Varley does not run under `python -O`: it would lose the checks that keep it from damaging data",
            hint="Start it without -O, and without PYTHONOPTIMIZE in the environment",
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`. A name other than localhost counts as reachable."""
    if host == "localhost":
        return True
    if host.startswith("127.") and host.replace(".", "").isdigit():
        return True     # the usual case, without the import
    import ipaddress  # here, since it takes 4 ms of a start and is seldom needed

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


# Where settings come from

# Variables that are no setting of a server: which file to read, and which node `varley ring get` and others ask.
_NOT_SETTINGS: Final = (ENVIRONMENT_PREFIX + "CONFIG", ENVIRONMENT_PREFIX + "RING_ENDPOINT")

def _from_flags(flags: Mapping[str, Any]) -> dict[str, Any]:
    known = _known_settings()
    for name in flags:
        if name not in known:
            raise _unknown(name, "", list(known), operation="setting")
    return {
        name: _parsed(known[name], name, value, flag_of(name))
        for name, value in flags.items()
        if value is not None
    }


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    settings = _known_settings()
    known = {environment_name(name): name for name in settings}
    values: dict[str, Any] = {}
    for variable, text in environment.items():
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable in _NOT_SETTINGS:
            continue
        if _is_kubernetes_link(variable, text):
            continue
        if variable not in known:
            raise _unknown(variable, "the environment", [*known, *_NOT_SETTINGS])
        name = known[variable]
        values[name] = _parsed(settings[name], name, text, variable)
    return values


def _is_kubernetes_link(variable: str, text: str) -> bool:
    """Whether Kubernetes (or `docker --link`) set this variable, because a service is called "varley".

    It then gives every pod VARLEY_SERVICE_HOST, VARLEY_SERVICE_PORT, VARLEY_PORT=tcp://10.0.0.1:8000,
    VARLEY_PORT_8000_TCP and more: not one of them is meant for us, and a server that refused to start because
    of them would refuse in exactly the place where it is deployed under its own name.
    """
    if variable == "VARLEY_PORT":
        return "://" in text
    return variable.startswith(("VARLEY_SERVICE_", "VARLEY_PORT_"))


def _from_file(path: str) -> dict[str, Any]:
    import tomllib  # here, since most starts have no file

    try:
        with open(path, "rb") as file:
            tree = tomllib.load(file)
    except OSError as error:
        raise BadSettings(
            f"The settings file cannot be read: {error.strerror}", path=path, operation="open",
            hint="Give --config (VARLEY_CONFIG) the path of a TOML file",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSettings(f"The settings file is not TOML: {error}", path=path, operation="read") from error
    known = _known_settings()
    values: dict[str, Any] = {}
    for name, value in _flattened(tree):
        if name not in known:
            raise _unknown(name, path, list(known))
        values[name] = _parsed(known[name], name, value, path)
    return values


def _flattened(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """{"cluster": {"a": 1}} -> [("cluster.a", 1)]."""
    found: list[tuple[str, Any]] = []
    for name, value in tree.items():
        if isinstance(value, dict):
            found.extend(_flattened(value, f"{prefix}{name}."))
        else:
            found.append((prefix + name, value))
    return found


def _unknown(name: str, source: str, known: list[str], operation: str = "") -> BadSettings:
    import difflib  # here, since it is needed only on the way out

    near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
    where = f" in {source}" if source else ""
    return BadSettings(
        f"There is no setting {name!r}{where}", operation=operation, hint=f"The nearest is {near[0]!r}"
    )


# What their values may be

_TRUE: Final = ("true", "yes", "on", "1")
_FALSE: Final = ("false", "no", "off", "0")


def _parsed(setting: dataclasses.Field[Any], name: str, value: Any, source: str) -> Any:
    """`value` as the setting's own type: from text (environment, flags), or as TOML gave it."""
    kind = kind_of(setting)
    wrong = BadSettings(f"{name} is {value!r} (from {source})", hint=_expectation(setting))
    if isinstance(value, str) and kind != "str":
        text = value.strip()
        if text == "" and setting.default is None:
            return None     # VARLEY_ADMIN_PORT= turns off what a file turned on
        try:
            value = _bool(text) if kind == "bool" else int(text) if kind == "int" else float(text)
        except ValueError:
            raise wrong from None
    elif value == "" and setting.default is None:
        return None
    if not _is_allowed(setting, value):
        raise wrong
    return float(value) if kind == "float" else value


def _bool(text: str) -> bool:
    lowered = text.lower()
    if lowered in _TRUE:
        return True
    if lowered in _FALSE:
        return False
    raise ValueError(text)


def _check_all(settings: ClusterSettings | NodeSettings | MemberSettings | RingFlags) -> None:
    """The same checks for settings that were given in code."""
    for setting in dataclasses.fields(settings):
        value = getattr(settings, setting.name)
        if value is None and setting.default is None:
            continue
        if not _is_allowed(setting, value):
            raise BadSettings(f"{setting.name} is {value!r}", hint=_expectation(setting))


def _check_link_tls(settings: MemberSettings | RingFlags) -> None:
    given = [settings.link_cert, settings.link_key, settings.link_ca]
    if any(given) and not all(given):
        raise BadSettings(
            "TLS between nodes needs link_cert, link_key and link_ca, and not all of them are set",
            hint="Set all three, or none",
        )


def _is_allowed(setting: dataclasses.Field[Any], value: Any) -> bool:
    kind = kind_of(setting)
    if kind == "str":
        return isinstance(value, str) and (not setting.metadata["choices"] or value in setting.metadata["choices"])
    if kind == "bool" or isinstance(value, bool):
        return kind == "bool" and isinstance(value, bool)
    if not isinstance(value, int if kind == "int" else (int, float)):
        return False
    low, high = setting.metadata["low"], setting.metadata["high"]
    return math.isfinite(value) and (low is None or value >= low) and (high is None or value <= high)


def _expectation(setting: dataclasses.Field[Any]) -> str:
    """What a value of this setting must be, as a sentence without its full stop."""
    kind = kind_of(setting)
    if kind == "bool":
        return "It is true or false"
    if kind == "str":
        return f"It is {' or '.join(setting.metadata['choices']) or 'text'}"
    noun = "a whole number" if kind == "int" else "a number"
    low, high = setting.metadata["low"], setting.metadata["high"]
    if low is not None and high is not None:
        return f"It is {noun} from {low} to {high}"
    return f"It is {noun}" + ("" if low is None else f" of at least {low}")
