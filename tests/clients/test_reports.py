"""Delivery reports, as a customer's own web server gets them.

They are judged by the signature check of telegram-gateway-verification, which shares no line with ours.
"""

import http.server
import json
import queue
import threading
import unittest
from typing import NamedTuple

import requests
import telegram_gateway_verification as judge

import phone

PAYLOAD = "order 17"


class Report(NamedTuple):
    headers: dict
    body: bytes

    @property
    def timestamp(self):
        return self.headers["X-Request-Timestamp"]

    def passes(self, **changes):
        """Whether the judge accepts it, with what `changes` puts in the place of what was received."""
        received = {
            "api_token": phone.TOKEN,
            "timestamp_header": self.timestamp,
            "signature_header": self.headers["X-Request-Signature"],
            "raw_body": self.body,
        }
        return judge.verify_callback_signature(**received | changes)


class Receiver(http.server.ThreadingHTTPServer):
    """Keeps what it gets, and answers with the given statuses, then always with 200."""

    def __init__(self, *answers):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = list(answers)
        self.reports = queue.Queue()
        self.url = f"http://127.0.0.1:{self.server_port}/reports?from=chappe"

    def next(self):
        return self.reports.get(timeout=15)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        # A plain receiver reads by length: a chunked body would not reach it.
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = self.server.answers.pop(0) if self.server.answers else 200
        self.server.reports.put(Report(self.headers, body))
        self.send_response(answer if self.path == "/reports?from=chappe" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class ReportTest(unittest.TestCase):
    def receiver(self, *answers):
        receiver = Receiver(*answers)
        self.addCleanup(receiver.server_close)
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        self.addCleanup(receiver.shutdown)
        return receiver

    def call(self, method, **parameters):
        # By hand: the judge's own client insists on https, which a receiver on loopback has no certificate for.
        answer = requests.post(
            f"{phone.BASE_URL}/{method}",
            headers={"Authorization": f"Bearer {phone.TOKEN}"},
            json=parameters,
            timeout=10,
        ).json()
        self.assertTrue(answer["ok"], answer)
        return answer["result"]

    def send(self, fate, receiver, **options):
        return self.call(
            "sendVerificationMessage",
            phone_number=phone.number(fate),
            code_length=6,
            payload=PAYLOAD,
            callback_url=receiver.url,
            **options,
        )

    def assert_genuine(self, report):
        self.assertEqual(report.headers["Content-Type"], "application/json")
        self.assertEqual(report.timestamp, str(int(report.timestamp)))
        self.assertTrue(report.passes())

    def assert_body(self, report, sent, delivery, verification=None, refunded=False):
        """Byte for byte: the bare status, keys in the vendor's order, nothing absent spelled out, no balance."""
        told = json.loads(report.body)
        expected = {key: sent[key] for key in ("request_id", "phone_number", "request_cost")}
        if refunded:
            expected["is_refunded"] = True
        expected["delivery_status"] = {"status": delivery, "updated_at": told["delivery_status"]["updated_at"]}
        if verification:
            since = told["verification_status"]["updated_at"]
            expected["verification_status"] = {"status": verification, "updated_at": since}
        expected["payload"] = PAYLOAD
        self.assertEqual(report.body.decode(), json.dumps(expected, separators=(",", ":")))

    def test_delivered_report_is_signed_to_the_letter(self):
        receiver = self.receiver()
        sent = self.send(phone.DELIVERED, receiver)
        report = receiver.next()
        self.assert_genuine(report)
        self.assert_body(report, sent, "delivered")
        self.assertEqual(judge.RequestStatus.from_dict(json.loads(report.body)).delivery_status.status, "delivered")

        # The judge is no rubber stamp: whatever is changed, the signature no longer fits.
        self.assertFalse(report.passes(raw_body=report.body.replace(b"delivered", b"read")))
        self.assertFalse(report.passes(raw_body=report.body + b"\n"))
        self.assertFalse(report.passes(timestamp_header=str(int(report.timestamp) + 1)))
        self.assertFalse(report.passes(api_token=phone.TOKEN + "x"))
        self.assertFalse(report.passes(now=int(report.timestamp) + 301))

    def test_delivered_and_read_arrive_in_order(self):
        receiver = self.receiver()
        sent = self.send(phone.READ, receiver)
        for status in ("delivered", "read"):
            report = receiver.next()
            self.assert_genuine(report)
            self.assert_body(report, sent, status)

    def test_revoked(self):
        receiver = self.receiver()
        sent = self.send(phone.SILENT, receiver)
        self.assertIs(self.call("revokeVerificationMessage", request_id=sent["request_id"]), True)
        report = receiver.next()
        self.assert_genuine(report)
        self.assert_body(report, sent, "revoked", verification="expired")

    def test_expired_and_refunded(self):
        receiver = self.receiver()
        sent = self.send(phone.SILENT, receiver, ttl=30)
        phone.advance_clock(31)
        report = receiver.next()
        self.assert_genuine(report)
        self.assert_body(report, sent, "expired", verification="expired", refunded=True)

    def test_only_200_acknowledges(self):
        receivers = [self.receiver(answer) for answer in (500, 302, 202)]
        first = []
        for receiver in receivers:
            self.send(phone.DELIVERED, receiver)
            first.append(receiver.next())
        phone.advance_clock(10)  # beyond the first delay of 5 s, jitter included
        for receiver, refused in zip(receivers, first):
            again = receiver.next()
            self.assert_genuine(again)
            self.assertEqual(again.body, refused.body)
