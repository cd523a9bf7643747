"""Are the codes of a board of chips plausible, given what its devices are?"""
