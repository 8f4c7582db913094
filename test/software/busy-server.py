# SPDX-License-Identifier: Apache-2.0
#
# python3 test/software/busy-server.py ADDRESS PORT
#
# An HTTP server of Python's library, which serves one request after the other and has a backlog of
# 5. Each request takes until SIGUSR1 comes.

import signal
import socket
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Slow(BaseHTTPRequestHandler):
    def do_GET(self):
        print("busy", flush=True)
        signal.sigwait({signal.SIGUSR1})
        self.send_response(204)
        self.end_headers()


address, port = sys.argv[1:]
if ":" in address:
    HTTPServer.address_family = socket.AF_INET6
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
HTTPServer((address, int(port)), Slow).serve_forever()
