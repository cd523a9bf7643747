"""Where the weights are: devices in physical units, or an array behind converter chips."""
