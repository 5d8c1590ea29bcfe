"""Uses what the image "python" has: TLS, time zones, databases, compression,
libraries in C, name service. The arguments are the version that is wanted, as
3.13, and a folder with a certificate authority and a certificate of it for
localhost."""

import asyncio
import ctypes
import errno
import http.client
import http.server
import importlib.util
import os
import pwd
import socket
import sqlite3
import ssl
import sys
import threading
import traceback
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

VERSION, DIR = sys.argv[1], sys.argv[2]
failed = False


def check(f):
    """Runs a function now, and says so when it raises."""
    global failed
    try:
        f()
    except Exception:
        print(f.__name__.replace("_", " ") + ": does not work", flush=True)
        traceback.print_exc()
        failed = True


@check
def version():
    assert "%d.%d" % sys.version_info[:2] == VERSION, sys.version
    assert sys.getfilesystemencoding() == "utf-8"


@check
def user_and_files():
    assert os.getuid() == 65532
    assert pwd.getpwuid(65532).pw_name == "nonroot"
    try:
        open("/home/nonroot/file", "w")
        raise AssertionError("the root file system can be written to")
    except OSError as e:
        assert e.errno == errno.EROFS, e
    with open("/tmp/file", "w") as f:
        f.write("é")


@check
def compiled_modules():
    # Nobody can write them later, and without them every start is slow.
    for module in [asyncio, http.client, sqlite3, ssl]:
        assert os.path.exists(importlib.util.cache_from_source(module.__file__)), module


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *args):
        pass


def get(port, context):
    connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=20)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read()
    finally:
        connection.close()


@check
def tls():
    context = ssl.create_default_context()
    assert len(context.get_ca_certs()) > 100, len(context.get_ca_certs())
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *args: None
    secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secure.load_cert_chain(DIR + "/cert.pem", DIR + "/key.pem")
    server.socket = secure.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    try:
        get(port, context)
        raise AssertionError("a server that nobody vouches for is trusted")
    except ssl.SSLCertVerificationError:
        pass
    context.load_verify_locations(DIR + "/ca.pem")
    assert get(port, context) == b"hello"


@check
def time_zones():
    at = datetime(2024, 7, 1, 12, tzinfo=timezone.utc)
    assert at.astimezone(ZoneInfo("Europe/Berlin")).utcoffset() == timedelta(hours=2)
    assert at.astimezone(ZoneInfo("America/New_York")).utcoffset() == timedelta(hours=-4)


@check
def databases():
    with sqlite3.connect("/tmp/test.db") as db:
        db.execute("CREATE TABLE t (a INTEGER, b TEXT)")
        db.executemany("INSERT INTO t VALUES (?, ?)", [(1, "x"), (2, "y")])
        assert db.execute("SELECT sum(a), json_object('b', max(b)) FROM t").fetchone() == (3, '{"b":"y"}')


@check
def libraries_in_C():
    libc = ctypes.CDLL("libc.so.6")
    assert libc.getuid() == 65532
    compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
    numbers = (ctypes.c_int * 3)(3, 1, 2)
    libc.qsort(numbers, 3, ctypes.sizeof(ctypes.c_int), compare(lambda a, b: a[0] - b[0]))
    assert list(numbers) == [1, 2, 3]


@check
def compression():
    import bz2
    import lzma
    import zlib

    for module in [bz2, lzma, zlib]:
        assert module.decompress(module.compress(b"hello" * 100)) == b"hello" * 100
    if sys.version_info >= (3, 14):
        from compression import zstd

        assert zstd.decompress(zstd.compress(b"hello" * 100)) == b"hello" * 100


@check
def name_service():
    assert ("127.0.0.1", 443) in [a[4] for a in socket.getaddrinfo("localhost", "https", socket.AF_INET)]


@check
def event_loop():
    async def answer():
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, lambda: 42)

    assert asyncio.run(answer()) == 42


@check
def other_modules_in_C():
    import array
    import decimal
    import hashlib
    import json
    import mmap
    import multiprocessing.shared_memory
    import pyexpat
    import select
    import struct
    import unicodedata
    import uuid
    import xml.etree.ElementTree

    assert hashlib.sha256(b"").hexdigest().startswith("e3b0c442")
    assert hashlib.blake2b(b"").hexdigest().startswith("786a02f7")
    assert decimal.Decimal("0.1") + decimal.Decimal("0.2") == decimal.Decimal("0.3")
    assert unicodedata.name("é") == "LATIN SMALL LETTER E WITH ACUTE"
    assert xml.etree.ElementTree.fromstring("<a><b>x</b></a>").findtext("b") == "x"


if failed:
    sys.exit(1)
print("everything works")
