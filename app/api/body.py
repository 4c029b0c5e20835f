"""Reading of request bodies: bounded before they are read, refused by type before they are parsed."""

from email.message import Message

from starlette.requests import Request
from starlette.types import Message as AsgiMessage

from app.api.errors import Problem

JSON_BYTES = 64 << 10  # a job's description; datasets have their own route


async def json_body(request: Request) -> bytes:
    """The body of a JSON request. Raises Problem 413 and 415."""
    expect_type(request, "application/json")
    return await capped(request, JSON_BYTES).body()


def expect_type(request: Request, wanted: str) -> None:
    """Raises Problem 415 when the body is declared as another type, or as none."""
    header = Message()
    header["content-type"] = request.headers.get("content-type", "application/octet-stream")
    if header.get_content_type() != wanted:
        raise Problem(415, "unsupported_media_type", f"the body's Content-Type must be {wanted}")


def capped(request: Request, most: int) -> Request:
    """The request, whose body raises Problem 413 beyond `most` bytes, declared or sent."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > most:
        raise too_large(most)
    received = 0

    async def receive() -> AsgiMessage:
        nonlocal received
        message = await request.receive()
        received += len(message.get("body", b""))
        if received > most:
            raise too_large(most)
        return message

    return Request(request.scope, receive)


def too_large(most: int) -> Problem:
    text = f"the body has more than {most} bytes; send less, or put big data into your bucket yourself"
    return Problem(413, "body_too_large", text, headers={"Connection": "close"})
