"""PyPI telegram-gateway: form bodies, a new connection per call, and answers unpacked with `RequestStatus(**result)`.

So a key that the vendor does not document, or a required one left out, is a TypeError here.
"""

import unittest

from telegram_gateway import TelegramGateway, constants

import phone
from scenarios import Scenarios

# The library has no argument for its base URL, and joins it to the method names when it is imported.
VENDOR = constants.BASE_URL
for name, value in list(vars(constants).items()):
    if isinstance(value, str) and value.startswith(VENDOR):
        setattr(constants, name, f"{phone.BASE_URL}/{value.removeprefix(VENDOR)}")


class TelegramGatewayTest(Scenarios, unittest.TestCase):
    def setUp(self):
        self.client = TelegramGateway(phone.TOKEN)

    def ability(self, phone_number):
        return self.client.checkSendAbility(phone_number)

    def send(self, phone_number, **options):
        return self.client.sendVerificationMessage(phone_number, **options)

    def status(self, request_id):
        # Left out, the code becomes the text "None", which the library itself then refuses. The empty string is the
        # one way to ask for the bare status, and reaches the server as `code=`: it has to mean absent.
        return self.client.checkVerificationStatus(request_id, code="")

    def verify(self, request_id, code):
        return self.client.checkVerificationStatus(request_id, code)

    def revoke(self, request_id):
        return self.client.revokeVerificationMessage(request_id)  # raises unless the result is true

    def refusal(self, call):
        with self.assertRaises(RuntimeError) as caught:
            call()
        return str(caught.exception)

    def test_code_given_as_a_number(self):
        me = phone.number(phone.DELIVERED)
        sent = self.send(me, code=4711)
        self.assertEqual(phone.code(me), "4711")
        self.assertEqual(self.verify(sent.request_id, 4711).verification_status.status, "code_valid")

    def test_unknown_token(self):
        self.client = TelegramGateway("no-such-token")
        self.assertEqual(self.refusal(lambda: self.ability(phone.OWN_NUMBER)), "ACCESS_TOKEN_INVALID")
