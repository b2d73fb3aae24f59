"""A server on this machine that files can be fetched from."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Respond = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def mirror(respond: Respond) -> Iterator[tuple[str, list[str]]]:
    """A server on this machine: its base URL and the paths that were asked for."""
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            with suppress(ConnectionError):  # the client has given up
                respond(self)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield (f"http://127.0.0.1:{server.server_port}/data", requests)  # no slash at the end: people forget it
    finally:
        server.shutdown()
        server.server_close()


def serving(files: dict[str, bytes]) -> Respond:
    def respond(request: BaseHTTPRequestHandler) -> None:
        send(request, files[request.path.removeprefix("/data/")])

    return respond


def send(request: BaseHTTPRequestHandler, data: bytes, length: int | None = None) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(len(data) if length is None else length))
    request.end_headers()
    request.wfile.write(data)
