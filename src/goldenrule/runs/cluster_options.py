"""Where a command computes: in this process, or on a Ray cluster that its user names."""

from __future__ import annotations

import re
from dataclasses import dataclass

from goldenrule.core.errors import OptionError
from goldenrule.core.option import option

AUTO, LOCAL, CLIENT = "auto", "local", "ray://"
_ADDRESS = re.compile(r"(ray://)?(?P<host>[\w.-]+|\[[0-9a-fA-F:.]+\]):(?P<port>\d{1,5})")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterOptions:
    """Where the features of images are computed; None: in this process."""

    cluster: str | None = option(
        None,
        "Compute on a Ray cluster: auto, local, HOST:PORT or ray://HOST:PORT.",
        unset="this process alone",
        metavar="WHERE",
        panel="This machine",
    )

    def __post_init__(self) -> None:
        if self.cluster is not None and self.cluster not in (AUTO, LOCAL):
            host_and_port(self.cluster)


def host_and_port(address: str) -> tuple[str, int]:
    """Return what an address names; raises `OptionError` for anything else.

    >>> host_and_port("ray://10.0.0.5:10001"), host_and_port("[::1]:6379")
    (('10.0.0.5', 10001), ('::1', 6379))
    """
    found = _ADDRESS.fullmatch(address)
    if not found or not 0 < int(found["port"]) < 1 << 16:
        raise OptionError(
            f"--cluster {address}: wanted auto, local, or the address of a Ray cluster, such as 10.0.0.5:6379 or "
            "ray://10.0.0.5:10001."
        )
    return found["host"].strip("[]"), int(found["port"])
