"""Many runs on the desktop: learning rules against each other, sweeps over devices."""
