"""What `/openapi.json` tells beyond what the library reads off the code: every refusal's status and
shape, and that a change needs its body."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from load_balancer.admin.schemas import Failure

_OF_ANY_CALL = MappingProxyType(
    {
        400: "a value is wrong",
        401: "the admin token is missing",
        403: "called by a name, or from a page, that is not this lab's",
        404: "there is no replica of that name",
        409: "the lab as it is does not allow it",
        503: "somebody behind the load balancer does not answer",
    }
)
_OF_CHANGES = MappingProxyType(
    {
        413: "the body is too long",
        415: "the body is not declared as JSON",
        502: "the provisioner could not do it",
    }
)


def complete(spec: dict[str, Any] | str) -> dict[str, Any] | str:
    """The same contract, with the refusals."""
    assert isinstance(spec, dict)  # str is YAML, which is not asked for
    schemas = spec["components"]["schemas"]
    schemas.pop("ValidationError", None)  # the library's own shape, which we never answer
    schemas["Failure"] = Failure.model_json_schema()
    for path in spec["paths"].values():
        for method, operation in path.items():
            _add(operation, _OF_ANY_CALL)
            if method != "get":
                operation["requestBody"]["required"] = True
                _add(operation, _OF_CHANGES)
    return spec


def _add(operation: dict[str, Any], refusals: Mapping[int, str]) -> None:
    shape = {"application/json": {"schema": {"$ref": "#/components/schemas/Failure"}}}
    for status, why in refusals.items():
        operation["responses"][str(status)] = {"description": why, "content": shape}
