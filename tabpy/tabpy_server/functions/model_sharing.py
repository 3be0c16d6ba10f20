"""The web process: deciding which models are worth sharing between workers."""

import asyncio

from tabpy.tabpy_server.errors import RequestError
from tabpy.tabpy_server.web.context import Context

LOOK_EVERY = 1.0  # seconds, so that several deploys in a row count as one
RETRY_AFTER = 5.0  # seconds
WORTH_IT = 1 << 20  # bytes of an archive; smaller models are quicker loaded than shared


async def share_models(context: Context) -> None:
    """Have workers share the large models that serve now, as many as fit; never ends."""
    seen = ""
    shared: dict[str, str] = {}
    while True:
        await asyncio.sleep(LOOK_EVERY)
        if context.catalog.change_token == seen:
            continue
        try:
            seen = context.catalog.change_token
            wanted = await _large(context)
            if wanted != shared:
                references = [await context.catalog.reference(name) for name in wanted.values()]
                context.pool.preload_models(references)
                shared = wanted
        except (RequestError, LookupError):  # no store now, or a version has just been removed
            await asyncio.sleep(RETRY_AFTER)
            seen = ""


async def _large(context: Context) -> dict[str, str]:
    """SHA-256 to the name of an endpoint that has it, the largest first, within the memory that
    models may take."""
    room = context.settings.model_memory_mb * (1 << 20)
    chosen = {}
    endpoints = (await context.catalog.endpoints()).values()
    models = [each for each in endpoints if each.code is not None and each.code.size >= WORTH_IT]
    for each in sorted(models, key=lambda each: (-each.code.size if each.code else 0, each.name)):
        assert each.code is not None
        if each.code.size <= room and each.code.sha256 not in chosen:
            chosen[each.code.sha256] = each.name
            room -= each.code.size
    return chosen
