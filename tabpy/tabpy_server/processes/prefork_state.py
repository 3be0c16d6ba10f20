"""What all web processes of a machine share: made once, before they are forked."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tabpy.tabpy_server.access.gate import Gate, OpenGate
from tabpy.tabpy_server.access.token_gate import TokenGate
from tabpy.tabpy_server.activity.board import Board
from tabpy.tabpy_server.functions.change_token import ChangeToken
from tabpy.tabpy_server.functions.startup import Startup
from tabpy.tabpy_server.functions.turn import Turn
from tabpy.tabpy_server.metrics.function_figures import FunctionFigures
from tabpy.tabpy_server.processes.stop_flag import StopFlag
from tabpy.tabpy_server.script_rules import InForce
from tabpy.tabpy_server.settings import Settings
from tabpy.tabpy_server.tls.served import ServedCertificate
from tabpy.tabpy_server.web.server_info import Service

if TYPE_CHECKING:
    from tabpy.tabpy_server.processes.flight_process import FlightProcess


@dataclass(frozen=True)
class PreforkState:
    settings: Settings
    service: Service
    gate: Gate | OpenGate | TokenGate
    confinement: InForce
    board: Board
    certificate: ServedCertificate | None = None
    flight: "FlightProcess | None" = None
    change_token: ChangeToken = field(default_factory=ChangeToken)
    watching: Turn = field(default_factory=Turn)
    announcements: ChangeToken = field(default_factory=ChangeToken)
    function_figures: FunctionFigures = field(default_factory=FunctionFigures)
    startup: Startup = field(default_factory=Startup)
    stop_flag: StopFlag = field(default_factory=StopFlag)
