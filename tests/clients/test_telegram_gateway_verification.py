"""PyPI telegram-gateway-verification: JSON bodies without the absent keys, over one connection that is kept alive."""

import unittest

from telegram_gateway_verification import TelegramGatewayAPIError, TelegramGatewayClient

import phone
from scenarios import Scenarios


class TelegramGatewayVerificationTest(Scenarios, unittest.TestCase):
    def setUp(self):
        self.use_token(phone.TOKEN)

    def use_token(self, token):
        self.client = TelegramGatewayClient(token, base_url=phone.BASE_URL)
        self.addCleanup(self.client.session.close)

    def ability(self, phone_number):
        return self.client.check_send_ability(phone_number=phone_number)

    def send(self, phone_number, **options):
        return self.client.send_verification_message(phone_number=phone_number, **options)

    def status(self, request_id):
        return self.client.check_verification_status(request_id=request_id)

    def verify(self, request_id, code):
        return self.client.check_verification_status(request_id=request_id, code=code)

    def revoke(self, request_id):
        self.assertIs(self.client.revoke_verification_message(request_id=request_id), True)

    def refusal(self, call):
        with self.assertRaises(TelegramGatewayAPIError) as caught:
            call()
        # The vendor names the caller's mistakes under HTTP 200.
        self.assertEqual(caught.exception.status_code, 200)
        return caught.exception.error

    def test_unknown_token(self):
        self.use_token("no-such-token")
        self.assertEqual(self.refusal(lambda: self.ability(phone.OWN_NUMBER)), "ACCESS_TOKEN_INVALID")
