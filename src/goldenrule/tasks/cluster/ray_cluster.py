"""A Ray cluster: reached where its user says, or started here; looked over before it works; let go of at the end."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import tempfile
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from goldenrule.core.errors import ClusterError, first_line
from goldenrule.core.extras import need, quiet_dependencies
from goldenrule.core.findings import plural
from goldenrule.core.interrupts import STOPPING
from goldenrule.core.progress import Progress, Silent
from goldenrule.models.graphs.compiled import available_threads, check_threads
from goldenrule.runs.cluster_options import AUTO, CLIENT, LOCAL, ClusterOptions, host_and_port
from goldenrule.storage.cache_folder import cache_folder
from goldenrule.storage.files import make_folder
from goldenrule.storage.unfinished import remove_leftovers, unfinished_file, unfinished_folder
from goldenrule.tasks.cluster.block_stream import Failed, Pool, answers, images_per_block
from goldenrule.tasks.cluster.node_checks import NodeCheck, problem_here

ANSWER_SECONDS, NODE_SECONDS = 10, 120
"""How long an address has to take a connection, and a node to say what it sees."""
STORE_BYTES = 256 << 20
"""The memory that a local cluster shares: names of files and rows of features pass through it, never pixels."""
MOST_THREADS_EACH = 4
QUIETLY = {"log_to_driver": False, "logging_level": "CRITICAL"}


class Cluster:
    """A cluster that is connected when something is asked of it first; a `with` block lets go of it.

    `threads` are the processors of each worker. Raises `ClusterError` at once where nobody answers at the address.
    """

    def __init__(self, where: str, *, threads: int | None = None, progress: Progress | None = None) -> None:
        ClusterOptions(cluster=where)
        check_threads(threads)
        need("ray", what=f"--cluster {where}")
        self.where, self._threads, self._progress = where, threads, progress or Silent()
        self.workers = 0
        self._held = contextlib.ExitStack()
        self._local = False
        self._ray: Any = None
        if (address := self._address) is not None:
            _check_answers(address, where)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __str__(self) -> str:
        if not self.workers:
            return "on this machine"
        of = "a local Ray cluster" if self._local else f"the Ray cluster {self._address or 'of this machine'}"
        return f"on {plural(self.workers, 'worker')} of {of}"

    def stream(
        self, table: Any, worker: type, told: Mapping[str, Any], *, files: Sequence[bytes], in_order: bool
    ) -> Iterator[Any]:
        """Yield the tables that workers make of blocks of this one's rows; None while nothing has come.

        A worker is made with `told` and its `threads`. `files` are what nodes must be able to read. Raises
        `ClusterError` where a node can't do the work, or the cluster was lost.
        """
        threads = self._connected(files)
        ray = self._ray
        made: Any = None
        try:
            size = images_per_block(len(table), self.workers)
            blocks = [table.slice(start, size) for start in range(0, len(table), size)]
            each = {"workers": min(self.workers, len(blocks)), "threads": threads, "in_order": in_order}
            made = ray.remote(Pool).options(num_cpus=0).remote(blocks, worker, {**told, "threads": threads}, **each)
            for found in answers(made, ray.wait, ray.get):
                if isinstance(found, Failed):
                    raise ClusterError(found.words if found.ours else self._lost(found.words))
                yield found
        except (ray.exceptions.RayError, ConnectionError) as error:
            raise ClusterError(self._lost(first_line(error))) from error
        finally:
            if made is not None:
                with contextlib.suppress(Exception):
                    ray.kill(made)

    def close(self) -> None:
        """Let go of the cluster; a local one ends."""
        if self._ray is not None:
            with contextlib.suppress(Exception):
                self._ray.shutdown()
            self._ray = None
        self._held.close()

    @property
    def _address(self) -> str | None:
        """The address that the user names, by the option or by RAY_ADDRESS; None: a cluster of this machine."""
        if self.where == AUTO:
            named = os.environ.get("RAY_ADDRESS", "")
            return named if named not in ("", AUTO, LOCAL) else None
        return None if self.where == LOCAL else self.where

    def _lost(self, why: str) -> str:
        return (
            f"--cluster {self.where}: the work ended before it was done ({why}). What came is kept: give the same "
            "command again, and it goes on."
        )

    def _connected(self, files: Sequence[bytes]) -> int:
        """Connect and look the nodes over where that was not done before, and return the threads of a worker."""
        if self._ray is None:
            self._progress.say(f"Connecting to Ray ({self.where}) ...")
            self._ray = self._connect()
        ray = self._ray
        nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
        if not nodes:
            raise ClusterError(f"--cluster {self.where}: no node of it has a processor to work with.")
        processors = [int(node["Resources"]["CPU"]) for node in nodes]
        threads = self._threads or threads_each(processors)
        workers = sum(count // threads for count in processors)
        if not workers:
            raise ClusterError(
                f"--cluster {self.where} --threads {threads}: no node has so many processors (the most are "
                f"{max(processors)}). Give --threads a smaller number."
            )
        if not self.workers:
            self._look_over(nodes, files)
        self.workers = workers
        return threads

    def _look_over(self, nodes: Sequence[Mapping[str, Any]], files: Sequence[bytes]) -> None:
        """Raise `ClusterError` where a node is another machine than the rows are to come from, or sees other files."""
        ray = self._ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        with unfinished_file(make_folder(cache_folder())) as token:
            check = NodeCheck.of_here(token.absolute(), files)
            ask = ray.remote(problem_here)
            asked = {
                ask.options(
                    num_cpus=0,
                    max_retries=1,
                    scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
                ).remote(check): node["NodeManagerAddress"]
                for node in nodes
            }
            for reference, node in asked.items():
                try:
                    problem = ray.get(reference, timeout=NODE_SECONDS)
                except ray.exceptions.GetTimeoutError:
                    problem = f"it did not answer within {NODE_SECONDS} s."
                except Exception as error:  # noqa: BLE001 - of a node: no goldenrule there, another Python, gone
                    problem = f"{first_line(error)}. goldenrule must be installed there as it is here."
                if problem:
                    raise ClusterError(f"--cluster {self.where}: node {node} can't do this work: {problem}")

    def _connect(self) -> Any:
        quiet_dependencies()
        if self._address is not None:
            os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "1")  # of half a minute each
        try:
            with _undisturbed():
                import ray
                import ray.exceptions

                address = self._address
                if address is None and self.where == AUTO:
                    try:
                        ray.init(address=AUTO, **QUIETLY)
                        return ray
                    except ConnectionError:
                        pass  # no node runs here
                if address is None:
                    self._start_here(ray)
                else:
                    _reach(ray, address)
                return ray
        except (ConnectionError, RuntimeError, ValueError, OSError, TimeoutError) as error:
            raise ClusterError(
                f"--cluster {self.where}: no Ray cluster can be used there ({first_line(error)}). Is it a Ray head "
                "node, of the same versions of Ray and Python, and does it want a token (RAY_AUTH_MODE=token)?"
            ) from error

    def _start_here(self, ray: Any) -> None:
        """Start a cluster of this machine alone, for this process alone: it has a key of its own, and no dashboard."""
        # its processes ask each other for a key; without this one Ray writes one into the home folder, for all clusters
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        short = Path("/tmp")  # noqa: S108 - names of sockets have 107 characters at most; the folder is a new one
        place = short if os.access(short, os.W_OK) else Path(tempfile.gettempdir())
        remove_leftovers(place)
        folder, self._local = self._held.enter_context(unfinished_folder(place)), True
        ray.init(
            address=LOCAL,
            num_cpus=available_threads(),
            include_dashboard=False,
            object_store_memory=STORE_BYTES,
            _node_ip_address="127.0.0.1",
            _temp_dir=str(folder),
            **QUIETLY,
        )


def threads_each(processors: Sequence[int]) -> int:
    """Return the threads of a worker: at least two workers on each node, so that one that is lost is not all of it.

    >>> threads_each([2]), threads_each([64, 8]), threads_each([1])
    (1, 4, 1)
    """
    return max(1, min(MOST_THREADS_EACH, min(processors) // 2))


def _check_answers(address: str, where: str) -> None:
    """Raise `ClusterError` where nobody takes a connection at an address, or one who does not speak as Ray does."""
    host, port = host_and_port(address)
    said = f"--cluster {where}" + (f" (RAY_ADDRESS={address})" if address != where else "")
    usual = 10001 if address.startswith(CLIENT) else 6379
    advice = f"Is the head node up (ray start --head), and the port right (usually {usual})?"
    try:
        socket.create_connection((host, port), timeout=ANSWER_SECONDS).close()
    except OSError as error:
        raise ClusterError(
            f"{said}: nobody answers at {host}, port {port}: {error.strerror or error}. {advice}"
        ) from error
    if os.environ.get("RAY_USE_TLS", "0") != "0":
        return  # asked in a way of its own
    import grpc

    with grpc.insecure_channel(address.removeprefix(CLIENT)) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=ANSWER_SECONDS)
        except grpc.FutureTimeoutError as error:
            raise ClusterError(
                f"{said}: who answers at {host}, port {port}, is no Ray cluster: nothing that Ray understands "
                f"came within {ANSWER_SECONDS} s. {advice}"
            ) from error


def _reach(ray: Any, address: str) -> None:
    """Connect to a cluster; through its client's server twice, whose own process for each client may fail to start."""
    if address.startswith(CLIENT):
        with contextlib.suppress(ConnectionError):
            ray.init(address=address, **QUIETLY)
            return
    ray.init(address=address, **QUIETLY)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep this process's own ways with signals and warnings, which Ray changes."""
    main = threading.current_thread() is threading.main_thread()  # no other thread may handle signals
    before = {number: signal.getsignal(number) for number in STOPPING if main}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
