"""GET /page/functions."""

from tabpy.tabpy_server.web.page import navigation
from tabpy.tabpy_server.web.page.view import ViewHandler


class FunctionsView(ViewHandler):
    route = "/page/functions"
    entry = navigation.FUNCTIONS
    template = "functions.html"
