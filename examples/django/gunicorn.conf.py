"""gunicorn reads this file by itself when it is started in this folder."""
import os

# The shop's crash switch ends the whole server, not one of its workers.
os.environ["SHOP_SERVER_PID"] = str(os.getpid())

workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "gthread"
threads = 4
# Longer than the proxy keeps an idle connection, so that the proxy, not
# gunicorn, ends it: a request never meets a connection that is being closed.
keepalive = 75
graceful_timeout = 30
timeout = 60
accesslog = None
# Its default place is one for all servers of a user, and both slots have one.
control_socket_disable = True
