# SPDX-License-Identifier: Apache-2.0
#
# Usage: clickhouse-http.py [DIRECTORY]    serves ClickHouse's own engine, in one database, as its HTTP interface
# does: a query is the body, parameters are param_NAME of the URL. Prints the port; ends with stdin.

import os
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qsl, urlsplit

from chdb import session

database = session.Session(*sys.argv[1:])
# As that interface says which.
NOT_FOUND = {"60", "81"}


class Interface(BaseHTTPRequestHandler):
    def do_POST(self):
        sql = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        options = parse_qsl(urlsplit(self.path).query, keep_blank_values=True)
        parameters = {name[6:]: value for name, value in options if name.startswith("param_")}
        try:
            status, text = 200, str(database.query(sql, "JSONEachRow", params=parameters))
        except Exception as error:
            code = re.search(r"Code: (\d+)", str(error))
            status, text = 404 if code and code[1] in NOT_FOUND else 500, str(error)
        body = text.encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Interface)
print(server.server_port, flush=True)
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
server.serve_forever()
