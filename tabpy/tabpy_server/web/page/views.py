"""All views of the page: add one here, and in `navigation`."""

from tabpy.tabpy_server.web.page.activity import ActivityView
from tabpy.tabpy_server.web.page.connect import ConnectView
from tabpy.tabpy_server.web.page.documentation import DocumentsView, DocumentView
from tabpy.tabpy_server.web.page.function import FunctionView
from tabpy.tabpy_server.web.page.functions import FunctionsView
from tabpy.tabpy_server.web.page.packages import PackagesView
from tabpy.tabpy_server.web.page.reference import ReferenceView
from tabpy.tabpy_server.web.page.status import StatusView
from tabpy.tabpy_server.web.page.try_it import TryItView
from tabpy.tabpy_server.web.page.view import ViewHandler

VIEWS: tuple[type[ViewHandler], ...] = (
    StatusView,
    ConnectView,
    FunctionsView,
    FunctionView,
    TryItView,
    ActivityView,
    PackagesView,
    ReferenceView,
    DocumentsView,
    DocumentView,
)
