"""Opening the store of deployed functions, and keeping watch over it."""

from typing import TYPE_CHECKING

from tabpy.tabpy_server.functions.change_token import ChangeToken
from tabpy.tabpy_server.functions.turn import Turn
from tabpy.tabpy_server.settings import Settings

if TYPE_CHECKING:
    from tabpy.tabpy_server.functions.store.store import Store


def open_store(settings: Settings, change_token: ChangeToken, turn: Turn) -> "Store":
    """Return the store, its tables up to date; `change_token` changes when somebody changes it.
    `turn` is for the one web process that asks Postgres about that.

    Call it on a thread: SQLAlchemy takes a third of a second to import. Raises StartError for
    tables of a later version, and SQLAlchemyError.
    """
    from tabpy.tabpy_server.functions.store.database import open_engine
    from tabpy.tabpy_server.functions.store.store import Store
    from tabpy.tabpy_server.functions.store.watch import watch

    engine = open_engine(settings.database_url, settings.state_path)
    store = Store(engine, settings.keep_versions)
    store.migrate()
    watch(engine, change_token.change, turn.taken)
    return store
