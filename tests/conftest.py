"""What all tests need."""

import signal

# A script that starts the tests in the background has them ignore Ctrl-C, and so would the
# programs that they interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
