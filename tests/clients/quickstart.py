"""A first program against the Gateway API, in the manner of the vendor's quick-start guide.

    quickstart.py BASE_URL TOKEN PHONE

Nothing in it knows about Chappe. With https://gatewayapi.telegram.org/ (mind the closing slash), a token and a phone
of one's own it runs against Telegram itself: these three values are all that moving to Chappe changes.
"""

import sys

import requests

BASE_URL, TOKEN, PHONE = sys.argv[1:]
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}


def post_request_status(endpoint, json_body):
    """Calls a method. The HTTP status tells of transport alone; whether the call worked is said by `ok`."""
    response = requests.post(f"{BASE_URL}{endpoint}", headers=HEADERS, json=json_body, timeout=10)
    if response.status_code != 200:
        sys.exit(f"HTTP {response.status_code}")
    answer = response.json()
    if not answer.get("ok"):
        sys.exit(f"Error: {answer.get('error', 'unknown')}")
    return answer.get("result", {})


def ask_and_check(request_id):
    """The user types the code; the gateway judges it."""
    print("Enter the code:", flush=True)
    result = post_request_status("checkVerificationStatus", {"request_id": request_id, "code": input()})
    print(result.get("verification_status", {}).get("status"))


# Can this phone be reached? That is charged now, and the request id makes the message itself free.
result = post_request_status("checkSendAbility", {"phone_number": PHONE})
request_id = result.get("request_id")
print("Can be reached")

# Let the gateway draw the code.
result = post_request_status(
    "sendVerificationMessage",
    {"phone_number": PHONE, "request_id": request_id, "code_length": 6, "ttl": 60, "payload": "quick start"},
)
print(f"Sent, payload: {result.get('payload')}")

# Nothing has been entered yet, so there is no verdict: the key is absent, and must not be null.
result = post_request_status("checkVerificationStatus", {"request_id": request_id})
print(f"Verdict: {result.get('verification_status', {}).get('status')}")
ask_and_check(request_id)
ask_and_check(request_id)

# Or choose it; without an earlier checkSendAbility the message is paid for here. `code_length` then has no meaning.
result = post_request_status("sendVerificationMessage", {"phone_number": PHONE, "code": "0451", "code_length": 6})
request_id = result.get("request_id")
print("Sent with a code of our own")
ask_and_check(request_id)

# A code that is no longer wanted is revoked.
result = post_request_status("sendVerificationMessage", {"phone_number": PHONE, "code_length": 8})
request_id = result.get("request_id")
print(f"Revoked: {post_request_status('revokeVerificationMessage', {'request_id': request_id})}")
result = post_request_status("checkVerificationStatus", {"request_id": request_id})
print(result.get("verification_status", {}).get("status"))
