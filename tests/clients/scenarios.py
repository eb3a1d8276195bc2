"""What an application does with a client library, told once and played with each library.

A library's test class says how the five calls are spelled there (`ability`, `send`, `status`, `verify`, `revoke`), and
gives the error name of a call that must fail (`refusal`). Both libraries answer with objects of the same attributes.
"""

import phone

PRICE = 0.01


class Scenarios:
    def delivery(self, request_id):
        return self.status(request_id).delivery_status.status

    def wait_for_delivery(self, request_id, status):
        phone.eventually(lambda: self.delivery(request_id) == status, f"delivery status {status}")

    def test_ability_and_message_cost_one_fee(self):
        me = phone.number(phone.DELIVERED)
        ability = self.ability(me)
        self.assertRegex(ability.request_id, r"\A[0-9]{15}\Z")
        self.assertEqual(ability.phone_number, me[1:])
        self.assertEqual(ability.request_cost, PRICE)
        self.assertIsNone(ability.delivery_status)
        self.assertIsNone(ability.verification_status)

        sent = self.send(me, request_id=ability.request_id, code_length=4)
        self.assertEqual(sent.request_id, ability.request_id)
        self.assertEqual(sent.remaining_balance, ability.remaining_balance)
        self.assertEqual(sent.delivery_status.status, "sent")

        unchecked = self.send(me, code_length=4)
        self.assertNotEqual(unchecked.request_id, ability.request_id)
        self.assertAlmostEqual(unchecked.remaining_balance, ability.remaining_balance - PRICE)

    def test_optional_fields_are_absent_until_there_is_something_to_say(self):
        sent = self.send(phone.number(phone.DELIVERED), code_length=5)
        self.assertIsNone(sent.payload)
        self.assertIsNone(sent.is_refunded)
        self.assertIsNone(sent.verification_status)
        status = self.status(sent.request_id)
        self.assertIsNone(status.remaining_balance)
        self.assertIsNone(status.verification_status)

    def test_code_drawn_by_the_gateway(self):
        me = phone.number(phone.DELIVERED)
        sent = self.send(me, code_length=7, ttl=60, payload="order № 17 ✓")
        self.assertEqual(sent.payload, "order № 17 ✓")
        code = phone.code(me)
        self.assertRegex(code, r"\A[0-9]{7}\Z")
        self.wait_for_delivery(sent.request_id, "delivered")

        wrong = phone.other_code(code)
        for entered, verdict in [(wrong, "code_invalid"), (wrong[:4], "code_invalid"), (code, "code_valid")]:
            answer = self.verify(sent.request_id, entered)
            self.assertEqual(answer.verification_status.status, verdict)
            self.assertEqual(answer.verification_status.code_entered, entered)
            self.assertIsInstance(answer.verification_status.updated_at, int)
        self.assertEqual(answer.payload, "order № 17 ✓")

    def test_code_chosen_by_the_caller(self):
        me = phone.number(phone.DELIVERED)
        sent = self.send(me, code="0042")  # must not turn into the number 42 on its way
        self.assertEqual(phone.code(me), "0042")
        self.assertEqual(self.verify(sent.request_id, "0042").verification_status.status, "code_valid")

    def test_read_is_told(self):
        sent = self.send(phone.number(phone.READ), code_length=6)
        self.wait_for_delivery(sent.request_id, "read")

    def test_too_many_attempts(self):
        me = phone.number(phone.GUESSED_OUT)
        sent = self.send(me, code="1234")
        answer = self.verify(sent.request_id, "1234")
        self.assertEqual(answer.verification_status.status, "code_max_attempts_exceeded")

    def test_revoked_before_delivery(self):
        sent = self.send(phone.number(phone.SILENT), code="1234")
        self.revoke(sent.request_id)
        status = self.status(sent.request_id)
        self.assertEqual(status.delivery_status.status, "revoked")
        self.assertEqual(status.verification_status.status, "expired")
        self.assertIsNone(status.is_refunded)

    def test_revoked_after_delivery(self):
        sent = self.send(phone.number(phone.DELIVERED), code="1234")
        self.wait_for_delivery(sent.request_id, "delivered")
        self.revoke(sent.request_id)
        late = self.verify(sent.request_id, "1234")
        self.assertEqual(late.delivery_status.status, "delivered")
        self.assertEqual(late.verification_status.status, "expired")

    def test_undelivered_message_is_refunded(self):
        me = phone.number(phone.SILENT)
        sent = self.send(me, code_length=6, ttl=30)
        phone.advance_clock(31)
        self.wait_for_delivery(sent.request_id, "expired")
        self.assertIs(self.status(sent.request_id).is_refunded, True)
        # The fee of this very call is gone again, that of the message has come back.
        self.assertAlmostEqual(self.ability(me).remaining_balance, sent.remaining_balance)

    def test_own_number_is_free(self):
        before = self.ability(phone.OWN_NUMBER)
        sent = self.send(phone.OWN_NUMBER, code_length=6)
        self.assertEqual((before.request_cost, sent.request_cost), (0, 0))
        self.assertEqual(sent.remaining_balance, before.remaining_balance)

    def test_failures_are_told_by_name(self):
        me = phone.number(phone.DELIVERED)
        ability = self.ability(me)
        self.send(me, request_id=ability.request_id, code_length=4)
        for name, call in [
            ("PHONE_NUMBER_NOT_AVAILABLE", lambda: self.ability(phone.number(phone.UNREACHABLE))),
            ("FLOOD_WAIT_5", lambda: self.send(phone.number(phone.FLOODED), code_length=6)),
            ("CODE_LENGTH_REQUIRED", lambda: self.send(me)),
            ("MESSAGE_ALREADY_SENT", lambda: self.send(me, request_id=ability.request_id, code_length=4)),
            ("REQUEST_ID_INVALID", lambda: self.status("100000000000001")),
            ("REQUEST_ID_INVALID", lambda: self.revoke("100000000000001")),
        ]:
            self.assertEqual(self.refusal(call), name)
