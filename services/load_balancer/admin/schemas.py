"""What the admin API accepts and answers; `/openapi.json` is made from these.

Messages of our own, because the caller is told the value that was wrong and what is accepted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from load_balancer.rings import NAMES
from load_balancer.settings import HOSTNAME
from ring import KEY_HASHES, PRESETS, PROBINGS, VIRTUAL_NODE_HASHES
from ring.anchor import MAX_CAPACITY
from ring.bounded import MAX_LOAD_FACTOR
from ring.config import MAX_SLOTS
from ring.haproxy import BASES, FUNCTIONS
from ring.maglev import MAX_TABLE_SIZE


def _count(value: object) -> object:
    if type(value) is not int or value < 1:
        raise PydanticCustomError("n", "n must be an integer >= 1, got {got}", _got(value))
    return value


def _names(value: object) -> object:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise PydanticCustomError(
            "hostnames", "hostnames must be a list of strings, got {got}", _got(value)
        )
    return value


def _names_or_none(value: object) -> object:
    return [] if value is None else _names(value)


def _name(value: object) -> object:
    if not isinstance(value, str):
        raise PydanticCustomError("hostname", "hostname must be a string, got {got}", _got(value))
    return value


def _integer(value: object) -> object:
    if type(value) is not int:
        raise PydanticCustomError("integer", "must be an integer, got {got}", _got(value))
    return value


def _table(value: object) -> object:
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return value
    raise PydanticCustomError(
        "table", "must be a list of hostnames, one for each slot, got {got}", _got(value)
    )


def _text(value: object) -> object:
    if not isinstance(value, str):
        raise PydanticCustomError("text", "must be a string, got {got}", _got(value))
    return value


def _flag(value: object) -> object:
    if type(value) is not bool:
        raise PydanticCustomError("flag", "must be true or false, got {got}", _got(value))
    return value


def _factor(value: object) -> object:
    if value is not None and type(value) not in (int, float):
        raise PydanticCustomError("factor", "must be a number above 1, got {got}", _got(value))
    return value


def _got(value: object) -> dict[str, str]:
    shown = repr(value)
    return {"got": shown if len(shown) <= 80 else f"{shown[:77]}..."}


def _described(**schema: Any) -> WithJsonSchema:
    """What clients read; what is checked says it in words of our own."""
    return WithJsonSchema(schema)


def _one_of(names: Iterable[str]) -> WithJsonSchema:
    return _described(type="string", enum=list(names))


_HOSTNAME = {"type": "string", "pattern": f"^{HOSTNAME.pattern}$"}
_NAMES = {"type": "array", "items": _HOSTNAME, "uniqueItems": True}

Count = Annotated[int, BeforeValidator(_count), _described(type="integer", minimum=1)]
Name = Annotated[str, BeforeValidator(_name)]
Names = Annotated[list[str], BeforeValidator(_names), _described(**_NAMES)]
NamesOrNone = Annotated[
    list[str], BeforeValidator(_names_or_none), _described(**_NAMES | {"type": ["array", "null"]})
]
_Integer = BeforeValidator(_integer)
Slots = Annotated[int, _Integer, _described(type="integer", minimum=1, maximum=MAX_SLOTS)]
Positive = Annotated[int, _Integer, _described(type="integer", minimum=1)]
TableSize = Annotated[int, _Integer, _described(type="integer", minimum=2, maximum=MAX_TABLE_SIZE)]
Capacity = Annotated[int, _Integer, _described(type="integer", minimum=1, maximum=MAX_CAPACITY)]
Table = Annotated[
    list[str],
    BeforeValidator(_table),
    _described(type="array", items=_HOSTNAME, minItems=1, maxItems=MAX_SLOTS),
]
Flag = Annotated[bool, BeforeValidator(_flag)]
Factor = Annotated[
    float | None,
    BeforeValidator(_factor),
    _described(type=["number", "null"], exclusiveMinimum=1, maximum=MAX_LOAD_FACTOR),
]
_Text = BeforeValidator(_text)
Algorithm = Annotated[str, _Text, _one_of(NAMES)]
Preset = Annotated[str, _Text, _one_of(PRESETS)]
Hash = Annotated[str, _Text, _one_of(KEY_HASHES)]
VirtualNodeHash = Annotated[str, _Text, _one_of(VIRTUAL_NODE_HASHES)]
Probing = Annotated[str, _Text, _one_of(PROBINGS)]
Function = Annotated[str, _Text, _one_of(FUNCTIONS)]
Base = Annotated[str, _Text, _one_of(BASES)]


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _has_known_fields(cls, value: object) -> object:
        accepted = ", ".join(cls.model_fields)
        if not isinstance(value, dict):
            message = "the body must be a JSON object with {accepted}, got {got}"
            raise PydanticCustomError("body", message, {"accepted": accepted} | _got(value))
        if unknown := [name for name in value if name not in cls.model_fields]:
            message = "accepted are {accepted}, got {got}"
            raise PydanticCustomError("field", message, {"accepted": accepted} | _got(unknown[0]))
        return value


class AddOrRemove(_Input):
    """`n` replicas, of which those in `hostnames` are named; no more than `n`."""

    n: Count = Field(examples=[2])
    hostnames: NamesOrNone = Field(default_factory=list, examples=[["Server4"]])


class Hostnames(_Input):
    """The replicas that there shall be, no more and no fewer."""

    hostnames: Names = Field(examples=[["Server1", "Server2", "Server3"]])


class Hostname(_Input):
    hostname: Name = Field(examples=["Server2"])


def _some_of_them(schema: dict[str, Any]) -> None:
    schema["minProperties"] = 1
    for each in schema["properties"].values():
        del each["default"]  # what is not given stays


class RingChange(_Input):
    """Begins with a `preset`, with another `algorithm`, with a `table` of its slots, or else with
    the present ring, and changes what else is given; each algorithm accepts its own."""

    model_config = ConfigDict(json_schema_extra=_some_of_them)

    algorithm: Algorithm = Field("", examples=["rendezvous"])
    preset: Preset = Field("", examples=["assignment"])
    hash: Hash = Field("", description="H, of a request id, whatever the algorithm")
    load_factor: Factor = Field(
        None, description="c: nobody gets more than c times the mean in flight; null: no bound"
    )
    slots: Slots = Field(0, description="M")
    virtual_nodes: Slots = Field(0, description="K, per replica")
    key_hash: Hash = Field("", description="H, of a request id")
    virtual_node_hash: VirtualNodeHash = Field("", description="Φ, of a virtual node")
    probing: Probing = ""
    table: Table = Field([], description="hostname of each slot's replica; its length is M")
    table_size: TableSize = Field(0, description="M of maglev, a prime")
    probes: Positive = Field(0, description="of multiprobe")
    capacity: Capacity = Field(0, description="of anchor: replicas that there can ever be")
    function: Function = Field("", description="of haproxy")
    avalanche: Flag = Field(False, description="of haproxy")
    base: Base = Field("", description="of haproxy")


def _yes(value: object) -> object:
    if value not in ("0", "1", "false", "true", False):
        raise PydanticCustomError("yes", "must be 1 or 0, got {got}", _got(value))
    return value in ("1", "true")


Yes = Annotated[bool, BeforeValidator(_yes)]


class DryRun(BaseModel):
    dry_run: Yes = Field(False, description="1: change nothing, and answer what would be")


def _event(value: object) -> object:
    if not (isinstance(value, str) and value.isascii() and value.isdecimal()):
        raise PydanticCustomError(
            "event", "since must be the number of an event, got {got}", _got(value)
        )
    return int(value)


class EventsQuery(BaseModel):
    since: Annotated[int, BeforeValidator(_event)] = Field(
        0, ge=0, description="number of an event; what came after it"
    )
    live: Yes = Field(False, description="1: a stream tells counters and some of the requests, too")


class RouteQuery(BaseModel):
    id: str = Field(description="request id: an integer as it is, any other text by its hash")


class Replicas(BaseModel):
    """`moved` and `shares` only in a dry run, and then all is as it would be."""

    N: int = Field(examples=[3])
    replicas: list[str] = Field(examples=[["Server1", "Server2", "Server3"]])
    moved: float | None = Field(default=None, description="share of the request ids, in 0..1")
    shares: dict[str, float] | None = Field(default=None, description="of each replica, in 0..1")

    @model_serializer(mode="wrap")
    def _without_nothing(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in dump(self).items() if value is not None}


class ReplicasAnswer(BaseModel):
    message: Replicas
    status: Literal["successful"] = "successful"


class Answer(BaseModel):
    message: dict[str, Any]
    status: Literal["successful"] = "successful"


class Failure(BaseModel):
    """Of every refusal: the value that was wrong, and what is accepted."""

    message: str = Field(examples=["<Error> n must be an integer >= 1, got 0"], pattern="^<Error> ")
    status: Literal["failure"]
