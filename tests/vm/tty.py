#!/usr/bin/env python3
"""Holds terminals as an engine does: tty.py SOCKET LOG FIFO. Each master that comes in by SOCKET takes the place of the one before;
what its other end writes goes to LOG, what is written into FIFO goes to it."""
import os
import select
import socket
import sys

path, log, fifo = sys.argv[1:]
listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
listener.bind(path)
listener.listen()
os.mkfifo(fifo)
words = os.open(fifo, os.O_RDWR)
master = -1
while True:
    ready, _, _ = select.select([listener, words] + ([master] if master >= 0 else []), [], [])
    if master in ready:
        try:
            data = os.read(master, 4096)
        except OSError:  # no process has it open any more
            data = b""
        if data:
            with open(log, "ab") as file:
                file.write(data)
        else:
            os.close(master)
            master = -1
    if listener in ready:
        connection, _ = listener.accept()
        _, descriptors, _, _ = socket.recv_fds(connection, 256, 1)
        connection.close()
        if master >= 0:
            os.close(master)
        master = descriptors[0]
    if words in ready and master >= 0:
        os.write(master, os.read(words, 4096))
