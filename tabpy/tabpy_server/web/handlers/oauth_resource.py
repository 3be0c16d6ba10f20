"""GET /.well-known/oauth-protected-resource: where a client gets a token for this server.

https://www.rfc-editor.org/rfc/rfc9728
"""

from tabpy.tabpy_server.access import oauth
from tabpy.tabpy_server.web.error_reply import OAUTH_RESOURCE
from tabpy.tabpy_server.web.handlers.base import BaseHandler
from tabpy.tabpy_server.web.operation import Reply, operation
from tabpy.tabpy_server.web.schemas import OAUTH_METADATA


class OAuthResourceHandler(BaseHandler):
    """Open: who has no token yet has to find out where to get one."""

    route = OAUTH_RESOURCE
    open_to_all = True

    @operation("Say where to get a token", Reply(200, "Who makes them", OAUTH_METADATA))
    def get(self) -> None:
        settings = self.context.settings
        scopes = [*settings.oauth_required_scopes, *oauth.scopes(settings).values()]
        self.write_json(
            {
                "resource": self.visit.own_url,
                "resource_name": self.context.service.name,
                "authorization_servers": [settings.oauth_issuer],
                "scopes_supported": list(dict.fromkeys(scopes)),
                "bearer_methods_supported": ["header"],
            }
        )
