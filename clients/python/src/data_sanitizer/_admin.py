"""API keys and tenants."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import Enum
from typing import Any

from ._http import Transport, path_of
from ._models import ApiKey, NewApiKey, Role, Tenant, User, read


class _Left(Enum):
    """What is left out, where `None` says something."""

    OUT = "left out"


class Keys:
    """The API keys of the tenant. Whoever looks after them needs the action `keys:manage`.

    All methods raise `ApiError` where the service refuses, and `TransportError` where it cannot be
    reached.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> list[ApiKey]:
        """The keys, oldest first."""
        document = self._transport.document("GET", path_of("keys"))
        return [read(ApiKey, row) for row in document["keys"]]

    def create(
        self,
        name: str,
        role: Role,
        *,
        actions: Iterable[str] | None = None,
        datasets: Iterable[str] | None = None,
        expires_at: datetime | None = None,
        operator: bool = False,
        tenant: str | None = None,
    ) -> NewApiKey:
        """Creates a key. Its secret is in the answer and nowhere else.

        A key has no action, role or operator's right that its creator lacks, and ends no later. It
        ends when its creator is revoked or suspended, and so do the keys that it created.

        Args:
            name: Name, for people.
            role: Its role.
            actions: The actions that it is limited to, such as `jobs:read`; left out: no limit.
            datasets: The datasets that it is limited to, by name; left out: no limit.
            expires_at: When it ends; left out: with its creator.
            operator: Whether it has the rights of an operator.
            tenant: Another tenant, by name or identifier; needs the action `tenants:keys`.

        Raises:
            ForbiddenError: The key would have more, or last longer, than the one in use.
            ValueError: `expires_at` has no time zone.
        """
        request: dict[str, Any] = {"name": name, "role": role, "operator": operator}
        if actions is not None:
            request["actions"] = list(actions)
        if datasets is not None:
            request["datasets"] = list(datasets)
        if expires_at is not None:
            request["expires_at"] = rfc3339(expires_at)
        if tenant is not None:
            request["tenant"] = tenant
        return read(NewApiKey, self._transport.document("POST", path_of("keys"), document=request))

    def revoke(self, id: str, *, tenant: str | None = None) -> None:
        """Revokes a key, at once, and every key that it created.

        Args:
            id: The public part of the key.
            tenant: Another tenant, by name or identifier; needs the action `tenants:keys`.

        Raises:
            ConflictError: It is the key in use, or one that created it; rotate it instead.
            NotFoundError: The tenant has no such key, or there is no such tenant.
        """
        self._transport.request("DELETE", path_of("keys", id), params={"tenant": tenant})

    def rotate(self, id: str) -> NewApiKey:
        """Replaces the secret of a key, at once.

        Its rights, its end and the keys that it created stay. Where it is the key in use, the
        client must be opened again with the new secret.

        Args:
            id: The public part of the key.

        Raises:
            ForbiddenError: The key has more, or lasts longer, than the one in use.
            NotFoundError: The tenant has no such key.
        """
        path = path_of("keys", id, "rotate")
        return read(NewApiKey, self._transport.document("POST", path))


class Users:
    """People of the tenant who came with tokens of the identity provider.

    Whoever looks after them needs the action `keys:manage`.

    All methods raise `ApiError` where the service refuses, and `TransportError` where it cannot be
    reached.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> list[User]:
        """The people, by their subject."""
        document = self._transport.document("GET", path_of("users"))
        return [read(User, row) for row in document["users"]]

    def suspend(self, id: str, *, suspended: bool = True) -> User:
        """Shuts somebody out, at once, or lets them in again.

        Args:
            id: Identifier of the user.
            suspended: Whether they are to be shut out.

        Raises:
            NotFoundError: The tenant has no such user.
        """
        request = {"suspended": suspended}
        return read(User, self._transport.document("PATCH", path_of("users", id), document=request))


class Tenants:
    """All tenants. Only operators come in here.

    All methods raise `ApiError` where the service refuses, and `TransportError` where it cannot be
    reached.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> list[Tenant]:
        """The tenants, by name."""
        document = self._transport.document("GET", path_of("tenants"))
        return [read(Tenant, row) for row in document["tenants"]]

    def create(
        self,
        name: str,
        *,
        max_running: int | None = None,
        max_queued: int | None = None,
        weight: float | None = None,
        rows_per_month: int | None = None,
        calls_per_second: float | None = None,
    ) -> Tenant:
        """Makes a tenant. `client.keys.create(..., tenant=name)` makes keys for it.

        Args:
            name: Name: 1 to 64 letters, digits, `_` and `-`.
            max_running: Jobs that run at the same time, at most.
            max_queued: Jobs that wait, at most.
            weight: Share of the workers beside that of others.
            rows_per_month: Rows of sources in a month, at most; left out: no limit.
            calls_per_second: Calls of the API in a second, in the mean.

        Raises:
            ConflictError: There is a tenant of the name.
        """
        limits = _limits(max_running, max_queued, weight, rows_per_month, calls_per_second)
        request = {"name": name, "limits": limits}
        return read(Tenant, self._transport.document("POST", path_of("tenants"), document=request))

    def update(
        self,
        tenant: str,
        *,
        max_running: int | None = None,
        max_queued: int | None = None,
        weight: float | None = None,
        rows_per_month: int | _Left | None = _Left.OUT,
        calls_per_second: float | None = None,
        suspended: bool | None = None,
    ) -> Tenant:
        """Changes what a tenant may use, or suspends it. What is left out stays as it is.

        Args:
            tenant: Name or identifier.
            max_running: Jobs that run at the same time, at most.
            max_queued: Jobs that wait, at most.
            weight: Share of the workers beside that of others.
            rows_per_month: Rows of sources in a month, at most; `None` lifts the limit.
            calls_per_second: Calls of the API in a second, in the mean.
            suspended: Whether nobody comes in for it, and its jobs wait.

        Raises:
            NotFoundError: There is no such tenant.
        """
        request = _limits(max_running, max_queued, weight, None, calls_per_second)
        if rows_per_month is not _Left.OUT:
            request["rows_per_month"] = rows_per_month
        if suspended is not None:
            request["suspended"] = suspended
        path = path_of("tenants", tenant)
        return read(Tenant, self._transport.document("PATCH", path, document=request))


def _limits(
    max_running: int | None,
    max_queued: int | None,
    weight: float | None,
    rows_per_month: int | None,
    calls_per_second: float | None,
) -> dict[str, Any]:
    limits = {
        "max_running": max_running,
        "max_queued": max_queued,
        "weight": weight,
        "rows_per_month": rows_per_month,
        "calls_per_second": calls_per_second,
    }
    return {name: value for name, value in limits.items() if value is not None}


def rfc3339(moment: datetime) -> str:
    """A moment in the notation of the API.

    Raises:
        ValueError: It has no time zone, so that nobody knows which moment it is.
    """
    if moment.utcoffset() is None:
        raise ValueError("a moment needs a time zone, such as datetime.now(timezone.utc)")
    return moment.isoformat()
