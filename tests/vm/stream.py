#!/usr/bin/env python3
"""A server for one connection at a time: stream.py ADDRESS PORT LOG. What comes in goes to LOG, and a line "new" for each connection."""
import socket
import sys

address, port, log = sys.argv[1:]
listener = socket.create_server((address, int(port)))
while True:
    connection, _ = listener.accept()
    with open(log, "ab", buffering=0) as file:
        file.write(b"new\n")
        while data := connection.recv(4096):
            file.write(data)
