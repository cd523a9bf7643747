"""Energy and time of one training sample, on arrays and on processors."""
