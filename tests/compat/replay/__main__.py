"""`python -m tests.compat.replay [--all]`: TabPy's replies and ours, where they differ."""

import argparse
import sys

from tests.compat.replay.replies import differences
from tests.compat.replay.requested import requests
from tests.compat.replay.servers import exchanged

def main() -> int:
    asked = requests()
    for request, (theirs, ours) in zip(asked, exchanged(asked), strict=True):
        print(request.group, "|", request.name, "|", theirs.summary, "|", ours.summary, "|", differences(theirs, ours))
    return 0

if __name__ == "__main__":
    sys.exit(main())
