"""Runs every test_*.py beside it. Progress goes to stderr; stdout is one line, "N passed, N failed"."""

import os
import signal
import sys
import unittest

# One of the clients sets no time-out at all: a server that hangs must cost one test, not the whole run.
TEST_LIMIT_S = 60


class BoundedResult(unittest.TextTestResult):
    def startTest(self, test):
        super().startTest(test)
        signal.alarm(TEST_LIMIT_S)

    def stopTest(self, test):
        signal.alarm(0)
        super().stopTest(test)


def out_of_time(*_):
    raise TimeoutError(f"test took longer than {TEST_LIMIT_S} s")


def main():
    signal.signal(signal.SIGALRM, out_of_time)
    tests = unittest.defaultTestLoader.discover(os.path.dirname(os.path.abspath(__file__)))
    result = unittest.TextTestRunner(verbosity=2, resultclass=BoundedResult).run(tests)
    # By name, as one test can fail twice: in its body and in its clean-up.
    failed = len({test.id() for test, _ in result.failures + result.errors})
    passed = result.testsRun - failed
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
