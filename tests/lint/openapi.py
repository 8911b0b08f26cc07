#!/usr/bin/env python3
"""Holds docs/openapi.yaml against the router's table: paths, methods, operation ids, query keys and body members."""
import re
import sys

import yaml

root = sys.argv[1]
table = open(f"{root}/daemon/api/router.cc", encoding="utf-8").read()
table = table[table.index("table = {"):table.index("};", table.index("table = {"))]
row = re.compile(r'\{k(Get|Post|Put|Patch|Delete),\s*"([^"]+)",\s*"([^"]+)",\s*\{([^}]*)\},\s*\{([^}]*)\},\s*\w+\}')
words = lambda text: frozenset(re.findall(r'"([^"]+)"', text))
routes = {(m.lower(), path): (name, words(query), words(body)) for m, path, name, query, body in row.findall(table)}
if len(routes) != table.count("{k"):
    sys.exit(f"openapi: read {len(routes)} of {table.count('{k')} rows of the router's table")

page = yaml.safe_load(open(f"{root}/docs/openapi.yaml", encoding="utf-8"))
described = {}
for path, item in page["paths"].items():
    wanted = set(re.findall(r"\{(\w+)\}", path))
    given = {p["name"] for p in item.get("parameters", []) if p["in"] == "path"}
    if wanted != given:
        sys.exit(f"openapi: {path}: path parameters {sorted(given)}, expected {sorted(wanted)}")
    for method, operation in item.items():
        if method == "parameters":
            continue
        query = frozenset(p["name"] for p in operation.get("parameters", []))
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
        described[(method, path)] = (operation["operationId"], query, frozenset(body.get("properties", {})))

problems = []
for key in sorted(routes.keys() | described.keys()):
    name = f"{key[0].upper()} {key[1]}"
    if key not in described:
        problems.append(f"{name} is not described")
    elif key not in routes:
        problems.append(f"{name} is described, but no route")
    elif routes[key] != described[key]:
        problems.append(f"{name}: the router has {routes[key]}, the page {described[key]}")
for problem in problems:
    print(f"openapi: {problem}", file=sys.stderr)
sys.exit(1 if problems else 0)
