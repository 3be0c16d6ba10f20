"""What fastapitableau is measured with; run by its path, in its own environment, with the port.

It has no sign-in, so its requests are measured without one, which is in its favour.
"""

import sys

import uvicorn  # type: ignore[import-not-found,unused-ignore]
from fastapitableau import FastAPITableau  # type: ignore[import-not-found,unused-ignore]

app = FastAPITableau(title="benchmark")


@app.post("/add")  # type: ignore[untyped-decorator,unused-ignore]
def add(x: list[float]) -> list[float]:
    return [value + 1 for value in x]


@app.post("/double")  # type: ignore[untyped-decorator,unused-ignore]
def double(x: list[float]) -> list[float]:
    return [value * 2 for value in x]


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), workers=1)
