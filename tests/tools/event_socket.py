#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Test tool: plays FreeSWITCH's event socket for one node.

event_socket.py ADDRESS:PORT PASSWORD   listens; prints one line for each thing
that it is told ("auth ok", "auth wrong", "api COMMAND"), answers as FreeSWITCH's
mod_event_socket does in inbound mode, and goes on until it is killed or 300 s passed.
"""
import signal
import socket
import sys


def serve(conn, password):
    conn.sendall(b"Content-Type: auth/request\n\n")
    allowed = False
    buf = b""
    while True:
        while b"\n\n" not in buf:
            got = conn.recv(4096)
            if not got:
                return
            buf += got
        line, buf = buf.split(b"\n\n", 1)
        word, _, rest = line.decode().partition(" ")
        if word == "auth":
            allowed = rest == password
            print("auth", "ok" if allowed else "wrong", flush=True)
            reply = "+OK accepted" if allowed else "-ERR invalid"
            conn.sendall(f"Content-Type: command/reply\nReply-Text: {reply}\n\n".encode())
        elif word == "api" and allowed:
            print("api", rest, flush=True)
            body = "+OK recovered 1 call(s)\n"
            conn.sendall(f"Content-Type: api/response\nContent-Length: {len(body)}\n\n{body}".encode())
        else:
            conn.sendall(b"Content-Type: command/reply\nReply-Text: -ERR command not found\n\n")


def main():
    address, _, port = sys.argv[1].rpartition(":")
    signal.alarm(300)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, int(port)))
    listener.listen()
    print("listening", flush=True)
    while True:
        conn, _ = listener.accept()
        with conn:
            serve(conn, sys.argv[2])


main()
