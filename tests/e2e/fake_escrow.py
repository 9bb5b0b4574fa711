"""A server that takes PINs in Crypt's form and remembers when each came."""

import http.server
import json
import threading
import time
import urllib.parse


class FakeEscrow:
    def __init__(self):
        self.deposits = []  # (serial number, PIN, time.monotonic())
        escrow = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                size = int(self.headers.get("Content-Length", "0"))
                form = dict(urllib.parse.parse_qsl(self.rfile.read(size).decode()))
                escrow.deposits.append((form["serial"], form["recovery_password"], time.monotonic()))
                answer = json.dumps({"serial": form["serial"], "username": form["username"],
                                     "rotation_required": False}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/checkin"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def pins_of(self, serial_number):
        return [pin for serial, pin, _ in self.deposits if serial == serial_number]

    def close(self):
        self._server.shutdown()
        self._server.server_close()
