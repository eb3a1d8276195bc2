"""The other side of a verification: the person who holds the phone, played through the sandbox of `chappe dev`."""

import itertools
import os
import time

import requests

BASE_URL = os.environ["GATEWAY_URL"]
TOKEN = os.environ["GATEWAY_TOKEN"]
OWN_NUMBER = "+9996600001"

# The digit after +99966 decides what becomes of a message.
DELIVERED, READ, UNREACHABLE, SILENT, FLOODED, GUESSED_OUT = 0, 1, 2, 3, 5, 7
_last_digits = itertools.count(1000)


def number(fate):
    """A number of that fate that no other test has used, so that tests cannot see each other's messages."""
    return f"+99966{fate}{next(_last_digits):04}"


def eventually(probe, what, within_s=15):
    """Waits until `probe` answers something true, and gives that back: sending happens after the API has answered."""
    deadline = time.monotonic() + within_s
    while not (found := probe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s} s: {what}")
        time.sleep(0.02)
    return found


def messages(phone_number):
    """What lies in the inbox of the phone, newest first."""
    answer = requests.get(f"{BASE_URL}/sandbox/messages", params={"phone_number": phone_number}, timeout=10)
    answer.raise_for_status()
    return answer.json()


def code(phone_number, nth=1):
    """Reads the code of the nth message off the phone, waiting for it to arrive."""
    inbox = eventually(
        lambda: (inbox := messages(phone_number)) and len(inbox) >= nth and inbox,
        f"message {nth} to {phone_number}",
    )
    return inbox[-nth]["code"]


def other_code(right):
    """A wrong code of the same length."""
    return ("1" if right[0] != "1" else "2") + right[1:]


def advance_clock(seconds):
    """Lets time pass for the server alone. Sparingly: report signatures go stale after five minutes."""
    requests.post(f"{BASE_URL}/sandbox/clock", json={"advance_s": seconds}, timeout=10).raise_for_status()
