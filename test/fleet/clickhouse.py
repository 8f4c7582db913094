# SPDX-License-Identifier: Apache-2.0
#
# Usage: clickhouse.py    reads {"sql": …, "parameters": {…}} from stdin, a line each, in one database of
# ClickHouse's own engine, and prints what each gives as a JSON string.

import json
import sys

from chdb import session

database = session.Session()
for line in sys.stdin:
    asked = json.loads(line)
    result = database.query(asked["sql"], "JSONEachRow", params=asked["parameters"])
    print(json.dumps(str(result)), flush=True)
