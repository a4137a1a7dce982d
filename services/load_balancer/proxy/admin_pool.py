"""The connections to the admin API, which is another process's where a data plane follows one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from load_balancer.proxy.exchange import Loss
from load_balancer.proxy.pool import Pool
from load_balancer.settings import Address

if TYPE_CHECKING:
    from load_balancer.proxy.exchange import Exchange

AWAY = frozenset({Loss.REFUSED, Loss.RESET, Loss.STALE, Loss.CUT})


class Followed(Protocol):
    """A control plane elsewhere; refusals are a status and a message."""

    def refusal(self) -> tuple[int, str] | None:
        """Of a call that cannot be passed on now."""

    def silence(self) -> tuple[int, str]:
        """Of a call that was passed on, or should have been, and got no answer."""


class AdminPool(Pool):
    def __init__(self, **of_pool: Any) -> None:
        super().__init__(**of_pool)
        self.followed: Followed | None = None  # then the admin API is ours

    def moved(self, at: Path | Address) -> None:
        """It answers at another place from now on, or is another one at the same."""
        self.at = at
        self.close_idle()

    def acquire(self, exchange: Exchange) -> None:
        refusal = self.followed and self.followed.refusal()
        if refusal:  # from the loop: in the midst of a read, the rest of the request may be at hand
            self.loop.call_soon(self._refuse, exchange, refusal)
        else:
            super().acquire(exchange)

    def failure(self, loss: Loss) -> tuple[int, str]:
        if self.followed is not None and loss in AWAY:
            return self.followed.silence()
        return super().failure(loss)

    @staticmethod
    def _refuse(exchange: Exchange, refusal: tuple[int, str]) -> None:
        if not exchange.done:
            exchange.fail(*refusal)
