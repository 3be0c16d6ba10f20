"""GET /page/packages."""

from tabpy.tabpy_server.web.page import navigation
from tabpy.tabpy_server.web.page.view import ViewHandler


class PackagesView(ViewHandler):
    route = "/page/packages"
    entry = navigation.PACKAGES
    template = "packages.html"
