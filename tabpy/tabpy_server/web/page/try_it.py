"""GET /page/try: run a script as a calculation does."""

from tabpy.tabpy_server.web.page import navigation
from tabpy.tabpy_server.web.page.view import ViewHandler


class TryItView(ViewHandler):
    route = "/page/try"
    entry = navigation.TRY_IT
    template = "try_it.html"
    module = "try_it.js"
