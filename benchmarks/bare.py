"""A tornado handler that returns a constant, in one process: what the framework alone costs.

Run by its path, with the port. It writes tornado's own log line for each request.
"""

import asyncio
import logging
import sys

from tornado.web import Application, RequestHandler


class Constant(RequestHandler):
    def post(self) -> None:
        self.set_header("Content-Type", "application/json")
        self.write(b"[42.5]")


async def main(port: int) -> None:
    logging.basicConfig(level=logging.INFO)
    Application([("/evaluate", Constant)]).listen(port, "127.0.0.1")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
