"""Runs quickstart.py as its own program, and plays the person who reads the phone and types what it says."""

import os
import subprocess
import sys
import unittest

import phone

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "quickstart.py")


class QuickstartTest(unittest.TestCase):
    def start(self, phone_number, token=phone.TOKEN):
        program = subprocess.Popen(
            [sys.executable, SCRIPT, f"{phone.BASE_URL}/", token, phone_number],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        # Clean-ups run last first: killed, then its pipes are closed and it is waited for.
        self.addCleanup(program.__exit__, None, None, None)
        self.addCleanup(program.kill)
        return program

    def test_all_four_methods(self):
        me = phone.number(phone.DELIVERED)
        program = self.start(me)
        drawn = phone.code(me)
        self.assertRegex(drawn, r"\A[0-9]{6}\Z")
        program.stdin.write(f"{phone.other_code(drawn)}\n{drawn}\n")
        chosen = phone.code(me, nth=2)
        self.assertEqual(chosen, "0451")
        said, complaints = program.communicate(f"{chosen}\n", timeout=30)
        self.assertEqual(complaints, "")
        self.assertEqual(
            said.splitlines(),
            [
                "Can be reached",
                "Sent, payload: quick start",
                "Verdict: None",
                "Enter the code:",
                "code_invalid",
                "Enter the code:",
                "code_valid",
                "Sent with a code of our own",
                "Enter the code:",
                "code_valid",
                "Revoked: True",
                "expired",
            ],
        )

    def test_failures_are_told_by_name(self):
        for token, fate, name in [
            (phone.TOKEN, phone.UNREACHABLE, "PHONE_NUMBER_NOT_AVAILABLE"),
            ("no-such-token", phone.DELIVERED, "ACCESS_TOKEN_INVALID"),
        ]:
            program = self.start(phone.number(fate), token)
            self.assertEqual(program.communicate(timeout=30), ("", f"Error: {name}\n"))
