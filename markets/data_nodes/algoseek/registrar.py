"""Has FIGIs registered for the nodes: they stand below the services, so MSM hands them the service when it starts."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from markets.engine.figi_facts import FigiFacts
from markets.exceptions import InvalidInput
from markets.models import Asset

BATCH_SIZE = 500
REASONS_IN_MESSAGE = 10


class Registered(Protocol):
    """What became of one FIGI."""

    @property
    def figi(self) -> str: ...
    @property
    def asset(self) -> Asset | None: ...
    @property
    def reason(self) -> str | None: ...


class Registrar(Protocol):
    """The service `register_assets_from_figis`."""

    def __call__(
        self, figis: Iterable[str | None], *, batch_size: int, facts: Mapping[str, FigiFacts] | None, source: str
    ) -> Sequence[Registered]: ...


_registrars: list[Registrar] = []


def use_registrar(registrar: Registrar) -> None:
    """Called once, when the application starts."""
    _registrars[:] = [registrar]


def register_figis(facts: Mapping[str, FigiFacts], *, source: str, batch_size: int = BATCH_SIZE) -> dict[str, str]:
    """FIGI → identifier of its asset, each registered where it was not. Raises InvalidInput telling which cannot be."""
    outcomes = _registrars[0](list(facts), batch_size=batch_size, facts=facts, source=source)
    refused = [str(item.reason) for item in outcomes if item.asset is None]
    if refused:
        more = f" … and {len(refused) - REASONS_IN_MESSAGE} more" if len(refused) > REASONS_IN_MESSAGE else ""
        raise InvalidInput(f"{source}: {' '.join(refused[:REASONS_IN_MESSAGE])}{more} Correct the file.", field="path")
    return {item.figi: item.asset.unique_identifier for item in outcomes if item.asset is not None}
