"""GET /page/reference."""

from tabpy.tabpy_server.web.page import navigation
from tabpy.tabpy_server.web.page.view import ViewHandler


class ReferenceView(ViewHandler):
    route = "/page/reference"
    entry = navigation.REFERENCE
    template = "reference.html"
