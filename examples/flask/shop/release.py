"""Which release this is, and the switches that make it misbehave on purpose.

The file VERSION holds the version in its first line and a switch in each
further one, "name=value". A variable SHOP_NAME in the environment wins over
the file. The switches:

    health=never          /healthz always answers 503
    crash_after=SECONDS   the server is killed so long after its start
"""
import os
import signal
import threading
from pathlib import Path


def read_switches(path=Path(__file__).resolve().parent.parent / "VERSION"):
    version, *lines = path.read_text().splitlines()
    found = dict(line.split("=", 1) for line in lines if "=" in line)
    for name in ("health", "crash_after"):
        if value := os.environ.get("SHOP_" + name.upper()):
            found[name] = value
    return version.strip(), found


VERSION, SWITCHES = read_switches()
RELEASE = os.environ.get("SHIPLOCK_RELEASE", "")


def healthy():
    return SWITCHES.get("health") != "never"


def crash():
    """Ends the server at once, as a segmentation fault or a full memory would."""
    server = int(os.environ["SHOP_SERVER_PID"])
    if server == os.getppid():
        os.kill(server, signal.SIGKILL)
    os._exit(70)


def arm():
    """Starts the clock of crash_after in each of the server's workers, and
    never in a command such as "flask db upgrade"."""
    after = SWITCHES.get("crash_after")
    if after and "SHOP_SERVER_PID" in os.environ:
        timer = threading.Timer(float(after), crash)
        timer.daemon = True
        timer.start()


def init_app(app):
    @app.after_request
    def sign(response):
        response.headers["X-Shop-Version"] = VERSION
        response.headers["X-Shop-Release"] = RELEASE
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response
