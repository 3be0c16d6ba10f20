"""Where scripts run: the one place that chooses, by TABPY_EXECUTOR."""

import os

from tabpy import __version__
from tabpy.tabpy_server import machine
from tabpy.tabpy_server.metrics.counters import Counters
from tabpy.tabpy_server.script_rules import OFF
from tabpy.tabpy_server.settings import Settings
from tabpy.tabpy_server.workers.fork_server.environment import named_variables
from tabpy.tabpy_server.workers.pool.executor import Functions
from tabpy.tabpy_server.workers.pool.launchers import Launcher
from tabpy.tabpy_server.workers.pool.pool import Limits, Pool


def make_pool(
    settings: Settings, launcher: Launcher, functions: Functions, counters: Counters
) -> Pool:
    """Return the pool of a web process. `launcher` starts workers of this machine."""
    limits = Limits(
        settings.workers,
        settings.script_memory_mb,
        int(settings.model_memory_mb * (1 << 20)),
        machine.waiting_mb(settings.web_processes),
        settings.script_isolation,
        settings.ray_min_workers if settings.uses_ray else None,
    )
    if not settings.uses_ray:
        return Pool(launcher, functions, counters, limits)
    # Late: it takes a second to import, and isn't everywhere.
    from tabpy.tabpy_server.workers.ray.cluster import Cluster, no_telemetry
    from tabpy.tabpy_server.workers.ray.plan import Plan
    from tabpy.tabpy_server.workers.ray.pool import RayPool
    from tabpy.tabpy_server.workers.ray.seats import Seats

    no_telemetry()
    plan = Plan(
        preload=settings.preload,
        memory_mb=settings.script_memory_mb,
        confine=settings.script_confinement != OFF,
        read=settings.script_read,
        write=settings.script_write,
        network=settings.script_network,
        variables=named_variables(os.environ, settings).variables,
    )
    cluster = Cluster(settings.ray_address, __version__)
    pool = RayPool(cluster, Seats(cluster, plan), functions, counters, limits)
    pool.collect_here(launcher, functions, limits)
    return pool
