"""What the admin API accepts and answers; `/openapi.json` is made from these.

Messages of our own, because the caller is told the value that was wrong and what is accepted.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from load_balancer.rings import NAMES
from ring import PRESETS


def _count(value: object) -> object:
    if type(value) is not int or value < 1:
        raise PydanticCustomError("n", "n must be an integer >= 1, got {got}", _got(value))
    return value


def _names(value: object) -> object:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise PydanticCustomError(
            "hostnames", "hostnames must be a list of strings, got {got}", _got(value)
        )
    return value


def _name(value: object) -> object:
    if not isinstance(value, str):
        raise PydanticCustomError("hostname", "hostname must be a string, got {got}", _got(value))
    return value


def _integer(value: object) -> object:
    if value is not None and type(value) is not int:
        raise PydanticCustomError("integer", "must be an integer, got {got}", _got(value))
    return value


def _table(value: object) -> object:
    if value is None or (isinstance(value, list) and all(isinstance(name, str) for name in value)):
        return value
    raise PydanticCustomError(
        "table", "must be a list of hostnames, one for each slot, got {got}", _got(value)
    )


def _text(value: object) -> object:
    if value is not None and not isinstance(value, str):
        raise PydanticCustomError("text", "must be a string, got {got}", _got(value))
    return value


def _flag(value: object) -> object:
    if value is not None and type(value) is not bool:
        raise PydanticCustomError("flag", "must be true or false, got {got}", _got(value))
    return value


def _factor(value: object) -> object:
    if value is not None and type(value) not in (int, float):
        raise PydanticCustomError("factor", "must be a number above 1, got {got}", _got(value))
    return value


def _got(value: object) -> dict[str, str]:
    shown = repr(value)
    return {"got": shown if len(shown) <= 80 else f"{shown[:77]}..."}


Count = Annotated[int, BeforeValidator(_count)]
Name = Annotated[str, BeforeValidator(_name)]
Names = Annotated[list[str], BeforeValidator(_names)]
Integer = Annotated[int | None, BeforeValidator(_integer)]
Table = Annotated[list[str] | None, BeforeValidator(_table)]
Flag = Annotated[bool | None, BeforeValidator(_flag)]
Factor = Annotated[float | None, BeforeValidator(_factor)]
Text = Annotated[str | None, BeforeValidator(_text)]


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
    """`n` replicas, of which those in `hostnames` are named."""

    n: Count = Field(ge=1, examples=[2])
    hostnames: Names = Field(default_factory=list, examples=[["Server4"]])


class Hostnames(_Input):
    """The replicas that there shall be, no more and no fewer."""

    hostnames: Names = Field(examples=[["Server1", "Server2", "Server3"]])


class Hostname(_Input):
    hostname: Name = Field(examples=["Server2"])


class RingChange(_Input):
    """Begins with a `preset`, with another `algorithm`, with a `table` of its slots, or else with
    the present ring, and changes what else is given; each algorithm accepts its own."""

    algorithm: Text = Field(None, examples=["rendezvous"], description=", ".join(NAMES))
    preset: Text = Field(None, examples=["assignment"], description=", ".join(PRESETS))
    hash: Text = Field(None, description="H, of a request id, whatever the algorithm")
    load_factor: Factor = Field(
        None, description="c: nobody gets more than c times the mean in flight; null: no bound"
    )
    slots: Integer = Field(None, description="M")
    virtual_nodes: Integer = Field(None, description="K, per replica")
    key_hash: Text = Field(None, description="H, of a request id")
    virtual_node_hash: Text = Field(None, description="Φ, of a virtual node")
    probing: Text = None
    table: Table = Field(None, description="hostname of each slot's replica; its length is M")
    table_size: Integer = Field(None, description="M of maglev, a prime")
    probes: Integer = Field(None, description="of multiprobe")
    capacity: Integer = Field(None, description="of anchor: replicas that there can ever be")
    function: Text = Field(None, description="of haproxy")
    avalanche: Flag = Field(None, description="of haproxy")
    base: Text = Field(None, description="of haproxy")


def _yes(value: object) -> object:
    if value not in ("0", "1", "false", "true", False):
        raise PydanticCustomError("dry_run", "dry_run must be 1 or 0, got {got}", _got(value))
    return value in ("1", "true")


class DryRun(BaseModel):
    dry_run: Annotated[bool, BeforeValidator(_yes)] = Field(
        False, description="1: change nothing, and answer what would be"
    )


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
