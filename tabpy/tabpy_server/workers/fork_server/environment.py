"""What scripts may see of the server's environment."""

from collections.abc import Mapping

# What a script may see of the environment. Everything else may be somebody's secret, and a
# variable of the server's own can't be hidden once a process has inherited it.
VISIBLE = {
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TEMP", "TMP",
    "PYTHONPATH", "PYTHONHOME", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED",
    "LD_LIBRARY_PATH", "DYNO", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE",
    "VIRTUAL_ENV", "SYSTEMROOT", "PATHEXT",
}  # fmt: skip
VISIBLE_PREFIXES = ("LC_", "OPENBLAS_", "OMP_", "MKL_", "NUMEXPR_", "XDG_")
# One thread a worker: the parallelism is in the workers, and a dyno has 256 threads in all.
THREADS = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def script_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What scripts find in `os.environ`."""
    visible = {
        name: value
        for name, value in environment.items()
        if name in VISIBLE or name.startswith(VISIBLE_PREFIXES)
    }
    return THREADS | visible
