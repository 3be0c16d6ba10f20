"""GET /page/activity."""

from tabpy.tabpy_server.web.page import navigation
from tabpy.tabpy_server.web.page.view import ViewHandler


class ActivityView(ViewHandler):
    route = "/page/activity"
    entry = navigation.ACTIVITY
    template = "activity.html"
