"""Requests that two servers could read in two ways, one line each, and what becomes of them.

Each is followed by nothing, so one whose end isn't found waits.
"""

CHUNKED = "Transfer-Encoding: chunked"
CHUNKS = b"3\r\nabc\r\n0\r\n\r\n"
MUCH = 70_000  # bytes: more than a head may have


def request(*lines: str, body: bytes = b"", first: str = "POST /a HTTP/1.1") -> bytes:
    """A request with more header lines, as they are."""
    return "\r\n".join([first, "Host: x", *lines]).encode("latin-1") + b"\r\n\r\n" + body


def sized(*lines: str, body: bytes = b"abc") -> bytes:
    return request(*lines, "Content-Length: 3", body=body)


def chunked(body: bytes) -> bytes:
    return request(CHUNKED, body=body)


BEGIN = b"POST /a HTTP/1.1\r\nHost: x\r\n"

TAKEN = {
    "a length": sized(),
    "chunks": chunked(CHUNKS),
    "two equal lengths": request("Content-Length: 3", "Content-Length: 3", body=b"abc"),
    "equal lengths in a list": request("Content-Length: 3, 3", body=b"abc"),
    "zeros before a length": request("Content-Length: 003", body=b"abc"),
    "tabs around an encoding": request("Transfer-Encoding:\tchunked\t", body=CHUNKS),
    "an encoding in capitals": request("Transfer-Encoding: ChunkeD", body=CHUNKS),
    "lines without CR": sized().replace(b"\r\n", b"\n"),
    "a header without CR": BEGIN + b"X: y\nContent-Length: 3\r\n\r\nabc",
    "an empty line without CR": BEGIN + b"Content-Length: 3\r\n\nabc",
    "8 bits in a value": sized("X: \xe4\xff"),
    "8 bits in a target": request(first="GET /\xe4 HTTP/1.1"),
    "a chunk size with zeros": chunked(b"0003\r\nabc\r\n000\r\n\r\n"),
    "absolute": request(first="GET http://y/a HTTP/1.1"),
    "asterisk": request(first="OPTIONS * HTTP/1.1"),
    "connect": request(first="CONNECT y:443 HTTP/1.1"),
    "two hosts": request("Host: y"),  # which tornado's request refuses
    "an empty host": b"GET /a HTTP/1.1\r\nHost:\r\n\r\n",
    "no host": b"GET /a HTTP/1.1\r\n\r\n",
    "an empty line before": b"\r\n" + request(),
    "an empty line without CR before": b"\n" + request(),
    "an unknown method": request(first="BREW /a HTTP/1.1"),
    "a method in small letters": request(first="post /a HTTP/1.1"),
    # As Java's HttpClient sends it first; the body is no frame of HTTP/2.
    "an upgrade": sized("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"),
    "an upgrade to a web socket": sized("Connection: Upgrade", "Upgrade: websocket"),
    "1.0": request("Content-Length: 3", body=b"abc", first="POST /a HTTP/1.0"),
}

REFUSED = {
    # Two lengths, or two ways to say it
    "a length and chunks": request("Content-Length: 3", CHUNKED, body=CHUNKS),
    "chunks and a length": request(CHUNKED, "Content-Length: 3", body=CHUNKS),
    "two lengths": request("Content-Length: 3", "Content-Length: 4", body=b"abc"),
    "two lengths in a list": request("Content-Length: 3, 4", body=b"abc"),
    "a list with a blank": request("Content-Length: 3 ,3", body=b"abc"),
    "a list with an end": request("Content-Length: 3,", body=b"abc"),
    # No length
    "a length with a plus": request("Content-Length: +3", body=b"abc"),
    "a length with a minus": request("Content-Length: -3", body=b"abc"),
    "a length with a blank": request("Content-Length: 3 3", body=b"abc"),
    "a length in hex": request("Content-Length: 0x3", body=b"abc"),
    "a length with an underscore": request("Content-Length: 3_0", body=b"abc"),
    "a length in other digits": request("Content-Length: \xb2", body=b"abc"),
    "an empty length": request("Content-Length:"),
    # Not chunked alone
    "gzip and chunked": request("Transfer-Encoding: gzip, chunked", body=CHUNKS),
    "chunked and identity": request("Transfer-Encoding: chunked, identity", body=CHUNKS),
    "chunked and nothing": request("Transfer-Encoding: chunked,", body=CHUNKS),
    "xchunked": request("Transfer-Encoding: xchunked", body=CHUNKS),
    "identity": request("Transfer-Encoding: identity", body=CHUNKS),
    "an empty encoding": request("Transfer-Encoding:", body=CHUNKS),
    "two encodings": request(CHUNKED, CHUNKED, body=CHUNKS),
    "an encoding in quotes": request('Transfer-Encoding: "chunked"', body=CHUNKS),
    "an encoding with a weight": request("Transfer-Encoding: chunked;q=1", body=CHUNKS),
    "an encoding after another blank": request("Transfer-Encoding:\x0bchunked", body=CHUNKS),
    "chunks in 1.0": request(CHUNKED, body=CHUNKS, first="POST /a HTTP/1.0"),
    # No lines
    "a CR in a value": BEGIN + b"X: y\rContent-Length: 3\r\n\r\nabc",
    "two CR": BEGIN + b"X: y\r\r\nContent-Length: 3\r\n\r\nabc",
    "two CR after the first line": b"GET /a HTTP/1.1\r\r\nHost: x\r\n\r\n",
    "a CR before": b"\r" + request(),
    "two empty lines before": b"\r\n\r\n" + request(),
    "a folded value": sized("X: a", " folded"),
    "a folded encoding": request("Transfer-Encoding:", " chunked", body=CHUNKS),
    "a folded first header": b"GET /a HTTP/1.1\r\n X: y\r\nHost: x\r\n\r\n",
    # No headers
    "a blank before the colon": request("Content-Length : 3", body=b"abc"),
    "a tab before the colon": request("Content-Length\t: 3", body=b"abc"),
    "no name": request(": x"),
    "no colon": request("nothing"),
    "a blank in a name": request("X Y: a"),
    "8 bits in a name": request("X\xe4: a"),
    "NUL in a value": request("X: a\0b"),
    "NUL in a name": request("X\0: a"),
    "DEL in a value": request("X: \x7f"),
    # No request line
    "two blanks": request(first="GET  /a HTTP/1.1"),
    "a blank after": request(first="GET /a HTTP/1.1 "),
    "a blank before": request(first=" GET /a HTTP/1.1"),
    "a blank in the target": request(first="GET /a b HTTP/1.1"),
    "a tab in the target": request(first="GET /a\tb HTTP/1.1"),
    "a form feed in the target": request(first="GET /a\x0cb HTTP/1.1"),
    "NUL in the target": request(first="GET /a\0 HTTP/1.1"),
    "DEL in the target": request(first="GET /\x7f HTTP/1.1"),
    "0.9": b"GET /a\r\n\r\n",
    "0.9 with headers": b"GET /a\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
    "0.9 by name": request(first="GET /a HTTP/0.9"),
    "1.2": request(first="GET /a HTTP/1.2"),
    "2.0": request(first="GET /a HTTP/2.0"),
    "http in small letters": request(first="GET /a http/1.1"),
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a handshake": b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    # No chunks
    "a chunk in hex": chunked(b"0x3\r\nabc\r\n0\r\n\r\n"),
    "a huge chunk": chunked(b"F" * 16 + b"\r\nabc"),
    "a chunk of 2^64 + 3": chunked(b"1" + b"0" * 15 + b"3\r\nabc\r\n0\r\n\r\n"),
    "a chunk with a sign": chunked(b"+3\r\nabc\r\n0\r\n\r\n"),
    "a chunk with an underscore": chunked(b"0_3\r\nabc\r\n0\r\n\r\n"),
    "a chunk with a blank": chunked(b"3 \r\nabc\r\n0\r\n\r\n"),
    "a chunk without CR": chunked(b"3\nabc\r\n0\r\n\r\n"),
    "an end of a chunk without CR": chunked(b"3\r\nabc\n0\r\n\r\n"),
    "chunks without CR": chunked(b"3\nabc\n0\n\n"),
    "a chunk that is longer": chunked(b"3\r\nabcd\r\n0\r\n\r\n"),
    "a chunk without a size": chunked(b"\r\nabc\r\n0\r\n\r\n"),
    "many zeros": chunked(b"0" * 20 + b"3\r\nabc\r\n0\r\n\r\n"),
    "an extension": chunked(b"3;a=b\r\nabc\r\n0\r\n\r\n"),
    "an extension without end": chunked(b"3;" + b"a" * MUCH),
    "a trailer": chunked(b"3\r\nabc\r\n0\r\nX: y\r\n\r\n"),
    "a length in a trailer": chunked(b"3\r\nabc\r\n0\r\nContent-Length: 3\r\n\r\n"),
    "a trailer without end": chunked(b"3\r\nabc\r\n0\r\nX: " + b"y" * MUCH),
    # Too much
    "a long target": b"GET /" + b"a" * MUCH + b" HTTP/1.1\r\n\r\n",
    "a long header": request("X: " + "a" * MUCH),
    "many headers": request(*["a: b"] * 600),
    "empty lines without end": b"\r\n" * MUCH,
}

SHAPES = {**TAKEN, **REFUSED}
# Where we are stricter than tornado 6.6.1, which takes these: each is read in another way by
# somebody, or has no end.
STRICTER = {
    "chunks in 1.0",  # RFC 9112, section 6.1: faulty; nginx refuses it
    "two CR after the first line",
    "a CR before",
    "1.2",
    "many zeros",
    "many headers",
    "chunks without CR",  # tornado waits for more
}
