"""Datasets: their versions, where these come from, and their contracts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ._http import Transport, path_of
from ._models import Contract, DatasetInfo, DatasetVersion, Lineage, read


class Dataset:
    """A dataset of the tenant. Nothing is asked of the service before a method or `info` is used.

    All methods raise `ApiError` where the service refuses, `NotFoundError` where there is no dataset of
    the name, and `TransportError` where the service cannot be reached.

    Attributes:
        name: Its name, or its identifier.
    """

    def __init__(
        self,
        transport: Transport,
        tenant: Callable[[], str],
        name: str,
        info: DatasetInfo | None = None,
    ) -> None:
        self.name = name
        self._transport = transport
        self._tenant = tenant
        self._info = info

    def __repr__(self) -> str:
        return f"Dataset({self.name!r})"

    @property
    def info(self) -> DatasetInfo:
        """The dataset, as it was when the service was last asked."""
        if self._info is None:
            self.refresh()
        assert self._info is not None  # noqa: S101
        return self._info

    def refresh(self) -> Dataset:
        """Asks the service how the dataset is; gives the dataset itself."""
        self._info = read(DatasetInfo, self._transport.document("GET", self._path()))
        return self

    def versions(self, *, page_size: int = 100) -> Iterator[DatasetVersion]:
        """Its versions, newest first, page by page as they are needed.

        Args:
            page_size: Versions that are fetched at a time, 1 to 1000.
        """
        params = {"limit": page_size}
        return self._transport.pages(DatasetVersion, self._path("versions"), "versions", params)

    def lineage(self, version: int | None = None) -> Lineage:
        """Where a version comes from: files, contract, steps, and who asked for it.

        Args:
            version: Number, from 1; left out: the latest.
        """
        if version is None:
            version = self.refresh().info.latest_version
        path = self._path("versions", str(version))
        return read(Lineage, self._transport.document("GET", path))

    def contracts(self) -> list[Contract]:
        """Its contracts, newest first."""
        document = self._transport.document("GET", self._path("contracts"))
        return [read(Contract, row) for row in document["contracts"]]

    def add_contract(self, contract: Mapping[str, Any]) -> Contract:
        """Adds the next contract: jobs that come from now on are held to it.

        Makes the dataset where there is none of the name.

        Args:
            contract: The `dataset` of a job spec, such as `{"columns": [{"name": "email", "pii": True}]}`.

        Raises:
            UnprocessableError: The contract cannot be; `field` says where.
        """
        path = self._path("contracts")
        return read(Contract, self._transport.document("POST", path, document=dict(contract)))

    def _path(self, *segments: str) -> str:
        return path_of("datasets", self._tenant(), self.name, *segments)
