"""The shapes of what goes in and out, as JSON Schema 2020-12 (which OpenAPI 3.1 takes as it is)."""

from collections.abc import Mapping
from typing import Any

from tabpy.tabpy_server.functions.store.endpoint import ALIAS, MODEL
from tabpy.tabpy_server.isolation import Isolation

Schema = Mapping[str, Any]

JSON, MULTIPART, HTML = "application/json", "multipart/form-data", "text/html"

ANY: Schema = {}
TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "integer"}
FLAG: Schema = {"type": "boolean"}
TEXTS: Schema = {"type": "array", "items": TEXT}
TEXTS_BY_NAME: Schema = {"type": "object", "additionalProperties": TEXT}


def record(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """Return the schema of an object with these fields and no others."""
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }


def by_name(schema: Schema) -> Schema:
    """Return the schema of an object whose keys are names that people have chosen."""
    return {"type": "object", "additionalProperties": schema}


LIMITS = record(
    {
        "seconds": {"type": "number"},
        "query_seconds": {"type": "number"},
        "memory_mb": NUMBER,
        "isolation": {"enum": [each.value for each in Isolation]},
        "network": {"type": "boolean"},
        "confinement": record(
            {
                "landlock": NUMBER,
                "seccomp": {"type": "boolean"},
                "processes": NUMBER,
                "complete": {"type": "boolean"},
            }
        ),
    }
)
# What a request with ?debug=true is told beside the rest.
PRINTED: Mapping[str, Schema] = {
    "printed": {"type": "string", "description": "To debug: what was printed"}
}
TRACE: Mapping[str, Schema] = {
    "trace": {"type": "string", "description": "To debug: the author's part of the traceback"}
}
FAILED_FUNCTION = record({"type": {"const": "QueryFailed"}, "uri": TEXT, "error": TEXT})
ERROR = record({"message": TEXT, "info": {"anyOf": [TEXT, FAILED_FUNCTION]}}, {**PRINTED, **TRACE})
NOTHING = record({})
ALIVE = record({"status": {"const": "alive"}})
READY = record({"status": {"const": "ready"}})

SCOPES: Schema = {"type": "array", "items": TEXT}
OAUTH_METHOD = record(
    {
        "required_scopes": SCOPES,
        "endpoint_scopes": SCOPES,
        "endpoint_scopes_enforced": {"type": "boolean"},
    }
)
OAUTH_METADATA = record(
    {
        "resource": TEXT,
        "resource_name": TEXT,
        "authorization_servers": {"type": "array", "items": TEXT},
        "scopes_supported": SCOPES,
        "bearer_methods_supported": {"type": "array", "items": TEXT},
    }
)

INFO = record(
    {
        "description": TEXT,
        "creation_time": {"type": "string", "description": "Seconds since 1970"},
        "state_path": TEXT,
        "server_version": TEXT,
        "name": TEXT,
        "versions": record(
            {
                "v1": record(
                    {
                        "features": record(
                            {
                                "evaluate_enabled": {"type": "boolean"},
                                "gzip_enabled": {"type": "boolean"},
                                "arrow_enabled": {"type": "boolean"},
                            },
                            {
                                "authentication": record(
                                    {
                                        "required": {"type": "boolean"},
                                        "methods": record(
                                            {},
                                            {
                                                "basic-auth": {"type": "object"},
                                                "oauth-jwt": OAUTH_METHOD,
                                            },
                                        ),
                                    }
                                )
                            },
                        )
                    }
                )
            }
        ),
    }
)

# Other fields are ignored, as TabPy does.
SCRIPT: Schema = {
    "type": "object",
    "properties": {
        "script": {"type": "string", "description": "The body of a Python function"},
        "data": {
            "type": ["object", "null"],
            "description": "Its arguments, _arg1 to _argN without gaps",
            "patternProperties": {"^_arg[1-9][0-9]*$": ANY},
            "additionalProperties": False,
        },
    },
    "required": ["script"],
}
ARGUMENTS: Schema = {
    "type": "object",
    "properties": {
        "data": {
            "type": ["object", "array"],
            "description": "Arguments, by name or by position",
        }
    },
    "required": ["data"],
}
RESPONSE = record({"response": ANY, "version": NUMBER, "model": TEXT, "uuid": TEXT}, PRINTED)

NAME: Schema = {"type": "string", "description": "Of a deployed function"}
KIND: Schema = {"enum": [MODEL, ALIAS]}
SAID: Mapping[str, Schema] = {
    "description": TEXT,
    "docstring": TEXT,
    "methods": {"type": "array"},
    "dependencies": {"type": "array"},
    "is_public": {"type": "boolean"},
}
PURE: Schema = {
    "type": "boolean",
    "description": "Of this version: its result follows from its arguments alone",
}
ENDPOINT = record(
    {
        "type": KIND,
        **SAID,
        "pure": PURE,
        "target": {"type": ["string", "null"]},
        "schema": ANY,
        "version": NUMBER,
        "creation_time": NUMBER,
        "last_modified_time": NUMBER,
    }
)
ENDPOINTS = by_name(ENDPOINT)


def metadata(*required: str) -> Schema:
    """Return the schema of what is said of a function that is deployed. null: not said."""
    said = {
        "name": NAME,
        "type": KIND,
        **SAID,
        "pure": PURE,
        "target": TEXT,
        "schema": {"type": ["object", "array", "string"]},
        "requirements": TEXTS,
        "python": TEXT,
        "packages": TEXTS_BY_NAME,
        "src_path": {"type": "string", "description": "A folder in the upload destination"},
        "should_update_version": {"type": "boolean"},
    }
    return {"type": "object", "properties": said, "required": list(required)}


NEW_METADATA, CHANGED_METADATA = metadata("name"), metadata()


def upload(said: Schema) -> Schema:
    """Return the schema of an upload: what is `said` of a function, as JSON, and its archive."""
    return {
        "type": "object",
        "properties": {
            "metadata": {
                "type": "string",
                "contentMediaType": JSON,
                "contentSchema": said,
            },
            "archive": {"type": "string", "contentMediaType": "application/octet-stream"},
        },
        "required": ["metadata"],
    }


VERSION = record(
    {
        "version": NUMBER,
        "creation_time": NUMBER,
        "author": {
            "type": ["string", "null"],
            "description": "Who deployed it; null: nobody had signed in, or it isn't known",
        },
        "pure": PURE,
        "sha256": TEXT,
        "size": NUMBER,
        "python": TEXT,
        "packages": TEXTS_BY_NAME,
        "requirements": TEXTS,
        "origin": TEXT,
    }
)
VERSIONS = record({"current": NUMBER, "versions": {"type": "array", "items": VERSION}})
CHOSEN_VERSION: Schema = {
    "type": "object",
    "properties": {"version": NUMBER},
    "required": ["version"],
}
STATUSES = by_name(
    record(
        {
            "version": NUMBER,
            "type": KIND,
            "status": {"enum": ["LoadSuccessful", "LoadInProgress", "LoadFailed"]},
            "last_error": {"type": ["string", "null"]},
        }
    )
)
DESTINATION = record({"path": TEXT})
PACKAGES = record({"python": TEXT, "packages": TEXTS_BY_NAME})
DOCUMENT: Schema = {"type": "object", "required": ["openapi", "info", "paths"]}
