"""The permission matrix of the API: every route, everyone, and what was written."""

import pytest
from rest_framework.test import APIClient

from tests import factories
from tests.permissions.addresses import API, addresses, advice, of_route
from tests.permissions.roles import EVERYONE, PEOPLE, TOKENS, make_role
from tests.permissions.written import differs, everything, state, taken_back, writes
from tests.rest.base import ROUTES, Route, World, body_of, call, is_error

UNKNOWN = ("anonymous", "expired", "revoked", "deactivated")


def by(route: Route) -> str:
    return route.by or ("analyst" if route.writes else EVERYONE)


def effect(route: Route) -> dict[str, int]:
    if not route.writes:
        return {}
    app, _, codename = route.needs[0].partition(".")
    return route.effect or {f"{app}_{codename.partition('_')[2]}": {"post": 1, "delete": -1}.get(route.method, 0)}


def test_every_route_has_a_line() -> None:
    known = {of_route(route) for route in ROUTES}
    missing = [address for address in addresses() if f" {API}" in address and address not in known]
    assert not missing, "\n".join(["", *map(advice, missing)])


def test_every_line_is_a_route() -> None:
    assert not {of_route(route) for route in ROUTES} - set(addresses())


@pytest.mark.django_db
@pytest.mark.parametrize("name", [*PEOPLE, *TOKENS])
def test_every_route(name: str, world: World) -> None:
    """The expected status; a refused request writes nothing; an allowed one does what it says."""
    role = make_role(name)
    at_first = everything()
    faults: list[str] = []
    for route in ROUTES:
        said = f"{route} by {name}"
        if name in UNKNOWN:
            expected = 401
        elif name == "read-only":
            expected = 403 if route.writes else route.status
        else:
            expected = route.status if role.may(by(route)) else 403
        changed = effect(route) if expected == route.status else {}
        before, tables = writes(), {table: state(table) for table in changed}
        with taken_back():
            response = call(role.api, route, world)
            answer = f"{said}: {response.status_code} {body_of(response)[:300]!r}"
            if response.status_code != expected:
                faults.append(f"{answer}, not {expected}")
            if expected in (401, 403):
                if not is_error(response, expected):
                    faults.append(f"{answer}: not the shape of an error")
                elif expected == 403 and not _tells_why(response.json()["errors"][0]["detail"], route, name):
                    faults.append(f"{answer}: does not name the missing permission")
            if (expected in (401, 403) or not route.writes) and writes() != before:
                faults.append(f"{said} wrote {writes()}, before {before}")
            faults += [
                f"{said}: {table} should change by {more}"
                for table, more in changed.items()
                if not differs(tables[table], state(table), more)
            ]
    assert not faults, "\n".join(["", *faults])
    assert everything() == at_first


@pytest.mark.django_db
def test_exactly_the_named_permissions_suffice(world: World) -> None:
    faults = []
    clients = {needs: _client(needs) for needs in {frozenset(route.needs) for route in ROUTES}}
    for route in ROUTES:
        with taken_back():
            response = call(clients[frozenset(route.needs)], route, world)
            if response.status_code != route.status:
                faults.append(f"{route}: {response.status_code} {body_of(response)[:300]!r}")
    assert not faults, "\n".join(["", *faults])


@pytest.mark.django_db
def test_each_of_them_is_needed(world: World) -> None:
    faults = []
    lacking = {frozenset(route.needs) - {missing} for route in ROUTES for missing in route.needs}
    clients = {needs: _client(needs) for needs in lacking}
    for route in ROUTES:
        for missing in route.needs:
            with taken_back():
                response = call(clients[frozenset(route.needs) - {missing}], route, world)
                if response.status_code != 403 or missing not in response.json()["errors"][0]["detail"]:
                    faults.append(f"{route} without {missing}: {response.status_code} {body_of(response)[:300]!r}")
    assert not faults, "\n".join(["", *faults])


def _client(permissions: frozenset[str]) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {factories.token(factories.user(*permissions))}")
    return client


def _tells_why(detail: str, route: Route, name: str) -> bool:
    return "read-only" in detail if name == "read-only" else any(need in detail for need in route.needs)
