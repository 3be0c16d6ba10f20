"""What all web processes of a machine share: made once, before they are forked."""

from dataclasses import dataclass, field

from tabpy.tabpy_server.auth import Gate, OpenGate
from tabpy.tabpy_server.boot import Boot
from tabpy.tabpy_server.generation import Generation
from tabpy.tabpy_server.service import Service
from tabpy.tabpy_server.settings import Settings


@dataclass(frozen=True)
class Shared:
    settings: Settings
    service: Service
    gate: Gate | OpenGate
    generation: Generation = field(default_factory=Generation)
    boot: Boot = field(default_factory=Boot)
