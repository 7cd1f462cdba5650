"""Which release this is, and the switches that make it misbehave on purpose.

The file VERSION holds the version in its first line and a switch in each
further one, "name=value". A variable SHOP_NAME in the environment wins over
the file. The switches:

    health=never          /healthz always answers 503
    crash_after=SECONDS   the server is killed so long after its start
    crash_requests=N      … or at the Nth request but those to /healthz
    error_rate=0.2        such a share of the requests is answered with 500
    slow=SECONDS          every answer but /healthz takes so much longer
"""
import itertools
import os
import random
import signal
import threading
import time
from pathlib import Path

from django.http import HttpResponseServerError


def read_switches(path=Path(__file__).resolve().parent.parent / "VERSION"):
    version, *lines = path.read_text().splitlines()
    found = dict(line.split("=", 1) for line in lines if "=" in line)
    for name in ("health", "crash_after", "crash_requests", "error_rate", "slow"):
        if value := os.environ.get("SHOP_" + name.upper()):
            found[name] = value
    return version.strip(), found


VERSION, SWITCHES = read_switches()
RELEASE = os.environ.get("SHIPLOCK_RELEASE", "")


def healthy():
    return SWITCHES.get("health") != "never"


def crash():
    """Ends the server at once, as a segmentation fault or a full memory would."""
    server = int(os.environ.get("SHOP_SERVER_PID", 0))
    if server and server == os.getppid():
        os.kill(server, signal.SIGKILL)
    os._exit(70)


def arm():
    """Starts the clock of crash_after; called once by each worker."""
    if after := SWITCHES.get("crash_after"):
        timer = threading.Timer(float(after), crash)
        timer.daemon = True
        timer.start()


class Switches:
    """Middleware that says which release answered, and carries out the switches."""

    def __init__(self, get_response):
        self.get_response = get_response
        self.requests = itertools.count(1)
        self.crash_at = int(SWITCHES.get("crash_requests", 0))
        self.error_rate = float(SWITCHES.get("error_rate", 0))
        self.slow = float(SWITCHES.get("slow", 0))

    def __call__(self, request):
        response = self.misbehave(request) or self.get_response(request)
        response["X-Shop-Version"] = VERSION
        response["X-Shop-Release"] = RELEASE
        return response

    def misbehave(self, request):
        if request.path == "/healthz":
            return None
        if next(self.requests) == self.crash_at:
            crash()
        time.sleep(self.slow)
        if random.random() < self.error_rate:
            return HttpResponseServerError("broken on purpose\n", content_type="text/plain")
        return None


def context(request):
    return {"version": VERSION, "release": RELEASE}
