"""What people's scripts do every day goes on working when they are confined.

And what doesn't, on purpose, says which setting brings it back.
"""

import http.server
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.attacks.attack import REQUIRED
from tests.attacks.conftest import Lodging
from tests.attacks.house import ALICE, PASSWORDS, House
from tests.deploying import FORM, archive_of, upload

SETTINGS: Mapping[str, str] = {"TABPY_EVALUATE_TIMEOUT": "30", "TABPY_WORKERS": "1"}


@pytest.fixture(scope="module", params=[REQUIRED])
def mode(request: pytest.FixtureRequest) -> str:
    from tests.attacks.conftest import needs_landlock

    needs_landlock()
    found: str = request.param
    return found


class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def web_site() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hello) as site:
        thread = threading.Thread(target=site.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{site.server_port}/"
        site.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def facts(lodging: Lodging, web_site: str) -> Mapping[str, Any]:
    house = lodging.house
    return {"site": web_site, "app": str(house.app), "home": str(house.home)}


# Each returns True when all went well.
HABITS: Mapping[str, str] = {
    "numpy": "import numpy as np\nreturn bool(np.linalg.inv(np.eye(3)).sum() == 3)",
    "pandas": """
import pandas as pd
frame = pd.DataFrame({"group": ["a", "b", "a"], "value": [1, 2, 3]})
return frame.groupby("group")["value"].sum().to_dict() == {"a": 4, "b": 2}
""",
    "pandas and files": """
import tempfile, pathlib
import pandas as pd
path = pathlib.Path(tempfile.mkdtemp(), "table.csv")
pd.DataFrame({"a": [1, 2]}).to_csv(path, index=False)
return pd.read_csv(path)["a"].tolist() == [1, 2]
""",
    "scipy": "from scipy import stats\nreturn bool(stats.norm.cdf(0) == 0.5)",
    "scikit-learn": """
from sklearn.linear_model import LinearRegression
return bool(abs(LinearRegression().fit([[0], [1]], [0, 2]).coef_[0] - 2) < 1e-9)
""",
    "scikit-learn with threads": """
from sklearn.ensemble import RandomForestClassifier
forest = RandomForestClassifier(n_estimators=4, n_jobs=2, random_state=0)
return forest.fit([[0], [1]] * 5, [0, 1] * 5).predict([[1]]).tolist() == [1]
""",
    "scikit-learn with processes": """
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
x, y = make_classification(n_samples=60, random_state=0)
return len(cross_val_score(LogisticRegression(), x, y, cv=3, n_jobs=2)) == 3
""",
    "joblib's processes": """
import joblib, operator
run = joblib.Parallel(n_jobs=2, backend="loky")
return run(joblib.delayed(operator.neg)(each) for each in range(3)) == [0, -1, -2]
""",
    "joblib's memory": """
import joblib, tempfile
memory = joblib.Memory(tempfile.mkdtemp(), verbose=0)
return memory.cache(abs)(-3) == 3
""",
    "matplotlib to memory": """
import io
import matplotlib
matplotlib.use("agg")
import matplotlib.pyplot as plt
plt.plot([1, 2])
image = io.BytesIO()
plt.savefig(image)
return image.getvalue().startswith(b"\\x89PNG")
""",
    "matplotlib to a temporary file": """
import os, tempfile
import matplotlib
matplotlib.use("agg")
import matplotlib.pyplot as plt
plt.plot([1, 2])
with tempfile.NamedTemporaryFile(suffix=".png") as file:
    plt.savefig(file.name)
    return os.path.getsize(file.name) > 100
""",
    "textblob": """
from textblob import TextBlob
return TextBlob("a wonderful day").sentiment.polarity > 0
""",
    "vader": """
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer
return SentimentIntensityAnalyzer().polarity_scores("a wonderful day")["compound"] > 0
""",
    "multiprocessing": """
import multiprocessing, operator
with multiprocessing.get_context("fork").Pool(2) as pool:
    return pool.map(operator.neg, [1, 2]) == [-1, -2]
""",
    "multiprocessing with spawn": """
import multiprocessing, operator
with multiprocessing.get_context("spawn").Pool(1) as pool:
    return pool.map(operator.neg, [1, 2]) == [-1, -2]
""",
    "multiprocessing's shared memory": """
from multiprocessing import shared_memory
block = shared_memory.SharedMemory(create=True, size=100)
block.buf[0] = 7
again = shared_memory.SharedMemory(block.name)
value = again.buf[0]
again.close()
block.close()
block.unlink()
return value == 7
""",
    "multiprocessing's queues and locks": """
import multiprocessing
context = multiprocessing.get_context("fork")
queue, lock = context.Queue(), context.Lock()
def put():
    with lock:
        queue.put("here")
process = context.Process(target=put)
process.start()
found = queue.get(timeout=5)
process.join()
return found == "here"
""",
    "concurrent.futures": """
import concurrent.futures, multiprocessing, operator
fork = multiprocessing.get_context("fork")
with concurrent.futures.ThreadPoolExecutor(2) as threads:
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=fork) as processes:
        return [*threads.map(abs, [-1]), *processes.map(operator.neg, [2])] == [1, -2]
""",
    "subprocess": "import subprocess\nreturn subprocess.check_output(['echo', 'a']) == b'a\\n'",
    "subprocess with a shell": """
import subprocess
found = subprocess.run("ls models | head -1", shell=True, capture_output=True, text=True)
return (found.stdout, found.stderr) == ("weights.txt\\n", "")
""",
    "subprocess of Python": """
import subprocess, sys
found = subprocess.run([sys.executable, "-c", "import numpy; print(1)"], capture_output=True)
return found.stdout == b"1\\n"
""",
    "ending a process of one's own": """
import subprocess
sleeping = subprocess.Popen(["sleep", "60"])
sleeping.kill()
return sleeping.wait(5) == -9
""",
    "asyncio": """
import asyncio
async def main():
    process = await asyncio.create_subprocess_exec("echo", "a", stdout=asyncio.subprocess.PIPE)
    return (await process.communicate())[0] == b"a\\n"
return asyncio.run(main())
""",
    "urllib": """
import urllib.request
return urllib.request.urlopen(_arg1["site"]).read() == b"hello"
""",
    "requests": "import requests\nreturn requests.get(_arg1['site'], timeout=5).text == 'hello'",
    "TLS": """
import ssl
import certifi
return len(ssl.create_default_context(cafile=certifi.where()).get_ca_certs()) > 10
""",
    "names of hosts": "import socket\nreturn bool(socket.getaddrinfo('localhost', 80))",
    "the own host's name": "import socket\nreturn bool(socket.gethostname())",
    "sqlite in memory": """
import sqlite3
return sqlite3.connect(":memory:").execute("SELECT 1").fetchone() == (1,)
""",
    "sqlite in a temporary file": """
import os, sqlite3, tempfile
path = os.path.join(tempfile.mkdtemp(), "own.db")
own = sqlite3.connect(path)
own.execute("CREATE TABLE t (a)")
own.execute("INSERT INTO t VALUES (1)")
own.commit()
return sqlite3.connect(path).execute("SELECT a FROM t").fetchall() == [(1,)]
""",
    "SQLAlchemy": """
import sqlalchemy
engine = sqlalchemy.create_engine("sqlite://")
with engine.connect() as own:
    return own.execute(sqlalchemy.text("SELECT 1")).scalar() == 1
""",
    "psutil": """
import psutil
return psutil.virtual_memory().total > 0 and psutil.Process().memory_info().rss > 0
""",
    "psutil's list of processes": """
import psutil
return len(psutil.pids()) > 0 and bool(psutil.cpu_percent(None) >= 0)
""",
    "temporary files": """
import os, tempfile
with tempfile.TemporaryFile() as one, tempfile.NamedTemporaryFile("w+") as two:
    one.write(b"a")
    two.write("b")
    two.flush()
    seen = open(two.name).read()
with tempfile.TemporaryDirectory() as folder:
    os.makedirs(os.path.join(folder, "a", "b"))
    os.rename(os.path.join(folder, "a", "b"), os.path.join(folder, "c"))
    os.symlink("c", os.path.join(folder, "d"))
    names = sorted(os.listdir(folder))
handle, path = tempfile.mkstemp()
os.close(handle)
os.remove(path)
with tempfile.SpooledTemporaryFile(10) as spooled:
    spooled.write(b"more than ten bytes")
return seen == "b" and names == ["a", "c", "d"] and not os.path.exists(folder)
""",
    "TMPDIR": """
import os, tempfile
path = os.path.join(os.environ["TMPDIR"], "own")
open(path, "w").close()
return tempfile.gettempdir() == os.environ["TMPDIR"]
""",
    "shutil": """
import os, shutil, tempfile
folder = tempfile.mkdtemp()
copied = shutil.copy2(os.path.join(_arg1["app"], "models", "weights.txt"), folder)
shutil.copytree(os.path.join(_arg1["app"], "models"), os.path.join(folder, "models"))
shutil.move(copied, os.path.join(folder, "moved"))
shutil.make_archive(os.path.join(folder, "archive"), "zip", os.path.join(folder, "models"))
return sorted(os.listdir(folder)) == ["archive.zip", "models", "moved"]
""",
    "tar": """
import os, tarfile, tempfile
folder = tempfile.mkdtemp()
path = os.path.join(folder, "all.tar.gz")
with tarfile.open(path, "w:gz") as archive:
    archive.add(os.path.join(_arg1["app"], "models"), "models")
with tarfile.open(path) as archive:
    archive.extractall(folder, filter="data")
return open(os.path.join(folder, "models", "weights.txt")).read() == "a file of the fork's"
""",
    "mmap": """
import mmap, tempfile
with tempfile.TemporaryFile() as file:
    file.truncate(4096)
    with mmap.mmap(file.fileno(), 4096) as mapped:
        mapped[0] = 7
        return mapped[0] == 7
""",
    "files of the fork": "return open('models/weights.txt').read() == \"a file of the fork's\"",
    "pathlib and glob": """
import glob, pathlib
names = [each.name for each in pathlib.Path("models").iterdir()]
return names == ["weights.txt"] and glob.glob("models/*.txt") == ["models/weights.txt"]
""",
    "the working folder": """
import os
return os.getcwd() == _arg1["app"] and "models" in os.listdir()
""",
    "tabpy.query": "return tabpy.query('double', 21)['response'] == 42",
    "processors": "import os\nreturn os.cpu_count() > 0 and len(os.sched_getaffinity(0)) > 0",
    "locale": """
import locale
locale.setlocale(locale.LC_ALL, "C.UTF-8")
return locale.format_string("%d", 1) == "1"
""",
    "time zones": """
import datetime, zoneinfo
moment = datetime.datetime(2026, 7, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"))
return moment.utcoffset() == datetime.timedelta(hours=2)
""",
    "a module that nobody has imported yet": "import xmlrpc.client\nreturn True",
    "a module of the fork's": """
import tabpy.models.scripts.tTest
return True
""",
    "the version of a package": """
import importlib.metadata
return bool(importlib.metadata.version("numpy"))
""",
    "ctypes": """
import ctypes, ctypes.util
name = ctypes.util.find_library("c")
return ctypes.CDLL(None).abs(-3) == 3
""",
    "random numbers": """
import os, random, secrets, uuid
return len(os.urandom(8)) == 8 and bool(secrets.token_hex()) and bool(uuid.uuid4())
""",
    "pickle": """
import os, pickle, tempfile
path = os.path.join(tempfile.mkdtemp(), "own.pickle")
with open(path, "wb") as file:
    pickle.dump({"a": 1}, file)
with open(path, "rb") as file:
    return pickle.load(file) == {"a": 1}
""",
    "signals to oneself": """
import os, signal
heard = []
signal.signal(signal.SIGUSR1, lambda *_: heard.append(1))
os.kill(os.getpid(), signal.SIGUSR1)
return heard == [1]
""",
    "an alarm": """
import signal
def late(*_):
    raise TimeoutError
signal.signal(signal.SIGALRM, late)
signal.setitimer(signal.ITIMER_REAL, 0.01)
try:
    while True:
        pass
except TimeoutError:
    return True
""",
    "the user": "import os, pathlib\nreturn bool(pathlib.Path.home()) and os.getuid() >= 0",
    "limits of oneself": """
import resource
return resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 0
""",
    "priority of oneself": "import os\nreturn os.nice(0) + 1 == os.nice(1)",
    "warnings and logging": """
import logging, warnings
warnings.warn("careful")
logging.getLogger("own").warning("careful")
print("careful")
return True
""",
    "/dev/null": """
with open("/dev/null", "w") as nowhere:
    nowhere.write("a")
return open("/dev/null").read() == ""
""",
}


@pytest.fixture(scope="module")
def confined(lodging: Lodging) -> House:
    """A house with a function of alice's."""
    house = lodging.house
    house.wait_for_store()
    body = upload({"name": "double"}, archive_of(lambda number: 2 * number))
    reply = house.request(
        "POST", "/endpoints", body, headers=FORM, user=ALICE, password=PASSWORDS[ALICE]
    )
    assert reply.status == 201, reply.body
    return house


@pytest.mark.parametrize("habit", HABITS)
def test_a_habit_works(habit: str, confined: House, facts: Mapping[str, Any]) -> None:
    reply = confined.as_user(ALICE, HABITS[habit], facts, timeout=40)
    if "No module named" in reply.body.decode():
        pytest.skip(reply.json["info"].splitlines()[0])
    assert reply.json is True


WRITE, READ = "TABPY_SCRIPT_WRITE", "TABPY_SCRIPT_READ"
REFUSED: Mapping[str, tuple[str, str]] = {
    "a file in /tmp": ("open('/tmp/tabpy-habit', 'w')", WRITE),
    "a file in the working folder": ("open('result.csv', 'w')", WRITE),
    "a file in the home folder": ("open(os.path.expanduser('~/result.csv'), 'w')", WRITE),
    "a folder in /tmp": ("os.mkdir('/tmp/tabpy-habit')", WRITE),
    "pandas in the working folder": (
        "import pandas\npandas.DataFrame({'a': [1]}).to_csv('result.csv')",
        WRITE,
    ),
    "a file of secrets": ("open('.env').read()", READ),
    "a file of the home folder": ("open(os.path.expanduser('~/.netrc')).read()", READ),
    "the password file": ("open('pwd.txt').read()", READ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused_names_the_setting(
    what: str, confined: House, facts: Mapping[str, Any]
) -> None:
    script, setting = REFUSED[what]
    status, message, info = confined.as_user(ALICE, f"import os\n{script}", facts).error
    assert (status, message) == (500, "Error processing script")
    assert "PermissionError" in info
    assert setting in info


def test_a_script_that_asks_first_isnt_refused(confined: House, facts: Mapping[str, Any]) -> None:
    """What catches the error goes on, as it would with a folder that isn't its user's."""
    script = "try:\n    open('/tmp/tabpy-habit', 'w')\nexcept PermissionError:\n    return 'caught'"
    assert confined.as_user(ALICE, script, facts).json == "caught"
